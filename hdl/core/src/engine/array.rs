//! The N × N array of cells: weights stay, activations move along the rows, sums move down.

use super::cell::{CELL_CYCLES, MacCell, SUM_BITS, WEIGHT_BITS};
use super::lanes::{join, split};
use super::pair::MacPair;
use rmt_isa::card::engine::{EngineShape, activation_bits};
use rtl_builder::prelude::*;

/// The array. Row r of a tile belongs to input r, column c to output c.
///
/// A wave is one word of N activations. Row r gets its activation r cycles after row 0, where
/// it meets the sum that comes down. Columns stand in groups of `hop_columns`; a group sees
/// activations, plane and weights one cycle after the group to its left.
///
/// Weights are loaded row by row. A wave may follow the load of its plane at once: the load of
/// row r must come in an earlier cycle than the wave plus r. A load may follow a wave that uses the same
/// plane likewise: row r not earlier than the wave plus r.
#[derive(Clone, Debug)]
pub struct MacArray {
    /// Rows and columns.
    pub size: u32,
    /// Columns that share an activation register.
    pub hop_columns: u32,
    /// Products of a multiplier at a time, see [`EngineShape::multiplier_products`].
    pub products: u32,
    /// Cycles of its clock in one of the card's, see [`EngineShape::array_clock_ratio`].
    pub clock_ratio: u32,
}

/// Ports of [`MacArray`].
#[derive(Clone, Ports)]
pub struct MacArrayIo {
    /// Loads a row of weights
    pub load: Input<Bool>,
    /// The plane that is loaded
    pub load_plane: Input<Bool>,
    /// The row that is loaded
    pub load_row: Input<UInt>,
    /// N weights, that of column 0 lowest
    pub weights: Input<UInt>,
    /// Plane of the next cycle's wave
    pub plane: Input<Bool>,
    /// N activations, that of row 0 lowest
    pub activations: Input<UInt>,
    /// N sums of the wave that entered `latency` cycles ago, that of column 0 lowest
    pub sums: Output<UInt>,
}

impl MacArray {
    /// The array of an engine.
    pub fn of(shape: &EngineShape) -> Self {
        let (size, hop_columns) = (shape.array, shape.hop_columns);
        let (products, clock_ratio) = (shape.multiplier_products, shape.array_clock_ratio);
        Self { size, hop_columns, products, clock_ratio }
    }

    /// Groups of columns.
    pub fn hops(&self) -> u32 {
        self.size / self.hop_columns
    }

    /// Cycles from a wave to its sums: down the rows, through the last cell, along the groups.
    pub fn latency(&self) -> u32 {
        self.size - 1 + CELL_CYCLES + self.hops() - 1
    }
}

/// A signal and its copies that are later by 1, 2, ... cycles.
pub(super) fn delay_line<T: Bundle>(name: &str, value: T, cycles: u32) -> Vec<T> {
    let mut line = vec![value];
    for cycle in 1..=cycles {
        let last = line[line.len() - 1].clone();
        line.push(delayed(format!("{name}_d{cycle}"), last));
    }
    line
}

impl Component for MacArray {
    type Io = MacArrayIo;

    fn name(&self) -> String {
        let (size, hop_columns) = (self.size, self.hop_columns);
        match (self.products, self.clock_ratio) {
            (1, 1) => format!("mac_array_n{size}_h{hop_columns}"),
            (1, ratio) => format!("turns_array_n{size}_h{hop_columns}_x{ratio}"),
            (products, _) => format!("mac_array_n{size}_h{hop_columns}_p{products}"),
        }
    }

    fn doc(&self) -> String {
        let n = self.size;
        format!(
            "Weight-stationary array of {n} x {n} cells; sums come {} cycles after their wave.",
            self.latency()
        )
    }

    fn io(&self) -> MacArrayIo {
        let n = self.size;
        MacArrayIo {
            load: input(boolean()),
            load_plane: input(boolean()),
            load_row: input(uint(bits_for(n.into()))),
            weights: input(uint(n * WEIGHT_BITS)),
            plane: input(boolean()),
            activations: input(uint(n * activation_bits(self.products))),
            sums: output(uint(n * SUM_BITS)),
        }
    }

    fn build(&self, io: MacArrayIo) {
        match self.clock_ratio {
            1 => self.build_of_cells(&io),
            2 => self.build_in_turns::<2>(&io),
            _ => self.build_in_turns::<4>(&io),
        }
    }
}

impl MacArray {
    /// The array of cells or pairs of them in the card's clock.
    fn build_of_cells(&self, io: &MacArrayIo) {
        let hops = self.hops();
        // What each group of columns sees, group by group.
        let load_plane = delay_line("load_plane", io.load_plane.value(), hops - 1);
        let weights: Vec<Vec<SInt>> = delay_line("weights", io.weights.value(), hops - 1)
            .into_iter()
            .map(|word| split(word, WEIGHT_BITS))
            .collect();
        let planes = delay_line("plane", io.plane.value(), self.size - 1 + hops - 1);

        let zero = SInt::lit(0, SUM_BITS);
        let mut sums = vec![zero; self.size as usize];
        for (row, activation) in
            split(io.activations.value(), activation_bits(self.products)).into_iter().enumerate()
        {
            let row_number = row as u32;
            let load = io.load & io.load_row.eq(u64::from(row_number));
            let load = delay_line(&format!("load_row{row}"), load, hops - 1);
            // The skew down the rows, then the way along the groups.
            let activation =
                delay_line(&format!("activation{row}"), activation, row_number + hops - 1);
            for (index, sums) in sums.chunks_mut(self.products as usize).enumerate() {
                let column = index * self.products as usize;
                let hop = column / self.hop_columns as usize;
                let name = format!("cell_{row}_{column}");
                match sums {
                    [left, right] => {
                        let pair = instance(name, MacPair);
                        pair.load.set(load[hop]);
                        pair.load_plane.set(load_plane[hop]);
                        pair.left_weight.set(weights[hop][column]);
                        pair.right_weight.set(weights[hop][column + 1]);
                        pair.plane.set(planes[row + hop]);
                        pair.activation.set(activation[row + hop]);
                        pair.left_above.set(*left);
                        pair.right_above.set(*right);
                        (*left, *right) = (pair.left_sum.value(), pair.right_sum.value());
                    }
                    _ => {
                        let cell = instance(name, MacCell);
                        cell.load.set(load[hop]);
                        cell.load_plane.set(load_plane[hop]);
                        cell.weight.set(weights[hop][column]);
                        cell.plane.set(planes[row + hop]);
                        cell.activation.set(activation[row + hop]);
                        cell.sum_above.set(sums[0]);
                        sums[0] = cell.sum.value();
                    }
                }
            }
        }
        let in_step: Vec<SInt> = (sums.into_iter().enumerate())
            .map(|(column, sum)| {
                let late = hops - 1 - column as u32 / self.hop_columns;
                delay_line(&format!("sum{column}"), sum, late)[late as usize]
            })
            .collect();
        io.sums.set(join(&in_step));
    }
}
