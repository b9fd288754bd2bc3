//! The shape of a card: every parameter that it was built with.

use serde::{Deserialize, Serialize};

use super::engine::{self, EngineShape, EngineShapeError};
use super::regions::{ADDRESS_BITS, REGIONS, Region};
use super::regions::{
    CONTEXT_DATA, CONTEXT_KEYS, MAP_KEYS, MAP_VALUES, MATCH, PARAMETERS, PROGRAM, RING_HEADS,
};
use crate::helper::Helper;
use crate::instruction::{Class, INSTRUCTIONS, Instruction};
use crate::limits::{MAX_KEY_FIELDS, WAYS};

/// First capability word: "RMT card" in ASCII, the first letter in the low byte.
pub const MAGIC: u64 = u64::from_le_bytes(*b"RMT card");
/// Version of the host memory map and of all word layouts.
pub const VERSION: u64 = 1;
/// Choices of bucket that an exact entry has.
pub const MATCH_CHOICES: u32 = 2;
/// Entries in one bucket.
pub const MATCH_PLACES: u32 = 2;
/// Bits of what a table's descriptor says about each field of its key, see [`super::fields::key_field`].
pub const KEY_FIELD_BITS: u32 = 16;
/// Words of one slot of ternary or range entries.
pub const ORDERED_SLOT_WORDS: u32 = 8;
/// The word that stores such a slot, see [`super::fields::match_slot`]; those before it are
/// the two numbers that the slot compares, see [`super::ordered`].
pub const ORDERED_SLOT_WORD: u32 = 4;
/// Most slots of either.
const MAX_ORDERED_SLOTS: u32 = 256;

