//! All programs that run, by hook, and the card that some of them may be on.
//!
//! - [`software`]: interpreter and JIT; [`card`]: the card; [`hosted`]: a program with the engine
//!   that it is on.
//!
//! [`Engines`] is owned by one thread (see [`crate::worker`]), which decides events and carries out
//! what the control plane asks between two batches of them. So each change is visible at one
//! instant, and the way of events has no locks.

pub mod card;
pub mod hosted;
pub mod software;

use std::time::{Duration, Instant};

use rmt_isa::{Decision, Event};
use rmt_vm::state::{Applied, Change, Contents};
use rmt_vm::verifier::Limits;

pub use card::{AnyDevice, CardEngine, CardError};
pub use hosted::{Hosted, HostedError, Prepared, Ready};
pub use software::{Software, SoftwareError, no_program};

use crate::journal::SavedProgram;
use crate::placement::{Placer, Platform};
use crate::protocol::{EngineName, Refusal, RefusalKind, Wish};

/// How often placement and the card's health are looked at.
const HOUSEKEEPING: Duration = Duration::from_millis(500);

/// All programs.
pub struct Engines {
    hosted: Vec<Hosted>,
    /// The card, if there is one.
    pub card: Option<CardEngine>,
    /// What events cost.
    pub platform: Platform,
    /// What programs are verified against.
    pub limits: Limits,
    /// Events of hooks that no program serves.
    pub events_without_program: u64,
    kept_house: Instant,
}

impl Engines {
    /// No programs yet.
    pub fn new(card: Option<CardEngine>, platform: Platform, limits: Limits) -> Self {
        let kept_house = Instant::now();
        Self { hosted: Vec::new(), card, platform, limits, events_without_program: 0, kept_house }
    }

    /// All programs, in order of installation.
    pub fn programs(&self) -> &[Hosted] {
        &self.hosted
    }

    /// The program of a name and the card.
    ///
    /// # Errors
    /// When there is none.
    pub fn program(
        &mut self,
        name: &str,
    ) -> Result<(&mut Hosted, Option<&mut CardEngine>), Refusal> {
        let place = self.place(name)?;
        Ok((&mut self.hosted[place], self.card.as_mut()))
    }

    fn place(&self, name: &str) -> Result<usize, Refusal> {
        crate::names::find("program", name, self.hosted.iter().map(Hosted::name))
    }

    /// Decides events in order; `out` gets one decision for each.
    pub fn decide(&mut self, events: &[Event], out: &mut Vec<Decision>) {
        for run in events.chunk_by(|a, b| a.hook() == b.hook()) {
            let hook = run[0].hook();
            let serves = |hosted: &&mut Hosted| hosted.prepared.program.hook.number == hook;
            match self.hosted.iter_mut().find(serves) {
                Some(hosted) => hosted.decide(self.card.as_mut(), run, out),
                None => {
                    self.events_without_program += run.len() as u64;
                    out.extend(run.iter().map(no_program));
                }
            }
        }
    }

    /// Whether a program could be installed.
    ///
    /// # Errors
    /// When its hook or its name is taken.
    pub fn check_install(&self, name: &str, hook: u16, replace: bool) -> Result<(), Refusal> {
        let taken =
            |reason: String, remedy: &str| Err(Refusal::new(RefusalKind::Taken, reason, remedy));
        for hosted in &self.hosted {
            let other = &hosted.prepared.program;
            match (other.hook.number == hook, other.name == name) {
                (true, _) if replace => {}
                (true, _) => {
                    return taken(
                        format!("hook {hook} is served by program `{}`", other.name),
                        "replace it, or remove it first",
                    );
                }
                (false, true) => {
                    return taken(
                        format!("program `{name}` is there and serves hook {}", other.hook.number),
                        "remove it first, or give the new one another name",
                    );
                }
                (false, false) => {}
            }
        }
        Ok(())
    }

    /// Runs a program that [`Self::check_install`] accepted, in place of the one of its hook, whose
    /// records and map values it takes over where both declare them alike.
    pub fn install(&mut self, mut prepared: Prepared) -> (EngineName, Option<String>) {
        let hook = prepared.program.hook.number;
        let old = self.hosted.iter().position(|hosted| hosted.prepared.program.hook.number == hook);
        if let Some(place) = old {
            let contents = self.hosted[place].contents(self.card.as_mut());
            let inherited = inherit(&self.hosted[place].prepared, &contents, &prepared);
            // They fit: declarations are equal.
            _ = prepared.software.replace_contents(&inherited);
            self.remove_at(place);
        }
        let wish = prepared.wish;
        let hosted = Hosted::new(prepared, Instant::now());
        let name = hosted.name().to_owned();
        self.hosted.push(hosted);
        match self.place_program(&name, wish) {
            Ok(placed) => placed,
            Err(_) => unreachable!("the program was installed in the line before"),
        }
    }

