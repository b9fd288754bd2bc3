//! What the clock of the multiplier array alone could be, by its size: places and routes it between registers.
//!
//! `cargo run --release -p rmt-fpga --example array -- BOARD MHZ SIZE...`, such as `acorn-serial 200 4 8 16`. Prints a
//! line of a table for each size, and the longest path on standard error; arrays that do not fit are told.

use std::error::Error;
use std::time::Duration;

use rmt_core::engine::array::MacArray;
use rmt_fpga::Board;
use rmt_fpga::cache::Cache;
use rmt_fpga::flow::Builder;
use rmt_fpga::flow::unit::Request;
use rmt_fpga::tools::Search;
use rtl_builder::prelude::elaborate;

/// Columns that share a register, as in the larger cards.
const HOP_COLUMNS: u32 = 8;
const LIMIT: Duration = Duration::from_secs(3600);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [board, mhz, sizes @ ..] = &arguments[..] else {
        return Err("usage: array BOARD MHZ SIZE...".into());
    };
    let board = Board::find(board)?;
    let mhz: f64 = mhz.parse()?;
    println!("| N | MHz | look-up tables | flip-flops | multipliers, with their registers |");
    println!("| --- | --- | --- | --- | --- |");
    for size in sizes {
        let size: u32 = size.parse()?;
        let design = elaborate(MacArray { size, hop_columns: HOP_COLUMNS.min(size) })?;
        let mut builder = Builder {
            search: Search::from_environment(),
            cache: Cache::shared(),
            progress: &mut |progress| eprintln!("{} {:.0} %", progress.step, 100.0 * progress.done),
        };
        let request = Request { board, design: &design, mhz, seed: 1, limit: LIMIT };
        match builder.measure(&request) {
            Ok(found) => {
                let used = found.used;
                println!(
                    "| {size} | {:.1} | {} | {} | {}, {} |",
                    found.mhz(),
                    used.luts,
                    used.flip_flops,
                    used.multipliers,
                    found.packed_multipliers
                );
                for path in &found.timing.paths {
                    eprintln!("{}: {:.2} ns", path.clocks, path.nanoseconds());
                    for hop in &path.hops {
                        eprintln!("  {:.2} {} {}", hop.nanoseconds, hop.kind, hop.signal);
                    }
                }
            }
            Err(error) => println!("| {size} | {error} | | | |"),
        }
    }
    Ok(())
}