macro_rules! card_shape {
    ({ $($(#[doc = $doc:literal])* $name:ident;)* } engine: $($engine:ident),* $(,)?) => {
        /// Parameters of a card. All are fixed when the RTL is generated.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct CardShape {
            $($(#[doc = $doc])* pub $name: u32,)*
            /// The ML engine.
            pub engine: EngineShape,
        }

        /// Name and meaning of each parameter of the control side.
        pub const PARAMETERS_OF_CONTROL: &[(&str, &str)] =
            &[$((stringify!($name), concat!($($doc),*)),)*];

        /// Names of the capability words, in order.
        pub const CAPABILITIES: &[&str] = &[
            "magic", "version", "opcodes0", "opcodes1", "opcodes2", "opcodes3", "helpers",
            $(stringify!($name),)* $(concat!("engine_", stringify!($engine)),)*
        ];

        impl CardShape {
            /// The capability words, in order.
            pub fn capability_words(&self) -> Vec<u64> {
                let [a, b, c, d] = self.opcode_words();
                vec![
                    MAGIC, VERSION, a, b, c, d, self.helper_word(),
                    $(self.$name.into(),)* $(self.engine.$engine.into(),)*
                ]
            }

            /// The shape that a card's capability words tell.
            ///
            /// # Errors
            /// [`ShapeError`] when this is no card of this version, or a word is missing or
            /// out of range.
            pub fn from_capability_words(words: &[u64]) -> Result<Self, ShapeError> {
                if words.first() != Some(&MAGIC) {
                    return Err(ShapeError::NoCard { found: words.first().copied().unwrap_or(0) });
                }
                if words.get(1) != Some(&VERSION) {
                    return Err(ShapeError::Version { found: words.get(1).copied().unwrap_or(0) });
                }
                let number = |name: &'static str| {
                    let word = CAPABILITIES.iter().position(|n| *n == name)
                        .and_then(|place| words.get(place));
                    word.and_then(|&word| u32::try_from(word).ok())
                        .ok_or(ShapeError::BadWord { name })
                };
                let shape = Self {
                    $($name: number(stringify!($name))?,)*
                    engine: EngineShape {
                        $($engine: number(concat!("engine_", stringify!($engine)))?,)*
                        // Not told: software sees no difference.
                        array_clock_ratio: 1,
                    },
                };
                shape.check()?;
                // A card of this version that lacks instructions would be a new version.
                if words.get(2..7) != shape.capability_words().get(2..7) {
                    return Err(ShapeError::BadWord { name: "opcodes0 to helpers" });
                }
                Ok(shape)
            }

            fn parameter_values(&self) -> Vec<(&'static str, u32)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

card_shape! { {
    /// Stages that run actions side by side, 1, 2 or 4: each issues one instruction each cycle. The threads are shared out among them, 2 to 16 each. Costs scalar registers, arithmetic and a copy of the program each.
    stages;
    /// Instructions that all actions together may have: 64 to 65536, a power of two. Costs one block RAM for each 512.
    program_words;
    /// Tables that an event can visit: 2 to 256, a power of two. Costs 128 bits of distributed RAM each.
    tables;
    /// Width of the longest key of a table: 64 or 128 bits. Costs four slots of block RAM width and four comparators.
    match_key_bits;
    /// Fields of a key that are gathered each cycle, and quarters of an event that go to its thread each cycle: 1, 2 or 4. With 4 the card takes an event and the match unit a table visit each cycle; else a key with more fields takes as many cycles more as it needs, an event takes 2 or 4 cycles, and the card has up to 7,000 look-up tables less.
    match_fields;
    /// Buckets of the exact match under each of the two hash choices: 16 to 4096, a power of two. Each holds two entries, so the card holds four times as many slots; about nine tenths of them can be filled.
    match_buckets;
    /// Slots for entries of longest prefix and ternary tables: 0 (none), or 4 to 256, a power of two. Each costs a value and a mask of the key's width in registers for each bank, and a comparator: see docs/hardware.md.
    ternary_slots;
    /// Slots for entries of range tables: 0 (none), or 4 to 256, a power of two. Each costs two bounds of the key's width in registers for each bank, and two comparators.
    range_slots;
    /// Rows of four parameters for entries and default actions, shared by equal rows: 16 to 16384, a power of two.
    parameter_rows;
    /// Sets of all context stores together: 16 to 16384, a power of two; four records each.
    context_sets;
    /// Words of 64 bits for all fields of all records: 64 to 262144, a power of two.
    context_words;
    /// Heads of history rings, one for each ring and record: 16 to 131072, a power of two.
    ring_heads;
    /// Maps: 2 to 256, a power of two, or 0 for a card without a map unit. Costs 148 bits of distributed RAM each.
    maps;
    /// Words of 64 bits for the values of all maps: 64 to 262144, a power of two. A map takes a multiple of four.
    map_words;
    /// Sets of four keys of all hash maps: 16 to 16384, a power of two.
    map_sets;
    /// Queue pairs for events: 1 to 16, a power of two. Costs a doorbell page in the BAR, about 150 flip-flops and `inline_slots` rows of block RAM each.
    queues;
    /// Inline events that wait for the core, of each queue pair: 4 to 64, a power of two. Costs 512 bits of block RAM each.
    inline_slots;
    /// Width of the streams of PCIe transactions: 64 or 128 bits.
    stream_bits;
} engine: threads, banks, array, hop_columns, vector_lanes, requantise_lanes, weight_tiles,
        constant_words, scale_words, tree_pairs, tensors, scales, forests, windows, multiplier_products,
}

/// Why a card of a shape cannot be built, or capability words are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// A parameter breaks its rule.
    #[error("parameter `{parameter}` is {found}; it must be {rule}")]
    Parameter {
        /// Name.
        parameter: &'static str,
        /// Value.
        found: u32,
        /// What it must be.
        rule: String,
    },
    /// The engine cannot be built.
    #[error(transparent)]
    Engine(#[from] EngineShapeError),
    /// The engine's memories do not fit the host memory map.
    #[error("the engine's memories need {needed} address bits, the host memory map has {}; make its largest memory smaller", ADDRESS_BITS - 1)]
    EngineWindow {
        /// Bits that they need.
        needed: u32,
    },
    /// The first word is not the magic number.
    #[error(
        "capability word 0 is {found:#x}, not {MAGIC:#x}: this is no RMT card, or its memory is not enabled"
    )]
    NoCard {
        /// The word.
        found: u64,
    },
    /// Another version of the memory map.
    #[error(
        "the card speaks version {found} of the memory map, this software version {VERSION}; use the software that the card was generated with"
    )]
    Version {
        /// The card's version.
        found: u64,
    },
    /// A capability word is missing or out of range.
    #[error(
        "capability `{name}` is missing or out of range; the card or the path to it is damaged"
    )]
    BadWord {
        /// Name of the word.
        name: &'static str,
    },
}

impl CardShape {
    /// The smallest card that is useful, with a 4 × 4 array and one stage of 2 threads.
    pub const fn tiny() -> Self {
        Self {
            stages: 1,
            program_words: 512,
            tables: 8,
            match_key_bits: 64,
            match_fields: 1,
            match_buckets: 64,
            ternary_slots: 16,
            range_slots: 8,
            parameter_rows: 64,
            context_sets: 64,
            context_words: 4096,
            ring_heads: 1024,
            maps: 4,
            map_words: 1024,
            map_sets: 32,
            queues: 2,
            inline_slots: 16,
            stream_bits: 64,
            engine: EngineShape::tiny(),
        }
    }

    /// A card for small FPGAs, with an 8 × 8 array and two stages of 4 threads.
    pub const fn small() -> Self {
        Self {
            stages: 2,
            program_words: 1024,
            tables: 16,
            match_key_bits: 64,
            match_fields: 2,
            match_buckets: 256,
            ternary_slots: 32,
            range_slots: 16,
            parameter_rows: 256,
            context_sets: 128,
            context_words: 16384,
            ring_heads: 2048,
            maps: 8,
            map_words: 4096,
            map_sets: 128,
            queues: 4,
            inline_slots: 32,
            stream_bits: 64,
            engine: EngineShape::small(),
        }
    }

    /// The default card, with a 16 × 16 array and four stages of 8 threads.
    pub const fn default_card() -> Self {
        Self {
            stages: 4,
            program_words: 2048,
            tables: 32,
            match_key_bits: 128,
            match_fields: 4,
            match_buckets: 512,
            ternary_slots: 64,
            range_slots: 32,
            parameter_rows: 512,
            context_sets: 256,
            context_words: 32768,
            ring_heads: 4096,
            maps: 16,
            map_words: 16384,
            map_sets: 512,
            queues: 8,
            inline_slots: 32,
            stream_bits: 128,
            engine: EngineShape::default_card(),
        }
    }

    /// Whether a card of this shape can be built.
    ///
    /// # Errors
    /// [`ShapeError`] with the first rule that is broken.
    pub fn check(&self) -> Result<(), ShapeError> {
        for (parameter, found) in self.parameter_values() {
            let (low, high) = match parameter {
                "stages" => (1, 4),
                "program_words" => (64, PROGRAM.words()),
                "tables" => (2, 256),
                "match_key_bits" => (64, 128),
                "match_fields" => (1, MAX_KEY_FIELDS as u32),
                "match_buckets" => (16, MATCH.words() / (4 * MATCH_CHOICES * MATCH_PLACES)),
                "ternary_slots" | "range_slots" => (4, MAX_ORDERED_SLOTS),
                "parameter_rows" => (16, PARAMETERS.words() / 4),
                "context_sets" => (16, CONTEXT_KEYS.words() / WAYS as u32),
                "context_words" => (64, CONTEXT_DATA.words()),
                "maps" => (2, 256),
                "map_words" => (64, MAP_VALUES.words()),
                "map_sets" => (16, MAP_KEYS.words() / WAYS as u32),
                "queues" => (1, crate::device::MAX_QUEUES),
                "inline_slots" => (4, 64),
                "stream_bits" => (64, 128),
                _ => (16, RING_HEADS.words()),
            };
            let may_be_none = matches!(parameter, "ternary_slots" | "range_slots" | "maps");
            let fits = found.is_power_of_two() && (low..=high).contains(&found);
            if !(fits || may_be_none && found == 0) {
                let none = if may_be_none { "0, or " } else { "" };
                let rule = format!("{none}a power of two from {low} to {high}");
                return Err(ShapeError::Parameter { parameter, found, rule });
            }
        }
        self.engine.check()?;
        let each = self.threads() / self.stages;
        if !(2..=16).contains(&each) {
            let rule = format!(
                "2 to 16 for each of {} stages, so {} to {}",
                self.stages,
                2 * self.stages,
                16 * self.stages
            );
            let found = self.threads();
            return Err(ShapeError::Parameter { parameter: "engine.threads", found, rule });
        }
        let needed = self.engine.host_address_bits();
        if needed > ADDRESS_BITS - 1 {
            return Err(ShapeError::EngineWindow { needed });
        }
        Ok(())
    }

    /// Event threads of all stages. Thread `stage * threads_of_stage() + n` is thread n of its stage.
    pub const fn threads(&self) -> u32 {
        self.engine.threads
    }

    /// Banks of program, tables, match memories, parameters, slots and models: with 2 a commit
    /// swaps them between two events.
    pub const fn banks(&self) -> u32 {
        self.engine.banks
    }

    /// Event threads of one stage.
    pub const fn threads_of_stage(&self) -> u32 {
        self.engine.threads / self.stages
    }

    /// Parts in which an event is copied to the thread that takes it, one each cycle: as many as a key of most fields
    /// takes cycles to gather.
    pub const fn event_beats(&self) -> u32 {
        MAX_KEY_FIELDS as u32 / self.match_fields
    }

    /// Slots of the exact match, all choices and places.
    pub const fn match_slots(&self) -> u32 {
        self.match_buckets * MATCH_CHOICES * MATCH_PLACES
    }

    /// Words of a region that this card has.
    pub fn region_words(&self, region: Region) -> u32 {
        match region.name {
            "CAPABILITIES" => CAPABILITIES.len() as u32,
            "CONTROL" => CONTROL_WORDS,
            "COUNTERS" => COUNTERS.len() as u32,
            "PROGRAM" => self.program_words,
            "TABLES" => self.tables * 2,
            "MATCH" => self.match_slots() * 4,
            "TERNARY" => self.ternary_slots * ORDERED_SLOT_WORDS,
            "RANGE" => self.range_slots * ORDERED_SLOT_WORDS,
            "PARAMETERS" => self.parameter_rows * 4,
            "CONTEXTS" => CONTEXT_FIELD_BASE + CONTEXT_FIELD_WORDS,
            "CONTEXT_KEYS" | "CONTEXT_WRITTEN" => self.context_sets * WAYS as u32,
            "CONTEXT_SETS" => self.context_sets,
            "RING_HEADS" => self.ring_heads,
            "MAPS" | "MAP_VALUES" | "MAP_KEYS" | "MAP_SETS" | "MAP_RINGS" if self.maps == 0 => 0,
            "MAPS" => self.maps,
            "MAP_VALUES" => self.map_words,
            "MAP_KEYS" => self.map_sets * WAYS as u32,
            "MAP_SETS" => self.map_sets,
            "MAP_RINGS" => self.maps * 2,
            _ => self.context_words,
        }
    }

    /// All regions of the control side with the words that this card has.
    pub fn regions(&self) -> impl Iterator<Item = (Region, u32)> + '_ {
        REGIONS.iter().map(|&region| (region, self.region_words(region)))
    }

    /// Whether the card executes instructions of this opcode.
    pub fn executes_opcode(&self, opcode: u8) -> bool {
        Instruction::info_of_opcode(opcode).is_some_and(|info| match info.class {
            Class::Model => engine::OPCODES.contains(&opcode),
            // The context unit moves rings to and from vector registers.
            Class::Vector => {
                CONTEXT_VECTOR_OPCODES.contains(&opcode) || engine::OPCODES.contains(&opcode)
            }
            _ => true,
        })
    }

    /// Whether the card computes this helper.
    pub fn executes_helper(&self, helper: Helper) -> bool {
        Helper::ALL.contains(&helper)
    }

    fn opcode_words(&self) -> [u64; 4] {
        let mut words = [0; 4];
        for info in INSTRUCTIONS.iter().filter(|info| self.executes_opcode(info.opcode)) {
            words[usize::from(info.opcode / 64)] |= 1 << (info.opcode % 64);
        }
        words
    }

    fn helper_word(&self) -> u64 {
        Helper::ALL
            .iter()
            .filter(|&&helper| self.executes_helper(helper))
            .fold(0, |word, &helper| word | 1 << helper as u32)
    }
}

