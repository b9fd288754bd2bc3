//! Fetch: which thread issues in each cycle, and its instruction word.

use rmt_isa::card::CardShape;
use rmt_isa::card::regions::PROGRAM;
use rtl_builder::prelude::*;

use super::decode::{Decoded, decode};
use super::operands::Operands;
use crate::bits::{any, lowest_set, one_hot};
use crate::config::Widths;
use crate::signals::{HostAccess, HostReply, Redirect, in_bank};

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
    /// The execute stage has a jump: where its thread goes on if it is taken
    pub jump: Input<Redirect>,
    /// It is taken, which is known late
    pub jumps: Input<Bool>,
    /// Stopped threads that go on
    pub wake: Input<UInt>,
    /// Threads that stop, though they were woken in the cycle before
    pub stop: Input<UInt>,
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
    /// What its operands are read by
    pub operands: Output<Operands>,
    /// What it does
    pub decoded: Output<Decoded>,
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
    /// What it does
    decoded: Decoded,
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
            jump: input(Redirect::shape(&widths)),
            jumps: input(boolean()),
            wake: input(uint(widths.threads)),
            stop: input(uint(widths.threads)),
            stall: input(boolean()),
            valid: output(boolean()),
            thread: output(uint(widths.thread)),
            pc: output(uint(widths.pc)),
            word: output(uint(64)),
            operands: output(Operands::shape()),
            decoded: output(Decoded::shape()),
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
        let in_program = host.in_region_before(PROGRAM, self.shape.program_words);
        let asks = host.read & in_program & !host_there.value();
        let host_reads = (asks & !io.stall.value()).named("host_reads");
        host_there.next(host_reads);
        let fetches = wire("fetches", boolean());
        let chosen = wire("chosen", uint(widths.thread));

        let starts = one_hot(start.valid, start.thread, threads);
        let redirects = one_hot(redirect.valid, redirect.thread, threads);
        let (jump, jumps) = (io.jump.value(), io.jumps.value());
        let leaps = one_hot(jump.valid, jump.thread, threads);
        let (wakes, stops) = (wake.to_bools(), io.stop.to_bools());
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
            when(leaps[index] & jumps, || {
                running.next(jump.runs);
                pc.next(jump.pc);
            });
            when(stops[index], || running.next(false));
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
        let shape = Instruction { word: uint(64), decoded: Decoded::shape() };
        let program: SyncMem<Instruction> =
            SyncMem::new("program", shape, words).collisions_unused();
        let operands: SyncMem<Operands> =
            SyncMem::new("operands", Operands::shape(), words).collisions_unused();
        let host_address = in_bank(banks, host.bank, host.index(0, widths.pc));
        let writes = host.write & in_program;
        let decoded = decode(&self.shape, host.data);
        program.write(writes, host_address, Instruction { word: host.data, decoded });
        operands.write(writes, host_address, Operands::of(&self.shape, host.data));
        let own_address = in_bank(banks, host.active, pc);
        let address = mux(host_reads, host_address, own_address);
        let Instruction { word, decoded } = program.read(fetches.value() | host_reads, address);
        io.operands.set(operands.read(fetches.value(), own_address));

        // What the execute stage has just redirected is dropped, and what stops.
        let valid = reg("valid_d", boolean(), false);
        let thread = reg("thread_d", uint(widths.thread), 0);
        let place = reg("pc_d", uint(widths.pc), 0);
        when(!io.stall.value(), || {
            let is_chosen = |sent: Redirect| sent.valid & sent.thread.eq(chosen.value());
            let dropped = is_chosen(redirect) | io.stop.bit_at(chosen.value());
            valid.next((fetches.value() & !dropped) & !(is_chosen(jump) & jumps));
            thread.next(chosen.value());
            place.next(pc);
        })
        .elsewhen(io.stop.bit_at(thread.value()), || valid.next(false));
        io.valid.set(valid);
        io.thread.set(thread);
        io.pc.set(place);
        io.word.set(word);
        io.decoded.set(decoded);
        io.reply.set(HostReply::of_read(host_there.value(), word));
    }
}
