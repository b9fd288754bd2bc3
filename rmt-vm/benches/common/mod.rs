//! What the benchmarks share: the programs of `firmware/`, the scalar work that is compared
//! with eBPF, and timing.

pub mod firmware;
pub mod product;
pub mod scalar;
pub mod timing;
