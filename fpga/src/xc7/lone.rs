//! Slices of the 7-series that stay free, since too few wires pass them.
//!
//! Beside the transceivers of an XC7A200T a single column of slices stands between two wide holes. nextpnr's placer fills it
//! like any other, and no wires are left for what ends there: a card of half the tables was never routed. Tables that do
//! nothing take the column, bound before anything is placed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::error::FpgaError;
use crate::netlist::top_cells;

/// Cells of the grid to either side in which columns of switches are counted.
const REACH: u32 = 12;
/// Slices with at most so many of them are lone; others have 6 to 12.
const FEW: usize = 4;

/// The tables, as nextpnr names them, of slices with few wires around, from kind, column and row of all tiles.
pub(super) fn tables<'a>(tiles: impl Iterator<Item = (&'a str, u32, u32)>) -> Vec<String> {
    let (mut slices, mut switches) = (BTreeSet::new(), BTreeMap::<u32, BTreeSet<u32>>::new());
    for (kind, x, y) in tiles {
        if kind.starts_with("CLBL") {
            slices.insert((x, y));
        } else if matches!(kind, "INT_L" | "INT_R") {
            switches.entry(y).or_default().insert(x);
        }
    }
    let lone = slices.into_iter().filter(|(x, y)| {
        let near = x.saturating_sub(REACH)..=x.saturating_add(REACH);
        switches.get(y).is_none_or(|row| row.range(near).count() <= FEW)
    });
    let of_tile = |(x, y)| {
        let slices = [0, 1].into_iter();
        let tables = slices.flat_map(|slice| {
            ["A5", "A6", "B5", "B6", "C5", "C6", "D5", "D6"].map(|table| (slice, table))
        });
        tables.map(move |(slice, table)| format!("X{x}Y{y}/SLICE_X{slice}Y0.{table}LUT"))
    };
    lone.flat_map(of_tile).collect()
}

/// What the name of a table that takes a place begins with.
pub(crate) const KEPT_FREE: &str = "kept_free_";

fn name(index: usize) -> String {
    format!("{KEPT_FREE}{index}")
}

/// Adds a table that does nothing for each of so many places, to a netlist as yosys writes it.
///
/// # Errors
/// [`FpgaError::BadOutput`] when this is no netlist of a board.
pub fn keep_free(netlist: &mut Value, places: usize) -> Result<(), FpgaError> {
    let top = top_cells(netlist)?;
    top.extend((0..places).map(|index| {
        // With no input at all nextpnr ends, and without `keep` it takes the table out.
        let cell = json!({
            "type": "LUT1",
            "parameters": { "INIT": "00" },
            "attributes": { "keep": "1" },
            "port_directions": { "I0": "input", "O": "output" },
            "connections": { "I0": ["0"] },
        });
        (name(index), cell)
    }));
    Ok(())
}

/// What nextpnr's own Python is told before it places: where each of them stands. Its netlist can not say so: of a table with
/// the attribute `BEL` it claims that it is a pin.
pub fn binding(places: &[String]) -> String {
    let line = |(index, place): (usize, &String)| {
        format!("ctx.bindBel(\"{place}\", ctx.cells[\"{}\"], STRENGTH_LOCKED)\n", name(index))
    };
    places.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards::TOP;

    /// A row of an FPGA: pairs of slices and their switches, and between two holes one pair alone.
    fn row(y: u32) -> Vec<(&'static str, u32, u32)> {
        let pair = |x| {
            [("CLBLL_L", x, y), ("INT_L", x + 1, y), ("INT_R", x + 2, y), ("CLBLM_R", x + 3, y)]
        };
        let filled = [0, 4, 8, 12, 60, 64, 68].into_iter().flat_map(pair);
        let lone = [("INT_L", 39, y), ("INT_R", 40, y), ("CLBLL_R", 41, y), ("VBRK", 42, y)];
        filled.chain(lone).collect()
    }

    #[test]
    fn a_column_between_two_holes_is_lone() {
        let tiles = [row(3), row(4)].concat();
        let tables = tables(tiles.iter().copied());
        assert_eq!(tables.len(), 32);
        assert_eq!(tables[0], "X41Y3/SLICE_X0Y0.A5LUT");
        assert_eq!(tables[31], "X41Y4/SLICE_X1Y0.D6LUT");
    }

    #[test]
    fn each_place_has_a_table_that_is_bound_there() {
        let mut netlist = json!({ "modules": { TOP: { "cells": { "a": { "type": "LUT6" } } } } });
        keep_free(&mut netlist, 2).unwrap();
        let cells = netlist["modules"][TOP]["cells"].as_object().unwrap();
        assert_eq!(cells.keys().collect::<Vec<_>>(), ["a", "kept_free_0", "kept_free_1"]);
        assert_eq!(
            binding(&["X1Y2/SLICE_X0Y0.A6LUT".to_owned(), "X1Y3/SLICE_X0Y0.A5LUT".to_owned()]),
            "ctx.bindBel(\"X1Y2/SLICE_X0Y0.A6LUT\", ctx.cells[\"kept_free_0\"], STRENGTH_LOCKED)\n\
             ctx.bindBel(\"X1Y3/SLICE_X0Y0.A5LUT\", ctx.cells[\"kept_free_1\"], STRENGTH_LOCKED)\n"
        );
        let error = keep_free(&mut json!({ "modules": {} }), 2).unwrap_err().to_string();
        assert!(error.contains("no rmt_board"), "{error}");
    }
}
