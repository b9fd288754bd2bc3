//! One lane of the pooling unit.

use rmt_isa::operand::Element;
use rtl_builder::prelude::*;

/// Keeps the largest of values that come one after the other, or adds them up.
#[derive(Clone, Copy, Debug)]
pub struct PoolLane;

/// Ports of [`PoolLane`].
#[derive(Clone, Ports)]
pub struct PoolLaneIo {
    /// A value comes
    pub valid: Input<Bool>,
    /// The value
    pub value: Input<SInt>,
    /// It lies inside the input: others do not count
    pub inside: Input<Bool>,
    /// It begins a new result
    pub first: Input<Bool>,
    /// The largest one is wanted, not the sum
    pub largest: Input<Bool>,
    /// Number of the element type, whose smallest value is the largest one of none
    pub element: Input<UInt>,
    /// The result of all values up to the last cycle
    pub result: Output<SInt>,
}

impl Component for PoolLane {
    type Io = PoolLaneIo;

    fn name(&self) -> String {
        "pool_lane".into()
    }

    fn doc(&self) -> String {
        "Largest value or sum of a channel under a window.".into()
    }

    fn io(&self) -> PoolLaneIo {
        PoolLaneIo {
            valid: input(boolean()),
            value: input(sint(32)),
            inside: input(boolean()),
            first: input(boolean()),
            largest: input(boolean()),
            element: input(uint(2)),
            result: output(sint(32)),
        }
    }

    fn build(&self, io: PoolLaneIo) {
        let so_far = reg_uninit("so_far", sint(32));
        let least = |element: Element| SInt::lit(element.min().into(), 32);
        let smallest = lookup(
            io.element,
            &[(0, least(Element::I8)), (1, least(Element::I16))],
            least(Element::I32),
        );
        let none = mux(io.largest, smallest, SInt::lit(0, 32));
        let before = mux(io.first, none, so_far.value()).named("before");
        let value = io.value.value();
        let larger = mux(value.gt(before), value, before);
        let with = mux(io.largest, larger, before.wrapping_add(value)).named("with_value");
        when(io.valid, || so_far.next(mux(io.inside, with, before)));
        io.result.set(so_far);
    }
}
