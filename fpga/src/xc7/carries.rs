//! Each bit of a carry chain gets tables of its own.
//!
//! A bit's inputs `S` and `DI` come from the two outputs of one table in the carry's slice. nextpnr packs the tables that
//! drive them there if nothing else reads them and both have at most five inputs together; else it puts a table in
//! between that only passes on what comes from elsewhere, and with it a wire. ABC shares tables as it likes: `a < b` and `a == b`
//! of the same operands have most in common. Here the carry gets a copy, which takes the place of that table.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::error::FpgaError;
use crate::netlist::{Net, bit, kind, net, nets, top_cells};

const CARRY: &str = "CARRY4";
/// Inputs that the two tables of a place have together.
const SHARED_INPUTS: usize = 5;

/// A table: its inputs, the lowest first, and its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Table {
    inputs: Vec<Value>,
    contents: String,
}

impl Table {
    /// A cell, if it is one.
    fn of(cell: &Value) -> Option<Self> {
        let kind = kind(cell);
        let input = |port: &str| Some(cell.get("connections")?.get(port)?.get(0)?.clone());
        let count: usize = kind.strip_prefix("LUT")?.parse().ok()?;
        let inputs = (0..count).map(|n| input(&format!("I{n}"))).collect::<Option<_>>()?;
        let contents = cell.get("parameters")?.get("INIT")?.as_str()?.to_owned();
        Some(Self { inputs, contents })
    }

    /// What passes on a signal or a constant, with an input that the place has anyway.
    fn passing(bit: &Value, beside: &Self) -> Option<Self> {
        let (input, contents) = match bit.as_str() {
            Some("0") => (beside.inputs.first()?, "00"),
            Some("1") => (beside.inputs.first()?, "11"),
            _ => (beside.inputs.iter().find(|&input| input == bit)?, "10"),
        };
        Some(Self { inputs: vec![input.clone()], contents: contents.to_owned() })
    }

    fn together(&self, other: &Self) -> usize {
        self.inputs.iter().chain(&other.inputs).filter_map(net).collect::<BTreeSet<_>>().len()
    }

    fn cell(&self, output: Net) -> Value {
        let ports = |n: usize| format!("I{n}");
        let mut directions: Map<String, Value> =
            (0..self.inputs.len()).map(|n| (ports(n), "input".into())).collect();
        directions.insert("O".to_owned(), "output".into());
        let mut connections: Map<String, Value> =
            self.inputs.iter().enumerate().map(|(n, bit)| (ports(n), json!([bit]))).collect();
        connections.insert("O".to_owned(), json!([output]));
        json!({
            "hide_name": 1,
            "type": format!("LUT{}", self.inputs.len()),
            "parameters": { "INIT": self.contents },
            "attributes": {},
            "port_directions": directions,
            "connections": connections,
        })
    }
}

/// Gives carries their own tables, in the JSON that yosys writes; how many it made.
///
/// # Errors
/// [`FpgaError::BadOutput`] when this is no netlist of a board.
pub fn own_tables(netlist: &mut Value) -> Result<u64, FpgaError> {
    let cells = top_cells(netlist)?;
    inverters_to_tables(cells);
    let mut nets = Nets::of(cells);
    let mut made = Vec::new();
    for carry in cells.values_mut().filter(|cell| kind(cell) == CARRY) {
        let Some(connections) = carry.get_mut("connections") else { continue };
        for place in 0..4 {
            let at = |port: &str| connections.get(port)?.get(place).cloned();
            let (Some(sum), Some(generate)) = (at("S"), at("DI")) else { continue };
            for (port, table) in nets.copies(&sum, &generate) {
                let (name, output) = (format!("$own_table${}", made.len()), nets.new_net());
                nets.moves(&connections[port][place], &table);
                made.push((name, table.cell(output)));
                connections[port][place] = output.into();
            }
        }
    }
    let count = made.len() as u64;
    cells.extend(made);
    Ok(count)
}

/// nextpnr makes tables of inverters too late for a carry.
fn inverters_to_tables(cells: &mut Map<String, Value>) {
    for cell in cells.values_mut().filter(|cell| kind(cell) == "INV") {
        let (input, output) = (cell["connections"]["I"][0].clone(), bit(cell, "O").and_then(net));
        if let Some(output) = output {
            *cell = Table { inputs: vec![input], contents: "01".to_owned() }.cell(output);
        }
    }
}

/// The signals of a netlist.
struct Nets {
    readers: BTreeMap<Net, u32>,
    tables: BTreeMap<Net, Table>,
    /// A number that no net has, nor any above.
    unused: Net,
}

impl Nets {
    fn of(cells: &Map<String, Value>) -> Self {
        let mut all = Self { readers: BTreeMap::new(), tables: BTreeMap::new(), unused: 0 };
        for cell in cells.values() {
            for read in nets(cell, "input") {
                *all.readers.entry(read).or_default() += 1;
                all.unused = all.unused.max(read + 1);
            }
            let driven: Vec<Net> = nets(cell, "output").collect();
            all.unused = driven.iter().fold(all.unused, |unused, net| unused.max(net + 1));
            if let (Some(table), [output]) = (Table::of(cell), driven.as_slice()) {
                all.tables.insert(*output, table);
            }
        }
        all
    }

    fn table(&self, bit: &Value) -> Option<&Table> {
        self.tables.get(&net(bit)?)
    }

    fn is_shared(&self, bit: &Value) -> bool {
        net(bit).and_then(|net| self.readers.get(&net)).is_some_and(|&readers| readers > 1)
    }

