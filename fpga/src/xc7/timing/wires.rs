//! Which ways in nextpnr's file of delays are there.
//!
//! Two tables stand in one place of the 7-series and share its pins. Once all is routed, nextpnr gives each of them the
//! other's pins as well, so that its file has ways to a table, and through it, that are only its neighbour's. The netlist
//! tells what a table hears.

use std::collections::HashMap;

use serde_json::Value;

use super::DEEPEST;
use crate::boards::TOP;

/// What ends the name of a cell or wire in that of a cell that nextpnr made of it.
const MADE: [&str; 4] = ["$LUT", "$legal", "$split$", "/"];

/// The wires of a design with all its modules. A module's copy has its own; those of a port, within and outside, are one.
#[derive(Default)]
pub(super) struct Wires {
    /// For each wire another one that is the same, or itself.
    same: Vec<usize>,
    by_name: HashMap<String, usize>,
    /// Names of cells: what they drive.
    driven: HashMap<String, Vec<usize>>,
    /// Names of tables: what they hear.
    heard: HashMap<String, Vec<usize>>,
}

impl Wires {
    /// Those of a netlist as yosys writes it.
    pub(super) fn of(netlist: &Value) -> Self {
        let mut wires = Self::default();
        wires.add(netlist, TOP, "", HashMap::new(), 0);
        wires
    }

    fn root(&self, mut wire: usize) -> usize {
        while self.same[wire] != wire {
            wire = self.same[wire];
        }
        wire
    }

    /// The wire of a signal in one copy of a module; constants have none.
    fn wire(&mut self, known: &mut HashMap<u64, usize>, bit: &Value) -> Option<usize> {
        let next = self.same.len();
        let wire = *known.entry(bit.as_u64()?).or_insert(next);
        if wire == next {
            self.same.push(next);
        }
        Some(wire)
    }

    /// Adds a copy of a module, some of whose signals are `known` wires.
    fn add(
        &mut self,
        netlist: &Value,
        module: &str,
        prefix: &str,
        mut known: HashMap<u64, usize>,
        depth: u32,
    ) {
        let modules = &netlist["modules"];
        let nets = modules[module]["netnames"].as_object();
        for (name, net) in nets.into_iter().flatten() {
            let bits = bits(&net["bits"]);
            let first = net["offset"].as_u64().unwrap_or(0);
            for (index, bit) in (0..).zip(bits) {
                let Some(wire) = self.wire(&mut known, bit) else { continue };
                let index = first.saturating_add(index);
                let place = if bits.len() > 1 { format!("[{index}]") } else { String::new() };
                self.by_name.insert(format!("{prefix}{name}{place}"), wire);
            }
        }
        let cells = modules[module]["cells"].as_object();
        for (name, cell) in cells.into_iter().flatten() {
            let kind = cell["type"].as_str().unwrap_or_default();
            let inner = &modules[kind];
            let is_module = inner["cells"].as_object().is_some_and(|cells| !cells.is_empty());
            let name = format!("{prefix}{name}");
            let mut within = HashMap::new();
            let (mut drives, mut hears) = (Vec::new(), Vec::new());
            let ports = cell["connections"].as_object();
            for (port, outside) in ports.into_iter().flatten() {
                let inside = bits(&inner["ports"][port]["bits"]);
                let is_output = cell["port_directions"][port] == "output";
                for (index, bit) in bits(outside).iter().enumerate() {
                    let Some(wire) = self.wire(&mut known, bit) else { continue };
                    if is_module {
                        // What goes straight through a module joins two wires outside.
                        if let Some(signal) = inside.get(index).and_then(Value::as_u64) {
                            let other = *within.entry(signal).or_insert(wire);
                            let (one, other) = (self.root(wire), self.root(other));
                            self.same[one] = other;
                        }
                    } else if is_output {
                        drives.push(wire);
                    } else {
                        hears.push(wire);
                    }
                }
            }
            if !is_module {
                if kind.starts_with("LUT") {
                    self.heard.insert(name.clone(), hears);
                }
                self.driven.insert(name, drives);
            } else if depth < DEEPEST {
                self.add(netlist, kind, &format!("{name}."), within, depth + 1);
            }
        }
    }

    /// What is known of a cell in `table`, or the wire of which nextpnr made it.
    fn known<'a>(
        &'a self,
        table: &'a HashMap<String, Vec<usize>>,
        cell: &str,
    ) -> Option<&'a [usize]> {
        let found = |name: &str| table.get(name).map(Vec::as_slice);
        let made = || {
            let end = MADE.iter().filter_map(|made| cell.find(made)).min()?;
            let name = &cell[..end];
            found(name).or_else(|| self.by_name.get(name).map(std::slice::from_ref))
        };
        found(cell).or_else(made)
    }

    /// Whether the netlist has a way from a cell's pin to another one's, both as `cell/pin`. Of cells that are not known
    /// any may be there.
    pub(super) fn has(&self, from: &str, to: &str) -> bool {
        let ends = from.rsplit_once('/').zip(to.rsplit_once('/'));
        let Some(((from, _), (to, _))) = ends else { return true };
        let both = self.known(&self.heard, to).zip(self.known(&self.driven, from));
        both.is_none_or(|(heard, driven)| {
            heard
                .iter()
                .any(|heard| driven.iter().any(|driven| self.root(*driven) == self.root(*heard)))
        })
    }
}

fn bits(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cell(kind: &str, inputs: &[u64], output: u64) -> Value {
        json!({
            "type": kind,
            "port_directions": {"I": "input", "O": "output"},
            "connections": {"I": inputs, "O": [output]},
        })
    }

    #[test]
    fn a_table_hears_what_the_netlist_says_in_any_module() {
        let wires = Wires::of(&json!({"modules": {
            TOP: {
                "cells": {
                    "one": cell("LUT1", &[2], 3),
                    "two": cell("LUT2", &[2, 4], 5),
                    "deep": {"type": "inner", "connections": {"in": [3], "out": [4], "through": [6]}},
                    "other": cell("LUT1", &[6], 7),
                    "memory": cell("RAM32M", &[2], 2),
                    "sum": cell("CARRY4", &[7], 8),
                },
                "netnames": {"wide": {"bits": [9, 3], "offset": 4}, "single": {"bits": [8]}},
            },
            "inner": {
                "ports": {
                    "in": {"bits": [2]}, "out": {"bits": [3]}, "through": {"bits": [2]},
                },
                "cells": {"table": cell("LUT3", &[2], 3)},
            },
        }}));
        let has = |from: &str, to: &str| wires.has(&format!("{from}/O6"), &format!("{to}/A1"));
        assert!(has("one", "deep.table") && has("deep.table", "two"));
        assert!(!has("one", "two") && !has("two", "deep.table") && !has("other", "one"));
        // What goes through a module unchanged.
        assert!(has("one", "other"));
        // Cells that nextpnr made: parts of a memory and of a carry chain, tables that pass a wire on.
        assert!(has("memory/DPR0_0", "one") && !has("memory/DPR0_0", "other"));
        assert!(has("sum$split$muxcy0$PACKED_CARRY4$", "single$LUT12"));
        assert!(!has("sum$split$muxcy0$PACKED_CARRY4$", "two"));
        assert!(has("one", "wide[5]$LUT3$legal4") && !has("one", "wide[4]$LUT3"));
        // What is no table, or not known, may hear anything.
        assert!(has("one", "memory") && has("$PACKER_GND", "two") && has("one", "x$LUT1"));
    }
}
