//! The learner: best split first, on histograms, in integers.
//!
//! Each feature's range is cut once into at most `max_bins` bins at values that occur. A leaf's
//! worth is the sum over classes of G² / n, with G the class's summed gain and n the rows: for
//! one-hot gains this is the Gini criterion, for general gains the variance explained by a
//! multi-output regression tree. Scores are fractions and are compared by cross multiplication, so
//! results do not depend on rounding, word size or order of rows. The leaf that gains most is split
//! next, until depth, leaves or data run out.

use std::cmp::Ordering;

use super::dataset::Dataset;
use super::model::{DecisionTree, Node};
use crate::error::{LearnError, Result};

/// Bounds of the learner's work and of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrowConfig {
    /// Splits on the longest path; 0 gives a lone leaf. At most 32.
    pub max_depth: usize,
    /// Most leaves, at least 1 and at most 32,768 (the nodes' index is a u16).
    pub max_leaves: usize,
    /// Rows that each leaf must keep, at least 1.
    pub min_leaf_rows: usize,
    /// Candidate intervals for each feature, 2 to 256.
    pub max_bins: usize,
}

impl Default for GrowConfig {
    fn default() -> Self {
        Self { max_depth: 8, max_leaves: 64, min_leaf_rows: 32, max_bins: 64 }
    }
}

impl GrowConfig {
    fn check(&self) -> Result<()> {
        let in_range = |name, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(LearnError::Setting {
                    name,
                    reason: format!("{low} to {high} is possible, {value} was given"),
                })
            }
        };
        in_range("max_depth", self.max_depth, 0, 32)?;
        in_range("max_leaves", self.max_leaves, 1, 1 << 15)?;
        in_range("min_leaf_rows", self.min_leaf_rows, 1, usize::MAX)?;
        in_range("max_bins", self.max_bins, 2, 256)
    }
}

/// A non-negative fraction; the bounds of [`Dataset`] keep the numerator below 2^104.
#[derive(Clone, Copy, Debug)]
struct Fraction {
    numerator: u128,
    denominator: u64,
}

impl Fraction {
    fn compare(&self, other: &Self) -> Ordering {
        wide_product(self.numerator, other.denominator)
            .cmp(&wide_product(other.numerator, self.denominator))
    }
}

/// The 192-bit product of two numbers: bits 191 to 64, then bits 63 to 0.
fn wide_product(a: u128, b: u64) -> (u128, u64) {
    let low = u128::from(a as u64) * u128::from(b);
    let high = (a >> 64) * u128::from(b) + (low >> 64);
    (high, low as u64)
}

/// Sums over a set of rows.
#[derive(Clone, Debug)]
struct ClassSums {
    rows: u64,
    gains: Vec<i64>,
}

impl ClassSums {
    fn new(classes: usize) -> Self {
        Self { rows: 0, gains: vec![0; classes] }
    }

    /// The class with the largest sum; the lowest of equals, so that class 0 is the default.
    fn best_class(&self) -> usize {
        let mut best = 0;
        for (class, gain) in self.gains.iter().enumerate() {
            if *gain > self.gains[best] {
                best = class;
            }
        }
        best
    }
}

/// The best cut of one leaf.
#[derive(Clone, Copy, Debug)]
struct Split {
    feature: usize,
    /// Rows whose bin is at most this go left.
    bin: u8,
    /// Worth of the two children less the leaf's own.
    improvement: Fraction,
}

/// A leaf that may still be split.
struct Leaf {
    node: usize,
    depth: usize,
    rows: Vec<u32>,
    split: Option<Split>,
}

/// The working node list; children are placed only at the end, when the tree is laid out.
enum Draft {
    Split { feature: usize, threshold: i32, left: usize, right: usize },
    Leaf { class: usize },
}

/// Bins of all features of a data set.
struct Binned {
    /// For each feature the largest value of each bin but the last.
    cuts: Vec<Vec<i32>>,
    /// Column-major bin numbers.
    bins: Vec<Vec<u8>>,
}

