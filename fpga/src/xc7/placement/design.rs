//! A placed design, as the program in Python that nextpnr runs writes it.
//!
//! ```text
//! C  name  type  place       a cell, in the order of their numbers
//! N  cell  pin               a net, by the cell and pin that drive it
//! U  cell  pin               a pin that it leads to
//! ```
//!
//! Tabs part the fields.

use std::collections::BTreeMap;

use crate::error::FpgaError;

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

/// A kind of cell, as far as places and times go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table, or a word of distributed memory.
    Table,
    FlipFlop,
    /// Four places of a chain of carries.
    Carry,
    Memory,
    Multiplier,
    /// Pins, buffers, constants: they stay, and no time is known of them.
    Other,
}

/// A pin, as far as times go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    /// An input of a table.
    Input,
    /// The output that six inputs lead to.
    Output6,
    /// The output that five inputs lead to.
    Output5,
    Data,
    Enable,
    Reset,
    Clock,
    WriteEnable,
    WriteData,
    WriteAddress,
    /// From the carries below.
    CarryIn,
    /// The carry that a chain begins with.
    CarryFirst,
    /// Whether a place passes the carry on.
    Propagate(u8),
    /// What a place carries if it does not.
    Generate(u8),
    Sum(u8),
    CarryOut(u8),
    Other,
}

impl Pin {
    fn of(kind: Kind, name: &str) -> Self {
        // Places of carries have numbers of one digit.
        let place = |prefix: &str| match name.strip_prefix(prefix)?.as_bytes() {
            [digit @ b'0'..=b'3'] => Some(digit - b'0'),
            _ => None,
        };
        match (kind, name) {
            (Kind::Table, "A1" | "A2" | "A3" | "A4" | "A5" | "A6") => Self::Input,
            (Kind::Table, "O6") => Self::Output6,
            (Kind::Table, "O5") => Self::Output5,
            (Kind::Table, "WE") => Self::WriteEnable,
            (Kind::Table, "DI1" | "DI2") => Self::WriteData,
            (Kind::Table, name) if name.starts_with("WA") => Self::WriteAddress,
            (Kind::FlipFlop, "D") => Self::Data,
            (Kind::FlipFlop, "CE") => Self::Enable,
            (Kind::FlipFlop, "SR") => Self::Reset,
            (Kind::Carry, "CIN") => Self::CarryIn,
            (Kind::Carry, "CYINIT") => Self::CarryFirst,
            (Kind::Carry, _) => {
                let pins = [
                    place("CO").map(Self::CarryOut),
                    place("O").map(Self::Sum),
                    place("S").map(Self::Propagate),
                    place("DI").map(Self::Generate),
                ];
                pins.into_iter().flatten().next().unwrap_or(Self::Other)
            }
            (_, "CK" | "CLK" | "CLKARDCLK") => Self::Clock,
            _ => Self::Other,
        }
    }
}

/// An input of a cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input {
    pub(super) pin: Pin,
    pub(super) net: usize,
    /// Its number among the pins that the net leads to.
    pub(super) user: usize,
}

/// A cell.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Where nextpnr put it.
    pub(super) bel: String,
    /// Column and row of the tile in which it stands.
    pub(super) at: (i32, i32),
    pub(super) inputs: Vec<Input>,
    /// Pins and their nets.
    pub(super) outputs: Vec<(Pin, usize)>,
    /// Its clock runs as many times faster as the array's does.
    pub(super) in_array: bool,
}

impl Cell {
    /// The net at a pin.
    pub(super) fn net_at(&self, pin: Pin) -> Option<usize> {
        self.inputs.iter().find(|input| input.pin == pin).map(|input| input.net)
    }
}

/// A net.
#[derive(Clone, Debug)]
pub(super) struct Net {
    /// The cell that drives it, and its pin.
    pub(super) driver: (usize, Pin),
    /// Cells that it leads to, and their pins.
    pub(super) users: Vec<(usize, Pin)>,
    /// Ways through it have times: it is no constant and no clock.
    pub(super) timed: bool,
}

/// Cells and nets.
#[derive(Clone, Debug, Default)]
pub(super) struct Design {
    pub(super) cells: Vec<Cell>,
    pub(super) nets: Vec<Net>,
}

