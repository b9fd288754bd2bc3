//! The pass on netlists of a few cells.

use super::*;

/// Bits of the multiplier in these tests that are connected: the others are constant.
const BITS: u64 = 4;
const CLOCK: u64 = 2;
const ENABLE: u64 = 3;

fn flip_flop(input: u64, output: u64) -> Value {
    json!({
        "type": FLIP_FLOP,
        "parameters": { "CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET", "GSR": "DISABLED" },
        "attributes": {},
        "port_directions": { "CLK": "input", "DI": "input", "LSR": "input", "CE": "input", "Q": "output" },
        "connections": { "CLK": [CLOCK], "DI": [input], "LSR": ["0"], "CE": ["1"], "Q": [output] },
    })
}

/// A registered product: inputs 100 and 200 on, registered 110 and 210 on, product 300 on, registered 400 on.
fn product() -> Value {
    let (mut cells, mut connections, mut directions) = (Map::new(), Map::new(), Map::new());
    for index in 0..INPUT_BITS {
        for (letter, first) in [("A", 110), ("B", 210)] {
            let port = format!("{letter}{index}");
            let bit = if u64::from(index) < BITS { json!(first + index) } else { json!("0") };
            connections.insert(port.clone(), json!([bit]));
            directions.insert(port, json!("input"));
        }
    }
    for index in 0..2 * BITS {
        connections.insert(format!("P{index}"), json!([300 + index]));
        directions.insert(format!("P{index}"), json!("output"));
        cells.insert(format!("p{index}"), flip_flop(300 + index, 400 + index));
    }
    for index in 0..BITS {
        cells.insert(format!("a{index}"), flip_flop(100 + index, 110 + index));
        cells.insert(format!("b{index}"), flip_flop(200 + index, 210 + index));
    }
    cells.insert(
        "multiplier".into(),
        json!({ "type": MULTIPLIER, "parameters": {}, "connections": connections, "port_directions": directions }),
    );
    let output: Vec<u64> = (0..2 * BITS).map(|index| 400 + index).collect();
    json!({ "modules": { "product": {
        "ports": { "product": { "direction": "output", "bits": output } }, "cells": cells } } })
}

fn cell<'a>(netlist: &'a mut Value, name: &str) -> &'a mut Value {
    &mut netlist["modules"]["product"]["cells"][name]
}

/// The pass, and the multiplier behind it.
fn pack(mut netlist: Value) -> (Packed, Value) {
    let packed = pack_registers(&mut netlist).unwrap();
    (packed, cell(&mut netlist, "multiplier").clone())
}

#[test]
fn registers_of_a_product_move_into_the_block() {
    let (packed, block) = pack(product());
    assert_eq!(packed, Packed { multipliers: 1, inputs: 1, outputs: 1, flip_flops: 4 * BITS });
    for register in ["INPUTA", "INPUTB", "OUTPUT"] {
        assert_eq!(block["parameters"][format!("REG_{register}_CLK")], "CLK0");
    }
    let connections = &block["connections"];
    assert_eq!(connections["CLK0"], json!([CLOCK]));
    assert_eq!((&connections["A1"], &connections["B2"]), (&json!([101]), &json!([202])));
    assert_eq!((&connections["P3"], &connections["A9"]), (&json!([403]), &json!(["0"])));
}

#[test]
fn a_common_enable_moves_along_and_different_ones_stay() {
    let enable = |netlist: &mut Value, name: &str| {
        let register = cell(netlist, name);
        register["parameters"]["CEMUX"] = json!("CE");
        register["connections"]["CE"] = json!([ENABLE]);
    };
    let mut all = product();
    for index in 0..2 * BITS {
        enable(&mut all, &format!("p{index}"));
    }
    for index in 0..BITS {
        enable(&mut all, &format!("a{index}"));
        enable(&mut all, &format!("b{index}"));
    }
    let (packed, block) = pack(all);
    assert_eq!((packed.inputs, packed.outputs), (1, 1));
    assert_eq!(block["connections"]["CE0"], json!([ENABLE]));
    let mut one = product();
    enable(&mut one, "a0");
    let (packed, block) = pack(one);
    assert_eq!((packed.inputs, packed.outputs, packed.flip_flops), (0, 1, 2 * BITS));
    assert_eq!(block["connections"]["A1"], json!([111]));
}

#[test]
fn what_the_block_cannot_do_stays() {
    // A reset by a signal, a value at power-up, the other edge, a set.
    let changes: [fn(&mut Value); 4] = [
        |register| register["connections"]["LSR"] = json!([ENABLE]),
        |register| register["attributes"]["init"] = json!("1"),
        |register| register["parameters"]["CLKMUX"] = json!("INV"),
        |register| register["parameters"]["REGSET"] = json!("SET"),
    ];
    for change in changes {
        let mut netlist = product();
        change(cell(&mut netlist, "b3"));
        change(cell(&mut netlist, "p0"));
        let (packed, block) = pack(netlist);
        assert_eq!((packed.inputs, packed.outputs, packed.flip_flops), (0, 0, 0));
        assert_eq!(block["parameters"], json!({}));
    }
}

#[test]
fn a_register_that_others_read_stays_and_a_product_that_others_read_is_not_registered() {
    let mut netlist = product();
    let cells = netlist["modules"]["product"]["cells"].as_object_mut().unwrap();
    // Register a0 and bit 5 of the product have another reader each.
    cells.insert("reader".into(), flip_flop(110, 500));
    cells.insert("other".into(), flip_flop(305, 501));
    netlist["modules"]["product"]["ports"]["others"] =
        json!({ "direction": "output", "bits": [500, 501] });
    let packed = pack_registers(&mut netlist).unwrap();
    assert_eq!((packed.inputs, packed.outputs, packed.flip_flops), (1, 0, 2 * BITS - 1));
    assert!(netlist["modules"]["product"]["cells"].get("a0").is_some());
    assert_eq!(cell(&mut netlist, "multiplier")["connections"]["A0"], json!([100]));
}

#[test]
fn blocks_with_their_own_registers_are_known() {
    let block = |kind: &str, parameters: Value| {
        is_registered(&json!({ "type": kind, "parameters": parameters }))
    };
    let (on, off) = ("00000000000000000000000000000001", "00000000000000000000000000000000");
    assert!(block("DSP48E1", json!({ "AREG": on, "BREG": on, "MREG": off, "PREG": on })));
    assert!(!block("DSP48E1", json!({ "AREG": on, "BREG": off, "MREG": on, "PREG": on })));
    assert!(!block("DSP48E1", json!({ "AREG": on, "BREG": on, "MREG": off, "PREG": off })));
    assert!(!block("DSP48E1", json!({})));
    let (_, cell) = pack(product());
    assert!(is_registered(&cell), "{cell}");
    assert!(!block("MULT18X18D", json!({ "REG_INPUTA_CLK": "NONE" })));
    assert!(!block("LUT4", json!({})));
}
