//! From the taking of an event to its decision: once, with its tag, under one bank.

use rmt_isa::card::CardShape;
use rmt_isa::event::decision_layout;
use rmt_isa::event::event_layout::TAG;
use rtl_builder::formal::{self, Goal};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use crate::bits::{any, as_word, one_hot};
use crate::config::Widths;
use crate::control::commit::BankSwitch;
use crate::control::dispatch::Dispatcher;
use crate::control::intake::Intake;
use crate::control::retire::{OutputWrite, Retire, RetireIo};
use crate::control::slots::SlotChoice;
use crate::signals::End;

/// Intake, dispatcher, bank switch and retire unit, joined as in the core, and one thread that is watched. What runs between
/// them is free to end any thread that runs, in any order and at any time.
struct Life {
    widths: Widths,
    beats: u32,
}

#[derive(Clone, Ports)]
struct LifeIo {
    event: StreamIn<UInt>,
    choice: Input<SlotChoice>,
    commit: Input<Bool>,
    hold: Input<Bool>,
    /// Ends by the match unit and by completions of each stage
    ends: Vec<Input<End>>,
    /// Ends by the execute stages
    exits: Vec<Input<End>>,
    outputs: Vec<Input<OutputWrite>>,
    decision: StreamOut<UInt>,
    /// The thread that is watched
    constant_thread: Input<UInt>,
}

impl Component for Life {
    type Io = LifeIo;

    fn name(&self) -> String {
        let Widths { stages, threads, .. } = self.widths;
        format!("life_of_events_s{stages}_t{threads}_b{}", self.beats)
    }

    fn io(&self) -> LifeIo {
        let retire = Retire { widths: self.widths, beats: self.beats }.io();
        let dispatcher = Dispatcher { widths: self.widths }.io();
        LifeIo {
            event: dispatcher.event,
            choice: dispatcher.choice,
            commit: input(boolean()),
            hold: input(boolean()),
            ends: retire.ends[1..].to_vec(),
            exits: retire.exits,
            outputs: retire.outputs,
            decision: retire.decision,
            constant_thread: input(uint(self.widths.thread)),
        }
    }

