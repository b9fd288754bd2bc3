//! One cell of the multiplier array.

use rtl_builder::prelude::*;

/// Bits of a weight.
pub const WEIGHT_BITS: u32 = 8;
/// Bits of an activation; i8 activations are sign-extended.
pub const ACTIVATION_BITS: u32 = 16;
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
        let weights = [0, 1].map(|plane| reg_uninit(format!("weight{plane}"), sint(WEIGHT_BITS)));
        when(io.load & !io.load_plane, || weights[0].next(io.weight));
        when(io.load & io.load_plane, || weights[1].next(io.weight));

        // A weight that is being loaded may be chosen.
        let fresh = io.load & io.load_plane.value().eq(io.plane.value());
        let stored = mux(io.plane, weights[1], weights[0]);
        // Kept, as a DSP block would take it in as well, and the table before it would lie before the block again.
        let chosen = reg_uninit("chosen", sint(WEIGHT_BITS)).attribute("keep");
        chosen.next(mux(fresh, io.weight.value(), stored));
        let factor = delayed("factor", chosen);
        let activation = delayed("activation_q", io.activation);
        let product = delayed("product", activation * factor);
        let sum = delayed("sum_q", io.sum_above.wrapping_add(product));
        io.sum.set(sum);
    }
}
