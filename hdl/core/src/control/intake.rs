//! The register at the core's event port: an event waits here while its program slot is looked up.

use rmt_isa::event::event_layout::{HOOK, KEY};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::slots::SlotChoice;
use crate::bits::crc32c;
use crate::config::Widths;

/// Keeps one event, and beside it what its program slot says, so that neither the way to the slots
/// nor the hash of the key lies before the dispatcher's decision, nor that decision behind another
/// unit's. One event each cycle can pass.
///
/// An event that has come in runs: a commit waits for it like for one that has a thread, so what
/// its slot said when it came in holds when it leaves.
pub struct Intake {
    pub(crate) widths: Widths,
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
    /// CRC-32C of its key
    pub hash: Output<UInt>,
    /// What its slot says, in the same cycle
    pub looked_up: Input<SlotChoice>,
    /// The event, to the dispatcher
    pub taken: StreamOut<UInt>,
    /// What its slot says
    pub choice: Output<SlotChoice>,
    /// An event comes in
    pub enters: Output<Bool>,
    /// An event waits here
    pub waits: Output<Bool>,
}

impl Component for Intake {
    type Io = IntakeIo;

    fn name(&self) -> String {
        format!("intake_t{}", self.widths.threads)
    }

    fn doc(&self) -> String {
        "The register at the core's event port".into()
    }

    fn io(&self) -> IntakeIo {
        IntakeIo {
            event: stream_in(uint(512)),
            stop: input(boolean()),
            hook: output(uint(8 * HOOK.bytes as u32)),
            hash: output(uint(32)),
            looked_up: input(SlotChoice::shape(&self.widths)),
            taken: stream_out(uint(512)),
            choice: output(SlotChoice::shape(&self.widths)),
            enters: output(boolean()),
            waits: output(boolean()),
        }
    }

    fn build(&self, io: IntakeIo) {
        let valid = reg("valid", boolean(), false);
        let held = reg_uninit("held", uint(512));
        let choice = reg_uninit("held_choice", SlotChoice::shape(&self.widths));
        let free = !valid | io.taken.ready();
        let ready = free & !io.stop & !Bool::reset();
        let event = io.event.payload();
        let part = |field: rmt_isa::event::WireField| {
            event.bits(8 * field.offset as u32..8 * (field.offset + field.bytes) as u32)
        };
        io.event.accept(ready);
        let enters = ready & io.event.valid();
        io.hook.set(part(HOOK));
        io.hash.set(crc32c(u32::MAX, part(KEY)));
        when(free, || {
            valid.next(enters);
            held.next(event);
            choice.next(io.looked_up.value());
        });
        io.taken.offer(valid.value(), held.value());
        io.choice.set(choice.value());
        io.enters.set(enters);
        io.waits.set(valid.value());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::arithmetic::hash_key;
    use rmt_isa::card::CardShape;

    fn offer(sim: &mut Simulator, hook: u64, key: u64) {
        sim.poke("event_valid", 1);
        sim.poke_bits("event_payload", &Bits::from_words(512, &[hook, key, 0, 0, 0, 0, 0, 0]));
    }

    #[test]
    fn an_event_keeps_the_choice_of_its_own_hook_while_it_waits() {
        let widths = Widths::of(&CardShape::tiny());
        let mut sim = elaborate(Intake { widths }).unwrap().simulator();
        offer(&mut sim, 3, 77);
        assert_eq!(["event_ready", "enters"].map(|port| sim.peek(port)), [1, 1]);
        assert_eq!(["hook", "hash"].map(|port| sim.peek(port)), [3, u64::from(hash_key(77))]);
        sim.poke("looked_up_slot", 5);
        sim.step();
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
        let widths = Widths::of(&CardShape::tiny());
        let mut sim = elaborate(Intake { widths }).unwrap().simulator();
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
}
