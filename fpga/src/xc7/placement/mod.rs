//! Where the cells of a 7-series' design stand, made better than nextpnr leaves it.
//!
//! ```text
//!  placed.txt ─► cells, nets ─► places of the part ─► exchanges, by how late connections are ─► bound.txt
//!               [design]        [places]             [search]         [timing, delay]
//! ```
//!
//! nextpnr places by wires' length and a few rounds of exchanges with what stands next to it, by times in which a chain of carries
//! takes ten times as long as it does; blocks and chains end where the last free place was. Here all of them exchange places, by the
//! times that the part has. nextpnr's own Python writes what it placed, and binds each cell to its place before
//! it places the design again, which then has nothing left to do.

use std::fmt::Write as _;
use std::sync::mpsc;

use crate::error::FpgaError;

mod delay;
mod design;
mod places;
mod search;
#[cfg(test)]
mod tests;
mod timing;

use design::Design;
pub use design::{PLACED, WRITING};
use places::Places;
use search::Search;

/// The file that [`BINDING`] reads.
pub const BOUND: &str = "bound.txt";

/// What nextpnr runs before it places: each cell has the place that the file says.
pub const BINDING: &str = "\
cells = {name: cell for name, cell in ctx.cells}
for line in open('bound.txt'):
    name, place = line.rstrip('\\n').split('\\t')
    cell = cells[name]
    cell.unsetAttr('BEL')
    if cell.bel is None:
        ctx.bindBel(place, cell, STRENGTH_USER)
";

/// What nextpnr runs before it routes: it says which cells may not stand where they do.
pub const CHECKING: &str = "\
import sys
for name, cell in ctx.cells:
    if not ctx.isBelLocationValid(cell.bel, False):
        print(f'ERROR: post-placement validity check failed: {name} at {cell.bel}')
sys.stdout.flush()
";

/// How many searches begin at the same placement. By chance one or the other ends with a longest way a twentieth shorter.
const SEARCHES: u64 = 4;

/// A better placement.
#[derive(Debug)]
pub struct Better {
    /// Names of all cells and their places, each pair in a line, parted by a tab.
    pub bound: String,
    /// The longest way before, ns, by the times that are reckoned with here.
    pub before_ns: f32,
    /// The longest way now, ns.
    pub now_ns: f32,
}

/// Improves what [`WRITING`] wrote. The part's tiles are told by kind, column and row; the array's clock is so many times faster than the
/// card's; `hears` how much is done and how long the longest way is, ns.
///
/// # Errors
/// [`FpgaError::BadOutput`] when the text is no placement, or none on that part.
pub fn improved<'a>(
    placed: &str,
    tiles: impl Iterator<Item = (&'a str, u32, u32)>,
    array_clock_ratio: u32,
    hears: &mut dyn FnMut(f64, f32),
) -> Result<Better, FpgaError> {
    const PICOSECONDS: f32 = 1e3;
    let design = Design::read(placed)?;
    let places = Places::of(tiles, &design)?;
    let first = Search::new(design, places, array_clock_ratio);
    let before_ns = first.longest() / PICOSECONDS;
    let best = searched(first, &mut |done, longest| hears(done, longest / PICOSECONDS));
    let Search { design, places, .. } = &best;
    let mut bound = String::new();
    for (number, cell) in design.cells.iter().enumerate() {
        // A String takes all that is written.
        let _ = writeln!(bound, "{}\t{}", cell.name, places.name(design, number));
    }
    Ok(Better { bound, before_ns, now_ns: best.longest() / PICOSECONDS })
}

/// The best of some searches that begin at the same placement, side by side.
fn searched(first: Search, hears: &mut dyn FnMut(f64, f32)) -> Search {
    let (tells, told) = mpsc::channel();
    let best = std::thread::scope(|scope| {
        let search = |number| {
            let (tells, mut search) = (tells.clone(), first.with_seed(number));
            scope.spawn(move || {
                search.run(&mut |done, longest| {
                    // Whoever hears stays until all have ended.
                    let _ = tells.send((done, longest));
                });
                search
            })
        };
        let searches: Vec<_> = (0..SEARCHES).map(search).collect();
        drop(tells);
        for (done, longest) in told {
            hears(done, longest);
        }
        let ended = searches
            .into_iter()
            .map(|search| search.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.min_by(|one, other| one.longest().total_cmp(&other.longest()))
    });
    best.unwrap_or(first)
}
