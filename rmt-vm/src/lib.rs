//! The software machine of RMT: what every other engine must equal, bit for bit.
//!
//! - [`state`]: what a running program changes: tables, context records, maps, models.
//! - [`interpreter`]: runs events, one instruction at a time. It is the specification.
//! - `jit` (a feature): the same as machine code, as fast as the CPU allows.
//! - [`verifier`]: refuses programs that could misbehave, and bounds what the others cost.
//! - [`engine`]: the interface that interpreter, JIT, RTL and card share.
//! - [`conformance`]: test vectors that run on every engine.
//! - [`events`]: recorded CSV traces as events.
//! - [`generate`]: random programs with events, to compare engines.
//!
//! A program (crate `rmt-isa`) goes through the verifier, is loaded into an engine, and then
//! each event goes in and a decision comes out; between two events the control plane may
//! commit changes to the state.

pub mod conformance;
pub mod engine;
pub mod events;
pub mod generate;
pub mod interpreter;
#[cfg(feature = "jit")]
pub mod jit;
pub mod state;
pub mod verifier;

pub use engine::Engine;
pub use interpreter::Machine;
pub use state::State;
