//! Rows of an ECP5's logic that stay free, so that wires have room.
//!
//! nextpnr's placer packs tables into a part of the FPGA, up to 70 % of its sites and more, and leaves the rest empty: the
//! wires of a card that takes half the tables are short where it stands, and there are plenty where it does not.
//! Tables that do nothing, locked to the sites of whole rows, make the placer spread the others, and the wires of
//! those rows pass what the ones between them need. Chains of carries run along a row and are not cut.

use serde_json::{Value, json};

use crate::error::FpgaError;
use crate::netlist::top_cells;

/// Columns of an 85F's logic tiles.
const COLUMNS: std::ops::RangeInclusive<u32> = 2..=124;
/// Rows of the logic tiles, and of memories and multipliers.
const ROWS: std::ops::RangeInclusive<u32> = 2..=93;
/// Each twelfth row, from this one on, has memories and multipliers.
const FIRST_OF_BLOCKS: u32 = 10;
const ROWS_TO_NEXT_BLOCKS: u32 = 12;
/// Tables of a tile, as nextpnr calls their sites.
pub(crate) const SITES: [&str; 8] = [
    "SLICEA.K0",
    "SLICEA.K1",
    "SLICEB.K0",
    "SLICEB.K1",
    "SLICEC.K0",
    "SLICEC.K1",
    "SLICED.K0",
    "SLICED.K1",
];
/// Every so many rows one stays free. With 21 of 85 rows 8 x 8 with two stages was routed, which was not without.
const EVERY: usize = 4;

/// Rows of the logic tiles.
fn logic_rows() -> impl Iterator<Item = u32> {
    ROWS.filter(|row| row % ROWS_TO_NEXT_BLOCKS != FIRST_OF_BLOCKS % ROWS_TO_NEXT_BLOCKS)
}

/// Columns and rows of all tiles of an 85F's logic.
pub(crate) fn logic_tiles() -> impl Iterator<Item = (u32, u32)> {
    logic_rows().flat_map(|row| COLUMNS.map(move |column| (column, row)))
}

/// Tables that keep a row free are called so, and their place.
const CHANNEL: &str = "channel_";

/// Whether a cell keeps a row free, by its name.
pub(crate) fn is_channel(cell: &str) -> bool {
    cell.starts_with(CHANNEL)
}

/// Rows that stay free.
fn channels() -> impl Iterator<Item = u32> {
    logic_rows().skip(EVERY / 2).step_by(EVERY)
}

/// Tables of an 85F that its channels take.
pub fn tables_taken() -> u64 {
    (channels().count() * COLUMNS.count() * SITES.len()) as u64
}

/// Locks unused tables to the channels of an 85F, in a netlist as yosys writes it.
///
/// # Errors
/// [`FpgaError::BadOutput`] when this is no netlist of a board.
pub fn leave_channels(netlist: &mut Value) -> Result<(), FpgaError> {
    let top = top_cells(netlist)?;
    for row in channels() {
        for column in COLUMNS {
            for site in SITES {
                let cell = json!({
                    "type": "LUT4",
                    "parameters": { "INIT": "0".repeat(16) },
                    "attributes": { "BEL": format!("X{column}/Y{row}/{site}") },
                    "port_directions": {
                        "A": "input", "B": "input", "C": "input", "D": "input", "Z": "output"
                    },
                    "connections": {},
                });
                top.insert(format!("{CHANNEL}{column}_{row}_{site}"), cell);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boards::TOP;

    #[test]
    fn every_fourth_row_of_tables_stays_free() {
        // An 85F has 10,455 tiles of 8 tables.
        assert_eq!(logic_rows().count() * COLUMNS.count(), 10_455);
        assert!(logic_rows().all(|row| ![10, 22, 34, 46, 58, 70, 82, 94].contains(&row)));
        assert_eq!(channels().take(4).collect::<Vec<_>>(), [4, 8, 13, 17]);
        let mut netlist = json!({ "modules": { TOP: { "cells": { "a": { "type": "LUT4" } } } } });
        leave_channels(&mut netlist).unwrap();
        let cells = netlist["modules"][TOP]["cells"].as_object().unwrap();
        assert_eq!(cells.len() as u64, 1 + tables_taken());
        let site = &cells["channel_2_4_SLICED.K1"]["attributes"]["BEL"];
        assert_eq!(site, "X2/Y4/SLICED.K1");
        let error = leave_channels(&mut json!({ "modules": {} })).unwrap_err().to_string();
        assert!(error.contains("no rmt_board"), "{error}");
    }
}
