//! One lane of the vector unit.

use super::lanes::in_order;
use super::operation::{FUNCTION_BITS, Function};
use crate::bits::{beside_multiplier, only_if};
use rtl_builder::prelude::*;

/// One lane: operand registers and an adder, multiplier and comparator behind them. The result is exact: it is saturated
/// on its way to the registers, where a product, which needs no saturation, takes its place.
#[derive(Clone, Copy, Debug)]
pub struct VectorLane;

/// Bits of an exact result.
pub const EXACT_BITS: u32 = 33;

/// Ports of [`VectorLane`].
#[derive(Clone, Ports)]
pub struct VectorLaneIo {
    /// First operand
    pub a: Input<SInt>,
    /// Second operand
    pub b: Input<SInt>,
    /// One cycle after the operands: number of the function
    pub function: Input<UInt>,
    /// With `function`: the result is wanted
    pub wanted: Input<Bool>,
    /// With `function`: the first operand
    pub a_held: Output<SInt>,
    /// With `function`: the result, but of a product, if it is wanted; else 0
    pub result: Output<SInt>,
    /// One cycle after `function`: the product
    pub product: Output<SInt>,
}

impl Component for VectorLane {
    type Io = VectorLaneIo;

    fn name(&self) -> String {
        "vector_lane".into()
    }

    fn doc(&self) -> String {
        "One lane of the vector unit; the result comes one cycle after the operands, a product two."
            .into()
    }

    fn io(&self) -> VectorLaneIo {
        VectorLaneIo {
            a: input(sint(32)),
            b: input(sint(32)),
            function: input(uint(FUNCTION_BITS)),
            wanted: input(boolean()),
            a_held: output(sint(32)),
            result: output(sint(EXACT_BITS)),
            product: output(sint(32)),
        }
    }

    fn build(&self, io: VectorLaneIo) {
        let a = beside_multiplier("a_q", io.a.value());
        let b = beside_multiplier("b_q", io.b.value());
        let a_is_smaller = in_order(a).lt(in_order(b)).named("a_is_smaller");
        // Only i8 and i16 are multiplied: 16 bits of each operand carry the value.
        let product = beside_multiplier("product_q", a.trunc(16) * b.trunc(16));
        io.product.set(product);
        io.a_held.set(a);
        // One adder for both: a difference is a sum with the complement and a carry, which comes from a bit below. What the
        // function asks for is known before the sum and the comparison, which choose last.
        let is = |function: Function| io.function.eq(function as u64);
        let subtracts = is(Function::Sub);
        let added = b ^ subtracts.as_uint().repeat(32).as_sint();
        let below = |value: SInt, carry: Bool| value.as_uint().concat(carry.as_uint()).as_sint();
        let sum = (below(a, Bool::lit(true)) + below(added, subtracts)) >> 1;
        let takes_b = (is(Function::Min) & !a_is_smaller) | (is(Function::Max) & a_is_smaller);
        let one_of_both = mux(takes_b, b, a).sext(EXACT_BITS);
        let (wanted, sums) = (io.wanted.value(), is(Function::Add) | subtracts);
        let result = only_if(wanted & sums, sum.trunc(EXACT_BITS).as_uint())
            | only_if(wanted & !sums, one_of_both.as_uint());
        io.result.set(result.as_sint());
    }
}
