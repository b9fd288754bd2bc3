//! The RMT daemon: programs decide for events that come from the kernel, on the engine where they
//! cost least, and the control plane changes them while they run.
//!
//! ```text
//!  clients ─► server ─► plane ─► journal            policies ─► plane
//!             (frames,   │ transactions, one at a time
//!              rights)   ▼
//!  sources ─► worker: one thread that owns ─► engines: interpreter, JIT, card
//!  (rings,    takes events, gives decisions       ▲
//!   replay)                                   placement, cache
//! ```
//!
//! - [`protocol`], [`frame`], [`client`], [`server`], [`rights`]: what clients ask, how it gets
//!   here, and who may.
//! - [`plane`], [`journal`], [`names`]: requests become transactions that survive a restart.
//! - [`worker`], [`source`]: the way of events.
//! - [`engines`], [`cache`], [`counters`]: programs that run.
//! - [`placement`]: where they run; [`policy`], [`accuracy`]: entries that follow what processes do.
//! - [`metrics`]: counters for Prometheus; [`paths`]: where files are; [`log`]: messages.
//!
//! `docs/daemon.md` is the user's page.

pub mod accuracy;
pub mod cache;
pub mod client;
pub mod counters;
pub mod engines;
pub mod frame;
pub mod journal;
pub mod log;
pub mod metrics;
pub mod names;
pub mod paths;
pub mod placement;
pub mod plane;
pub mod policy;
pub mod protocol;
pub mod rights;
pub mod server;
pub mod source;
mod view;
pub mod worker;
