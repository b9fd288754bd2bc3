//! Ends events: keeps what a decision needs, sends it, and watches how long events run.

use rmt_isa::event::decision_layout;
use rmt_isa::limits::MAX_OUTPUTS;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use crate::bits::{any, lowest_set, one_hot};
use crate::config::Widths;
use crate::signals::{End, ThreadPulse};

/// The end of events. An event that ends by an instruction while no other end waits leaves
/// in the next cycle; others wait for their turn, the lowest thread first.
pub struct Retire {
    pub(crate) widths: Widths,
}

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
}

/// Ports of [`Retire`].
#[derive(Clone, Ports)]
pub struct RetireIo {
    /// An event is taken for a thread
    pub accept: Input<ThreadPulse>,
    /// Its tag
    pub tag: Input<UInt>,
    /// An output word is written
    pub output: Input<OutputWrite>,
    /// Ends by the execute stage
    pub exit: Input<End>,
    /// Ends by other units: dispatcher, match unit, completions; different threads
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
    /// Decisions of 32 bytes, byte i in bits 8i+7..8i
    pub decision: StreamOut<UInt>,
}

impl Component for Retire {
    type Io = RetireIo;

    fn name(&self) -> String {
        format!("retire_t{}", self.widths.threads)
    }

    fn doc(&self) -> String {
        "Ends events, sends decisions, watches how long events run".into()
    }

    fn io(&self) -> RetireIo {
        let widths = &self.widths;
        RetireIo {
            accept: input(ThreadPulse::shape(widths)),
            tag: input(uint(32)),
            output: input(OutputWrite::shape(widths)),
            exit: input(End::shape(widths)),
            ends: (0..3).map(|_| input(End::shape(widths))).collect(),
            limit: input(uint(32)),
            busy: input(uint(widths.threads)),
            doomed: output(uint(widths.threads)),
            ended: output(uint(widths.threads)),
            free: output(ThreadPulse::shape(widths)),
            decision: stream_out(uint(256)),
        }
    }

    fn build(&self, io: RetireIo) {
        let Widths { threads, thread: thread_bits, .. } = self.widths;
        let now = reg("now", uint(32), 0);
        now.next(now.wrapping_add(1));
        let (accept, exit) = (io.accept.value(), io.exit.value());
        let tags: AsyncMem<UInt> = AsyncMem::new("tags", uint(32), threads.into());
        let starts: AsyncMem<UInt> = AsyncMem::new("starts", uint(32), threads.into());
        tags.write(accept.valid, accept.thread, io.tag);
        starts.write(accept.valid, accept.thread, now);

        // Which event leaves: one that waits, or the one that exits now.
        let sends = wire("sends", boolean());
        let sender = wire("sender", uint(thread_bits));
        let accepted = one_hot(accept.valid, accept.thread, threads);
        let sent = one_hot(sends.value(), sender.value(), threads);
        let all_ends: Vec<End> = io.ends.iter().map(Input::value).chain([exit]).collect();
        let mut waiting = Vec::new();
        let mut statuses = Vec::new();
        let mut written = Vec::new();
        for index in 0..threads {
            let ended = reg(format!("ended_{index}"), boolean(), false);
            let status = reg(format!("status_{index}"), uint(8), 0);
            let outputs = reg(format!("written_{index}"), uint(MAX_OUTPUTS as u32), 0);
            for end in &all_ends {
                when(end.valid & end.thread.eq(index), || {
                    ended.next(true);
                    status.next(end.status);
                });
            }
            when(sent[index as usize], || ended.next(false));
            let output = io.output.value();
            when(accepted[index as usize], || outputs.next(0)).elsewhen(
                output.valid & output.thread.eq(index),
                || {
                    let bit = lookup(
                        output.index,
                        &[(0, UInt::lit(1, 3)), (1, UInt::lit(2, 3))],
                        UInt::lit(4, 3),
                    );
                    outputs.next(outputs.value() | bit);
                },
            );
            waiting.push(ended.value());
            statuses.push(status.value());
            written.push(outputs.value());
        }
        let some_wait = any(&waiting);
        sender.set(mux(some_wait, lowest_set(&waiting), exit.thread));
        let status = mux(some_wait, select(sender.value(), &statuses), exit.status);
        let full = reg("full", boolean(), false);
        let room = !full.value() | io.decision.ready();
        sends.set(room & (some_wait | exit.valid));
        io.free.set(ThreadPulse { valid: sends.value(), thread: sender.value() });

        let output = io.output.value();
        let written_now = select(sender.value(), &written);
        let words: Vec<UInt> = (0..MAX_OUTPUTS as u32)
            .map(|word| {
                let memory: AsyncMem<UInt> =
                    AsyncMem::new(format!("outputs_{word}"), uint(64), threads.into());
                memory.write(output.valid & output.index.eq(word), output.thread, output.value);
                mux(written_now.bit(word), memory.read(sender.value()), UInt::lit(0, 64))
            })
            .collect();
        let elapsed =
            now.wrapping_add(1).wrapping_sub(starts.read(sender.value())).named("elapsed");
        let fields = [
            (decision_layout::TAG, tags.read(sender.value())),
            (decision_layout::STATUS, status),
            (decision_layout::FLAGS, written_now.zext(8)),
            (decision_layout::CYCLES, elapsed.sat(16)),
            (decision_layout::OUTPUT0, words[0]),
            (decision_layout::OUTPUT1, words[1]),
            (decision_layout::OUTPUT2, words[2]),
        ];
        let parts: Vec<UInt> = fields.iter().rev().map(|(_, value)| *value).collect();
        let word = reg("decision_word", uint(256), UInt::lit(0, 256));
        when(sends.value(), || {
            full.next(true);
            word.next(cat(&parts));
        })
        .elsewhen(io.decision.ready(), || full.next(false));
        io.decision.offer(full.value(), word.value());

        // The watchdog looks at one thread each cycle.
        let looked_at = reg("looked_at", uint(thread_bits), 0);
        looked_at.next(looked_at.wrapping_add(1));
        let age = now.value().wrapping_sub(starts.read(looked_at.value()));
        let expired = io.busy.bit_at(looked_at.value()) & age.gt(io.limit);
        let mut doomed = Vec::new();
        for index in 0..threads {
            let flag = reg(format!("doomed_{index}"), boolean(), false);
            when(accepted[index as usize], || flag.next(false))
                .elsewhen(expired & looked_at.eq(index), || flag.next(true));
            doomed.push(flag.as_uint());
        }
        let as_word = |bits: &[UInt]| cat(&bits.iter().rev().copied().collect::<Vec<_>>());
        io.doomed.set(as_word(&doomed));
        io.ended.set(as_word(&waiting.iter().map(|bit| bit.as_uint()).collect::<Vec<_>>()));
    }
}
