//! What a design needs and a part has.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Cells of a part or a design, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Look-up tables: of 4 inputs on the ECP5, of 6 on the 7-series. Carry chains and distributed
    /// memory stand in them too.
    pub luts: u64,
    /// Flip-flops.
    pub flip_flops: u64,
    /// Multiplier blocks: MULT18X18D, DSP48E1.
    pub multipliers: u64,
    /// Memory blocks: DP16KD of 18 kbit, RAMB36 of 36 kbit.
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

    /// Of cells of the ECP5 as yosys names them.
    pub fn of_ecp5_cells(cells: &BTreeMap<String, u64>) -> Self {
        let count = |name: &str| cells.get(name).copied().unwrap_or(0);
        Self {
            // A carry cell takes two tables; distributed memory of 16 x 4 bits takes two slices of two.
            luts: count("LUT4") + 2 * count("CCU2C") + 4 * count("TRELLIS_DPR16X4"),
            flip_flops: count("TRELLIS_FF"),
            multipliers: count("MULT18X18D"),
            block_rams: count("DP16KD") + count("PDPW16KD"),
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
