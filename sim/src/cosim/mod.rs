//! Co-simulation: the same events through the interpreter and through the RTL, and every bit
//! compared.
//!
//! [`cosimulate`] keeps the core busy with up to a given number of events, compares each
//! decision when it leaves, and at checkpoints, with the core drained, the whole state. Where
//! a checkpoint differs, [`localise`](fn@localise) runs the events again, one by one, and names
//! the first that went wrong. [`CosimReport`] is the result. [`cosimulate_random`] does so with
//! random programs, which `programs` chooses for the card, and commits, and counts in [`coverage`]
//! what they made the machine do.

mod compare;
pub mod coverage;
mod localise;
mod programs;
mod random;
mod report;
mod state;

use std::collections::HashMap;
use std::time::Instant;

use rmt_isa::card::CardImage;
use rmt_isa::{Decision, Event};
use rmt_vm::Machine;

use crate::card::{Card, CardError, PATIENCE_CYCLES, Pins, TimedDecision};
pub use coverage::Coverage;
pub use localise::localise;
pub use programs::coverage_of_programs;
pub use random::{RandomOptions, RandomReport, cosimulate_random};
pub use report::{CosimReport, Mismatch, MismatchPlace};
pub use state::{first_state_difference, read_state};

/// How to co-simulate.
#[derive(Clone, Copy, Debug)]
pub struct CosimOptions {
    /// Events inside the core at a time, at least 1. With 1, cycles per event are those of a
    /// lone event.
    pub in_flight: usize,
    /// Events between two comparisons of the whole state, at least 1.
    pub checkpoint_events: u64,
    /// Mismatches after which to stop.
    pub most_mismatches: usize,
}

impl Default for CosimOptions {
    fn default() -> Self {
        Self { in_flight: 1, checkpoint_events: 4096, most_mismatches: 1 }
    }
}

/// Why a co-simulation cannot be carried out; a difference is no error but a result.
#[derive(Debug, thiserror::Error)]
pub enum CosimError {
    /// The core or its simulator failed.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The interpreter refuses what it must take.
    #[error(
        "the interpreter refuses the program or commit of seed {seed}: {reason}; please report it"
    )]
    Refused {
        /// Seed of the program.
        seed: u64,
        /// What it says.
        reason: String,
    },
    /// The events cannot be read.
    #[error(transparent)]
    Events(#[from] rmt_vm::events::EventsError),
}

/// What the interpreter decided for an event that is inside the core.
struct Expected {
    number: u64,
    decision: Decision,
}

/// A co-simulation that runs.
struct Run<'a, P> {
    card: &'a mut Card<P>,
    image: &'a CardImage,
    machine: &'a mut Machine,
    options: CosimOptions,
    expected: HashMap<u32, Expected>,
    report: CosimReport,
    idle_cycles: u64,
}

/// Runs `events` on the interpreter and on the core; both have the same program loaded
/// (`image` on the core) and are in its initial state. `progress` is called with the number of events done.
///
/// # Errors
/// [`CosimError`] when the core stops answering or the events cannot be read.
pub fn cosimulate<P: Pins>(
    card: &mut Card<P>,
    image: &CardImage,
    machine: &mut Machine,
    events: impl IntoIterator<Item = Result<Event, rmt_vm::events::EventsError>>,
    options: CosimOptions,
    mut progress: impl FnMut(u64),
) -> Result<CosimReport, CosimError> {
    let begun = Instant::now();
    let counted = card.counters()?;
    let first_cycle = card.cycle();
    let mut run = Run {
        card,
        image,
        machine,
        options,
        expected: HashMap::new(),
        report: CosimReport::default(),
        idle_cycles: 0,
    };
    let mut number = 0;
    for event in events {
        run.submit(number, &event?)?;
        number += 1;
        progress(number);
        if number.is_multiple_of(options.checkpoint_events) {
            run.checkpoint()?;
        }
        if run.report.mismatches.len() >= options.most_mismatches {
            break;
        }
    }
    run.checkpoint()?;
    let mut report = run.report;
    report.cycles = card.cycle() - first_cycle;
    report.seconds = begun.elapsed().as_secs_f64();
    report.count(&counted, &card.counters()?);
    report.cycles_per_event.sort_unstable();
    Ok(report)
}

impl<P: Pins> Run<'_, P> {
    /// Offers an event until the core takes it, waiting first for room.
    fn submit(&mut self, number: u64, event: &Event) -> Result<(), CosimError> {
        // The tag stands for the event inside the core, whatever the trace had there.
        let mut event = *event;
        let tag = number as u32;
        event.store(rmt_isa::event::event_layout::TAG.offset, 4, tag.into());
        while self.card.in_flight() >= self.options.in_flight {
            self.advance(None)?;
        }
        let decision = self.machine.run(&event);
        self.expected.insert(tag, Expected { number, decision });
        while !self.advance(Some(&event))? {}
        Ok(())
    }

    /// Lets all events inside the core end, then compares the state.
    fn checkpoint(&mut self) -> Result<(), CosimError> {
        while self.card.in_flight() > 0 {
            self.advance(None)?;
        }
        self.report.checkpoints += 1;
        let difference =
            state::first_difference(self.machine.state(), self.card, self.image, true)?;
        if let Some(difference) = difference {
            let event = self.report.events.saturating_sub(1);
            let cycle = self.card.cycle();
            let place = MismatchPlace::State;
            self.report.mismatches.push(Mismatch::new(event, cycle, place, difference));
        }
        Ok(())
    }

    /// One cycle; whether the core took the event.
    fn advance(&mut self, offered: Option<&Event>) -> Result<bool, CosimError> {
        let (accepted, decision) = self.card.exchange(offered)?;
        self.idle_cycles = if accepted || decision.is_some() { 0 } else { self.idle_cycles + 1 };
        if let Some(decision) = decision {
            self.compare(&decision);
        }
        if self.idle_cycles > PATIENCE_CYCLES {
            let tag = self.expected.keys().min().copied().unwrap_or(0);
            return Err(CardError::EventTimeout { tag, cycles: PATIENCE_CYCLES }.into());
        }
        Ok(accepted)
    }

    fn compare(&mut self, timed: &TimedDecision) {
        // The card has checked that an event with this tag is inside.
        let Some(expected) = self.expected.remove(&timed.decision.tag) else { return };
        let spent = timed.decided_cycle - timed.accepted_cycle;
        self.report.events += 1;
        self.report.cycles_per_event.push(spent);
        let difference = compare::decisions(&expected.decision, &timed.decision, spent);
        if let Some(difference) = difference {
            let (event, cycle) = (expected.number, timed.decided_cycle);
            let place = MismatchPlace::Decision;
            self.report.mismatches.push(Mismatch::new(event, cycle, place, difference));
        }
    }
}
