//! A queue pair, polled by its owner.
//!
//! [`QueuePair::submit`] puts an event on its way, [`QueuePair::flush`] tells the card of all that
//! were put into the ring, [`QueuePair::poll`] hands out what has ended. Nothing is allocated per
//! event, and nothing waits: each event that was submitted ends exactly once, with a [`Decision`]
//! or with the [`Miss`] that says why there is none, at the latest at the first poll after its
//! budget. [`slots`] holds what is inside, [`ring`] reads records.

pub mod ring;
pub mod slots;

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use rmt_isa::device::QueueError;
use rmt_isa::device::fields::{pair_control, pair_hooks, pair_interrupt, pair_moderation};
use rmt_isa::device::fields::{pair_rings, pair_status};
use rmt_isa::device::registers::{
    COMPLETION_HEAD, COMPLETION_RING, DOMAIN, EVENT_RING, EVENT_TAIL, HOOKS, INLINE, INTERRUPT,
    LINE_BYTES, MODERATION, PAIR_CONTROL, PAIR_STATUS, RINGS,
};
use rmt_isa::device::ring::{inline_line, phase, slot};
use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES, Status, WireField, event_layout};
use rmt_isa::{Decision, Event};

use crate::card::{GONE, wait};
use crate::config::{QueueConfig, Transport};
use crate::device::Device;
use crate::error::DriverError;
use crate::memory::DmaMemory;
use ring::{RECORD_WORDS, read_record};
use slots::{Owner, Slots};

pub use slots::Ticket;

/// Words of an event, and where its tag stands in the first of them.
const EVENT_WORDS: usize = EVENT_BYTES / 8;
const TAG: WireField = event_layout::TAG;
const TAG_SHIFT: usize = 8 * TAG.offset;
const TAG_MASK: u64 = (u32::MAX as u64) << TAG_SHIFT;
const _: () =
    assert!(TAG.offset + TAG.bytes <= 8 && TAG.bytes == 4, "the tag is in the first word");
/// While decisions keep coming, the clock is read at every such poll only: 2 to this power.
const CLOCK_POLLS_LOG2: u32 = 4;

/// Why an event has no decision of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Miss {
    /// The budget has passed.
    #[error("no decision within the budget")]
    Late,
    /// As many events are inside as the rings hold.
    #[error("the queue pair is full")]
    Full,
    /// The card ended the event with a status that is no decision.
    #[error("the card ended the event: {}", .0.doc())]
    Refused(Status),
    /// The queue pair has failed; it must be restarted.
    #[error("the queue pair failed: {0}")]
    Failed(QueueError),
    /// The pair is not running, for instance after a reset; it must be restarted.
    #[error("the queue pair is stopped")]
    Stopped,
    /// The card's registers read as all ones.
    #[error("the card is gone")]
    Lost,
}

/// An event that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'q> {
    /// Which one.
    pub ticket: Ticket,
    /// The event as it was submitted.
    pub event: &'q Event,
    /// The decision, with the event's own tag, or why there is none.
    pub result: Result<Decision, Miss>,
}

/// What has happened in a queue pair since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatistics {
    /// Events submitted.
    pub submitted: u64,
    /// Decisions handed out.
    pub decided: u64,
    /// Events that ended with a [`Miss`].
    pub missed: u64,
    /// Events cancelled.
    pub cancelled: u64,
    /// Decisions that came after their event had ended as late or was cancelled.
    pub too_late: u64,
    /// Records that belong to no event inside, or are none.
    pub stray: u64,
}

/// A queue pair and its owner's end of the rings.
pub struct QueuePair<D> {
    device: Arc<D>,
    pair: u32,
    config: QueueConfig,
    /// Most events inside.
    capacity: usize,
    events: Arc<DmaMemory>,
    completions: Arc<DmaMemory>,
    slots: Slots,
    budget_ns: u64,
    /// Index behind the last event in the ring, and the one that the card knows.
    event_tail: u16,
    told_tail: u16,
    /// Index of the first decision that has not been taken, and the one that the card knows.
    completion_head: u16,
    told_head: u16,
    polls: u32,
    broken: Option<Miss>,
    statistics: QueueStatistics,
}

