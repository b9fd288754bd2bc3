//! Where the cells of a design stand, made better than nextpnr leaves it.
//!
//! ```text
//!  a placed design ─► cells, nets ─► places of the part ─► exchanges, by how late connections are ─► a better one
//!  [xc7/read, ecp5/read] [design]      [places]          [search, ways]      [timing, fabric]
//! ```
//!
//! nextpnr places by wires' length and a few rounds of exchanges with what stands next to it, by times of which those of carries
//! and of wires out of blocks are far off; blocks and chains end where the last free place was. Here all of them exchange
//! places, by the times that the part has. How nextpnr tells where it placed what, and is told where everything should stand, differs
//! by the family (`xc7`, `ecp5`), and so do times and rules (`fabric`).

mod design;
mod ecp5;
mod fabric;
mod places;
mod search;
mod timing;
mod ways;
mod xc7;

use std::sync::mpsc;

use design::Design;
pub use ecp5::{bound_netlist, improved_ecp5};
use fabric::Fabric;
use places::{Place, Places};
use search::Search;
pub use xc7::{BINDING, BOUND, CHECKING, PLACED, WRITING, improved_xc7};

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

/// What nextpnr calls the place of a cell.
fn name_of(fabric: &impl Fabric, design: &Design, places: &Places, cell: usize) -> String {
    match places.of_cell[cell] {
        Place::Kept => design.cells[cell].bel.clone(),
        Place::Block(site) => places.sites[site].bel.clone(),
        place => fabric.name(places, place),
    }
}

/// How many searches begin at the same placement. By chance one or the other ends with a longest way a twentieth shorter.
const SEARCHES: u64 = 4;

/// Improves a placement. `hears` how much is done and how long the longest way is, ns.
fn improved<F: Fabric>(
    fabric: F,
    design: Design,
    places: Places,
    array_clock_ratio: u32,
    hears: &mut dyn FnMut(f64, f32),
) -> Better {
    const PICOSECONDS: f32 = 1e3;
    let first = Search::new(fabric, design, places, array_clock_ratio);
    let before_ns = first.longest() / PICOSECONDS;
    let best = searched(first, &mut |done, longest| hears(done, longest / PICOSECONDS));
    let Search { fabric, design, places, .. } = &best;
    let line = |number: usize| {
        format!("{}\t{}\n", design.cells[number].name, name_of(fabric, design, places, number))
    };
    let bound = (0..design.cells.len()).map(line).collect();
    Better { bound, before_ns, now_ns: best.longest() / PICOSECONDS }
}

/// The best of some searches that begin at the same placement, side by side.
fn searched<F: Fabric>(first: Search<F>, hears: &mut dyn FnMut(f64, f32)) -> Search<F> {
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
