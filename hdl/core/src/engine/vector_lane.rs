//! One lane of the vector unit.

use super::lanes::saturate;
use super::operation::{FUNCTION_BITS, Function};
use rtl_builder::prelude::*;

/// One lane: operand registers and an adder, multiplier and comparator behind them.
#[derive(Clone, Copy, Debug)]
pub struct VectorLane;

/// Ports of [`VectorLane`].
#[derive(Clone, Ports)]
pub struct VectorLaneIo {
    /// First operand
    pub a: Input<SInt>,
    /// Second operand
    pub b: Input<SInt>,
    /// One cycle after the operands: number of the function
    pub function: Input<UInt>,
    /// With `function`: number of the element type of the result
    pub element: Input<UInt>,
    /// With `function`: the first operand
    pub a_held: Output<SInt>,
    /// With `function`: the result
    pub result: Output<SInt>,
}

impl Component for VectorLane {
    type Io = VectorLaneIo;

    fn name(&self) -> String {
        "vector_lane".into()
    }

    fn doc(&self) -> String {
        "One lane of the vector unit; the result comes one cycle after the operands.".into()
    }

    fn io(&self) -> VectorLaneIo {
        VectorLaneIo {
            a: input(sint(32)),
            b: input(sint(32)),
            function: input(uint(FUNCTION_BITS)),
            element: input(uint(2)),
            a_held: output(sint(32)),
            result: output(sint(32)),
        }
    }

    fn build(&self, io: VectorLaneIo) {
        let a = delayed("a_q", io.a);
        let b = delayed("b_q", io.b);
        let a_is_smaller = a.lt(b).named("a_is_smaller");
        // Only i8 and i16 are multiplied: 16 bits of each operand carry the value.
        let product = (a.trunc(16) * b.trunc(16)).named("product");
        let exact = lookup(
            io.function,
            &[
                (Function::Add as u64, a + b),
                (Function::Sub as u64, a - b),
                (Function::Min as u64, mux(a_is_smaller, a, b).sext(33)),
                (Function::Max as u64, mux(a_is_smaller, b, a).sext(33)),
            ],
            a.sext(33),
        )
        .named("exact");
        io.a_held.set(a);
        // A product is an i32 and fits: it need not pass what saturates.
        let multiplies = io.function.eq(Function::Mul as u64);
        let saturated = saturate(exact, io.element.value());
        io.result.set(mux(multiplies, product.sext(32), saturated));
    }
}
