//! Random verified programs on the core: random tables, contexts, models and events, with
//! pauses, back-pressure and commits at random; every decision and the state compared.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use rmt_isa::card::update::BankMirror;
use rmt_isa::card::{CardImage, CardShape, LowerError, lower};
use rmt_isa::event::event_layout;
use rmt_isa::instruction::Class;
use rmt_isa::program::Ordering;
use rmt_isa::{Decision, Event, INSTRUCTIONS};
use rmt_vm::Machine;
use rmt_vm::generate::{Options, Random, Step, verified_case};
use rmt_vm::state::Change;
use rmt_vm::verifier::{Limits, verify};

use super::coverage::Coverage;
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

/// What a card of a shape can run, and what that leaves out.
fn generator(shape: &CardShape) -> (Options, Vec<String>) {
    let mut left_out = Vec::new();
    let mut options = Options::default();
    let edge = shape.engine.array as usize;
    options.key_bits = shape.match_key_bits;
    options.lanes = (shape.engine.vector_lanes as usize).min(40.max(3 * edge));
    options.ring_depth = options.ring_depth.max(2 * edge);
    // To install a program and to compare the state takes thousands of cycles.
    options.events = 40..=120;
    options.commit_every = 30;
    for info in INSTRUCTIONS.iter().filter(|info| !shape.executes_opcode(info.opcode)) {
        left_out.push(format!("instruction `{}`", info.mnemonic));
    }
    let maps = INSTRUCTIONS.iter().filter(|info| info.class == Class::Map);
    if !maps.into_iter().any(|info| shape.executes_opcode(info.opcode)) {
        options.map_kinds = vec![];
        options.maps = 0..=0;
        left_out.push("maps".to_owned());
    }
    if shape.match_key_bits < rmt_isa::limits::MAX_KEY_BITS {
        left_out.push(format!("keys of more than {} bits", shape.match_key_bits));
    }
    (options.with_instructions(|info| shape.executes_opcode(info.opcode)), left_out)
}

/// The options of a seed: vectors of all ways to fit an array of N take turns.
fn options_of(seed: u64, options: &Options, shape: &CardShape) -> Options {
    let edge = shape.engine.array as usize;
    let likely = [
        [edge / 2 + 1, edge],
        [edge, edge + 3],
        [2 * edge, edge - 1],
        [edge + 2, 2 * edge],
        [edge, 2 * edge + 4],
        [4, 6],
    ];
    let mut options = options.clone();
    options.likely_lanes = likely[(seed % likely.len() as u64) as usize];
    // Events of one key in order, those of others overlapping: maps would order all of them.
    if seed % 4 == 1 {
        (options.keyed, options.maps, options.contexts) = (true, 0..=0, 1..=2);
    }
    options
}

/// Why a program does not go onto the card, without the names of the program.
fn reason(error: &LowerError) -> String {
    match error {
        LowerError::Memory { parameter, .. } => format!("`{parameter}` is too small"),
        LowerError::KeyWidth { .. } => "`match_key_bits` is too small".to_owned(),
        LowerError::NoSlot { .. } => "`match_buckets` is too small".to_owned(),
        LowerError::Instruction { what, .. } => format!("the card does not execute {what}"),
        LowerError::Models(_) => "a model does not fit the engine".to_owned(),
        other => other.to_string(),
    }
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
    let (generator, left_out) = generator(&shape);
    let mut mirror = BankMirror::new(&shape);
    let mut report = RandomReport {
        events: 0,
        programs: 0,
        commits: 0,
        skipped: BTreeMap::new(),
        left_out,
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
        let case = verified_case(seed, &options_of(seed, &generator, &shape));
        let ordering = match verify(&case.program, &Limits::default()) {
            Ok(checked) => checked.ordering.class,
            Err(_) => {
                report.skip("program: the verifier refuses it");
                continue;
            }
        };
        let image = match lower(&case.program, ordering, &shape) {
            Ok(image) => image,
            Err(error) => {
                report.skip(&format!("program: {}", reason(&error)));
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
        changes.retain(|change| {
            use Change::*;
            matches!(
                change,
                AddEntry { .. }
                    | ChangeEntry { .. }
                    | RemoveEntry { .. }
                    | SetDefault { .. }
                    | SwapModel { .. }
            )
        });
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