pub(super) fn bad(problem: impl Into<String>) -> FpgaError {
    FpgaError::BadOutput { what: "nextpnr's placement", problem: problem.into() }
}

/// Column and row of a tile out of the name of a place in it, `X12Y34/..`.
pub(super) fn tile_of(bel: &str) -> Option<((i32, i32), &str)> {
    let (tile, place) = bel.split_once('/')?;
    let (x, y) = tile.strip_prefix('X')?.split_once('Y')?;
    Some(((x.parse().ok()?, y.parse().ok()?), place))
}

impl Design {
    /// Reads what [`WRITING`] wrote.
    pub(super) fn read(text: &str) -> Result<Self, FpgaError> {
        let mut design = Self::default();
        for (number, line) in text.lines().enumerate() {
            let told = match line.split('\t').collect::<Vec<_>>()[..] {
                ["C", name, kind, bel] => {
                    design.add_cell(name, kind, bel);
                    Some(())
                }
                ["N", cell, pin] => design.add_net(cell, pin),
                ["U", cell, pin] => design.add_user(cell, pin),
                _ => None,
            };
            told.ok_or_else(|| bad(format!("line {} is `{line}`", number + 1)))?;
        }
        design.mark_clocks();
        Ok(design)
    }

    fn add_cell(&mut self, name: &str, kind: &str, bel: &str) {
        let kind = match kind {
            "SLICE_LUTX" => Kind::Table,
            "SLICE_FFX" => Kind::FlipFlop,
            "CARRY4" => Kind::Carry,
            _ if kind.starts_with("RAMB") => Kind::Memory,
            _ if kind.starts_with("DSP48") => Kind::Multiplier,
            _ => Kind::Other,
        };
        self.cells.push(Cell {
            name: name.to_owned(),
            kind,
            bel: bel.to_owned(),
            at: tile_of(bel).map_or((0, 0), |(at, _)| at),
            inputs: Vec::new(),
            outputs: Vec::new(),
            in_array: false,
        });
    }

    fn add_net(&mut self, cell: &str, pin: &str) -> Option<()> {
        let (number, net) = (cell.parse().ok()?, self.nets.len());
        let cell: &mut Cell = self.cells.get_mut(number)?;
        let pin = Pin::of(cell.kind, pin);
        cell.outputs.push((pin, net));
        let timed = cell.kind != Kind::Other;
        self.nets.push(Net { driver: (number, pin), users: Vec::new(), timed });
        Some(())
    }

    fn add_user(&mut self, cell: &str, pin: &str) -> Option<()> {
        let number = cell.parse().ok()?;
        let cell: &mut Cell = self.cells.get_mut(number)?;
        let pin = Pin::of(cell.kind, pin);
        let net = self.nets.len().checked_sub(1)?;
        let users = &mut self.nets.get_mut(net)?.users;
        cell.inputs.push(Input { pin, net, user: users.len() });
        users.push((number, pin));
        Some(())
    }

    fn mark_clocks(&mut self) {
        for index in 0..self.cells.len() {
            let clock = self.cells[index].net_at(Pin::Clock);
            self.cells[index].in_array =
                clock.is_some_and(|net| self.cells[self.nets[net].driver.0].name == ARRAY_CLOCK);
        }
    }

    /// Whether a table is a word of distributed memory.
    pub(super) fn is_memory(&self, cell: usize) -> bool {
        let written = |input: &Input| matches!(input.pin, Pin::WriteAddress | Pin::Clock);
        let Cell { kind, inputs, .. } = &self.cells[cell];
        *kind == Kind::Table && inputs.iter().any(written)
    }

    /// Chains of carries, from the first one on.
    pub(super) fn chains(&self) -> Vec<Vec<usize>> {
        let mut next = BTreeMap::new();
        let mut first: Vec<bool> = self.cells.iter().map(|cell| cell.kind == Kind::Carry).collect();
        for net in self.nets.iter().filter(|net| self.cells[net.driver.0].kind == Kind::Carry) {
            for &(cell, _) in net.users.iter().filter(|(_, pin)| *pin == Pin::CarryIn) {
                next.insert(net.driver.0, cell);
                first[cell] = false;
            }
        }
        let firsts = (0..first.len()).filter(|&cell| first[cell]);
        firsts
            .map(|cell| std::iter::successors(Some(cell), |cell| next.get(cell).copied()).collect())
            .collect()
    }
}
