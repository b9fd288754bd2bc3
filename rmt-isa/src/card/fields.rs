//! Bit fields of the card's descriptors and registers, each defined once: `lower` writes
//! them, the RTL reads them, the reference page prints them.

/// Some bits of a 64-bit word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitField {
    /// Name.
    pub name: &'static str,
    /// Lowest bit.
    pub low: u32,
    /// Number of bits, 1 to 64.
    pub bits: u32,
    /// Meaning.
    pub doc: &'static str,
}

impl BitField {
    /// Largest value.
    pub const fn max(self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// `value`, cut to the field, at the field's place.
    pub const fn insert(self, value: u64) -> u64 {
        (value & self.max()) << self.low
    }

    /// The field of a word.
    pub const fn extract(self, word: u64) -> u64 {
        (word >> self.low) & self.max()
    }
}

/// A word with its fields, for the reference page.
#[derive(Clone, Copy, Debug)]
pub struct WordLayout {
    /// What the word is.
    pub title: &'static str,
    /// Its fields; the other bits are zero.
    pub fields: &'static [BitField],
}

macro_rules! words {
    ($($(#[doc = $doc:literal])* $module:ident { $($(#[doc = $field_doc:literal])* $name:ident = $low:expr, $bits:expr;)* })*) => {
        $(
            $(#[doc = $doc])*
            pub mod $module {
                use super::BitField;
                $($(#[doc = $field_doc])* pub const $name: BitField = BitField {
                    name: stringify!($name), low: $low, bits: $bits, doc: concat!($($field_doc),*),
                };)*
                /// All fields.
                pub const FIELDS: &[BitField] = &[$($name),*];
            }
        )*
        /// All words of this table.
        pub const WORDS: &[WordLayout] = &[
            $(WordLayout { title: concat!($($doc),*), fields: $module::FIELDS },)*
        ];
    };
}

pub(crate) use words;

words! {
    /// Control word 0: commits.
    control_commit {
        /// Written as 1: a commit. No event is taken until those that run have ended and the banks are swapped. Reads as 1 until then.
        COMMIT = 0, 1;
        /// While 1, no event is taken; those that wait are not lost.
        HOLD = 1, 1;
        /// Reads by the host: 0 of the bank that events use, 1 of the other one. Writes go to the other one always; a card with one bank has no other.
        READ_SHADOW = 2, 1;
        /// Read only: the bank that events use.
        ACTIVE = 8, 1;
        /// Read only: an event runs.
        RUNNING = 9, 1;
    }
    /// Control words 8 to 15, one for each program slot: which events go to its program. They are banked. An event of a hook that no slot serves ends with status no-program.
    control_slot {
        /// The slot has a program.
        ENABLE = 0, 1;
        /// Order of its events: 0 pure, 1 per key, 2 total. Events of different slots overlap.
        ORDERING = 1, 2;
        /// The table that its events visit first.
        FIRST_TABLE = 8, 8;
        /// Number of the hook that the program serves; of two slots for one hook the lower one counts.
        HOOK = 16, 16;
        /// Mask of the key hash that makes the lock of an event: sets of the smallest context store, minus 1.
        LOCK_MASK = 32, 32;
    }
    /// Control word 1: the watchdog.
    control_watchdog {
        /// An event that has run for more cycles than this ends with status watchdog.
        LIMIT = 0, 32;
    }
    /// Table descriptor, word 0: one quarter for each key field, the first field in the low quarter; field n has these bits shifted by 16 n.
    key_field {
        /// The field takes part; a table's fields stand without gap.
        PRESENT = 0, 1;
        /// 0: bytes of the event; 1: scalar of the tail call.
        ARGUMENT = 1, 1;
        /// Integer type, see the operand `IntType`; its width counts.
        KIND = 2, 3;
        /// First byte in the event, or number of the register (1 to 4).
        PLACE = 8, 6;
    }
    /// Table descriptor, word 1: whether the table is there and its default action.
    table_default {
        /// The table is there.
        PRESENT = 0, 1;
        /// It has a default action.
        HAS_DEFAULT = 1, 1;
        /// First instruction of the default action.
        START = 16, 16;
        /// Row of the default action's parameters.
        PARAMETERS = 32, 16;
    }
    /// Match slot: the last word of a slot of exact, ternary or range entries; writing it stores the slot.
    match_slot {
        /// The slot holds an entry.
        PRESENT = 0, 1;
        /// The entry's table.
        TABLE = 8, 8;
        /// First instruction of the entry's action.
        START = 16, 16;
        /// Row of the entry's parameters.
        PARAMETERS = 32, 16;
    }
    /// Context store descriptor.
    context_store {
        /// The store is there.
        PRESENT = 0, 1;
        /// First set.
        FIRST_SET = 16, 16;
        /// Sets minus 1; sets are a power of two.
        SET_MASK = 32, 16;
    }
    /// Context field descriptor. The value of slot s (set * 4 + way, counted from the store's first set) stands at data word `DATA + (s << SHIFT)`.
    context_field {
        /// The field is there.
        PRESENT = 0, 1;
        /// It is a history ring.
        RING = 1, 1;
        /// Actions may write it.
        WRITABLE = 2, 1;
        /// Integer type, see the operand `IntType`.
        KIND = 3, 3;
        /// Binary logarithm of the words that one record takes.
        SHIFT = 8, 4;
        /// Values of the ring minus 1.
        LAST_PLACE = 12, 8;
        /// First word in the context data.
        DATA = 20, 20;
        /// First ring head.
        HEAD = 44, 20;
    }
    /// Map descriptor.
    map_descriptor {
        /// The map is there.
        PRESENT = 0, 1;
        /// 0 array, 1 hash, 2 LRU hash, 3 ring buffer, 4 histogram.
        KIND = 1, 3;
        /// Integer type of a value, see the operand `IntType`.
        VALUE = 4, 3;
        /// Values that it holds minus 1; a hash map has a set for every four.
        LAST_PLACE = 8, 20;
        /// First word of its values, divided by 4.
        FIRST_ROW = 28, 16;
        /// First set of a hash map.
        FIRST_SET = 44, 16;
    }
    /// State of one set of a context store or hash map.
    context_set {
        /// Bit w: way w holds a record.
        OCCUPIED = 0, 4;
        /// Two bits for each way: how many ways of the set were matched more recently.
        RANKS = 4, 8;
    }
    /// Ring head: one for each record and ring.
    ring_head {
        /// Values in the ring.
        LENGTH = 0, 9;
        /// Place of the newest value.
        NEWEST = 16, 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_word_do_not_overlap() {
        for word in WORDS {
            word.fields.iter().fold(0, |used, field| {
                let bits = field.insert(u64::MAX);
                assert_eq!(used & bits, 0, "{}: {}", word.title, field.name);
                assert!(field.low + field.bits <= 64);
                used | bits
            });
        }
    }

    #[test]
    fn a_field_takes_back_what_was_put_in() {
        let field = context_field::HEAD;
        assert_eq!(field.extract(field.insert(0xf_1234)), 0xf_1234);
        assert_eq!(field.insert(field.max() + 1), 0);
    }
}
