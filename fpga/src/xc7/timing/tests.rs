//! Paths of a few cells.

use super::*;
use serde_json::json;

const LIBRARY: &str = r#"(DELAYFILE (TIMESCALE 1 ns)
  (CELL (CELLTYPE "DSP48E1_PREG_1") (INSTANCE DSP48E1) (DELAY (ABSOLUTE (IOPATH CLK P (0.1::0.2)(0.3::0.5)))))
  (CELL (CELLTYPE "DSP48E1_CREG_0_PREG_1_USE_PATTERN_DETECT_NO_PATDET") (INSTANCE DSP48E1)
    (TIMINGCHECK (SETUP C (posedge CLK) (0.4::1.7))))
  (CELL (CELLTYPE "DSP48E1_CREG_0_PREG_0") (INSTANCE DSP48E1) (DELAY (ABSOLUTE (IOPATH C P (1.0::2.0)))))
  (CELL (CELLTYPE "DSP48E1_AREG_1_A_INPUT_DIRECT") (INSTANCE DSP48E1)
    (TIMINGCHECK (SETUP A (posedge CLK) (0.1::0.4)) (SETUP CEA1 (posedge CLK) (0.1::0.9))))
  (CELL (CELLTYPE "DSP48E1_AREG_0_A_INPUT_DIRECT_MREG_1_USE_DPORT_FALSE_USE_MULT_MULTIPLY") (INSTANCE DSP48E1)
    (TIMINGCHECK (SETUP A (posedge CLK) (0.1::2.9))))
  (CELL (CELLTYPE "OTHER") (INSTANCE X)))"#;

/// f ─► one ─► two ─► g, and f ─► g by a long way.
fn delays(through: &str) -> String {
    let flip_flop = |name: &str| {
        format!(
            "(CELL (CELLTYPE \"FF\") (INSTANCE {name}) (DELAY (ABSOLUTE (IOPATH CK Q (350:350:350))))
             (TIMINGCHECK (SETUPHOLD (posedge D) (posedge CK) (100:100:100) (0:0:0))))"
        )
    };
    format!(
        "(DELAYFILE (TIMESCALE 1ps) (CELL (CELLTYPE \"top\") (INSTANCE ) (DELAY (ABSOLUTE
           (INTERCONNECT f/Q u.one/A3 (600:600:600)) (INTERCONNECT u.one/P11 u.two/C11 (900:900:900))
           (INTERCONNECT u.two/P2 g/D (800:800:800)) (INTERCONNECT f/Q g/D (9000:9000:9000)) {through})))
         {} {} (CELL (CELLTYPE \"DSP48E1_DSP48E1\") (INSTANCE u.one)) (CELL (CELLTYPE \"LUT\") (INSTANCE l)
         (DELAY (ABSOLUTE (IOPATH A1 O6 (125:125:125))))))",
        flip_flop("f"),
        flip_flop("g")
    )
}

fn netlist(settings: Value) -> Value {
    let block = || json!({ "type": "DSP48E1", "parameters": settings });
    json!({ "modules": {
        TOP: { "cells": { "u.one": block(), "u.two": block(), "l": { "type": "LUT6" } } } } })
}

const ON: &str = "00000000000000000000000000000001";
const OFF: &str = "00000000000000000000000000000000";

fn path(through: &str, settings: Value) -> CriticalPath {
    let library = Library::read(LIBRARY).unwrap();
    let found = multiplier_paths(&delays(through), &netlist(settings), &library).unwrap();
    let [MultiplierPath { path, .. }] = &found[..] else { panic!("{found:?}") };
    path.clone()
}

#[test]
fn the_longest_path_that_touches_a_multiplier_is_found() {
    let registered = json!({ "AREG": ON, "MREG": ON, "PREG": ON, "CREG": OFF, "USE_PATTERN_DETECT": "NO_PATDET" });
    // 0.5 out of one, 0.9 on the way, 1.7 before two's edge; 9.45 from f to g does not count.
    let found = path("", registered.clone());
    assert!((found.nanoseconds() - 3.1).abs() < 1e-9, "{found:?}");
    assert_eq!(found.signals(), ["u.one.P11", "u.two.C11"]);
    let kinds: Vec<&str> = found.hops.iter().map(|hop| hop.kind.as_str()).collect();
    assert_eq!(kinds, ["clk-to-q", "routing", "setup"]);
    let graph = graph(&delays(""), &netlist(registered.clone()), &Library::read(LIBRARY).unwrap());
    let clocks = Clocks { drivers: &HashMap::new(), from: None, to: None };
    let graph = graph.unwrap();
    let all = graph.longest(&graph.order(), false, &clocks).unwrap();
    assert!((all.nanoseconds() - 9.45).abs() < 1e-9, "{all:?}");
    // Through a table into the first operand, which ends there.
    let long =
        "(INTERCONNECT g/Q l/A1 (2000:2000:2000)) (INTERCONNECT l/O6 u.two/A0 (3000:3000:3000))";
    let found = path(long, registered.clone());
    assert!((found.nanoseconds() - (0.35 + 2.0 + 0.125 + 3.0 + 0.4)).abs() < 1e-9, "{found:?}");
    assert_eq!(found.signals(), ["g.Q", "l.A1", "l.O6", "u.two.A0"]);
    // The table's own signal is another one: its neighbour's pin.
    let mut netlist = netlist(registered);
    let cells = &mut netlist["modules"][TOP]["cells"];
    cells["g"] = json!({ "port_directions": { "Q": "output" }, "connections": { "Q": [5] } });
    cells["l"]["connections"] = json!({ "I0": [6], "O": [7] });
    cells["l"]["port_directions"] = json!({ "I0": "input", "O": "output" });
    let library = Library::read(LIBRARY).unwrap();
    let found = multiplier_paths(&delays(long), &netlist, &library).unwrap();
    assert_eq!(found[0].path.signals(), ["u.one.P11", "u.two.C11"]);
}

