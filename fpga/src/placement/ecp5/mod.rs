//! The ECP5: tiles of its logic, and times of its cells and wires.
//!
//! nextpnr writes a placed design as a netlist of its own cells. It reads that again, packs it, which leaves all cells as
//! they are, and places each one where an attribute says. So no more is needed than nextpnr itself.

mod read;
#[cfg(test)]
mod tests;

use super::design::{Cell, Design, Kind, Pin, misplaced};
use super::fabric::Fabric;
use super::places::{BlockKind, Group, Place, Places, Site};
use super::{Better, improved};
use crate::channels::{SITES, is_channel, logic_tiles};
use crate::error::FpgaError;
use crate::floorplan::all_sites;

pub use read::bound_netlist;

/// Improves a placed design for an 85F of a speed grade, as nextpnr wrote it. The array's clock is so many times faster than the
/// card's; `hears` how much is done and how long the longest way is, ns.
///
/// # Errors
/// [`FpgaError::BadOutput`] when this is no placement, or none on an 85F.
pub fn improved_ecp5(
    placed: &[u8],
    speed: u32,
    array_clock_ratio: u32,
    hears: &mut dyn FnMut(f64, f32),
) -> Result<Better, FpgaError> {
    let design = read::design(placed)?;
    let places = places(&design)?;
    Ok(improved(Tiles::of(speed), design, places, array_clock_ratio, hears))
}

/// Flip-flops stand behind the tables of their slots, [`SITES`]: `SLICEA.FF0` behind `SLICEA.K0`.
const TABLE: char = 'K';
const FLIP_FLOP: &str = "FF";
/// The part of a slot that is a table, and the one that is a flip-flop.
const TABLE_PART: usize = 0;
const FLIP_FLOP_PART: usize = 2;
/// Where memory of tables has its write port.
const WRITE_PORT: &str = "SLICEC.RAMW";

/// Places of an 85F, and the cells of a design there.
fn places(design: &Design) -> Result<Places, FpgaError> {
    let at = |(x, y): (u32, u32)| (x as i32, y as i32);
    let group = |tile| Group { at: at(tile), half: 0, can_be_memory: true };
    let site = |(kind, tile, bel): (&str, _, String)| {
        let kind = if kind == "DP16KD" { BlockKind::Memory } else { BlockKind::Multiplier };
        Site { at: at(tile), kind, bel, part_of: None, has_parts: 0 }
    };
    let sites = all_sites().map(site).collect();
    let mut places = Places::of((1, SITES.len()), true, logic_tiles().map(group).collect(), sites);
    for cell in &design.cells {
        let place = read_place(&places, cell).ok_or_else(|| misplaced(cell))?;
        places.put(place);
        match place {
            Place::Group(group) => places.mark_memory(group),
            Place::Slot(slot, _) if is_channel(&cell.name) => places.keep(slot / SITES.len()),
            _ => {}
        }
    }
    places.find_stacks(design)?;
    Ok(places)
}

/// The place that a cell's `bel` names.
fn read_place(places: &Places, cell: &Cell) -> Option<Place> {
    if cell.kind == Kind::Other {
        return Some(Place::Kept);
    }
    if cell.kind.is_block() {
        return places.site(&cell.bel).map(Place::Block);
    }
    let tile = places.group(cell.at, 0)?;
    let site = cell.bel.rsplit('/').next()?;
    if cell.kind == Kind::WritePort {
        return (site == WRITE_PORT).then_some(Place::Group(tile));
    }
    let is_flip_flop = cell.kind == Kind::FlipFlop;
    let part = if is_flip_flop { FLIP_FLOP_PART } else { TABLE_PART };
    let slot = SITES.iter().position(|of_slot| {
        if is_flip_flop { of_slot.replace(TABLE, FLIP_FLOP) == site } else { *of_slot == site }
    })?;
    Some(Place::Slot(tile * SITES.len() + slot, part))
}

/// Tiles of the ECP5: how much cells and wires take of what they do at speed grade 6.
#[derive(Clone)]
struct Tiles {
    cells: f32,
    wires: f32,
}

impl Tiles {
    fn of(speed: u32) -> Self {
        match speed {
            8.. => Self { cells: 0.76, wires: 0.63 },
            7 => Self { cells: 0.88, wires: 0.815 },
            _ => Self { cells: 1.0, wires: 1.0 },
        }
    }
}

