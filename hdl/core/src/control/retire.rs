//! Ends events: keeps what a decision needs, sends it, and watches how long events run.

use rmt_isa::event::decision_layout;
use rmt_isa::limits::MAX_OUTPUTS;
use rtl_builder::prelude::*;
use rtl_builder::stock::RoundRobinArbiter;
use rtl_builder::stock::stream::Stream;

use crate::bits::{any, as_word, kept, one_hot, only_if};
use crate::config::Widths;
use crate::signals::{End, ThreadPulse, kept_flag};
use crate::units::ThreadSplit;

/// The end of events. An event that ends by an instruction while no other end waits leaves
/// in the next cycle; others wait for their turn, round robin. One decision leaves in two cycles, or in each cycle if events come
/// as fast.
pub struct Retire {
    pub(crate) widths: Widths,
    /// Parts in which an event goes to its thread: so many cycles lie between two events.
    pub(crate) beats: u32,
}

/// Bits of a decision's cycles.
const CYCLE_BITS: u32 = 8 * decision_layout::CYCLES.bytes as u32;

/// A write of an output word.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct OutputWrite {
    /// It happens in this cycle
    pub valid: Bool,
    /// The thread
    pub thread: UInt,
    /// The word, 0 to 2
    pub index: UInt,
    /// The value
    pub value: UInt,
}

impl OutputWrite {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { valid: boolean(), thread: uint(widths.thread), index: uint(2), value: uint(64) }
    }

    /// The write a cycle later, from registers of the unit's own.
    #[track_caller]
    fn kept(self, name: &str) -> Self {
        Self {
            valid: kept_flag(&format!("{name}_comes"), self.valid),
            thread: kept(&format!("{name}_thread"), self.thread),
            index: kept(&format!("{name}_index"), self.index),
            value: kept(&format!("{name}_value"), self.value),
        }
    }
}

/// Ports of [`Retire`].
#[derive(Clone, Ports)]
pub struct RetireIo {
    /// An event comes into the core; it is taken for a thread before the next one comes
    pub arrives: Input<Bool>,
    /// An event is taken for a thread
    pub accept: Input<ThreadPulse>,
    /// Its tag
    pub tag: Input<UInt>,
    /// Output words that the stages write; threads are numbered in the stage
    pub outputs: Vec<Input<OutputWrite>>,
    /// Ends by the execute stages
    pub exits: Vec<Input<End>>,
    /// Ends by other units: dispatcher, match unit, completions of each stage; all of
    /// different threads
    pub ends: Vec<Input<End>>,
    /// Longest time of an event, cycles
    pub limit: Input<UInt>,
    /// Threads with an event
    pub busy: Input<UInt>,
    /// Threads that have run too long: their next instruction ends them
    pub doomed: Output<UInt>,
    /// Threads whose event has ended
    pub ended: Output<UInt>,
    /// The thread's decision is on its way: the thread is free
    pub free: Output<ThreadPulse>,
    /// A thread became free in the cycle before
    pub leaves: Output<Bool>,
    /// Cycles of its event, at most 65535
    pub spent: Output<UInt>,
    /// Decisions of 32 bytes, byte i in bits 8i+7..8i
    pub decision: StreamOut<UInt>,
}

impl Component for Retire {
    type Io = RetireIo;

    fn name(&self) -> String {
        format!("retire_s{}_t{}", self.widths.stages, self.widths.threads)
    }

    fn doc(&self) -> String {
        "Ends events, sends decisions, watches how long events run".into()
    }

    fn io(&self) -> RetireIo {
        let widths = &self.widths;
        let per_stage = || 0..widths.stages;
        RetireIo {
            arrives: input(boolean()),
            accept: input(ThreadPulse::shape(widths)),
            tag: input(uint(32)),
            outputs: per_stage().map(|_| input(OutputWrite::shape(&self.stage_widths()))).collect(),
            exits: per_stage().map(|_| input(End::shape(widths))).collect(),
            ends: (0..2 + widths.stages).map(|_| input(End::shape(widths))).collect(),
            limit: input(uint(32)),
            busy: input(uint(widths.threads)),
            doomed: output(uint(widths.threads)),
            ended: output(uint(widths.threads)),
            free: output(ThreadPulse::shape(widths)),
            leaves: output(boolean()),
            spent: output(uint(CYCLE_BITS)),
            decision: stream_out(uint(256)),
        }
    }

