//! Which ways in nextpnr's file of delays are there.
//!
//! Two tables stand in one place of the 7-series and share its pins. Once all is routed, nextpnr gives each of them the
//! other's pins as well, so that its file has ways to a table, and through it, that are only its neighbour's. The netlist
//! tells what a table hears.

use std::collections::HashMap;

use serde_json::Value;

use crate::boards::TOP;
use crate::netlist;

/// What ends the name of a cell or wire in that of a cell that nextpnr made of it.
const MADE: [&str; 4] = ["$LUT", "$legal", "$split$", "/"];

/// The wires of a design in one module, by yosys' numbers.
#[derive(Default)]
pub(super) struct Wires {
    by_name: HashMap<String, u64>,
    /// Names of cells: what they drive.
    driven: HashMap<String, Vec<u64>>,
    /// Names of tables: what they hear.
    heard: HashMap<String, Vec<u64>>,
}

impl Wires {
    /// Those of a netlist as yosys writes it.
    pub(super) fn of(netlist: &Value) -> Self {
        let mut wires = Self::default();
        for (name, net) in netlist["modules"][TOP]["netnames"].as_object().into_iter().flatten() {
            let bits = net["bits"].as_array().map_or(&[][..], Vec::as_slice);
            let first = net["offset"].as_u64().unwrap_or(0);
            for (index, bit) in (0..).zip(bits) {
                let Some(wire) = bit.as_u64() else { continue };
                let index = first.saturating_add(index);
                let place = if bits.len() > 1 { format!("[{index}]") } else { String::new() };
                wires.by_name.insert(format!("{name}{place}"), wire);
            }
        }
        for (name, cell) in netlist::cells_of_top(netlist) {
            let kind = netlist::kind(cell);
            if kind.starts_with("LUT") || kind == "INV" {
                wires.heard.insert(name.clone(), netlist::nets(cell, "input").collect());
            }
            wires.driven.insert(name.clone(), netlist::nets(cell, "output").collect());
        }
        wires
    }

    /// What is known of a cell in `table`, or the wire of which nextpnr made it.
    fn known<'a>(&'a self, table: &'a HashMap<String, Vec<u64>>, cell: &str) -> Option<&'a [u64]> {
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
        both.is_none_or(|(heard, driven)| heard.iter().any(|heard| driven.contains(heard)))
    }
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
    fn a_table_hears_what_the_netlist_says() {
        let wires = Wires::of(&json!({"modules": {
            TOP: {
                "cells": {
                    "one": cell("LUT1", &[2], 3),
                    "deep.table": cell("LUT3", &[3], 4),
                    "two": cell("LUT2", &[2, 4], 5),
                    "other": cell("INV", &[3], 7),
                    "memory": cell("RAM32M", &[2], 2),
                    "sum": cell("CARRY4", &[7], 8),
                },
                "netnames": {"wide": {"bits": [9, 3], "offset": 4}, "single": {"bits": [8]}},
            },
            // yosys writes what it knows of the part's own cells as well.
            "LUT1": {"attributes": {"blackbox": "1"}, "cells": {"times": cell("$specify2", &[2], 3)}},
        }}));
        let has = |from: &str, to: &str| wires.has(&format!("{from}/O6"), &format!("{to}/A1"));
        assert!(has("one", "deep.table") && has("deep.table", "two") && has("one", "other"));
        assert!(!has("one", "two") && !has("two", "deep.table") && !has("other", "one"));
        // Cells that nextpnr made: parts of a memory and of a carry chain, tables that pass a wire on.
        assert!(has("memory/DPR0_0", "one") && !has("memory/DPR0_0", "other"));
        assert!(has("sum$split$muxcy0$PACKED_CARRY4$", "single$LUT12"));
        assert!(!has("sum$split$muxcy0$PACKED_CARRY4$", "two"));
        assert!(has("one", "wide[5]$LUT3$legal4") && !has("one", "wide[4]$LUT3"));
        // What is no table, or not known, may hear anything.
        assert!(has("one", "memory") && has("$PACKER_GND", "two") && has("one", "x$LUT1"));
    }
}
