//! Page prefetching on recorded faults: traces, policies and the scorer that compares them.
//!
//! [`trace`] reads faults; [`score`] plays them to a [`policy`] and counts what its prefetches were
//! worth. [`linux`] and [`leap`] are the baselines, rewritten from their published description.
//! [`learned`] is the policy that `firmware/page_prefetch.rmt` implements, and [`train`] makes its
//! tree. [`compare`] sets all of them side by side.

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