impl Binned {
    fn new(data: &Dataset, max_bins: usize) -> Self {
        let mut cuts = Vec::new();
        let mut bins = Vec::new();
        for feature in 0..data.feature_count() {
            let column: Vec<i32> = (0..data.len()).map(|row| data.features(row)[feature]).collect();
            let feature_cuts = cuts_of(&column, max_bins);
            bins.push(
                column
                    .iter()
                    .map(|value| feature_cuts.partition_point(|cut| cut < value) as u8)
                    .collect(),
            );
            cuts.push(feature_cuts);
        }
        Self { cuts, bins }
    }
}

/// Chooses at most `max_bins - 1` cut values: all distinct values if they are few, else quantiles.
fn cuts_of(column: &[i32], max_bins: usize) -> Vec<i32> {
    let mut sorted = column.to_vec();
    sorted.sort_unstable();
    let mut distinct = sorted.clone();
    distinct.dedup();
    let largest = distinct.pop();
    if distinct.len() < max_bins {
        return distinct;
    }
    let mut cuts: Vec<i32> =
        (1..max_bins).map(|part| sorted[part * sorted.len() / max_bins]).collect();
    cuts.dedup();
    // A cut at the largest value would separate nothing.
    cuts.retain(|cut| Some(*cut) != largest);
    cuts
}

/// Learns a tree whose leaves hold the number of the class with the largest summed gain.
///
/// Sibling leaves that decide alike are joined afterwards. The result depends on the rows and the
/// configuration only.
///
/// # Errors
/// [`LearnError::Data`] if there is no row, [`LearnError::Setting`] if a bound is out of range.
/// Constant features or labels are no error: the tree is then a lone leaf.
pub fn grow(data: &Dataset, config: &GrowConfig) -> Result<DecisionTree> {
    config.check()?;
    if data.is_empty() {
        return Err(LearnError::Data(
            "there is no row to learn from; collect a window of samples first".into(),
        ));
    }
    let binned = Binned::new(data, config.max_bins);
    let all_rows: Vec<u32> = (0..data.len() as u32).collect();
    let mut drafts = vec![Draft::Leaf { class: class_sums(data, &all_rows).best_class() }];
    let split = best_split(data, &binned, &all_rows, 0, config);
    let mut open = vec![Leaf { node: 0, depth: 0, rows: all_rows, split }];
    let mut leaves = 1;
    while leaves < config.max_leaves {
        let Some(position) = most_improving(&open) else { break };
        let leaf = open.swap_remove(position);
        let Some(split) = leaf.split else { break };
        let bins = &binned.bins[split.feature];
        let (left_rows, right_rows): (Vec<u32>, Vec<u32>) =
            leaf.rows.into_iter().partition(|row| bins[*row as usize] <= split.bin);
        let left = drafts.len();
        drafts[leaf.node] = Draft::Split {
            feature: split.feature,
            threshold: binned.cuts[split.feature][usize::from(split.bin)],
            left,
            right: left + 1,
        };
        for rows in [left_rows, right_rows] {
            let node = drafts.len();
            drafts.push(Draft::Leaf { class: class_sums(data, &rows).best_class() });
            let split = best_split(data, &binned, &rows, leaf.depth + 1, config);
            open.push(Leaf { node, depth: leaf.depth + 1, rows, split });
        }
        leaves += 1;
    }
    DecisionTree::new(data.feature_count(), lay_out(&join_equal_leaves(drafts)))
}

fn class_sums(data: &Dataset, rows: &[u32]) -> ClassSums {
    let mut sums = ClassSums::new(data.class_count());
    for row in rows {
        sums.rows += 1;
        for (sum, gain) in sums.gains.iter_mut().zip(data.gains(*row as usize)) {
            *sum += i64::from(*gain);
        }
    }
    sums
}

/// Position of the open leaf to split next: the greatest improvement, the earliest node of equals.
fn most_improving(open: &[Leaf]) -> Option<usize> {
    let mut best: Option<(usize, &Leaf, Split)> = None;
    for (position, leaf) in open.iter().enumerate() {
        let Some(split) = leaf.split else { continue };
        let better = best.as_ref().is_none_or(|(_, other, other_split)| {
            match split.improvement.compare(&other_split.improvement) {
                Ordering::Greater => true,
                Ordering::Equal => leaf.node < other.node,
                Ordering::Less => false,
            }
        });
        if better {
            best = Some((position, leaf, split));
        }
    }
    best.map(|(position, _, _)| position)
}

