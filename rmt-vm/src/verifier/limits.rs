//! What a program may cost, as the one who loads it decides.

use rmt_isa::card::CardShape;
use serde::{Deserialize, Serialize};

/// Bounds that are policy, beside the machine's own in [`rmt_isa::limits`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Most violations that are reported; at least one always is.
    pub violations: usize,
    /// Instructions of all actions together.
    pub program_instructions: usize,
    /// Bytes of tables, context stores, maps and models together.
    pub memory_bytes: u64,
    /// What one event may cost at worst, over all tables that it visits.
    pub event: Budget,
    /// The card that cycles are estimated for and that placement is judged by.
    pub card: CardShape,
    /// Refuse a program of which some reachable action cannot run on the card.
    pub require_card: bool,
}

/// What one event may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Instructions.
    pub instructions: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of contexts and maps that are read and written.
    pub state_bytes: u64,
    /// Cycles of the card, by its estimate.
    pub card_cycles: u64,
}

impl Default for Budget {
    /// A budget that a per-event decision in a kernel should never come near: 8 tables of
    /// 2,048 instructions, a million MACs, 64 KiB, and the most cycles that a decision can
    /// report.
    fn default() -> Self {
        Self {
            instructions: 16_384,
            macs: 1 << 20,
            state_bytes: 64 << 10,
            card_cycles: u16::MAX as u64,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            violations: 64,
            program_instructions: 65_536,
            memory_bytes: 128 << 20,
            event: Budget::default(),
            card: CardShape::default(),
            require_card: false,
        }
    }
}
