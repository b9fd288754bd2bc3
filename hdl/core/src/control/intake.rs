//! The register at the core's event port: an event waits here for a thread, and goes to its copies.

use rmt_isa::event::event_layout::{HOOK, KEY};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::slots::SlotChoice;
use crate::bits::crc32c;
use crate::config::Widths;
use crate::event::EVENT_BITS;
use crate::signals::{EventBeat, ThreadPulse};

/// Keeps one event, and beside it what its program slot says, so that neither the way to the slots
/// nor the hash of the key lies before the dispatcher's decision, nor that decision behind another
/// unit's. An event that is taken goes to the copies of its thread in `beats` parts, one each cycle, from here: so many
/// cycles later the next one can be taken, with one part one each cycle.
///
/// An event that has come in runs: a commit waits for it like for one that has a thread, so what
/// its slot said when it came in holds when it leaves.
pub struct Intake {
    pub(crate) widths: Widths,
    /// Parts in which an event goes on, 1, 2 or 4.
    pub(crate) beats: u32,
}

/// Ports of [`Intake`].
#[derive(Clone, Ports)]
pub struct IntakeIo {
    /// Events of 64 bytes, byte i in bits 8i+7..8i
    pub event: StreamIn<UInt>,
    /// No event may come in: a commit waits, or the host holds events
    pub stop: Input<Bool>,
    /// Hook of the event that comes in
    pub hook: Output<UInt>,
    /// What its slot says, in the same cycle
    pub looked_up: Input<SlotChoice>,
    /// The event, to the dispatcher
    pub taken: StreamOut<UInt>,
    /// What its slot says
    pub choice: Output<SlotChoice>,
    /// Its lock: the masked CRC-32C of its key
    pub lock: Output<UInt>,
    /// The dispatcher takes the event for this thread
    pub accept: Input<ThreadPulse>,
    /// Parts of the event, the first one in the cycle in which it is taken
    pub beat: Output<EventBeat>,
    /// An event comes in
    pub enters: Output<Bool>,
    /// An event waits here
    pub waits: Output<Bool>,
}

impl Component for Intake {
    type Io = IntakeIo;

    fn name(&self) -> String {
        format!("intake_t{}_b{}", self.widths.threads, self.beats)
    }

    fn doc(&self) -> String {
        "The register at the core's event port".into()
    }

    fn io(&self) -> IntakeIo {
        IntakeIo {
            event: stream_in(uint(EVENT_BITS)),
            stop: input(boolean()),
            hook: output(uint(8 * HOOK.bytes as u32)),
            looked_up: input(SlotChoice::shape(&self.widths)),
            taken: stream_out(uint(EVENT_BITS)),
            choice: output(SlotChoice::shape(&self.widths)),
            lock: output(uint(32)),
            accept: input(ThreadPulse::shape(&self.widths)),
            beat: output(EventBeat::shape(self.beats, self.widths.thread)),
            enters: output(boolean()),
            waits: output(boolean()),
        }
    }

    fn build(&self, io: IntakeIo) {
        let valid = reg("valid", boolean(), false);
        let held = reg_uninit("held", uint(EVENT_BITS));
        let choice = reg_uninit("held_choice", SlotChoice::shape(&self.widths));
        let (beat, leaves) = self.beat(&io, held.value());
        // An event that leaves in parts is here for so long that the next one need not come in the cycle in which it is taken: what
        // the dispatcher decides does not lie before what the core takes.
        let free = if self.beats == 1 { !valid | io.taken.ready() } else { !valid & !leaves };
        let ready = free & !io.stop & !Bool::reset();
        let event = io.event.payload();
        let part = |field: rmt_isa::event::WireField| {
            event.bits(8 * field.offset as u32..8 * (field.offset + field.bytes) as u32)
        };
        io.event.accept(ready);
        let enters = ready & io.event.valid();
        io.hook.set(part(HOOK));
        let hash = reg_uninit("held_hash", uint(32));
        let coming_hash = crc32c(u32::MAX, part(KEY));
        when(free, || {
            valid.next(enters);
            held.next(event);
            choice.next(io.looked_up.value());
            hash.next(coming_hash);
        })
        .elsewhen(io.taken.fire(), || valid.next(false));
        io.beat.set(beat);
        io.taken.offer(valid.value(), held.value());
        io.choice.set(choice.value());
        io.lock.set(hash.value() & choice.lock_mask);
        io.enters.set(enters);
        io.waits.set(valid.value());
    }
}

