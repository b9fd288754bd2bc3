//! The 7-series: programs in Python by which nextpnr tells where cells stand and is told where they should, and rules of its slices.

mod delay;
mod read;
#[cfg(test)]
mod tests;

use super::design::{Design, Kind, Pin, bad, misplaced};
use super::fabric::Fabric;
use super::places::{BlockKind, Group, Place, Places, Site};
use super::{Better, improved};
use crate::error::FpgaError;
use crate::placement::design::Cell;
use crate::xc7::lone::KEPT_FREE;

pub use read::{PLACED, WRITING};

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

/// Improves what [`WRITING`] wrote. The part's tiles are told by kind, column and row; the array's clock is so many times faster than the
/// card's; `hears` how much is done and how long the longest way is, ns.
///
/// # Errors
/// [`FpgaError::BadOutput`] when the text is no placement, or none on that part.
pub fn improved_xc7<'a>(
    placed: &[u8],
    tiles: impl Iterator<Item = (&'a str, u32, u32)>,
    array_clock_ratio: u32,
    hears: &mut dyn FnMut(f64, f32),
) -> Result<Better, FpgaError> {
    let text = std::str::from_utf8(placed).map_err(|error| bad(error.to_string()))?;
    let design = read::design(text)?;
    let places = places(tiles, &design)?;
    Ok(improved(Slices, design, places, array_clock_ratio, hears))
}

/// Slots of a slice, by their letters.
const LETTERS: [&str; 4] = ["A", "B", "C", "D"];
/// Slices of a tile.
const SLICES: u8 = 2;
/// What may stand in a slot: the table of six inputs, that of five, two flip-flops.
const PARTS: [&str; 4] = ["6LUT", "5LUT", "FF", "5FF"];
/// Sites of blocks in a tile, and what is placed on them: of 36 Kbit, of 18 Kbit, multipliers.
const MEMORY: (&str, &str) = ("RAMB36", "RAMB36E1");
const HALF_MEMORY: (&str, &str) = ("RAMB18", "RAMB18E1");
const MULTIPLIER: (&str, &str) = ("DSP48", "DSP48E1");

/// Places of a part, and the cells of a design there.
pub(super) fn places<'a>(
    tiles: impl Iterator<Item = (&'a str, u32, u32)>,
    design: &Design,
) -> Result<Places, FpgaError> {
    let (mut groups, mut sites) = (Vec::new(), Vec::new());
    let mut tiles: Vec<_> = tiles.collect();
    // The list of tiles has no order of its own, and the same design shall always be placed alike.
    tiles.sort_by_key(|&(_, x, y)| (x, y));
    for (kind, x, y) in tiles {
        let at = (x as i32, y as i32);
        let logic = if kind.starts_with("CLBL") { 0..SLICES } else { 0..0 };
        groups.extend(logic.map(|half| {
            let can_be_memory = kind.starts_with("CLBLM") && half == 0;
            Group { at, half, can_be_memory }
        }));
        sites.extend(sites_of_tile(kind, at));
    }
    let mut places = Places::of((SLICES.into(), LETTERS.len()), false, groups, sites);
    for number in 0..design.cells.len() {
        let place = read_place(&places, design, number)?;
        places.put(place);
        if let Place::Slot(slot, _) = place {
            let slice = slot / LETTERS.len();
            if is_memory(&design.cells[number]) {
                places.mark_memory(slice);
            }
            if design.cells[number].name.starts_with(KEPT_FREE) {
                places.keep(slice);
            }
        }
    }
    places.find_stacks(design)?;
    Ok(places)
}

fn sites_of_tile(kind: &str, at: (i32, i32)) -> Vec<Site> {
    let site = |kind: BlockKind, (site, bel): (&str, &str), half: usize, part_of, has_parts| Site {
        at,
        kind,
        bel: format!("X{}Y{}/{site}_X0Y{half}.{bel}", at.0, at.1),
        part_of,
        has_parts,
    };
    match kind {
        "BRAM_L" | "BRAM_R" => vec![
            site(BlockKind::Memory, MEMORY, 0, None, 2),
            site(BlockKind::HalfMemory, HALF_MEMORY, 0, Some(1), 0),
            site(BlockKind::HalfMemory, HALF_MEMORY, 1, Some(2), 0),
        ],
        "DSP_L" | "DSP_R" => {
            [0, 1].map(|half| site(BlockKind::Multiplier, MULTIPLIER, half, None, 0)).into()
        }
        _ => Vec::new(),
    }
}

