//! Learning in the terms of the kernel: integer trees, quantised networks, traces and baselines

pub mod error;
pub mod prefetch;
pub mod tree;

pub use error::{LearnError, Result};
