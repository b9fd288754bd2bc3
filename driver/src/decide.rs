//! Answers within a bound: from the card, or from the caller's fallback when the card is late,
//! lost, full or refuses.
//!
//! The bound of one answer is the queue's budget, one register access (by which the card is asked
//! how it is), and the fallback's own time. After a failure of the pair the fallback answers at
//! once, until [`Decider::recover`].

use rmt_isa::{Decision, Event};

use crate::device::Device;
use crate::error::DriverError;
use crate::queue::{Ended, Miss, QueuePair};

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The card.
    Card,
    /// The fallback, because of this.
    Fallback(Miss),
}

/// A decision and who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The decision, with the event's own tag.
    pub decision: Decision,
    /// Who made it.
    pub source: Source,
}

/// A queue pair with a fallback.
pub struct Decider<D, F> {
    queue: QueuePair<D>,
    fallback: F,
}

impl<D: Device, F: FnMut(&Event) -> Decision> Decider<D, F> {
    /// Decides by the card, else by `fallback`, for instance the interpreter.
    pub fn new(queue: QueuePair<D>, fallback: F) -> Self {
        Self { queue, fallback }
    }

    /// The queue pair, for its statistics.
    pub fn queue(&self) -> &QueuePair<D> {
        &self.queue
    }

    /// The queue pair, for tests that interfere with it.
    pub fn queue_mut(&mut self) -> &mut QueuePair<D> {
        &mut self.queue
    }

    /// Decides one event and waits for it.
    pub fn decide(&mut self, event: &Event) -> Answer {
        let mut answer = None;
        self.decide_all(std::iter::once(*event), 1, |_, ended| answer = Some(ended));
        // `decide_all` hands out exactly one answer for each event.
        answer.unwrap_or_else(|| self.by_fallback(event, Miss::Stopped))
    }

    /// Decides events, at most `batch` of them inside at a time; `sink` gets each with its
    /// answer, in the order in which they end. Allocates nothing.
    pub fn decide_all(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        batch: usize,
        mut sink: impl FnMut(&Event, Answer),
    ) {
        let mut events = events.into_iter().peekable();
        let Self { queue, fallback } = self;
        loop {
            while queue.waiting() < batch.max(1) {
                let Some(event) = events.peek() else { break };
                match queue.submit(event) {
                    Ok(_) => {}
                    // Room comes when one that waits ends; if none does, the fallback has to.
                    Err(Miss::Full) if queue.is_waiting() => break,
                    Err(miss) => sink(event, from_fallback(fallback, event, miss)),
                }
                events.next();
            }
            queue.flush();
            let ended = queue.poll(|Ended { event, result, .. }| {
                let answer = match result {
                    Ok(decision) => Answer { decision, source: Source::Card },
                    Err(miss) => from_fallback(fallback, event, miss),
                };
                sink(event, answer);
            });
            if queue.is_waiting() {
                if ended == 0 {
                    queue.device().relax();
                }
            } else if events.peek().is_none() {
                return;
            }
        }
    }

    /// Starts the pair again after a failure.
    ///
    /// # Errors
    /// When the card does not start it; the fallback goes on answering.
    pub fn recover(&mut self) -> Result<(), DriverError> {
        // Nothing waits between two calls of `decide_all`.
        self.queue.restart(|_| {})
    }

    fn by_fallback(&mut self, event: &Event, miss: Miss) -> Answer {
        from_fallback(&mut self.fallback, event, miss)
    }
}

fn from_fallback(
    fallback: &mut impl FnMut(&Event) -> Decision,
    event: &Event,
    miss: Miss,
) -> Answer {
    Answer { decision: fallback(event), source: Source::Fallback(miss) }
}
