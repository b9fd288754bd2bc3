//! Cells of neighbouring columns that take turns at one multiplier, in a clock domain of the array's own.

use super::array::{MacArray, MacArrayIo, delay_line};
use super::cell::{CELL_CYCLES, SUM_BITS, WEIGHT_BITS};
use super::lanes::{join, split};
use rmt_isa::card::engine::activation_bits;
use rtl_builder::prelude::*;
use rtl_builder::stock::Phases;

/// Bits of an activation.
const ACTIVATION_BITS: u32 = activation_bits(1);

/// The clock of an array with `RATIO` cycles in one of the card's.
#[derive(Clone, Copy, Debug)]
pub struct ArrayClock<const RATIO: u32>;

impl<const RATIO: u32> Domain for ArrayClock<RATIO> {
    const NAME: &'static str = "array";
    const CLOCK: &'static str = "array_clk";
    const RESET: &'static str = "array_rst";
    const MULTIPLE: u32 = RATIO;
}

/// Cells of `RATIO` columns of one row: one multiplier, one adder, the weights of both planes in a memory.
///
/// ```text
/// cycle of the array   0          1         2          3      4 ... RATIO + 2
/// activation           input      register
/// weight               register   register  ×  product  +  sum ──► registers ──► the row below
/// weights' memory  read
/// ```
///
/// One column after the other, each a cycle of the array. The sums take a cycle of the card to the row below, as those of a
/// [`MacCell`](super::cell::MacCell) do.
#[derive(Clone, Copy, Debug)]
pub struct MacTurns<const RATIO: u32>;

/// Ports of [`MacTurns`].
#[derive(Clone, Ports)]
pub struct MacTurnsIo<const RATIO: u32> {
    /// Takes `weight`
    pub load: Input<Bool<ArrayClock<RATIO>>>,
    /// For this plane, above, and column
    pub load_place: Input<UInt<ArrayClock<RATIO>>>,
    /// Weight to load
    pub weight: Input<SInt<ArrayClock<RATIO>>>,
    /// Plane and column of the weight that meets the activation of the next cycle
    pub place: Input<UInt<ArrayClock<RATIO>>>,
    /// Activation
    pub activation: Input<SInt<ArrayClock<RATIO>>>,
    /// Sum of the cells above, two cycles after the activation that it belongs to
    pub sum_above: Input<SInt<ArrayClock<RATIO>>>,
    /// `sum_above` and this cell's product, `RATIO + 2` cycles after the activation: two cycles after that of the row below
    pub sum: Output<SInt<ArrayClock<RATIO>>>,
}

/// Bits of a plane and a column.
pub(super) const fn place_bits(ratio: u32) -> u32 {
    1 + ratio.ilog2()
}

impl<const RATIO: u32> Component for MacTurns<RATIO> {
    type Io = MacTurnsIo<RATIO>;

    fn name(&self) -> String {
        format!("turns_cell_x{RATIO}")
    }

    fn doc(&self) -> String {
        format!("Multiply-accumulate cells of {RATIO} columns that take turns at one multiplier.")
    }

    fn io(&self) -> MacTurnsIo<RATIO> {
        MacTurnsIo {
            load: input(Bool::of()),
            load_place: input(UInt::of(place_bits(RATIO))),
            weight: input(SInt::of(WEIGHT_BITS)),
            place: input(UInt::of(place_bits(RATIO))),
            activation: input(SInt::of(ACTIVATION_BITS)),
            sum_above: input(SInt::of(SUM_BITS)),
            sum: output(SInt::of(SUM_BITS)),
        }
    }

    fn build(&self, io: MacTurnsIo<RATIO>) {
        const { assert!(CELL_CYCLES == 3) };
        let weights: AsyncMem<SInt<ArrayClock<RATIO>>, ArrayClock<RATIO>> =
            AsyncMem::new("weights", SInt::of(WEIGHT_BITS), u64::from(2 * RATIO));
        weights.write(io.load, io.load_place.value(), io.weight.value());
        // Kept, as a DSP block would take it in as well, and the memory would lie before the block.
        let chosen = reg_uninit("chosen", SInt::of(WEIGHT_BITS)).attribute("keep");
        chosen.next(weights.read(io.place.value()));
        let factor = delayed("factor", chosen.value());
        let activation = delayed("activation_q", io.activation.value());
        let product = delayed("product", activation * factor);
        let sum = delayed("sum_q", io.sum_above.value().wrapping_add(product));
        let way = delay_line("sum", sum, RATIO - 1);
        io.sum.set(way[way.len() - 1]);
    }
}

