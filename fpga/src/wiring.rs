//! What need not be routed on the ECP5: changes of a netlist after which a whole card asks for fewer wires.
//!
//! A card fills more than half of an 85F, and there wires are short before tables are. Two kinds of connections cost many
//! of them and need none:
//!
//! - **Constant addresses of distributed memories.** A memory of fewer than 16 words leaves bits of its addresses 0,
//!   and nextpnr routes that 0 to each of a block's 5 cells from one table of the whole design. A cell's unrouted
//!   input is 1 (nextpnr sets that in the bitstream), so a bit that is constant on both sides is left open where it is
//!   read and 1 where it is written: other words of the block are used, always the same.
//! - **Controls of many flip-flops.** The networks that carry the clock can carry a reset or an enable as well; nextpnr
//!   puts only clocks there by itself. A buffer in front of the flip-flops' pins does it. Tables that read the same
//!   signal stay on ordinary wires: only a flip-flop's control pins are on these networks.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::error::FpgaError;
use crate::netlist::{FLIP_FLOP, bit, cells, modules_of, net};

const MEMORY: &str = "TRELLIS_DPR16X4";
/// The buffer onto a network of the clocks.
const BUFFER: &str = "DCCA";
/// Fewer flip-flops than these are near each other, and a network's detour over the middle of the part not worth it.
const MANY: usize = 300;

/// What the pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spared {
    /// Bits of addresses that are constant on both sides of a memory.
    pub address_bits: u64,
    /// Resets and enables that have a network now.
    pub networks: u64,
    /// Pins of flip-flops on them.
    pub pins: u64,
}

/// Takes connections that need no wires out of a netlist, in the JSON that yosys writes; at most `networks` resets and
/// enables go to networks of the clocks.
///
/// # Errors
/// [`FpgaError::BadOutput`] when this is no such netlist.
pub fn spare_wires(netlist: &mut Value, networks: usize) -> Result<Spared, FpgaError> {
    let modules = modules_of(netlist)?;
    let mut spared = Spared::default();
    for module in modules.values_mut() {
        let opened = cells(module).into_iter().flat_map(Map::values_mut).map(open_addresses);
        spared.address_bits += opened.sum::<u64>();
    }
    let top = modules.values_mut().find(|module| module["attributes"].get("top").is_some());
    if let Some(top) = top {
        (spared.networks, spared.pins) = move_controls(top, networks);
    }
    Ok(spared)
}

/// Opens the bits of a memory's addresses that are 0 on both sides; how many they were.
fn open_addresses(cell: &mut Value) -> u64 {
    // A memory that begins with values has them at certain words.
    let begins_undefined = cell
        .get("parameters")
        .and_then(|all| all.get("INITVAL"))
        .and_then(Value::as_str)
        .is_none_or(|bits| bits.chars().all(|bit| bit == 'x'));
    if cell.get("type").is_none_or(|kind| kind != MEMORY) || !begins_undefined {
        return 0;
    }
    let Some(connections) = cell.get_mut("connections").and_then(Value::as_object_mut) else {
        return 0;
    };
    let mut opened = 0;
    for index in 0..4 {
        let zero = |port: &str| {
            connections.get(port).and_then(|bits| bits.get(index)).is_some_and(|bit| bit == "0")
        };
        if zero("RAD") && zero("WAD") {
            connections["RAD"][index] = json!("x");
            connections["WAD"][index] = json!("1");
            opened += 1;
        }
    }
    opened
}

