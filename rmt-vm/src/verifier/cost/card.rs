//! Latencies of the card. Its shape is [`rmt_isa::card::CardShape`].

use rmt_isa::card::CardShape;
use serde::{Deserialize, Serialize};

/// Latencies in cycles of the card's clock, for a lone thread.
///
/// The defaults are estimates of the design; figures measured on the RTL replace them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardTiming {
    /// Accepting an event and sending the decision.
    pub event: u32,
    /// A table look-up and the start of the action.
    pub table: u32,
    /// Arithmetic, moves, loads of the event and of action data, outputs.
    pub scalar: u32,
    /// A branch or jump, taken.
    pub branch: u32,
    /// 64-bit product.
    pub multiply: u32,
    /// 64-bit division.
    pub divide: u32,
    /// A helper.
    pub helper: u32,
    /// Opening a context record.
    pub open: u32,
    /// An access to an open record.
    pub context: u32,
    /// An access to a map.
    pub map: u32,
    /// Start of a vector instruction, before its first lanes.
    pub vector: u32,
    /// One comparison in a tree.
    pub comparison: u32,
}

impl Default for CardTiming {
    fn default() -> Self {
        Self {
            event: 8,
            table: 6,
            scalar: 1,
            branch: 2,
            multiply: 4,
            divide: 66,
            helper: 4,
            open: 4,
            context: 2,
            map: 4,
            vector: 3,
            comparison: 2,
        }
    }
}

/// The card that costs are estimated for.
#[derive(Clone, Copy)]
pub(in crate::verifier) struct Card<'a> {
    pub(in crate::verifier) shape: &'a CardShape,
    pub(in crate::verifier) timing: &'a CardTiming,
}
