//! Events as futures, for tokio.
//!
//! [`AsyncQueue::submit`] gives a future of the event's end. Dropping the future cancels the event;
//! its time-out is the queue's budget. One task looks at the rings and wakes who waits:
//! [`AsyncQueue::drive`] again and again, [`AsyncQueue::drive_by_interrupts`] when the card has
//! raised its interrupt.
//! Per event nothing is allocated: the future holds a ticket, wakers live in the slots.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rmt_isa::{Decision, Event};
use tokio::sync::Notify;

use crate::device::Device;
use crate::error::DriverError;
use crate::memory::watch;
use crate::queue::{Ended, Miss, QueuePair, QueueStatistics, Ticket};

/// How an event ended.
type Outcome = Result<Decision, Miss>;

/// Where a future finds its event's end. It is the future's own until that is gone: the slot
/// of the queue is free earlier, as soon as the card has answered.
#[derive(Default)]
struct Seat {
    outcome: Option<Outcome>,
    waker: Option<Waker>,
}

struct Inner<D> {
    queue: QueuePair<D>,
    seats: Seats,
    closed: bool,
}

/// As many seats as the ring has places.
struct Seats {
    seats: Vec<Seat>,
    free: Vec<u16>,
    /// The seat of the event in each slot of the queue.
    of_slot: Vec<u16>,
}

impl Seats {
    fn new(count: usize) -> Self {
        Self {
            seats: (0..count).map(|_| Seat::default()).collect(),
            free: (0..count as u16).rev().collect(),
            of_slot: vec![0; count],
        }
    }

    /// Puts an event's end where its future finds it, and wakes that.
    fn end(&mut self, ended: Ended<'_>) {
        let number = self.of_slot[ended.ticket.slot()];
        let seat = &mut self.seats[usize::from(number)];
        seat.outcome = Some(ended.result);
        if let Some(waker) = seat.waker.take() {
            waker.wake();
        }
    }

    fn release(&mut self, number: u16) {
        self.seats[usize::from(number)] = Seat::default();
        self.free.push(number);
    }
}

struct Shared<D> {
    inner: Mutex<Inner<D>>,
    /// Something was submitted.
    work: Notify,
    /// Whoever drives the queue shall end.
    closing: Notify,
}

impl<D> Shared<D> {
    fn lock(&self) -> MutexGuard<'_, Inner<D>> {
        // The state is whole between any two statements that could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue pair whose events are futures.
pub struct AsyncQueue<D> {
    shared: Arc<Shared<D>>,
}

impl<D> Clone for AsyncQueue<D> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<D: Device> AsyncQueue<D> {
    /// Takes a queue pair over.
    pub fn new(queue: QueuePair<D>) -> Self {
        let seats = Seats::new(1 << queue.config().ring_log2);
        let inner = Mutex::new(Inner { queue, seats, closed: false });
        let (work, closing) = (Notify::new(), Notify::new());
        Self { shared: Arc::new(Shared { inner, work, closing }) }
    }

    /// Sends an event; the future ends with its decision or the reason why there is none.
    ///
    /// # Errors
    /// [`Miss::Full`] also while futures that have ended are kept, or why the pair is broken.
    pub fn submit(&self, event: &Event) -> Result<PendingDecision<D>, Miss> {
        let (ticket, seat) = {
            let mut inner = self.shared.lock();
            let Inner { queue, seats, .. } = &mut *inner;
            let &seat = seats.free.last().ok_or(Miss::Full)?;
            let ticket = queue.submit(event)?;
            queue.flush();
            seats.free.pop();
            seats.of_slot[ticket.slot()] = seat;
            (ticket, seat)
        };
        self.shared.work.notify_one();
        Ok(PendingDecision { shared: self.shared.clone(), ticket, seat })
    }

    /// What has happened so far.
    pub fn statistics(&self) -> QueueStatistics {
        self.shared.lock().queue.statistics()
    }

    /// Ends the task that drives the queue.
    pub fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_one();
        self.shared.closing.notify_one();
    }

