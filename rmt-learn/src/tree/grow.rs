//! The learner: best split first, on histograms, in integers.
//!
//! Each feature's range is cut once into at most `max_bins` bins at values that occur. A leaf's
//! worth is the sum over classes of G² / n, with G the class's summed gain and n the rows: for
//! one-hot gains this is the Gini criterion, for general gains the variance explained by a
//! multi-output regression tree. Scores are fractions and are compared by cross multiplication, so
//! results do not depend on rounding, word size or order of rows. The leaf that gains most is split
//! next, until depth, leaves or data run out.

use std::cmp::Ordering;

use super::bins::Bins;
use super::dataset::Dataset;
use super::model::{DecisionTree, Node};
use super::split::{Split, Sums};
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
    pub(super) fn check(&self) -> Result<()> {
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

/// A leaf that may still be split.
struct Leaf {
    node: usize,
    depth: usize,
    /// First row and end in the grower's list.
    rows: (usize, usize),
    split: Option<Split>,
}

/// The working node list; children are placed only at the end, when the tree is laid out.
enum Draft {
    Split { feature: usize, threshold: i32, left: usize, right: usize },
    Leaf { class: usize },
}

/// The learner with its working memory, which is kept from one window to the next.
///
/// Memory is bounded by the data set (one byte a value, four a row) and the number of leaves; time
/// by rows × features × (depth + a sort) and leaves × features × bins × classes.
#[derive(Debug, Default)]
pub struct Grower {
    bins: Bins,
    sums: Sums,
    /// Rows, those of each leaf side by side.
    rows: Vec<u32>,
    /// Rows of the right side while a leaf is parted.
    right: Vec<u32>,
}

impl Grower {
    /// As [`grow`].
    ///
    /// # Errors
    /// As [`grow`].
    pub fn grow(&mut self, data: &Dataset, config: &GrowConfig) -> Result<DecisionTree> {
        config.check()?;
        self.prepare(data, config)?;
        self.rows.clear();
        self.rows.extend(0..data.len() as u32);
        let features: Vec<usize> = (0..data.feature_count()).collect();
        self.grow_prepared(data, &features, config)
    }

    /// Cuts the features into bins, once for all trees of a forest.
    pub(super) fn prepare(&mut self, data: &Dataset, config: &GrowConfig) -> Result<()> {
        if data.is_empty() {
            return Err(LearnError::Data(
                "there is no row to learn from; collect a window of samples first".into(),
            ));
        }
        self.bins.fill(data, config.max_bins);
        Ok(())
    }

    /// Learns from a sample of rows (some may come twice) and some of the features.
    pub(super) fn grow_sample(
        &mut self,
        data: &Dataset,
        rows: impl Iterator<Item = u32>,
        features: &[usize],
        config: &GrowConfig,
    ) -> Result<DecisionTree> {
        self.rows.clear();
        self.rows.extend(rows);
        self.grow_prepared(data, features, config)
    }

    fn grow_prepared(
        &mut self,
        data: &Dataset,
        features: &[usize],
        config: &GrowConfig,
    ) -> Result<DecisionTree> {
        let mut drafts = Vec::new();
        let mut open = Vec::new();
        let everything = (0, self.rows.len());
        self.add_leaf(data, everything, 0, features, config, &mut drafts, &mut open);
        for _ in 1..config.max_leaves {
            let Some(position) = most_improving(&open) else { break };
            let leaf = open.swap_remove(position);
            let Some(split) = leaf.split else { break };
            let middle = self.part(leaf.rows, split);
            let left = drafts.len();
            drafts[leaf.node] = Draft::Split {
                feature: split.feature,
                threshold: self.bins.cuts(split.feature)[usize::from(split.bin)],
                left,
                right: left + 1,
            };
            for rows in [(leaf.rows.0, middle), (middle, leaf.rows.1)] {
                let depth = leaf.depth + 1;
                self.add_leaf(data, rows, depth, features, config, &mut drafts, &mut open);
            }
        }
        DecisionTree::new(data.feature_count(), lay_out(&join_equal_leaves(drafts)))
    }

    #[allow(clippy::too_many_arguments)] // One call's whole state; a struct would only rename it.
    fn add_leaf(
        &mut self,
        data: &Dataset,
        rows: (usize, usize),
        depth: usize,
        features: &[usize],
        config: &GrowConfig,
        drafts: &mut Vec<Draft>,
        open: &mut Vec<Leaf>,
    ) {
        let here = &self.rows[rows.0..rows.1];
        let node = drafts.len();
        drafts.push(Draft::Leaf { class: self.sums.best_class(data, here) });
        if depth < config.max_depth && here.len() / 2 >= config.min_leaf_rows {
            let split =
                self.sums.best_split(data, &self.bins, here, features, config.min_leaf_rows);
            open.push(Leaf { node, depth, rows, split });
        }
    }

    /// Parts a leaf's rows in place, in their order; returns where the right side begins.
    fn part(&mut self, (first, end): (usize, usize), split: Split) -> usize {
        let column = self.bins.column(split.feature);
        self.right.clear();
        let mut middle = first;
        for place in first..end {
            let row = self.rows[place];
            if column[row as usize] <= split.bin {
                self.rows[middle] = row;
                middle += 1;
            } else {
                self.right.push(row);
            }
        }
        self.rows[middle..end].copy_from_slice(&self.right);
        middle
    }
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
    Grower::default().grow(data, config)
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
