//! What cells and wires take, in picoseconds: cells as nextpnr's data of the 7-series say, wires by their length.

use crate::placement::design::{Cell, Kind, Pin};

/// A flip-flop's output behind its clock.
const FLIP_FLOP: f32 = 350.0;
/// A block's output behind its clock. nextpnr knows no output registers of memories.
const MEMORY: f32 = 2454.0;
/// With its own register.
const MULTIPLIER: f32 = 434.0;

/// Whether it ends and begins ways, and what its output takes behind its clock.
pub(super) fn after_clock(kind: Kind) -> Option<f32> {
    match kind {
        Kind::FlipFlop => Some(FLIP_FLOP),
        Kind::Memory => Some(MEMORY),
        Kind::Multiplier => Some(MULTIPLIER),
        _ => None,
    }
}

/// How long before the clock a pin wants its value; nothing if no way ends there.
pub(super) fn before_clock(kind: Kind, pin: Pin) -> Option<f32> {
    match (kind, pin) {
        (_, Pin::Clock) => None,
        (Kind::FlipFlop, _) | (Kind::Table, Pin::WriteData) => Some(100.0),
        (Kind::Table, Pin::WriteEnable) => Some(600.0),
        (Kind::Table, Pin::WriteAddress) => Some(500.0),
        (Kind::Memory, _) => Some(560.0),
        (Kind::Multiplier, _) => Some(230.0),
        _ => None,
    }
}

/// From an input of a cell to an output; nothing if none leads there.
pub(super) fn through(kind: Kind, from: Pin, to: Pin) -> Option<f32> {
    match (kind, from, to) {
        (Kind::Table, Pin::Input, Pin::Output5) => Some(150.0),
        (Kind::Table, Pin::Input, _) => Some(125.0),
        (Kind::Carry, _, _) => carried(from, to),
        _ => None,
    }
}

/// Through four places of carries.
fn carried(from: Pin, to: Pin) -> Option<f32> {
    const NEVER: f32 = 0.0;
    // To the sums, and to the carry behind the last place.
    let to_each = match from {
        Pin::CarryIn => [219.0, 323.0, 239.0, 315.0, 117.0],
        Pin::CarryFirst => [510.0, 630.0, 602.0, 662.0, 595.0],
        Pin::Propagate(0) => [228.0, 403.0, 520.0, 584.0, 489.0],
        Pin::Propagate(1) => [NEVER, 210.0, 558.0, 623.0, 513.0],
        Pin::Propagate(2) => [NEVER, NEVER, 228.0, 330.0, 358.0],
        Pin::Propagate(3) => [NEVER, NEVER, NEVER, 233.0, 354.0],
        _ => return None,
    };
    let found = match to {
        Pin::Sum(place) => to_each[usize::from(place)],
        Pin::CarryOut(3) => to_each[4],
        // A carry that leaves between: hardly sooner than the last one.
        Pin::CarryOut(_) => 400.0,
        _ => NEVER,
    };
    (found > NEVER).then_some(found)
}

/// A wire within a slice that is no wire of the part's.
const WITHIN: f32 = 20.0;
/// From four carries to the next.
const CHAIN: f32 = 60.0;
/// A wire to a table, within a tile and to the next; to any other pin.
const IN_TILE: f32 = 300.0;
const TO_TABLE: f32 = 330.0;
const TO_OTHERS: f32 = 500.0;
/// What it takes more from a block, which is five tiles high, and to one.
const FROM_BLOCK: f32 = 300.0;
const TO_BLOCK: f32 = 200.0;
/// What it takes more for each column and row of tiles. Routed cards have 19 and 34 on the average; a wire that leads around
/// what is full takes up to twice as long, so placements with short wires are routed better.
const COLUMN: f32 = 22.0;
const ROW: f32 = 48.0;

/// From a pin of a cell to a pin of another one, by where both stand; `together` if they stand in one slot.
pub(super) fn wire((from, out): (&Cell, Pin), (to, pin): (&Cell, Pin), together: bool) -> f32 {
    let (columns, rows) = ((from.at.0 - to.at.0).abs(), (from.at.1 - to.at.1).abs());
    let one_tile = (columns, rows) == (0, 0);
    match (from.kind, to.kind) {
        (Kind::Carry, Kind::Carry) if pin == Pin::CarryIn => CHAIN,
        (Kind::Table, Kind::FlipFlop) if together && pin == Pin::Data => WITHIN,
        (Kind::Carry, Kind::FlipFlop)
            if one_tile && matches!(out, Pin::Sum(_)) && pin == Pin::Data =>
        {
            WITHIN
        }
        (Kind::Table, Kind::Carry)
            if one_tile && matches!(pin, Pin::Propagate(_) | Pin::Generate(_)) =>
        {
            0.0
        }
        _ => {
            let to_pin = match pin {
                Pin::Input if one_tile => IN_TILE,
                Pin::Input => TO_TABLE,
                _ => TO_OTHERS,
            };
            let from_block = if from.kind.is_block() { FROM_BLOCK } else { 0.0 };
            let to_block = if to.kind.is_block() { TO_BLOCK } else { 0.0 };
            to_pin + from_block + to_block + COLUMN * columns as f32 + ROW * rows as f32
        }
    }
}
