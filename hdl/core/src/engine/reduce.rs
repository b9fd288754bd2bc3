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

impl Candidate {
    /// The later one is larger. If it counts, so does the earlier one.
    fn is_behind(&self, later: &Self) -> Bool {
        later.counts & !self.key.ge(later.key)
    }

    fn or(&self, later: &Self, is_later: Bool) -> Self {
        Self { counts: self.counts, ..mux(is_later, *later, *self) }
    }

    /// The larger one of two, the earlier one of equals.
    fn larger(&self, later: &Self) -> Self {
        self.or(later, self.is_behind(later))
    }

    /// The largest one of four: the winners of both halves are compared before it is known who they are.
    fn largest(four: &[Self]) -> Self {
        let [a, b, c, d] = four else { unreachable!("candidates come in fours") };
        let (b_leads, d_leads) = (a.is_behind(b), c.is_behind(d));
        let of_c = mux(b_leads, b.is_behind(c), a.is_behind(c));
        let of_d = mux(b_leads, b.is_behind(d), a.is_behind(d));
        a.or(b, b_leads).or(&c.or(d, d_leads), mux(d_leads, of_d, of_c))
    }

    /// Joins neighbours until `count` are left.
    fn fold_to(items: Vec<Self>, count: usize) -> Vec<Self> {
        match items.len() / count {
            0 | 1 => items,
            2 => fold(items, count, Self::larger),
            _ => Self::fold_to(items.chunks(4).map(Self::largest).collect(), count),
        }
    }
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

        let candidates = lanes.iter().zip(&counts).enumerate().map(|(lane, (value, counts))| {
            let key = in_order(*value);
            Candidate { counts: *counts, key, lane: UInt::lit(lane as u64, lane_bits) }
        });
        let partial: Vec<Candidate> = Candidate::fold_to(candidates.collect(), half)
            .into_iter()
            .enumerate()
            .map(|(i, candidate)| delayed(format!("candidate{i}"), candidate))
            .collect();
        let word_largest = delayed("word_largest", Candidate::fold_to(partial, 1)[0]);

        let valid = delayed_valid(io.valid.value());
        let word = delayed("word_number_q", delayed("word_number", io.word.value()));
        let first = word.is_zero();
        let sum = reg_uninit("sum_so_far", sint(64));
        let largest = reg_uninit(
            "largest_so_far",
            Candidate { counts: boolean(), key: uint(32), lane: uint(8) },
        );
        // The first word adds to nothing: chosen before the sum, whose carries come late.
        let so_far = mux(first, SInt::lit(0, 64), sum.value());
        let total = so_far.wrapping_add(word_sum);
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