    /// The tables that a carry's place is to have instead of those that drive it, by its input.
    fn copies(&self, sum: &Value, generate: &Value) -> Vec<(&'static str, Table)> {
        let mut copies = Vec::new();
        let Some(beside) = self.table(sum).filter(|table| table.inputs.len() <= SHARED_INPUTS)
        else {
            return copies;
        };
        if self.is_shared(sum) {
            copies.push(("S", beside.clone()));
        }
        let own = self.table(generate).filter(|table| table.together(beside) <= SHARED_INPUTS);
        if let Some(own) = own {
            if self.is_shared(generate) || !copies.is_empty() && beside.inputs.contains(generate) {
                copies.push(("DI", own.clone()));
            }
        } else if beside.inputs.len() == SHARED_INPUTS {
            // With a table in between nextpnr counts one input too many, and puts another one in front of the sum.
            copies.extend(Table::passing(generate, beside).map(|table| ("DI", table)));
        }
        copies
    }

    fn new_net(&mut self) -> Net {
        self.unused += 1;
        self.unused - 1
    }

    /// A reader of a signal now has a copy of the table behind it.
    fn moves(&mut self, from: &Value, copy: &Table) {
        if let Some(readers) = net(from).and_then(|net| self.readers.get_mut(&net)) {
            *readers -= 1;
        }
        for read in copy.inputs.iter().filter_map(net) {
            *self.readers.entry(read).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards::TOP;

    /// Tables by output, inputs and contents, and one carry of which a place is used.
    fn netlist(tables: &[(Net, &[Value], &str)], sum: Value, generate: Value) -> Value {
        let mut cells: Map<String, Value> = tables
            .iter()
            .map(|(output, inputs, contents)| {
                let table = Table { inputs: inputs.to_vec(), contents: (*contents).to_owned() };
                (format!("table_{output}"), table.cell(*output))
            })
            .collect();
        let carry = json!({
            "type": CARRY,
            "port_directions": { "S": "input", "DI": "input", "CO": "output" },
            "connections": { "S": [sum, "0", "0", "0"], "DI": [generate, "0", "0", "0"], "CO": [90, 91, 92, 93] },
        });
        cells.insert("carry".to_owned(), carry);
        json!({ "modules": { TOP: { "cells": cells } } })
    }

    /// The tables of the carry's first place, and how many were made.
    fn place(mut netlist: Value) -> (Option<Table>, Option<Table>, u64) {
        let made = own_tables(&mut netlist).unwrap();
        let cells = top_cells(&mut netlist).unwrap();
        let nets = Nets::of(cells);
        let at = |port: &str| nets.table(&cells["carry"]["connections"][port][0]).cloned();
        let not_shared = ["S", "DI"]
            .iter()
            .all(|port| !nets.is_shared(&cells["carry"]["connections"][*port][0]));
        assert!(not_shared || made == 0, "{netlist}");
        (at("S"), at("DI"), made)
    }

    fn inputs(nets: &[Net]) -> Vec<Value> {
        nets.iter().map(|&net| net.into()).collect()
    }

    #[test]
    fn what_others_read_is_copied() {
        let (a, both) = (inputs(&[1, 2]), inputs(&[10, 11]));
        let tables: [(Net, &[Value], &str); 3] =
            [(10, &a, "0110"), (11, &a, "1000"), (12, &both, "0001")];
        let (sum, generate, made) = place(netlist(&tables, 10.into(), 11.into()));
        assert_eq!(sum, Some(Table { inputs: a.clone(), contents: "0110".into() }));
        assert_eq!(generate, Some(Table { inputs: a.clone(), contents: "1000".into() }));
        assert_eq!(made, 2);
        // Without the third table there is nothing to do.
        assert_eq!(place(netlist(&tables[..2], 10.into(), 11.into())).2, 0);
    }

    #[test]
    fn beside_a_table_of_five_inputs_one_passes_on() {
        let five = inputs(&[1, 2, 3, 4, 5]);
        let contents = "10010110011010010110100110010110";
        let tables: [(Net, &[Value], &str); 1] = [(10, &five, contents)];
        let passes = |bit: Value, inputs: &[Net], contents: &str| {
            let (sum, generate, made) = place(netlist(&tables, 10.into(), bit));
            assert_eq!((sum.unwrap().inputs, made), (five.clone(), 1));
            assert_eq!(
                generate,
                Some(Table { inputs: self::inputs(inputs), contents: contents.into() })
            );
        };
        passes(3.into(), &[3], "10");
        passes("0".into(), &[1], "00");
        passes("1".into(), &[1], "11");
        // Of a signal from elsewhere the place has no input left.
        assert_eq!(place(netlist(&tables, 10.into(), 7.into())).2, 0);
    }

    #[test]
    fn inverters_are_tables_and_six_inputs_stay() {
        let mut inverted = netlist(&[], 10.into(), 1.into());
        let inverter = json!({
            "type": "INV", "port_directions": { "I": "input", "O": "output" }, "connections": { "I": [1], "O": [10] },
        });
        inverted["modules"][TOP]["cells"]["inverter"] = inverter;
        let (sum, _, made) = place(inverted);
        assert_eq!((sum, made), (Some(Table { inputs: inputs(&[1]), contents: "01".into() }), 0));
        let six = inputs(&[1, 2, 3, 4, 5, 6]);
        let contents = "0".repeat(64);
        let tables: [(Net, &[Value], &str); 2] = [(10, &six, &contents), (11, &[10.into()], "01")];
        assert_eq!(place(netlist(&tables, 10.into(), 11.into())).2, 0);
        let error = own_tables(&mut json!({ "modules": {} })).unwrap_err().to_string();
        assert!(error.contains("no rmt_board"), "{error}");
    }
}
