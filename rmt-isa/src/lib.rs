//! The contract of RMT, and its only definition: what an event and a decision are, what a
//! program is, and what every instruction does.
//!
//! - [`table`](mod@table): the rows of all instructions and helpers; everything below is generated from
//!   them or driven by them.
//! - [`instruction`], [`operand`], [`helper`]: the rows as Rust values; encode and decode.
//! - [`assembly`]: text to instructions and back.
//! - [`arithmetic`]: the integer definitions that all engines share.
//! - [`event`]: the 64-byte event and the 32-byte decision.
//! - [`program`]: tables, actions, contexts, maps and models; [`image`] is its file.
//! - [`card`]: a card's shape, its memory map, and how a program gets onto it.
//! - [`device`]: the card as a PCIe device: registers, queue pairs, admin commands.
//! - [`shim`]: the kernel module: hooks, shared rings, modes, counters, calls.
//! - [`reference`](mod@reference): the pages under `docs/` that are made from the tables.
//!
//! Data flows from here outwards: the crates above use these types, this one uses none of
//! theirs.

pub mod arithmetic;
pub mod assembly;
pub mod card;
pub mod device;
pub mod event;
pub mod helper;
pub mod image;
pub mod instruction;
pub mod limits;
pub mod operand;
pub mod program;
pub mod reference;
pub mod shim;
mod table;

pub use event::{Decision, Event, Status};
pub use helper::Helper;
pub use instruction::{Class, INSTRUCTIONS, Instruction, InstructionInfo};
pub use operand::{Element, IntType, Verdict};
pub use program::Program;

/// The operand types by the names that the table uses.
pub mod operand_types {
    pub use crate::helper::Helper;
    pub use crate::operand::*;
    pub use core::primitive::i32;
}
