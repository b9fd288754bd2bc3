//! Which ways between two registers are the longest, by the names of the source, before anything is placed.
//!
//! Synthesis trades depth for tables down to the longest way that it finds, so that one deep place makes all others deep.
//! Which one that is shows here, seconds after synthesis and long before place and route: what cells take by their data sheets,
//! and for each wire what it takes on the average of a full part. That is no promise, but it ranks; counting tables alone misled, for a
//! carry chain costs more than one where it begins and little in its course, and memory blocks give their data late.
//! Tables in a row are told as well: a table counts one, and so do the first table of a carry chain, a read of distributed memory and
//! an inverter that stands in a table. Ways end in registers, memories and multipliers.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::boards::TOP;
use crate::netlist::{self, kind};
use crate::resources::Resources;

/// The longest way that leads away from a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// What it takes, roughly: picoseconds.
    #[serde(default)]
    pub picoseconds: u32,
    /// Tables in a row.
    pub tables: u32,
    /// The register or memory that it comes from.
    pub from: String,
    /// The one that it goes to, the first by name of several.
    pub to: String,
    /// Bits, of that one and of others, that ways as long lead to from there.
    pub bits: u64,
}

/// What a way takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Cost {
    picoseconds: u32,
    tables: u32,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            picoseconds: self.picoseconds + other.picoseconds,
            tables: self.tables + other.tables,
        }
    }
}

/// An input of a cell and what it takes from there to an output.
type Arc = (u64, Cost);

/// What cells of a family take, picoseconds: of the grades that the boards have, rounded.
struct Delays {
    wire: u32,
    table: u32,
    /// From an input to a carry, from carry to carry, and from a carry to a sum.
    carry_in: u32,
    carry: u32,
    carry_out: u32,
    /// From the clock to the output.
    flip_flop: u32,
    block: u32,
    multiplier: u32,
    setup: u32,
}

const ECP5: Delays = Delays {
    wire: 950,
    table: 170,
    carry_in: 450,
    carry: 70,
    carry_out: 440,
    flip_flop: 390,
    block: 4300,
    multiplier: 600,
    setup: 0,
};

const XC7: Delays = Delays {
    wire: 800,
    table: 120,
    carry_in: 500,
    carry: 180,
    carry_out: 320,
    flip_flop: 350,
    block: 2450,
    multiplier: 430,
    setup: 100,
};

impl Delays {
    /// Those of a netlist's family.
    fn of(netlist: &Value) -> &'static Self {
        let of_ecp5 = |cell: &Value| kind(cell).starts_with("TRELLIS") || kind(cell) == "CCU2C";
        if netlist::cells_of_top(netlist).any(|(_, cell)| of_ecp5(cell)) { &ECP5 } else { &XC7 }
    }

    /// When a cell's output is there behind its clock.
    fn begins(&self, kind: &str) -> u32 {
        match kind {
            "MULT18X18D" | "DSP48E1" => self.multiplier,
            "DP16KD" | "RAMB18E1" | "RAMB36E1" => self.block,
            _ => self.flip_flop,
        }
    }
}

/// What leads to each net from within a cell.
struct Graph<'a> {
    delays: &'static Delays,
    arcs: BTreeMap<u64, Vec<Arc>>,
    /// The cell that drives a net, and its kind.
    drivers: HashMap<u64, (&'a str, &'a str)>,
    /// Cells that read a net.
    readers: HashMap<u64, u32>,
    /// Names of nets, those that tools made left out.
    names: HashMap<u64, &'a str>,
    /// Nets that end in a register, memory or multiplier, with the name of the one that they end in.
    ends: Vec<(u64, String)>,
}

/// What it takes to a net, and the net before it on the longest way.
#[derive(Clone, Copy, Default)]
struct Depth {
    cost: Cost,
    before: Option<u64>,
}

