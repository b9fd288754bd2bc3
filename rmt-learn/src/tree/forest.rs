//! Between the learner's tree and the machine's forest.

use rmt_isa::program::{Forest, ForestMode, TreeNode};

use super::model::{DecisionTree, Node};
use crate::error::{LearnError, Result};

impl DecisionTree {
    /// The tree as a forest of one tree, mode sum, for model number 0.
    pub fn to_forest(&self, name: &str) -> Forest {
        let nodes = self.nodes().iter().map(|node| match *node {
            Node::Split { feature, threshold, left } => {
                TreeNode::Branch { feature, threshold, left }
            }
            Node::Leaf { value } => TreeNode::Leaf { value },
        });
        Forest {
            name: name.to_owned(),
            model: 0,
            mode: ForestMode::Sum,
            features: self.feature_count() as u16,
            roots: vec![0],
            nodes: nodes.collect(),
        }
    }

    /// The tree of a forest that holds exactly one, rooted at node 0.
    ///
    /// # Errors
    /// [`LearnError::Model`] if there are several trees, or the nodes are no tree.
    pub fn from_forest(forest: &Forest) -> Result<Self> {
        if forest.roots != [0] {
            return Err(LearnError::model(
                &forest.name,
                format!("one tree rooted at node 0 is expected, the roots are {:?}", forest.roots),
            ));
        }
        let nodes = forest.nodes.iter().map(|node| match *node {
            TreeNode::Branch { feature, threshold, left } => {
                Node::Split { feature, threshold, left }
            }
            TreeNode::Leaf { value } => Node::Leaf { value },
        });
        Self::new(usize::from(forest.features), nodes.collect())
    }
}