/// Best cut of a leaf over all features; `None` if none improves it within the bounds.
fn best_split(
    data: &Dataset,
    binned: &Binned,
    rows: &[u32],
    depth: usize,
    config: &GrowConfig,
) -> Option<Split> {
    if depth == config.max_depth || rows.len() < 2 * config.min_leaf_rows {
        return None;
    }
    let total = class_sums(data, rows);
    let mut best: Option<Split> = None;
    for feature in 0..data.feature_count() {
        let bin_count = binned.cuts[feature].len() + 1;
        if bin_count < 2 {
            continue;
        }
        let histogram = histogram(data, &binned.bins[feature], rows, bin_count);
        let mut left = ClassSums::new(data.class_count());
        for (bin, bin_sums) in histogram.iter().enumerate().take(bin_count - 1) {
            left.rows += bin_sums.rows;
            left.gains.iter_mut().zip(&bin_sums.gains).for_each(|(sum, gain)| *sum += gain);
            let right_rows = total.rows - left.rows;
            let least = config.min_leaf_rows as u64;
            if bin_sums.rows == 0 || left.rows < least || right_rows < least {
                continue;
            }
            let Some(improvement) = improvement(&total, &left) else { continue };
            if best.is_none_or(|other| improvement.compare(&other.improvement) == Ordering::Greater)
            {
                best = Some(Split { feature, bin: bin as u8, improvement });
            }
        }
    }
    best
}

fn histogram(data: &Dataset, bins: &[u8], rows: &[u32], bin_count: usize) -> Vec<ClassSums> {
    let mut histogram = vec![ClassSums::new(data.class_count()); bin_count];
    for row in rows {
        let sums = &mut histogram[usize::from(bins[*row as usize])];
        sums.rows += 1;
        for (sum, gain) in sums.gains.iter_mut().zip(data.gains(*row as usize)) {
            *sum += i64::from(*gain);
        }
    }
    histogram
}

/// Worth of left and right less the worth of both together; `None` unless positive.
///
/// By the identity a²/m + b²/n − (a+b)²/(m+n) = (a·n − b·m)² / (m·n·(m+n)), summed over the
/// classes, the difference is never negative and needs no subtraction of large fractions.
fn improvement(total: &ClassSums, left: &ClassSums) -> Option<Fraction> {
    let (m, n) = (left.rows, total.rows - left.rows);
    let mut numerator = 0u128;
    for (whole, part) in total.gains.iter().zip(&left.gains) {
        let (a, b) = (i128::from(*part), i128::from(whole - part));
        numerator += (a * i128::from(n) - b * i128::from(m)).unsigned_abs().pow(2);
    }
    (numerator > 0).then(|| Fraction { numerator, denominator: m * n * (m + n) })
}

/// Joins sibling leaves of one class, bottom up.
fn join_equal_leaves(mut drafts: Vec<Draft>) -> Vec<Draft> {
    for index in (0..drafts.len()).rev() {
        if let Draft::Split { left, right, .. } = drafts[index]
            && let (Draft::Leaf { class: a }, Draft::Leaf { class: b }) =
                (&drafts[left], &drafts[right])
            && a == b
        {
            drafts[index] = Draft::Leaf { class: *a };
        }
    }
    drafts
}

/// Numbers the reachable nodes in breadth-first order, siblings side by side.
fn lay_out(drafts: &[Draft]) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut queue = std::collections::VecDeque::from([0usize]);
    let mut next_free = 1u16;
    while let Some(draft) = queue.pop_front() {
        match drafts[draft] {
            Draft::Leaf { class } => nodes.push(Node::Leaf { value: class as i32 }),
            Draft::Split { feature, threshold, left, right } => {
                nodes.push(Node::Split { feature: feature as u8, threshold, left: next_free });
                next_free += 2;
                queue.extend([left, right]);
            }
        }
    }
    nodes
}
