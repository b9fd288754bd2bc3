//! Small pieces of logic that several units share.

use rmt_isa::card::fields::BitField;
use rmt_isa::operand::{IntType, Slot};
use rtl_builder::prelude::*;

/// The bits of a descriptor's field.
pub fn field(word: UInt, field: BitField) -> UInt {
    word.bits(field.low..field.low + field.bits)
}

/// A register that synthesis neither joins with others of the same value nor takes into a block.
#[track_caller]
pub(crate) fn kept<T: Bundle>(name: &str, value: T) -> T {
    let register = reg_uninit(name, value.clone()).attribute("keep");
    register.next(value);
    register.value()
}

/// A register that synthesis leaves beside a multiplier's block: nextpnr knows no times of the 7-series' blocks, and so not how
/// late is what leads to a register within one or away from it.
#[track_caller]
pub(crate) fn beside_multiplier<T: Bundle>(name: &str, value: T) -> T {
    kept(name, value)
}

/// A flag of a descriptor.
pub fn flag(word: UInt, field: BitField) -> Bool {
    word.bit(field.low)
}

/// A word of `bits` bits with some fields; values are cut to their fields.
pub fn word_of(parts: &[(BitField, UInt)], bits: u32) -> UInt {
    parts.iter().fold(UInt::lit(0, bits), |word, (field, value)| {
        let value = value.resize(field.bits).zext(bits - field.low);
        word | if field.low == 0 { value } else { value.concat(UInt::lit(0, field.low)) }
    })
}

/// The bits of an operand of an instruction word.
pub fn slot(word: UInt, slot: Slot) -> UInt {
    word.bits(slot.low..slot.low + slot.bits)
}

/// `value` cut to an integer type (3 bits, see [`IntType`]) and extended again to 64 bits.
pub fn wrap(kind: UInt, value: UInt) -> UInt {
    let arms: Vec<_> = (IntType::ALL.iter())
        .map(|&kind| {
            let cut = value.trunc(kind.bits());
            let extended =
                if kind.signed() { cut.as_sint().sext(64).as_uint() } else { cut.zext(64) };
            (kind as u64, extended)
        })
        .collect();
    lookup(kind, &arms, value)
}

/// CRC-32C of `message`, bit 0 first, started with `state`: a network of exclusive ors, see
/// [`rmt_isa::arithmetic::crc32c`]. The message is a multiple of 8 bits long.
pub fn crc32c(state: u32, message: UInt) -> UInt {
    let bits = message.width() as usize;
    let bytes = |set: Option<usize>| -> Vec<u8> {
        let mut bytes = vec![0; bits / 8];
        if let Some(bit) = set {
            bytes[bit / 8] = 1 << (bit % 8);
        }
        bytes
    };
    // The sum is linear in the message: the effect of each bit is found by setting it alone.
    let constant = rmt_isa::arithmetic::crc32c(state, &bytes(None));
    let effects: Vec<u32> = (0..bits)
        .map(|bit| rmt_isa::arithmetic::crc32c(state, &bytes(Some(bit))) ^ constant)
        .collect();
    let sum: Vec<UInt> = (0..32)
        .rev()
        .map(|output| {
            let terms: Vec<UInt> = (0..bits)
                .filter(|&bit| effects[bit] >> output & 1 == 1)
                .map(|bit| message.bit(bit as u32).as_uint())
                .collect();
            let parity = if terms.is_empty() { Bool::lit(false) } else { cat(&terms).reduce_xor() };
            if constant >> output & 1 == 1 { (!parity).as_uint() } else { parity.as_uint() }
        })
        .collect();
    cat(&sum)
}

/// The low `bits` bits of `value` moved down by `amount` times `unit` bits, filled with zeros. The largest
/// step comes first: behind each step only what the smaller ones can still move into the result is kept.
pub fn shift_down(value: UInt, unit: u32, amount: UInt, bits: u32) -> UInt {
    (0..amount.width()).rev().fold(value, |value, step| {
        let (width, distance) = (value.width(), unit << step);
        let kept = width.min(bits + distance - unit);
        let moved = if distance < width { value.bits(distance..width) } else { UInt::lit(0, 1) };
        mux(amount.bit(step), moved.resize(kept), value.resize(kept))
    })
}

/// Rotates the lanes of a word: lane i of the result is lane i + `by` of `word`, round the end.
/// There is a power of two of lanes, of `width` bits; each step of the rotation gets a name.
#[track_caller]
pub fn rotate_down(name: &str, word: UInt, width: u32, by: UInt) -> UInt {
    rotate(name, word, by, |bit| width << bit)
}

/// Rotates the lanes of a word the other way: lane i of `word` becomes lane i + `by`.
#[track_caller]
pub fn rotate_up(name: &str, word: UInt, width: u32, by: UInt) -> UInt {
    let all = word.width();
    rotate(name, word, by, |bit| all - (width << bit))
}

/// Each bit of `by` that is set moves bit `distance(bit)` of the word to bit 0.
#[track_caller]
fn rotate(name: &str, word: UInt, by: UInt, distance: impl Fn(u32) -> u32) -> UInt {
    (0..by.width()).fold(word, |word, bit| {
        let distance = distance(bit);
        let moved = word.bits(0..distance).concat(word.bits(distance..word.width()));
        mux(by.bit(bit), moved, word).named(format!("{name}_{bit}"))
    })
}

/// Two numbers whose sum is that of three, all modulo 2^width: without the carries of a sum, and so that synthesis does not make
/// one of two products within their blocks, one behind the other.
pub fn saved_carries(a: UInt, b: UInt, c: UInt) -> (UInt, UInt) {
    let carries = (a & b) | (a & c) | (b & c);
    (a ^ b ^ c, carries.trunc(a.width() - 1).concat(UInt::lit(0, 1)))
}