#[test]
fn settings_choose_the_delays() {
    // Without a register at the operand it takes as long as the product.
    let found = path("", json!({ "AREG": OFF, "MREG": ON, "PREG": ON, "CREG": ON }));
    assert!((found.nanoseconds() - (0.35 + 0.6 + 2.9)).abs() < 1e-9, "{found:?}");
    // Without a register at the output the path goes on through the block.
    let found = path(
        "(INTERCONNECT f/Q u.one/C4 (100:100:100))",
        json!({ "AREG": ON, "MREG": ON, "PREG": OFF, "CREG": OFF }),
    );
    assert!((found.nanoseconds() - (0.35 + 0.1 + 2.0 + 0.9 + 2.0 + 0.8 + 0.1)).abs() < 1e-9);
}

#[test]
fn conditions_are_read_from_names() {
    let condition = |name, value: &str| (name, value.to_owned());
    assert_eq!(
        conditions_of("AREG_0_A_INPUT_DIRECT_USE_PATTERN_DETECT_NO_PATDET"),
        Some(vec![
            condition("AREG", "0"),
            condition("A_INPUT", "DIRECT"),
            condition("USE_PATTERN_DETECT", "NO_PATDET")
        ])
    );
    assert_eq!(conditions_of(""), Some(Vec::new()));
    assert_eq!(conditions_of("SOMETHING_1"), None);
    assert!(Library::read("(DELAYFILE (CELL (CELLTYPE \"OTHER\")))").is_err());
    assert!(Library::read("nothing").is_err());
}

#[test]
fn circles_and_designs_without_multipliers_have_no_path() {
    let library = Library::read(LIBRARY).unwrap();
    let circle = delays("(INTERCONNECT l/O6 l/A1 (1:1:1)) (INTERCONNECT f/Q l/A1 (1:1:1))");
    let none = json!({ "modules": { TOP: { "cells": {} } } });
    assert_eq!(multiplier_paths(&circle, &none, &library).unwrap(), []);
    assert!(multiplier_paths("nothing", &none, &library).is_err());
}

#[test]
fn each_two_clocks_have_a_path_of_their_own() {
    // f, g and two at one clock, one at another.
    let clocks = "(INTERCONNECT slow/O f/CK (10:10:10)) (INTERCONNECT slow/O g/CK (10:10:10))
         (INTERCONNECT fast/O u.one/CLK (10:10:10)) (INTERCONNECT slow/O u.two/CLK (10:10:10))";
    let mut netlist = netlist(
        json!({ "AREG": ON, "MREG": ON, "PREG": ON, "CREG": OFF, "USE_PATTERN_DETECT": "NO_PATDET" }),
    );
    let buffer = |bit: u32| json!({ "type": "BUFG", "connections": { "O": [bit] } });
    netlist["modules"][TOP]["cells"]["slow"] = buffer(7);
    netlist["modules"][TOP]["cells"]["fast"] = buffer(8);
    netlist["modules"][TOP]["netnames"] = json!({
        "card.clk": { "bits": [7] }, "clk": { "bits": [7] }, "array_clk": { "bits": [8] } });
    let library = Library::read(LIBRARY).unwrap();
    let found = multiplier_paths(&delays(clocks), &netlist, &library).unwrap();
    let said: Vec<(&str, f64)> =
        found.iter().map(|found| (&*found.path.clocks, found.path.nanoseconds())).collect();
    let expected = [
        // f to an operand of one, one to a sum of two, two to g.
        ("posedge clk to posedge clk", 0.5 + 0.8 + 0.1),
        ("posedge clk to posedge array_clk", 0.35 + 0.6 + 0.4),
        ("posedge array_clk to posedge clk", 0.5 + 0.9 + 1.7),
    ];
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for (clocks, length) in expected {
        let (_, found) = said.iter().find(|(found, _)| *found == clocks).unwrap();
        assert!((found - length).abs() < 1e-9, "{clocks}: {said:?}");
    }
    let within = |name: &str| found.iter().filter(|found| found.within(name)).count();
    assert_eq!((within("clk"), within("card.clk"), within("array_clk")), (1, 1, 0));
}