    fn build(&self, io: LifeIo) {
        let threads = self.widths.threads;
        let dispatcher = instance("dispatcher", Dispatcher { widths: self.widths });
        let switch = instance("bank_switch", BankSwitch { banks: 2 });
        let retire = instance("retire", Retire { widths: self.widths, beats: self.beats });
        let intake = instance("intake", Intake { widths: self.widths, beats: self.beats });
        connect(&io.event, &intake.event);
        connect(&intake.taken, &dispatcher.event);
        intake.looked_up.set(io.choice.value());
        intake.stop.set(switch.stop);
        dispatcher.choice.set(intake.choice);
        dispatcher.lock.set(intake.lock);
        dispatcher.hold.set(io.hold);
        dispatcher.ended.set(retire.ended);
        dispatcher.free.set(retire.free.value());
        switch.commit.set(io.commit);
        switch.hold.set(Bool::lit(false));
        switch.running.set(dispatcher.running | intake.waits);
        let accept = dispatcher.accept.value();
        intake.accept.set(accept);
        let beat = intake.beat.value();
        retire.arrives.set(intake.enters);
        retire.accept.set(accept);
        let event = intake.taken.payload();
        let tag = event.bits(8 * TAG.offset as u32..8 * (TAG.offset + TAG.bytes) as u32);
        retire.tag.set(tag);
        retire.ends[0].set(dispatcher.refuse.value());
        for (port, end) in retire.ends[1..].iter().zip(&io.ends) {
            port.set(end.value());
        }
        for (port, exit) in retire.exits.iter().zip(&io.exits) {
            port.set(exit.value());
        }
        for (port, output) in retire.outputs.iter().zip(&io.outputs) {
            port.set(output.value());
        }
        retire.limit.set(UInt::lit(u64::from(u32::MAX), 32));
        retire.busy.set(dispatcher.busy);
        connect(&retire.decision, &io.decision);
        let _ = (
            intake.hook,
            retire.doomed,
            retire.leaves,
            dispatcher.waits_for_thread,
            dispatcher.waits_for_lock,
        );

        // What runs between the two ends threads that run, each once, and not in the cycle behind the one in which its event
        // is taken.
        let (busy, ended) = (dispatcher.busy.value(), retire.ended.value());
        let was_busy = reg("was_busy", uint(threads), 0);
        was_busy.next(busy);
        let over = reg("over", uint(threads), 0).doc("Threads of which an end was said");
        let ends: Vec<End> = io.ends.iter().chain(&io.exits).map(Input::value).collect();
        let threads_of = |valid: Bool, thread: UInt| as_word(&one_hot(valid, thread, threads));
        let said =
            (ends.iter()).fold(over.value(), |said, end| said | threads_of(end.valid, end.thread));
        let refuse = dispatcher.refuse.value();
        let begins = threads_of(accept.valid, accept.thread);
        over.next((said & !begins) | threads_of(refuse.valid, refuse.thread));
        let able = busy & was_busy & !over.value();
        for (i, end) in ends.iter().enumerate() {
            let running = able.bit_at(end.thread);
            formal::assume(&format!("end{i}_is_of_a_running_thread"), !end.valid | running);
            for (j, other) in ends.iter().enumerate().skip(i + 1) {
                let both = end.valid & other.valid & end.thread.eq(other.thread);
                formal::assume(&format!("end{i}_and_end{j}_differ"), !both);
            }
        }

        // The watched thread.
        let watched = io.constant_thread.value();
        let own = |valid: Bool, thread: UInt| valid & thread.eq(watched);
        let taken = own(accept.valid, accept.thread);
        let free = retire.free.value();
        let freed = own(free.valid, free.thread);
        let state = switch.state.value();
        let inside = reg("inside", boolean(), false);
        let its_tag = reg("its_tag", uint(32), 0);
        let its_bank = reg("its_bank", boolean(), false);
        // The bank in which its slot was looked up, when it came in.
        let bank_then = reg("bank_then", boolean(), false);
        when(intake.enters, || bank_then.next(state.active));
        when(freed, || inside.next(false));
        when(taken, || {
            inside.next(true);
            its_tag.next(tag);
            its_bank.next(bank_then);
        });
        let has_ended = ended.bit_at(watched);
        formal::assert("a_busy_thread_takes_no_event", !(taken & inside));
        formal::assert("only_a_taken_event_is_decided", !freed | inside);
        formal::assert("busy_as_long_as_inside", busy.bit_at(watched).eq(inside));
        formal::assert(
            "no_event_sees_two_banks",
            !(inside & !has_ended) | state.active.eq(its_bank),
        );

        let sent = delayed("sent", freed & !Bool::reset());
        let sent_tag = delayed("sent_tag", its_tag.value());
        let word = io.decision.payload();
        let place = 8 * decision_layout::TAG.offset as u32;
        formal::assert(
            "the_decision_has_the_tag",
            !sent | (io.decision.valid() & word.bits(place..place + 32).eq(sent_tag)),
        );
        let passes = if self.beats == 1 { io.decision.ready() } else { Bool::lit(false) };
        let room = !io.decision.valid() | passes;
        let turns = reg("turns", uint(bits_for(u64::from(threads) + 2)), 0)
            .doc("Cycles with room in which an ended event did not leave");
        when(!(inside & has_ended) | freed, || turns.next(0))
            .elsewhen(room, || turns.next(turns.wrapping_add(1)));
        formal::assert("an_ended_event_leaves_in_turn", turns.lt(u64::from(threads)));

        let none_runs = (busy & !ended).is_zero() & !intake.waits;
        formal::assert(
            "a_commit_waits_for_running_events_only",
            switch.swaps.eq(state.pending & none_runs),
        );
        formal::assert(
            "an_idle_card_takes_events",
            !busy.is_zero()
                | io.hold
                | state.pending
                | Bool::reset()
                | io.event.ready()
                | (beat.valid & !beat.last),
        );
        formal::cover("a_swap_between_two_events", sent & its_bank & any(&[io.commit.value()]));
    }
}

/// The retire unit alone, whatever happens around it.
struct Waits {
    widths: Widths,
    beats: u32,
}

impl Component for Waits {
    type Io = RetireIo;

    fn name(&self) -> String {
        format!("decision_waits_t{}_b{}", self.widths.threads, self.beats)
    }

    fn io(&self) -> RetireIo {
        Retire { widths: self.widths, beats: self.beats }.io()
    }

    fn build(&self, io: RetireIo) {
        Retire { widths: self.widths, beats: self.beats }.build(io.clone());
        let decision = &io.decision;
        let full = delayed("waited", decision.valid() & !decision.ready() & !Bool::reset());
        let word = decision.payload();
        let word_before = delayed("word_before", word);
        formal::assert("a_decision_waits", !full | (decision.valid() & word.eq(word_before)));
        formal::cover("one_has_waited", full);
    }
}

/// By induction over words: that a sum stays as long as what is added does is no matter of bits.
#[test]
fn a_decision_stays_as_it_is_until_it_is_taken() {
    let widths = Widths::of(&CardShape::tiny());
    for beats in [1, 4] {
        super::prove(Waits { widths, beats }, Goal::Induction { cycles: 2 });
    }
}

#[test]
fn every_event_ends_in_one_decision_with_its_tag_and_sees_one_bank() {
    let mut shape = CardShape::tiny();
    super::prove(Life { widths: Widths::of(&shape), beats: 1 }, Goal::Always);
    shape.stages = 2;
    shape.engine.threads = 4;
    for beats in [1, 4] {
        super::prove(Life { widths: Widths::of(&shape), beats }, Goal::Always);
    }
}