/// The longest ways of a mapped netlist, `count` at most, the longest first.
pub fn deepest(netlist: &Value, count: usize) -> Vec<Way> {
    let graph = Graph::of(netlist);
    let depths = graph.depths();
    let mut found: BTreeMap<String, Way> = BTreeMap::new();
    for (end, to) in &graph.ends {
        let Some(Depth { cost, .. }) = depths.get(end).filter(|depth| depth.cost.tables > 0) else {
            continue;
        };
        let mut first = *end;
        // No longer than there are nets: a circle has no first one.
        for _ in 0..depths.len() {
            let Some(before) = depths.get(&first).and_then(|depth| depth.before) else { break };
            first = before;
        }
        let from = graph.name(first);
        let Delays { wire, setup, .. } = graph.delays;
        let picoseconds = cost.picoseconds + wire + setup;
        let way =
            Way { picoseconds, tables: cost.tables, from: from.clone(), to: to.clone(), bits: 1 };
        let deepest = found.entry(from).or_insert_with(|| Way { bits: 0, ..way.clone() });
        match picoseconds.cmp(&deepest.picoseconds) {
            Ordering::Greater => *deepest = way,
            Ordering::Equal => {
                deepest.bits += 1;
                if *to < deepest.to {
                    deepest.to.clone_from(to);
                }
            }
            Ordering::Less => {}
        }
    }
    let mut ways: Vec<Way> = found.into_values().collect();
    ways.sort_by_key(|way| std::cmp::Reverse(way.picoseconds));
    ways.truncate(count);
    ways
}

impl<'a> Graph<'a> {
    fn of(netlist: &'a Value) -> Self {
        let mut graph = Self {
            delays: Delays::of(netlist),
            arcs: BTreeMap::new(),
            drivers: HashMap::new(),
            readers: HashMap::new(),
            names: HashMap::new(),
            ends: Vec::new(),
        };
        for (name, net) in netlist["modules"][TOP]["netnames"].as_object().into_iter().flatten() {
            if name.contains('$') {
                continue;
            }
            for bit in net["bits"].as_array().into_iter().flatten().filter_map(netlist::net) {
                let known = graph.names.entry(bit).or_insert(name);
                if name.len() < known.len() {
                    *known = name;
                }
            }
        }
        for (name, cell) in netlist::cells_of_top(netlist) {
            for net in netlist::nets(cell, "output") {
                graph.drivers.insert(net, (name, kind(cell)));
            }
            for net in netlist::nets(cell, "input") {
                *graph.readers.entry(net).or_default() += 1;
            }
        }
        for (name, cell) in netlist::cells_of_top(netlist) {
            let found = graph.through(cell);
            for (input, output, cost) in &found {
                graph.arcs.entry(*output).or_default().push((*input, *cost));
            }
            let through: HashSet<u64> = found.iter().map(|(input, ..)| *input).collect();
            graph.end(name, cell, &through);
        }
        graph
    }

    /// When a net is there that a register, a memory or a multiplier drives.
    fn begins(&self, net: u64) -> Cost {
        let kind = self.drivers.get(&net).map_or("", |(_, kind)| kind);
        Cost { picoseconds: self.delays.begins(kind), tables: 0 }
    }

    /// The table that drives a net stands in the slice of the carry that reads it: on the 7-series, if nothing else reads it and two
    /// of as many inputs have room.
    fn stands_beside(&self, net: u64) -> bool {
        let driver = self.drivers.get(&net).map_or("", |(_, kind)| kind);
        let tables = ["LUT1", "LUT2", "LUT3", "LUT4", "LUT5"];
        tables.contains(&driver) && self.readers.get(&net).is_some_and(|&readers| readers == 1)
    }

