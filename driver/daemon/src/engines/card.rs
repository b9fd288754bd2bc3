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
    standing: Arc<Standing>,
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

/// The programs as they stand on the card: shared, so that a commit can be worked out elsewhere
/// while events go on.
struct Standing {
    residents: Residents,
    image: CardImage,
    mirror: BankMirror,
}

impl Standing {
    /// The programs with another one, or another form of one, in a slot.
    fn with(
        &self,
        slot: u32,
        program: Program,
        ordering: Ordering,
    ) -> Result<(Residents, CardImage), LowerError> {
        let mut residents = self.residents.clone();
        residents.put(slot, program, ordering)?;
        let image = residents.image()?;
        Ok((residents, image))
    }

    /// What stands there after a commit, and the writes of it.
    fn becomes(
        &self,
        residents: Residents,
        image: CardImage,
    ) -> Result<(Self, Update), UpdateError> {
        let mut mirror = self.mirror.clone();
        let update = mirror.update(&image)?;
        Ok((Self { residents, image, mirror }, update))
    }
}

/// What a commit to a program on the card is worked out from, on whatever thread.
pub struct CommitPlanner {
    standing: Arc<Standing>,
    slot: u32,
    others: Vec<String>,
}

/// A commit that has been worked out and not been carried out.
pub struct PlannedCommit {
    basis: Arc<Standing>,
    next: Standing,
    update: Update,
}

impl CommitPlanner {
    /// Works out the commit after which the program stands there as it is given.
    ///
    /// # Errors
    /// When the card cannot hold it.
    pub fn plan(self, program: Program, ordering: Ordering) -> Result<PlannedCommit, CardError> {
        let Self { standing, slot, others } = self;
        let with = standing.with(slot, program, ordering);
        let (residents, image) =
            with.map_err(|source| CardError::Lower { source: source.into(), others })?;
        let (next, update) = standing.becomes(residents, image)?;
        Ok(PlannedCommit { basis: standing, next, update })
    }
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
        let standing = Arc::new(Standing { residents, image, mirror });
        Ok(Self { card, queue, standing, tenants, places, lost: false })
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

    /// Names of the programs on it, but for that of a slot.
    fn names(&self, but: Option<u32>) -> Vec<String> {
        let others = (0..).zip(&self.tenants).filter(|(slot, _)| Some(*slot) != but);
        others.filter_map(|(_, tenant)| Some(tenant.as_ref()?.name.clone())).collect()
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
        let slot = free.ok_or_else(|| CardError::Full(self.names(None)))? as u32;
        let with = self.standing.with(slot, program.clone(), ordering);
        let (residents, image) = with.map_err(|source| {
            let others = self.names(None);
            CardError::Lower { source: source.into(), others }
        })?;
        let contents = image.program(slot).map(|plan| contents.card_writes(&image, plan));
        let contents = contents.unwrap_or_default();
        if self.is_empty() {
            self.install_anew(residents, image, contents)?;
        } else {
            let (next, mut update) = self.standing.becomes(residents, image)?;
            insert_before_commit(&mut update.writes, contents);
            self.commit(next, &update)?;
        }
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

    fn is_empty(&self) -> bool {
        self.tenants.iter().all(Option::is_none)
    }

    /// Writes all of an image: nobody's records are on the card.
    fn install_anew(
        &mut self,
        residents: Residents,
        image: CardImage,
        contents: Vec<HostWrite>,
    ) -> Result<(), CardError> {
        let mut mirror = self.standing.mirror.clone();
        let mut writes = mirror.install(&image);
        insert_before_commit(&mut writes, contents);
        let installed = self.card.install(&writes).inspect_err(|error| self.note(error));
        self.standing = Arc::new(match installed {
            Ok(()) => Standing { residents, image, mirror },
            // The banks hold nobody knows what.
            Err(_) => Standing {
                residents: self.standing.residents.clone(),
                image: self.standing.image.clone(),
                mirror: BankMirror::new(self.card.shape()),
            },
        });
        Ok(installed?)
    }

    /// Carries out an update. When that fails, nobody knows what the banks hold, and to begin
    /// anew would cost the other programs their records: the card counts as lost.
    fn commit(&mut self, next: Standing, update: &Update) -> Result<(), CardError> {
        self.card.commit(update).inspect_err(|_| self.lost = true)?;
        self.standing = Arc::new(next);
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
        if self.lost {
            return;
        }
        let mut residents = self.standing.residents.clone();
        residents.remove(slot);
        if self.is_empty() {
            // The next one is installed anew; what the banks hold makes that short.
            let Standing { image, mirror, .. } = &*self.standing;
            let (image, mirror) = (image.clone(), mirror.clone());
            self.standing = Arc::new(Standing { residents, image, mirror });
            return;
        }
        let left = residents.image().ok().and_then(|image| {
            let (next, update) = self.standing.becomes(residents, image).ok()?;
            self.commit(next, &update).ok()
        });
        // Fewer programs than before always fit.
        self.lost |= left.is_none();
    }

    /// By which commits to a program are worked out.
    ///
    /// # Errors
    /// When the card is lost.
    pub fn planner(&self, slot: u32) -> Result<CommitPlanner, CardError> {
        if self.lost {
            return Err(CardError::Lost);
        }
        Ok(CommitPlanner { standing: self.standing.clone(), slot, others: self.names(Some(slot)) })
    }

    /// Whether the card holds what a commit was worked out for.
    pub fn is_current(&self, planned: &PlannedCommit) -> bool {
        Arc::ptr_eq(&planned.basis, &self.standing)
    }

    /// Carries out a commit that is current, at one instant for the events on the card.
    ///
    /// # Errors
    /// The driver's: the card is lost then.
    pub fn carry_out(&mut self, planned: PlannedCommit) -> Result<(), CardError> {
        self.commit(planned.next, &planned.update)
    }

    /// Where the program of a slot stands.
    fn place_of(&self, slot: u32) -> Result<&ProgramPlan, CardError> {
        self.standing.image.program(slot).filter(|_| !self.lost).ok_or(CardError::Lost)
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
        let contents = Contents::of_card(&self.standing.image, &plan, read);
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
        let image = &self.standing.image;
        let mut all = image.empty_contents(plan);
        all.extend(contents.card_writes(image, plan));
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

/// Puts writes before the last one, which is the commit.
fn insert_before_commit(writes: &mut Vec<HostWrite>, more: Vec<HostWrite>) {
    let place = writes.len().saturating_sub(1);
    writes.splice(place..place, more);
}
