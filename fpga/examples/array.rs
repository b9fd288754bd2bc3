//! What the clock of the multiplier array alone could be: places and routes arrays between registers.
//!
//! `cargo run --release -p rmt-fpga --example array -- ulx3s=100:4,8 acorn-serial=200:4,8,16p2/4`: boards, each with the
//! clock to ask for in MHz, the sizes (`p2`: two products in a multiplier; `x4`: four columns take turns), and how many seeds to try at most until one
//! reaches it. Prints what `fpga/src/estimate/arrays.json` holds; on standard error the longest paths, and arrays that
//! could not be built.

use std::error::Error;
use std::time::Duration;

use rmt_core::engine::array::MacArray;
use rmt_fpga::Board;
use rmt_fpga::estimate::ArrayPoint;
use rmt_fpga::flow::Builder;
use rmt_fpga::flow::unit::{Measured, Request};
use rtl_builder::prelude::elaborate;

/// Columns that share a register, as in the larger cards.
const HOP_COLUMNS: u32 = 8;
const LIMIT: Duration = Duration::from_secs(2 * 3600);
const USAGE: &str = "usage: array BOARD=MHZ:SIZE,SIZE...[/SEEDS] ...";

fn measure(
    board: &'static Board,
    mhz: f64,
    array: MacArray,
    seed: u32,
) -> Result<Measured, Box<dyn Error>> {
    let design = elaborate(array)?;
    let request = Request { board, design: &design, mhz, seed, limit: LIMIT };
    Ok(Builder::from_environment(&mut |_| {}).measure(&request)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut points = Vec::new();
    for argument in std::env::args().skip(1) {
        let (board, rest) = argument.split_once('=').ok_or(USAGE)?;
        let (mhz, sizes) = rest.split_once(':').ok_or(USAGE)?;
        let (sizes, seeds) = sizes.split_once('/').unwrap_or((sizes, "1"));
        let seeds: u32 = seeds.parse()?;
        let board = Board::find(board)?;
        let asked_mhz: f64 = mhz.parse()?;
        for size in sizes.split(',') {
            let (size, clock_ratio) = size.split_once('x').unwrap_or((size, "1"));
            let (size, products) = size.split_once('p').unwrap_or((size, "1"));
            let (size, products): (u32, u32) = (size.parse()?, products.parse()?);
            let (hop_columns, clock_ratio) = (HOP_COLUMNS.min(size), clock_ratio.parse()?);
            let array = MacArray { size, hop_columns, products, clock_ratio };
            let mut best: Option<(u32, Measured)> = None;
            for seed in 1..=seeds {
                let found = match measure(board, asked_mhz, array.clone(), seed) {
                    Ok(found) => found,
                    Err(error) => {
                        eprintln!("{}, {size} x {size}, seed {seed}: {error}", board.part.name);
                        continue;
                    }
                };
                let mhz = found.mhz();
                eprintln!("{}, {size} x {size}, seed {seed}: {mhz:.1} MHz", board.part.name);
                for path in &found.timing.paths {
                    eprintln!("  {}: {:.2} ns", path.clocks, path.nanoseconds());
                    for hop in &path.hops {
                        eprintln!("    {:.2} {} {}", hop.nanoseconds, hop.kind, hop.signal);
                    }
                }
                if best.as_ref().is_none_or(|(_, best)| best.mhz() < mhz) {
                    best = Some((seed, found));
                }
                if mhz >= asked_mhz {
                    break;
                }
            }
            let Some((seed, found)) = best else { continue };
            points.push(ArrayPoint {
                part: board.part.name.to_owned(),
                size,
                products,
                clock_ratio,
                asked_mhz,
                seed,
                mhz: (found.mhz() * 10.0).round() / 10.0,
                used: found.used,
                packed_multipliers: found.packed_multipliers,
                // Behind a version stands how the tool was compiled.
                tools: (found.tools.into_values())
                    .map(|said| said.split(" (git").next().unwrap_or(&said).to_owned())
                    .collect(),
            });
        }
    }
    println!("{}", serde_json::to_string_pretty(&points)?);
    Ok(())
}
