//! A program that runs, with its engine, its counters and what is remembered of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rmt_driver::Miss;
use rmt_isa::program::Ordering;
use rmt_isa::{Decision, Event, Program};
use rmt_vm::jit::ReadyModels;
use rmt_vm::state::{Applied, Change, Contents};
use rmt_vm::verifier::{EngineKind, Limits, Report};

use super::card::{CardEngine, CardError, CommitPlanner, PlannedCommit};
use super::software::{Software, SoftwareError};
use crate::accuracy::Watch;
use crate::cache::ResultCache;
use crate::counters::Counters;
use crate::placement::{Look, Placer};
use crate::protocol::{EngineName, Wish};

/// Longest time of an event that is told apart, nanoseconds.
const LONGEST_NS: u64 = 1_000_000_000;
/// How often what the card has written is read back.
const CHECKPOINT: Duration = Duration::from_secs(2);

/// A program, made ready outside of the way of events.
pub struct Prepared {
    /// The program as its image says.
    pub program: Arc<Program>,
    /// Its image.
    pub image: Arc<[u8]>,
    /// What the verifier found.
    pub report: Report,
    /// Where it shall run.
    pub wish: Wish,
    /// Its engine in this process.
    pub software: Software,
}

/// What of a commit was made ready outside of the way of events.
#[derive(Default)]
pub struct Ready {
    /// Code for the models that it swaps.
    pub models: Option<ReadyModels>,
    /// What the card is given.
    pub planned: Option<PlannedCommit>,
}

/// A commit to be worked out for the card.
pub struct Planning {
    planner: CommitPlanner,
    program: Program,
    ordering: Ordering,
}

impl Planning {
    /// Works it out.
    ///
    /// # Errors
    /// When the card cannot hold the program with the changes.
    pub fn plan(self) -> Result<PlannedCommit, HostedError> {
        Ok(self.planner.plan(self.program, self.ordering)?)
    }
}

/// Why a change to a program was refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum HostedError {
    /// By the software engine.
    #[error(transparent)]
    Software(Box<SoftwareError>),
    /// By the card.
    #[error("the card cannot hold the program with this change: {0}")]
    Card(Box<CardError>),
}

impl From<SoftwareError> for HostedError {
    fn from(error: SoftwareError) -> Self {
        Self::Software(Box::new(error))
    }
}

impl From<CardError> for HostedError {
    fn from(error: CardError) -> Self {
        Self::Card(Box::new(error))
    }
}

/// A program that runs. While it is on the card, `software` stands by with the same tables and
/// models, and with what the card had written when it was last read back.
pub struct Hosted {
    /// What it was made of.
    pub prepared: Prepared,
    /// Its slot on the card, while the card decides.
    pub slot: Option<u32>,
    /// What happened.
    pub counters: Counters,
    /// Time of an event, nanoseconds.
    pub times: Histogram<u64>,
    /// Since the last look of placement.
    pub look: Look,
    /// When to move.
    pub placer: Placer,
    /// What policies want to know.
    pub watch: Option<Watch>,
    cache: Option<ResultCache>,
    checkpoint: Instant,
    /// Events of the current batch that the card did not decide.
    misses: Vec<(usize, Miss)>,
}

