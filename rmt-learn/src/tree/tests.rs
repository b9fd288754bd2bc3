//! What the learner must do on data whose best tree is known.

use rmt_isa::arithmetic::split_mix_64;

use super::importance::{gain_importance, permutation_importance, ranked};
use super::*;
use crate::error::LearnError;

fn config() -> GrowConfig {
    GrowConfig { min_leaf_rows: 1, ..GrowConfig::default() }
}

fn labelled(rows: &[(&[i32], usize)], classes: usize) -> Dataset {
    let mut data = Dataset::new(rows[0].0.len(), classes).unwrap();
    for (features, label) in rows {
        data.push_label(features, *label).unwrap();
    }
    data
}

/// Share of rows that the tree labels right.
fn right_rows(tree: &DecisionTree, data: &Dataset) -> usize {
    (0..data.len())
        .filter(|row| data.gains(*row)[tree.evaluate(data.features(*row)) as usize] == 1)
        .count()
}

#[test]
fn one_cut_is_found_where_it_is() {
    let data = labelled(&[(&[-7], 0), (&[3], 0), (&[4], 1), (&[90], 1)], 2);
    let tree = grow(&data, &config()).unwrap();
    let expected = [
        Node::Split { feature: 0, threshold: 3, left: 1 },
        Node::Leaf { value: 0 },
        Node::Leaf { value: 1 },
    ];
    assert_eq!(tree.nodes(), expected);
}

/// By hand: feature 1 separates 5 of 6 rows, feature 0 only 4, so feature 1 is the root.
#[test]
fn the_better_feature_is_the_root() {
    let data = labelled(
        &[(&[0, 0], 0), (&[1, 0], 0), (&[0, 0], 0), (&[1, 1], 1), (&[1, 1], 1), (&[0, 0], 1)],
        2,
    );
    let tree = grow(&data, &GrowConfig { max_depth: 1, ..config() }).unwrap();
    assert!(matches!(tree.nodes()[0], Node::Split { feature: 1, threshold: 0, .. }));
}

#[test]
fn every_separable_data_set_is_learnt_without_error() {
    for seed in 0..40 {
        let mut counter = seed * 1_000;
        let mut draw = |limit: u64| {
            counter += 1;
            (split_mix_64(counter) % limit) as i32
        };
        let mut data = Dataset::new(3, 4).unwrap();
        for _ in 0..200 {
            let row = [draw(40) - 20, draw(1000), draw(3)];
            // Four boxes of the first two features; the third is noise.
            let label = usize::from(row[0] > 3) * 2 + usize::from(row[1] > 400);
            data.push_label(&row, label).unwrap();
        }
        let tree = grow(&data, &GrowConfig { max_bins: 256, ..config() }).unwrap();
        assert_eq!(right_rows(&tree, &data), data.len(), "seed {seed}");
        assert!(tree.depth() <= 8 && tree.leaf_count() <= 64);
    }
}

#[test]
fn extreme_features_do_not_overflow() {
    let data = labelled(&[(&[i32::MIN], 1), (&[i32::MAX], 0), (&[0], 0)], 2);
    let tree = grow(&data, &config()).unwrap();
    assert_eq!([i32::MIN, 0, i32::MAX].map(|value| tree.evaluate(&[value])), [1, 0, 0]);
}

#[test]
fn order_of_rows_does_not_matter() {
    let rows: Vec<([i32; 2], usize)> = (0..300u64)
        .map(|row| {
            (
                [(split_mix_64(row) % 9) as i32, (split_mix_64(row + 999) % 50) as i32],
                (row % 3) as usize,
            )
        })
        .collect();
    let mut forward = Dataset::new(2, 3).unwrap();
    let mut backward = Dataset::new(2, 3).unwrap();
    for (features, label) in &rows {
        forward.push_label(features, *label).unwrap();
    }
    for (features, label) in rows.iter().rev() {
        backward.push_label(features, *label).unwrap();
    }
    assert_eq!(grow(&forward, &config()).unwrap(), grow(&backward, &config()).unwrap());
}

