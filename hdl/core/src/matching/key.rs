//! The key of a table: its fields side by side, the first one in the most significant bits.

use rmt_isa::card::fields::key_field;
use rmt_isa::limits::MAX_KEY_FIELDS;
use rtl_builder::prelude::*;

use crate::bits::{field, flag};

/// A key, whether the table has one, and how ranges see it.
pub struct Key {
    /// The key, right-aligned
    pub key: UInt,
    /// The table has at least one field
    pub present: Bool,
    /// The key with the sign bits of signed fields inverted: in order without sign
    pub unsigned: UInt,
    /// A bit for each byte of the key: it is the most significant of its field
    pub tops: UInt,
}

/// The key that a descriptor's word 0 asks for, combinational. `event` has byte i in bits
/// 8i+7..8i, `arguments` hold `r1` to `r4`, `r1` lowest.
pub fn extract(descriptor: UInt, event: UInt, arguments: UInt, key_bits: u32) -> Key {
    let event_words: Vec<UInt> =
        (0..8).map(|word| event.bits(64 * word..64 * (word + 1))).collect();
    let scalars: Vec<UInt> =
        (0..4).map(|word| arguments.bits(64 * word..64 * (word + 1))).collect();
    let mut key = UInt::lit(0, key_bits);
    let mut present = Bool::lit(false);
    // Bytes that begin a field, and those of them that hold a sign.
    let mut tops = UInt::lit(0, key_bits / 8);
    let mut signs = tops;
    for number in 0..MAX_KEY_FIELDS as u32 {
        let part = descriptor.bits(16 * number..16 * (number + 1));
        let place = field(part, key_field::PLACE);
        // Fields are aligned: of the low bits of a place those below the field's width are 0, so each part of the word
        // comes from few places.
        let word = select(place.bits(3..6), &event_words);
        let halved = |value: UInt, bit: u32| {
            let half = value.width() / 2;
            mux(place.bit(bit), value.bits(half..2 * half), value.bits(0..half))
        };
        let low_32 = halved(word, 2);
        let low_16 = halved(low_32, 1);
        let low_8 = halved(low_16, 0);
        let from_event = cat(&[word.bits(32..64), low_32.bits(16..32), low_16.bits(8..16), low_8]);
        // r1 has place 1; place 4, whose low bits are 0, is r4.
        let from_argument = lookup(
            place.bits(0..2),
            &[(1, scalars[0]), (2, scalars[1]), (3, scalars[2])],
            scalars[3],
        );
        let value = mux(flag(part, key_field::ARGUMENT), from_argument, from_event);
        let here = flag(part, key_field::PRESENT);
        let appended = |bits: u32| {
            let low = value.trunc(bits);
            if bits < key_bits { key.trunc(key_bits - bits).concat(low) } else { low }
        };
        // The width of an integer type is in the low two bits of its code.
        let width = field(part, key_field::KIND).bits(0..2);
        let longer =
            lookup(width, &[(0, appended(8)), (1, appended(16)), (2, appended(32))], appended(64));
        key = mux(here, longer, key);
        present = present | here;
        let begun = |marks: UInt, begins: Bool| {
            let appended = |bytes: u32| {
                let low = begins.as_uint();
                let low = if bytes == 1 { low } else { low.concat(UInt::lit(0, bytes - 1)) };
                let rest = marks.width() - bytes;
                if rest == 0 { low } else { marks.trunc(rest).concat(low) }
            };
            let longer =
                lookup(width, &[(0, appended(1)), (1, appended(2)), (2, appended(4))], appended(8));
            mux(here, longer, marks)
        };
        tops = begun(tops, Bool::lit(true));
        signs = begun(signs, field(part, key_field::KIND).bit(2));
    }
    let inverted: Vec<UInt> = (0..key_bits / 8)
        .rev()
        .map(|byte| signs.bit(byte).as_uint().concat(UInt::lit(0, 7)))
        .collect();
    Key { key, present, unsigned: key ^ cat(&inverted), tops }
}
