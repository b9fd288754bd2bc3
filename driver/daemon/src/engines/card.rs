//! Programs on the card: installed and committed by the admin queue, the events of each by a queue
//! pair of its own.
//!
//! Each stands in a slot, beside the others: it comes, changes and goes by commits that leave the
//! records of the others alone. What events have written comes along when a program goes to the
//! card and when it leaves; if the card is lost, software goes on with what was read back last.

use std::collections::HashMap;
use std::sync::Arc;

use rmt_driver::{Card, Device, DriverError, Miss, QueueConfig, QueuePair};
use rmt_isa::card::regions::ADDRESS_BITS;
use rmt_isa::card::shape::SLOTS;
use rmt_isa::card::update::{BankMirror, Update, UpdateError};
use rmt_isa::card::{CardImage, CardShape, HostWrite, LowerError, ProgramPlan, Residents};
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
    /// The card lacks something, or has it no more beside the other programs.
    #[error("{source}{}", beside(others))]
    Lower {
        /// What.
        source: Box<LowerError>,
        /// Names of the other programs.
        others: Vec<String>,
    },
    /// A context or map cannot change while the program is on the card.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The driver's.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// As many programs are on it as it takes.
    #[error(
        "the card takes {} programs, and these are on it: {}; place one of them elsewhere first",
        .0.len(),
        .0.join(", ")
    )]
    Full(Vec<String>),
    /// The card is lost.
    #[error("the card is lost; mend it and restart the daemon")]
    Lost,
}

fn beside(others: &[String]) -> String {
    match others {
        [] => String::new(),
        others => format!("; beside it: {}, which could be placed elsewhere", others.join(", ")),
    }
}

/// The card and the programs on it.
pub struct CardEngine {
    card: Card<AnyDevice>,
    queue: QueueConfig,
    residents: Residents,
    /// The programs as they stand on the card.
    image: CardImage,
    mirror: BankMirror,
    /// Name and queue pair of each program, by slot.
    tenants: Vec<Option<Tenant>>,
    /// For each slot of a queue: which event of the batch it is.
    places: Vec<usize>,
    lost: bool,
}

struct Tenant {
    name: String,
    queue: QueuePair<AnyDevice>,
}

/// A commit that has been worked out and not been carried out.
pub struct PlannedCommit {
    residents: Residents,
    image: CardImage,
    update: Update,
}

