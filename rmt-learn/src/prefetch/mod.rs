//! Page prefetching on recorded faults: traces, policies and the scorer that compares them.

pub mod compare;
pub mod leap;
pub mod learned;
pub mod linux;
pub mod policy;
pub mod score;
pub mod trace;
pub mod train;

#[cfg(test)]
mod tests;
