//! Short networks on AVX-512: consecutive layers of up to 16 lanes as one call.
//!
//! Between two layers of a small network the lanes stay in one machine register; code made of
//! 128-bit vectors would need four, and has no shift by lane. A [`Chain`] is made from the
//! instructions that follow each other on one vector register.

use rmt_isa::operand::Element;
use rmt_isa::program::ChannelScale;

use super::pack::Unit;

/// Lanes of a chain's vectors.
pub(in crate::jit) const CHAIN_LANES: usize = 16;
/// Pairs of inputs of a product.
pub(super) const PAIRS: usize = CHAIN_LANES / 2;
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
    /// The accumulators between which results do not saturate; others are cut to them.
    pub(super) relevant_least: Words,
    pub(super) relevant_most: Words,
    pub(super) multipliers: [LongWords; 2],
    pub(super) halves: [LongWords; 2],
    pub(super) shifts: [LongWords; 2],
    pub(super) zero_point: i32,
    pub(super) least: i32,
    pub(super) most: i32,
}

/// `bias + weights · x`.
#[derive(Clone, Debug)]
pub(super) struct Product {
    pub(super) bias: Words,
    /// For each pair of inputs the two weights of each row, as i16; a multiple of [`SUMS`].
    pub(super) pairs: Vec<Words>,
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
            Some(Layer::Requantise(scales)) => {
                // The same as one after the other, also when the ranges do not meet.
                scales.least = scales.least.clamp(least, most);
                scales.most = scales.most.clamp(least, most);
            }
            _ => self.layers.push(Layer::Clamp { least, most }),
        }
    }

    /// Requantises with a scale for each lane; `relevant` are the accumulators between which
    /// the results of a lane do not saturate.
    pub(in crate::jit) fn requantise(
        &mut self,
        scale: impl Fn(usize) -> ChannelScale,
        relevant: impl Fn(ChannelScale) -> (i32, i32),
        zero_point: i32,
        element: Element,
    ) {
        let words = |f: &dyn Fn(usize) -> i32| Words(std::array::from_fn(f));
        let apart = |f: &dyn Fn(ChannelScale) -> i64| {
            [0, 1].map(|odd| LongWords(std::array::from_fn(|i| f(scale(2 * i + odd)))))
        };
        self.layers.push(Layer::Requantise(Box::new(Scales {
            relevant_least: words(&|lane| relevant(scale(lane)).0),
            relevant_most: words(&|lane| relevant(scale(lane)).1),
            multipliers: apart(&|scale| scale.multiplier.into()),
            halves: apart(&|scale| 1 << (scale.shift - 1)),
            shifts: apart(&|scale| scale.shift.into()),
            zero_point,
            least: element.min(),
            most: element.max(),
        })));
    }

    /// Multiplies with weights of `[rows, columns]`, row-major, both at most 16, and adds the
    /// bias of each row.
    pub(in crate::jit) fn product(&mut self, rows: usize, weights: &[i32], bias: &[i32]) {
        let columns = weights.len() / rows;
        let weight = |row: usize, column: usize| {
            if row < rows && column < columns { weights[row * columns + column] } else { 0 }
        };
        let pair = |pair: usize| {
            Words(std::array::from_fn(|row| {
                weight(row, 2 * pair) & 0xffff | weight(row, 2 * pair + 1) << 16
            }))
        };
        let pairs = columns.div_ceil(2).next_multiple_of(SUMS).min(PAIRS);
        self.layers.push(Layer::Product(Box::new(Product {
            bias: Words(std::array::from_fn(|row| bias.get(row).copied().unwrap_or(0))),
            pairs: (0..pairs).map(pair).collect(),
        })));
    }
}
