//! What can go wrong on the link.

use super::packet::BadPacket;
use crate::card::CardError;

/// Why a linked card cannot be used any further.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The simulation failed.
    #[error(transparent)]
    Simulation(#[from] CardError),
    /// The card did not answer a read.
    #[error(
        "no answer to the read of BAR {bar} at {offset:#x} within {cycles} cycles; the card is stuck, look at a waveform"
    )]
    NoAnswer {
        /// The BAR.
        bar: u8,
        /// First byte.
        offset: u64,
        /// Cycles waited.
        cycles: u64,
    },
    /// The card sent what is no packet.
    #[error("cycle {cycle}: the card sent a bad packet: {source}")]
    BadPacket {
        /// The cycle.
        cycle: u64,
        /// What is wrong.
        source: BadPacket,
    },
    /// The card broke a rule of the link.
    #[error("cycle {cycle}: the card broke a rule: {rule}")]
    BrokenRule {
        /// The cycle.
        cycle: u64,
        /// The rule.
        rule: &'static str,
    },
}
