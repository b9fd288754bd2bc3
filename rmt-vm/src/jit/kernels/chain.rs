//! Short networks on AVX-512: consecutive layers of up to 16 lanes as one call.
//!
//! Between two layers of a small network the lanes stay in one machine register; code made of
//! 128-bit vectors would need four, and has no shift by lane. A [`Chain`] is made from the
//! instructions that follow each other on one vector register. What can be settled before an
//! event comes is settled then: a requantisation whose results cannot leave their range has
//! its zero point in the rounding constants and saturates by the cut of its accumulators.

use std::ops::RangeInclusive;

use rmt_isa::operand::Element;
use rmt_isa::program::ChannelScale;

use super::super::layers::relevant;

use super::pack::Unit;

/// Lanes of a chain's vectors.
pub(in crate::jit) const CHAIN_LANES: usize = 16;
/// Pairs of inputs of a product.
const PAIRS: usize = CHAIN_LANES / 2;
/// Largest shift with which a result of 16 bits, shifted back, fits 64 bits: sums that wrap on
/// the way there come out right.
const MOST_FOLDED_SHIFT: u8 = 47;
/// Layers on up to 16 lanes, one after the other.
#[derive(Clone, Debug)]
pub(in crate::jit) struct Chain {
    /// Type of the lanes that come in.
    pub(super) input: Element,
    pub(super) layers: Vec<Layer>,
}

/// One layer, in 32 bits a lane.
#[derive(Clone, Debug)]
pub(super) enum Layer {
    /// Conversion and ReLU.
    Clamp {
        least: i32,
        most: i32,
    },
    Requantise(Box<Scales>),
    Product(Box<Product>),
    Dot(Box<Dot>),
    /// Requantisation without a correction, or to the range of i16, and the product of its
    /// results.
    ScaledProduct(Box<(Scales, Product)>),
    /// The same with one row.
    ScaledDot(Box<(Scales, Dot)>),
}

/// A word for each lane, as one machine register.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Words(pub(super) [i32; CHAIN_LANES]);

/// A word of 64 bits for every other lane.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct LongWords(pub(super) [i64; CHAIN_LANES / 2]);

/// Requantisation; even lanes and odd ones apart.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    channels: [ChannelScale; CHAIN_LANES],
    zero_point: i32,
    least: i32,
    most: i32,
    /// The accumulators between which results do not saturate; others are cut to them.
    pub(super) relevant_least: Words,
    pub(super) relevant_most: Words,
    pub(super) multipliers: [LongWords; 2],
    /// What rounds, with the zero point where there is no correction.
    pub(super) halves: [LongWords; 2],
    pub(super) shifts: [LongWords; 2],
    pub(super) end: End,
    /// The accumulators that come in.
    accumulators: RangeInclusive<i32>,
}

/// What becomes of scaled and rounded words.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// Accumulators that were cut give results that need no more.
    Exact,
    /// The zero point is added to results of cut accumulators, then they saturate.
    Corrected(Correction),
    /// All results fit 32 bits without a cut, and saturate when a product packs them to i16.
    Packed,
}

/// What a result still needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Correction {
    pub(super) zero_point: i32,
    pub(super) least: i32,
    pub(super) most: i32,
}

/// `bias + weights · x`, rows side by side.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) bias: Words,
    /// Pairs of weights as i16. Lane `row` of `pairs[2 * turn + odd]` meets the pair of inputs
    /// `odd` of the block of four lanes that is `turn` behind its own: to turn the blocks of a
    /// register needs no table of places.
    pub(super) pairs: [Words; PAIRS],
}

/// `bias + weights · x` of one row, inputs side by side.
#[derive(Clone, Debug)]
pub(super) struct Dot {
    /// In lane 0.
    pub(super) bias: Words,
    /// Pairs of weights as i16, in even lanes; odd lanes are zero.
    pub(super) pairs: Words,
}

fn apart(f: impl Fn(usize) -> i64) -> [LongWords; 2] {
    [0, 1].map(|odd| LongWords(std::array::from_fn(|i| f(2 * i + odd))))
}

impl Scales {
    fn new(
        channels: [ChannelScale; CHAIN_LANES],
        zero_point: i32,
        element: Element,
        accumulators: RangeInclusive<i32>,
    ) -> Self {
        let none = || Words([0; CHAIN_LANES]);
        let mut scales = Self {
            channels,
            zero_point,
            least: element.min(),
            most: element.max(),
            relevant_least: none(),
            relevant_most: none(),
            multipliers: apart(|lane| channels[lane].multiplier.into()),
            halves: apart(|_| 0),
            shifts: apart(|lane| channels[lane].shift.into()),
            end: End::Exact,
            accumulators,
        };
        scales.settle();
        scales
    }

    /// Saturates results to a range as well.
    fn clamp(&mut self, least: i32, most: i32) {
        // The same as one after the other, also when the ranges do not meet.
        self.least = self.least.clamp(least, most);
        self.most = self.most.clamp(least, most);
        self.settle();
    }

