//! Short networks on AVX-512: consecutive layers of up to 16 lanes as one call.
//!
//! Between two layers of a small network the lanes stay in one machine register; code made of
//! 128-bit vectors would need four, and has no shift by lane. A [`Chain`] is made from the
//! instructions that follow each other on one vector register. What can be settled before an
//! event comes is settled then: a requantisation whose results cannot leave their range has
//! its zero point in the rounding constants and saturates by the cut of its accumulators.

use rmt_isa::operand::Element;
use rmt_isa::program::ChannelScale;

use super::super::layers::relevant;

use super::pack::Unit;

/// Lanes of a chain's vectors.
pub(in crate::jit) const CHAIN_LANES: usize = 16;
/// Pairs of inputs of a product.
pub(super) const PAIRS: usize = CHAIN_LANES / 2;
/// Largest shift with which a result of 16 bits, shifted back, fits 64 bits: sums that wrap on
/// the way there come out right.
const MOST_FOLDED_SHIFT: u8 = 47;
/// Pairs that a product takes at a time, each to a sum of its own.
pub(super) const SUMS: usize = 4;

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
    /// Requantisation without a correction, and the product of its results.
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
    /// `None`: cut accumulators give results that need no more.
    pub(super) correction: Option<Correction>,
}

/// What a result still needs: the zero point is added, then it saturates.
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
    /// For each pair of inputs the two weights of each row, as i16; a multiple of [`SUMS`].
    pub(super) pairs: Vec<Words>,
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
    fn new(channels: [ChannelScale; CHAIN_LANES], zero_point: i32, element: Element) -> Self {
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
            correction: None,
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
        self.correction = (!exact).then_some(Correction { zero_point, least, most });
        let folded = if exact { i64::from(zero_point) } else { 0 };
        self.halves = apart(|lane| {
            let shift = channels[lane].shift;
            (1_i64 << (shift - 1)).wrapping_add(folded << shift)
        });
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
        let scales = Scales::new(std::array::from_fn(scale), zero_point, element);
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
            let pairs = columns.div_ceil(2).next_multiple_of(SUMS).min(PAIRS);
            let rows = |place: usize| Words(std::array::from_fn(|row| pair(row, place)));
            let product = Product { bias, pairs: (0..pairs).map(rows).collect() };
            match scales {
                Some(scales) => Layer::ScaledProduct(Box::new((scales, product))),
                None => Layer::Product(Box::new(product)),
            }
        });
    }

    /// Takes the last layer, if it can be part of the next one.
    fn take_scales(&mut self) -> Option<Scales> {
        match self.layers.pop() {
            Some(Layer::Requantise(scales)) if scales.correction.is_none() => Some(*scales),
            last => {
                self.layers.extend(last);
                None
            }
        }
    }
}