impl<D: Device> QueuePair<D> {
    /// Allocates the rings and starts the pair.
    ///
    /// # Errors
    /// When the configuration is out of range, there is no memory, or the card refuses.
    pub fn start(
        device: Arc<D>,
        pair: u32,
        inline_slots: u32,
        config: QueueConfig,
    ) -> Result<Self, DriverError> {
        config.check()?;
        let size = 1_usize << config.ring_log2;
        let capacity = match config.transport {
            Transport::Ring => size,
            // The window tells the card of taken decisions in sixteenths of the ring.
            Transport::Inline => (size - size / 16).min(inline_slots.max(1) as usize),
        };
        let mut queue = Self {
            events: device.allocate(size * EVENT_BYTES)?,
            completions: device.allocate(size * DECISION_BYTES)?,
            slots: Slots::new(size),
            budget_ns: config.budget().as_nanos() as u64,
            device,
            pair,
            config,
            capacity,
            event_tail: 0,
            told_tail: 0,
            completion_head: 0,
            told_head: 0,
            polls: 0,
            broken: None,
            statistics: QueueStatistics::default(),
        };
        // Whoever had the pair before may have left it running.
        queue.disable()?;
        queue.enable()?;
        Ok(queue)
    }

    /// Its number on the card.
    pub fn pair(&self) -> u32 {
        self.pair
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// How it was started.
    pub fn config(&self) -> &QueueConfig {
        &self.config
    }

    /// Most events that can be inside at a time.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Events inside the card, including those that have ended as late.
    pub fn outstanding(&self) -> usize {
        self.slots.occupied()
    }

    /// Events that wait for their end.
    pub fn waiting(&self) -> usize {
        self.slots.waiting()
    }

    /// Whether there are any.
    pub fn is_waiting(&self) -> bool {
        !self.slots.none_waiting()
    }

    /// Its interrupt vector: that of number 0 is the admin queue's.
    pub fn vector(&self) -> u32 {
        self.pair + 1
    }

    /// Time until the oldest event that waits is late; `None` when none waits.
    pub fn time_left(&self) -> Option<Duration> {
        let (_, deadline) = self.slots.oldest()?;
        // Without a deadline: it stands in the ring, and the card has not been told.
        let left = deadline.saturating_sub(self.now_ns()).min(self.budget_ns);
        Some(Duration::from_nanos(left))
    }

    /// Why nothing can be submitted, if so.
    pub fn broken(&self) -> Option<Miss> {
        self.broken
    }

    /// What has happened so far.
    pub fn statistics(&self) -> QueueStatistics {
        self.statistics
    }

    /// Puts an event on its way. In a ring it waits there for [`QueuePair::flush`].
    ///
    /// # Errors
    /// [`Miss::Full`], or why the pair is broken. The event is not inside then.
    #[inline]
    pub fn submit(&mut self, event: &Event) -> Result<Ticket, Miss> {
        if let Some(miss) = self.broken {
            return Err(miss);
        }
        if self.slots.occupied() >= self.capacity {
            return Err(Miss::Full);
        }
        let ticket = self.slots.take(event).ok_or(Miss::Full)?;
        self.statistics.submitted += 1;
        match self.config.transport {
            Transport::Ring => {
                let place = usize::from(slot(self.event_tail, self.config.ring_log2));
                let mut words = event.bytes.as_chunks::<8>().0.iter();
                let mut words: [u64; EVENT_WORDS] = std::array::from_fn(|_| {
                    words.next().map_or(0, |word| u64::from_le_bytes(*word))
                });
                words[0] = words[0] & !TAG_MASK | u64::from(ticket.card_tag()) << TAG_SHIFT;
                self.events.store_words(place * EVENT_WORDS, words);
                self.event_tail = self.event_tail.wrapping_add(1);
            }
            Transport::Inline => {
                let mut tagged = *event;
                tagged.store(TAG.offset, TAG.bytes, ticket.card_tag().into());
                let line = inline_line(self.completion_head, self.config.ring_log2);
                let offset = INLINE.at(self.pair) + line * LINE_BYTES;
                self.device.write_line(INLINE.bar, offset, &tagged.bytes);
                self.told_head = self.completion_head;
                let deadline = self.now_ns() + self.budget_ns;
                self.slots.set_open_deadlines(deadline);
            }
        }
        Ok(ticket)
    }

    /// Tells the card of the events in the ring; their budgets begin now.
    #[inline]
    pub fn flush(&mut self) {
        if self.event_tail != self.told_tail {
            let deadline = self.now_ns() + self.budget_ns;
            self.slots.set_open_deadlines(deadline);
            fence(Ordering::Release);
            self.told_tail = self.event_tail;
            self.device.write(EVENT_TAIL, self.pair, self.event_tail.into());
        }
    }

    /// Hands out the events that have ended, at most as many as the ring holds. Gives their number.
    #[inline]
    pub fn poll(&mut self, mut sink: impl FnMut(Ended<'_>)) -> usize {
        let mut ended = 0;
        let log2 = self.config.ring_log2;
        let words = self.completions.words();
        for _ in 0..1_usize << log2 {
            let place = usize::from(slot(self.completion_head, log2)) * RECORD_WORDS;
            let due = phase(self.completion_head, log2);
            let Some(record) = read_record(words, place, due) else { break };
            self.completion_head = self.completion_head.wrapping_add(1);
            let taken = take_record(&mut self.slots, &mut self.statistics, &record, &mut sink);
            ended += usize::from(taken);
        }
        self.tell_head();
        self.polls = self.polls.wrapping_add(1);
        let look_at_clock = ended == 0 || self.polls.is_multiple_of(1 << CLOCK_POLLS_LOG2);
        if look_at_clock && !self.slots.none_waiting() {
            ended += self.expire(&mut sink);
        }
        ended
    }

    /// Takes an event back: it ends here without being handed out. The card's decision, when it
    /// comes, is dropped. False when it had ended before.
    pub fn cancel(&mut self, ticket: Ticket) -> bool {
        let waiting = self.slots.is_waiting(ticket);
        if waiting {
            self.slots.abandon(ticket);
            self.statistics.cancelled += 1;
        }
        waiting
    }

    /// Asks the card for the state of the pair. If it is not well, all events end with the reason.
    pub fn check(&mut self, mut sink: impl FnMut(Ended<'_>)) -> Result<(), Miss> {
        match self.state() {
            None => Ok(()),
            Some(miss) => {
                self.fail(miss, &mut sink);
                Err(miss)
            }
        }
    }

    /// Stops the pair for good: the card no longer reads or writes its rings.
    ///
    /// # Errors
    /// When the card does not let go of the events inside in time, or is gone.
    pub fn stop(mut self) -> Result<(), DriverError> {
        self.disable()
    }

    /// Stops the pair and starts it again. Events inside end as stopped.
    ///
    /// # Errors
    /// When the card does not let go of them in time, or does not start.
    pub fn restart(&mut self, mut sink: impl FnMut(Ended<'_>)) -> Result<(), DriverError> {
        self.fail(Miss::Stopped, &mut sink);
        self.disable()?;
        self.enable()
    }

    /// Gives all settings to the card and enables the pair.
    fn enable(&mut self) -> Result<(), DriverError> {
        self.completions.clear();
        self.slots.forget_abandoned();
        (self.event_tail, self.told_tail) = (0, 0);
        (self.completion_head, self.told_head) = (0, 0);
        let (device, config, pair) = (&*self.device, &self.config, self.pair);
        let log2 = config.ring_log2.into();
        let hooks = [pair_hooks::HOOK0, pair_hooks::HOOK1, pair_hooks::HOOK2, pair_hooks::HOOK3];
        let hooks = hooks.iter().zip(&config.hooks).map(|(f, &hook)| f.insert(hook.into()));
        device.write(EVENT_RING, pair, self.events.bus_address());
        device.write(COMPLETION_RING, pair, self.completions.bus_address());
        let sizes = pair_rings::EVENT_LOG2.insert(log2) | pair_rings::COMPLETION_LOG2.insert(log2);
        device.write(RINGS, pair, sizes);
        let vector = pair_interrupt::VECTOR.insert(self.vector().into());
        let enable = pair_interrupt::ENABLE.insert(config.interrupts.into());
        device.write(INTERRUPT, pair, vector | enable);
        let moderation = pair_moderation::DECISIONS.insert(config.moderation_decisions.into())
            | pair_moderation::TIME.insert(config.moderation_time.into());
        device.write(MODERATION, pair, moderation);
        device.write(DOMAIN, pair, config.domain.into());
        device.write(HOOKS, pair, hooks.sum());
        let control = pair_control::ENABLE.insert(1)
            | pair_control::HOOK_COUNT.insert(config.hooks.len() as u64);
        device.write(PAIR_CONTROL, pair, control);
        wait(device, "starting a queue pair", || {
            let status = device.read(PAIR_STATUS, pair);
            let error = pair_status::ERROR.extract(status);
            pair_status::RUNNING.extract(status) == 1 || error != 0
        })?;
        match self.state() {
            None => {
                self.broken = None;
                Ok(())
            }
            Some(Miss::Failed(error)) => {
                Err(DriverError::Queue { name: self.device.name().to_owned(), pair, error })
            }
            Some(_) => Err(DriverError::Lost { name: self.device.name().to_owned() }),
        }
    }

    fn disable(&mut self) -> Result<(), DriverError> {
        let (device, pair) = (&*self.device, self.pair);
        if device.read(PAIR_STATUS, pair) == GONE {
            return Err(DriverError::Lost { name: device.name().to_owned() });
        }
        device.write(PAIR_CONTROL, pair, 0);
        wait(device, "stopping a queue pair", || {
            pair_status::DRAINING.extract(device.read(PAIR_STATUS, pair)) == 0
        })
    }

    fn now_ns(&self) -> u64 {
        self.device.now().as_nanos() as u64
    }

    /// Tells the card of taken decisions when it knows of half a ring fewer.
    #[inline]
    fn tell_head(&mut self) {
        let lag = self.completion_head.wrapping_sub(self.told_head);
        if lag >= 1 << (self.config.ring_log2 - 1) && self.config.transport == Transport::Ring {
            self.told_head = self.completion_head;
            self.device.write(COMPLETION_HEAD, self.pair, self.completion_head.into());
        }
    }

    /// Ends events whose budget has passed. When there is one, the card is asked how it is.
    fn expire(&mut self, sink: &mut impl FnMut(Ended<'_>)) -> usize {
        let now = self.now_ns();
        let late = |slots: &Slots| slots.oldest().filter(|(_, deadline)| *deadline <= now);
        if late(&self.slots).is_none() {
            return 0;
        }
        if let Some(miss) = self.state() {
            return self.fail(miss, sink);
        }
        let mut ended = 0;
        while let Some((ticket, _)) = late(&self.slots) {
            self.statistics.missed += 1;
            sink(Ended { ticket, event: self.slots.event(ticket), result: Err(Miss::Late) });
            self.slots.abandon(ticket);
            ended += 1;
        }
        ended
    }

    /// Ends all events with a reason; nothing can be submitted any more.
    fn fail(&mut self, miss: Miss, sink: &mut impl FnMut(Ended<'_>)) -> usize {
        self.broken = Some(miss);
        let mut ended = 0;
        while let Some((ticket, _)) = self.slots.oldest() {
            self.statistics.missed += 1;
            sink(Ended { ticket, event: self.slots.event(ticket), result: Err(miss) });
            self.slots.abandon(ticket);
            ended += 1;
        }
        ended
    }

    /// What the card says of the pair: `None` when it runs.
    fn state(&self) -> Option<Miss> {
        let status = self.device.read(PAIR_STATUS, self.pair);
        if status == GONE {
            return Some(Miss::Lost);
        }
        match QueueError::from_number(pair_status::ERROR.extract(status) as u8) {
            Some(QueueError::None) if pair_status::RUNNING.extract(status) == 1 => None,
            Some(QueueError::None) => Some(Miss::Stopped),
            Some(error) => Some(Miss::Failed(error)),
            // A number that this contract does not know comes from a card that is not well.
            None => Some(Miss::Lost),
        }
    }
}

/// Ends the event of a record; false when it belongs to none that waits.
#[inline]
fn take_record(
    slots: &mut Slots,
    statistics: &mut QueueStatistics,
    record: &[u8; DECISION_BYTES],
    sink: &mut impl FnMut(Ended<'_>),
) -> bool {
    let Ok((mut decision, _)) = Decision::from_bytes(record) else {
        statistics.stray += 1;
        return false;
    };
    match slots.answered(decision.tag) {
        Owner::Waiting(ticket) => {
            let event = slots.event(ticket);
            decision.tag = event.tag();
            let result = match decision.status {
                Status::Decided | Status::Abstained | Status::Missed => {
                    statistics.decided += 1;
                    Ok(decision)
                }
                status => {
                    statistics.missed += 1;
                    Err(Miss::Refused(status))
                }
            };
            sink(Ended { ticket, event, result });
            slots.finish(ticket);
            true
        }
        Owner::Abandoned => {
            statistics.too_late += 1;
            false
        }
        Owner::Nobody => {
            statistics.stray += 1;
            false
        }
    }
}
