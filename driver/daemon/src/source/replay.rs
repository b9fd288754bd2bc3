//! Recorded events at a rate: for machines without the kernel module, for tests, for `rmt top`.

use std::time::{Duration, Instant};

use rmt_isa::event::Status;
use rmt_isa::{Decision, Event};

use super::{Source, SourceError};

/// Events of a list, again and again if asked to.
pub struct Replay {
    name: String,
    events: Vec<Event>,
    next: usize,
    rounds: u64,
    /// Rounds to do; none: for ever.
    most_rounds: Option<u64>,
    /// Time between two events.
    interval: Option<Duration>,
    due: Instant,
    answered: u64,
    decided: u64,
    sink: Option<Sink>,
}

/// Takes each decision.
type Sink = Box<dyn FnMut(&Event, &Decision) + Send>;

impl Replay {
    /// Events at so many a second, or as fast as they are decided; `rounds` times, or for ever.
    pub fn new(
        name: impl Into<String>,
        events: Vec<Event>,
        per_second: Option<f64>,
        rounds: Option<u64>,
    ) -> Self {
        let interval = per_second.filter(|rate| *rate > 0.0).map(|rate| 1.0 / rate);
        Self {
            name: name.into(),
            events,
            next: 0,
            rounds: 0,
            most_rounds: rounds,
            interval: interval.map(|seconds| Duration::from_secs_f64(seconds.min(3600.0))),
            due: Instant::now(),
            answered: 0,
            decided: 0,
            sink: None,
        }
    }

    /// The same, with each decision handed to a function.
    pub fn with_sink(self, sink: impl FnMut(&Event, &Decision) + Send + 'static) -> Self {
        Self { sink: Some(Box::new(sink)), ..self }
    }

    /// How many events are due.
    fn due_events(&mut self, most: usize) -> usize {
        let Some(interval) = self.interval else { return most };
        let late = Instant::now().saturating_duration_since(self.due);
        // What a machine that was busy has missed is not made up for without bound.
        let count = (late.as_nanos() / interval.as_nanos().max(1)).min(most as u128) as usize;
        self.due += interval * count as u32;
        if count == most {
            self.due = Instant::now();
        }
        count
    }
}

impl Source for Replay {
    fn name(&self) -> &str {
        &self.name
    }

    fn take(&mut self, events: &mut Vec<Event>, most: usize) -> Result<(), SourceError> {
        let mut left = if self.finished() { 0 } else { self.due_events(most) };
        while left > 0 && !self.finished() {
            let rest = &self.events[self.next..];
            let taken = left.min(rest.len());
            events.extend_from_slice(&rest[..taken]);
            self.next += taken;
            left -= taken;
            if self.next == self.events.len() {
                self.next = 0;
                self.rounds += 1;
            }
        }
        Ok(())
    }

    fn answer(&mut self, events: &[Event], decisions: &[Decision]) {
        self.answered += decisions.len() as u64;
        let decided = |decision: &&Decision| decision.status == Status::Decided;
        self.decided += decisions.iter().filter(decided).count() as u64;
        if let Some(sink) = &mut self.sink {
            events.iter().zip(decisions).for_each(|(event, decision)| sink(event, decision));
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        vec![("answered", self.answered), ("decided", self.decided), ("rounds", self.rounds)]
    }

    fn finished(&self) -> bool {
        self.events.is_empty() || self.most_rounds.is_some_and(|most| self.rounds >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_as_often_as_asked() {
        let events: Vec<Event> = (0..5).map(|tag| Event::new(1, tag, 0)).collect();
        let mut replay = Replay::new("trace", events, None, Some(2));
        let mut taken = Vec::new();
        while !replay.finished() {
            let begun = taken.len();
            replay.take(&mut taken, 3).unwrap();
            assert!(taken.len() - begun <= 3);
        }
        let tags: Vec<u32> = taken.iter().map(Event::tag).collect();
        assert_eq!(tags, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_rate_is_kept() {
        let mut replay = Replay::new("trace", vec![Event::new(1, 0, 0)], Some(1000.0), None);
        let mut taken = Vec::new();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(100) {
            replay.take(&mut taken, 64).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        let most = begun.elapsed().as_millis() as usize + 1;
        assert!((50..=most).contains(&taken.len()), "{} of {most}", taken.len());
    }
}
