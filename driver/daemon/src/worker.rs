//! The thread that owns all engines: it takes events from the sources, has them decided, and does
//! what the control plane asks between two batches.
//!
//! Each turn of its loop is bounded: a batch of events, a few jobs, housekeeping. When nothing
//! comes it looks again for a while without sleeping, then sleeps for longer and longer.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rmt_isa::{Decision, Event};

use crate::engines::Engines;
use crate::log::say;
use crate::protocol::{Refusal, RefusalKind};
use crate::source::Source;

/// Most events of one batch.
const BATCH: usize = 64;
/// Most jobs between two batches.
const JOBS: usize = 4;
/// Time for which an idle worker looks again without sleeping, when it has sources.
const SPIN: Duration = Duration::from_micros(50);
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);
/// The same without sources.
const NO_SOURCES_SLEEP: Duration = Duration::from_millis(100);

/// What the worker owns.
pub struct Host {
    /// All programs.
    pub engines: Engines,
    /// Where events come from.
    pub sources: Vec<Box<dyn Source>>,
    /// What went wrong with sources that were dropped.
    pub source_failures: Vec<String>,
    events: Vec<Event>,
    decisions: Vec<Decision>,
}

type Job = Box<dyn FnOnce(&mut Host) + Send>;

enum Message {
    Do(Job),
    Stop,
}

/// The worker, until it is dropped.
pub struct Worker {
    messages: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's.
    pub fn start(engines: Engines, sources: Vec<Box<dyn Source>>) -> std::io::Result<Self> {
        let (messages, inbox) = channel();
        let host = Host {
            engines,
            sources,
            source_failures: Vec::new(),
            events: Vec::with_capacity(BATCH),
            decisions: Vec::with_capacity(BATCH),
        };
        let builder = std::thread::Builder::new().name("rmt-worker".into());
        let thread = Some(builder.spawn(move || host.run(&inbox))?);
        Ok(Self { messages, thread })
    }

    /// Has something done between two batches, and waits for its result. The wait is bounded by
    /// one turn of the loop, in which the card's patience is the longest part.
    ///
    /// # Errors
    /// When the worker has stopped; nothing was done then.
    pub fn ask<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Host) -> R + Send + 'static,
    ) -> Result<R, Refusal> {
        let (answer, result) = channel();
        let job: Job = Box::new(move |host| {
            // Nobody waits any more only when the asking thread has died.
            _ = answer.send(job(host));
        });
        let stopped = || {
            let reason = "the daemon is stopping";
            Refusal::new(RefusalKind::Unavailable, reason, "start it again: `rmt serve`")
        };
        self.messages.send(Message::Do(job)).map_err(|_| stopped())?;
        result.recv().map_err(|_| stopped())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // An error says that it has stopped already.
        _ = self.messages.send(Message::Stop);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Host {
    fn run(mut self, inbox: &Receiver<Message>) {
        let (mut idle_since, mut sleep) = (None, SHORTEST_SLEEP);
        loop {
            for _ in 0..JOBS {
                match inbox.try_recv() {
                    Ok(Message::Do(job)) => job(&mut self),
                    Ok(Message::Stop) => return self.drain(),
                    Err(_) => break,
                }
            }
            let worked = self.turn();
            let now = Instant::now();
            self.engines.keep_house(now);
            if worked > 0 {
                (idle_since, sleep) = (None, SHORTEST_SLEEP);
                continue;
            }
            let idle = now.duration_since(*idle_since.get_or_insert(now));
            let limit = match self.sources.is_empty() {
                true => NO_SOURCES_SLEEP,
                false if idle < SPIN => {
                    std::hint::spin_loop();
                    continue;
                }
                false => sleep,
            };
            // A single source that can wake this thread lets it sleep for longer than jobs need.
            if let [source] = self.sources.as_mut_slice()
                && source.sleep(LONGEST_SLEEP)
            {
                continue;
            }
            match inbox.recv_timeout(limit) {
                Ok(Message::Do(job)) => job(&mut self),
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return self.drain(),
                Err(RecvTimeoutError::Timeout) => sleep = (sleep * 2).min(LONGEST_SLEEP),
            }
        }
    }

    /// One batch of each source; how many events that were.
    fn turn(&mut self) -> usize {
        let Self { engines, sources, source_failures, events, decisions } = self;
        let mut worked = 0;
        sources.retain_mut(|source| {
            events.clear();
            decisions.clear();
            if let Err(error) = source.take(events, BATCH) {
                say(format_args!("rmt serve: {error}"));
                source_failures.push(error.to_string());
                return false;
            }
            if !events.is_empty() {
                engines.decide(events, decisions);
                source.answer(events, decisions);
                worked += events.len();
            }
            true
        });
        worked
    }

    /// Answers what was in the sources when the worker was told to stop, as far as it goes in a
    /// bounded number of turns.
    fn drain(mut self) {
        for _ in 0..16 {
            if self.turn() == 0 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::placement::tests::platform;
    use crate::source::replay::Replay;
    use rmt_vm::verifier::Limits;

    #[test]
    fn every_event_is_answered_also_those_that_no_program_serves() {
        let answered = Arc::new(AtomicU64::new(0));
        let count = answered.clone();
        let events: Vec<Event> = (0..500).map(|tag| Event::new(9, tag, 0)).collect();
        let replay =
            Replay::new("trace", events, None, Some(3)).with_sink(move |event, decision| {
                assert_eq!(decision.tag, event.tag());
                assert_eq!(decision.status, rmt_isa::Status::NoProgram);
                count.fetch_add(1, Ordering::Relaxed);
            });
        let engines = Engines::new(None, platform(), Limits::default());
        let worker = Worker::start(engines, vec![Box::new(replay)]).unwrap();
        while !worker.ask(|host| host.sources[0].finished()).unwrap() {}
        let counted = worker.ask(|host| host.engines.events_without_program).unwrap();
        assert_eq!((counted, answered.load(Ordering::Relaxed)), (1500, 1500));
    }
}
