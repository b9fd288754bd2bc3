//! What the clock of the array alone reaches, by its size and part: measured, not estimated.

use serde::{Deserialize, Serialize};

use crate::error::FpgaError;
use crate::resources::Resources;

/// Measured by `cargo run -p rmt-fpga --example array`.
const ARRAYS: &str = include_str!("arrays.json");

/// An array that was placed and routed between registers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArrayPoint {
    /// The part, with its speed grade.
    pub part: String,
    /// Rows and columns.
    pub size: u32,
    /// Products of a multiplier at a time.
    pub products: u32,
    /// Cycles of its clock in one of the card's.
    pub clock_ratio: u32,
    /// Clock asked for, MHz.
    pub asked_mhz: f64,
    /// Seed of place and route.
    pub seed: u32,
    /// Clock that it reaches, MHz.
    pub mhz: f64,
    /// What it takes.
    pub used: Resources,
    /// Multipliers whose registers are the block's.
    pub packed_multipliers: u64,
    /// yosys and nextpnr, as they tell their versions.
    pub tools: Vec<String>,
}

impl ArrayPoint {
    /// Part and array in words; those with a multiplier for each cell go by their part alone.
    pub fn series(&self) -> String {
        match (self.products, self.clock_ratio) {
            (1, 1) => self.part.clone(),
            (1, ratio) => format!("{}, {ratio} columns take turns", self.part),
            (products, _) => format!("{}, {products} products in a multiplier", self.part),
        }
    }

    /// The points that are part of this crate, smaller arrays of a part first.
    ///
    /// # Errors
    /// When their file is none.
    pub fn known() -> Result<Vec<Self>, FpgaError> {
        serde_json::from_str(ARRAYS).map_err(FpgaError::json("the kept clocks of arrays"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_has_a_multiplier_for_each_cell_or_what_shares_one_and_all_have_their_registers() {
        let points = ArrayPoint::known().unwrap();
        assert!(!points.is_empty());
        for point in &points {
            let multipliers =
                u64::from(point.size * point.size / point.products / point.clock_ratio);
            assert_eq!(point.used.multipliers, multipliers, "{point:?}");
            assert_eq!(point.packed_multipliers, multipliers, "{point:?}");
            assert!(point.mhz > 0.0, "{point:?}");
        }
    }
}
