//! Quotients and square roots of 64 bits, two bits of the dividend in each cycle.

use rtl_builder::prelude::*;

/// A divider that does not restore: what is left of the dividend may be negative, and then the divisor is added in place
/// of being subtracted. So no choice stands between two steps of a cycle. The divisor may be negative itself, and is
/// subtracted where its magnitude would be added.
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

impl Divider {
    /// `high` and its sign are what is left so far, `top` the next two bits of the dividend.
    pub(super) fn new(
        (high, negative): (UInt, Bool),
        top: UInt,
        (divisor, divisor_negative): (UInt, Bool),
        root: Bool,
    ) -> Self {
        let step = |name: &str, rest: UInt, negative: Bool, bit: Bool, divisor: UInt| {
            let shifted = rest.concat(bit.as_uint());
            let adds = negative ^ divisor_negative;
            let rest = mux(adds, shifted.wrapping_add(divisor), shifted.wrapping_sub(divisor));
            let rest = rest.named(name);
            (rest.bits(0..64), rest.bit(64))
        };
        let divisor = divisor_negative.as_uint().concat(divisor);
        // A root and the two bits below it have 34 bits.
        let small = mux(root, UInt::lit(0, 34), divisor.bits(0..34));
        let first_divisor = divisor.bits(34..65).concat(small);
        let (rest, after_first) = step("first", high, negative, top.bit(1), first_divisor);
        let (rest, after_both) = step("second", rest, after_first, top.bit(0), divisor);
        let quotient = (!after_first).as_uint().concat((!after_both).as_uint());
        Self { rest, negative: after_both, quotient }
    }
}

/// The divisor of the next step of a square root: root so far, and 1 or 3 below it.
pub(super) fn next_root(divisor: UInt, negative: Bool) -> UInt {
    let root = divisor.bits(2..33).concat((!negative).as_uint());
    root.concat(negative.as_uint()).concat(UInt::lit(1, 1)).zext(64)
}