    /// All programs with their state, as the journal keeps them.
    pub fn saved(&mut self) -> Vec<SavedProgram> {
        let Self { hosted, card, .. } = self;
        let saved = hosted.iter_mut().map(|hosted| {
            hosted.contents(card.as_mut());
            let prepared = &hosted.prepared;
            SavedProgram {
                image: prepared.image.to_vec(),
                place: prepared.wish,
                snapshot: prepared.software.state().snapshot(),
            }
        });
        saved.collect()
    }

    /// Runs a program no longer.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn remove(&mut self, name: &str) -> Result<(), Refusal> {
        let place = self.place(name)?;
        self.remove_at(place);
        Ok(())
    }

    fn remove_at(&mut self, place: usize) {
        let hosted = self.hosted.remove(place);
        if let (Some(card), Some(slot)) = (self.card.as_mut(), hosted.slot) {
            card.remove(slot);
        }
    }

    /// Applies all changes to a program at one instant, or none.
    ///
    /// # Errors
    /// Why not.
    pub fn commit(
        &mut self,
        name: &str,
        changes: &[Change],
        ready: Ready,
    ) -> Result<Vec<Applied>, Refusal> {
        let (hosted, card) = self.program(name)?;
        hosted.commit(card, changes, ready).map_err(Refusal::does_not_fit)
    }

    /// Places a program as wished; where that cannot be, the note says why.
    ///
    /// # Errors
    /// When there is no program of this name.
    pub fn place_program(
        &mut self,
        name: &str,
        wish: Wish,
    ) -> Result<(EngineName, Option<String>), Refusal> {
        let place = self.place(name)?;
        let Self { hosted, card, platform, limits, .. } = self;
        let hosted = &mut hosted[place];
        hosted.prepared.wish = wish;
        let free = card.as_ref().is_some_and(CardEngine::has_slot);
        let engine = match wish {
            Wish::Interpreter => EngineName::Interpreter,
            Wish::Jit => EngineName::Jit,
            Wish::Card => EngineName::Card,
            Wish::Auto if hosted.on_card() => EngineName::Card,
            Wish::Auto => {
                let card_can = free && hosted.fits_card();
                Placer::first(platform, &hosted.prepared.report.event, card_can)
            }
        };
        let note = match (engine, card.is_some()) {
            (EngineName::Card, false) => Some("this daemon has no card".to_owned()),
            _ => hosted.move_to(engine, card.as_mut(), limits).err().map(|error| error.to_string()),
        };
        Ok((hosted.engine(), note))
    }

    /// What is to be done from time to time: placement, reading back, the card's health.
    pub fn keep_house(&mut self, now: Instant) {
        if now.duration_since(self.kept_house) < HOUSEKEEPING {
            return;
        }
        self.kept_house = now;
        let Self { hosted, card, platform, limits, .. } = self;
        for hosted in hosted {
            if let Some(card) = card.as_mut()
                && !hosted.checkpoint(card, now)
            {
                // It reads nothing back, so that what was read last stays.
                _ = hosted.move_to(EngineName::Jit, Some(card), limits);
            }
            let free = card.as_ref().is_some_and(CardEngine::has_slot);
            let card_can = hosted.on_card() || free && hosted.fits_card();
            let look = std::mem::take(&mut hosted.look);
            let figures = (&*platform, &hosted.prepared.report.event);
            let engine = hosted.engine();
            let better = hosted.placer.look(figures, engine, card_can, look, now);
            if let Some(engine) = better.filter(|_| hosted.prepared.wish == Wish::Auto)
                && hosted.move_to(engine, card.as_mut(), limits).is_err()
            {
                // It does not fit beside the others: not tried again at once.
                hosted.placer.moved(now);
            }
        }
    }
}

/// What a program takes over from its predecessor: of contexts and maps that both declare alike.
fn inherit(old: &Prepared, contents: &Contents, new: &Prepared) -> Contents {
    let mut inherited = new.software.state().contents();
    let (old, new) = (&old.program, &new.program);
    for (declared, place) in new.contexts.iter().zip(&mut inherited.contexts) {
        if let Some(number) = old.contexts.iter().position(|context| context == declared) {
            place.clone_from(&contents.contexts[number]);
        }
    }
    for (declared, place) in new.maps.iter().zip(&mut inherited.maps) {
        if let Some(number) = old.maps.iter().position(|map| map == declared) {
            place.clone_from(&contents.maps[number]);
        }
    }
    inherited
}
