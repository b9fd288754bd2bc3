//! Integer decision trees: data set, learner and evaluator, with no floating point anywhere.
//!
//! [`Dataset`] holds rows of i32 features and, for each class, the integer gain of deciding for it
//! (one-hot for plain classification). [`grow`] finds a tree of bounded depth and size;
//! [`DecisionTree`] evaluates it with the machine's rule: go left if `feature <= threshold`, the
//! right child stands directly after the left one, a leaf holds an i32.
//! [`OnlineTree`] learns on line from a window of the newest samples, [`grow_forest`] makes trees
//! that vote, [`importance`] says which features matter.

mod bagging;
mod bins;
mod dataset;
mod forest;
mod grow;
pub mod importance;
mod model;
mod online;
mod split;

pub use bagging::{ForestConfig, MAX_TREES, grow_forest, to_voting_forest, vote};
pub use dataset::{Dataset, MAX_ABS_GAIN, MAX_CLASSES, MAX_FEATURES, MAX_ROWS};
pub use grow::{GrowConfig, Grower, grow};
pub use model::{DecisionTree, Node};
pub use online::{OnlineConfig, OnlineTree};

#[cfg(test)]
mod tests;
