//! The lowest set bit of a word.

use crate::prelude::*;
use std::marker::PhantomData;

/// Whether a bit of `bits` is set, and the number of the lowest one; the number means nothing if none is.
///
/// A tree of multiplexers, as deep as the logarithm of the width.
#[track_caller]
pub fn lowest_set<D: Domain>(bits: impl Source<UInt<D>>) -> (Bool<D>, UInt<D>) {
    let bits = bits.source(None);
    let width = bits.width();
    let index_width = bits_for(u64::from(width)).max(1);
    if width <= 1 {
        return (bits.reduce_or(), UInt::lit(0, 1));
    }
    // Split at the largest power of two below the width, so that the lower half's index needs one bit fewer.
    let half = 1 << (index_width - 1);
    let (low_any, low_index) = lowest_set(bits.bits(0..half));
    let (high_any, high_index) = lowest_set(bits.bits(half..width));
    if index_width == 1 {
        return (low_any | high_any, (!low_any).as_uint());
    }
    let below = mux(low_any, low_index.resize(index_width - 1), high_index.resize(index_width - 1));
    (low_any | high_any, (!low_any).as_uint().concat(below))
}

/// [`lowest_set`] as a module.
#[derive(Debug, Clone, Copy)]
pub struct PriorityEncoder<D: Domain = Main> {
    /// Bits of the input, at least 1.
    pub width: u32,
    /// The clock domain.
    pub domain: PhantomData<D>,
}

impl<D: Domain> PriorityEncoder<D> {
    /// An encoder of `width` bits.
    pub fn new(width: u32) -> Self {
        Self { width, domain: PhantomData }
    }
}

/// Ports of a [`PriorityEncoder`].
#[derive(Clone, Ports)]
pub struct PriorityEncoderIo<D: Domain = Main> {
    /// The word to search
    pub bits: Input<UInt<D>>,
    /// A bit is set
    pub any: Output<Bool<D>>,
    /// Number of the lowest set bit
    pub index: Output<UInt<D>>,
}

impl<D: Domain> Component for PriorityEncoder<D> {
    type Io = PriorityEncoderIo<D>;

    fn name(&self) -> String {
        format!("priority_encoder_w{}{}", self.width, D::suffix())
    }

    fn doc(&self) -> String {
        format!("Number of the lowest set bit of {}", self.width)
    }

    fn io(&self) -> PriorityEncoderIo<D> {
        PriorityEncoderIo {
            bits: input(UInt::of(self.width)),
            any: output(Bool::of()),
            index: output(UInt::of(bits_for(u64::from(self.width)).max(1))),
        }
    }

    fn build(&self, io: PriorityEncoderIo<D>) {
        let (any, index) = lowest_set(io.bits);
        io.any.set(any);
        io.index.set(index);
    }
}
