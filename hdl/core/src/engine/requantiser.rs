//! The requantiser: `rmt_isa::arithmetic::requantise` on some lanes each cycle.

use super::lanes::{field, join, join_bools, saturate, split};
use super::memory::HostMemory;
use super::ports::HostRequest;
use crate::bits::beside_multiplier;
use rmt_isa::card::engine::{CHANNEL_MULTIPLIER, CHANNEL_SHIFT, EngineRegion, EngineShape};
use rtl_builder::prelude::*;

/// Cycles from the address of a scale to the result that uses it.
pub const REQUANTISE_CYCLES: u32 = 5;

/// Scales lanes of 32 bits and saturates them to an element type.
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
    /// With `zero_point`: number of the element type
    pub element: Input<UInt>,
    /// With `zero_point`: the results, 32 bits each
    pub results: Output<UInt>,
}

impl Component for Requantiser {
    type Io = RequantiserIo;

    fn name(&self) -> String {
        format!("requantiser_r{}_w{}", self.shape.requantise_lanes, self.shape.scale_words)
    }

    fn doc(&self) -> String {
        "Fixed-point scaling of accumulators with rounding half up and saturation.".into()
    }

    fn io(&self) -> RequantiserIo {
        let lanes = uint(self.shape.requantise_lanes * 32);
        RequantiserIo {
            host: input(HostRequest::shape(&self.shape)),
            enable: input(boolean()),
            address: input(uint(16)),
            lanes: input(lanes),
            zero_point: input(sint(32)),
            element: input(uint(2)),
            results: output(lanes),
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
                lane.element.set(io.element);
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
    /// With `zero_point`: number of the element type
    pub element: Input<UInt>,
    /// With `zero_point`: the result
    pub result: Output<SInt>,
}

impl Component for RequantiserLane {
    type Io = RequantiserLaneIo;

    fn name(&self) -> String {
        "requantiser_lane".into()
    }

    fn doc(&self) -> String {
        "One lane of the requantiser: product, shift, rounding, zero point, saturation.".into()
    }

    fn io(&self) -> RequantiserLaneIo {
        RequantiserLaneIo {
            accumulator: input(sint(32)),
            multiplier: input(uint(CHANNEL_MULTIPLIER.bits)),
            shift: input(uint(CHANNEL_SHIFT.bits)),
            zero_point: input(sint(32)),
            element: input(uint(2)),
            result: output(sint(32)),
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
        // The upper 32 bits of the low product and the high product stand beside each other.
        let outer = high.as_uint().concat(low.as_uint().trunc(32)).as_sint();
        let inner = (middle[0] + middle[1]) << 16;
        let product = delayed("product", (outer + inner).trunc(64));

        let places = delayed("places", all_but_one(io.shift.value()));
        let places = delayed("places_q2", delayed("places_q", places));
        let shifted = delayed("shifted", shift_and_shorten(product, places));
        io.result.set(saturate(halve_and_add(shifted, io.zero_point.value()), io.element.value()));
    }
}

/// Bits of a shifted product: what is beyond is saturated again whatever the zero point is, and the adder behind is short.
const SHORT_BITS: u32 = 35;

/// A product shifted right and saturated to 35 bits. It is shifted by eights first: whether it is beyond is seen from that
/// while the last places are shifted.
pub(crate) fn shift_and_shorten(product: SInt, places: UInt) -> SInt {
    let eights = places.bits(3..places.width()).concat(UInt::lit(0, 3));
    let coarse = product.shift_right(eights).named("shifted_by_eights");
    let last_places = places.trunc(3);
    let negative = coarse.is_negative();
    let sign = coarse.width() - 1;
    // All bits that come to stand at the sign of the short number or above it must be like the sign; the lowest ones of
    // these move below it.
    let counts = (SHORT_BITS - 1..sign).map(|bit| {
        let differs = coarse.bit(bit) ^ negative;
        match bit - (SHORT_BITS - 1) {
            moved @ 0..7 => differs & last_places.le(u64::from(moved)),
            _ => differs,
        }
    });
    let beyond = join_bools(&counts.collect::<Vec<_>>()).reduce_or().named("beyond");
    let most = (!negative).as_uint().repeat(SHORT_BITS as usize - 1);
    let limit = negative.as_uint().concat(most).as_sint();
    mux(beyond, limit, coarse.shift_right(last_places).trunc(SHORT_BITS))
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
