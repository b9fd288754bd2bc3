//! Integer decision trees: data set, learner and evaluator, with no floating point anywhere.
//!
//! [`Dataset`] holds rows of i32 features and, for each class, the integer gain of deciding for it
//! (one-hot for plain classification). [`grow`] finds a tree of bounded depth and size;
//! [`DecisionTree`] evaluates it with the machine's rule: go left if `feature <= threshold`, the
//! right child stands directly after the left one, a leaf holds an i32.

mod dataset;
mod forest;
mod grow;
mod model;

pub use dataset::{Dataset, MAX_ABS_GAIN, MAX_CLASSES, MAX_FEATURES, MAX_ROWS};
pub use grow::{GrowConfig, grow};
pub use model::{DecisionTree, Node};

#[cfg(test)]
mod tests;