impl Default for CardShape {
    fn default() -> Self {
        Self::default_card()
    }
}

/// `RMT_VECTOR_LD_CTXT` and `RMT_VECTOR_ST_CTXT`, which the context unit executes.
pub const CONTEXT_VECTOR_OPCODES: &[u8] = &[0xa2, 0xa3];
/// Control words, see [`super::fields::control_commit`], [`super::fields::control_watchdog`] and
/// [`super::fields::control_slot`].
pub const CONTROL_WORDS: u32 = FIRST_SLOT_WORD + SLOTS;
/// First control word of a program slot.
pub const FIRST_SLOT_WORD: u32 = 8;
/// Program slots.
pub const SLOTS: u32 = 8;
/// First field descriptor in the region of context descriptors.
pub const CONTEXT_FIELD_BASE: u32 = 256;
/// Field descriptors: 32 for each of 4 stores.
pub const CONTEXT_FIELD_WORDS: u32 = 128;

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        /// Name and meaning of each counter word of the control side, in order.
        pub const COUNTERS: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc),*)),)*];

        /// A counter of the control side; its number is its word.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $($(#[doc = $doc])* $name,)*
        }
    };
}

counters! {
    /// Clock cycles since reset.
    CYCLES;
    /// Events accepted.
    EVENTS;
    /// Decisions that left.
    DECISIONS;
    /// Table look-ups, tail calls included.
    LOOKUPS;
    /// Instructions executed.
    INSTRUCTIONS;
    /// Cycles in which at least one event was on the card.
    BUSY_CYCLES;
    /// Cycles in which an event waited for a free thread.
    THREAD_STALLS;
    /// Cycles in which an event waited for the lock of its key, or for its turn.
    LOCK_STALLS;
    /// Instructions that found their unit busy and were fetched again.
    REPLAYS;
    /// Cycles in which a decision waited to be taken.
    DECISION_STALLS;
    /// Records created in place of another one.
    EVICTIONS;
    /// Threads that have an event, summed over all cycles: divided by `CYCLES` the occupancy.
    ACTIVE_THREADS;
    /// Cycles in which an instruction for the ML engine stood in execution and was not taken, of each stage.
    ENGINE_STALLS;
    /// Cycles in which a request to the context unit waited and was not taken, of each stage.
    CONTEXT_STALLS;
    /// The same for the map unit.
    MAP_STALLS;
    /// The same for tail calls.
    TABLE_STALLS;
    /// The same for products, quotients and helpers.
    LONG_STALLS;
    /// Cycles in which an instruction waited, for a completion had the port that writes registers, of each stage.
    WRITE_STALLS;
    /// Cycles from acceptance to decision, summed over all events; an event counts at most 65535.
    EVENT_CYCLES;
    /// The least of these of any event since reset; 65535 before the first one.
    SHORTEST_EVENT;
    /// The most of these of any event since reset.
    LONGEST_EVENT;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_survives_its_capability_words() {
        for shape in [CardShape::tiny(), CardShape::small(), CardShape::default_card()] {
            assert_eq!(shape.check(), Ok(()));
            let words = shape.capability_words();
            assert_eq!(words.len(), CAPABILITIES.len());
            assert_eq!(CardShape::from_capability_words(&words), Ok(shape));
        }
    }

    #[test]
    fn what_is_no_card_is_refused() {
        let mut words = CardShape::tiny().capability_words();
        assert_eq!(
            CardShape::from_capability_words(&[u64::MAX]),
            Err(ShapeError::NoCard { found: u64::MAX })
        );
        assert_eq!(
            CardShape::from_capability_words(&words[..10]),
            Err(ShapeError::BadWord { name: "match_key_bits" })
        );
        words[1] = 77;
        assert_eq!(
            CardShape::from_capability_words(&words),
            Err(ShapeError::Version { found: 77 })
        );
    }

    #[test]
    fn a_broken_rule_is_named() {
        let error = |shape: CardShape| shape.check().unwrap_err().to_string();
        assert_eq!(
            error(CardShape { stages: 2, ..CardShape::tiny() }),
            "parameter `engine.threads` is 2; it must be 2 to 16 for each of 2 stages, so 4 to 32"
        );
        assert_eq!(
            error(CardShape { match_buckets: 100, ..CardShape::tiny() }),
            "parameter `match_buckets` is 100; it must be a power of two from 16 to 4096"
        );
        assert_eq!(
            error(CardShape { range_slots: 2, ..CardShape::tiny() }),
            "parameter `range_slots` is 2; it must be 0, or a power of two from 4 to 256"
        );
        assert_eq!(CardShape { range_slots: 0, ..CardShape::tiny() }.check(), Ok(()));
    }

    #[test]
    fn every_region_fits_its_place_in_the_map() {
        for (region, words) in CardShape::default_card().regions() {
            assert!(words >= 1 && words <= region.words(), "{}", region.name);
        }
    }
}