/// `value - 1` for few bits: a chain of carries would begin and end in a table.
pub fn one_less(value: UInt) -> UInt {
    let bits = (0..value.width()).rev().map(|bit| {
        let borrows = if bit == 0 { Bool::lit(true) } else { value.bits(0..bit).is_zero() };
        (value.bit(bit) ^ borrows).as_uint()
    });
    cat(&bits.collect::<Vec<_>>())
}

/// `value + 1` modulo 2^width for few bits, without carries as in [`one_less`].
pub(crate) fn one_more_of_few(value: UInt) -> UInt {
    !one_less(!value)
}

/// `value + 1` modulo 2^width, its lowest bit beside the sum: synthesis would find the sum's the inverse of the number's, and take it
/// from the carries wherever that is needed.
pub(crate) fn one_more(value: UInt) -> UInt {
    let upper = value.bits(1..value.width());
    let carry = value.bit(0).as_uint().zext(upper.width());
    upper.wrapping_add(carry).concat((!value.bit(0)).as_uint())
}

/// The sum of two numbers of the same few bits, modulo 2^width, without a chain of carries: it would begin and end in a table.
pub(crate) fn few_sum(a: UInt, b: UInt) -> UInt {
    let mut carry = Bool::lit(false);
    let mut bits = Vec::new();
    for bit in 0..a.width() {
        let (a, b) = (a.bit(bit), b.bit(bit));
        bits.push(a ^ b ^ carry);
        carry = (a & b) | (carry & (a | b));
    }
    as_word(&bits)
}

/// A word whose lowest `count` bits are set, without a shift and a difference.
pub(crate) fn low_ones(count: UInt, width: u32) -> UInt {
    as_word(&(0..width).map(|bit| !at_most(count, bit.into())).collect::<Vec<_>>())
}

/// `number` is at most `limit`, without the carries of a comparison: they would begin and end in a table.
pub fn at_most(number: UInt, limit: u64) -> Bool {
    (0..number.width()).fold(Bool::lit(true), |below, bit| {
        let zero = !number.bit(bit);
        if limit >> bit & 1 == 1 { zero | below } else { zero & below }
    })
}

/// One number of few bits is no more than another one as wide, without carries: they would begin and end in a table.
pub fn no_more_than(least: UInt, most: UInt) -> Bool {
    (0..least.width()).fold(Bool::lit(true), |below, bit| {
        let (least, most) = (least.bit(bit), most.bit(bit));
        (most & !least) | ((most | !least) & below)
    })
}

/// Number of zero bits above the highest one bit; the width when there is none. The width is a power of two.
pub fn leading_zeros(value: UInt) -> UInt {
    let (none, zeros) = zeros_above(value);
    let width = u64::from(value.width());
    mux(none, UInt::lit(width, bits_for(width + 1)), zeros.zext(bits_for(width + 1)))
}

/// Whether all bits are zero, and if not, how many above the highest one bit.
fn zeros_above(value: UInt) -> (Bool, UInt) {
    let half = value.width() / 2;
    if half == 1 {
        return (value.is_zero(), (!value.bit(1)).as_uint());
    }
    let (none_high, high) = zeros_above(value.bits(half..2 * half));
    let (none_low, low) = zeros_above(value.bits(0..half));
    (none_high & none_low, none_high.as_uint().concat(mux(none_high, low, high)))
}

/// Number of one bits.
pub fn count_ones(value: UInt) -> UInt {
    let width = value.width();
    if width == 1 {
        return value;
    }
    count_ones(value.bits(width / 2..width)) + count_ones(value.bits(0..width / 2))
}

/// The lowest index whose bit is set; the last index when none is.
pub fn lowest_set(bits: &[Bool]) -> UInt {
    let width = bits_for(bits.len() as u64).max(1);
    let choices: Vec<_> = bits
        .iter()
        .enumerate()
        .map(|(index, &bit)| (bit, UInt::lit(index as u64, width)))
        .collect();
    priority_mux(&choices, UInt::lit(bits.len() as u64 - 1, width))
}

/// Whether any bit is set, and the lowest index whose bit is: a tree, for many bits. Their
/// number is a power of two.
pub fn first_set(bits: &[Bool]) -> (Bool, UInt) {
    match bits {
        [first, second] => (*first | *second, (!*first).as_uint()),
        _ => {
            let (low, high) = bits.split_at(bits.len() / 2);
            let ((low_any, low_index), (high_any, high_index)) = (first_set(low), first_set(high));
            let index = (!low_any).as_uint().concat(mux(low_any, low_index, high_index));
            (low_any | high_any, index)
        }
    }
}

/// The first bit that is set, alone.
pub fn first_alone(bits: &[Bool]) -> Vec<Bool> {
    (0..bits.len()).map(|index| bits[index] & !any(&bits[..index])).collect()
}

/// `value` if `on`, else 0: parts of which at most one is on are joined with `|`.
#[track_caller]
pub fn only_if(on: Bool, value: UInt) -> UInt {
    value & on.as_uint().repeat(value.width() as usize)
}

/// Whether any bit is set.
pub fn any(bits: &[Bool]) -> Bool {
    bits.iter().fold(Bool::lit(false), |any, &bit| any | bit)
}

/// Flags as one word, flag 0 in bit 0.
#[track_caller]
pub fn as_word(flags: &[Bool]) -> UInt {
    cat(&flags.iter().rev().map(|flag| flag.as_uint()).collect::<Vec<_>>())
}

/// A one-bit condition for each of `count` threads: the bit of `thread` is `valid`.
pub fn one_hot(valid: Bool, thread: UInt, count: u32) -> Vec<Bool> {
    (0..count).map(|index| valid & thread.eq(index)).collect()
}
