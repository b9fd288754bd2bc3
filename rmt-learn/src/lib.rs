//! Learning in the terms of the kernel: integer trees, quantised networks, traces and baselines.
//!
//! Two ways lead from recorded events to a model file that a `.rmt` program names:
//!
//! ```text
//! faults  ── prefetch::trace ───► prefetch::train ─► tree::grow ─► page_prefetch.json
//! weights ── quantise::network ─► quantise::fit ───► integer ────► can_migrate_task.json
//! ```
//!
//! Beside each way stand the means to judge it: [`prefetch::compare`] scores the tree's policy
//! against Linux and Leap on the same faults, [`quantise::load_balancer::agreement`] compares
//! integers with double precision. [`install`] puts a model into a running program. Everything is deterministic: the same input gives the same
//! bytes. `docs/learning.md` tells the whole story.

pub mod balance;
pub mod distil;
pub mod error;
pub mod install;
pub mod model_file;
pub mod network;
pub mod onnx;
pub mod prefetch;
pub mod prune;
pub mod quantise;
pub mod search;
mod table;
pub mod tree;

pub use error::{LearnError, Result};
