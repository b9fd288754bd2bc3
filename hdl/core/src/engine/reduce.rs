//! Sum and largest lane of a vector, one word of lanes a cycle.

use super::lanes::{in_order, split};
use super::operation::{lane_bits, word_bits};
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Cycles from a word of lanes to the result that includes it.
pub const REDUCE_CYCLES: u32 = 2;

/// Reduces words of lanes in a tree of adders and one of comparators, with a register half way
/// and one behind.
#[derive(Clone, Debug)]
pub struct Reducer {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`Reducer`].
#[derive(Clone, Ports)]
pub struct ReducerIo {
    /// A word of lanes is there
    pub valid: Input<Bool>,
    /// N lanes of 32 bits
    pub lanes: Input<UInt>,
    /// Number of the word in its vector
    pub word: Input<UInt>,
    /// The last word: only lanes up to `last_lane` count
    pub last: Input<Bool>,
    /// Last lane in use of the last word
    pub last_lane: Input<UInt>,
    /// Two cycles after a word: the sum of the lanes so far, 64 bits signed
    pub sum: Output<SInt>,
    /// With `sum`: the smallest index of the largest lane so far
    pub largest: Output<UInt>,
}

/// A candidate for the largest lane.
#[derive(Clone, Copy, Bundle)]
struct Candidate {
    /// It counts, as all lanes before it do
    counts: Bool,
    /// [`in_order`]
    key: UInt,
    lane: UInt,
}

/// Joins neighbours until `count` are left.
fn fold<T: Clone>(mut items: Vec<T>, count: usize, join: impl Fn(&T, &T) -> T) -> Vec<T> {
    while items.len() > count {
        items = items.chunks(2).map(|pair| join(&pair[0], &pair[1])).collect();
    }
    items
}

impl Component for Reducer {
    type Io = ReducerIo;

    fn name(&self) -> String {
        format!("reducer_n{}_l{}", self.shape.array, self.shape.vector_lanes)
    }

    fn doc(&self) -> String {
        "Sum and index of the largest lane of a vector.".into()
    }

    fn io(&self) -> ReducerIo {
        ReducerIo {
            valid: input(boolean()),
            lanes: input(uint(self.shape.array * 32)),
            word: input(uint(word_bits(&self.shape))),
            last: input(boolean()),
            last_lane: input(uint(lane_bits(&self.shape))),
            sum: output(sint(64)),
            largest: output(uint(8)),
        }
    }

    fn build(&self, io: ReducerIo) {
        let lane_bits = lane_bits(&self.shape);
        let lanes = split(io.lanes.value(), 32);
        let counts: Vec<Bool> =
            (0..lanes.len()).map(|lane| !io.last | io.last_lane.ge(lane as u64)).collect();
        // A register after half of the levels, so that 32 lanes keep up with 4.
        let half = 1 << (lane_bits / 2);

        let add = |a: &SInt, b: &SInt| *a + *b;
        let terms =
            lanes.iter().zip(&counts).map(|(lane, counts)| mux(*counts, *lane, SInt::lit(0, 32)));
        let partial: Vec<SInt> = fold(terms.collect(), half, add)
            .into_iter()
            .enumerate()
            .map(|(i, sum)| delayed(format!("partial_sum{i}"), sum))
            .collect();
        let word_sum = delayed("word_sum", fold(partial, 1, add)[0]);

        // If the later one counts, so does the earlier one.
        let larger = |a: &Candidate, b: &Candidate| Candidate {
            counts: a.counts,
            ..mux(!b.counts | a.key.ge(b.key), *a, *b)
        };
        let candidates = lanes.iter().zip(&counts).enumerate().map(|(lane, (value, counts))| {
            let key = in_order(*value);
            Candidate { counts: *counts, key, lane: UInt::lit(lane as u64, lane_bits) }
        });
        let partial: Vec<Candidate> = fold(candidates.collect(), half, larger)
            .into_iter()
            .enumerate()
            .map(|(i, candidate)| delayed(format!("candidate{i}"), candidate))
            .collect();
        let word_largest = delayed("word_largest", fold(partial, 1, larger)[0]);

        let valid = delayed_valid(io.valid.value());
        let word = delayed("word_number_q", delayed("word_number", io.word.value()));
        let first = word.is_zero();
        let sum = reg_uninit("sum_so_far", sint(64));
        let largest = reg_uninit(
            "largest_so_far",
            Candidate { counts: boolean(), key: uint(32), lane: uint(8) },
        );
        let total = mux(first, word_sum.sext(64), sum.wrapping_add(word_sum));
        let index = match self.shape.words_per_register() {
            1 => word_largest.lane.zext(8),
            _ => word.concat(word_largest.lane).zext(8),
        };
        // The first lane of a word always counts.
        let candidate = Candidate { counts: Bool::lit(true), key: word_largest.key, lane: index };
        let best = mux(first | candidate.key.gt(largest.key), candidate, largest.value());
        when(valid, || {
            sum.next(total);
            largest.next(best);
        });
        io.sum.set(total);
        io.largest.set(best.lane);
    }
}

/// `valid` two cycles later.
fn delayed_valid(valid: Bool) -> Bool {
    let stages = ["counts", "counts_q"].map(|name| reg(name, boolean(), false));
    stages[0].next(valid);
    stages[1].next(stages[0]);
    stages[1].value()
}
