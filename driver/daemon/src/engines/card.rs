//! A program on the card: installed and committed by the admin queue, its events by a queue pair.
//!
//! The card takes one program at a time here. What events have written comes along when a program
//! goes to the card and when it leaves; if the card is lost, software goes on with what was read
//! back last.

use std::collections::HashMap;
use std::sync::Arc;

use rmt_driver::{Card, Device, DriverError, Miss, QueueConfig, QueuePair};
use rmt_isa::card::regions::ADDRESS_BITS;
use rmt_isa::card::update::{BankMirror, Update};
use rmt_isa::card::{CardImage, CardShape, LowerError, lower};
use rmt_isa::program::Ordering;
use rmt_isa::{Decision, Event, Program};
use rmt_vm::state::Contents;

/// A card of whatever kind.
pub type AnyDevice = Arc<dyn Device + Send + Sync>;

/// Words that one admin command reads here.
const BLOCK_WORDS: usize = 512;

/// Why the card does not run a program.
#[derive(Debug, thiserror::Error)]
pub enum CardError {
    /// The card lacks something.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The driver's.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Another program is on it.
    #[error(
        "program `{0}` is on the card, which takes one program; place that one elsewhere first"
    )]
    Taken(String),
    /// The card is lost.
    #[error("the card is lost; mend it and restart the daemon")]
    Lost,
}

/// The card and the program on it.
pub struct CardEngine {
    card: Card<AnyDevice>,
    queue: QueueConfig,
    mirror: BankMirror,
    tenant: Option<Tenant>,
    /// For each slot of the queue: which event of the batch it is.
    places: Vec<usize>,
    lost: bool,
}

struct Tenant {
    name: String,
    ordering: Ordering,
    image: CardImage,
    queue: QueuePair<AnyDevice>,
}

/// A commit that has been worked out and not been carried out.
pub struct PlannedCommit {
    image: CardImage,
    mirror: BankMirror,
    update: Update,
}

impl CardEngine {
    /// Takes a card; `queue` says how events get to it, but not which.
    ///
    /// # Errors
    /// The driver's.
    pub fn open(device: AnyDevice, queue: QueueConfig) -> Result<Self, DriverError> {
        let mut card = Card::open(Arc::new(device))?;
        card.reset()?;
        let mirror = BankMirror::new(card.shape());
        let places = vec![0; 1 << queue.ring_log2];
        Ok(Self { card, queue, mirror, tenant: None, places, lost: false })
    }

    /// What the card was built with.
    pub fn shape(&self) -> &CardShape {
        self.card.shape()
    }

    /// The card's name.
    pub fn name(&self) -> String {
        self.card.device().name().to_owned()
    }

    /// The device, for its clock.
    pub fn device(&self) -> &AnyDevice {
        self.card.device()
    }

    /// Whether it takes programs.
    pub fn works(&self) -> bool {
        !self.lost
    }