    /// Sets what follows from channels, zero point and range.
    fn settle(&mut self) {
        let Self { channels, zero_point, least, most, .. } = *self;
        let cuts = channels.map(|scale| relevant(scale, zero_point, least, most));
        self.relevant_least = Words(cuts.map(|(least, _)| least));
        self.relevant_most = Words(cuts.map(|(_, most)| most));
        let result = |scale: ChannelScale, accumulator: i32| {
            let product = i64::from(accumulator) * i64::from(scale.multiplier);
            ((product + (1 << (scale.shift - 1))) >> scale.shift) + i64::from(zero_point)
        };
        // Results grow with their accumulators: those at both ends tell for all between.
        let exact = channels.iter().zip(cuts).all(|(&scale, (first, last))| {
            scale.shift <= MOST_FOLDED_SHIFT
                && result(scale, first) >= least.into()
                && result(scale, last.max(first)) <= most.into()
        });
        self.end = match exact {
            true => End::Exact,
            false => End::Corrected(Correction { zero_point, least, most }),
        };
        self.round(if exact { zero_point } else { 0 });
    }

    /// Rounds half up, and adds a number to the result.
    fn round(&mut self, more: i32) {
        let shift = |lane: usize| self.channels[lane].shift;
        self.halves =
            apart(|lane| (1_i64 << (shift(lane) - 1)).wrapping_add(i64::from(more) << shift(lane)));
    }

    /// The same for a product behind it, if it can be part of it.
    fn for_product(&self) -> Option<Self> {
        if matches!(self.end, End::Exact) {
            return Some(self.clone());
        }
        let is_i16 = (self.least, self.most) == (Element::I16.min(), Element::I16.max());
        // Results grow with their accumulators: those at both ends tell for all between.
        let fits = |scale: &ChannelScale| {
            [self.accumulators.start(), self.accumulators.end()].into_iter().all(|&accumulator| {
                let product = i128::from(accumulator) * i128::from(scale.multiplier);
                let folded = i128::from(self.zero_point) << scale.shift;
                let rounded = product + (1 << (scale.shift - 1)) + folded;
                i64::try_from(rounded).is_ok() && i32::try_from(rounded >> scale.shift).is_ok()
            })
        };
        if !is_i16 || !self.channels.iter().all(fits) {
            return None;
        }
        let mut packed = Self { end: End::Packed, ..self.clone() };
        packed.round(self.zero_point);
        Some(packed)
    }
}

impl Chain {
    /// Whether this machine can run chains.
    pub(in crate::jit) fn is_possible() -> bool {
        Unit::Avx512Vnni.is_present()
    }

    pub(in crate::jit) fn new(input: Element) -> Self {
        Self { input, layers: Vec::new() }
    }

    /// Saturates to a range; at no cost behind a requantisation, which saturates anyway.
    pub(in crate::jit) fn clamp(&mut self, least: i32, most: i32) {
        if (least, most) == (i32::MIN, i32::MAX) {
            return;
        }
        match self.layers.last_mut() {
            Some(Layer::Requantise(scales)) => scales.clamp(least, most),
            _ => self.layers.push(Layer::Clamp { least, most }),
        }
    }

    /// Requantises with a scale for each lane.
    pub(in crate::jit) fn requantise(
        &mut self,
        scale: impl Fn(usize) -> ChannelScale,
        zero_point: i32,
        element: Element,
    ) {
        let accumulators = match self.layers.last() {
            None => self.input.min()..=self.input.max(),
            Some(_) => i32::MIN..=i32::MAX,
        };
        let scales = Scales::new(std::array::from_fn(scale), zero_point, element, accumulators);
        self.layers.push(Layer::Requantise(Box::new(scales)));
    }

    /// Multiplies with weights of `[rows, columns]`, row-major, both at most 16, and adds the
    /// bias of each row.
    pub(in crate::jit) fn product(&mut self, rows: usize, weights: &[i32], bias: &[i32]) {
        let columns = weights.len() / rows;
        let weight = |row: usize, column: usize| {
            if row < rows && column < columns { weights[row * columns + column] } else { 0 }
        };
        let pair = |row: usize, pair: usize| {
            weight(row, 2 * pair) & 0xffff | weight(row, 2 * pair + 1) << 16
        };
        let bias = Words(std::array::from_fn(|row| bias.get(row).copied().unwrap_or(0)));
        let scales = self.take_scales();
        self.layers.push(if rows == 1 {
            let lane = |lane: usize| if lane.is_multiple_of(2) { pair(0, lane / 2) } else { 0 };
            let dot = Dot { bias, pairs: Words(std::array::from_fn(lane)) };
            match scales {
                Some(scales) => Layer::ScaledDot(Box::new((scales, dot))),
                None => Layer::Dot(Box::new(dot)),
            }
        } else {
            let pairs = std::array::from_fn(|place| {
                let (turn, odd) = (place / 2, place % 2);
                Words(std::array::from_fn(|row| pair(row, 2 * ((row / 4 + turn) % 4) + odd)))
            });
            let product = Product { bias, pairs };
            match scales {
                Some(scales) => Layer::ScaledProduct(Box::new((scales, product))),
                None => Layer::Product(Box::new(product)),
            }
        });
    }

    /// Takes the last layer, if it can be part of a product behind it.
    fn take_scales(&mut self) -> Option<Scales> {
        let Some(Layer::Requantise(scales)) = self.layers.last() else { return None };
        let scales = scales.for_product()?;
        self.layers.pop();
        Some(scales)
    }
}
