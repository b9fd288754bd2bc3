//! One cell of the multiplier array.

use rmt_isa::card::engine::activation_bits;
use rtl_builder::prelude::*;

/// Bits of a weight.
pub const WEIGHT_BITS: u32 = 8;
/// Bits of an activation; i8 activations are sign-extended.
const ACTIVATION_BITS: u32 = activation_bits(1);
/// Bits of a partial sum.
pub const SUM_BITS: u32 = 32;
/// Cycles from an activation at the cell to the sum that contains it.
pub const CELL_CYCLES: u32 = 3;

/// A cell: two weights, one multiplier with registered inputs and product, one adder.
///
/// The registers stand where the DSP blocks of FPGAs have theirs (inputs, product, sum), and the weight is
/// chosen a cycle before: between a register and a block's input there is nothing but wire.
#[derive(Clone, Copy, Debug)]
pub struct MacCell;

/// The weight that meets the activation of the next cycle: two registers, one for each plane, and the choice. One that
/// is being loaded may be chosen.
pub(super) fn next_weight(
    name: &str,
    load: Bool,
    load_plane: Bool,
    weight: SInt,
    plane: Bool,
) -> SInt {
    let weights = [0, 1].map(|plane| reg_uninit(format!("{name}{plane}"), sint(WEIGHT_BITS)));
    when(load & !load_plane, || weights[0].next(weight));
    when(load & load_plane, || weights[1].next(weight));
    let fresh = load & load_plane.eq(plane);
    mux(fresh, weight, mux(plane, weights[1], weights[0]))
}

/// Ports of [`MacCell`].
#[derive(Clone, Ports)]
pub struct MacCellIo {
    /// Takes `weight` into a plane
    pub load: Input<Bool>,
    /// The plane that is loaded
    pub load_plane: Input<Bool>,
    /// Weight to load
    pub weight: Input<SInt>,
    /// The plane whose weight meets the activation of the next cycle
    pub plane: Input<Bool>,
    /// Activation
    pub activation: Input<SInt>,
    /// Sum of the cells above, two cycles after the activation that it belongs to
    pub sum_above: Input<SInt>,
    /// `sum_above` and this cell's product, three cycles after the activation
    pub sum: Output<SInt>,
}

impl Component for MacCell {
    type Io = MacCellIo;

    fn name(&self) -> String {
        "mac_cell".into()
    }

    fn doc(&self) -> String {
        "Multiply-accumulate cell with two planes of weights: one works while the other is loaded."
            .into()
    }

    fn io(&self) -> MacCellIo {
        MacCellIo {
            load: input(boolean()),
            load_plane: input(boolean()),
            weight: input(sint(WEIGHT_BITS)),
            plane: input(boolean()),
            activation: input(sint(ACTIVATION_BITS)),
            sum_above: input(sint(SUM_BITS)),
            sum: output(sint(SUM_BITS)),
        }
    }

    fn build(&self, io: MacCellIo) {
        let (load, load_plane) = (io.load.value(), io.load_plane.value());
        let next = next_weight("weight", load, load_plane, io.weight.value(), io.plane.value());
        // Kept, as a DSP block would take it in as well, and the table before it would lie before the block again.
        let chosen = reg_uninit("chosen", sint(WEIGHT_BITS)).attribute("keep");
        chosen.next(next);
        let factor = delayed("factor", chosen);
        let activation = delayed("activation_q", io.activation);
        let product = delayed("product", activation * factor);
        let sum = delayed("sum_q", io.sum_above.wrapping_add(product));
        io.sum.set(sum);
    }
}
