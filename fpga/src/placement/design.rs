//! A placed design, as far as places and times go.

use std::collections::BTreeMap;

use crate::error::FpgaError;

/// A kind of cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table, or a word of distributed memory.
    Table,
    FlipFlop,
    /// Places of a chain of carries: four of a 7-series', one of an ECP5's.
    Carry,
    /// Leads what distributed memory is written with to its words.
    WritePort,
    Memory,
    /// A multiplier with registers at both ends.
    Multiplier,
    /// One with a register at its output.
    Product,
    /// One without.
    BareProduct,
    /// Pins, buffers, constants: they stay, and no time is known of them.
    Other,
}

impl Kind {
    /// A block of its own, taller than what stands in slots.
    pub(super) fn is_block(self) -> bool {
        matches!(self, Self::Memory | Self::Multiplier | Self::Product | Self::BareProduct)
    }
}

/// A pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pin {
    /// An input of a table, or of the one in front of a carry.
    Input,
    /// The output of a table to which all inputs lead.
    Output,
    /// The one to which five of six lead.
    Output5,
    Data,
    /// Data of a flip-flop that can only come from the table beside it.
    DataOfTable,
    Enable,
    Reset,
    Clock,
    WriteEnable,
    WriteData,
    WriteAddress,
    /// From the carries before.
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
    /// It moves with all of its group.
    pub(super) rigid: bool,
    /// It moves with all of its slot.
    pub(super) tied: bool,
    /// Of a flip-flop: numbers for what all of a group, and both of a pair of slots, have in common.
    pub(super) controls: [usize; 2],
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

/// A cell that stands where the part has no place for it.
pub(super) fn misplaced(cell: &Cell) -> FpgaError {
    bad(format!("`{}` stands at `{}`", cell.name, cell.bel))
}

impl Design {
    /// One more cell.
    pub(super) fn add_cell(&mut self, name: &str, kind: Kind, bel: &str, at: (i32, i32)) {
        self.cells.push(Cell {
            name: name.to_owned(),
            kind,
            bel: bel.to_owned(),
            at,
            inputs: Vec::new(),
            outputs: Vec::new(),
            in_array: false,
            rigid: false,
            tied: false,
            controls: [0; 2],
        });
    }

    /// One more net, from a cell's pin.
    pub(super) fn add_net(&mut self, cell: usize, pin: Pin) {
        self.cells[cell].outputs.push((pin, self.nets.len()));
        let timed = self.cells[cell].kind != Kind::Other;
        self.nets.push(Net { driver: (cell, pin), users: Vec::new(), timed });
    }

    /// One more pin to which a net leads.
    pub(super) fn add_user(&mut self, net: usize, cell: usize, pin: Pin) {
        let users = &mut self.nets[net].users;
        self.cells[cell].inputs.push(Input { pin, net, user: users.len() });
        users.push((cell, pin));
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
