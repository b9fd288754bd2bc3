//! The requantiser: `rmt_isa::arithmetic::requantise` on some lanes each cycle.

use super::lanes::{field, join, split};
use super::memory::HostMemory;
use super::ports::HostRequest;
use crate::bits::{as_word, at_most, beside_multiplier, saved_carries};
use rmt_isa::card::engine::{CHANNEL_MULTIPLIER, CHANNEL_SHIFT, EngineRegion, EngineShape};
use rtl_builder::prelude::*;

/// Cycles from the address of a scale to the result that uses it.
pub const REQUANTISE_CYCLES: u32 = 5;

/// Scales lanes of 32 bits. The results are exact as far as [`RESULT_BITS`] go: they are saturated on their way to the registers.
///
/// The lanes come one cycle after the address of their scales. Rounding half up needs no wide
/// adder: `(p + 2^(s-1)) >> s` equals `(p >> s)` plus bit `s - 1` of `p`.
#[derive(Clone, Debug)]
pub struct Requantiser {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`Requantiser`].
#[derive(Clone, Ports)]
pub struct RequantiserIo {
    /// Writes of the host
    pub host: Input<HostRequest>,
    /// Reads scales
    pub enable: Input<Bool>,
    /// Word of scales
    pub address: Input<UInt>,
    /// One cycle after the address: the lanes, 32 bits each
    pub lanes: Input<UInt>,
    /// Four cycles after the lanes: what is added after scaling
    pub zero_point: Input<SInt>,
    /// With `zero_point`: the results, [`RESULT_BITS`] each
    pub results: Output<UInt>,
}

impl Component for Requantiser {
    type Io = RequantiserIo;

    fn name(&self) -> String {
        format!("requantiser_r{}_w{}", self.shape.requantise_lanes, self.shape.scale_words)
    }

    fn doc(&self) -> String {
        "Fixed-point scaling of accumulators with rounding half up.".into()
    }

    fn io(&self) -> RequantiserIo {
        let lanes = |bits: u32| uint(self.shape.requantise_lanes * bits);
        RequantiserIo {
            host: input(HostRequest::shape(&self.shape)),
            enable: input(boolean()),
            address: input(uint(16)),
            lanes: input(lanes(32)),
            zero_point: input(sint(32)),
            results: output(lanes(RESULT_BITS)),
        }
    }

    fn build(&self, io: RequantiserIo) {
        let channel_bits = CHANNEL_MULTIPLIER.bits + CHANNEL_SHIFT.bits;
        let scales = HostMemory::new(
            "scales",
            EngineRegion::Scales,
            channel_bits,
            &self.shape,
            io.host.value(),
        );
        let channels = scales.read(io.enable.value(), io.address.value());
        let results: Vec<SInt> = split(io.lanes.value(), 32)
            .into_iter()
            .zip(split(channels, channel_bits))
            .enumerate()
            .map(|(i, (accumulator, channel))| {
                let lane = instance(format!("lane{i}"), RequantiserLane);
                let channel = channel.as_uint();
                lane.accumulator.set(accumulator);
                lane.multiplier.set(field(channel, CHANNEL_MULTIPLIER));
                lane.shift.set(field(channel, CHANNEL_SHIFT));
                lane.zero_point.set(io.zero_point);
                lane.result.value()
            })
            .collect();
        io.results.set(join(&results));
    }
}

/// One lane of the requantiser.
#[derive(Clone, Copy, Debug)]
pub struct RequantiserLane;

/// Ports of [`RequantiserLane`].
#[derive(Clone, Ports)]
pub struct RequantiserLaneIo {
    /// What is scaled
    pub accumulator: Input<SInt>,
    /// Multiplier of the lane's channel
    pub multiplier: Input<UInt>,
    /// Shift of the lane's channel, 1 to 62
    pub shift: Input<UInt>,
    /// Four cycles later: what is added after scaling
    pub zero_point: Input<SInt>,
    /// With `zero_point`: the result
    pub result: Output<SInt>,
}

impl Component for RequantiserLane {
    type Io = RequantiserLaneIo;

    fn name(&self) -> String {
        "requantiser_lane".into()
    }

    fn doc(&self) -> String {
        "One lane of the requantiser: product, shift, rounding, zero point.".into()
    }

    fn io(&self) -> RequantiserLaneIo {
        RequantiserLaneIo {
            accumulator: input(sint(32)),
            multiplier: input(uint(CHANNEL_MULTIPLIER.bits)),
            shift: input(uint(CHANNEL_SHIFT.bits)),
            zero_point: input(sint(32)),
            result: output(sint(RESULT_BITS)),
        }
    }

