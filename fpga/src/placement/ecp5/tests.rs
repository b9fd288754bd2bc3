use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::boards::TOP;

/// A placed design as nextpnr writes it.
#[derive(Default)]
struct Netlist {
    cells: serde_json::Map<String, Value>,
    nets: u64,
}

impl Netlist {
    fn cell(&mut self, name: &str, kind: &str, place: &str, parameters: Value) -> &mut Self {
        let cell = json!({
            "type": kind,
            "parameters": parameters,
            "attributes": { "NEXTPNR_BEL": place, "BEL_STRENGTH": "1", "src": "a.v:1" },
            "port_directions": {},
            "connections": {},
        });
        self.cells.insert(name.to_owned(), cell);
        self
    }

    fn table(&mut self, name: &str, place: &str) -> &mut Self {
        self.cell(name, "TRELLIS_COMB", place, json!({}))
    }

    fn flip_flop(&mut self, name: &str, place: &str) -> &mut Self {
        self.cell(name, "TRELLIS_FF", place, json!({ "CEMUX": "CE" }))
    }

    /// From `cell.pin` to others.
    fn net(&mut self, from: &str, to: &[&str]) -> &mut Self {
        self.nets += 1;
        for (index, pin) in [from].into_iter().chain(to.iter().copied()).enumerate() {
            let (cell, pin) = pin.split_once('.').unwrap();
            let cell = self.cells.get_mut(cell).unwrap();
            cell["port_directions"][pin] = if index == 0 { "output" } else { "input" }.into();
            cell["connections"][pin] = json!([self.nets]);
        }
        self
    }

    fn text(&self) -> Vec<u8> {
        let settings = json!({ "place": "1" });
        let top = json!({ "settings": settings, "cells": self.cells });
        json!({ "modules": { "top": top } }).to_string().into_bytes()
    }

    fn improved(&self) -> BTreeMap<String, String> {
        let better = improved_ecp5(&self.text(), 6, 1, &mut |_, _| {}).unwrap();
        assert!(better.now_ns <= better.before_ns, "{better:?}");
        let places = better.bound.lines().map(|line| line.split_once('\t').unwrap());
        let places: BTreeMap<_, _> =
            places.map(|(name, place)| (name.to_owned(), place.to_owned())).collect();
        let different: BTreeSet<_> = places.values().collect();
        assert_eq!(different.len(), places.len(), "two cells in one place");
        places
    }
}

fn tile(bel: &str) -> (i32, i32) {
    let (x, y) = crate::floorplan::place(bel).unwrap();
    (x as i32, y as i32)
}

fn distance(a: &str, b: &str) -> i32 {
    let (a, b) = (tile(a), tile(b));
    (a.0 - b.0).abs() + (a.1 - b.1).abs()
}

/// Flip-flop `from` in one corner; table and flip-flop `to`, whose data can only come from it, in another.
fn way() -> Netlist {
    let mut netlist = Netlist::default();
    netlist
        .cell("$gbuf$clk", "DCCA", "X67/Y0/TDCC2", json!({}))
        .flip_flop("from", "X2/Y2/SLICEA.FF0")
        .table("table", "X120/Y80/SLICEC.K1")
        .flip_flop("to", "X120/Y80/SLICEC.FF1")
        .net("$gbuf$clk.CLKO", &["from.CLK", "to.CLK"])
        .net("from.Q", &["table.A"])
        .net("table.F", &["to.DI"]);
    netlist
}

#[test]
fn a_way_becomes_short_and_a_flip_flop_stays_behind_its_table() {
    let netlist = way();
    let better = improved_ecp5(&netlist.text(), 6, 1, &mut |_, _| {}).unwrap();
    // A flip-flop, a wire to a table, the table, the flip-flop behind it.
    let wire = 380.0 + 2.0 * 5.0 * 120.0 + (113.0 + 73.0) * 60.0;
    let before = 525.0 + wire + 236.0 + 106.0;
    assert!((better.before_ns - before / 1e3).abs() < 1e-3, "{}", better.before_ns);
    assert!(better.now_ns < 1.8, "{} ns", better.now_ns);
    let fast = improved_ecp5(&netlist.text(), 8, 1, &mut |_, _| {}).unwrap();
    assert!((0.6..0.7).contains(&(fast.before_ns / better.before_ns)), "{}", fast.before_ns);
    let places = netlist.improved();
    assert!(distance(&places["from"], &places["table"]) <= 4);
    assert_eq!(places["to"], places["table"].replace(".K", ".FF"));
    assert_eq!(places["$gbuf$clk"], "X67/Y0/TDCC2");
}

