//! Learning in the terms of the kernel: integer trees, quantised networks, traces and baselines

pub mod error;
pub mod model_file;
pub mod prefetch;
pub mod quantise;
mod table;
pub mod tree;

pub use error::{LearnError, Result};