    /// The ways through a cell: input, output, what they take with the wire before. Distributed memory is read as logic and written
    /// as a register.
    fn through(&self, cell: &Value) -> Vec<(u64, u64, Cost)> {
        let delays = self.delays;
        let cost = |picoseconds: u32, tables: u32| Some(Cost { picoseconds, tables });
        let a_table = cost(delays.wire + delays.table, 1);
        let of_ports = |input: &str, output: &str, from: u64| match kind(cell) {
            "PFUMX" | "L6MUX21" | "MUXF7" | "MUXF8" => cost(delays.table, 0),
            "CCU2C" | "CARRY4" => {
                let is_carry = output.starts_with("CO");
                match input {
                    "CI" | "CIN" => cost(if is_carry { delays.carry } else { delays.carry_out }, 0),
                    "S" | "DI" if self.stands_beside(from) => cost(delays.carry_in, 0),
                    _ => cost(delays.wire + delays.carry_in, 1),
                }
            }
            "TRELLIS_DPR16X4" => a_table.filter(|_| input == "RAD"),
            // The port of a letter reads at its own address.
            "RAM32M" | "RAM64M" => {
                let letter = input.strip_prefix("ADDR")?;
                a_table.filter(|_| output.strip_prefix("DO") == Some(letter))
            }
            "RAM32X1D" | "RAM64X1D" => {
                let reads = input.starts_with("DPRA") && output == "DPO";
                let own = input.starts_with('A') && output == "SPO";
                a_table.filter(|_| reads || own)
            }
            kind if kind.starts_with("LUT") || kind == "INV" => a_table,
            _ => None,
        };
        let ports = |direction: &str| {
            let connections = cell["connections"].as_object().into_iter().flatten();
            let bits = connections.filter(|(port, _)| cell["port_directions"][*port] == direction);
            let bits = bits.flat_map(|(port, bits)| {
                let nets = bits.as_array().into_iter().flatten().filter_map(netlist::net);
                nets.map(move |net| (port.as_str(), net))
            });
            bits.collect::<Vec<_>>()
        };
        let (inputs, outputs) = (ports("input"), ports("output"));
        let all = inputs.iter().flat_map(|input| outputs.iter().map(move |output| (input, output)));
        all.filter_map(|((input, from), (output, to))| {
            Some((*from, *to, of_ports(input, output, *from)?))
        })
        .collect()
    }

    /// What a cell hears and does not go `through` it ends there: a flip-flop goes by its signal, all else by its own name.
    fn end(&mut self, name: &str, cell: &Value, through: &HashSet<u64>) {
        let output = netlist::nets(cell, "output").next();
        let signal = output.filter(|_| is_flip_flop(cell)).and_then(|net| self.names.get(&net));
        let name = signal.map_or_else(|| place(name), |signal| (*signal).to_owned());
        for input in netlist::nets(cell, "input").filter(|input| !through.contains(input)) {
            self.ends.push((input, name.clone()));
        }
    }

    /// Where a way begins.
    fn name(&self, net: u64) -> String {
        let driver = || self.drivers.get(&net).map(|(name, _)| place(name));
        self.names.get(&net).map(|name| (*name).to_owned()).or_else(driver).unwrap_or_default()
    }

    /// The depth of each net that cells make of others. A net within a circle counts from where the circle was entered.
    fn depths(&self) -> HashMap<u64, Depth> {
        let mut depths: HashMap<u64, Depth> = HashMap::new();
        for root in self.arcs.keys() {
            // Nets that are open, with how many of their arcs were looked at.
            let mut open = vec![(*root, 0)];
            while let Some((net, seen)) = open.pop() {
                let arcs = self.arcs.get(&net).map_or(&[][..], Vec::as_slice);
                if seen == 0 && depths.contains_key(&net) {
                    continue;
                }
                depths.entry(net).or_default();
                if let Some((input, _)) = arcs.get(seen) {
                    open.push((net, seen + 1));
                    if self.arcs.contains_key(input) {
                        open.push((*input, 0));
                    }
                    continue;
                }
                let before = |input: &u64| {
                    depths.get(input).map_or_else(|| self.begins(*input), |depth| depth.cost)
                };
                let through = arcs.iter().map(|(input, cost)| Depth {
                    cost: *cost + before(input),
                    before: Some(*input),
                });
                let longest = through.max_by_key(|depth| depth.cost).unwrap_or_default();
                depths.insert(net, longest);
            }
        }
        depths
    }
}

