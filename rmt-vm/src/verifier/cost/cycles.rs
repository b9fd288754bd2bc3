//! The formula for the cycles of the card. It stands here alone, so that the hardware's
//! measurements are fitted in one place.
//!
//! It counts a lone thread: nothing overlaps with other events. Products stream through a
//! weight-stationary N × N array with double-buffered weights:
//!
//! ```text
//! tiles  = ⌈inputs / N⌉ · ⌈outputs / N⌉
//! cycles = N                                  the first weights
//!        + (tiles - 1) · max(N, vectors)      further weights load while vectors stream
//!        + vectors + 2N                       the last vectors, fill and drain
//! ```

use rmt_isa::Helper;
use rmt_isa::instruction::{Class, Instruction};

use super::card::Card;
use super::work::{Product, Work};

/// Cycles of one instruction of a lone thread; saturates.
pub(super) fn instruction_cycles(card: Card<'_>, instruction: Instruction, work: &Work) -> u64 {
    use Instruction as I;
    let timing = card.timing;
    let fixed = match instruction.info().class {
        Class::Control => match instruction {
            I::Jump { .. } => timing.branch,
            I::Call { helper: Helper::SquareRoot | Helper::Ratio, .. } => timing.divide,
            I::Call { .. } => timing.helper,
            // The look-up of the next table is counted with the table.
            _ => timing.scalar,
        },
        Class::Alu | Class::Event => timing.scalar,
        Class::Multiply => timing.multiply,
        Class::Divide => timing.divide,
        Class::Branch => timing.branch,
        Class::Context => match instruction {
            I::MatchContext { .. } | I::FindContext { .. } => timing.open,
            _ => timing.context,
        },
        Class::Map => timing.map,
        Class::Vector | Class::Model => timing.vector,
    };
    // Vector registers are read and written by words of N lanes.
    let engine = &card.shape.engine;
    let width = match instruction {
        I::Requantise { .. } => engine.requantise_lanes,
        _ => engine.array,
    };
    let lanes = u64::from(work.lanes.div_ceil(width.max(1)));
    let comparisons = work.cost.comparisons.saturating_mul(timing.comparison.into());
    let product = match work.product {
        Some(product) => array_cycles(engine.array, product),
        None => 0,
    };
    [lanes, comparisons, product].into_iter().fold(fixed.into(), u64::saturating_add)
}

/// Cycles of a product on an array of `edge` × `edge` multipliers.
fn array_cycles(edge: u32, product: Product) -> u64 {
    let Product { inputs, outputs, vectors } = product;
    // A shape that was not checked may say 0.
    let edge = u64::from(edge.max(1));
    let tiles = inputs.div_ceil(edge).saturating_mul(outputs.div_ceil(edge));
    let streams = tiles.saturating_sub(1).saturating_mul(edge.max(vectors));
    edge.saturating_add(streams).saturating_add(vectors).saturating_add(2 * edge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycles(edge: u32, inputs: u64, outputs: u64, vectors: u64) -> u64 {
        array_cycles(edge, Product { inputs, outputs, vectors })
    }

    #[test]
    fn one_tile_is_weights_vector_fill_and_drain() {
        assert_eq!(cycles(16, 15, 10, 1), 16 + 1 + 32);
    }

    #[test]
    fn many_vectors_use_the_array_well() {
        // 256 × 256 × 256: 16 777 216 MACs at 256 a cycle are 65 536 cycles.
        let found = cycles(16, 256, 256, 256);
        assert_eq!(found, 16 + 255 * 256 + 256 + 32);
        assert!(65_536.0 / found as f64 > 0.95);
    }

    #[test]
    fn a_larger_array_is_never_slower_on_many_vectors() {
        let found = [4, 8, 16, 32].map(|edge| cycles(edge, 128, 128, 64));
        assert!(found.is_sorted_by(|a, b| a >= b), "{found:?}");
    }

    #[test]
    fn absurd_sizes_saturate() {
        assert_eq!(cycles(0, u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }
}
