//! What each module takes, counted in the netlist.
//!
//! Synthesis of a whole design at once is smaller and faster than of each module, but leaves one; so
//! - a flip-flop or carry chain is known by the source file that it came from, since each module has its own;
//! - memories, multipliers and whatever else has an instance's name are known by it;
//! - a look-up table, which has neither, counts for the module of what it leads to.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde_json::Value;

use crate::boards::TOP;
use crate::netlist::{self, cells_of_top, kind};
use crate::report::ModuleUse;
use crate::resources::Resources;

/// The kind of cell that yosys leaves for each instance when it dissolves the hierarchy.
const SCOPE: &str = "$scopeinfo";

type Counts = BTreeMap<String, u64>;

/// A module: what it has itself, which others and how often.
#[derive(Default)]
struct Module {
    copies: u64,
    own: Counts,
    children: BTreeMap<String, u64>,
}

/// What each module takes, the top first, then by what all its copies take.
pub fn module_use(netlist: &Value) -> Vec<ModuleUse> {
    let found = modules(netlist);
    let mut all: Vec<ModuleUse> = (found.iter())
        .map(|(name, module)| ModuleUse {
            name: name.clone(),
            copies: module.copies,
            own: Resources::of_cells(&module.own),
            total: total(name, &found),
        })
        .collect();
    all.sort_by_key(|module| {
        (module.name != TOP, std::cmp::Reverse(module.copies * module.total.luts))
    });
    all
}

/// A module with all that is in it.
fn total(name: &str, all: &BTreeMap<String, Module>) -> Resources {
    let Some(module) = all.get(name) else { return Resources::default() };
    let mut sum = Resources::of_cells(&module.own);
    for (child, count) in &module.children {
        sum.add(&total(child, all), *count);
    }
    sum
}

fn modules(netlist: &Value) -> BTreeMap<String, Module> {
    // Instances by their paths.
    let mut scopes: BTreeMap<&str, &str> = BTreeMap::new();
    for (path, cell) in cells_of_top(netlist).filter(|(_, cell)| kind(cell) == SCOPE) {
        let module = cell.get("attributes").and_then(|all| all.get("module"));
        scopes.insert(path, module.and_then(Value::as_str).unwrap_or(path));
    }
    let copies = |name: &str| scopes.values().filter(|module| **module == name).count() as u64;
    let mut found: BTreeMap<String, Module> = BTreeMap::new();
    found.insert(TOP.to_owned(), Module { copies: 1, ..Module::default() });
    for (path, module) in &scopes {
        found.entry((*module).to_owned()).or_default().copies = copies(module);
        let parent = path.rsplit_once('.').and_then(|(parent, _)| scopes.get(parent));
        let parent = found.entry(parent.map_or(TOP, |name| name).to_owned()).or_default();
        *parent.children.entry((*module).to_owned()).or_default() += 1;
    }
    // A module's children were counted once for each of its copies.
    for module in found.values_mut() {
        let copies = module.copies.max(1);
        module.children.values_mut().for_each(|count| *count = count.div_ceil(copies));
    }

    let owners = owners(netlist, &scopes);
    let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
    for (name, cell) in cells_of_top(netlist).filter(|(_, cell)| kind(cell) != SCOPE) {
        let owner = owners.get(name.as_str()).copied().unwrap_or(TOP);
        *counts.entry(owner).or_default().entry(kind(cell).to_owned()).or_default() += 1;
    }
    // What all copies have together, shared among them; the top keeps what does not come out even.
    let mut rest = Counts::new();
    for (name, counts) in counts {
        let Some(module) = found.get_mut(name) else { continue };
        for (kind, count) in counts {
            *rest.entry(kind.clone()).or_default() += count % module.copies.max(1);
            module.own.insert(kind, count / module.copies.max(1));
        }
    }
    if let Some(top) = found.get_mut(TOP) {
        for (kind, count) in rest {
            *top.own.entry(kind).or_default() += count;
        }
    }
    found
}

