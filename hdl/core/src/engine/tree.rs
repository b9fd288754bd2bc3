//! The tree engine: walks reloadable decision trees, one level a cycle.

use super::lanes::{field, in_order, lane_of_number, split};
use super::memory::HostMemory;
use super::operation::{Operation, lane_bits, word_bits};
use super::ports::{HostRequest, thread_bits};
use rmt_isa::Status;
use rmt_isa::card::engine::{
    EngineRegion, EngineShape, NODE_CHILDREN, NODE_FEATURE, NODE_LEAF, NODE_VALUE,
};
use rmt_isa::limits::MAX_TREE_DEPTH;
use rtl_builder::prelude::*;

use crate::bits::only_if;

/// Evaluates a forest: tree after tree, their leaves summed or counted as votes.
///
/// Siblings stand in one word, so that a read brings both possible next nodes, and the features of both are looked up; the
/// comparison of the level before chooses between them, and the chosen node's own children are read. A tree of depth d takes
/// d + 1 cycles; a vote of several trees two more. A walk that finds no leaf after 32 comparisons (only possible with
/// unverified nodes) ends with status out-of-range.
#[derive(Clone, Debug)]
pub struct TreeEngine {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`TreeEngine`].
#[derive(Clone, Ports)]
pub struct TreeEngineIo {
    /// Writes of the host
    pub host: Input<HostRequest>,
    /// An operation is issued; only when the result of the one before has been taken
    pub issue: Input<Bool>,
    /// The operation
    pub operation: Input<Operation>,
    /// Its thread
    pub thread: Input<UInt>,
    /// A word of features; the walk begins with the last one
    pub word_valid: Input<Bool>,
    /// Number of the word
    pub word_index: Input<UInt>,
    /// N features of 32 bits
    pub word: Input<UInt>,
    /// The last word
    pub word_last: Input<Bool>,
    /// The result is there, until it is taken
    pub done: Output<Bool>,
    /// Takes the result
    pub take: Input<Bool>,
    /// Thread of the result
    pub done_thread: Output<UInt>,
    /// With `take`: the result, 64 bits signed; else 0
    pub value: Output<SInt>,
    /// 0, or the status of a walk that found no leaf
    pub status: Output<UInt>,
}

/// What the engine does.
#[derive(Clone, Copy, Debug, State)]
enum Phase {
    /// It takes an operation.
    Idle,
    /// It takes the features.
    Load,
    /// It looks at a node.
    Walk,
    /// The vote of the last leaf is being counted.
    Count,
    /// It is compared with the most votes so far.
    Rank,
    /// The result is there.
    Done,
}

/// What became of the leaves so far.
struct Leaves {
    /// Sum of all leaves, with the newest one.
    sum: SInt,
    /// Class with most votes, two cycles after the newest leaf.
    winner: UInt,
}

impl TreeEngine {
    /// Adds up or counts the leaf that was found one cycle before.
    fn leaves(&self, begin: Bool, found: Bool, leaf: SInt) -> Leaves {
        let sum = reg_uninit("sum", sint(64));
        let total = sum.wrapping_add(leaf);
        when(begin, || sum.next(0)).elsewhen(found, || sum.next(total));

        let class = leaf.trunc(8).as_uint();
        let seen = classes_seen(begin, found, class);
        // What is read in this cycle is counted in the next one, when a vote for the same class may be read: that
        // one begins with the count before it.
        let counts = SyncMem::new("votes", uint(16), 256).collisions_unused();
        let stored = counts.read(found, class);
        let counted = reg("counted", boolean(), false);
        counted.next(found);
        let counted = counted.value();
        let counted_class = delayed("counted_class", class);
        let repeated = delayed("repeated", counted & class.eq(counted_class));
        let last_votes = reg_uninit("last_votes", uint(16));
        let before = mux(repeated, last_votes.value(), only_if(delayed("was_seen", seen), stored));
        let votes = before.wrapping_add(1);
        counts.write(counted, counted_class, votes);
        last_votes.next(votes);

        // Whether it has most votes is seen one cycle after they have been counted.
        let ranked = reg("ranked", boolean(), false);
        ranked.next(counted);
        let class = delayed("ranked_class", counted_class);
        let votes = last_votes.value();
        let best_class = reg_uninit("best_class", uint(8));
        let best_votes = reg_uninit("best_votes", uint(16));
        // Most votes, and of as many the lowest class: one comparison.
        let rank = |votes: UInt, class: UInt| votes.concat(!class);
        let wins = rank(votes, class).gt(rank(best_votes.value(), best_class.value()));
        let wins = (ranked & wins).named("wins");
        let winner = mux(wins, class, best_class);
        best_class.next(winner);
        when(wins, || best_votes.next(votes));
        when(begin, || {
            best_votes.next(0);
            best_class.next(0);
        });
        Leaves { sum: total, winner }
    }
}

