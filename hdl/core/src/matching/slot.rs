//! One slot of an ordered store: its entry, in registers, and the comparison with the key.

use rtl_builder::prelude::*;

/// How a slot compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `key AND second` equals `first`: longest prefix and ternary entries.
    Ternary,
    /// Each field of the key from that of `first` to that of `second`: range entries.
    Range,
}

impl Comparison {
    /// The word for names.
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Ternary => "ternary",
            Self::Range => "range",
        }
    }
}

/// An entry as a slot compares it.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct SlotEntry {
    /// There is an entry
    pub present: Bool,
    /// Its table
    pub table: UInt,
    /// Value, or lower bounds
    pub first: UInt,
    /// Mask, or upper bounds
    pub second: UInt,
}

impl SlotEntry {
    pub(crate) fn shape(table_bits: u32, number_bits: u32) -> Self {
        Self {
            present: boolean(),
            table: uint(table_bits),
            first: uint(number_bits),
            second: uint(number_bits),
        }
    }
}

/// A key as slots with ranges compare it, see [`RangeKey::new`].
#[derive(Clone, Copy, Debug, Bundle)]
pub struct RangeKey {
    /// The key, to subtract lower bounds from
    pub above: UInt,
    /// The key, to subtract from upper bounds
    pub below: UInt,
    /// Guards that hand a borrow on
    pub pass: UInt,
    /// Guards that show the borrow of a field
    pub shown: UInt,
}

impl RangeKey {
    pub(crate) fn shape(key_bits: u32) -> Self {
        let bits = spread_bits(key_bits);
        Self { above: uint(bits), below: uint(bits), pass: uint(bits), shown: uint(bits) }
    }

    /// The key with a guard bit above each byte. `tops` has a bit for each byte: it is the
    /// most significant of its field.
    ///
    /// One subtraction then compares all fields: a guard hands the borrow on inside a field;
    /// above the last byte of a field it shows the field's borrow and hands none on. So a
    /// comparison costs one carry chain, wherever the fields of a table begin.
    pub(crate) fn new(key: UInt, tops: UInt) -> Self {
        let guards = |guards: UInt| with_guards(UInt::lit(0, key.width()), guards);
        let (pass, shown) = (guards(!tops), guards(tops));
        let key = spread(key);
        Self { above: key | pass | shown, below: key | pass, pass, shown }
    }
}

/// Bits of a key or bound with a guard above each byte.
pub(crate) fn spread_bits(key_bits: u32) -> u32 {
    key_bits / 8 * 9
}

/// A key or bound with a guard of 0 above each byte.
pub(crate) fn spread(value: UInt) -> UInt {
    with_guards(value, UInt::lit(0, value.width() / 8))
}

fn with_guards(value: UInt, guards: UInt) -> UInt {
    let parts: Vec<UInt> = (0..value.width() / 8)
        .rev()
        .flat_map(|byte| [guards.bit(byte).as_uint(), value.bits(8 * byte..8 * byte + 8)])
        .collect();
    cat(&parts)
}

/// One slot. It is written at once: in one cycle it compares the old entry, in the next one
/// the new.
pub struct OrderedSlot {
    pub(crate) comparison: Comparison,
    pub(crate) banks: u32,
    pub(crate) table_bits: u32,
    pub(crate) key_bits: u32,
}

/// Ports of [`OrderedSlot`].
#[derive(Clone, Ports)]
pub struct OrderedSlotIo {
    /// The entry is written
    pub store: Input<Bool>,
    /// Into this bank
    pub bank: Input<Bool>,
    /// The bank whose entry is compared
    pub active: Input<Bool>,
    /// The entry to write; bounds have a guard of 0 above each byte
    pub entry: Input<SlotEntry>,
    /// Table that is looked up
    pub table: Input<UInt>,
    /// Key that is looked up, in slots of ternary entries
    pub key: Option<Input<UInt>>,
    /// The same in slots of ranges
    pub range_key: Option<Input<RangeKey>>,
    /// In the same cycle: the entry matches
    pub hit: Output<Bool>,
}

impl OrderedSlot {
    /// Bits of each of the two numbers that it compares with.
    pub(crate) fn number_bits(&self) -> u32 {
        match self.comparison {
            Comparison::Ternary => self.key_bits,
            Comparison::Range => spread_bits(self.key_bits),
        }
    }
}

impl Component for OrderedSlot {
    type Io = OrderedSlotIo;

    fn name(&self) -> String {
        let Self { comparison, banks, table_bits, key_bits } = self;
        format!("{}_slot_table{table_bits}_key{key_bits}_b{banks}", comparison.text())
    }

    fn doc(&self) -> String {
        "One entry and its comparison with the key".into()
    }

    fn io(&self) -> OrderedSlotIo {
        let ranges = self.comparison == Comparison::Range;
        OrderedSlotIo {
            store: input(boolean()),
            bank: input(boolean()),
            active: input(boolean()),
            entry: input(SlotEntry::shape(self.table_bits, self.number_bits())),
            table: input(uint(self.table_bits)),
            key: (!ranges).then(|| input(uint(self.key_bits))),
            range_key: ranges.then(|| input(RangeKey::shape(self.key_bits))),
            hit: output(boolean()),
        }
    }

    fn build(&self, io: OrderedSlotIo) {
        let new = io.entry.value();
        let stored: Vec<SlotEntry> = (0..self.banks)
            .map(|bank| {
                let present = reg(format!("present_{bank}"), boolean(), false);
                let table = reg_uninit(format!("own_table_{bank}"), uint(self.table_bits));
                let first = reg_uninit(format!("first_{bank}"), uint(self.number_bits()));
                let second = reg_uninit(format!("second_{bank}"), uint(self.number_bits()));
                let addressed = io.bank.value().eq(Bool::lit(bank == 1)) | (self.banks == 1);
                when(io.store & addressed, || {
                    present.next(new.present);
                    table.next(new.table);
                    first.next(new.first);
                    second.next(new.second);
                });
                SlotEntry {
                    present: present.value(),
                    table: table.value(),
                    first: first.value(),
                    second: second.value(),
                }
            })
            .collect();
        let SlotEntry { present, table, first, second } = match stored[..] {
            [only] => only,
            _ => mux(io.active, stored[1], stored[0]),
        };
        let mut matches = Bool::lit(true);
        if let Some(key) = &io.key {
            matches = ((key.value() ^ first) & second).is_zero();
        }
        if let Some(key) = &io.range_key {
            let RangeKey { above, below, pass, shown } = key.value();
            // A guard that shows is set where there was no borrow.
            let not_below = above.wrapping_sub(first | pass);
            let not_above = (second | pass | shown).wrapping_sub(below);
            matches = (!(not_below & not_above) & shown).is_zero();
        }
        io.hit.set(present & table.eq(io.table) & matches);
    }
}
