//! A product's only register stands at the output of its DSP48E1.
//!
//! yosys puts the first register behind a product into the block's middle (`MREG`), from where the product goes through the
//! block's adder before it leaves: 2.3 ns behind the clock. At the output (`PREG`) it is there after 0.4 ns, and the factors
//! have to come 1.8 ns earlier; they come from registers beside the block ([`crate::xc7::timing`] says how both are known).

use serde_json::Value;

use crate::error::FpgaError;
use crate::netlist::{kind, top_cells};

const BLOCK: &str = "DSP48E1";
/// Ports of the register in the middle and of that at the output.
const MOVED: [(&str, &str); 2] = [("CEM", "CEP"), ("RSTM", "RSTP")];
/// Bits of the operation that choose what is added to the product: nothing.
const ADDED: std::ops::Range<usize> = 4..7;

/// Moves registers of products to the outputs of their blocks, in the JSON that yosys writes; how many.
///
/// # Errors
/// [`FpgaError::BadOutput`] when this is no netlist of a board.
pub fn registers_at_outputs(netlist: &mut Value) -> Result<u64, FpgaError> {
    let blocks = top_cells(netlist)?.values_mut().filter(|cell| kind(cell) == BLOCK);
    Ok(blocks.map(|block| u64::from(moved(block))).sum())
}

/// Whether its register was moved.
fn moved(block: &mut Value) -> bool {
    let is = |name: &str, expected: u64| {
        let value = block["parameters"][name].as_str();
        value.and_then(|value| u64::from_str_radix(value, 2).ok()) == Some(expected)
    };
    let bits = |port: &str| block["connections"][port].as_array().map_or(&[][..], Vec::as_slice);
    let zero = |bits: &[Value]| !bits.is_empty() && bits.iter().all(|bit| bit == "0");
    let operation = bits("OPMODE");
    let only_product = operation.len() == ADDED.end
        && zero(&operation[ADDED])
        && zero(bits("CARRYIN"))
        && zero(bits("ALUMODE"));
    if !(is("MREG", 1) && is("PREG", 0) && only_product && bits("PCOUT").is_empty()) {
        return false;
    }
    for (from, to) in MOVED {
        for map in ["connections", "port_directions"] {
            let entry = block[map].as_object_mut().and_then(|map| map.remove(from));
            if let Some(entry) = entry {
                block[map][to] = entry;
            }
        }
    }
    block["parameters"]["MREG"] = "0".into();
    block["parameters"]["PREG"] = "1".into();
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::boards::TOP;

    fn block(registers: (&str, &str), operation: [&str; 7]) -> Value {
        json!({ "modules": { TOP: { "cells": { "product": {
            "type": BLOCK,
            "parameters": { "MREG": registers.0, "PREG": registers.1 },
            "port_directions": { "CEM": "input", "RSTM": "input" },
            "connections": {
                "CEM": [7], "RSTM": ["0"], "OPMODE": operation, "ALUMODE": ["0", "0", "0", "0"], "CARRYIN": ["0"],
            },
        }}}}})
    }

    const PRODUCT: [&str; 7] = ["1", "0", "1", "0", "0", "0", "0"];

    #[test]
    fn a_lone_register_goes_to_the_output() {
        let mut netlist = block(("1", "00000000"), PRODUCT);
        assert_eq!(registers_at_outputs(&mut netlist).unwrap(), 1);
        let product = &top_cells(&mut netlist).unwrap()["product"];
        assert_eq!(product["parameters"], json!({ "MREG": "0", "PREG": "1" }));
        assert_eq!(product["port_directions"], json!({ "CEP": "input", "RSTP": "input" }));
        let connections = &product["connections"];
        assert_eq!((&connections["CEP"], &connections["RSTP"]), (&json!([7]), &json!(["0"])));
        assert!(connections.get("CEM").is_none());
        // It is at the output now.
        assert_eq!(registers_at_outputs(&mut netlist).unwrap(), 0);
    }

    #[test]
    fn a_sum_and_two_registers_stay() {
        let adds_another = ["1", "0", "1", "0", "1", "0", "0"];
        for (registers, operation) in
            [(("1", "0"), adds_another), (("1", "1"), PRODUCT), (("0", "0"), PRODUCT)]
        {
            let mut netlist = block(registers, operation);
            let before = netlist.clone();
            assert_eq!(registers_at_outputs(&mut netlist).unwrap(), 0);
            assert_eq!(netlist, before);
        }
    }
}