/// What each of two tables gains by going nearer to its flip-flop, which stays, it loses by going away from the other one.
#[test]
fn tables_in_a_row_move_together() {
    let mut netlist = Netlist::default();
    netlist
        .cell("$gbuf$clk", "DCCA", "X67/Y0/TDCC2", json!({}))
        .flip_flop("from", "X40/Y30/SLICEA.FF0")
        .table("channel_30_40_SLICED.K1", "X40/Y30/SLICED.K1")
        .table("channel_31_40_SLICED.K1", "X40/Y31/SLICED.K1")
        .table("one", "X80/Y60/SLICEA.K0")
        .table("other", "X81/Y60/SLICEA.K0")
        .flip_flop("to", "X40/Y31/SLICEA.FF0")
        .net("$gbuf$clk.CLKO", &["from.CLK", "to.CLK"])
        .net("from.Q", &["one.A"])
        .net("one.F", &["other.A"])
        .net("other.F", &["to.M"]);
    let places = netlist.improved();
    assert!(distance(&places["one"], &places["from"]) <= 4, "{places:?}");
    assert!(distance(&places["other"], &places["to"]) <= 4, "{places:?}");
}

#[test]
fn the_same_placement_is_improved_alike() {
    assert_eq!(way().improved(), way().improved());
}

/// A chain of carries over two tiles, memory with its write port and a multiplier, each far from the flip-flop
/// that it hangs on; a table that keeps a row free.
fn stacks() -> Netlist {
    let mut netlist = way();
    let mut clocked = Vec::new();
    let mut of_from = Vec::new();
    for place in 0..10 {
        let name = format!("carry{place}");
        let site = SITES[place % 8];
        let mode = json!({ "MODE": "CCU2" });
        netlist.cell(&name, "TRELLIS_COMB", &format!("X{}/Y60/{site}", 100 + place / 8), mode);
        of_from.push(format!("{name}.A"));
    }
    for place in 1..10 {
        netlist.net(&format!("carry{}.FCO", place - 1), &[&format!("carry{place}.FCI")]);
    }
    netlist.flip_flop("sum", "X101/Y60/SLICEA.FF1").net("carry9.F", &["sum.DI"]);
    clocked.push("sum.CLK".to_owned());
    netlist.cell("port", "TRELLIS_RAMW", "X90/Y71/SLICEC.RAMW", json!({}));
    for (word, site) in SITES.into_iter().take(4).enumerate() {
        let name = format!("word{word}");
        let mode = json!({ "MODE": "DPRAM" });
        netlist.cell(&name, "TRELLIS_COMB", &format!("X90/Y71/{site}"), mode);
        netlist.net(&format!("port.WDO{word}"), &[&format!("{name}.WD")]);
        clocked.push(format!("{name}.WCK"));
    }
    for site in [4, 5] {
        let mode = json!({ "MODE": "RAMW_BLOCK" });
        let place = format!("X90/Y71/{}", SITES[site]);
        netlist.cell(&format!("blocked{site}"), "TRELLIS_COMB", &place, mode);
    }
    of_from.push("port.A0".to_owned());
    netlist.cell("product", "MULT18X18D", "X119/Y58/MULT18_5", json!({}));
    of_from.push("product.A3".to_owned());
    netlist.flip_flop("made", "X119/Y57/SLICED.FF0").net("product.P7", &["made.M"]);
    clocked.push("made.CLK".to_owned());
    netlist.table("channel_2_4_SLICEA.K0", "X2/Y4/SLICEA.K0");
    // The clock and what hangs on `from`, with the others.
    let with = |pins: &[String]| pins.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let (clocked, of_from) = (with(&clocked), with(&of_from));
    let pins = |more: &str, own: [&str; 2]| -> Vec<String> {
        own.into_iter()
            .chain(more.split(' '))
            .filter(|pin| !pin.is_empty())
            .map(str::to_owned)
            .collect()
    };
    for (from, to) in [
        ("$gbuf$clk.CLKO", pins(&clocked, ["from.CLK", "to.CLK"])),
        ("from.Q", pins(&of_from, ["table.A", ""])),
    ] {
        netlist.net(from, &to.iter().map(String::as_str).collect::<Vec<_>>());
    }
    netlist
}

#[test]
fn chains_memory_and_blocks_move_as_a_whole() {
    let netlist = stacks();
    let places = netlist.improved();
    let from = &places["from"];
    for name in ["carry0", "port", "product", "made"] {
        assert!(distance(from, &places[name]) <= 20, "{name} at {}, {from}", places[name]);
    }
    let first = tile(&places["carry0"]);
    for place in 0..10 {
        let at = (first.0 + place / 8, first.1);
        let site = SITES[place as usize % 8];
        assert_eq!(places[&format!("carry{place}")], format!("X{}/Y{}/{site}", at.0, at.1));
    }
    assert_eq!(places["sum"], places["carry9"].replace(".K", ".FF"));
    let memory = tile(&places["port"]);
    let all = ["word0", "word1", "word2", "word3", "blocked4", "blocked5"];
    for (index, name) in all.into_iter().enumerate() {
        assert_eq!(places[name], format!("X{}/Y{}/{}", memory.0, memory.1, SITES[index]));
    }
    assert!(places["product"].contains("/MULT18_"));
    assert_eq!(places["channel_2_4_SLICEA.K0"], "X2/Y4/SLICEA.K0");
}

