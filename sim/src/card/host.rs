//! What the host does while events run: accesses of the host port, one after the other.

use std::collections::VecDeque;

use rmt_isa::card::fields::control_commit;
use rmt_isa::card::regions::CONTROL;
use rmt_isa::card::update::Update;

use super::{CardError, HostRequest, Pins};

/// One step of the host.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A write.
    Write { address: u32, value: u64 },
    /// Control word 0 is read until these bits are clear.
    UntilClear { mask: u64 },
}

/// Steps that wait, and the access that is under way.
#[derive(Debug, Default)]
pub(super) struct HostSteps {
    waiting: VecDeque<Step>,
    under_way: bool,
}

impl HostSteps {
    /// Appends the steps of a commit, up to the one that sees it done.
    pub(super) fn push(&mut self, update: &Update) {
        for (place, write) in update.writes.iter().enumerate() {
            self.waiting.push_back(Step::Write { address: write.address, value: write.value });
            if place == 0 && update.holds {
                self.waiting
                    .push_back(Step::UntilClear { mask: control_commit::RUNNING.insert(1) });
            }
        }
        self.waiting.push_back(Step::UntilClear { mask: control_commit::COMMIT.insert(1) });
    }

    /// Whether all steps are done.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The host's side of one cycle, before the pins settle.
    pub(super) fn drive(&mut self, pins: &mut impl Pins) -> Result<(), CardError> {
        if self.under_way {
            pins.set_host(None)?;
            let Some(value) = pins.host_answer()? else { return Ok(()) };
            self.under_way = false;
            match self.waiting.front() {
                Some(Step::UntilClear { mask }) if value & mask != 0 => {}
                _ => drop(self.waiting.pop_front()),
            }
        }
        let Some(&step) = self.waiting.front() else { return Ok(()) };
        let request = match step {
            Step::Write { address, value } => HostRequest { address, write: Some(value) },
            Step::UntilClear { .. } => HostRequest { address: CONTROL.word(0), write: None },
        };
        self.under_way = true;
        pins.set_host(Some(request))
    }
}
