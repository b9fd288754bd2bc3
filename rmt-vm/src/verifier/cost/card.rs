//! The card that costs and placement are reckoned with.

use rmt_isa::limits::VECTOR_LANES;
use rmt_isa::program::MatchKind;
use serde::{Deserialize, Serialize};

/// What a card was built with. The driver fills it from the capability registers; the
/// default is a card that has all of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardShape {
    /// Name, for messages.
    pub name: String,
    /// N of the N × N array of multipliers; 0 when there is none.
    pub array_edge: u16,
    /// Lanes that the vector unit works on in one cycle, at least 1.
    pub lanes_per_cycle: u16,
    /// Lanes of a vector register, at most 256.
    pub vector_lanes: u16,
    /// Instructions of all actions together.
    pub instructions: u32,
    /// Bytes of tensor memory: weights, biases, scales.
    pub tensor_bytes: u64,
    /// Nodes of all trees together; 0 when there is no tree engine.
    pub tree_nodes: u32,
    /// Bytes of all context stores together.
    pub context_bytes: u64,
    /// Bytes of all maps together; 0 when there are none.
    pub map_bytes: u64,
    /// Entries that tables of each kind can hold.
    pub tables: TableSpace,
    /// Units that may be left out.
    pub features: CardFeatures,
    /// Latencies.
    pub timing: CardTiming,
}

/// Most entries of one table, by match kind; 0 when the kind was not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSpace {
    /// Exact.
    pub exact: u32,
    /// Longest prefix.
    pub longest_prefix: u32,
    /// Ternary.
    pub ternary: u32,
    /// Range.
    pub range: u32,
}

impl TableSpace {
    /// Most entries of a table of this kind.
    pub const fn of(self, kind: MatchKind) -> u32 {
        match kind {
            MatchKind::Exact => self.exact,
            MatchKind::LongestPrefix => self.longest_prefix,
            MatchKind::Ternary => self.ternary,
            MatchKind::Range => self.range,
        }
    }
}

/// Units of a card that may be left out to save area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardFeatures {
    /// 64-bit product.
    pub multiply: bool,
    /// 64-bit division.
    pub divide: bool,
    /// Helpers of `CALL`.
    pub helpers: bool,
    /// Tail calls.
    pub tail_calls: bool,
    /// Operations on vector registers.
    pub vectors: bool,
    /// Convolution on the array.
    pub convolution: bool,
    /// Pooling.
    pub pooling: bool,
}

/// Latencies in cycles of the card's clock, for a lone thread.
///
/// The defaults are design estimates; the hardware's own figures replace them.
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

impl Default for CardFeatures {
    fn default() -> Self {
        Self {
            multiply: true,
            divide: true,
            helpers: true,
            tail_calls: true,
            vectors: true,
            convolution: true,
            pooling: true,
        }
    }
}

impl Default for CardShape {
    fn default() -> Self {
        Self {
            name: "default".into(),
            array_edge: 16,
            lanes_per_cycle: 16,
            vector_lanes: VECTOR_LANES as u16,
            instructions: 16_384,
            tensor_bytes: 256 << 10,
            tree_nodes: 65_536,
            context_bytes: 1 << 20,
            map_bytes: 1 << 20,
            tables: TableSpace { exact: 65_536, longest_prefix: 1024, ternary: 1024, range: 1024 },
            features: CardFeatures::default(),
            timing: CardTiming::default(),
        }
    }
}
