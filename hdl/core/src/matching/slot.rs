//! One slot of an ordered store: its entry, in registers, and the comparison with the key.

use rtl_builder::prelude::*;

use crate::bits::all;

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
    pub(crate) fn shape(table_bits: u32, key_bits: u32) -> Self {
        Self {
            present: boolean(),
            table: uint(table_bits),
            first: uint(key_bits),
            second: uint(key_bits),
        }
    }
}

/// One slot. It is written at once: in one cycle it compares the old entry, in the next one
/// the new.
pub struct OrderedSlot {
    pub(crate) comparison: Comparison,
    pub(crate) table_bits: u32,
    pub(crate) key_bits: u32,
}

/// Ports of [`OrderedSlot`].
#[derive(Clone, Ports)]
pub struct OrderedSlotIo {
    /// The entry is written
    pub store: Input<Bool>,
    /// The entry to write
    pub entry: Input<SlotEntry>,
    /// Table that is looked up
    pub table: Input<UInt>,
    /// Key that is looked up
    pub key: Input<UInt>,
    /// For ranges, a bit for each byte of the key: it is the most significant of its field
    pub tops: Option<Input<UInt>>,
    /// In the same cycle: the entry matches
    pub hit: Output<Bool>,
}

impl Component for OrderedSlot {
    type Io = OrderedSlotIo;

    fn name(&self) -> String {
        format!("{}_slot_table{}_key{}", self.comparison.text(), self.table_bits, self.key_bits)
    }

    fn doc(&self) -> String {
        "One entry and its comparison with the key".into()
    }

    fn io(&self) -> OrderedSlotIo {
        let ranges = self.comparison == Comparison::Range;
        OrderedSlotIo {
            store: input(boolean()),
            entry: input(SlotEntry::shape(self.table_bits, self.key_bits)),
            table: input(uint(self.table_bits)),
            key: input(uint(self.key_bits)),
            tops: ranges.then(|| input(uint(self.key_bits / 8))),
            hit: output(boolean()),
        }
    }

    fn build(&self, io: OrderedSlotIo) {
        let new = io.entry.value();
        let present = reg("present", boolean(), false);
        let table = reg_uninit("own_table", uint(self.table_bits));
        let first = reg_uninit("first", uint(self.key_bits));
        let second = reg_uninit("second", uint(self.key_bits));
        when(io.store, || {
            present.next(new.present);
            table.next(new.table);
            first.next(new.first);
            second.next(new.second);
        });
        let key = io.key.value();
        let matches = match &io.tops {
            None => ((key ^ first.value()) & second.value()).is_zero(),
            Some(tops) => in_bounds(key, first.value(), second.value(), tops.value()),
        };
        io.hit.set(present.value() & table.value().eq(io.table) & matches);
    }
}

/// Whether every field of `key` is from that of `low` to that of `high`, without sign.
///
/// One subtraction compares all fields: a guard bit above each byte hands the borrow on
/// inside a field; above the last byte of a field it shows the field's borrow and hands none
/// on. So it costs one carry chain, wherever the fields of a table begin.
pub(crate) fn in_bounds(key: UInt, low: UInt, high: UInt, tops: UInt) -> Bool {
    let bytes = tops.width();
    let guarded = |value: UInt, guards: &[UInt]| {
        let parts: Vec<UInt> = (0..bytes)
            .rev()
            .flat_map(|byte| [guards[byte as usize], value.bits(8 * byte..8 * byte + 8)])
            .collect();
        cat(&parts)
    };
    let ones = vec![UInt::lit(1, 1); bytes as usize];
    let lets_borrow_pass: Vec<UInt> = (0..bytes).map(|byte| (!tops.bit(byte)).as_uint()).collect();
    let at_least = |a: UInt, b: UInt| {
        let difference = guarded(a, &ones).wrapping_sub(guarded(b, &lets_borrow_pass));
        (0..bytes).map(move |byte| !tops.bit(byte) | difference.bit(9 * byte + 8))
    };
    let fields: Vec<Bool> = at_least(key, low).chain(at_least(high, key)).collect();
    all(&fields)
}
