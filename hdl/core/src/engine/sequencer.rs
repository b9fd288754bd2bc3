//! The sequencer: walks through the words of an operation's vector, and keeps the calendar of
//! the write port and of the answers.

use super::operation::{Books, Operation, lane_bits, word_bits};
use super::ports::thread_bits;
use super::product::ANNOUNCE_CYCLES;
use super::registers::word_of_lane;
use super::requantiser::REQUANTISE_CYCLES;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Cycles from the read of a word to the write of the vector unit's result, or to its chosen lane.
pub const VECTOR_CYCLES: u32 = 2;
/// Cycles from the read of the last word to the sum or the largest lane.
pub const REDUCE_ANSWER_CYCLES: u32 = VECTOR_CYCLES + super::reduce::REDUCE_CYCLES;

/// Steps through the words of operations, one step a cycle; the first one in the cycle of the issue,
/// the one after the choice.
///
/// A step of the requantiser takes `requantise_lanes` lanes, all others a word. A step
/// happens only if the write port is free in the cycle of its result.
#[derive(Clone, Debug)]
pub struct Sequencer {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// One step, as the units see it.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Step {
    /// There is a step
    pub valid: Bool,
    /// Thread of the operation
    pub thread: UInt,
    /// The operation
    pub operation: Operation,
    /// Word of the register
    pub word: UInt,
    /// Requantiser: group of lanes in the word
    pub group: UInt,
    /// Requantiser: word of the scale
    pub scale_word: UInt,
    /// Last step of the operation
    pub last: Bool,
}

/// Bits of the number of a group of lanes in a word, at least 1.
pub fn group_bits(shape: &EngineShape) -> u32 {
    bits_for(u64::from(shape.array / shape.requantise_lanes)).max(1)
}

impl Step {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            valid: boolean(),
            thread: uint(thread_bits(shape)),
            operation: Operation::shape(shape),
            word: uint(word_bits(shape)),
            group: uint(group_bits(shape)),
            scale_word: uint(16),
            last: boolean(),
        }
    }
}

/// Ports of [`Sequencer`].
#[derive(Clone, Ports)]
pub struct SequencerIo {
    /// An operation is issued, of a unit other than `Refuse`
    pub issue: Input<Bool>,
    /// Its thread
    pub thread: Input<UInt>,
    /// The operation
    pub operation: Input<Operation>,
    /// No operation shall begin: another user of the registers waits
    pub hold: Input<Bool>,
    /// The product unit writes in the sixth cycle from now
    pub announce: Input<Bool>,
    /// An operation may begin in the next cycle, if its unit is ready
    pub begins: Output<Bool>,
    /// The vector unit is ready for the next cycle
    pub vector_ready: Output<Bool>,
    /// The requantiser is ready for the next cycle
    pub requantise_ready: Output<Bool>,
    /// The step of this cycle
    pub step: Output<Step>,
    /// The write port is taken in the next cycle
    pub writes_next: Output<Bool>,
    /// The vector unit answers in this cycle
    pub answers_now: Output<Bool>,
    /// It answers in the next cycle
    pub answers_next: Output<Bool>,
}

/// A calendar: entry i is true if something is taken i cycles from now.
struct Calendar {
    entries: Vec<Reg<Bool>>,
}

impl Calendar {
    fn new(name: &str, cycles: u32) -> Self {
        let entries: Vec<_> =
            (0..=cycles).map(|i| reg(format!("{name}_in_{i}"), boolean(), false)).collect();
        for (i, entry) in entries.iter().enumerate() {
            match entries.get(i + 1) {
                Some(later) => entry.next(later),
                None => entry.next(false),
            }
        }
        Self { entries }
    }

    fn free(&self, cycles: u32) -> Bool {
        !self.entries[cycles as usize]
    }

    /// Enters what happens `cycles` from now, at least 1.
    fn enter(&self, condition: Bool, cycles: u32) {
        when(condition, || self.entries[cycles as usize - 1].next(true));
    }
}

