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
/// The slot is looked up again in each cycle: what stands beside the event is what the slots
/// said one cycle ago. No event may be taken in the cycle after they changed; the
/// [`BankSwitch`](super::commit::BankSwitch) sees to that.
pub struct Intake {
    pub(crate) widths: Widths,
}

/// Ports of [`Intake`].
#[derive(Clone, Ports)]
pub struct IntakeIo {
    /// Events of 64 bytes, byte i in bits 8i+7..8i
    pub event: StreamIn<UInt>,
    /// Hook of the event that will stand here in the next cycle
    pub hook: Output<UInt>,
    /// CRC-32C of its key
    pub hash: Output<UInt>,
    /// What its slot says, in the same cycle
    pub looked_up: Input<SlotChoice>,
    /// The event, to the dispatcher
    pub taken: StreamOut<UInt>,
    /// What its slot says
    pub choice: Output<SlotChoice>,
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
            hook: output(uint(8 * HOOK.bytes as u32)),
            hash: output(uint(32)),
            looked_up: input(SlotChoice::shape(&self.widths)),
            taken: stream_out(uint(512)),
            choice: output(SlotChoice::shape(&self.widths)),
        }
    }

    fn build(&self, io: IntakeIo) {
        let valid = reg("valid", boolean(), false);
        let held = reg_uninit("held", uint(512));
        let held_hash = reg_uninit("held_hash", uint(32));
        let enters = !valid | io.taken.ready();
        let event = io.event.payload();
        let part = |event: UInt, field: rmt_isa::event::WireField| {
            event.bits(8 * field.offset as u32..8 * (field.offset + field.bytes) as u32)
        };
        let hash = mux(enters, crc32c(u32::MAX, part(event, KEY)), held_hash.value());
        io.event.accept(enters & !Bool::reset());
        when(enters, || {
            valid.next(io.event.valid());
            held.next(event);
        });
        held_hash.next(hash);
        io.hash.set(hash);
        io.hook.set(mux(enters, part(event, HOOK), part(held.value(), HOOK)));
        let choice = reg_uninit("held_choice", SlotChoice::shape(&self.widths));
        choice.next(io.looked_up.value());
        io.choice.set(choice.value());
        io.taken.offer(valid.value(), held.value());
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
    fn an_event_has_the_choice_of_its_own_hook_also_when_it_waits() {
        let widths = Widths::of(&CardShape::tiny());
        let mut sim = elaborate(Intake { widths }).unwrap().simulator();
        offer(&mut sim, 3, 77);
        assert_eq!(sim.peek("event_ready"), 1);
        assert_eq!(["hook", "hash"].map(|port| sim.peek(port)), [3, u64::from(hash_key(77))]);
        sim.poke("looked_up_slot", 5);
        sim.step();
        // Another one is offered and waits: the slots are asked for the first one again.
        offer(&mut sim, 4, 78);
        for answer in [5, 6] {
            assert_eq!(["taken_valid", "event_ready"].map(|port| sim.peek(port)), [1, 0]);
            assert_eq!(sim.peek("choice_slot"), answer);
            assert_eq!(["hook", "hash"].map(|port| sim.peek(port)), [3, u64::from(hash_key(77))]);
            sim.poke("looked_up_slot", 6);
            sim.step();
        }
        // The first one goes, the second one comes in the same cycle.
        sim.poke("taken_ready", 1);
        assert_eq!(["event_ready", "hook"].map(|port| sim.peek(port)), [1, 4]);
        sim.poke("looked_up_slot", 1);
        sim.step();
        assert_eq!(["taken_valid", "choice_slot"].map(|port| sim.peek(port)), [1, 1]);
    }
}
