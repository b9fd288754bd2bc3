//! What generated programs may contain.

use std::ops::RangeInclusive;

use rmt_isa::instruction::Class;
use rmt_isa::limits::{MAX_ARGUMENTS, MAX_CONTEXTS, MAX_OUTPUTS, MAX_PARAMETERS, MAX_TABLE_VISITS};
use rmt_isa::program::{MapKind, MatchKind};
use rmt_isa::{INSTRUCTIONS, InstructionInfo};

/// What generated programs may contain, so that an engine that implements a part of the
/// machine gets programs for that part.
#[derive(Clone, Debug)]
pub struct Options {
    /// Instructions that may occur.
    instructions: Vec<&'static InstructionInfo>,
    /// Kinds of tables that may occur; a program has at least one table.
    pub match_kinds: Vec<MatchKind>,
    /// Kinds of maps that may occur; empty: no maps.
    pub map_kinds: Vec<MapKind>,
    /// Tables of a program, at most 8.
    pub tables: RangeInclusive<usize>,
    /// Entries that a table starts with.
    pub entries: RangeInclusive<usize>,
    /// Fields of a table's key; 0 is a table with a default action only.
    pub key_fields: RangeInclusive<usize>,
    /// Most bits of a table's key.
    pub key_bits: u32,
    /// Context stores of a program, at most 4.
    pub contexts: RangeInclusive<usize>,
    /// Records of a context store, as powers of two: 2 stands for 4 records.
    pub context_capacity_log2: RangeInclusive<usize>,
    /// Most values that a history ring keeps.
    pub ring_depth: usize,
    /// Maps of a program.
    pub maps: RangeInclusive<usize>,
    /// Most lanes of a vector.
    pub lanes: usize,
    /// Two numbers of lanes that are likely, so that operands of one size meet.
    pub likely_lanes: [usize; 2],
    /// Models of a program.
    pub models: RangeInclusive<usize>,
    /// Instructions of an action.
    pub instructions_per_action: RangeInclusive<usize>,
    /// One immediate operand in so many is zero; 0: zero is as likely as other small numbers.
    pub zero_immediate_every: usize,
    /// Most parameters of an action.
    pub parameters: usize,
    /// Most arguments that an action takes from a tail call.
    pub arguments: usize,
    /// Most outputs of a program.
    pub outputs: usize,
    /// Records are opened with the key of the event alone, so that events of one key must run in
    /// order and others may overlap.
    pub keyed: bool,
    /// Events of a case.
    pub events: RangeInclusive<usize>,
    /// One commit in so many steps; 0: the control plane changes nothing.
    pub commit_every: usize,
}

impl Default for Options {
    /// The whole machine, with small objects that are hit often.
    fn default() -> Self {
        Self {
            instructions: INSTRUCTIONS.iter().collect(),
            match_kinds: vec![
                MatchKind::Exact,
                MatchKind::LongestPrefix,
                MatchKind::Ternary,
                MatchKind::Range,
            ],
            map_kinds: vec![
                MapKind::Array,
                MapKind::Hash,
                MapKind::LruHash,
                MapKind::RingBuffer,
                MapKind::Histogram,
            ],
            tables: 1..=MAX_TABLE_VISITS / 2,
            entries: 0..=6,
            key_fields: 0..=3,
            key_bits: rmt_isa::limits::MAX_KEY_BITS,
            contexts: 0..=MAX_CONTEXTS,
            context_capacity_log2: 2..=4,
            ring_depth: 20,
            maps: 0..=4,
            lanes: 40,
            likely_lanes: [4, 6],
            models: 0..=2,
            instructions_per_action: 1..=60,
            zero_immediate_every: 0,
            parameters: MAX_PARAMETERS,
            arguments: MAX_ARGUMENTS,
            outputs: MAX_OUTPUTS,
            keyed: false,
            events: 8..=24,
            commit_every: 8,
        }
    }
}

impl Options {
    /// The instructions that may occur.
    pub fn instructions(&self) -> &[&'static InstructionInfo] {
        &self.instructions
    }

    /// Keeps only the instructions for which `allowed` says yes.
    ///
    /// `exit` always stays: without it no action could end.
    #[must_use]
    pub fn with_instructions(mut self, allowed: impl Fn(&InstructionInfo) -> bool) -> Self {
        self.instructions.retain(|info| info.mnemonic == "exit" || allowed(info));
        self
    }

    /// Leaves out all instructions of a class.
    #[must_use]
    pub fn without_class(self, class: Class) -> Self {
        self.with_instructions(|info| info.class != class)
    }

    /// Whether an instruction of the class may occur.
    pub(super) fn has_class(&self, class: Class) -> bool {
        self.instructions.iter().any(|info| info.class == class)
    }
}