impl Hosted {
    /// A program that begins on its software engine.
    pub fn new(prepared: Prepared, now: Instant) -> Self {
        // The bounds are constants that are in order.
        let times = Histogram::new_with_bounds(1, LONGEST_NS, 2);
        let ordering = prepared.report.ordering.class;
        Self {
            cache: ResultCache::for_program(&prepared.program, ordering),
            prepared,
            slot: None,
            counters: Counters::default(),
            times: times.unwrap_or_else(|_| unreachable!("1 to 10^9 with two digits")),
            look: Look::default(),
            placer: Placer::new(now),
            watch: None,
            checkpoint: now,
            misses: Vec::new(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.prepared.program.name
    }

    /// Whether the card decides.
    pub fn on_card(&self) -> bool {
        self.slot.is_some()
    }

    /// Where it runs.
    pub fn engine(&self) -> EngineName {
        if self.on_card() { EngineName::Card } else { self.prepared.software.name() }
    }

    /// Whether a card of the shape that the verifier was given can run it.
    pub fn fits_card(&self) -> bool {
        let reached = self.prepared.report.actions.iter().filter(|action| action.cost.is_some());
        let on_card = |engine: EngineKind| engine == EngineKind::Card;
        reached.flat_map(|action| &action.engines).all(|p| !on_card(p.engine) || p.possible())
    }

    /// Decides events in order.
    pub fn decide(
        &mut self,
        card: Option<&mut CardEngine>,
        events: &[Event],
        out: &mut Vec<Decision>,
    ) {
        let begun = Instant::now();
        let first = out.len();
        match (card, self.slot) {
            (Some(card), Some(slot)) => self.decide_on_card(card, slot, events, out),
            _ => self.decide_in_software(events, out),
        }
        let decided = &out[first..];
        decided.iter().for_each(|decision| self.counters.count(decision.status));
        if let Some(watch) = &mut self.watch {
            events.iter().zip(decided).for_each(|(event, decision)| watch.observe(event, decision));
        }
        let nanoseconds = begun.elapsed().as_nanos() as u64;
        let count = events.len() as u64;
        self.look.events += count;
        self.look.batches += 1;
        self.look.nanoseconds += nanoseconds;
        self.times.saturating_record_n((nanoseconds / count.max(1)).max(1), count);
    }

    fn decide_in_software(&mut self, events: &[Event], out: &mut Vec<Decision>) {
        let software = &mut self.prepared.software;
        let mut remembered = 0;
        match &mut self.cache {
            None => out.extend(events.iter().map(|event| software.run(event))),
            Some(cache) => out.extend(events.iter().map(|event| {
                if let Some(decision) = cache.find(event) {
                    remembered += 1;
                    return decision;
                }
                let decision = software.run(event);
                cache.remember(event, &decision);
                decision
            })),
        }
        self.counters.from_cache += remembered;
        self.counters.count_engine(software.name(), events.len() as u64 - remembered);
    }

    fn decide_on_card(
        &mut self,
        card: &mut CardEngine,
        slot: u32,
        events: &[Event],
        out: &mut Vec<Decision>,
    ) {
        let first = out.len();
        out.extend(events.iter().map(super::software::no_program));
        self.misses.clear();
        let misses = &mut self.misses;
        card.decide(slot, events, |place, result| match result {
            Ok(decision) => out[first + place] = decision,
            Err(miss) => misses.push((place, miss)),
        });
        let missed = self.misses.len() as u64;
        self.counters.count_engine(EngineName::Card, events.len() as u64 - missed);
        if missed == 0 {
            return;
        }
        // In order, as far as the card has left any.
        self.misses.sort_unstable_by_key(|(place, _)| *place);
        for &(place, miss) in &self.misses {
            let software = &mut self.prepared.software;
            out[first + place] = software.run(&events[place]);
            self.counters.count_engine(software.name(), 1);
            match miss {
                Miss::Late => self.counters.card_late += 1,
                _ => self.counters.card_refused += 1,
            }
        }
        if !card.mend(slot) {
            self.fall_back(card, slot);
        }
    }

    /// Software goes on, with what was read back from the card last.
    fn fall_back(&mut self, card: &mut CardEngine, slot: u32) {
        card.remove(slot);
        self.slot = None;
        self.counters.card_losses += 1;
        self.placer.moved(Instant::now());
    }

    /// What of changes the card would have to be given, to be worked out elsewhere; nothing when the
    /// program is not there or software refuses them.
    pub fn planning(&self, card: Option<&CardEngine>, changes: &[Change]) -> Option<Planning> {
        let planner = card?.planner(self.slot?).ok()?;
        let program = self.prepared.software.state().program_after(changes)?;
        Some(Planning { planner, program, ordering: self.prepared.report.ordering.class })
    }

    /// Applies all changes at one instant on every engine, or none.
    ///
    /// # Errors
    /// [`HostedError`]; nothing is changed.
    pub fn commit(
        &mut self,
        card: Option<&mut CardEngine>,
        changes: &[Change],
        ready: Ready,
    ) -> Result<Vec<Applied>, HostedError> {
        let applied = match (card, self.slot) {
            (Some(card), Some(slot)) => self.commit_on_card(card, slot, changes, ready)?,
            _ => self.prepared.software.commit(changes, ready.models)?,
        };
        if let Some(cache) = &mut self.cache {
            cache.clear();
        }
        self.counters.commits += 1;
        Ok(applied)
    }

    fn commit_on_card(
        &mut self,
        card: &mut CardEngine,
        slot: u32,
        changes: &[Change],
        ready: Ready,
    ) -> Result<Vec<Applied>, HostedError> {
        let contents = changes.iter().any(Change::is_to_contents);
        if contents {
            self.prepared.software.replace_contents(&card.contents(slot)?)?;
        }
        // Worked out first: what can be refused is refused before anything changes. A change that
        // software refuses has nothing to be worked out.
        let planned = match ready.planned.filter(|planned| card.is_current(planned)) {
            Some(planned) => Some(planned),
            None => self.planning(Some(card), changes).map(Planning::plan).transpose()?,
        };
        let software = &mut self.prepared.software;
        let applied = software.commit(changes, ready.models)?;
        let done = match contents {
            true => card.replace_contents(slot, &software.state().contents()),
            false => Ok(()),
        };
        let carried_out = done.and_then(|()| match planned {
            Some(planned) => card.carry_out(planned),
            None => Err(CardError::Lost),
        });
        if carried_out.is_err() {
            // The change is made where the program goes on: in software.
            self.fall_back(card, slot);
        }
        Ok(applied)
    }

    /// Goes to another engine with all state.
    ///
    /// # Errors
    /// Why it cannot; it stays where it is, or in software when it leaves a card that is lost.
    pub fn move_to(
        &mut self,
        engine: EngineName,
        card: Option<&mut CardEngine>,
        limits: &Limits,
    ) -> Result<(), HostedError> {
        if self.engine() == engine {
            return Ok(());
        }
        let now = Instant::now();
        match (card, self.slot) {
            (Some(card), Some(slot)) => {
                let read = card.contents(slot);
                card.remove(slot);
                self.slot = None;
                match read {
                    Ok(contents) => self.prepared.software.replace_contents(&contents)?,
                    Err(_) => self.counters.card_losses += 1,
                }
                self.prepared.software.become_engine(engine, limits)?;
            }
            (Some(card), None) if engine == EngineName::Card => {
                self.prepared.software.become_engine(EngineName::Jit, limits)?;
                let state = self.prepared.software.state();
                let ordering = self.prepared.report.ordering.class;
                let slot = card.install(&state.current_program(), ordering, &state.contents())?;
                self.slot = Some(slot);
                self.checkpoint = now;
            }
            _ if engine == EngineName::Card => return Err(CardError::Lost.into()),
            _ => self.prepared.software.become_engine(engine, limits)?,
        }
        self.counters.moves += 1;
        self.placer.moved(now);
        self.look = Look::default();
        Ok(())
    }

    /// Reads back what the card has written, when it is time to; false when the card is lost.
    pub fn checkpoint(&mut self, card: &mut CardEngine, now: Instant) -> bool {
        let Some(slot) = self.slot else { return true };
        if !card.works() {
            return false;
        }
        if now.duration_since(self.checkpoint) < CHECKPOINT {
            return true;
        }
        self.checkpoint = now;
        match card.contents(slot) {
            // What was read from a running card fits its program, or the card is not well.
            Ok(contents) => self.prepared.software.replace_contents(&contents).is_ok(),
            Err(_) => false,
        }
    }

    /// What events have written, read back from the card if it is there.
    pub fn contents(&mut self, card: Option<&mut CardEngine>) -> Contents {
        if let (Some(card), Some(slot)) = (card, self.slot)
            && let Ok(contents) = card.contents(slot)
            && self.prepared.software.replace_contents(&contents).is_ok()
        {
            return contents;
        }
        self.prepared.software.state().contents()
    }
}
