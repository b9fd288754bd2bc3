//! Ranges of vectors: loads and lane-wise instructions.

use rmt_isa::operand::{Element, FieldRef, IntType, TensorId};
use rmt_isa::program::{Program, Tensor};

use super::interval::Interval;
use super::lanes::{Effort, LaneRanges};

/// Values of a history ring, saturated to the lanes' type. A ring that holds fewer values
/// reads as 0, which lies in every type.
pub(super) fn load_context(program: &Program, field: FieldRef, element: Element) -> Interval {
    let context = program.contexts.get(field.context.index());
    let declared = context.and_then(|context| context.fields.get(usize::from(field.field)));
    let values = match declared.map(|field| field.kind) {
        // Large unsigned values saturate upwards.
        Some(IntType::U64) => Interval::new(0, i64::MAX),
        Some(kind) => Interval::of_type(kind),
        None => Interval::ALL,
    };
    values.clamp(Interval::of_element(element))
}

/// Ranges of the columns of all rows of each tensor, computed when first asked for.
#[derive(Debug, Default)]
pub(super) struct Columns {
    known: std::collections::HashMap<usize, LaneRanges>,
}

impl Columns {
    /// A row of the tensor, chosen by `row`: one of its rows, or zeros.
    pub(super) fn load_row(
        &mut self,
        program: &Program,
        tensor: TensorId,
        row: Interval,
    ) -> Option<LaneRanges> {
        let declared = program.tensors.get(tensor.index())?;
        let &[rows, columns] = declared.shape.as_slice() else { return None };
        if let Some(row) = row.single() {
            return Some(exact_row(declared, rows, columns as usize, row));
        }
        let all = self
            .known
            .entry(tensor.index())
            .or_insert_with(|| all_rows(declared, columns as usize));
        let inside = Interval::new(0, i64::from(rows) - 1).contains(row);
        if inside {
            return Some(all.clone());
        }
        // The effort for this is the length of one row, as for every load.
        let lanes = (0..columns as usize).map(|i| all.lane(i).join(Interval::constant(0)));
        Some(LaneRanges::each(lanes.collect()))
    }
}

fn exact_row(tensor: &Tensor, rows: u32, columns: usize, row: i64) -> LaneRanges {
    let inside = u64::try_from(row).ok().filter(|&row| row < rows.into());
    let values =
        inside.and_then(|row| tensor.values.chunks_exact(columns.max(1)).nth(row as usize));
    match values {
        Some(values) => {
            LaneRanges::each(values.iter().map(|&value| Interval::constant(value.into())).collect())
        }
        None => LaneRanges::All(Interval::constant(0)),
    }
}

fn all_rows(tensor: &Tensor, columns: usize) -> LaneRanges {
    let mut ranges: Vec<Option<Interval>> = vec![None; columns];
    for row in tensor.values.chunks_exact(columns.max(1)) {
        for (range, &value) in ranges.iter_mut().zip(row) {
            let value = Interval::constant(value.into());
            *range = Some(range.map_or(value, |range| range.join(value)));
        }
    }
    let element = Interval::of_element(tensor.element);
    LaneRanges::each(ranges.into_iter().map(|range| range.unwrap_or(element)).collect())
}

/// One lane is overwritten with a saturated value.
pub(super) fn set_lane(
    effort: &mut Effort,
    vector: &LaneRanges,
    lanes: usize,
    lane: usize,
    value: Interval,
) -> LaneRanges {
    if !effort.take(lanes as u64) {
        return LaneRanges::All(vector.hull().join(value));
    }
    let lanes = (0..lanes).map(|index| if index == lane { value } else { vector.lane(index) });
    LaneRanges::each(lanes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::testing::Fixture;

    #[test]
    fn rows_of_a_tensor_are_bounded_by_column() {
        let program = Fixture::new("exit decided").program;
        let emb = TensorId::new(2).unwrap();
        let lane = |row: Interval, index: usize| {
            let ranges = Columns::default().load_row(&program, emb, row).unwrap();
            let lane = ranges.lane(index);
            (lane.low, lane.high)
        };
        // `emb` holds 0, 100, 200 ... in rows of 8.
        assert_eq!(lane(Interval::constant(1), 2), (1000, 1000));
        assert_eq!(lane(Interval::constant(9), 2), (0, 0));
        assert_eq!(lane(Interval::constant(-1), 2), (0, 0));
        assert_eq!(lane(Interval::new(0, 2), 2), (200, 1800));
        assert_eq!(lane(Interval::ALL, 2), (0, 1800));
    }
}
