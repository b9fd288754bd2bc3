//! The ML engine: vector registers, the multiplier array, the requantiser and the tree engine,
//! behind one stream of vector and model instructions.
//!
//! ```text
//!  command ─► decoder ─► issuer ─► sequencer ──reads──► registers ──words──┬─► vector lanes ─► reducer ─┐
//!             checks,    one slot  one word a cycle   (block RAM)          ├─► requantiser ─────────────┤
//!             types,     a thread                                          ├─► product unit (array) ────┤
//!             descriptors                                                  ├─► window unit ─────────────┤
//!                                                                          └─► tree engine              │
//!  response ◄── scalar results, early answers ◄────────────────────────────────────── writes ◄──────────┘
//! ```
//!
//! - [`ports`]: what passes between the engine and the core. [`operation`]: what passes inside.
//! - [`decode`] and [`words`]: checks of instruction words, lengths and types. Every error ends here.
//! - [`issue`]: waiting operations, one a thread.
//! - [`sequencer`]: reads a register word by word; says who writes when. [`steps`]: its steps, delayed.
//! - [`registers`], [`event_copy`], [`memory`]: where data stand.
//! - [`vector_lane`], [`reduce`], [`requantiser`], [`product`] with [`batch`], [`weights`],
//!   [`array`](mod@array) and [`cell`](mod@cell), [`pair`] or [`turns`], [`window`] with [`geometry`], [`walk`], [`pool`] and
//!   [`align`], [`tree`]: the units.
//! - [`lanes_out`]: registers on their way to the context unit.
//! - [`engine`]: all of it joined.
//!
//! Operations of one thread run one after the other; those of different threads overlap.
//! No unit ever stalls: whoever starts an operation knows the cycle in which its result is
//! written, and starts only when the write port is free then.

pub mod align;
pub mod array;
pub mod batch;
pub mod cell;
pub mod decode;
#[allow(clippy::module_inception, reason = "the module that joins the others")]
pub mod engine;
pub mod event_copy;
pub mod geometry;
pub mod issue;
mod known;
pub mod lanes;
pub mod lanes_out;
pub mod memory;
pub mod operation;
pub mod pair;
pub mod pool;
pub mod ports;
pub mod product;
pub mod reduce;
pub mod registers;
pub mod requantiser;
pub mod sequencer;
pub mod steps;
pub mod tree;
pub mod turns;
pub mod vector_lane;
pub mod walk;
pub mod weights;
pub mod window;
mod wiring;
pub mod words;

pub use engine::{Engine, EngineIo};

#[cfg(test)]
mod tests;