impl Component for Sequencer {
    type Io = SequencerIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("sequencer_t{}_n{}_l{}_r{}", s.threads, s.array, s.vector_lanes, s.requantise_lanes)
    }

    fn doc(&self) -> String {
        "Steps through the words of operations and books the write port.".into()
    }

    fn io(&self) -> SequencerIo {
        let shape = &self.shape;
        SequencerIo {
            issue: input(boolean()),
            thread: input(uint(thread_bits(shape))),
            operation: input(Operation::shape(shape)),
            hold: input(boolean()),
            announce: input(boolean()),
            begins: output(boolean()),
            vector_ready: output(boolean()),
            requantise_ready: output(boolean()),
            step: output(Step::shape(shape)),
            writes_next: output(boolean()),
            answers_now: output(boolean()),
            answers_next: output(boolean()),
        }
    }

    fn build(&self, io: SequencerIo) {
        let shape = &self.shape;
        let running = reg("running", boolean(), false);
        let held = reg_uninit("held", Operation::shape(shape));
        let held_thread = reg_uninit("held_thread", uint(thread_bits(shape)));
        when(io.issue, || {
            held.next(io.operation);
            held_thread.next(io.thread);
        });
        let operation = mux(io.issue, io.operation.value(), held.value());
        let word = reg("word", uint(word_bits(shape)), 0);
        let group = reg("group", uint(group_bits(shape)), 0);
        let scale_word = reg("scale_word", uint(8), 0);

        let writes = Calendar::new("write", ANNOUNCE_CYCLES);
        let answers = Calendar::new("answer", REDUCE_ANSWER_CYCLES);
        let Books {
            word: vector_result,
            lanes: requantises,
            lane_answer: lane_result,
            sum_answer: reduces,
        } = operation.books;

        // Where the step stands in its vector.
        let groups = shape.array / shape.requantise_lanes;
        let last_group_of_vector = match groups {
            1 => UInt::lit(0, 1),
            _ => (operation.last_lane >> shape.requantise_lanes.trailing_zeros())
                .resize(group_bits(shape)),
        };
        let last_word = word.eq(operation.last_word);
        let word_done = !requantises | group.eq(u64::from(groups - 1));
        let last = last_word & (!requantises | group.eq(last_group_of_vector));

        let free = (!vector_result | writes.free(VECTOR_CYCLES))
            & (!requantises | writes.free(REQUANTISE_CYCLES))
            & (!(lane_result & last) | answers.free(VECTOR_CYCLES))
            & (!(reduces & last) | answers.free(REDUCE_ANSWER_CYCLES));
        // What was issued was ready: its first step is free.
        let steps = (io.issue | (running & free)).named("steps");
        when(steps, || {
            running.next(true);
            when(word_done, || {
                word.next(word.wrapping_add(1));
                group.next(0);
            })
            .otherwise(|| group.next(group.wrapping_add(1)));
            when(scale_word.eq(operation.last_item.trunc(8)), || scale_word.next(0))
                .otherwise(|| scale_word.next(scale_word.wrapping_add(1)));
            when(last, || {
                running.next(false);
                word.next(0);
                group.next(0);
                scale_word.next(0);
            });
        });

        writes.enter(steps & vector_result, VECTOR_CYCLES);
        writes.enter(steps & requantises, REQUANTISE_CYCLES);
        writes.enter(io.announce.value(), ANNOUNCE_CYCLES);
        answers.enter(steps & last & lane_result, VECTOR_CYCLES);
        answers.enter(steps & last & reduces, REDUCE_ANSWER_CYCLES);

        // What is chosen now takes its first step in the next cycle, when all entries stand one place earlier. The entry
        // of a sum's answer is free then: nothing is entered further ahead.
        io.begins.set(!io.hold & (!(running | io.issue) | (steps & last)));
        let next = |cycles: u32| cycles + 1;
        // The vector unit's entries are looked at a cycle before, and what is entered there just then.
        const { assert!(REDUCE_ANSWER_CYCLES == VECTOR_CYCLES + 2) };
        const { assert!(REQUANTISE_CYCLES > VECTOR_CYCLES + 2) };
        let vector_waits = reg("vector_waits", boolean(), false);
        vector_waits.next(!writes.free(next(next(VECTOR_CYCLES))) | (steps & last & reduces));
        io.vector_ready.set(!vector_waits);
        const { assert!(REQUANTISE_CYCLES + 1 == ANNOUNCE_CYCLES) };
        io.requantise_ready.set(!io.announce);
        io.writes_next.set(!writes.free(1));
        io.answers_now.set(!answers.free(0));
        io.answers_next.set(!answers.free(1));

        debug_assert_eq!(lane_bits(shape), shape.array.trailing_zeros());
        let one_lane_word = word_of_lane(shape, operation.lane);
        io.step.set(Step {
            valid: steps,
            thread: mux(io.issue, io.thread, held_thread),
            operation,
            word: mux(operation.one_lane, one_lane_word, word),
            group: group.value(),
            scale_word: operation.base.wrapping_add(scale_word),
            last,
        });
    }
}
