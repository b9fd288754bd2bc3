//! The 7-series: the assembler, from what nextpnr says of a design to the frames of its bitstream, the delays that nextpnr
//! does not know (`timing`), the slices that it should leave alone (`lone`), tables for
//! carries (`carries`), and registers of products (`products`).
//!
//! ```text
//!  features (FASM) ─► tile, feature, bits ─► bits of frames ─► frames, as text for xc7frames2bit
//!      [fasm]              [database]            [frames]
//! ```
//!
//! nextpnr writes one feature a line (FASM): `TILE.FEATURE`, or a vector of them with its value. Project X-Ray's
//! database says where a tile stands among the frames, and which bits of it a feature sets or clears. Frames are
//! rows of 101 words of 32 bits, which xc7frames2bit completes, and wraps into the packets that the FPGA reads.

use std::collections::BTreeSet;

use crate::error::FpgaError;

mod carries;
mod database;
mod fasm;
mod frames;
pub(crate) mod lone;
mod products;
mod sdf;
#[cfg(test)]
pub(crate) mod tests;
mod timing;

pub use carries::own_tables;
pub use database::Database;
pub use frames::Frames;
pub use lone::{binding, keep_free};
pub use products::registers_at_outputs;
pub use timing::{Library, multiplier_paths};

/// How many unknown features an error names.
const NAMED: usize = 5;

/// Bits of a design, from its features.
///
/// # Errors
/// [`FpgaError::BadOutput`] when a line is no feature, a feature is unknown, or two want different values of a bit;
/// an error of the database's files.
pub fn assemble(text: &str, database: &mut Database) -> Result<Frames, FpgaError> {
    let mut frames = Frames::default();
    let mut unknown = Vec::new();
    let mut banks = Stepdown::default();
    for (number, line) in text.lines().enumerate() {
        let Some(set) = fasm::line(line).map_err(|problem| bad(number, &problem))? else {
            continue;
        };
        banks.see(set.tile, set.feature);
        for index in set.indices() {
            match database.set(set.tile, set.feature, index, &mut frames)? {
                Ok(()) => {}
                Err(database::Refusal::Unknown) => unknown.push(line.trim().to_owned()),
                Err(database::Refusal::Conflict) => {
                    let problem =
                        format!("`{line}` wants another value of a bit than a line above");
                    return Err(bad(number, &problem));
                }
            }
        }
    }
    banks.complete(database, &mut frames)?;
    if unknown.is_empty() {
        return Ok(frames);
    }
    let count = unknown.len();
    unknown.truncate(NAMED);
    Err(FpgaError::BadOutput {
        what: "the list of features",
        problem: format!(
            "the database does not know {count} of them, the first are: {}",
            unknown.join(", ")
        ),
    })
}

fn bad(number: usize, problem: &str) -> FpgaError {
    FpgaError::BadOutput {
        what: "the list of features",
        problem: format!("line {}: {problem}", number + 1),
    }
}

/// Pins at 1.5 V and below: where a bank has one, its unused pins say so too, which nextpnr leaves to us.
#[derive(Default)]
struct Stepdown {
    used: BTreeSet<(String, String)>,
    tiles: BTreeSet<String>,
    features: BTreeSet<String>,
}

impl Stepdown {
    fn see(&mut self, tile: &str, feature: &str) {
        if !tile.contains("IOB33") {
            return;
        }
        let Some((site, setting)) = feature.split_once('.') else { return };
        self.used.insert((tile.to_owned(), site.to_owned()));
        if setting.ends_with("STEPDOWN") {
            self.tiles.insert(tile.to_owned());
            self.features.insert(setting.to_owned());
        }
    }

    fn complete(&self, database: &mut Database, frames: &mut Frames) -> Result<(), FpgaError> {
        if self.tiles.is_empty() {
            return Ok(());
        }
        for (tile, site) in database.pins_of_banks(&self.tiles)? {
            if self.used.contains(&(tile.clone(), site.clone())) {
                continue;
            }
            for setting in &self.features {
                let feature = format!("{site}.{setting}");
                database.set(&tile, &feature, 0, frames)?.map_err(|_| FpgaError::BadOutput {
                    what: "the database of Project X-Ray",
                    problem: format!("it does not have {tile}.{feature}"),
                })?;
            }
        }
        Ok(())
    }
}
