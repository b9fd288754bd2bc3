//! Products of 64 bits, 16 bits of the second factor at a time.

use rtl_builder::prelude::*;

/// Four multipliers of 16 x 16 bits and the sum of their products. Factors stay in registers before the blocks, see
/// [`crate::bits::beside_multiplier`].
///
/// In each cycle all of the first factor is multiplied by one part of 16 bits of the second one. A product goes
/// from its block straight into a register, so that synthesis can take that of the block. The four are one number a cycle
/// later, and that is added another one later: no cycle has two sums in a row.
pub(super) struct Multiplier {
    /// `high` and the product of the part of three cycles ago: its low 16 bits are bits of the whole product.
    pub(super) sum: UInt,
}

impl Multiplier {
    /// The first factor is taken over while `load` is true, and must be there for two cycles.
    pub(super) fn new(load: Bool, a: UInt, part: UInt, high: UInt) -> Self {
        let factor = reg_uninit("factor", uint(64)).attribute("keep");
        when(load, || factor.next(a));
        let part = crate::bits::beside_multiplier("part", part);
        let [first, second, third, fourth] = [0, 1, 2, 3].map(|place| {
            let digit = factor.bits(16 * place..16 * place + 16);
            delayed(format!("product{place}"), digit * part)
        });
        let upper = third.zext(48).concat(first.bits(16..32)) + fourth.concat(second);
        let product = delayed("product", upper.trunc(64).concat(first.bits(0..16)));
        Self { sum: (high.zext(80) + product).trunc(80).named("sum") }
    }
}

/// Bits `16 * index` and above of a number, 16 of them.
pub(super) fn part_of(value: UInt, index: UInt) -> UInt {
    let parts = [0, 1, 2, 3].map(|part| (u64::from(part), value.bits(16 * part..16 * part + 16)));
    lookup(index, &parts, UInt::lit(0, 16))
}
