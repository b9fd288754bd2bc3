//! Words of several lanes: taking them apart, joining them, saturating lanes to an element type.

use rmt_isa::card::fields::BitField;
use rtl_builder::prelude::*;

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

/// Conditions as the bits of a word, the first one lowest.
#[track_caller]
pub fn join_bools(bools: &[Bool]) -> UInt {
    let parts: Vec<UInt> = bools.iter().rev().map(|bit| bit.as_uint()).collect();
    cat(&parts)
}

/// `value` saturated to an element type, by its number, and extended to 32 bits.
#[track_caller]
pub fn saturate(value: SInt, element: UInt) -> SInt {
    let wide = if value.width() < 32 { value.sext(32) } else { value };
    lookup(element, &[(0, wide.sat(8).sext(32)), (1, wide.sat(16).sext(32))], wide.sat(32))
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

/// As many of `count` bits as `number` says are set, the lowest ones.
#[track_caller]
pub fn thermometer(number: UInt, count: u32) -> UInt {
    join_bools(&(0..count).map(|i| number.gt(u64::from(i))).collect::<Vec<_>>())
}