    /// Looks at the rings and wakes who waits, until [`AsyncQueue::close`]. Between two looks
    /// that found nothing it sleeps for `interval`; zero means that it only lets others run.
    pub async fn drive(&self, interval: Duration) {
        loop {
            let (ended, waiting, closed) = {
                let mut inner = self.shared.lock();
                let ended = inner.poll();
                (ended, inner.queue.is_waiting(), inner.closed)
            };
            match (closed, waiting, ended) {
                (true, ..) => return,
                (_, false, _) => self.shared.work.notified().await,
                (_, true, 0) if !interval.is_zero() => tokio::time::sleep(interval).await,
                _ => tokio::task::yield_now().await,
            }
        }
    }

    /// The same, asleep until the card raises the pair's interrupt or the oldest event is late
    /// (tokio's clock has ticks of 1 ms). The queue must have been started with `interrupts`,
    /// after [`Device::enable_interrupts`].
    ///
    /// # Errors
    /// When the queue raises no interrupts, or they cannot be waited for.
    ///
    /// # Panics
    /// Outside of a runtime of tokio with time and I/O (`enable_all`).
    pub async fn drive_by_interrupts(&self) -> Result<(), DriverError> {
        let (name, descriptor) = {
            let inner = self.shared.lock();
            let (queue, name) = (&inner.queue, inner.queue.device().name().to_owned());
            if !queue.config().interrupts {
                let rule = "true where interrupts are waited for".to_owned();
                return Err(DriverError::Setting { setting: "interrupts", found: 0, rule });
            }
            (name, queue.device().interrupt_descriptor(queue.vector())?)
        };
        let Some(descriptor) = descriptor else {
            return Err(DriverError::NoInterruptDescriptor { name });
        };
        let event_loop = |source| DriverError::EventLoop { name: name.clone(), source };
        let interrupts = watch(descriptor).map_err(event_loop)?;
        loop {
            let (ended, left, closed) = {
                let mut inner = self.shared.lock();
                let ended = inner.poll();
                (ended, inner.queue.time_left(), inner.closed)
            };
            match (closed, left, ended) {
                (true, ..) => return Ok(()),
                (_, None, _) => self.shared.work.notified().await,
                // More may have come meanwhile; it is cheaper to look than to sleep.
                (_, Some(_), 1..) => tokio::task::yield_now().await,
                (_, Some(left), 0) => tokio::select! {
                    ready = interrupts.readable() => {
                        let mut ready = ready.map_err(event_loop)?;
                        // Taking the interrupts that have come; none is there when another
                        // reader was faster.
                        let _ = rustix::io::read(ready.get_inner(), &mut [0_u8; 8]);
                        ready.clear_ready();
                    }
                    () = tokio::time::sleep(left) => {}
                    () = self.shared.closing.notified() => {}
                },
            }
        }
    }

    /// Starts the pair again after a failure; what is inside ends as stopped.
    ///
    /// # Errors
    /// When the card does not start it.
    pub fn restart(&self) -> Result<(), DriverError> {
        let mut inner = self.shared.lock();
        let Inner { queue, seats, .. } = &mut *inner;
        queue.restart(|ended| seats.end(ended))
    }
}

impl<D: Device> Inner<D> {
    fn poll(&mut self) -> usize {
        let Self { queue, seats, .. } = self;
        let ended = queue.poll(|ended| seats.end(ended));
        if ended == 0 && queue.is_waiting() {
            queue.device().relax();
        }
        ended
    }
}

/// An event inside; it is cancelled when this is dropped.
pub struct PendingDecision<D: Device> {
    shared: Arc<Shared<D>>,
    ticket: Ticket,
    seat: u16,
}

impl<D: Device> PendingDecision<D> {
    /// Takes the event back. False when it had ended.
    pub fn cancel(self) -> bool {
        // Dropping does the rest.
        self.shared.lock().queue.cancel(self.ticket)
    }
}

impl<D: Device> Future for PendingDecision<D> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut inner = self.shared.lock();
        let seat = &mut inner.seats.seats[usize::from(self.seat)];
        if let Some(outcome) = seat.outcome {
            return Poll::Ready(outcome);
        }
        match &mut seat.waker {
            Some(waker) => waker.clone_from(context.waker()),
            empty => *empty = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl<D: Device> Drop for PendingDecision<D> {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.queue.cancel(self.ticket);
        inner.seats.release(self.seat);
    }
}
