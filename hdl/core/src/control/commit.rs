//! The switch between the two banks.

use rtl_builder::prelude::*;

/// Lets a commit happen between two events. The host asks for it; from the next cycle on no
/// event is taken; when none runs any more, the banks change their roles; then events go on.
///
/// Events that run end by themselves or by the watchdog, so that a commit takes no longer
/// than its limit. With one bank there is nothing to swap: what remains is the wait.
pub struct BankSwitch {
    /// Number of banks, 1 or 2.
    pub(crate) banks: u32,
}

/// State of the banks.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct BankState {
    /// The bank that events use
    pub active: Bool,
    /// A commit waits for events that run
    pub pending: Bool,
    /// An event runs
    pub running: Bool,
}

impl BankState {
    pub(crate) fn shape() -> Self {
        Self { active: boolean(), pending: boolean(), running: boolean() }
    }
}

/// Ports of [`BankSwitch`].
#[derive(Clone, Ports)]
pub struct BankSwitchIo {
    /// The host asks for a commit
    pub commit: Input<Bool>,
    /// No event is to be taken, commit or not
    pub hold: Input<Bool>,
    /// An event has come into the core and has not ended
    pub running: Input<Bool>,
    /// No event may be taken in this cycle
    pub stop: Output<Bool>,
    /// The banks are swapped at the end of this cycle
    pub swaps: Output<Bool>,
    /// For the host, and for all that is banked
    pub state: Output<BankState>,
}

impl Component for BankSwitch {
    type Io = BankSwitchIo;

    fn name(&self) -> String {
        format!("bank_switch_b{}", self.banks)
    }

    fn doc(&self) -> String {
        "Swaps the banks between two events".into()
    }

    fn io(&self) -> BankSwitchIo {
        BankSwitchIo {
            commit: input(boolean()),
            hold: input(boolean()),
            running: input(boolean()),
            stop: output(boolean()),
            swaps: output(boolean()),
            state: output(BankState::shape()),
        }
    }

    fn build(&self, io: BankSwitchIo) {
        let pending = reg("pending", boolean(), false);
        let done = (pending.value() & !io.running.value()).named("done");
        when(io.commit, || pending.next(true)).elsewhen(done, || pending.next(false));
        let (active, swaps) = if self.banks == 2 {
            let active = reg("active", boolean(), false);
            when(done, || active.next(!active.value()));
            (active.value(), done)
        } else {
            (Bool::lit(false), Bool::lit(false))
        };
        io.stop.set(pending.value() | io.hold);
        io.swaps.set(swaps);
        io.state.set(BankState { active, pending: pending.value(), running: io.running.value() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banks_are_swapped_when_nothing_runs_and_nothing_is_taken_meanwhile() {
        let mut sim = elaborate(BankSwitch { banks: 2 }).unwrap().simulator();
        sim.poke("running", 1);
        sim.poke("commit", 1);
        assert_eq!(sim.peek("stop"), 0, "an event may still be taken in the cycle of the request");
        sim.step();
        sim.poke("commit", 0);
        for _ in 0..5 {
            let seen = ["stop", "state_pending", "state_active"].map(|port| sim.peek(port));
            assert_eq!(seen, [1, 1, 0]);
            sim.step();
        }
        sim.poke("running", 0);
        assert_eq!(["stop", "swaps"].map(|port| sim.peek(port)), [1, 1]);
        sim.step();
        let seen = ["stop", "swaps", "state_pending", "state_active"].map(|port| sim.peek(port));
        assert_eq!(seen, [0, 0, 0, 1]);
    }

    #[test]
    fn a_held_card_takes_nothing_and_swaps_nothing() {
        let mut sim = elaborate(BankSwitch { banks: 1 }).unwrap().simulator();
        sim.poke("hold", 1);
        assert_eq!(["stop", "swaps"].map(|port| sim.peek(port)), [1, 0]);
        sim.poke("commit", 1);
        sim.step();
        sim.poke("commit", 0);
        sim.poke("hold", 0);
        assert_eq!(["stop", "swaps"].map(|port| sim.peek(port)), [1, 0]);
        sim.step();
        assert_eq!(["stop", "state_active"].map(|port| sim.peek(port)), [0, 0]);
    }
}
