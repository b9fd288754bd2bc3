//! Two neighbouring cells of the multiplier array that share a multiplier.

use super::cell::{CELL_CYCLES, SUM_BITS, WEIGHT_BITS, next_weight};
use rmt_isa::card::engine::activation_bits;
use rtl_builder::prelude::*;

/// Bits of an activation that two weights can meet at once.
const ACTIVATION_BITS: u32 = activation_bits(2);
/// Bits of the product of an activation and a weight: from -127 x 128 to 128 x 128.
const PRODUCT_BITS: u32 = ACTIVATION_BITS + WEIGHT_BITS;
/// Bits of both weights side by side, as wide as the DSP block of the 7-series takes: the upper one less the sign of
/// the lower one takes a bit more than a weight.
const PAIR_BITS: u32 = PRODUCT_BITS + WEIGHT_BITS + 1;

/// Two cells: the same activation, two weights, one multiplier.
///
/// ```text
/// (left + 2^16 right) x activation = left x activation + 2^16 (right x activation)
/// ```
///
/// The left product is the low half, signed; where it is negative it has borrowed one from the upper part, which
/// the addition of its sign gives back. All is exact, as the left product fits 16 bits. Registers stand as in
/// [`MacCell`](super::cell::MacCell), but the sums are added beside the block.
#[derive(Clone, Copy, Debug)]
pub struct MacPair;

/// Ports of [`MacPair`]: those of a cell, and of its neighbour.
#[derive(Clone, Ports)]
pub struct MacPairIo {
    /// Takes both weights into a plane
    pub load: Input<Bool>,
    /// The plane that is loaded
    pub load_plane: Input<Bool>,
    /// Weight of the left column
    pub left_weight: Input<SInt>,
    /// Weight of the right column
    pub right_weight: Input<SInt>,
    /// The plane whose weights meet the activation of the next cycle
    pub plane: Input<Bool>,
    /// Activation
    pub activation: Input<SInt>,
    /// Sum of the left cells above, two cycles after the activation that it belongs to
    pub left_above: Input<SInt>,
    /// Sum of the right cells above
    pub right_above: Input<SInt>,
    /// `left_above` and the left product, three cycles after the activation
    pub left_sum: Output<SInt>,
    /// `right_above` and the right product
    pub right_sum: Output<SInt>,
}

impl Component for MacPair {
    type Io = MacPairIo;

    fn name(&self) -> String {
        "mac_pair".into()
    }

    fn doc(&self) -> String {
        "Two multiply-accumulate cells with one multiplier, for activations of 8 bits.".into()
    }

    fn io(&self) -> MacPairIo {
        let (weight, sum) = (sint(WEIGHT_BITS), sint(SUM_BITS));
        MacPairIo {
            load: input(boolean()),
            load_plane: input(boolean()),
            left_weight: input(weight),
            right_weight: input(weight),
            plane: input(boolean()),
            activation: input(sint(ACTIVATION_BITS)),
            left_above: input(sum),
            right_above: input(sum),
            left_sum: output(sum),
            right_sum: output(sum),
        }
    }

    fn build(&self, io: MacPairIo) {
        const { assert!(CELL_CYCLES == 3) };
        let next = |name: &str, weight: SInt| {
            next_weight(name, io.load.value(), io.load_plane.value(), weight, io.plane.value())
        };
        let left = next("left", io.left_weight.value());
        let right = next("right", io.right_weight.value());
        let borrow = left.is_negative().as_uint().as_sint().sext(WEIGHT_BITS + 1);
        let upper = right.sext(WEIGHT_BITS + 1).wrapping_add(borrow);
        let pair = upper.as_uint().concat(left.sext(PRODUCT_BITS).as_uint()).as_sint();
        // Kept, or the block would take it in as well, and the tables before it would lie before the block.
        let chosen = reg_uninit("chosen", sint(PAIR_BITS)).attribute("keep");
        chosen.next(pair);
        let factors = delayed("factors", chosen);
        let activation = delayed("activation_q", io.activation);
        let products = delayed("products", activation * factors).as_uint();

        let left = products.bits(0..PRODUCT_BITS);
        let right = products.bits(PRODUCT_BITS..2 * PRODUCT_BITS).as_sint();
        let borrowed = left.bit(PRODUCT_BITS - 1);
        io.left_sum.set(delayed("left_q", io.left_above.wrapping_add(left.as_sint())));
        // One place lower, two ones carry the borrowed one in: one adder does both.
        let one_in = |value: UInt, one: Bool| value.concat(one.as_uint());
        let right_sum = one_in(io.right_above.value().as_uint(), Bool::lit(true))
            .wrapping_add(one_in(right.sext(SUM_BITS).as_uint(), borrowed));
        let right_sum = right_sum.bits(1..SUM_BITS + 1).as_sint();
        io.right_sum.set(delayed("right_q", right_sum));
    }
}
