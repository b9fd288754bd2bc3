//! Generates a square systolic array and times it: `cargo run --release -p rtl-builder --example array -- 32 [folder]`.

use rtl_builder::prelude::*;
use rtl_builder::stock::multiply_signed;
use std::time::Instant;

/// Multiply-accumulate cell: int8 weight, int16 activation, int32 sum.
struct Cell;

#[derive(Clone, Ports)]
struct CellIo {
    load: Input<Bool>,
    weight: Input<SInt>,
    activation: Input<SInt>,
    sum: Input<SInt>,
    weight_out: Output<SInt>,
    activation_out: Output<SInt>,
    sum_out: Output<SInt>,
}

impl Component for Cell {
    type Io = CellIo;

    fn name(&self) -> String {
        "cell".into()
    }

    fn io(&self) -> CellIo {
        CellIo {
            load: input(boolean()),
            weight: input(sint(8)),
            activation: input(sint(16)),
            sum: input(sint(32)),
            weight_out: output(sint(8)),
            activation_out: output(sint(16)),
            sum_out: output(sint(32)),
        }
    }

    fn build(&self, io: CellIo) {
        let weight = reg_uninit("weight_reg", sint(8));
        when(io.load, || weight.next(io.weight));
        let product = multiply_signed("multiplier", true, weight, io.activation);
        io.weight_out.set(weight);
        io.activation_out.set(delayed("activation_reg", io.activation));
        io.sum_out.set(delayed("sum_reg", (product + io.sum).trunc(32)));
    }
}

/// Cells in a square.
struct Array {
    size: usize,
}

#[derive(Clone, Ports)]
struct ArrayIo {
    load: Input<Bool>,
    weights: Vec<Input<SInt>>,
    activations: Vec<Input<SInt>>,
    sums: Vec<Output<SInt>>,
}

impl Component for Array {
    type Io = ArrayIo;

    fn name(&self) -> String {
        format!("array_n{}", self.size)
    }

    fn io(&self) -> ArrayIo {
        ArrayIo {
            load: input(boolean()),
            weights: vec![input(sint(8)); self.size],
            activations: vec![input(sint(16)); self.size],
            sums: vec![output(sint(32)); self.size],
        }
    }

    fn build(&self, io: ArrayIo) {
        let mut weights: Vec<SInt> = io.weights.iter().map(|port| port.value()).collect();
        let mut sums = vec![SInt::lit(0, 32); self.size];
        for (row, activation) in io.activations.iter().enumerate() {
            let mut activation = activation.value();
            for column in 0..self.size {
                let cell = instance(format!("cell_{row}_{column}"), Cell);
                cell.load.set(io.load);
                cell.weight.set(weights[column]);
                cell.activation.set(activation);
                cell.sum.set(sums[column]);
                activation = cell.activation_out.value();
                weights[column] = cell.weight_out.value();
                sums[column] = cell.sum_out.value();
            }
        }
        for (port, sum) in io.sums.iter().zip(sums) {
            port.set(sum);
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let size = arguments.next().map_or(Ok(32), |text| text.parse())?;
    let start = Instant::now();
    let design = elaborate(Array { size })?;
    let elaborated = start.elapsed();
    let text = design.verilog();
    println!(
        "{size} x {size} cells: elaborated in {elaborated:.2?}, {} lines in {:.2?}",
        text.lines().count(),
        start.elapsed()
    );
    if let Some(folder) = arguments.next() {
        design.write_to(folder.as_ref())?;
    }
    let start = Instant::now();
    let mut sim = design.simulator();
    println!("evaluator compiled in {:.2?}", start.elapsed());
    let (cycles, start) = (2000, Instant::now());
    sim.step_n(cycles);
    println!("evaluator: {:.0} cycles/s", cycles as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