#[test]
fn bounds_of_depth_leaves_and_rows_hold() {
    let mut data = Dataset::new(1, 16).unwrap();
    for value in 0..256 {
        data.push_label(&[value], (split_mix_64(value as u64) % 16) as usize).unwrap();
    }
    let bounds = GrowConfig { max_depth: 3, max_leaves: 5, min_leaf_rows: 20, max_bins: 256 };
    let tree = grow(&data, &bounds).unwrap();
    assert!(tree.depth() <= 3 && tree.leaf_count() <= 5);
    let mut reached = std::collections::BTreeMap::new();
    for value in 0..256 {
        *reached.entry(tree.evaluate(&[value])).or_insert(0) += 1;
    }
    assert!(reached.values().all(|rows| *rows >= 20), "{reached:?}");
}

#[test]
fn constant_labels_or_features_give_a_lone_leaf() {
    let same_label = labelled(&[(&[1], 2), (&[2], 2), (&[3], 2)], 3);
    assert_eq!(grow(&same_label, &config()).unwrap().nodes(), [Node::Leaf { value: 2 }]);
    let same_feature = labelled(&[(&[5], 1), (&[5], 1), (&[5], 0)], 2);
    assert_eq!(grow(&same_feature, &config()).unwrap().nodes(), [Node::Leaf { value: 1 }]);
}

/// Class 1 pays 3 on some rows and costs 10 on others: the leaf takes it only where the sum is
/// positive.
#[test]
fn gains_decide_rather_than_counts() {
    let mut data = Dataset::new(1, 2).unwrap();
    for _ in 0..3 {
        data.push_gains(&[0], &[0, 3]).unwrap();
    }
    data.push_gains(&[0], &[0, -10]).unwrap();
    assert_eq!(grow(&data, &config()).unwrap().evaluate(&[0]), 0);
    data.push_gains(&[0], &[0, 3]).unwrap();
    assert_eq!(grow(&data, &config()).unwrap().evaluate(&[0]), 1);
}

#[test]
fn bad_data_and_settings_are_refused() {
    let empty = Dataset::new(2, 2).unwrap();
    assert!(matches!(grow(&empty, &config()), Err(LearnError::Data(_))));
    assert!(Dataset::new(0, 2).is_err() && Dataset::new(2, MAX_CLASSES + 1).is_err());
    let mut data = Dataset::new(2, 2).unwrap();
    assert!(data.push_label(&[1], 0).is_err(), "a row too short");
    assert!(data.push_label(&[1, 2], 2).is_err(), "a label out of range");
    assert!(data.push_gains(&[1, 2], &[MAX_ABS_GAIN + 1, 0]).is_err());
    assert!(data.push_gains(&[1, 2], &[i32::MIN, 0]).is_err());
    data.push_label(&[1, 2], 1).unwrap();
    for bad in [
        GrowConfig { max_leaves: 0, ..config() },
        GrowConfig { max_depth: 33, ..config() },
        GrowConfig { max_bins: 1, ..config() },
        GrowConfig { min_leaf_rows: 0, ..config() },
    ] {
        assert!(matches!(grow(&data, &bad), Err(LearnError::Setting { .. })), "{bad:?}");
    }
}

#[test]
fn malformed_trees_are_refused() {
    let split = |left| Node::Split { feature: 0, threshold: 0, left };
    let leaf = Node::Leaf { value: 0 };
    for nodes in
        [vec![], vec![split(0), leaf, leaf], vec![split(1), leaf], vec![split(2), leaf, leaf]]
    {
        assert!(DecisionTree::new(1, nodes.clone()).is_err(), "{nodes:?}");
    }
    assert!(DecisionTree::new(0, vec![split(1), leaf, leaf]).is_err(), "feature out of range");
}

