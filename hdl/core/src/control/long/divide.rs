//! Quotients and square roots of 64 bits, two bits of the dividend in each cycle.

use rtl_builder::prelude::*;

/// A divider that does not restore: what is left of the dividend may be negative, and then the divisor is added in place
/// of being subtracted. The divisor may be negative itself, and is subtracted where its magnitude would be added.
///
/// Two steps take the divisor three times if the second one goes the way of the first, else once, for it takes half of
/// the first one back. So both outcomes are there as soon as the sign after the first step, which chooses.
///
/// A square root is a quotient whose divisor grows: four times the root so far plus 1 is subtracted or, when the rest is
/// negative, plus 3 is added. Two bits of the dividend belong to each bit of a root, so the first step of a cycle only
/// brings its bit in.
pub(super) struct Divider {
    /// What is left after a cycle, without its sign.
    pub(super) rest: UInt,
    /// What is left after a cycle is negative.
    pub(super) negative: Bool,
    /// Two bits of the quotient.
    pub(super) quotient: UInt,
}

/// The divisor, its sign, three times as much with the sign, and whether it is that of a square root.
#[derive(Clone, Copy)]
pub(super) struct Divisor {
    pub(super) value: UInt,
    pub(super) negative: Bool,
    pub(super) triple: UInt,
    pub(super) of_root: Bool,
}

impl Divider {
    /// `rest` is what is left so far, and the divisor is added to it if `adds` is true; `top` are the next two bits of
    /// the dividend.
    pub(super) fn new(rest: UInt, adds: Bool, top: UInt, divisor: Divisor) -> Self {
        let value = divisor.negative.as_uint().concat(divisor.value);
        let step = |rest: UInt, value: UInt| {
            let subtracts = (!adds).as_uint().repeat(value.width() as usize);
            plus(rest, value ^ subtracts, !adds)
        };
        let first_negative =
            step(rest.concat(top.bit(1).as_uint()), value).bit(64).named("first_negative");
        let both = rest.bits(0..63).concat(top);
        let [once, thrice] = [value, divisor.triple].map(|value| step(both, value));
        let goes_on = (first_negative ^ divisor.negative).eq(adds) & !divisor.of_root;
        let second = mux(goes_on, thrice, once).named("second");
        // Said once more, so that each sum is needed by itself: a synthesiser makes one of two that only a choice reads, behind
        // the choice between their operands.
        let negative = (goes_on & thrice.bit(64)) | (!goes_on & once.bit(64));
        let quotient = (!first_negative).as_uint().concat((!negative).as_uint());
        Self { rest: second.bits(0..64), negative, quotient }
    }
}

/// Three times the number with its sign, modulo 2^65.
pub(super) fn triple(value: UInt, negative: Bool) -> UInt {
    let value = negative.as_uint().concat(value);
    value.wrapping_add(value.bits(0..64).concat(UInt::lit(0, 1)))
}

/// The sum modulo 2^width, plus 1 if `carry` is true: that comes from one bit below.
pub(super) fn plus(a: UInt, b: UInt, carry: Bool) -> UInt {
    let sum = a.concat(UInt::lit(1, 1)).wrapping_add(b.concat(carry.as_uint()));
    sum.bits(1..sum.width())
}

/// The divisor of the next step of a square root: root so far, and 1 or 3 below it.
pub(super) fn next_root(divisor: UInt, negative: Bool) -> UInt {
    let root = divisor.bits(2..33).concat((!negative).as_uint());
    root.concat(negative.as_uint()).concat(UInt::lit(1, 1)).zext(64)
}