impl MacArray {
    /// The array of cells that take turns. Everything reaches a row and leaves the last one in the cycle of the card in
    /// which it does so in an array of the card's clock.
    pub(super) fn build_in_turns<const RATIO: u32>(&self, io: &MacArrayIo) {
        let phases = Phases::<ArrayClock<RATIO>>::new();
        let hops = self.hops();
        // The column that reads its weight, and the one whose activation is there: it is loaded too.
        let third = (0..RATIO.ilog2()).rev().map(|bit| {
            let set = (0..RATIO).filter(|phase| (phase + 3) >> bit & 1 == 1);
            set.map(|phase| phases.is(phase)).reduce(|a, b| a | b)
        });
        let third: Vec<_> = third.flatten().map(|bit| bit.as_uint()).collect();
        // In a register for each row and each group of columns, as the array is wider than a cycle.
        let next_turn = |place: String| {
            let next_turn =
                reg_uninit(format!("next_turn_{place}"), UInt::of(RATIO.ilog2())).attribute("keep");
            next_turn.next(cat(&third));
            next_turn.value()
        };

        let load_plane = delay_line("load_plane", io.load_plane.value(), hops - 1);
        let load_place: Vec<_> = (load_plane.into_iter().enumerate())
            .map(|(hop, plane)| {
                let plane = phases.of_main(format!("load_plane_hop{hop}"), plane.as_uint());
                plane.concat(delayed(format!("turn_hop{hop}"), next_turn(format!("hop{hop}"))))
            })
            .collect();
        let weights = delay_line("weights", io.weights.value(), hops - 1);
        let weights: Vec<SInt<ArrayClock<RATIO>>> = (0..self.size / RATIO)
            .map(|multiplier| {
                let column = multiplier * RATIO;
                let weights = weights[(column / self.hop_columns) as usize];
                let of_turns = weights.bits(column * WEIGHT_BITS..(column + RATIO) * WEIGHT_BITS);
                let name = format!("weights_{column}");
                phases.pieces_of_main(name, of_turns, WEIGHT_BITS).as_sint()
            })
            .collect();
        let planes = delay_line("plane", io.plane.value(), self.size - 1 + hops - 1);
        let places: Vec<_> = (planes.into_iter().enumerate())
            .map(|(late, plane)| {
                let held = phases.of_main(format!("plane_of{late}"), plane.as_uint());
                let ahead = reg_uninit(format!("plane_ahead{late}"), UInt::of(1));
                let takes = phases.near(format!("plane_ahead{late}"), 2 * RATIO - 3);
                when(takes, || ahead.next(held));
                ahead.concat(next_turn(format!("row{late}")))
            })
            .collect();

        let mut sums = vec![SInt::lit(0, SUM_BITS); (self.size / RATIO) as usize];
        for (row, activation) in
            split(io.activations.value(), ACTIVATION_BITS).into_iter().enumerate()
        {
            let late = row as u32 + hops - 1;
            let activation = delay_line(&format!("activation{row}"), activation, late);
            let load = io.load & io.load_row.eq(row as u64);
            let load = delay_line(&format!("load_row{row}"), load, hops - 1);
            let of_hop: Vec<_> = (0..hops as usize)
                .map(|hop| {
                    let both = activation[row + hop].as_uint().concat(load[hop].as_uint());
                    let both = phases.of_main(format!("activation_load{row}_hop{hop}"), both);
                    (both.bits(1..1 + ACTIVATION_BITS).as_sint(), both.bit(0))
                })
                .collect();
            for (multiplier, sum) in sums.iter_mut().enumerate() {
                let column = multiplier as u32 * RATIO;
                let hop = (column / self.hop_columns) as usize;
                let cell = instance(format!("cell_{row}_{column}"), MacTurns::<RATIO>);
                let (activation, load) = of_hop[hop];
                cell.load.set(load);
                cell.load_place.set(load_place[hop]);
                cell.weight.set(weights[multiplier]);
                cell.place.set(places[row + hop]);
                cell.activation.set(activation);
                cell.sum_above.set(*sum);
                *sum = cell.sum.value();
            }
        }
        // The first turn's sum waits for the last one's.
        let in_step: Vec<SInt> = (sums.into_iter().enumerate())
            .flat_map(|(multiplier, sum)| {
                let column = multiplier as u32 * RATIO;
                let turns = delay_line(&format!("sum{column}_turns"), sum, RATIO - 1);
                let late = hops - 1 - column / self.hop_columns;
                let of_turn = |(turn, sum): (usize, SInt<ArrayClock<RATIO>>)| {
                    let column = column as usize + turn;
                    let sum = phases.to_main(format!("sum{column}_held"), sum.as_uint());
                    delay_line(&format!("sum{column}"), sum.as_sint(), late)[late as usize]
                };
                turns.into_iter().rev().enumerate().map(of_turn).collect::<Vec<_>>()
            })
            .collect();
        io.sums.set(join(&in_step));
    }
}