/// Whether the class had a vote before this one, since the evaluation's `begin`: a bit for each of 256 classes, in words of 16.
/// Each word counts from zero in each evaluation; only which words have been written stands in flip-flops.
fn classes_seen(begin: Bool, found: Bool, class: UInt) -> Bool {
    let words = AsyncMem::new("seen", uint(16), 16);
    let written = reg("seen_words", uint(16), 0).doc("Words that have a class with a vote");
    let (word, bit) = (class.bits(4..8), class.bits(0..4));
    let seen = only_if(written.bit_at(word), words.read(word));
    let one = |number: UInt| UInt::lit(1, 16).shift_left(number);
    words.write(found, word, seen | one(bit));
    when(begin, || written.next(0)).elsewhen(found, || written.next(written | one(word)));
    seen.bit_at(bit)
}

impl Component for TreeEngine {
    type Io = TreeEngineIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("tree_engine_n{}_l{}_p{}", s.array, s.vector_lanes, s.tree_pairs)
    }

    fn doc(&self) -> String {
        "Decision trees and forests, one level a cycle.".into()
    }

    fn io(&self) -> TreeEngineIo {
        let shape = &self.shape;
        TreeEngineIo {
            host: input(HostRequest::shape(shape)),
            issue: input(boolean()),
            operation: input(Operation::shape(shape)),
            thread: input(uint(thread_bits(shape))),
            word_valid: input(boolean()),
            word_index: input(uint(word_bits(shape))),
            word: input(uint(shape.array * 32)),
            word_last: input(boolean()),
            done: output(boolean()),
            take: input(boolean()),
            done_thread: output(uint(thread_bits(shape))),
            value: output(sint(64)),
            status: output(uint(8)),
        }
    }

    fn build(&self, io: TreeEngineIo) {
        let shape = &self.shape;
        let phase = fsm("phase", Phase::Idle);
        let pairs =
            HostMemory::new("tree_pairs", EngineRegion::TreePairs, 64, shape, io.host.value());
        // One memory for each node of a pair: of one with two reads synthesis would share these, behind `high`.
        let features = ["low_features", "high_features"].map(|name| {
            let words = shape.words_per_register().into();
            let memory = AsyncMem::new(name, uint(shape.array * 32), words);
            memory.write(io.word_valid, io.word_index.resize(memory.address_width()), io.word);
            memory
        });

        let held_thread = reg_uninit("held_thread", uint(thread_bits(shape)));
        let next_root =
            reg_uninit("next_root", uint(16)).doc("Pair with the root of the next tree");
        let last_tree = reg_uninit("last_tree", uint(16));
        let vote = reg_uninit("vote", boolean());
        let tree = reg_uninit("tree", uint(16)).doc("Tree that is walked");
        let depth = reg_uninit("depth", uint(bits_for(MAX_TREE_DEPTH as u64 + 1)));
        let high_root = reg_uninit("high_root", boolean())
            .doc("The node is a root, and the one behind in its pair");
        let lost = reg_uninit("lost", boolean()).doc("A walk found no leaf");

        // The pair that is read now is looked at in the next cycle. Its data come late, and which of its nodes it is (`high`)
        // only when the comparison of the node before ends: all that follows from either node is there by then.
        let next_pair = wire("next_pair", uint(16));
        let pair = pairs.read(Bool::lit(true), next_pair.value());
        let nodes = [pair.bits(0..64), pair.bits(64..128)];
        let went_high = wire("went_high", boolean());
        // Roots stand in pairs as well.
        let high = (high_root | went_high.value()).named("high");
        let node = mux(high, nodes[1], nodes[0]).named("node");
        let leaf_of = |node: UInt| field(node, NODE_LEAF).as_bool();
        let is_leaf = leaf_of(node);
        let walks = phase.is(Phase::Walk);
        let pair_after = nodes
            .map(|node| mux(walks & !leaf_of(node), field(node, NODE_CHILDREN), next_root.value()));
        next_pair.set(mux(high, pair_after[1], pair_after[0]));

        let lane_bits = lane_bits(shape);
        let feature_of = [0, 1].map(|side| {
            let (index, features) = (field(nodes[side], NODE_FEATURE), &features[side]);
            let word = match shape.words_per_register() {
                1 => UInt::lit(0, features.address_width()),
                _ => (index >> lane_bits).resize(features.address_width()),
            };
            lane_of_number(&split(features.read(word), 32), index.trunc(lane_bits))
        });
        let feature = delayed("feature", mux(high, feature_of[1], feature_of[0]));
        // The value of a node: of a branch what its feature is compared with, of a leaf what it adds or votes for.
        let leaf = delayed("leaf", field(node, NODE_VALUE).as_sint());
        // Compared in halves, side by side. A root is found without a comparison: none is left then.
        let descended = reg("descended", boolean(), false).doc("A node was compared");
        descended.next(walks & !is_leaf);
        let (feature, value) = (in_order(feature), in_order(leaf));
        let upper = |number: UInt| number.bits(16..32);
        let lower = |number: UInt| number.bits(0..16);
        let upper_is_higher = upper(feature).gt(upper(value));
        let upper_is_as_high = upper(feature).ge(upper(value));
        let lower_is_higher = lower(feature).gt(lower(value));
        went_high.set(descended & (upper_is_higher | (upper_is_as_high & lower_is_higher)));

        let found = reg("found", boolean(), false).doc("A leaf was found in the last cycle");
        let leaves = self.leaves(io.issue.value(), found.value(), leaf);
        // Which class has most votes takes two cycles of its own; the class of a single vote and a sum are there at once,
        // and wait in `Done`.
        // A cycle after both are known, while the features are loaded.
        let counts = delayed("counts", vote & !last_tree.is_zero());
        // A stage waits for the answer: that there is one is seen from one bit.
        let done = reg("answers", boolean(), false);
        let waits = done & !io.take;
        let result = reg_uninit("result", sint(64));
        found.next(false);
        phase
            .switch()
            .on(Phase::Idle, || {
                when(io.issue, || {
                    held_thread.next(io.thread);
                    next_root.next(io.operation.base);
                    last_tree.next(io.operation.last_item);
                    vote.next(io.operation.option);
                    tree.next(0);
                    depth.next(0);
                    high_root.next(false);
                    lost.next(false);
                    phase.go(Phase::Load);
                });
            })
            .on(Phase::Load, || {
                when(io.word_valid & io.word_last, || phase.go(Phase::Walk));
            })
            .on(Phase::Walk, || {
                when(is_leaf, || {
                    found.next(true);
                    tree.next(tree.wrapping_add(1));
                    // Two roots stand in each pair.
                    when(!tree.bit(0), || next_root.next(next_root.wrapping_add(1)));
                    depth.next(0);
                    high_root.next(!tree.bit(0));
                    when(tree.eq(last_tree), || {
                        phase.go(Phase::Done);
                        done.next(true);
                        when(counts, || {
                            phase.go(Phase::Count);
                            done.next(false);
                        });
                    });
                })
                .otherwise(|| {
                    depth.next(depth.wrapping_add(1));
                    high_root.next(false);
                    when(depth.eq(MAX_TREE_DEPTH as u64), || {
                        lost.next(true);
                        phase.go(Phase::Done);
                        done.next(true);
                    });
                });
            })
            .on(Phase::Count, || phase.go(Phase::Rank))
            .on(Phase::Rank, || {
                phase.go(Phase::Done);
                done.next(true);
            })
            .on(Phase::Done, || {
                when(io.take, || {
                    phase.go(Phase::Idle);
                    done.next(false);
                });
            });

        let class = leaf.trunc(8).as_uint().zext(64);
        // The sum comes late, and so does the class with most votes: all that chooses among them is known before.
        let sum_counts = found & !vote;
        let others = mux(found, only_if(vote.value(), class), result.as_uint());
        let value = only_if(sum_counts, leaves.sum.as_uint()) | others;
        when(waits, || result.next(value.as_sint()));
        io.done.set(done);
        io.done_thread.set(held_thread);
        let takes = io.take & !lost;
        let value = only_if(takes & !counts & sum_counts, leaves.sum.as_uint())
            | only_if(takes & counts, leaves.winner.zext(64))
            | only_if(takes & !counts, others);
        io.value.set(value.as_sint());
        io.status.set(mux(lost, Status::OutOfRange as u64, UInt::lit(0, 8)));
    }
}