impl CardEngine {
    /// Takes a card; `queue` says how events get to it, but not which.
    ///
    /// # Errors
    /// The driver's.
    pub fn open(device: AnyDevice, queue: QueueConfig) -> Result<Self, CardError> {
        let mut card = Card::open(Arc::new(device))?;
        card.reset()?;
        let alone = |source: LowerError| CardError::Lower { source: source.into(), others: vec![] };
        let residents = Residents::new(card.shape()).map_err(alone)?;
        let image = residents.image().map_err(alone)?;
        let mirror = BankMirror::new(card.shape());
        let places = vec![0; 1 << queue.ring_log2];
        // Each program has the queue pair of its slot's number.
        let slots = SLOTS.min(card.identity().queues);
        let tenants = (0..slots).map(|_| None).collect();
        Ok(Self { card, queue, residents, image, mirror, tenants, places, lost: false })
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

    /// Whether one more program may find a place.
    pub fn has_slot(&self) -> bool {
        !self.lost && self.tenants.iter().any(Option::is_none)
    }

    /// Names of the programs on it.
    fn names(&self) -> Vec<String> {
        self.tenants.iter().flatten().map(|tenant| tenant.name.clone()).collect()
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

    /// Puts a program onto the card beside those that are there, with what events have written
    /// elsewhere. The result is its slot.
    ///
    /// # Errors
    /// [`CardError`]; the program is not on the card then.
    pub fn install(
        &mut self,
        program: &Program,
        ordering: Ordering,
        contents: &Contents,
    ) -> Result<u32, CardError> {
        if self.lost {
            return Err(CardError::Lost);
        }
        let free = self.tenants.iter().position(Option::is_none);
        let slot = free.ok_or_else(|| CardError::Full(self.names()))? as u32;
        let (residents, image) = self.with(slot, program, ordering)?;
        let contents = image.program(slot).map(|plan| contents.card_writes(&image, plan));
        let contents = contents.unwrap_or_default();
        if self.names().is_empty() {
            self.install_anew(&image, contents)?;
        } else {
            let mut update = self.mirror.plan(&image)?;
            let commit = update.writes.pop();
            update.writes.extend(contents);
            update.writes.extend(commit);
            self.commit(&image, &update)?;
        }
        (self.residents, self.image) = (residents, image);
        let config = QueueConfig { hooks: vec![program.hook.number], ..self.queue.clone() };
        match self.card.queue(slot, config) {
            Ok(queue) => {
                let name = program.name.clone();
                self.tenants[slot as usize] = Some(Tenant { name, queue });
                Ok(slot)
            }
            Err(error) => {
                self.note(&error);
                self.leave(slot);
                Err(error.into())
            }
        }
    }

    /// The programs with another one, or another form of one, in a slot.
    fn with(
        &self,
        slot: u32,
        program: &Program,
        ordering: Ordering,
    ) -> Result<(Residents, CardImage), CardError> {
        let mut residents = self.residents.clone();
        let image = residents.put(slot, program.clone(), ordering).and_then(|()| residents.image());
        let image = image.map_err(|source| {
            let others = (0..).zip(&self.tenants).filter(|(number, _)| *number != slot);
            let others = others.filter_map(|(_, tenant)| Some(tenant.as_ref()?.name.clone()));
            CardError::Lower { source: source.into(), others: others.collect() }
        })?;
        Ok((residents, image))
    }

    /// Writes all of an image: nobody's records are on the card.
    fn install_anew(
        &mut self,
        image: &CardImage,
        contents: Vec<HostWrite>,
    ) -> Result<(), CardError> {
        // Until all is done the banks hold nobody knows what.
        let mut mirror = std::mem::replace(&mut self.mirror, BankMirror::new(self.card.shape()));
        let mut writes = mirror.install(image);
        let commit = writes.pop();
        writes.extend(contents);
        writes.extend(commit);
        self.card.install(&writes).inspect_err(|error| self.note(error))?;
        self.mirror = mirror;
        Ok(())
    }

    /// Carries out an update. When that fails, nobody knows what the banks hold, and to begin
    /// anew would cost the other programs their records: the card counts as lost.
    fn commit(&mut self, image: &CardImage, update: &Update) -> Result<(), CardError> {
        self.card.commit(update).inspect_err(|_| self.lost = true)?;
        self.mirror.carried_out(image, update);
        Ok(())
    }

    /// Takes a program off the card. No event is inside: [`Self::decide`] waits for all.
    pub fn remove(&mut self, slot: u32) {
        let Some(tenant) = self.tenants.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        if !self.lost
            && let Err(error) = tenant.queue.stop()
        {
            self.note(&error);
        }
        self.leave(slot);
    }

    /// Gives a slot free, with the places of its program.
    fn leave(&mut self, slot: u32) {
        self.residents.remove(slot);
        // Without programs the next one is installed anew.
        if self.lost || self.names().is_empty() {
            return;
        }
        let planned = self.residents.image().ok().and_then(|image| {
            let update = self.mirror.plan(&image).ok()?;
            Some((image, update))
        });
        match planned {
            Some((image, update)) if self.commit(&image, &update).is_ok() => self.image = image,
            // Fewer programs than before always fit.
            _ => self.lost = true,
        }
    }

    /// Works out a commit: nothing is changed yet.
    ///
    /// # Errors
    /// When the card cannot hold the program as it shall be.
    pub fn plan(
        &self,
        slot: u32,
        program: &Program,
        ordering: Ordering,
    ) -> Result<PlannedCommit, CardError> {
        if self.lost {
            return Err(CardError::Lost);
        }
        let (residents, image) = self.with(slot, program, ordering)?;
        let update = self.mirror.plan(&image)?;
        Ok(PlannedCommit { residents, image, update })
    }

    /// Carries out a commit, at one instant for the events on the card.
    ///
    /// # Errors
    /// The driver's: the card is lost then.
    pub fn carry_out(&mut self, planned: PlannedCommit) -> Result<(), CardError> {
        let PlannedCommit { residents, image, update } = planned;
        self.commit(&image, &update)?;
        (self.residents, self.image) = (residents, image);
        Ok(())
    }

    /// Where the program of a slot stands.
    fn place_of(&self, slot: u32) -> Result<&ProgramPlan, CardError> {
        self.image.program(slot).filter(|_| !self.lost).ok_or(CardError::Lost)
    }

    /// What the events of a program have written on the card. None is inside.
    ///
    /// # Errors
    /// The driver's.
    pub fn contents(&mut self, slot: u32) -> Result<Contents, CardError> {
        let plan = self.place_of(slot)?.clone();
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
        let contents = Contents::of_card(&self.image, &plan, read);
        contents.map_err(|error: DriverError| {
            self.note(&error);
            error.into()
        })
    }

    /// Puts other contents in place of those of a program. No event of it is inside.
    ///
    /// # Errors
    /// The driver's.
    pub fn replace_contents(&mut self, slot: u32, contents: &Contents) -> Result<(), CardError> {
        let plan = self.place_of(slot)?;
        let mut all = self.image.empty_contents(plan);
        all.extend(contents.card_writes(&self.image, plan));
        self.card.admin().write_list(&all).inspect_err(|error| self.note(error))?;
        Ok(())
    }

    /// Runs events of a program, all of which have ended when this returns: with a decision, or with the reason
    /// why there is none. Bounded by the queue's budget for each time it is full.
    pub fn decide(
        &mut self,
        slot: u32,
        events: &[Event],
        mut sink: impl FnMut(usize, Result<Decision, Miss>),
    ) {
        let tenant = self.tenants.get_mut(slot as usize).and_then(Option::as_mut);
        let Some(Tenant { queue, .. }) = tenant else {
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

    /// Mends the queue pair of a program when it has failed. False when the card is lost, or does
    /// not get well.
    pub fn mend(&mut self, slot: u32) -> bool {
        let tenant = self.tenants.get_mut(slot as usize).and_then(Option::as_mut);
        let Some(tenant) = tenant.filter(|_| !self.lost) else { return false };
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
