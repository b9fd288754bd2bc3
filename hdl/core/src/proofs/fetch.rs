//! The thread scheduler is fair and never idle.

use rmt_isa::card::CardShape;
use rtl_builder::formal::{self, Goal};
use rtl_builder::prelude::*;

use crate::config::Widths;
use crate::control::fetch::Fetch;
use crate::signals::{HostAccess, Redirect};

/// [`Fetch`], and one thread that is watched.
struct Fair {
    shape: CardShape,
}

#[derive(Clone, Ports)]
struct FairIo {
    start: Input<Redirect>,
    redirect: Input<Redirect>,
    jump: Input<Redirect>,
    jumps: Input<Bool>,
    wake: Input<UInt>,
    stop: Input<UInt>,
    stall: Input<Bool>,
    host: Input<HostAccess>,
    /// The thread that is watched
    constant_thread: Input<UInt>,
}

impl Component for Fair {
    type Io = FairIo;

    fn name(&self) -> String {
        format!("fetch_is_fair_t{}", self.shape.threads_of_stage())
    }

    fn io(&self) -> FairIo {
        let widths = Widths::of_stage(&self.shape);
        FairIo {
            start: input(Redirect::shape(&widths)),
            redirect: input(Redirect::shape(&widths)),
            jump: input(Redirect::shape(&widths)),
            jumps: input(boolean()),
            wake: input(uint(widths.threads)),
            stop: input(uint(widths.threads)),
            stall: input(boolean()),
            host: input(HostAccess::shape()),
            constant_thread: input(uint(widths.thread)),
        }
    }

    fn build(&self, io: FairIo) {
        let threads = u64::from(self.shape.threads_of_stage());
        let dut = instance("dut", Fetch { shape: self.shape.clone() });
        let (start, redirect, wake) = (io.start.value(), io.redirect.value(), io.wake.value());
        dut.start.set(start);
        dut.redirect.set(redirect);
        let jump = io.jump.value();
        let jump = Redirect { valid: jump.valid & io.jumps, ..jump };
        dut.jump.set(io.jump.value());
        dut.jumps.set(io.jumps);
        dut.wake.set(wake);
        dut.stop.set(io.stop);
        dut.stall.set(io.stall);
        dut.host.set(io.host.value());
        let _ = (dut.pc, dut.word, dut.reply);
        // A read of the host takes the place of a fetch; there is at most one in some cycles.
        formal::assume("the_host_is_quiet", !io.host.read);

        let watched = io.constant_thread.value();
        let is_watched = |valid: Bool, thread: UInt| valid & thread.eq(watched);
        let starts = is_watched(start.valid, start.thread);
        let (redirected, jumped) =
            (is_watched(redirect.valid, redirect.thread), is_watched(jump.valid, jump.thread));
        let (woken, stopped) = (wake.bit_at(watched), io.stop.bit_at(watched));
        let runs = reg("runs", boolean(), false).doc("The watched thread runs, by its inputs");
        when(woken, || runs.next(true));
        when(redirected, || runs.next(redirect.runs));
        when(jumped, || runs.next(jump.runs));
        when(stopped, || runs.next(false));
        when(starts, || runs.next(true));

        // What was fetched shows in the next cycle.
        let could = (runs.value() | woken) & !io.stall.value() & !Bool::reset();
        let sent_away = redirected | jumped | stopped;
        let could_before = delayed("could_before", could & !sent_away);
        // A redirection drops what was fetched of the thread: its wait begins anew.
        let sent_away_before = delayed("sent_away_before", sent_away);
        let got = is_watched(dut.valid.value(), dut.thread.value());
        let passed_over = reg("passed_over", uint(bits_for(threads + 1)), 0)
            .doc("Fetches in a row that others got while the watched thread could run");
        when(could_before & !got, || passed_over.next(passed_over.wrapping_add(1)))
            .elsewhen(could_before | sent_away_before | !runs.value(), || passed_over.next(0));
        formal::assert("others_are_fetched_once_each_at_most", passed_over.lt(threads));
        // Somebody is fetched whenever the watched thread could be, unless what was fetched was sent elsewhere at once.
        let dropped = delayed("dropped", redirect.valid | jump.valid | !io.stop.is_zero());
        formal::assert("no_cycle_is_idle", !could_before | dut.valid.value() | dropped);
        formal::cover("it_waits_for_all_others", passed_over.eq(threads - 1) & got);
    }
}

#[test]
fn a_thread_that_can_run_is_fetched_within_as_many_fetches_as_there_are_threads() {
    let mut shape = CardShape::tiny();
    shape.program_words = 64;
    prove_fair(&shape);
    shape.engine.threads *= 2;
    prove_fair(&shape);
}

fn prove_fair(shape: &CardShape) {
    super::prove(Fair { shape: shape.clone() }, Goal::Always);
}
