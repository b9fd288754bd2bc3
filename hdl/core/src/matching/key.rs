//! The key of a table: its fields side by side, the first one in the most significant bits.

use rmt_isa::card::fields::key_field;
use rtl_builder::prelude::*;

use crate::bits::{field, flag};

/// A key, or the fields of it that are gathered, and how ranges see it.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Key {
    /// The fields, right-aligned
    pub key: UInt,
    /// A bit for each byte of the key: it is the most significant of its field
    pub tops: UInt,
    /// The same of fields with a sign alone
    pub signs: UInt,
}

impl Key {
    pub(crate) fn shape(key_bits: u32) -> Self {
        Self { key: uint(key_bits), tops: uint(key_bits / 8), signs: uint(key_bits / 8) }
    }

    /// No field yet.
    pub(crate) fn none(key_bits: u32) -> Self {
        let bytes = UInt::lit(0, key_bits / 8);
        Self { key: UInt::lit(0, key_bits), tops: bytes, signs: bytes }
    }

    /// With the field behind that a part of the table's descriptor asks for, if it does, of the word of the event that has it,
    /// or of the register that it names.
    pub(crate) fn with_field(self, part: UInt, word: UInt, argument: UInt) -> Self {
        let value = field_value(part, word, argument);
        // The width of an integer type is in the low two bits of its code.
        let kind = field(part, key_field::KIND);
        let behind = |key: UInt, new: UInt, unit: u32| {
            let longer = |bits: u32| {
                let low = new.trunc(bits);
                if bits < key.width() { key.trunc(key.width() - bits).concat(low) } else { low }
            };
            let choices = [(0, longer(unit)), (1, longer(2 * unit)), (2, longer(4 * unit))];
            lookup(kind.bits(0..2), &choices, longer(8 * unit))
        };
        // A mark goes to the highest of the field's bytes.
        let marks = |mark: Bool| {
            let at = |byte: u32| mark.as_uint().concat(UInt::lit(0, byte)).zext(8);
            let first = mark.as_uint().zext(8);
            lookup(kind.bits(0..2), &[(0, first), (1, at(1)), (2, at(3))], at(7))
        };
        let longer = Self {
            key: behind(self.key, value, 8),
            tops: behind(self.tops, marks(Bool::lit(true)), 1),
            signs: behind(self.signs, marks(kind.bit(2)), 1),
        };
        mux(flag(part, key_field::PRESENT), longer, self)
    }

    /// The key with the sign bits of signed fields inverted: in order without sign.
    pub(crate) fn unsigned(&self) -> UInt {
        let inverted: Vec<UInt> = (0..self.signs.width())
            .rev()
            .map(|byte| self.signs.bit(byte).as_uint().concat(UInt::lit(0, 7)))
            .collect();
        self.key ^ cat(&inverted)
    }
}

/// What a field is taken from, its low bits those of the field.
fn field_value(part: UInt, word: UInt, argument: UInt) -> UInt {
    let place = field(part, key_field::PLACE);
    // Fields are aligned: of the low bits of a place those below the field's width are 0, so each part of the word
    // comes from few places.
    let halved = |value: UInt, bit: u32| {
        let half = value.width() / 2;
        mux(place.bit(bit), value.bits(half..2 * half), value.bits(0..half))
    };
    let low_32 = halved(word, 2);
    let low_16 = halved(low_32, 1);
    let low_8 = halved(low_16, 0);
    let from_event = cat(&[word.bits(32..64), low_32.bits(16..32), low_16.bits(8..16), low_8]);
    mux(flag(part, key_field::ARGUMENT), argument, from_event)
}
