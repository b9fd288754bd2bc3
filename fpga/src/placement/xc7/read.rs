//! A placed design, as the program in Python that nextpnr runs writes it.
//!
//! ```text
//! C  name  type  place       a cell, in the order of their numbers
//! N  cell  pin               a net, by the cell and pin that drive it
//! U  cell  pin               a pin that it leads to
//! ```
//!
//! Tabs part the fields.

use std::collections::HashMap;

use crate::error::FpgaError;
use crate::placement::design::{Design, Kind, Pin, bad};

/// The file that [`WRITING`] writes.
pub const PLACED: &str = "placed.txt";

/// What nextpnr runs once it has placed: it writes the design, and ends.
pub const WRITING: &str = "\
import os, sys
number = {}
with open('placed.txt', 'w') as out:
    for name, cell in ctx.cells:
        number[name] = len(number)
        out.write(f'C\\t{name}\\t{cell.type}\\t{cell.bel}\\n')
    for name, net in ctx.nets:
        if net.driver.cell is None:
            continue
        out.write(f'N\\t{number[net.driver.cell.name]}\\t{net.driver.port}\\n')
        for user in net.users:
            out.write(f'U\\t{number[user.cell.name]}\\t{user.port}\\n')
sys.stdout.flush()
os._exit(0)
";

/// The clock buffer of the array, as the boards' tops name it.
const ARRAY_CLOCK: &str = "array_clock";

fn pin(kind: Kind, name: &str) -> Pin {
    // Places of carries have numbers of one digit.
    let place = |prefix: &str| match name.strip_prefix(prefix)?.as_bytes() {
        [digit @ b'0'..=b'3'] => Some(digit - b'0'),
        _ => None,
    };
    match (kind, name) {
        (Kind::Table, "A1" | "A2" | "A3" | "A4" | "A5" | "A6") => Pin::Input,
        (Kind::Table, "O6") => Pin::Output,
        (Kind::Table, "O5") => Pin::Output5,
        (Kind::Table, "WE") => Pin::WriteEnable,
        (Kind::Table, "DI1" | "DI2") => Pin::WriteData,
        (Kind::Table, name) if name.starts_with("WA") => Pin::WriteAddress,
        (Kind::FlipFlop, "D") => Pin::Data,
        (Kind::FlipFlop, "CE") => Pin::Enable,
        (Kind::FlipFlop, "SR") => Pin::Reset,
        (Kind::Carry, "CIN") => Pin::CarryIn,
        (Kind::Carry, "CYINIT") => Pin::CarryFirst,
        (Kind::Carry, _) => {
            let pins = [
                place("CO").map(Pin::CarryOut),
                place("O").map(Pin::Sum),
                place("S").map(Pin::Propagate),
                place("DI").map(Pin::Generate),
            ];
            pins.into_iter().flatten().next().unwrap_or(Pin::Other)
        }
        (_, "CK" | "CLK" | "CLKARDCLK") => Pin::Clock,
        _ => Pin::Other,
    }
}

fn kind(name: &str) -> Kind {
    match name {
        "SLICE_LUTX" => Kind::Table,
        "SLICE_FFX" => Kind::FlipFlop,
        "CARRY4" => Kind::Carry,
        _ if name.starts_with("RAMB") => Kind::Memory,
        _ if name.starts_with("DSP48") => Kind::Multiplier,
        _ => Kind::Other,
    }
}

/// Column and row of a tile out of the name of a place in it, `X12Y34/..`.
pub(in crate::placement) fn tile_of(bel: &str) -> Option<((i32, i32), &str)> {
    let (tile, place) = bel.split_once('/')?;
    let (x, y) = tile.strip_prefix('X')?.split_once('Y')?;
    Some(((x.parse().ok()?, y.parse().ok()?), place))
}

/// Reads what [`WRITING`] wrote.
pub(in crate::placement) fn design(text: &str) -> Result<Design, FpgaError> {
    let mut design = Design::default();
    for (number, line) in text.lines().enumerate() {
        let told = match line.split('\t').collect::<Vec<_>>()[..] {
            ["C", name, of_kind, bel] => {
                let at = tile_of(bel).map_or((0, 0), |(at, _)| at);
                design.add_cell(name, kind(of_kind), bel, at);
                Some(())
            }
            ["N", cell, pin] => add_net(&mut design, cell, pin),
            ["U", cell, pin] => add_user(&mut design, cell, pin),
            _ => None,
        };
        told.ok_or_else(|| bad(format!("line {} is `{line}`", number + 1)))?;
    }
    mark_clocks(&mut design);
    Ok(design)
}

fn add_net(design: &mut Design, cell: &str, name: &str) -> Option<()> {
    let number: usize = cell.parse().ok()?;
    let kind = design.cells.get(number)?.kind;
    design.add_net(number, pin(kind, name));
    Some(())
}

fn add_user(design: &mut Design, cell: &str, name: &str) -> Option<()> {
    let number: usize = cell.parse().ok()?;
    let kind = design.cells.get(number)?.kind;
    let net = design.nets.len().checked_sub(1)?;
    design.add_user(net, number, pin(kind, name));
    Some(())
}

/// Which cells have the array's clock, and what flip-flops of a slice have in common.
fn mark_clocks(design: &mut Design) {
    let mut numbers = HashMap::new();
    for index in 0..design.cells.len() {
        let cell = &design.cells[index];
        let driver = |net: usize| &design.cells[design.nets[net].driver.0];
        let in_array = cell.net_at(Pin::Clock).is_some_and(|net| driver(net).name == ARRAY_CLOCK);
        let control = [Pin::Clock, Pin::Enable, Pin::Reset].map(|pin| cell.net_at(pin));
        let next = numbers.len();
        let control = *numbers.entry(control).or_insert(next);
        design.cells[index].in_array = in_array;
        design.cells[index].controls[0] = control;
    }
}
