//! The requantiser equals `rmt_isa::arithmetic::requantise`.
//!
//! A product of 32 by 31 bits is out of reach of solvers when two sides make it in different cycles, so the proof has two
//! parts: what follows the product, for every product; and the whole lane, its registers among it, for small factors.

use rtl_builder::formal::{self, Goal};
use rtl_builder::prelude::*;

use rmt_isa::card::engine::{CHANNEL_MULTIPLIER, CHANNEL_SHIFT};

use crate::engine::lanes::saturate;
use crate::engine::requantiser::{
    RequantiserLane, all_but_one, halve_and_add, like_sign, shift_and_shorten,
};

/// Cycles from the accumulator to the result, and from it to the zero point.
const LATENCY_CYCLES: u32 = 4;
const ZERO_POINT_CYCLES: u32 = 4;

/// The definition, in one step and wide enough for every sum.
fn definition(product: SInt, shift: UInt, zero_point: SInt, element: UInt) -> SInt {
    let half = UInt::lit(1, 72).shift_left(shift.wrapping_sub(UInt::lit(1, CHANNEL_SHIFT.bits)));
    let scaled = (product.sext(72) + half.as_sint()).shift_right(shift) + zero_point;
    let clamp = |bits: u32| {
        let (least, most) = (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1);
        let [least, most] = [least, most].map(|bound| SInt::lit(bound, scaled.width()));
        mux(scaled.gt(most), most, mux(scaled.lt(least), least, scaled)).trunc(32)
    };
    lookup(element, &[(0, clamp(8)), (1, clamp(16))], clamp(32))
}

fn assume_in_range(shift: UInt, element: UInt) {
    formal::assume("shift_is_in_range", shift.ge(1) & shift.le(62));
    formal::assume("element_exists", element.lt(3));
}

/// All that the lane makes of a product, without its registers.
struct FromProduct;

#[derive(Clone, Ports)]
struct FromProductIo {
    product: Input<SInt>,
    shift: Input<UInt>,
    zero_point: Input<SInt>,
    element: Input<UInt>,
    result: Output<SInt>,
}

impl Component for FromProduct {
    type Io = FromProductIo;

    fn name(&self) -> String {
        "requantiser_after_product".into()
    }

    fn io(&self) -> FromProductIo {
        FromProductIo {
            product: input(sint(64)),
            shift: input(uint(CHANNEL_SHIFT.bits)),
            zero_point: input(sint(32)),
            element: input(uint(2)),
            result: output(sint(32)),
        }
    }

    fn build(&self, io: FromProductIo) {
        let (shift, zero_point, element) =
            (io.shift.value(), io.zero_point.value(), io.element.value());
        let places = all_but_one(shift);
        let shifted = shift_and_shorten(io.product.value(), places, like_sign(places));
        let result = saturate(halve_and_add(shifted, zero_point), element).named("made");
        io.result.set(result);
        let defined = definition(io.product.value(), shift, zero_point, element).named("defined");
        assume_in_range(shift, element);
        formal::assert("equal", result.eq(defined));
        formal::cover("saturates", result.eq(127) & element.is_zero() & zero_point.eq(0));
        formal::cover("rounds_up", result.eq(1) & shift.eq(62) & zero_point.eq(0));
    }
}

/// A lane beside the definition of what its inputs were.
struct Lane;

#[derive(Clone, Ports)]
struct LaneIo {
    accumulator: Input<SInt>,
    multiplier: Input<UInt>,
    shift: Input<UInt>,
    zero_point: Input<SInt>,
    element: Input<UInt>,
    result: Output<SInt>,
}

impl Component for Lane {
    type Io = LaneIo;

    fn name(&self) -> String {
        "requantiser_lane_small_factors".into()
    }

    fn io(&self) -> LaneIo {
        LaneIo {
            accumulator: input(sint(3)),
            multiplier: input(uint(2)),
            shift: input(uint(CHANNEL_SHIFT.bits)),
            zero_point: input(sint(32)),
            element: input(uint(2)),
            result: output(sint(32)),
        }
    }

    fn build(&self, io: LaneIo) {
        let dut = instance("dut", RequantiserLane);
        dut.accumulator.set(io.accumulator.sext(32));
        dut.multiplier.set(io.multiplier.zext(CHANNEL_MULTIPLIER.bits));
        dut.shift.set(io.shift);
        dut.zero_point.set(io.zero_point);
        let since = LATENCY_CYCLES - ZERO_POINT_CYCLES;
        let element = later("element", io.element.value(), since);
        // The result is saturated on its way to the registers.
        let result = saturate(dut.result.value(), element);
        io.result.set(result);

        let product = io.accumulator * io.multiplier.zext(3).as_sint();
        let product = later("product", product.sext(64), LATENCY_CYCLES);
        let shift = later("shift", io.shift.value(), LATENCY_CYCLES);
        let zero_point = later("zero_point", io.zero_point.value(), since);
        let age = reg("age", uint(3), 0).doc("Cycles since the reset");
        let filled = age.eq(u64::from(LATENCY_CYCLES));
        when(!filled, || age.next(age.wrapping_add(1)));
        assume_in_range(io.shift.value(), io.element.value());
        formal::assert(
            "equal",
            !filled | result.eq(definition(product, shift, zero_point, element)),
        );
        formal::cover("a_result_is_made", filled & result.eq(3));
    }
}

/// A value as it was some cycles ago.
fn later<T: Bundle>(name: &str, value: T, cycles: u32) -> T {
    (0..cycles).fold(value, |value, cycle| delayed(format!("{name}_{cycle}"), value))
}

#[test]
fn what_follows_the_product_equals_the_integer_definition() {
    super::prove(FromProduct, Goal::Always);
}

#[test]
fn the_lane_takes_each_input_when_it_says() {
    // Four registers in a row without feedback: what holds in the first cycles holds always.
    super::prove(Lane, Goal::Bounded { cycles: 8 });
}
