//! What a design needs and a part has.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Cells of a part or a design, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Look-up tables: of 4 inputs on the ECP5, of 6 on the 7-series, where two small ones may share
    /// one. Distributed memory, shift registers and the carry chains of the ECP5 stand in them too.
    pub luts: u64,
    /// Flip-flops.
    pub flip_flops: u64,
    /// Multiplier blocks: MULT18X18D, DSP48E1.
    pub multipliers: u64,
    /// Memory blocks of 18 kbit: DP16KD, RAMB18; a RAMB36 is two.
    pub block_rams: u64,
}

impl Resources {
    /// Names and values, in the order of tables.
    pub fn rows(&self) -> [(&'static str, u64); 4] {
        [
            ("look-up tables", self.luts),
            ("flip-flops", self.flip_flops),
            ("multipliers", self.multipliers),
            ("block RAMs", self.block_rams),
        ]
    }

    /// The sum, each `count` times.
    pub fn add(&mut self, other: &Self, count: u64) {
        self.luts += other.luts * count;
        self.flip_flops += other.flip_flops * count;
        self.multipliers += other.multipliers * count;
        self.block_rams += other.block_rams * count;
    }

    /// What this design needs beyond what a part has.
    ///
    /// # Errors
    /// [`Shortage`] with all that is short.
    pub fn fits(&self, part: &Self) -> Result<(), Shortage> {
        let short: Vec<_> = (self.rows().into_iter().zip(part.rows()))
            .filter(|((_, needed), (_, has))| needed > has)
            .map(|((name, needed), (_, has))| (name, needed, has))
            .collect();
        if short.is_empty() { Ok(()) } else { Err(Shortage(short)) }
    }

    /// Of cells as yosys names them, for the ECP5 and the 7-series.
    pub fn of_cells(cells: &BTreeMap<String, u64>) -> Self {
        let mut sum = Self::default();
        for (name, count) in cells {
            sum.add(&Self::of_cell(name), *count);
        }
        sum
    }

    /// The same of one cell.
    pub(crate) fn of_cell(name: &str) -> Self {
        let luts = |luts| Self { luts, ..Self::default() };
        let block_rams = |block_rams| Self { block_rams, ..Self::default() };
        match name {
            "INV" | "LUT1" | "LUT2" | "LUT3" | "LUT4" | "LUT5" | "LUT6" => luts(1),
            // ECP5: a carry cell takes two tables; distributed memory of 16 x 4 bits takes two slices of two.
            "CCU2C" => luts(2),
            "TRELLIS_DPR16X4" => luts(4),
            // 7-series: shift registers and distributed memory stand in tables, CARRY4 and MUXF7 beside them.
            "SRL16E" | "SRLC16E" | "SRLC32E" | "RAM32X1S" | "RAM64X1S" => luts(1),
            "RAM32X1D" | "RAM64X1D" | "RAM128X1S" => luts(2),
            "RAM32M" | "RAM64M" | "RAM128X1D" | "RAM256X1S" => luts(4),
            "TRELLIS_FF" | "FDRE" | "FDSE" | "FDCE" | "FDPE" | "FDRE_1" | "FDSE_1" | "FDCE_1"
            | "FDPE_1" => Self { flip_flops: 1, ..Self::default() },
            "MULT18X18D" | "DSP48E1" => Self { multipliers: 1, ..Self::default() },
            "DP16KD" | "PDPW16KD" | "RAMB18E1" => block_rams(1),
            "RAMB36E1" => block_rams(2),
            _ => Self::default(),
        }
    }
}

/// Resources that a part lacks: name, needed, there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage(pub Vec<(&'static str, u64, u64)>);

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, needed, has)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}it needs {needed} {name} of {has}")?;
        }
        write!(
            f,
            "; make what costs them smaller (docs/reference/card.md says which parameter costs what)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_both_families_are_counted() {
        let cells = |list: &[(&str, u64)]| {
            let cells = list.iter().map(|(name, count)| ((*name).to_owned(), *count));
            Resources::of_cells(&cells.collect())
        };
        let ecp5 = cells(&[("LUT4", 3), ("CCU2C", 2), ("TRELLIS_FF", 5), ("DP16KD", 1)]);
        assert_eq!(ecp5, Resources { luts: 7, flip_flops: 5, multipliers: 0, block_rams: 1 });
        let xc7 = cells(&[
            ("LUT2", 3),
            ("LUT6", 1),
            ("CARRY4", 9),
            ("RAM32M", 2),
            ("FDRE", 4),
            ("FDSE", 1),
            ("DSP48E1", 2),
            ("RAMB18E1", 1),
            ("RAMB36E1", 3),
            ("some_module", 7),
        ]);
        assert_eq!(xc7, Resources { luts: 12, flip_flops: 5, multipliers: 2, block_rams: 7 });
    }

    #[test]
    fn what_is_short_is_named_with_numbers() {
        let part = Resources { luts: 100, flip_flops: 100, multipliers: 4, block_rams: 4 };
        assert_eq!(part.fits(&part), Ok(()));
        let design = Resources { luts: 101, multipliers: 9, ..part };
        let shortage = design.fits(&part).unwrap_err().to_string();
        assert!(shortage.contains("101 look-up tables of 100"), "{shortage}");
        assert!(shortage.contains("9 multipliers of 4"), "{shortage}");
        assert!(!shortage.contains("flip-flops"), "{shortage}");
    }
}
