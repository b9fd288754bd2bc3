//! What can go wrong between software and a simulated core.

use rmt_isa::card::ShapeError;
use rmt_isa::event::UnknownStatus;

use crate::verilated;

/// Why a simulated core cannot be used any further.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The simulator failed.
    #[error(transparent)]
    Verilated(#[from] verilated::Error),
    /// The design cannot be elaborated or has no such port.
    #[error("the Rust evaluator cannot run the core: {0}")]
    Evaluator(String),
    /// What the core says of itself is malformed.
    #[error("the core's capability words are wrong: {0}; generate it again with `rmt gen`")]
    Shape(#[from] ShapeError),
    /// The core was built with another configuration.
    #[error(
        "the core was built with {found:x?}, the configuration gives {expected:x?}; generate it again with `rmt gen`"
    )]
    WrongCard {
        /// Capability words of the configuration.
        expected: Vec<u64>,
        /// Capability words of the core.
        found: Vec<u64>,
    },
    /// The host port did not answer.
    #[error(
        "no answer to the host request at word {address:#x} within {cycles} cycles; the core is stuck, look at a waveform (`--wave`)"
    )]
    HostTimeout {
        /// Address of the request.
        address: u32,
        /// Cycles waited.
        cycles: u64,
    },
    /// An event did not end.
    #[error(
        "no decision for event {tag} within {cycles} cycles; the core is stuck, look at a waveform (`--wave`)"
    )]
    EventTimeout {
        /// Tag of the oldest event inside.
        tag: u32,
        /// Cycles waited.
        cycles: u64,
    },
    /// What left the core is no decision.
    #[error("cycle {cycle}: {source}")]
    BadDecision {
        /// The cycle.
        cycle: u64,
        /// What is wrong.
        source: UnknownStatus,
    },
    /// A decision came for no event.
    #[error(
        "cycle {cycle}: a decision with tag {tag}, but no event with this tag is in the core: one was duplicated or its tag is damaged"
    )]
    StrayDecision {
        /// The cycle.
        cycle: u64,
        /// The tag.
        tag: u32,
    },
}
