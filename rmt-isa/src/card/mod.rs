//! What software must know of a card, free of any hardware description: how it was built,
//! where its memories stand, and which words install a program.
//!
//! - [`shape`]: [`CardShape`], every parameter that a card was built with; the card gives it
//!   back through its capability words.
//! - [`cycles`]: what instructions take, in cycles of a lone event.
//! - [`engine`]: the same for the ML engine, with its regions and descriptors.
//! - [`regions`]: the host memory map, one table.
//! - [`fields`]: the bit fields of descriptors and registers, one table each.
//! - [`lower`](mod@lower): a program becomes the host writes that install it.
//! - [`matching`]: where entries of exact tables go, with cuckoo insertion; [`ordered`]:
//!   where all others go.
//! - [`models`]: the same for tensors, scales, windows and forests.
//! - [`update`]: a commit at run time becomes the host writes that differ.
//! - [`read_back`]: context records and maps from the card, as plain values; [`write_back`]: the
//!   way back.
//!
//! `lower` takes a program and a shape and uses the tables; the RTL generator takes its
//! address decode and bit positions from the same tables; the loader writes what `lower`
//! gave and reads what `read_back` asks for.

pub mod cycles;
pub mod engine;
pub mod fields;
pub mod lower;
pub mod matching;
pub mod models;
pub mod models_error;
pub mod ordered;
pub mod read_back;
mod reference;
pub mod regions;
pub mod shape;
pub mod update;
pub mod write_back;

pub use lower::{CardImage, LowerError, ProgramPlan, Residents, lower};
pub use models_error::ModelLowerError;
pub use reference::page;
pub use shape::{CardShape, ShapeError};

/// One write of 64 bits through the host port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostWrite {
    /// Word address: a word is 64 bits.
    pub address: u32,
    /// The word.
    pub value: u64,
}