impl Intake {
    /// The part of the event that goes on in this cycle, and whether parts of an event that was taken before follow behind it.
    fn beat(&self, io: &IntakeIo, event: UInt) -> (EventBeat, Bool) {
        let accept = io.accept.value();
        if self.beats == 1 {
            let beat = EventBeat {
                valid: accept.valid,
                thread: accept.thread,
                number: UInt::lit(0, 1),
                last: Bool::lit(true),
                data: event,
            };
            return (beat, Bool::lit(false));
        }
        let number =
            reg("beat", uint(self.beats.ilog2()), 0).doc("Part that goes next; 0: none does");
        let owner =
            reg_uninit("owner", uint(self.widths.thread)).doc("The thread whose event goes");
        let follows = !number.is_zero();
        let valid = accept.valid | follows;
        let next = number.wrapping_add(1);
        when(valid, || number.next(next));
        when(accept.valid, || owner.next(accept.thread));
        let bits = EVENT_BITS / self.beats;
        let parts: Vec<UInt> =
            (0..self.beats).map(|part| event.bits(bits * part..bits * (part + 1))).collect();
        let is_last = |number: UInt| number.eq(u64::from(self.beats) - 1);
        // Whether the next event may come follows from a register: all of this one's bits wait for it.
        let leaves =
            reg("leaves", boolean(), false).doc("A part goes that is neither first nor last");
        leaves.next(valid & !next.is_zero() & !is_last(next));
        let beat = EventBeat {
            valid,
            thread: mux(follows, owner.value(), accept.thread),
            number: number.value(),
            last: is_last(number.value()),
            data: select(number.value(), &parts),
        };
        (beat, leaves.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::arithmetic::hash_key;
    use rmt_isa::card::CardShape;

    fn intake(beats: u32) -> Simulator {
        let widths = Widths::of(&CardShape::tiny());
        elaborate(Intake { widths, beats }).unwrap().simulator()
    }

    fn offer(sim: &mut Simulator, hook: u64, key: u64) {
        sim.poke("event_valid", 1);
        sim.poke_bits("event_payload", &Bits::from_words(512, &[hook, key, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn an_event_keeps_the_choice_of_its_own_hook_while_it_waits() {
        let mut sim = intake(1);
        offer(&mut sim, 3, 77);
        assert_eq!(["event_ready", "enters"].map(|port| sim.peek(port)), [1, 1]);
        assert_eq!(sim.peek("hook"), 3);
        sim.poke("looked_up_slot", 5);
        sim.poke("looked_up_lock_mask", 0xffff);
        sim.step();
        assert_eq!(sim.peek("lock"), u64::from(hash_key(77)) & 0xffff);
        // Another one is offered and waits.
        offer(&mut sim, 4, 78);
        sim.poke("looked_up_slot", 6);
        for _ in 0..3 {
            let now = ["taken_valid", "waits", "event_ready", "enters", "choice_slot"];
            assert_eq!(now.map(|port| sim.peek(port)), [1, 1, 0, 0, 5]);
            sim.step();
        }
        // The first one goes, the second one comes in the same cycle.
        sim.poke("taken_ready", 1);
        assert_eq!(["event_ready", "hook"].map(|port| sim.peek(port)), [1, 4]);
        sim.step();
        assert_eq!(["taken_valid", "choice_slot"].map(|port| sim.peek(port)), [1, 6]);
    }

    #[test]
    fn nothing_comes_in_while_a_commit_waits_and_what_is_here_goes_on() {
        let mut sim = intake(1);
        offer(&mut sim, 3, 77);
        sim.step();
        sim.poke("stop", 1);
        sim.poke("taken_ready", 1);
        assert_eq!(["taken_valid", "event_ready"].map(|port| sim.peek(port)), [1, 0]);
        sim.step();
        assert_eq!(["waits", "event_ready"].map(|port| sim.peek(port)), [0, 0]);
        sim.poke("stop", 0);
        assert_eq!(["event_ready", "enters"].map(|port| sim.peek(port)), [1, 1]);
    }

    #[test]
    fn an_event_goes_on_in_parts_and_the_next_one_comes_in_with_the_last() {
        for beats in [2, 4] {
            let mut sim = intake(beats);
            let words: Vec<u64> = (1..=8).collect();
            sim.poke("event_valid", 1);
            sim.poke_bits("event_payload", &Bits::from_words(512, &words));
            sim.step();
            assert_eq!(
                ["taken_valid", "event_ready", "beat_valid"].map(|port| sim.peek(port)),
                [1, 0, 0]
            );
            // The dispatcher takes it for thread 1, and then may say anything.
            sim.poke("taken_ready", 1);
            sim.poke("accept_valid", 1);
            sim.poke("accept_thread", 1);
            for (number, part) in (0..).zip(words.chunks(8 / beats as usize)) {
                let last = number + 1 == u64::from(beats);
                let seen = ["beat_valid", "beat_thread", "beat_number", "beat_last", "event_ready"];
                let expected = [1, 1, number, last.into(), last.into()];
                assert_eq!(seen.map(|port| sim.peek(port)), expected, "part {number} of {beats}");
                assert_eq!(sim.peek_bits("beat_data").words(), part);
                sim.step();
                sim.poke("accept_valid", 0);
                sim.poke("accept_thread", 0);
            }
            assert_eq!(["taken_valid", "beat_valid"].map(|port| sim.peek(port)), [1, 0]);
        }
    }
}
