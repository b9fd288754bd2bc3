//! Fetch: which thread issues in each cycle, and its instruction word.

use rmt_isa::card::CardShape;
use rmt_isa::card::regions::PROGRAM;
use rmt_isa::operand::OPCODE;
use rtl_builder::prelude::*;

use super::decode::{Sources, sources};
use crate::bits::{any, lowest_set, one_hot, slot};
use crate::config::Widths;
use crate::signals::{HostAccess, HostReply, Redirect, ThreadPulse, in_bank};

/// Round robin over the threads that can run: one instruction word each cycle, so that a
/// lone thread issues in every cycle. A thread runs on from its program counter until the
/// execute stage redirects it; what was fetched of it meanwhile is dropped.
///
/// A thread that is woken in a cycle can be fetched in the same cycle.
pub struct Fetch {
    pub(crate) shape: CardShape,
}

/// Ports of [`Fetch`].
#[derive(Clone, Ports)]
pub struct FetchIo {
    /// A thread's action begins
    pub start: Input<Redirect>,
    /// The execute stage sends a thread elsewhere, or stops it
    pub redirect: Input<Redirect>,
    /// A stopped thread goes on
    pub wake: Input<ThreadPulse>,
    /// The word that is there now stays; nothing is fetched
    pub stall: Input<Bool>,
    /// A word was fetched in the cycle before
    pub valid: Output<Bool>,
    /// Its thread
    pub thread: Output<UInt>,
    /// Its place
    pub pc: Output<UInt>,
    /// The word
    pub word: Output<UInt>,
    /// What its operands are
    pub sources: Output<Sources>,
    /// Access of the host
    pub host: Input<HostAccess>,
    /// Answer to reads of the program
    pub reply: Output<HostReply>,
}

/// An instruction in the program memory.
#[derive(Clone, Copy, Debug, Bundle)]
struct Instruction {
    /// As the host wrote it
    word: UInt,
    /// What its operands are
    sources: Sources,
}

impl Component for Fetch {
    type Io = FetchIo;

    fn name(&self) -> String {
        let CardShape { program_words, .. } = &self.shape;
        let (threads, banks) = (self.shape.threads_of_stage(), self.shape.banks());
        format!("fetch_t{threads}_program{program_words}_b{banks}")
    }

    fn doc(&self) -> String {
        "Chooses the thread that issues and fetches its instruction".into()
    }

    fn io(&self) -> FetchIo {
        let widths = Widths::of_stage(&self.shape);
        FetchIo {
            start: input(Redirect::shape(&widths)),
            redirect: input(Redirect::shape(&widths)),
            wake: input(ThreadPulse::shape(&widths)),
            stall: input(boolean()),
            valid: output(boolean()),
            thread: output(uint(widths.thread)),
            pc: output(uint(widths.pc)),
            word: output(uint(64)),
            sources: output(Sources::shape()),
            host: input(HostAccess::shape()),
            reply: output(HostReply::shape()),
        }
    }

    fn build(&self, io: FetchIo) {
        let widths = Widths::of_stage(&self.shape);
        let threads = widths.threads;
        let (start, redirect, wake, host) =
            (io.start.value(), io.redirect.value(), io.wake.value(), io.host.value());
        // A host read takes the place of one fetch.
        let host_there = reg("host_there", boolean(), false);
        let asks = host.reads(PROGRAM, self.shape.program_words) & !host_there.value();
        let host_reads = (asks & !io.stall.value()).named("host_reads");
        host_there.next(host_reads);
        let fetches = wire("fetches", boolean());
        let chosen = wire("chosen", uint(widths.thread));

        let starts = one_hot(start.valid, start.thread, threads);
        let redirects = one_hot(redirect.valid, redirect.thread, threads);
        let wakes = one_hot(wake.valid, wake.thread, threads);
        let fetched = one_hot(fetches.value(), chosen.value(), threads);
        let mut runnable = Vec::new();
        let mut counters = Vec::new();
        for index in 0..threads as usize {
            let running = reg(format!("running_{index}"), boolean(), false);
            let pc = reg(format!("pc_{index}"), uint(widths.pc), 0);
            when(fetched[index], || pc.next(pc.wrapping_add(1)));
            when(wakes[index], || running.next(true));
            when(redirects[index], || {
                running.next(redirect.runs);
                pc.next(redirect.pc);
            });
            when(starts[index], || {
                running.next(true);
                pc.next(start.pc);
            });
            runnable.push(running.value() | wakes[index]);
            counters.push(pc.value());
        }

        // Round robin: the first runnable thread behind the last one, else the first of all.
        let last = reg("last", uint(widths.thread), 0);
        let behind: Vec<Bool> = (0..threads)
            .map(|index| {
                runnable[index as usize] & last.value().lt(UInt::lit(index.into(), widths.thread))
            })
            .collect();
        chosen.set(mux(any(&behind), lowest_set(&behind), lowest_set(&runnable)));
        fetches.set(any(&runnable) & !io.stall.value() & !host_reads);
        when(fetches.value(), || last.next(chosen.value()));
        let pc = select(chosen.value(), &counters).named("fetch_pc");

        let banks = self.shape.banks();
        let words = u64::from(banks * self.shape.program_words);
        // What runs is not written: the host writes the other bank, or holds events.
        let shape = Instruction { word: uint(64), sources: Sources::shape() };
        let program: SyncMem<Instruction> =
            SyncMem::new("program", shape, words).collisions_unused();
        let host_address = in_bank(banks, host.bank, host.index(0, widths.pc));
        program.write(
            host.writes(PROGRAM, self.shape.program_words),
            host_address,
            Instruction { word: host.data, sources: sources(&self.shape, slot(host.data, OPCODE)) },
        );
        let address = mux(host_reads, host_address, in_bank(banks, host.active, pc));
        let Instruction { word, sources } = program.read(fetches.value() | host_reads, address);

        // What the execute stage has just redirected is dropped.
        let valid = reg("valid_d", boolean(), false);
        let thread = reg("thread_d", uint(widths.thread), 0);
        let place = reg("pc_d", uint(widths.pc), 0);
        when(!io.stall.value(), || {
            let dropped = redirect.valid & redirect.thread.eq(chosen.value());
            valid.next(fetches.value() & !dropped);
            thread.next(chosen.value());
            place.next(pc);
        });
        io.valid.set(valid);
        io.thread.set(thread);
        io.pc.set(place);
        io.word.set(word);
        io.sources.set(sources);
        io.reply.set(HostReply::of_read(host_there.value(), word));
    }
}
