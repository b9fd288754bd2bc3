//! Random verified programs on the core: random tables, contexts, models and events, with
//! pauses, back-pressure and commits at random; every decision and the state compared.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use rmt_isa::card::update::BankMirror;
use rmt_isa::card::{CardImage, lower};
use rmt_isa::event::event_layout;
use rmt_isa::program::Ordering;
use rmt_isa::{Decision, Event};
use rmt_vm::Machine;
use rmt_vm::generate::{Random, Step};
use rmt_vm::state::Change;

use super::coverage::Coverage;
use super::programs::{Loadable, Programs, is_to_program, reason};
use super::report::{Mismatch, MismatchPlace};
use super::{CosimError, compare, state};
use crate::card::{Card, CardError, PATIENCE_CYCLES, Pins};

/// Programs between two comparisons of all words that the loader wrote. Records are compared
/// after each program.
const PROGRAMS_PER_WORD_CHECK: u64 = 32;

/// How many random programs to run.
#[derive(Clone, Copy, Debug)]
pub struct RandomOptions {
    /// Events, over as many programs as it takes.
    pub events: u64,
    /// Seed of the first program; the next one has the next seed.
    pub seed: u64,
}

/// What random programs showed.
#[derive(Debug)]
pub struct RandomReport {
    /// Events that were decided and compared.
    pub events: u64,
    /// Programs that ran.
    pub programs: u64,
    /// Commits that were carried out.
    pub commits: u64,
    /// What was generated and did not run on the card, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// What was not even generated, because no card of this version has it.
    pub left_out: Vec<String>,
    /// What the events made the machine do.
    pub coverage: Coverage,
    /// The first difference, with the seed of its program.
    pub mismatch: Option<(u64, Mismatch)>,
    /// Clock cycles simulated.
    pub cycles: u64,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// Runs random programs one after the other on a card, until enough events have run or the
/// card differs from the interpreter. `progress` is called with the number of events done.
///
/// # Errors
/// [`CosimError`] when the core stops answering.
pub fn cosimulate_random<P: Pins>(
    card: &mut Card<P>,
    options: RandomOptions,
    mut progress: impl FnMut(u64),
) -> Result<RandomReport, CosimError> {
    let begun = Instant::now();
    let shape = card.shape().clone();
    let programs = Programs::new(&shape);
    let mut mirror = BankMirror::new(&shape);
    let mut report = RandomReport {
        events: 0,
        programs: 0,
        commits: 0,
        skipped: BTreeMap::new(),
        left_out: programs.left_out.clone(),
        coverage: Coverage::new(&shape),
        mismatch: None,
        cycles: 0,
        seconds: 0.0,
    };
    let first_cycle = card.cycle();
    for seed in options.seed.. {
        if report.events >= options.events || report.mismatch.is_some() {
            break;
        }
        let Loadable { case, ordering, image } = match programs.of_seed(seed) {
            Ok(loadable) => loadable,
            Err(reason) => {
                report.skip(&format!("program: {reason}"));
                continue;
            }
        };
        card.install_words(&mirror.install(&image))?;
        report.programs += 1;
        report.coverage.program(&case.program, ordering);
        let mut run = Run {
            machine: Machine::new(&case.program)
                .map_err(|error| CosimError::Refused { seed, reason: error.to_string() })?,
            card,
            mirror: &mut mirror,
            report: &mut report,
            image,
            ordering,
            expected: HashMap::new(),
            waiting: VecDeque::new(),
            committing: None,
            random: Random::new(!seed),
            pauses: seed % 3 > 0,
            back_pressure: seed % 3 == 1,
            idle_cycles: 0,
            seed,
        };
        run.steps(&case.steps)?;
        progress(report.events);
    }
    count_counters(card, &mut report.coverage)?;
    report.cycles = card.cycle() - first_cycle;
    report.seconds = begun.elapsed().as_secs_f64();
    Ok(report)
}

/// Reads the card's own counters: what happened inside that the interpreter does not know of.
fn count_counters<P: Pins>(card: &mut Card<P>, coverage: &mut Coverage) -> Result<(), CosimError> {
    for (name, value) in card.counters()? {
        coverage.counter(name, value);
    }
    Ok(())
}

impl RandomReport {
    fn skip(&mut self, what: &str) {
        *self.skipped.entry(what.to_owned()).or_default() += 1;
    }
}

/// One program that runs.
struct Run<'a, P> {
    card: &'a mut Card<P>,
    mirror: &'a mut BankMirror,
    report: &'a mut RandomReport,
    machine: Machine,
    /// What the card holds when all commits that were begun are done.
    image: CardImage,
    ordering: Ordering,
    /// Decisions of events inside the card, by tag.
    expected: HashMap<u32, Decision>,
    /// Commits that wait for the one that is under way.
    waiting: VecDeque<Vec<Change>>,
    /// The commit that is under way, until the interpreter has done it, too.
    committing: Option<Vec<Change>>,
    random: Random,
    pauses: bool,
    back_pressure: bool,
    idle_cycles: u64,
    seed: u64,
}

