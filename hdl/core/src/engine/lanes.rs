//! Words of several lanes: taking them apart, joining them, saturating lanes to an element type.

use rmt_isa::card::fields::BitField;
use rtl_builder::prelude::*;

use crate::bits::as_word;

/// The signed lanes of `width` bits of a word, lane 0 from the lowest bits.
#[track_caller]
pub fn split(word: UInt, width: u32) -> Vec<SInt> {
    let lanes = word.width() / width;
    (0..lanes).map(|lane| word.bits(lane * width..(lane + 1) * width).as_sint()).collect()
}

/// A word of lanes, lane 0 in the lowest bits.
#[track_caller]
pub fn join(lanes: &[SInt]) -> UInt {
    let parts: Vec<UInt> = lanes.iter().rev().map(|lane| lane.as_uint()).collect();
    cat(&parts)
}

/// `value` saturated to an element type, by its number, and extended to 32 bits. Each bit that must be like the sign is
/// compared with it once for all types: whether the value is beyond and what it is then are known at the same time.
#[track_caller]
pub fn saturate(value: SInt, element: UInt) -> SInt {
    let wide = if value.width() < 32 { value.sext(32) } else { value };
    let (sign, negative) = (wide.width() - 1, wide.is_negative());
    let bits = wide.as_uint();
    let unlike_sign = |low: u32, high: u32| match high - low {
        0 => Bool::lit(false),
        count => (bits.bits(low..high) ^ negative.as_uint().repeat(count as usize)).reduce_or(),
    };
    let (byte, short) = (element.eq(0), !element.bit(1));
    let beyond = unlike_sign(31, sign)
        | (short & unlike_sign(15, 31.min(sign)))
        | (byte & unlike_sign(7, 15));
    // Above the sign of its type, a limit is like the value's sign.
    let of_limit = |from: Bool, count: usize| (negative ^ !from).as_uint().repeat(count);
    let limit = cat(&[
        negative.as_uint(),
        of_limit(short, 16),
        of_limit(byte, 8),
        of_limit(Bool::lit(false), 7),
    ]);
    mux(beyond, limit.as_sint(), wide.trunc(32))
}

/// A number without sign for each lane, in the same order: a comparison of these ends with its carry.
#[track_caller]
pub fn in_order(lane: SInt) -> UInt {
    let sign = lane.width() - 1;
    (!lane.is_negative()).as_uint().concat(lane.as_uint().trunc(sign))
}

/// A field of a descriptor or instruction word.
#[track_caller]
pub fn field(word: UInt, field: BitField) -> UInt {
    word.bits(field.low..field.low + field.bits)
}

/// `index` as one bit of `count`, lowest first.
#[track_caller]
pub fn one_hot(index: UInt, count: u32) -> Vec<Bool> {
    (0..count).map(|i| index.eq(u64::from(i))).collect()
}

/// The lane of a number, by one bit of it after the other: two bits take one table. There is a power of two of lanes.
#[track_caller]
pub fn lane_of_number(lanes: &[SInt], number: UInt) -> SInt {
    (0..number.width()).fold(lanes.to_vec(), |lanes, bit| {
        lanes.chunks(2).map(|pair| mux(number.bit(bit), pair[1], pair[0])).collect()
    })[0]
}

/// As many of `count` bits as `number` says are set, the lowest ones.
#[track_caller]
pub fn thermometer(number: UInt, count: u32) -> UInt {
    as_word(&(0..count).map(|i| number.gt(u64::from(i))).collect::<Vec<_>>())
}