    /// The program on it.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_ref().map(|tenant| tenant.name.as_str())
    }

    /// Counters of the card by name; none when it is lost.
    pub fn counters(&self) -> Vec<(&'static str, u32)> {
        if self.lost { Vec::new() } else { self.card.counters() }
    }

    /// Cycles since the card's reset.
    ///
    /// # Errors
    /// When it is lost.
    pub fn cycles(&self) -> Result<u64, DriverError> {
        Ok(self.card.health()?.cycles)
    }

    /// Puts a program onto the card, with what events have written elsewhere.
    ///
    /// # Errors
    /// [`CardError`]; no program is on the card then.
    pub fn install(
        &mut self,
        program: &Program,
        ordering: Ordering,
        contents: &Contents,
    ) -> Result<(), CardError> {
        if self.lost {
            return Err(CardError::Lost);
        }
        if let Some(tenant) = &self.tenant {
            return Err(CardError::Taken(tenant.name.clone()));
        }
        let image = lower(program, ordering, self.card.shape())?;
        let mut mirror = self.mirror.clone();
        let mut writes = mirror.install(&image);
        let commit = writes.pop();
        writes.extend(contents.card_writes(&image));
        writes.extend(commit);
        // Until all is done the banks hold nobody knows what.
        self.mirror = BankMirror::new(self.card.shape());
        let installed = self.card.install(&writes).and_then(|()| {
            let hooks = vec![program.hook.number];
            self.card.queue(0, QueueConfig { hooks, ..self.queue.clone() })
        });
        let queue = installed.inspect_err(|error| self.note(error))?;
        self.mirror = mirror;
        let name = program.name.clone();
        self.tenant = Some(Tenant { name, ordering, image, queue });
        Ok(())
    }

    /// Takes the program off the card. No event is inside: [`Self::decide`] waits for all.
    pub fn remove(&mut self) {
        self.tenant = None;
    }

    /// Works out a commit: nothing is changed yet.
    ///
    /// # Errors
    /// When the card cannot hold the program as it shall be.
    pub fn plan(&self, program: &Program) -> Result<PlannedCommit, CardError> {
        let Some(tenant) = &self.tenant else { return Err(CardError::Lost) };
        let image = lower(program, tenant.ordering, self.card.shape())?;
        let mut mirror = self.mirror.clone();
        // The layout of contexts and maps is the program's and does not change by commits.
        let update = mirror.update(&image).map_err(|_| CardError::Lost)?;
        Ok(PlannedCommit { image, mirror, update })
    }

    /// Carries out a commit, at one instant for the events on the card.
    ///
    /// # Errors
    /// The driver's: the card is as good as lost to the program then.
    pub fn carry_out(&mut self, planned: PlannedCommit) -> Result<(), CardError> {
        self.card.commit(&planned.update).inspect_err(|error| self.note(error))?;
        self.mirror = planned.mirror;
        if let Some(tenant) = &mut self.tenant {
            tenant.image = planned.image;
        }
        Ok(())
    }

    /// What events have written on the card. No event is inside.
    ///
    /// # Errors
    /// The driver's.
    pub fn contents(&mut self) -> Result<Contents, CardError> {
        let Some(tenant) = &self.tenant else { return Err(CardError::Lost) };
        let (card, mut blocks) = (&mut self.card, HashMap::<u32, Vec<u64>>::new());
        let read = |address: u32| {
            debug_assert!(address < 1 << ADDRESS_BITS);
            let (block, place) = (address / BLOCK_WORDS as u32, address as usize % BLOCK_WORDS);
            if let Some(words) = blocks.get(&block) {
                return Ok(words[place]);
            }
            let mut words = vec![0; BLOCK_WORDS];
            card.admin().read_block(block * BLOCK_WORDS as u32, &mut words)?;
            let word = words[place];
            blocks.insert(block, words);
            Ok(word)
        };
        let contents = Contents::of_card(&tenant.image, read);
        contents.map_err(|error: DriverError| {
            self.note(&error);
            error.into()
        })
    }

    /// Puts other contents in place of those on the card. No event is inside.
    ///
    /// # Errors
    /// The driver's.
    pub fn replace_contents(&mut self, contents: &Contents) -> Result<(), CardError> {
        let Some(tenant) = &self.tenant else { return Err(CardError::Lost) };
        let mut all = tenant.image.empty_contents();
        all.extend(contents.card_writes(&tenant.image));
        self.card.admin().write_list(&all).inspect_err(|error| self.note(error))?;
        Ok(())
    }

    /// Runs events, all of which have ended when this returns: with a decision, or with the reason
    /// why there is none. Bounded by the queue's budget for each time it is full.
    pub fn decide(
        &mut self,
        events: &[Event],
        mut sink: impl FnMut(usize, Result<Decision, Miss>),
    ) {
        let Some(Tenant { queue, .. }) = &mut self.tenant else {
            (0..events.len()).for_each(|place| sink(place, Err(Miss::Stopped)));
            return;
        };
        let places = &mut self.places;
        let mut next = 0;
        loop {
            while let Some(event) = events.get(next) {
                match queue.submit(event) {
                    Ok(ticket) => places[ticket.slot()] = next,
                    // Room comes when one that waits ends.
                    Err(Miss::Full) if queue.is_waiting() => break,
                    Err(miss) => sink(next, Err(miss)),
                }
                next += 1;
            }
            queue.flush();
            let ended = queue.poll(|ended| sink(places[ended.ticket.slot()], ended.result));
            if !queue.is_waiting() {
                if next == events.len() {
                    break;
                }
            } else if ended == 0 {
                queue.device().relax();
            }
        }
    }

    /// Mends a queue pair that has failed. False when the card is lost, or does not get well.
    pub fn mend(&mut self) -> bool {
        let Some(tenant) = &mut self.tenant else { return false };
        match tenant.queue.broken() {
            None => true,
            Some(Miss::Lost) => {
                self.lost = true;
                false
            }
            Some(_) => match tenant.queue.restart(|_| {}) {
                Ok(()) => true,
                Err(error) => {
                    self.note(&error);
                    self.lost = true;
                    false
                }
            },
        }
    }

    fn note(&mut self, error: &DriverError) {
        if matches!(error, DriverError::Lost { .. } | DriverError::Timeout { .. }) {
            self.lost = true;
        }
    }
}
