//! Which features matter: by gain inside a tree, and by permutation for any decider.

use rmt_isa::arithmetic::split_mix_64;

use super::dataset::Dataset;
use super::model::{DecisionTree, Node};

/// Σ G² / n of the class gains that reach a node, in double precision: for display, not for
/// learning.
fn worth(data: &Dataset, rows: &[usize]) -> f64 {
    let mut sums = vec![0f64; data.class_count()];
    for row in rows {
        sums.iter_mut().zip(data.gains(*row)).for_each(|(sum, gain)| *sum += f64::from(*gain));
    }
    sums.iter().map(|sum| sum * sum).sum::<f64>() / rows.len().max(1) as f64
}

/// Share of the tree's whole improvement that each feature's splits bring on `data`; all 0 for a
/// lone leaf.
pub fn gain_importance(tree: &DecisionTree, data: &Dataset) -> Vec<f64> {
    let mut gains = vec![0.0; tree.feature_count()];
    let mut waiting = vec![(0usize, (0..data.len()).collect::<Vec<_>>())];
    while let Some((node, rows)) = waiting.pop() {
        let Node::Split { feature, threshold, left } = tree.nodes()[node] else { continue };
        let feature = usize::from(feature);
        let before = worth(data, &rows);
        let (low, high): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|row| data.features(*row)[feature] <= threshold);
        gains[feature] += (worth(data, &low) + worth(data, &high) - before).max(0.0);
        waiting.push((usize::from(left), low));
        waiting.push((usize::from(left) + 1, high));
    }
    let total: f64 = gains.iter().sum();
    if total > 0.0 {
        gains.iter_mut().for_each(|gain| *gain /= total);
    }
    gains
}

/// How much of the rows' mean gain is lost when one feature's values change places between rows
/// (Breiman, "Random Forests", 2001): mean over `repeats` draws, one number for each feature.
pub fn permutation_importance(
    decide: impl Fn(&[i32]) -> usize,
    data: &Dataset,
    repeats: usize,
    seed: u64,
) -> Vec<f64> {
    let rows = data.len();
    let mean_gain = |changed: Option<(usize, &[usize])>| {
        let mut features = vec![0; data.feature_count()];
        let total: i64 = (0..rows)
            .map(|row| {
                features.copy_from_slice(data.features(row));
                if let Some((feature, order)) = changed {
                    features[feature] = data.features(order[row])[feature];
                }
                data.gains(row).get(decide(&features)).map_or(0, |gain| i64::from(*gain))
            })
            .sum();
        total as f64 / rows.max(1) as f64
    };
    let whole = mean_gain(None);
    let mut counter = split_mix_64(seed);
    (0..data.feature_count())
        .map(|feature| {
            let lost = (0..repeats).map(|_| {
                let mut order: Vec<usize> = (0..rows).collect();
                for place in (1..rows).rev() {
                    counter = counter.wrapping_add(1);
                    let other = (u128::from(split_mix_64(counter)) * (place as u128 + 1)) >> 64;
                    order.swap(place, other as usize);
                }
                whole - mean_gain(Some((feature, &order)))
            });
            lost.sum::<f64>() / repeats.max(1) as f64
        })
        .collect()
}

/// Features in the order of their importance, the greatest first; of equals the first.
pub fn ranked(importance: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..importance.len()).collect();
    order.sort_by(|a, b| importance[*b].total_cmp(&importance[*a]).then(a.cmp(b)));
    order
}