/// The module of each cell of a flat netlist.
fn owners<'a>(
    netlist: &'a Value,
    scopes: &BTreeMap<&'a str, &'a str>,
) -> HashMap<&'a str, &'a str> {
    let names: HashMap<&str, &str> = scopes.values().map(|name| (*name, *name)).collect();
    let mut owners: HashMap<&str, &str> = HashMap::new();
    let mut drivers: HashMap<u64, &str> = HashMap::new();
    let mut waiting = VecDeque::new();
    for (name, cell) in cells_of_top(netlist) {
        for net in netlist::nets(cell, "output") {
            drivers.insert(net, name);
        }
        let owner = of_source(cell, &names).or_else(|| of_path(name, scopes));
        if let Some(owner) = owner {
            owners.insert(name, owner);
            waiting.push_back(name.as_str());
        }
    }
    // Backwards from what is known, nearest first.
    let cells = netlist["modules"][TOP]["cells"].as_object();
    while let Some(name) = waiting.pop_front() {
        let owner = owners[name];
        let inputs =
            cells.and_then(|cells| cells.get(name)).map(|cell| netlist::nets(cell, "input"));
        for driver in inputs.into_iter().flatten().filter_map(|net| drivers.get(&net)) {
            if !owners.contains_key(driver) {
                owners.insert(driver, owner);
                waiting.push_back(driver);
            }
        }
    }
    owners
}

/// The module in whose file a cell began; tables have only the file that mapped them.
fn of_source<'a>(cell: &Value, names: &HashMap<&'a str, &'a str>) -> Option<&'a str> {
    let source = cell.get("attributes")?.get("src")?.as_str()?;
    source.split('|').find_map(|place| names.get(place.split_once(".sv:")?.0).copied())
}

/// The module of the innermost instance in which a name lies.
fn of_path<'a>(name: &str, scopes: &BTreeMap<&'a str, &'a str>) -> Option<&'a str> {
    let mut path = name;
    while let Some((outer, _)) = path.rsplit_once('.') {
        if let Some(module) = scopes.get(outer) {
            return Some(module);
        }
        path = outer;
    }
    None
}

/// Multipliers whose registers are the block's.
pub fn registered_multipliers(netlist: &Value) -> u64 {
    cells_of_top(netlist).filter(|(_, cell)| netlist::is_registered(cell)).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn multipliers_with_registers_are_counted() {
        let registers: Value = ["REG_INPUTA_CLK", "REG_INPUTB_CLK", "REG_OUTPUT_CLK"]
            .into_iter()
            .map(|name| (name.to_owned(), json!("CLK0")))
            .collect();
        let block = |parameters: &Value| json!({ "type": "MULT18X18D", "parameters": parameters });
        let netlist = json!({ "modules": { TOP: { "cells": {
            "one": block(&registers), "two": block(&registers), "bare": block(&json!({})),
        } } } });
        assert_eq!(registered_multipliers(&netlist), 2);
        assert_eq!(module_use(&netlist)[0].total.multipliers, 3);
        assert_eq!(registered_multipliers(&json!({})), 0);
        assert_eq!(module_use(&json!({}))[0].total, Resources::default());
    }

    #[test]
    fn cells_are_found_again() {
        let scope = |module: &str| json!({ "type": SCOPE, "attributes": { "module": module } });
        let flip_flop = |file: &str, from: u64, to: u64| {
            json!({
                "type": "TRELLIS_FF",
                "attributes": { "src": format!("{file}.sv:3.1|cells_map.v:16.1") },
                "port_directions": { "DI": "input", "Q": "output" },
                "connections": { "DI": [from], "Q": [to] } })
        };
        let table = |from: u64, to: u64| {
            json!({
                "type": "LUT4", "attributes": { "src": "cells_map.v:1.1" },
                "port_directions": { "A": "input", "Z": "output" },
                "connections": { "A": [from], "Z": [to] } })
        };
        let netlist = json!({ "modules": { TOP: { "cells": {
            "card": scope("card"),
            "card.left": scope("queue"),
            "card.right": scope("queue"),
            "card.left.words.0": { "type": "DP16KD" },
            "card.right.words.0": { "type": "DP16KD" },
            "$slice$1": flip_flop("queue", 11, 12),
            "$slice$2": flip_flop("queue", 21, 22),
            "$slice$3": flip_flop("card", 31, 32),
            // Two tables in a row before a register of a queue, one before the other's, one before nothing.
            "$lut$1": table(5, 10),
            "$lut$2": table(10, 11),
            "$lut$3": table(5, 21),
            "$lut$4": table(32, 40),
        } } } });
        let modules = module_use(&netlist);
        let find = |name: &str| modules.iter().find(|module| module.name == name).unwrap();
        let of = |luts, flip_flops, block_rams| Resources {
            luts,
            flip_flops,
            multipliers: 0,
            block_rams,
        };
        // Three tables of two queues: one each, and what does not come out even is the top's.
        assert_eq!((find("queue").copies, find("queue").own), (2, of(1, 1, 1)));
        assert_eq!((find("card").own, find("card").total), (of(0, 1, 0), of(2, 3, 2)));
        assert_eq!((find(TOP).own, find(TOP).total), (of(2, 0, 0), of(4, 3, 2)));
    }
}