#[test]
fn flip_flops_of_a_tile_have_a_reset_in_common_and_those_of_a_slice_an_enable() {
    let mut netlist = Netlist::default();
    netlist.cell("$gbuf$clk", "DCCA", "X67/Y0/TDCC2", json!({}));
    let mut clocked = vec!["hub.CLK".to_owned()];
    let (mut enabled, mut cleared) = ([vec![], vec![]], [vec![], vec![]]);
    netlist.flip_flop("hub", "X60/Y40/SLICEA.FF0");
    let mut data = Vec::new();
    for number in 0..64 {
        let name = format!("a{number}");
        netlist.flip_flop(&name, &format!("X{}/Y{}/SLICEB.FF1", 20 + number, 11 + number % 5));
        clocked.push(format!("{name}.CLK"));
        enabled[number % 2].push(format!("{name}.CE"));
        cleared[number / 2 % 2].push(format!("{name}.LSR"));
        data.push(format!("{name}.M"));
    }
    let sources = ["on0", "on1", "clear0", "clear1"];
    for (index, (name, pins)) in sources.into_iter().zip(enabled.iter().chain(&cleared)).enumerate()
    {
        netlist.table(name, &format!("X{}/Y50/SLICEA.K0", 30 + index));
        netlist.net(&format!("{name}.F"), &pins.iter().map(String::as_str).collect::<Vec<_>>());
    }
    netlist.net("hub.Q", &data.iter().map(String::as_str).collect::<Vec<_>>());
    netlist.net("$gbuf$clk.CLKO", &clocked.iter().map(String::as_str).collect::<Vec<_>>());
    let places = netlist.improved();
    let mut resets: BTreeMap<(i32, i32), BTreeSet<usize>> = BTreeMap::new();
    let mut enables: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    let mut moved = 0;
    for number in 0..64_usize {
        let place = &places[&format!("a{number}")];
        moved += usize::from(distance(place, &places["hub"]) < 12);
        resets.entry(tile(place)).or_default().insert(number / 2 % 2);
        let slice = place.rsplit_once('.').unwrap().0.to_owned();
        enables.entry(slice).or_default().insert(number % 2);
    }
    assert!(moved > 48, "{moved} of 64 flip-flops stand near");
    assert!(resets.values().all(|resets| resets.len() == 1), "{resets:?}");
    assert!(enables.values().all(|enables| enables.len() == 1), "{enables:?}");
}

#[test]
fn the_netlist_says_where_cells_shall_stand() {
    let mut netlist = way();
    netlist.cell("pin$tr_io", "TRELLIS_IO", "X0/Y38/PIOC", json!({}));
    let bound = "from\tX3/Y3/SLICEB.FF1\ntable\tX3/Y3/SLICEB.K0\npin$tr_io\tX0/Y38/PIOC\n";
    let bound = bound_netlist(&netlist.text(), bound).unwrap();
    let top = &bound["modules"][TOP];
    assert_eq!(top["settings"], Value::Null, "nextpnr packs and places it");
    let attributes = |name: &str| &top["cells"][name]["attributes"];
    assert_eq!(*attributes("from"), json!({ "src": "a.v:1", "BEL": "X3/Y3/SLICEB.FF1" }));
    assert_eq!(*attributes("pin$tr_io"), json!({ "src": "a.v:1" }), "constraints say it");
    let error = bound_netlist(&netlist.text(), "else\tX1\n").unwrap_err().to_string();
    assert!(error.contains("no cell for `else\tX1`"), "{error}");
}

#[test]
fn what_is_no_placement_is_refused() {
    let refused = |text: &[u8]| improved_ecp5(text, 6, 1, &mut |_, _| {}).unwrap_err().to_string();
    assert!(refused(b"{}").contains("nextpnr's placement"));
    assert!(refused(br#"{ "modules": {} }"#).contains("it has no module"));
    for (kind, place) in [
        ("TRELLIS_COMB", ""),
        ("TRELLIS_COMB", "X1/Y1/SLICEA.K0"),
        ("TRELLIS_COMB", "X10/Y10/SLICEA.K0"),
        ("TRELLIS_COMB", "X10/Y11/SLICEA.FF0"),
        ("TRELLIS_FF", "X10/Y11/SLICEE.FF0"),
        ("TRELLIS_RAMW", "X10/Y11/SLICEA.RAMW"),
        ("DP16KD", "X5/Y22/EBR0"),
    ] {
        let mut netlist = Netlist::default();
        netlist.cell("a", kind, place, json!({}));
        let said = refused(&netlist.text());
        assert!(said.contains(&format!("`a` stands at `{place}`")), "{said}");
    }
    for text in [br#"{ "modules": {} }"#.as_slice(), b"[]", b"{"] {
        assert!(bound_netlist(text, "").is_err());
    }
}