/// The pins of flip-flops that a signal controls.
type Pins = Vec<(String, &'static str)>;

/// The highest number of a signal: cells, ports and names have lists of them.
fn highest_signal(module: &Value) -> u64 {
    let members = |group: &str| module.get(group).and_then(Value::as_object).into_iter().flatten();
    let of_cells = members("cells").filter_map(|(_, cell)| cell.get("connections")?.as_object());
    let named = ["ports", "netnames"].into_iter().flat_map(members);
    let lists =
        of_cells.flat_map(Map::values).chain(named.filter_map(|(_, named)| named.get("bits")));
    lists.filter_map(Value::as_array).flatten().filter_map(net).max().unwrap_or(0)
}

/// Puts the signals that control the most flip-flops onto networks; how many signals and pins.
fn move_controls(module: &mut Value, networks: usize) -> (u64, u64) {
    let mut controls: BTreeMap<(&'static str, u64), Pins> = BTreeMap::new();
    for (name, cell) in module.get("cells").and_then(Value::as_object).into_iter().flatten() {
        if cell.get("type").is_none_or(|kind| kind != FLIP_FLOP) {
            continue;
        }
        for port in ["LSR", "CE"] {
            if let Some(signal) = bit(cell, port).and_then(net) {
                controls.entry((port, signal)).or_default().push((name.clone(), port));
            }
        }
    }
    let mut most: Vec<_> = controls.into_iter().filter(|(_, pins)| pins.len() >= MANY).collect();
    // Stable: signals with as many pins stay in the order of their numbers.
    most.sort_by_key(|(_, pins)| std::cmp::Reverse(pins.len()));
    most.truncate(networks);
    let first = highest_signal(module) + 1;
    let moved = most.len() as u64;
    let mut pins_moved = 0;
    if let Some(names) = module.get_mut("netnames").and_then(Value::as_object_mut) {
        for index in 0..moved {
            let name = json!({ "hide_name": 0, "bits": [first + index], "attributes": {} });
            names.insert(format!("network_{index}"), name);
        }
    }
    let Some(cells) = cells(module) else { return (0, 0) };
    for (index, ((_, signal), pins)) in most.into_iter().enumerate() {
        let output = first + index as u64;
        pins_moved += pins.len() as u64;
        for (name, port) in pins {
            if let Some(cell) = cells.get_mut(&name) {
                cell["connections"][port] = json!([output]);
            }
        }
        cells.insert(
            format!("network_{index}"),
            json!({
                "hide_name": 0, "type": BUFFER, "parameters": {}, "attributes": {},
                "port_directions": { "CLKI": "input", "CE": "input", "CLKO": "output" },
                "connections": { "CLKI": [signal], "CE": ["1"], "CLKO": [output] },
            }),
        );
    }
    (moved, pins_moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(read: Value, write: Value, begins: &str) -> Value {
        json!({ "type": MEMORY, "parameters": { "INITVAL": begins },
            "connections": { "RAD": read, "WAD": write } })
    }

    fn flip_flop(reset: Value, enable: Value) -> Value {
        json!({ "type": FLIP_FLOP, "connections": { "LSR": [reset], "CE": [enable], "Q": [9000] } })
    }

    fn top(cells: Map<String, Value>) -> Value {
        json!({ "modules": { "top": { "attributes": { "top": "1" }, "ports": {}, "netnames": {}, "cells": cells } } })
    }

    #[test]
    fn an_address_bit_is_opened_where_both_sides_hold_it_at_zero() {
        let mut netlist = top(Map::from_iter([
            ("both".into(), memory(json!([5, "0", "0", 6]), json!([7, "0", 8, "0"]), "xxxx")),
            ("filled".into(), memory(json!([5, "0"]), json!([7, "0"]), "xx1x")),
        ]));
        let filled = netlist["modules"]["top"]["cells"]["filled"].clone();
        let spared = spare_wires(&mut netlist, 0).unwrap();
        assert_eq!(spared, Spared { address_bits: 1, ..Spared::default() });
        let cells = &netlist["modules"]["top"]["cells"];
        let expected = memory(json!([5, "x", "0", 6]), json!([7, "1", 8, "0"]), "xxxx");
        assert_eq!(cells["both"], expected, "bit 1 only");
        assert_eq!(cells["filled"], filled, "its words have their places");
    }

    #[test]
    fn the_controls_of_most_flip_flops_get_networks() {
        let mut cells = Map::new();
        for index in 0..3 * MANY {
            // All have reset 2; enable 3 reaches two thirds of them, 4 a third; 5 too few.
            let enable = if index < 2 * MANY { 3 } else { 4 };
            cells.insert(format!("r{index}"), flip_flop(json!(2), json!(enable)));
        }
        for index in 1..MANY {
            cells.insert(format!("few{index}"), flip_flop(json!("0"), json!(5)));
        }
        cells.insert(
            "table".into(),
            json!({ "type": "LUT4", "connections": { "A": [2], "Z": [3] } }),
        );
        let mut netlist = top(cells);
        let spared = spare_wires(&mut netlist, 2).unwrap();
        let pins = 5 * MANY as u64;
        assert_eq!(spared, Spared { address_bits: 0, networks: 2, pins });
        let names = &netlist["modules"]["top"]["netnames"];
        assert_eq!(names["network_1"]["bits"], json!([9002]));
        let cells = netlist["modules"]["top"]["cells"].as_object().unwrap();
        let buffers: Vec<&Value> = cells
            .values()
            .filter(|cell| cell["type"] == BUFFER)
            .map(|cell| &cell["connections"])
            .collect();
        assert_eq!(buffers[0], &json!({ "CLKI": [2], "CE": ["1"], "CLKO": [9001] }));
        assert_eq!(buffers[1], &json!({ "CLKI": [3], "CE": ["1"], "CLKO": [9002] }));
        assert_eq!(cells["r0"]["connections"]["LSR"], json!([9001]));
        assert_eq!(cells["r0"]["connections"]["CE"], json!([9002]));
        let last = &cells[&format!("r{}", 3 * MANY - 1)]["connections"];
        assert_eq!(
            (&last["LSR"], &last["CE"]),
            (&json!([9001]), &json!([4])),
            "no network is left"
        );
        assert_eq!(cells["few1"]["connections"]["CE"], json!([5]), "too few");
        assert_eq!(cells["table"]["connections"]["A"], json!([2]), "tables stay on wires");
    }

    #[test]
    fn a_file_without_modules_is_refused() {
        let error = spare_wires(&mut json!({}), 7).unwrap_err().to_string();
        assert!(error.contains("it has no modules"), "{error}");
    }
}