/// The name of an instance without what mapping added: numbers of blocks and bits.
fn place(name: &str) -> String {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mut name = name;
    while let Some((outer, _)) = name.rsplit_once('.').filter(|(_, last)| is_number(last)) {
        name = outer;
    }
    name.to_owned()
}

fn is_flip_flop(cell: &Value) -> bool {
    Resources::of_cell(kind(cell)).flip_flops > 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cell(kind: &str, inputs: Value, output: (&str, u64)) -> Value {
        let mut directions = json!({ output.0: "output" });
        for port in inputs.as_object().unwrap().keys() {
            directions[port] = "input".into();
        }
        let mut connections = inputs;
        connections[output.0] = json!([output.1]);
        json!({ "type": kind, "port_directions": directions, "connections": connections })
    }

    fn netlist(cells: Value) -> Value {
        json!({ "modules": { TOP: {
            "cells": cells,
            "netnames": {
                "unit.count": { "bits": [2, 3] }, "unit.sum": { "bits": [9] },
                "$made": { "bits": [2, 5] }, "card.unit.count": { "bits": [2] } } } } })
    }

    #[test]
    fn tables_are_counted_along_carries_multiplexers_and_reads() {
        let found = deepest(
            &netlist(json!({
                "$1": cell("LUT4", json!({ "A": [2], "B": [3] }), ("Z", 4)),
                "$2": cell("CCU2C", json!({ "A0": [4], "CIN": [3] }), ("COUT", 5)),
                "$3": cell("CCU2C", json!({ "A0": [2], "CIN": [5] }), ("S0", 6)),
                "$4": cell("PFUMX", json!({ "ALUT": [6] }), ("Z", 7)),
                "unit.words.0.3": cell("TRELLIS_DPR16X4", json!({ "RAD": [7], "DI": [4] }), ("DO", 8)),
                "$5": cell("TRELLIS_FF", json!({ "DI": [8] }), ("Q", 9)),
                "rows.0.0": cell("DP16KD", json!({ "ADA1": [9] }), ("DOA0", 10)),
                "$6": cell("LUT4", json!({ "A": [10] }), ("Z", 11)),
                "$7": cell("FDRE", json!({ "D": [11] }), ("Q", 2)),
            })),
            8,
        );
        let ways: Vec<_> = found
            .iter()
            .map(|way| (way.picoseconds, way.tables, &*way.from, &*way.to, way.bits))
            .collect();
        let through = [390, 950 + 170, 950 + 450, 440, 170, 950 + 170, 950].iter().sum();
        let from_block = 4300 + 950 + 170 + 950;
        assert_eq!(
            ways,
            [(from_block, 1, "rows", "unit.count", 1), (through, 3, "unit.count", "unit.sum", 1)]
        );
        assert_eq!(deepest(&netlist(json!({})), 8), []);
        assert_eq!(deepest(&json!(3), 8), []);
    }

    #[test]
    fn a_port_of_a_memory_reads_at_its_own_address_and_circles_end() {
        let found = deepest(
            &netlist(json!({
                "m": cell("RAM32M", json!({ "ADDRA": [2], "ADDRB": [9] }), ("DOA", 4)),
                "$1": cell("LUT2", json!({ "I0": [4], "I1": [6] }), ("O", 5)),
                "$2": cell("LUT2", json!({ "I0": [5] }), ("O", 6)),
                "$3": cell("FDSE", json!({ "D": [6] }), ("Q", 9)),
            })),
            1,
        );
        assert_eq!(found.len(), 1);
        assert!(found[0].tables > 0 && found[0].to == "unit.sum", "{found:?}");
    }
}