/// The place that a cell's `bel` names.
fn read_place(places: &Places, design: &Design, number: usize) -> Result<Place, FpgaError> {
    let cell = &design.cells[number];
    let unknown = || misplaced(cell);
    if cell.kind == Kind::Other {
        return Ok(Place::Kept);
    }
    if cell.kind.is_block() {
        return places.site(&cell.bel).map(Place::Block).ok_or_else(unknown);
    }
    let (_, rest) = read::tile_of(&cell.bel).ok_or_else(unknown)?;
    // SLICE_X1Y0.A6LUT: the second one of its tile.
    let (half, bel) = (rest.strip_prefix("SLICE_X"))
        .and_then(|rest| rest.split_once("Y0."))
        .ok_or_else(unknown)?;
    let half = half.parse().map_err(|_| unknown())?;
    let slice = places.group(cell.at, half).ok_or_else(unknown)?;
    if cell.kind == Kind::Carry {
        return Ok(Place::Group(slice));
    }
    let letter = LETTERS.iter().position(|letter| bel.starts_with(letter)).ok_or_else(unknown)?;
    let part = PARTS.iter().position(|part| bel.get(1..) == Some(part)).ok_or_else(unknown)?;
    Ok(Place::Slot(slice * LETTERS.len() + letter, part))
}

/// Whether a table is a word of distributed memory.
fn is_memory(cell: &Cell) -> bool {
    let mut inputs = cell.inputs.iter();
    cell.kind == Kind::Table
        && inputs.any(|input| matches!(input.pin, Pin::WriteAddress | Pin::Clock))
}

/// Slices of the 7-series.
#[derive(Clone)]
pub(super) struct Slices;

impl Fabric for Slices {
    // Every other column has switches.
    const COLUMN: i32 = 2;
    /// A card's longest way would be 8.01 ns in place of 8.04, for a third more time.
    const MOVES_WAYS: bool = false;

    fn after_clock(&self, kind: Kind) -> Option<f32> {
        delay::after_clock(kind)
    }

    fn before_clock(&self, kind: Kind, pin: Pin) -> Option<f32> {
        delay::before_clock(kind, pin)
    }

    fn through(&self, kind: Kind, from: Pin, to: Pin) -> Option<f32> {
        delay::through(kind, from, to)
    }

    fn wire(&self, from: (&Cell, Pin), to: (&Cell, Pin), _: usize, together: bool) -> f32 {
        delay::wire(from, to, together)
    }

    /// A slot has one wire past its tables, and one output beside theirs.
    fn fits_slot(&self, design: &Design, places: &Places, slot: usize) -> bool {
        let [six, five, first, second] = places.content(slot);
        let data = |flip_flop: usize| design.cells[flip_flop].net_at(Pin::Data);
        let driver = |net: usize| Some(design.nets[net].driver.0);
        // What does not come from a table of the slot takes the wire past them.
        let past = |flip_flop: Option<usize>, direct: &[Option<usize>]| {
            data(flip_flop?).filter(|&net| !direct.contains(&driver(net)))
        };
        let passes = [past(first, &[six, five]), past(second, &[five])];
        if let [Some(one), Some(other)] = passes
            && one != other
        {
            return false;
        }
        // The second flip-flop has the output that the table of five inputs needs for all but flip-flops beside it.
        let (Some(five), Some(_)) = (five, second) else { return true };
        design.cells[five].outputs.iter().all(|&(_, net)| match design.nets[net].users[..] {
            [] => true,
            [(cell, pin)] => pin == Pin::Data && [first, second].contains(&Some(cell)),
            _ => false,
        })
    }

    fn name(&self, places: &Places, place: Place) -> String {
        let slice = |slice: usize, bel: &str| {
            let Group { at: (x, y), half, .. } = places.groups[slice];
            format!("X{x}Y{y}/SLICE_X{half}Y0.{bel}")
        };
        match place {
            Place::Slot(slot, part) => {
                let letter = LETTERS[slot % LETTERS.len()];
                slice(slot / LETTERS.len(), &format!("{letter}{}", PARTS[part]))
            }
            Place::Group(group) => slice(group, "CARRY4"),
            Place::Block(_) | Place::Kept => String::new(),
        }
    }
}