impl<P: Pins> Run<'_, P> {
    fn steps(&mut self, steps: &[Step]) -> Result<(), CosimError> {
        let mut tag = 0;
        for step in steps {
            match step {
                Step::Commit(changes) => self.waiting.push_back(changes.clone()),
                Step::Event(event) => {
                    // The tag stands for the event inside the card.
                    let mut event = *event;
                    event.store(event_layout::TAG.offset, 4, tag);
                    tag += 1;
                    self.submit(&event)?;
                }
            }
            if self.report.mismatch.is_some() {
                return Ok(());
            }
        }
        while self.card.in_flight() > 0 || self.card.commits() || !self.waiting.is_empty() {
            self.begin_commit();
            self.advance(None)?;
        }
        let words = self.report.programs.is_multiple_of(PROGRAMS_PER_WORD_CHECK);
        let difference =
            state::first_difference(self.machine.state(), self.card, &self.image, words)?;
        if let Some(difference) = difference {
            let cycle = self.card.cycle();
            self.differ(Mismatch::new(tag, cycle, MismatchPlace::State, difference));
        }
        Ok(())
    }

    fn differ(&mut self, mismatch: Mismatch) {
        self.report.mismatch.get_or_insert((self.seed, mismatch));
    }

    /// Offers an event until the card takes it.
    fn submit(&mut self, event: &Event) -> Result<(), CosimError> {
        self.begin_commit();
        while self.pauses && self.random.one_in(3) {
            self.advance(None)?;
        }
        while !self.advance(Some(event))? {}
        self.report.coverage.event(self.machine.state(), event);
        let decision = self.machine.run_observed(event, &mut self.report.coverage);
        self.report.coverage.decision(&decision);
        self.expected.insert(event.tag(), decision);
        Ok(())
    }

    /// One cycle; whether the card took the event.
    fn advance(&mut self, offered: Option<&Event>) -> Result<bool, CosimError> {
        let ready = !self.back_pressure || self.random.one_in(3);
        let (accepted, decision) = self.card.exchange_when(offered, ready)?;
        // The banks are swapped before the event of this cycle, if there is one.
        if self.card.take_boundary()
            && let Some(changes) = self.committing.take()
        {
            self.report.commits += 1;
            self.report.coverage.commit(&changes);
            if let Err(error) = self.machine.state_mut().commit(&changes) {
                return Err(CosimError::Refused { seed: self.seed, reason: error.to_string() });
            }
        }
        self.idle_cycles = if accepted || decision.is_some() { 0 } else { self.idle_cycles + 1 };
        if self.idle_cycles > PATIENCE_CYCLES {
            let tag = self.expected.keys().min().copied().unwrap_or(0);
            return Err(CardError::EventTimeout { tag, cycles: PATIENCE_CYCLES }.into());
        }
        if let Some(timed) = decision {
            self.report.events += 1;
            // The card has checked that an event with this tag is inside.
            let Some(expected) = self.expected.remove(&timed.decision.tag) else {
                return Ok(accepted);
            };
            // A decision that waits to be taken spends cycles that the card does not count.
            let spent = match self.back_pressure {
                true => timed.decision.cycles.into(),
                false => timed.decided_cycle - timed.accepted_cycle,
            };
            if let Some(difference) = compare::decisions(&expected, &timed.decision, spent) {
                let (event, cycle) = (timed.decision.tag.into(), timed.decided_cycle);
                self.differ(Mismatch::new(event, cycle, MismatchPlace::Decision, difference));
            }
        }
        Ok(accepted)
    }

    /// Begins the next commit, if none is under way and the interpreter takes it.
    fn begin_commit(&mut self) {
        if self.card.commits() || self.committing.is_some() {
            return;
        }
        let Some(mut changes) = self.waiting.pop_front() else { return };
        let all = changes.len();
        changes.retain(is_to_program);
        for _ in changes.len()..all {
            self.report.skip("change: records and maps are not written while events run");
        }
        if changes.is_empty() {
            return;
        }
        let mut after = self.machine.state().clone();
        if after.commit(&changes).is_err() {
            self.report.skip("commit: the interpreter refuses it");
            return;
        }
        let image = match lower(&after.current_program(), self.ordering, self.card.shape()) {
            Ok(image) => image,
            Err(error) => {
                self.report.skip(&format!("commit: {}", reason(&error)));
                return;
            }
        };
        match self.mirror.update(&image) {
            Ok(update) => self.card.commit(&update),
            Err(error) => {
                self.report.skip(&format!("commit: {error}"));
                return;
            }
        }
        self.image = image;
        self.committing = Some(changes);
    }
}
