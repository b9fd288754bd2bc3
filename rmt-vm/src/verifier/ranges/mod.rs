//! Value ranges: between which bounds every register lies, to prove that no i32 accumulator
//! overflows.
//!
//! - [`interval`]: bounds of one value and their arithmetic;
//! - [`scalars`]: scalar instructions, branches;
//! - [`lanes`]: bounds of all lanes of a vector, together or one by one;
//! - [`vectors`]: lane-wise instructions and loads;
//! - [`layers`]: products, convolutions, pooling, requantisation, forests;
//! - [`pass`]: the forward pass, and the check of the accumulators.
//!
//! The proof holds for every order in which an engine may add: the bounds of an accumulator
//! contain every partial sum of bias and products, not only the final one.

mod interval;
mod lanes;
mod layers;
mod pass;
mod scalars;
#[cfg(test)]
mod soundness;
mod vectors;

pub use layers::AccumulatorBounds;

pub(super) use pass::{RangeCache, check_ranges};