#[test]
fn a_tree_goes_to_a_forest_and_back() {
    let data = labelled(&[(&[1, 9], 0), (&[2, 9], 1), (&[2, 3], 2), (&[1, 3], 2)], 3);
    let tree = grow(&data, &config()).unwrap();
    let forest = tree.to_forest("t");
    assert_eq!(DecisionTree::from_forest(&forest).unwrap(), tree);
    assert!(
        DecisionTree::from_forest(&rmt_isa::program::Forest { roots: vec![0, 1], ..forest })
            .is_err()
    );
}

#[test]
fn labels_and_their_gains_give_the_same_tree() {
    let mut labels = Dataset::new(2, 3).unwrap();
    let mut gains = Dataset::new(2, 3).unwrap();
    for row in 0..400u64 {
        let features = [(split_mix_64(row) % 90) as i32, (split_mix_64(row + 7777) % 7) as i32];
        let label = usize::from(features[0] > 30) + usize::from(features[1] > 4);
        labels.push_label(&features, label).unwrap();
        let mut one_hot = [0; 3];
        one_hot[label] = 1;
        gains.push_gains(&features, &one_hot).unwrap();
        assert_eq!(labels.gains(row as usize), one_hot);
    }
    assert!(labels.labels().is_some() && gains.labels().is_none());
    let tree = grow(&labels, &config()).unwrap();
    assert_eq!(grow(&gains, &config()).unwrap(), tree);
    assert_eq!(right_rows(&tree, &gains), 400);
    // A row with gains among rows with labels writes all out.
    labels.push_gains(&[1, 1], &[-4, 5, 0]).unwrap();
    assert_eq!((labels.gains(0), labels.gains(400)), (gains.gains(0), &[-4, 5, 0][..]));
}

#[test]
fn a_grower_used_again_gives_what_a_new_one_gives() {
    let mut grower = Grower::default();
    for seed in 0..5u64 {
        let mut data = Dataset::new(3, 4).unwrap();
        for row in 0..100 + 200 * (seed % 3) {
            let value = split_mix_64(seed * 10_000 + row);
            let features = [value % 50, value >> 8 & 15, value >> 20 & 1].map(|v| v as i32);
            data.push_label(&features, (value % 4) as usize).unwrap();
        }
        assert_eq!(grower.grow(&data, &config()).unwrap(), grow(&data, &config()).unwrap());
    }
}

/// The window forgets: after the rule turns round, one window of new samples suffices.
#[test]
fn the_window_follows_a_change() {
    let config = OnlineConfig { window_samples: 64, period_samples: 16, grow: config() };
    let mut learner = OnlineTree::new(1, 2, config).unwrap();
    assert!(learner.learn().is_err(), "an empty window");
    let push = |learner: &mut OnlineTree, turned: bool, samples: i32| {
        for value in 0..samples {
            let label = usize::from((value % 10 > 4) != turned);
            learner.push_label(&[value % 10], label).unwrap();
        }
    };
    push(&mut learner, false, 15);
    assert!(!learner.is_due());
    push(&mut learner, false, 100);
    assert!(learner.is_due());
    let tree = learner.learn().unwrap();
    assert_eq!([2, 8].map(|value| tree.evaluate(&[value])), [0, 1]);
    assert!(!learner.is_due() && learner.window().len() == 64);
    push(&mut learner, true, 64);
    let tree = learner.learn().unwrap();
    assert_eq!([2, 8].map(|value| tree.evaluate(&[value])), [1, 0]);
    assert!(learner.push_label(&[1], 2).is_err() && learner.push_label(&[], 0).is_err());
    assert!(learner.push_gains(&[1], &[MAX_ABS_GAIN + 1, 0]).is_err());
    learner.push_gains(&[1], &[3, 0]).unwrap();
    assert_eq!(learner.window().len(), 64);
}