/// A wire within a tile and to the next ones, by where it leads.
const IN_TILE: f32 = 360.0;
const TO_TABLE: f32 = 380.0;
const TO_CARRY: f32 = 610.0;
const TO_MEMORY: f32 = 650.0;
const TO_OTHERS: f32 = 480.0;
const TO_BLOCK: f32 = 720.0;
/// What it takes more from a block, which is some tiles wide.
const FROM_BLOCK: f32 = 350.0;
/// From a table to the flip-flop behind it, and from a write port to its words.
const WITHIN: f32 = 106.0;
const OF_WRITE_PORT: f32 = 60.0;
/// What it takes more for each of the first tiles, in columns and in rows, and for each one farther on. Routed cards have 118 and 50 on
/// the average.
const NEAR: f32 = 120.0;
const FAR: f32 = 60.0;
const NEAR_TILES: i32 = 5;
/// What it takes more each time that a signal leads to twice as many pins: switches on its way have more to drive, which nextpnr's
/// router does not see before all is routed.
const BRANCH: f32 = 35.0;
const MOST_BRANCHES: u32 = 4;

impl Fabric for Tiles {
    const COLUMN: i32 = 1;
    const MOVES_WAYS: bool = true;

    fn after_clock(&self, kind: Kind) -> Option<f32> {
        let delay = match kind {
            Kind::FlipFlop => 525.0,
            // Without output registers.
            Kind::Memory => 5830.0,
            Kind::Multiplier | Kind::Product => 735.0,
            _ => return None,
        };
        Some(delay * self.cells)
    }

    fn before_clock(&self, kind: Kind, pin: Pin) -> Option<f32> {
        let delay = match (kind, pin) {
            (_, Pin::Clock) => return None,
            (Kind::FlipFlop, Pin::Reset) => 424.0,
            (Kind::FlipFlop, _) | (Kind::Table, Pin::WriteData | Pin::WriteAddress) => 0.0,
            (Kind::Table, Pin::WriteEnable) => 392.0,
            (Kind::Memory, _) => 251.0,
            (Kind::Multiplier, _) => 84.0,
            (Kind::Product, _) => 3486.0,
            _ => return None,
        };
        Some(delay * self.cells)
    }

    fn through(&self, kind: Kind, from: Pin, to: Pin) -> Option<f32> {
        let delay = match (kind, from, to) {
            (Kind::Table | Kind::Carry, Pin::Input, Pin::Output) => 236.0,
            (Kind::Carry, Pin::Input, Pin::CarryOut(_)) => 447.0,
            (Kind::Carry, Pin::CarryIn, Pin::Output) => 443.0,
            (Kind::Carry, Pin::CarryIn, Pin::CarryOut(_)) => 71.0,
            (Kind::WritePort, _, _) => 0.0,
            (Kind::BareProduct, _, _) => 3927.0,
            _ => return None,
        };
        Some(delay * self.cells)
    }

    fn wire(&self, (from, _): (&Cell, Pin), (to, pin): (&Cell, Pin), pins: usize, _: bool) -> f32 {
        let fixed = match pin {
            Pin::CarryIn => Some(0.0),
            Pin::DataOfTable => Some(WITHIN),
            _ if from.kind == Kind::WritePort => Some(OF_WRITE_PORT),
            _ => None,
        };
        if let Some(fixed) = fixed {
            return fixed * self.wires;
        }
        let distances = [from.at.0 - to.at.0, from.at.1 - to.at.1].map(i32::abs);
        let to_pin = match (to.kind, pin) {
            (Kind::Carry, _) => TO_CARRY,
            (Kind::Table, Pin::Input) if distances == [0, 0] => IN_TILE,
            (Kind::Table, Pin::Input) => TO_TABLE,
            (Kind::WritePort, _) => TO_MEMORY,
            (kind, _) if kind.is_block() => TO_BLOCK,
            _ => TO_OTHERS,
        };
        let from_block = if from.kind.is_block() { FROM_BLOCK } else { 0.0 };
        let along = distances.map(|tiles| {
            let near = tiles.min(NEAR_TILES);
            NEAR * near as f32 + FAR * (tiles - near) as f32
        });
        let branches = BRANCH * pins.ilog2().min(MOST_BRANCHES) as f32;
        (to_pin + from_block + branches + along[0] + along[1]) * self.wires
    }

    /// A flip-flop whose data come from the table in front of it stands behind that.
    fn fits_slot(&self, design: &Design, places: &Places, slot: usize) -> bool {
        let content = places.content(slot);
        let Some(flip_flop) = content[FLIP_FLOP_PART] else { return true };
        design.cells[flip_flop]
            .net_at(Pin::DataOfTable)
            .is_none_or(|net| content[TABLE_PART] == Some(design.nets[net].driver.0))
    }

    fn name(&self, places: &Places, place: Place) -> String {
        let in_tile = |tile: usize, site: &str| {
            let (x, y) = places.tile(tile);
            format!("X{x}/Y{y}/{site}")
        };
        match place {
            Place::Slot(slot, part) => {
                let site = SITES[slot % SITES.len()];
                let tile = slot / SITES.len();
                match part {
                    FLIP_FLOP_PART => in_tile(tile, &site.replace(TABLE, FLIP_FLOP)),
                    _ => in_tile(tile, site),
                }
            }
            Place::Group(tile) => in_tile(tile, WRITE_PORT),
            Place::Block(_) | Place::Kept => String::new(),
        }
    }
}
