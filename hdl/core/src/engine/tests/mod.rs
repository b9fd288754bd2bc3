//! Tests of the engine's blocks and of the whole, on the evaluator of `rtl-builder`.
//!
//! - [`bench`]: an engine under test, driven as the core drives it.
//! - `blocks`: array, requantiser and reducer against plain Rust.
//! - `random`: random instructions on all threads against the interpreter.
//! - `batching`: products of several threads through the same weights.
//! - `exchange`: lanes to and from the context unit.
//! - `latency`: the cycles that docs/engine.md states.
//! - `windows`: convolutions and pooling.
//! - `construction`: what can be built.

mod batching;
mod bench;
mod blocks;
mod construction;
mod exchange;
mod latency;
mod models;
mod random;
mod windows;
