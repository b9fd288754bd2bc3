//! Quotients and square roots of 64 bits, two bits of the dividend in each cycle.

use rtl_builder::prelude::*;

/// A divider that does not restore: what is left of the dividend may be negative, and then the divisor is added in place
/// of being subtracted. The divisor may be negative itself, and is subtracted where its magnitude would be added.
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

/// The divisor, its sign, and whether it is that of a square root.
#[derive(Clone, Copy)]
pub(super) struct Divisor {
    pub(super) value: UInt,
    pub(super) negative: Bool,
    pub(super) of_root: Bool,
}

impl Divider {
    /// `rest` is what is left so far, and the divisor is added to it if `adds` is true; `top` are the next two bits of
    /// the dividend.
    pub(super) fn new(rest: UInt, adds: Bool, top: UInt, divisor: Divisor) -> Self {
        let value = divisor.negative.as_uint().concat(divisor.value);
        // A root and the two bits below it have 34 bits.
        let low = mux(divisor.of_root, UInt::lit(0, 34), value.bits(0..34));
        let subtracts = (!adds).as_uint();
        let first_divisor = value.bits(34..65).concat(low) ^ subtracts.repeat(65);
        let shifted = rest.concat(top.bit(1).as_uint());
        let first = plus(shifted, first_divisor, !adds).named("first");

        // Sum and difference are there before it is known which one is wanted.
        let shifted = first.bits(0..64).concat(top.bit(0).as_uint());
        let adds = first.bit(64) ^ divisor.negative;
        let second = mux(adds, shifted.wrapping_add(value), shifted.wrapping_sub(value));
        let second = second.named("second");
        let quotient = (!first.bit(64)).as_uint().concat((!second.bit(64)).as_uint());
        Self { rest: second.bits(0..64), negative: second.bit(64), quotient }
    }
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
