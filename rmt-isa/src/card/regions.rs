//! The host memory map, as one table. Addresses count words of 64 bits.

/// Bits of a word address of the whole card.
pub const ADDRESS_BITS: u32 = 22;
/// Bits of an address inside one slot of the map.
pub const SLOT_BITS: u32 = 16;
/// First word of the ML engine's window, see [`super::engine`].
pub const ENGINE_BASE: u32 = 1 << (ADDRESS_BITS - 1);

/// A part of the map: some slots of 65,536 words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Name.
    pub name: &'static str,
    /// First slot.
    pub slot: u32,
    /// Slots that it takes, a power of two, aligned to itself.
    pub slots: u32,
    /// Whether the host may read it; other regions read as zero.
    pub readable: bool,
    /// Whether the host may write it; writes elsewhere change nothing.
    pub writable: bool,
    /// Whether it stands in banks, which a commit swaps.
    pub banked: bool,
    /// Words that are written together and in order, a power of two; the last one of them
    /// that is written stores all.
    pub group: u32,
    /// What stands in it and how.
    pub doc: &'static str,
}

impl Region {
    /// First word.
    pub const fn base(self) -> u32 {
        self.slot << SLOT_BITS
    }

    /// Words that the map keeps for it; a card may have fewer.
    pub const fn words(self) -> u32 {
        self.slots << SLOT_BITS
    }

    /// Address of one of its words.
    pub const fn word(self, index: u32) -> u32 {
        self.base() + index
    }
}

macro_rules! regions {
    ($($(#[doc = $doc:literal])* $name:ident = $slot:literal, $slots:literal, $access:ident;)*) => {
        $($(#[doc = $doc])* pub const $name: Region = Region {
            name: stringify!($name),
            slot: $slot,
            slots: $slots,
            readable: access::$access.readable,
            writable: access::$access.writable,
            banked: access::$access.banked,
            group: access::$access.group,
            doc: concat!($($doc),*),
        };)*
        /// All regions of the control side, in order.
        pub const REGIONS: &[Region] = &[$($name),*];
    };
}

/// How the host may access a region.
mod access {
    pub struct Access {
        pub readable: bool,
        pub writable: bool,
        pub banked: bool,
        pub group: u32,
    }
    pub const BOTH: Access = Access { readable: true, writable: true, banked: false, group: 1 };
    pub const READ: Access = Access { writable: false, ..BOTH };
    pub const WRITE: Access = Access { readable: false, ..BOTH };
    pub const BANKED: Access = Access { banked: true, ..BOTH };
    /// Banked slots of four words.
    pub const SLOTS_4: Access = Access { group: 4, ..BANKED };
    /// Banked slots of eight words.
    pub const SLOTS_8: Access = Access { group: 8, ..BANKED };
}

regions! {
    /// Capability words: what the card was built with, see `CardShape`.
    CAPABILITIES = 0, 1, READ;
    /// Control words: 0 commit, 1 watchdog, 8 to 15 program slots.
    CONTROL = 1, 1, BOTH;
    /// Counters of the control side, 48 bits each; they wrap.
    COUNTERS = 2, 1, READ;
    /// Instructions of all actions.
    PROGRAM = 3, 1, BANKED;
    /// Table descriptors, two words for each table.
    TABLES = 4, 1, BANKED;
    /// Match slots, four words for each: key bits 63..0, key bits 127..64, slot word, unused. Slot 4 b + 2 c + i is place i of bucket b under choice c.
    MATCH = 5, 1, SLOTS_4;
    /// Parameters of entries and default actions, four words a row.
    PARAMETERS = 6, 1, BANKED;
    /// Context descriptors: stores at word 0, fields at word 256 + 32 * store + field.
    CONTEXTS = 7, 1, WRITE;
    /// Keys of context records, one word for each slot (set * 4 + way).
    CONTEXT_KEYS = 8, 1, BOTH;
    /// State of each set: occupied ways and their order of use.
    CONTEXT_SETS = 9, 1, BOTH;
    /// For each slot: bit f is set when field f was written since the record was created; other fields read as zero.
    CONTEXT_WRITTEN = 10, 1, BOTH;
    /// Slots of longest prefix and ternary entries, eight words for each: value bits 63..0, value bits 127..64, mask bits 63..0, mask bits 127..64, slot word, three unused. Of the slots that match, the lowest wins.
    TERNARY = 11, 1, SLOTS_8;
    /// Ring heads: length and place of the newest value.
    RING_HEADS = 12, 2, BOTH;
    /// Slots of range entries, laid out as those of ternary ones, with lower bounds in place of the value and upper bounds in place of the mask. Signed fields have their sign bit inverted.
    RANGE = 14, 1, SLOTS_8;
    /// Map descriptors, one word for each map.
    MAPS = 15, 1, WRITE;
    /// Values of context fields, extended to 64 bits.
    CONTEXT_DATA = 16, 4, BOTH;
    /// Values of maps, extended to 64 bits.
    MAP_VALUES = 20, 4, BOTH;
    /// Keys of hash maps, one word for each slot (set * 4 + way).
    MAP_KEYS = 24, 1, BOTH;
    /// State of each set of a hash map, as that of context sets; the order of use counts in LRU maps only.
    MAP_SETS = 25, 1, BOTH;
    /// Ring buffers, two words for each map: values ever pushed, place of the next one.
    MAP_RINGS = 26, 1, BOTH;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_do_not_overlap_and_stay_below_the_engine() {
        let mut end = 0;
        for region in REGIONS {
            assert!(region.base() >= end, "{}", region.name);
            assert!(region.slots.is_power_of_two() && region.slot % region.slots == 0);
            end = region.base() + region.words();
        }
        assert!(end <= ENGINE_BASE);
    }
}