/// Noisy boxes: trees on samples of rows and features vote, and vote at least as well as each alone
/// on rows that none has seen.
#[test]
fn a_forest_votes_and_equals_the_machines_form() {
    let rows = |seed: u64| {
        let mut data = Dataset::new(4, 3).unwrap();
        for row in 0..600 {
            let value = split_mix_64(seed + row);
            let features = std::array::from_fn::<i32, 4, _>(|i| (value >> (12 * i) & 63) as i32);
            let label = usize::from(features[0] > 31) + usize::from(features[1] > 20);
            let noisy = if value.is_multiple_of(7) { (label + 1) % 3 } else { label };
            data.push_label(&features, noisy).unwrap();
        }
        data
    };
    let (train, test) = (rows(1 << 32), rows(2 << 32));
    let forest_config = ForestConfig { trees: 15, grow: config(), ..ForestConfig::default() };
    let trees = grow_forest(&train, &forest_config).unwrap();
    assert_eq!(trees, grow_forest(&train, &forest_config).unwrap(), "deterministic");
    let right = |decide: &dyn Fn(&[i32]) -> i32| {
        (0..test.len())
            .filter(|row| test.gains(*row)[decide(test.features(*row)) as usize] == 1)
            .count()
    };
    let voted = right(&|features| vote(&trees, features));
    let best_alone = trees.iter().map(|tree| right(&|f| tree.evaluate(f))).max().unwrap();
    assert!(voted >= best_alone, "{voted} and {best_alone} of {}", test.len());

    let forest = to_voting_forest(&trees, "f").unwrap();
    for row in 0..50 {
        let leaves = forest.roots.iter().map(|root| {
            let mut node = usize::from(*root);
            loop {
                match forest.nodes[node] {
                    rmt_isa::program::TreeNode::Leaf { value } => break value,
                    rmt_isa::program::TreeNode::Branch { feature, threshold, left } => {
                        let lane = test.features(row)[usize::from(feature)];
                        node = usize::from(left) + usize::from(lane > threshold);
                    }
                }
            }
        });
        let expected: Vec<_> = trees.iter().map(|tree| tree.evaluate(test.features(row))).collect();
        assert_eq!(leaves.collect::<Vec<_>>(), expected);
    }
    for features_per_tree in [1, 2] {
        let few = ForestConfig { features_per_tree, ..forest_config };
        for tree in grow_forest(&train, &few).unwrap() {
            let used: std::collections::BTreeSet<_> = tree
                .nodes()
                .iter()
                .filter_map(|node| match node {
                    Node::Split { feature, .. } => Some(*feature),
                    Node::Leaf { .. } => None,
                })
                .collect();
            assert!(used.len() <= features_per_tree);
        }
    }
    assert!(grow_forest(&train, &ForestConfig { trees: 0, ..forest_config }).is_err());
    assert!(to_voting_forest(&[], "f").is_err());
    let not_a_vote = DecisionTree::new(1, vec![Node::Leaf { value: 256 }]).unwrap();
    assert!(to_voting_forest(&[not_a_vote], "f").is_err());
}

/// Feature 2 decides, feature 0 helps a little, feature 1 is noise.
#[test]
fn importance_ranks_the_deciding_feature_first() {
    let mut data = Dataset::new(3, 2).unwrap();
    for row in 0..1000u64 {
        let value = split_mix_64(row);
        let features = [value & 7, value >> 8 & 7, value >> 16 & 7].map(|v| v as i32);
        let label = features[2] > 3 || (features[2] == 3 && features[0] > 3);
        data.push_label(&features, label.into()).unwrap();
    }
    let tree = grow(&data, &config()).unwrap();
    let gain = gain_importance(&tree, &data);
    assert_eq!(ranked(&gain), [2, 0, 1]);
    assert!((gain.iter().sum::<f64>() - 1.0).abs() < 1e-9 && gain[1] == 0.0);
    let permuted = permutation_importance(|f| tree.evaluate(f) as usize, &data, 3, 5);
    assert_eq!(ranked(&permuted), [2, 0, 1]);
    assert!(permuted[2] > 0.3 && permuted[1] == 0.0, "{permuted:?}");
    let lone = DecisionTree::new(3, vec![Node::Leaf { value: 0 }]).unwrap();
    assert_eq!(gain_importance(&lone, &data), [0.0; 3]);
}
