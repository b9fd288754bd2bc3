//! Why a program does not go onto a card.

use crate::card::ModelLowerError;
use crate::card::shape::ShapeError;

/// Why a program does not go onto a card. Every message names the object, what is needed,
/// what the card has, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LowerError {
    /// The shape itself cannot be built.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A model does not fit.
    #[error(transparent)]
    Models(#[from] ModelLowerError),
    /// A memory of the card is too small.
    #[error(
        "{object} need {needed} {unit}, the card has {has}; generate the card with a larger `{parameter}`, or make the program smaller"
    )]
    Memory {
        /// What needs it.
        object: String,
        /// How much it needs.
        needed: usize,
        /// Of what.
        unit: &'static str,
        /// How much the card has.
        has: u32,
        /// Parameter of the card to raise.
        parameter: &'static str,
    },
    /// The card does not execute an instruction.
    #[error(
        "action `{action}`, instruction {index} (`{instruction}`): the card does not execute {what}; run the program in software, or rewrite it without"
    )]
    Instruction {
        /// Name of the action.
        action: String,
        /// Place in the action, from 0.
        index: usize,
        /// The instruction.
        instruction: String,
        /// What is missing.
        what: String,
    },
    /// A key is too wide.
    #[error(
        "the key of table `{table}` has {bits} bits, the card compares {has}; generate the card with a larger `match_key_bits`, or use narrower fields"
    )]
    KeyWidth {
        /// Name of the table.
        table: String,
        /// Bits of its key.
        bits: u32,
        /// Bits that the card compares.
        has: u32,
    },
    /// No place for an entry.
    #[error(
        "table `{table}` does not fit: no place could be made for entry {entry}, {filled} of {slots} slots are filled; generate the card with a larger `match_buckets`, or remove entries"
    )]
    NoSlot {
        /// Name of the table.
        table: String,
        /// Number of the entry in the table.
        entry: usize,
        /// Slots filled.
        filled: usize,
        /// Slots of the card.
        slots: usize,
    },
    /// Too many context stores.
    #[error(
        "the context store `{store}` would be the {needed}th of all programs on the card, which has {has}; remove a program, or a store of one"
    )]
    Stores {
        /// Name of the store.
        store: String,
        /// How many there would be.
        needed: usize,
        /// How many a card has.
        has: usize,
    },
    /// No such program slot.
    #[error("there is no program slot {slot}; a card has {has}")]
    Slot {
        /// The slot.
        slot: u32,
        /// How many a card has.
        has: u32,
    },
    /// Another program serves the hook.
    #[error(
        "hook {hook} is served by the program in slot {slot} already; put the new one in its place, or remove that one"
    )]
    HookTaken {
        /// Number of the hook.
        hook: u16,
        /// Slot of the program that serves it.
        slot: u32,
    },
    /// An object refers to one that is not there.
    #[error(
        "{object} names {what} {number}, which the program does not have; only verified programs can be installed"
    )]
    NoSuchObject {
        /// What refers to it.
        object: String,
        /// Action or field.
        what: &'static str,
        /// Its number.
        number: usize,
    },
}
