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
    /// The write that asks for the commit. Unless the card holds events back anyway, none is
    /// offered while it is under way, so that it is known which events come before the commit
    /// and which behind it.
    Commit { value: u64, held: bool },
    /// Control word 0 is read until these bits are clear.
    UntilClear { mask: u64 },
}

/// Steps that wait, and the access that is under way.
#[derive(Debug, Default)]
pub(super) struct HostSteps {
    waiting: VecDeque<Step>,
    under_way: bool,
    /// The commit was asked for: events that are taken from now on come behind it.
    boundary: bool,
}

impl HostSteps {
    /// Appends the steps of a commit, up to the one that sees it done.
    pub(super) fn push(&mut self, update: &Update) {
        for (place, write) in update.writes.iter().enumerate() {
            let (address, value) = (write.address, write.value);
            self.waiting.push_back(match place + 1 == update.writes.len() {
                true => Step::Commit { value, held: update.holds },
                false => Step::Write { address, value },
            });
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

    /// Whether a commit was asked for since this was asked last.
    pub(super) fn take_boundary(&mut self) -> bool {
        std::mem::take(&mut self.boundary)
    }

    /// The host's side of one cycle, before the pins settle. `offered`: an event is offered
    /// since the last cycle. The result says whether one may be offered in this cycle.
    pub(super) fn drive(&mut self, pins: &mut impl Pins, offered: bool) -> Result<bool, CardError> {
        if self.under_way {
            pins.set_host(None)?;
            let commits = matches!(self.waiting.front(), Some(Step::Commit { .. }));
            let free = !matches!(self.waiting.front(), Some(Step::Commit { held: false, .. }));
            let Some(value) = pins.host_answer()? else { return Ok(free) };
            self.under_way = false;
            self.boundary |= commits;
            match self.waiting.front() {
                Some(Step::UntilClear { mask }) if value & mask != 0 => {}
                _ => drop(self.waiting.pop_front()),
            }
        }
        let Some(&step) = self.waiting.front() else { return Ok(true) };
        let pauses = matches!(step, Step::Commit { held: false, .. });
        if pauses && offered {
            return Ok(true);
        }
        let request = match step {
            Step::Commit { value, .. } => {
                HostRequest { address: CONTROL.word(0), write: Some(value) }
            }
            Step::Write { address, value } => HostRequest { address, write: Some(value) },
            Step::UntilClear { .. } => HostRequest { address: CONTROL.word(0), write: None },
        };
        self.under_way = true;
        pins.set_host(Some(request))?;
        Ok(!pauses)
    }
}
