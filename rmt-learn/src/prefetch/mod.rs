//! Page prefetching on recorded faults: traces, policies and the scorer that compares them.
//!
//! [`trace`] reads faults; [`score`] plays them to a [`policy`] and counts what its prefetches were
//! worth. [`linux`] and [`leap`] are the baselines, rewritten from their published description.
//! [`learned`] is the policy that `firmware/page_prefetch.rmt` implements, and [`train`] makes its
//! tree. [`online`] learns the tree while it decides. [`simulate`] adds time on a swap [`device`];
//! [`study`] is case study 1, [`compare`] sets accuracy and coverage side by side.

pub mod compare;
pub mod device;
pub mod leap;
pub mod learned;
pub mod linux;
mod memory;
pub mod online;
pub mod policy;
pub mod score;
pub mod simulate;
pub mod study;
pub mod trace;
pub mod train;

#[cfg(test)]
mod tests;