    fn build(&self, io: RetireIo) {
        let Widths { stages, threads, thread: thread_bits, .. } = self.widths;
        let each = threads / stages;
        let split = ThreadSplit::new(stages, threads);
        let now = reg("now", uint(32), 0);
        now.next(now.wrapping_add(1));
        // What units say is kept for a cycle, but for exits: they stand far from each other, and their ways end here.
        let accept = ThreadPulse {
            valid: kept_flag("accepts", io.accept.valid),
            thread: kept("accepted_thread", io.accept.thread),
        };
        let tags: AsyncMem<UInt> = AsyncMem::new("tags", uint(32), threads.into());
        let starts: AsyncMem<UInt> = AsyncMem::new("starts", uint(32), threads.into());
        tags.write(accept.valid, accept.thread, delayed("accepted_tag", io.tag.value()));
        starts.write(accept.valid, accept.thread, now);
        // An event's cycles begin when it comes, its time for the watchdog when it has a thread.
        let arrival = reg_uninit("arrival", uint(32));
        // Its last cycle counts as well.
        let a_cycle_ago = delayed("a_cycle_ago", now.value());
        when(io.arrives, || arrival.next(a_cycle_ago));
        let arrivals: AsyncMem<UInt> = AsyncMem::new("arrivals", uint(32), threads.into());
        arrivals.write(accept.valid, accept.thread, delayed("accepted_arrival", arrival.value()));

        // Which event leaves: one that waits, or the one that exits now.
        let sends = wire("sends", boolean());
        let sender = wire("sender", uint(thread_bits));
        let accepted = one_hot(accept.valid, accept.thread, threads);
        let sent = one_hot(sends.value(), sender.value(), threads);
        let exits: Vec<End> = io.exits.iter().map(Input::value).collect();
        let ends = (io.ends.iter().enumerate())
            .map(|(number, end)| end.value().kept(&format!("end{number}")));
        let all_ends: Vec<End> = ends.chain(exits.iter().copied()).collect();
        let outputs: Vec<OutputWrite> = (io.outputs.iter().enumerate())
            .map(|(number, output)| output.value().kept(&format!("output{number}")))
            .collect();
        let mut waiting = Vec::new();
        let mut statuses = Vec::new();
        let mut all_written = Vec::new();
        for index in 0..threads {
            let ended = reg(format!("ended_{index}"), boolean(), false);
            let status = reg(format!("status_{index}"), uint(8), 0);
            let written_words = reg(format!("written_{index}"), uint(MAX_OUTPUTS as u32), 0);
            for end in &all_ends {
                when(end.valid & end.thread.eq(index), || {
                    ended.next(true);
                    status.next(end.status);
                });
            }
            when(sent[index as usize], || ended.next(false));
            let output = outputs[(index / each) as usize];
            let bit = only_if(
                output.valid & output.thread.eq(index % each),
                lookup(
                    output.index,
                    &[(0, UInt::lit(1, 3)), (1, UInt::lit(2, 3))],
                    UInt::lit(4, 3),
                ),
            );
            when(accepted[index as usize], || written_words.next(0))
                .otherwise(|| written_words.next(written_words.value() | bit));
            waiting.push(ended.value());
            statuses.push(status.value());
            all_written.push(written_words.value() | bit);
        }
        let some_wait = any(&waiting);
        let turns = instance("turns", RoundRobinArbiter::<Main>::new(threads));
        turns.request.set(as_word(&waiting));
        let exit = first_of(&exits);
        sender.set(mux(some_wait, turns.index.value(), exit.thread));
        let status = mux(some_wait, select(sender.value(), &statuses), exit.status);
        let full = reg("full", boolean(), false);
        // Where events come in several parts a decision in two cycles is enough, and its way out does not lie before the threads.
        let room =
            if self.beats == 1 { !full.value() | io.decision.ready() } else { !full.value() };
        sends.set(room & (some_wait | exit.valid));
        turns.accept.set(room & some_wait);
        io.free.set(ThreadPulse { valid: sends.value(), thread: sender.value() });

        let written_now = select(sender.value(), &all_written);
        let sender_stage = split.stage(sender.value());
        let sender_in_stage = split.local(sender.value());
        let words: Vec<UInt> = (0..MAX_OUTPUTS as u32)
            .map(|word| {
                let of_stages: Vec<UInt> = (0..stages)
                    .zip(&outputs)
                    .map(|(stage, output)| {
                        let name = format!("outputs_{word}_of_stage_{stage}");
                        let memory: AsyncMem<UInt> = AsyncMem::new(name, uint(64), each.into());
                        let here = output.valid & output.index.eq(word);
                        memory.write(here, output.thread, output.value);
                        // What the instruction before the exit wrote is being kept.
                        let now = here & output.thread.eq(sender_in_stage);
                        let stored = only_if(written_now.bit(word), memory.read(sender_in_stage));
                        mux(now, output.value, stored)
                    })
                    .collect();
                select(sender_stage, &of_stages)
            })
            .collect();
        // How long it took is reckoned while the decision is offered.
        let arrived = reg_uninit("arrived", uint(32));
        let left = reg_uninit("left_at", uint(32));
        let high = |time: UInt| time.bits(CYCLE_BITS..32);
        let round_before = reg_uninit("round_before", high(now.value()));
        let last_round = reg("last_round", high(now.value()), u64::MAX >> (32 + CYCLE_BITS));
        when(now.trunc(CYCLE_BITS).reduce_and(), || last_round.next(high(now.value())));
        when(room, || {
            arrived.next(arrivals.read(sender.value()));
            left.next(now.value());
            round_before.next(last_round);
        });
        // It fits if the rounds of its cycles are the same, or this one's is the next.
        let low = |time: UInt| time.trunc(CYCLE_BITS).zext(CYCLE_BITS + 1);
        let cycles = low(left.value()).wrapping_sub(low(arrived.value()));
        let same_round = high(left.value()).eq(high(arrived.value()));
        let next_round = round_before.eq(high(arrived.value())) & cycles.bit(CYCLE_BITS);
        let fits = same_round | next_round;
        let most = UInt::lit((1 << CYCLE_BITS) - 1, CYCLE_BITS);
        let elapsed = mux(fits, cycles.trunc(CYCLE_BITS), most).named("elapsed");
        let leaves = reg("sent_before", boolean(), false);
        leaves.next(sends.value());
        io.leaves.set(leaves);
        io.spent.set(elapsed);
        let fields = [
            (decision_layout::TAG, tags.read(sender.value())),
            (decision_layout::STATUS, status),
            (decision_layout::FLAGS, written_now.zext(8)),
            (decision_layout::CYCLES, UInt::lit(0, CYCLE_BITS)),
            (decision_layout::OUTPUT0, words[0]),
            (decision_layout::OUTPUT1, words[1]),
            (decision_layout::OUTPUT2, words[2]),
        ];
        let parts: Vec<UInt> = fields.iter().rev().map(|(_, value)| *value).collect();
        let word = reg("decision_word", uint(256), UInt::lit(0, 256));
        // Whether there is one that leaves is known late: its decision is there before.
        when(room, || {
            full.next(some_wait | exit.valid);
            word.next(cat(&parts));
        })
        .elsewhen(io.decision.ready(), || full.next(false));
        let place = 8 * decision_layout::CYCLES.offset as u32;
        let (before, behind) = (word.bits(0..place), word.bits(place + CYCLE_BITS..256));
        io.decision.offer(full.value(), cat(&[behind, elapsed, before]));

        // The watchdog looks at one thread each cycle, and compares its age in the next one. An event that ends between is none
        // then; no other one begins in the cycle in which it ends.
        let looked_at = reg("looked_at", uint(thread_bits), 0);
        looked_at.next(looked_at.wrapping_add(1));
        let age = delayed("age", now.value().wrapping_sub(starts.read(looked_at.value())));
        let of_age = delayed("of_age", looked_at.value());
        // Of an event that was taken a cycle ago it is not yet known when it began.
        let watched = io.busy.value() & !as_word(&accepted);
        let was_busy = delayed("was_busy", watched.bit_at(looked_at.value()));
        let expired = was_busy & io.busy.bit_at(of_age) & age.gt(io.limit);
        let mut doomed = Vec::new();
        for index in 0..threads {
            let flag = reg(format!("doomed_{index}"), boolean(), false);
            when(accepted[index as usize], || flag.next(false))
                .elsewhen(expired & of_age.eq(index), || flag.next(true));
            doomed.push(flag.value());
        }
        io.doomed.set(as_word(&doomed));
        io.ended.set(as_word(&waiting));
    }
}

impl Retire {
    fn stage_widths(&self) -> Widths {
        let threads = self.widths.threads / self.widths.stages;
        Widths { threads, thread: threads.ilog2(), ..self.widths }
    }
}

/// The first end of some that may happen in one cycle. The last one of them is given before it is known whether it happens.
fn first_of(ends: &[End]) -> End {
    let valid = any(&ends.iter().map(|end| end.valid).collect::<Vec<_>>());
    let (last, before) = ends.split_last().expect("there is a stage");
    let choices: Vec<(Bool, End)> = before.iter().map(|&end| (end.valid, end)).collect();
    End { valid, ..priority_mux(&choices, *last) }
}