    fn build(&self, io: RequantiserLaneIo) {
        // The product of 32 bits is four of 16 and 17 bits, each with the registers of a DSP block. The upper
        // halves are signed, the lower ones get a zero as sign.
        let halves = |name: &str, value: SInt| {
            let value = beside_multiplier(name, value);
            let low = value.as_uint().trunc(16).zext(17).as_sint();
            ((value >> 16).named(format!("{name}_high")), low.named(format!("{name}_low")))
        };
        let (a_high, a_low) = halves("accumulator_q", io.accumulator.value());
        let (m_high, m_low) = halves("multiplier_q", io.multiplier.zext(32).as_sint());
        let low = delayed("product_low", a_low * m_low);
        let middle = [
            delayed("product_middle0", a_high * m_low),
            delayed("product_middle1", a_low * m_high),
        ];
        let high = delayed("product_high", a_high * m_high);
        // The upper 32 bits of the low product and the high product stand beside each other. The low 16 bits get nothing added.
        let outer = high.as_uint().concat(low.as_uint().trunc(32)).trunc(PRODUCT_BITS);
        let [first, second] = middle.map(|product| product.sext(PRODUCT_BITS - 16).as_uint());
        let (sum, carries) = saved_carries(outer.bits(16..PRODUCT_BITS), first, second);
        let upper = sum.wrapping_add(carries);
        let product = delayed("product", upper.concat(outer.bits(0..16)).as_sint());

        // The shift has two cycles to spare until the product is there: in them it is decoded.
        let places = delayed("places_q", delayed("places", all_but_one(io.shift.value())));
        let kept = delayed("kept_places", like_sign(places));
        let shifted =
            delayed("shifted", shift_and_shorten(product, delayed("places_q2", places), kept));
        io.result.set(halve_and_add(shifted, io.zero_point.value()));
    }
}

/// Bits of a shifted product, with one place behind the point: what is beyond is saturated again whatever the zero point is,
/// and the adder behind is short.
const SHORT_BITS: u32 = 34;
/// Bits of a result.
pub const RESULT_BITS: u32 = SHORT_BITS;
/// Bits of a product.
const PRODUCT_BITS: u32 = 64;

/// Which bits of a product, from that which comes to stand at the sign of the short number without a shift up to that below
/// its own sign, must be like its sign when it is shifted by so many places.
pub(crate) fn like_sign(places: UInt) -> UInt {
    as_word(
        &(0..PRODUCT_BITS - SHORT_BITS).map(|bit| at_most(places, bit.into())).collect::<Vec<_>>(),
    )
}

/// A product shifted right and saturated to [`SHORT_BITS`]: whether it is beyond is seen from what it was before, with
/// [`like_sign`] of the places.
pub(crate) fn shift_and_shorten(product: SInt, places: UInt, like_sign: UInt) -> SInt {
    let negative = product.is_negative();
    let upper = product.as_uint().bits(SHORT_BITS - 1..PRODUCT_BITS - 1);
    let unlike = upper ^ negative.as_uint().repeat((PRODUCT_BITS - SHORT_BITS) as usize);
    let beyond = (unlike & like_sign).reduce_or().named("beyond");
    // The largest step first: behind each step only what the smaller ones can still move into the result is kept.
    let shifted = (0..places.width()).rev().fold(product, |value, step| {
        let kept = SHORT_BITS + (1 << step) - 1;
        let moved = value >> (1 << step);
        let fitting =
            |value: SInt| if value.width() < kept { value.sext(kept) } else { value.trunc(kept) };
        mux(places.bit(step), fitting(moved), fitting(value))
    });
    let most = (!negative).as_uint().repeat(SHORT_BITS as usize - 1);
    let limit = negative.as_uint().concat(most).as_sint();
    mux(beyond, limit, shifted)
}

/// The places of a shift less the last one, which [`halve_and_add`] makes.
pub(crate) fn all_but_one(shift: UInt) -> UInt {
    shift.wrapping_sub(UInt::lit(1, CHANNEL_SHIFT.bits))
}

/// `((x + 1) >> 1) + zero_point` with one carry chain: with bit 0 of `x` below the zero point as well, the two are 0 or make
/// the carry that rounds.
pub(crate) fn halve_and_add(x: SInt, zero_point: SInt) -> SInt {
    let added = zero_point.as_uint().concat(x.bit(0).as_uint()).as_sint();
    (x + added) >> 1
}
