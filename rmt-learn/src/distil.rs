//! Distillation: a tree that decides as a network does, in a fraction of the cycles.
//!
//! The tree learns the teacher's decisions, not the labels (Frosst and Hinton, "Distilling a Neural
//! Network Into a Soft Decision Tree", 2017; Bastani et al., "Interpretability via Model
//! Extraction", 2017). Recorded rows alone leave holes between them, so for each row a second one
//! is made that takes some features from another row, and the teacher is asked for it too.

use rmt_isa::arithmetic::split_mix_64;

use crate::error::{LearnError, Result};
use crate::tree::{Dataset, DecisionTree, GrowConfig, grow};

/// Learns a tree from a teacher's decisions on `rows` and on mixtures of them.
///
/// # Errors
/// [`LearnError::Data`] if there are no rows or they are ragged, else as [`grow`].
pub fn distil(
    teacher: impl Fn(&[i32]) -> usize,
    rows: &[Vec<i32>],
    classes: usize,
    config: &GrowConfig,
) -> Result<DecisionTree> {
    let Some(first) = rows.first() else {
        return Err(LearnError::Data("there is no row to ask the teacher about".into()));
    };
    let mut data = Dataset::new(first.len(), classes)?;
    for (index, row) in rows.iter().enumerate() {
        data.push_label(row, teacher(row))?;
        let draw = split_mix_64(index as u64);
        let other = &rows[(draw % rows.len() as u64) as usize];
        if other.len() != row.len() {
            return Err(LearnError::Data(format!("row {index} has another length than others")));
        }
        // A quarter of the features come from the other row.
        let mixed: Vec<i32> = row
            .iter()
            .zip(other)
            .enumerate()
            .map(
                |(feature, (own, foreign))| {
                    if split_mix_64(draw + feature as u64) & 3 == 0 { *foreign } else { *own }
                },
            )
            .collect();
        data.push_label(&mixed, teacher(&mixed))?;
    }
    grow(&data, config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_follows_its_teacher_between_the_rows_too() {
        let teacher = |row: &[i32]| usize::from(row[0] > 10 && row[1] < 5);
        // Recorded rows only show the two features moving together.
        let rows: Vec<Vec<i32>> =
            (0..400).map(|i| vec![i % 20, i % 20, split_mix_64(i as u64) as i32]).collect();
        let config = GrowConfig { min_leaf_rows: 1, ..GrowConfig::default() };
        let tree = distil(teacher, &rows, 2, &config).unwrap();
        let grid = (0..20).flat_map(|a| (0..20).map(move |b| vec![a, b, 0]));
        let right = grid.filter(|row| tree.evaluate(row) as usize == teacher(row)).count();
        assert!(right >= 390, "{right} of 400");
        assert!(distil(teacher, &[], 2, &config).is_err());
        assert!(distil(teacher, &[vec![1, 2], vec![1]], 2, &config).is_err());
    }
}
