//! The tree as data: nodes, checks, evaluation.

use serde::{Deserialize, Serialize};

use crate::error::{LearnError, Result};

/// One node of a tree. Children of a split stand next to each other: `left` and `left + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Node {
    /// Go to `left` if the feature is at most the threshold, else to `left + 1`.
    Split {
        /// Index of the feature.
        feature: u8,
        /// Largest value that goes left.
        threshold: i32,
        /// Index of the left child, above this node's own.
        left: u16,
    },
    /// The result.
    Leaf {
        /// What evaluation gives: a class, a score or a packed decision.
        value: i32,
    },
}

/// A decision tree; node 0 is the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionTree {
    feature_count: usize,
    nodes: Vec<Node>,
}

impl DecisionTree {
    /// Checks nodes and makes them a tree.
    ///
    /// # Errors
    /// [`LearnError::Model`] with the node if there is none, a feature is out of range, or a child
    /// does not lie after its parent (so every evaluation ends) or not inside the list.
    pub fn new(feature_count: usize, nodes: Vec<Node>) -> Result<Self> {
        if nodes.is_empty() || nodes.len() > usize::from(u16::MAX) + 1 {
            return Err(LearnError::model(
                "tree",
                format!("1 to 65536 nodes are possible, {} were given", nodes.len()),
            ));
        }
        for (index, node) in nodes.iter().enumerate() {
            if let Node::Split { feature, left, .. } = *node {
                if usize::from(feature) >= feature_count {
                    return Err(LearnError::model(
                        "tree",
                        format!("node {index} reads feature {feature}; there are {feature_count}"),
                    ));
                }
                if usize::from(left) <= index || usize::from(left) + 1 >= nodes.len() {
                    return Err(LearnError::model(
                        "tree",
                        format!(
                            "node {index} has its left child at {left}; it must lie after the node, with its sibling inside the {} nodes",
                            nodes.len()
                        ),
                    ));
                }
            }
        }
        Ok(Self { feature_count, nodes })
    }

    /// The value of the leaf that `features` lead to. Missing features count as 0, as unset lanes
    /// do.
    pub fn evaluate(&self, features: &[i32]) -> i32 {
        let mut index = 0;
        // Children lie after their parents, so this ends within the number of nodes.
        loop {
            match self.nodes[index] {
                Node::Leaf { value } => return value,
                Node::Split { feature, threshold, left } => {
                    let lane = features.get(usize::from(feature)).copied().unwrap_or(0);
                    index = usize::from(left) + usize::from(lane > threshold);
                }
            }
        }
    }

    /// The nodes, root first.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Features that an evaluation needs.
    pub fn feature_count(&self) -> usize {
        self.feature_count
    }

    /// The same tree with each leaf's value replaced.
    #[must_use]
    pub fn map_leaves(&self, mut replace: impl FnMut(i32) -> i32) -> Self {
        let nodes = self.nodes.iter().map(|node| match *node {
            Node::Leaf { value } => Node::Leaf { value: replace(value) },
            split => split,
        });
        Self { feature_count: self.feature_count, nodes: nodes.collect() }
    }

    /// The values of all leaves, in node order.
    pub fn leaf_values(&self) -> impl Iterator<Item = i32> + '_ {
        self.nodes.iter().filter_map(|node| match *node {
            Node::Leaf { value } => Some(value),
            Node::Split { .. } => None,
        })
    }

    /// Number of leaves.
    pub fn leaf_count(&self) -> usize {
        self.leaf_values().count()
    }

    /// Splits on the longest way from the root to a leaf; 0 for a lone leaf.
    pub fn depth(&self) -> usize {
        // Backwards, so that each split finds its children's depths already known.
        let mut depths = vec![0usize; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate().rev() {
            if let Node::Split { left, .. } = *node {
                depths[index] = 1 + depths[usize::from(left)].max(depths[usize::from(left) + 1]);
            }
        }
        depths[0]
    }
}
