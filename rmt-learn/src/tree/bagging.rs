//! Forests: trees on bootstrap samples and some of the features each, which vote.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::program::{Forest, ForestMode, TreeNode};

use super::dataset::Dataset;
use super::grow::{GrowConfig, Grower};
use super::model::{DecisionTree, Node};
use crate::error::{LearnError, Result};

/// Most trees of a forest.
pub const MAX_TREES: usize = 256;

/// Sizes of a forest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForestConfig {
    /// Trees, 1 to [`MAX_TREES`].
    pub trees: usize,
    /// Features that each tree may look at, drawn for each tree; 0: all.
    pub features_per_tree: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// Bounds of each tree.
    pub grow: GrowConfig,
}

impl Default for ForestConfig {
    fn default() -> Self {
        Self { trees: 8, features_per_tree: 0, seed: 1, grow: GrowConfig::default() }
    }
}

/// Learns a forest: each tree from as many rows as there are, drawn with replacement (Breiman,
/// "Bagging Predictors", 1996), with a feature subset of its own.
///
/// # Errors
/// As [`grow`](super::grow()), and [`LearnError::Setting`] for a number of trees out of range.
pub fn grow_forest(data: &Dataset, config: &ForestConfig) -> Result<Vec<DecisionTree>> {
    config.grow.check()?;
    if !(1..=MAX_TREES).contains(&config.trees) {
        return Err(LearnError::Setting {
            name: "trees",
            reason: format!("1 to {MAX_TREES} is possible, {} was given", config.trees),
        });
    }
    let mut grower = Grower::default();
    grower.prepare(data, &config.grow)?;
    let mut counter = split_mix_64(config.seed);
    let mut draw = |limit: usize| {
        counter = counter.wrapping_add(1);
        ((u128::from(split_mix_64(counter)) * limit as u128) >> 64) as usize
    };
    let wanted = match config.features_per_tree {
        0 => data.feature_count(),
        some => some.min(data.feature_count()),
    };
    (0..config.trees)
        .map(|_| {
            let mut features: Vec<usize> = (0..data.feature_count()).collect();
            for place in 0..wanted {
                let chosen = place + draw(features.len() - place);
                features.swap(place, chosen);
            }
            features.truncate(wanted);
            features.sort_unstable();
            let rows: Vec<u32> = (0..data.len()).map(|_| draw(data.len()) as u32).collect();
            grower.grow_sample(data, rows.into_iter(), &features, &config.grow)
        })
        .collect()
}

/// The class that most trees give, the smallest of equals: the machine's vote.
pub fn vote(trees: &[DecisionTree], features: &[i32]) -> i32 {
    let mut votes = [0u32; 256];
    for tree in trees {
        votes[usize::from(tree.evaluate(features) as u8)] += 1;
    }
    let most = votes.iter().max().copied().unwrap_or(0);
    votes.iter().position(|count| *count == most).unwrap_or(0) as i32
}

/// The trees as one forest of the machine that votes, for model number 0.
///
/// # Errors
/// [`LearnError::Model`] if there is no tree, trees differ in features, a leaf is no vote (0 to
/// 255), or the nodes' index does not reach all nodes.
pub fn to_voting_forest(trees: &[DecisionTree], name: &str) -> Result<Forest> {
    let refuse = |reason: String| Err(LearnError::model(name, reason));
    let Some(first) = trees.first() else { return refuse("a forest needs a tree".into()) };
    let total: usize = trees.iter().map(|tree| tree.nodes().len()).sum();
    if total > usize::from(u16::MAX) {
        return refuse(format!("{total} nodes; at most {} can be numbered", u16::MAX));
    }
    let mut roots = Vec::new();
    let mut nodes = Vec::new();
    for tree in trees {
        if tree.feature_count() != first.feature_count() {
            return refuse("the trees take different numbers of features".into());
        }
        if let Some(value) = tree.leaf_values().find(|value| !(0..=255).contains(value)) {
            return refuse(format!("leaf value {value} is no vote; votes are 0 to 255"));
        }
        let base = nodes.len() as u16;
        roots.push(base);
        nodes.extend(tree.nodes().iter().map(|node| match *node {
            Node::Split { feature, threshold, left } => {
                TreeNode::Branch { feature, threshold, left: base + left }
            }
            Node::Leaf { value } => TreeNode::Leaf { value },
        }));
    }
    let features = first.feature_count() as u16;
    Ok(Forest { name: name.into(), model: 0, mode: ForestMode::Vote, features, roots, nodes })
}
