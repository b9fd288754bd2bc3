//! What policies know of a program's events: which keys appeared, and how good predictions were.
//!
//! A program that predicts pages (its outputs are offsets from the page of the event, two 32-bit
//! numbers in each word) is as accurate as the share of its predictions that are asked for soon
//! after by the same key.

use std::collections::{HashMap, VecDeque};

use rmt_isa::event::Status;
use rmt_isa::limits::MAX_OUTPUTS;
use rmt_isa::{Decision, Event};

/// Predictions of one key that are remembered.
const REMEMBERED: usize = 64;
/// Keys that are watched; further ones are not until others leave.
const MOST_KEYS: usize = 4096;

/// What is watched of one program.
pub struct Watch {
    /// Where the page stands in the event; none when the program predicts no pages.
    page: Option<(usize, usize)>,
    keys: HashMap<u64, KeyWatch>,
    /// Events so far, the clock of this watch.
    events: u64,
    /// Of all keys, in the current window and in the one before.
    window: Accuracy,
    last_window: Option<Accuracy>,
}

/// Predictions and how many of them came true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Pages predicted.
    pub predicted: u64,
    /// Pages that were asked for.
    pub hits: u64,
}

impl Accuracy {
    /// The share, when there were predictions.
    pub fn share(&self) -> Option<f64> {
        (self.predicted > 0).then(|| self.hits as f64 / self.predicted as f64)
    }
}

/// What is known of one key.
#[derive(Clone, Debug, Default)]
struct KeyWatch {
    accuracy: Accuracy,
    predicted: VecDeque<u64>,
    /// The event, counted over all keys, that was its last.
    last_event: u64,
    events: u64,
}

/// One key, as policies see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The key.
    pub key: u64,
    /// Its events so far.
    pub events: u64,
    /// Its predictions since they were last asked for with a full window.
    pub accuracy: Accuracy,
    /// Events of other keys since its last.
    pub age: u64,
}

impl Watch {
    /// A watch; `page` is place and width of the page in the event.
    pub fn new(page: Option<(usize, usize)>) -> Self {
        Self {
            page,
            keys: HashMap::new(),
            events: 0,
            window: Accuracy::default(),
            last_window: None,
        }
    }

    /// Takes note of an event and its decision.
    pub fn observe(&mut self, event: &Event, decision: &Decision) {
        self.events += 1;
        let key = event.key();
        if self.keys.len() >= MOST_KEYS && !self.keys.contains_key(&key) {
            return;
        }
        let seen = self.keys.entry(key).or_default();
        (seen.last_event, seen.events) = (self.events, seen.events + 1);
        let Some((offset, bytes)) = self.page else { return };
        let page = event.load(offset, bytes);
        if let Some(place) = seen.predicted.iter().position(|&predicted| predicted == page) {
            seen.predicted.remove(place);
            seen.accuracy.hits += 1;
            self.window.hits += 1;
        }
        if decision.status == Status::Decided {
            for page in predicted_pages(page, &decision.outputs) {
                // What is predicted again is one prediction.
                if !seen.predicted.contains(&page) {
                    if seen.predicted.len() == REMEMBERED {
                        seen.predicted.pop_front();
                    }
                    seen.predicted.push_back(page);
                    seen.accuracy.predicted += 1;
                    self.window.predicted += 1;
                }
            }
        }
        if self.window.predicted >= 4096 {
            self.last_window = Some(std::mem::take(&mut self.window));
        }
    }

    /// The accuracy of all keys, of the last full window, else of the current one.
    pub fn share(&self) -> Option<f64> {
        self.last_window.unwrap_or(self.window).share()
    }

    /// All keys. Windows with at least `window` predictions begin anew.
    pub fn seen(&mut self, window: u64) -> Vec<Seen> {
        let events = self.events;
        let seen = self.keys.iter_mut().map(|(&key, watch)| {
            let accuracy = match watch.accuracy.predicted >= window {
                true => std::mem::take(&mut watch.accuracy),
                false => Accuracy::default(),
            };
            Seen { key, events: watch.events, accuracy, age: events - watch.last_event }
        });
        seen.collect()
    }

    /// Forgets a key.
    pub fn forget(&mut self, key: u64) {
        self.keys.remove(&key);
    }
}

/// The pages that a decision predicts: offsets from the event's page, none is 0.
pub fn predicted_pages(page: u64, outputs: &[u64; MAX_OUTPUTS]) -> impl Iterator<Item = u64> {
    let halves = outputs.iter().flat_map(|word| [*word as u32 as i32, (*word >> 32) as u32 as i32]);
    let offsets: Vec<i32> = halves.filter(|offset| *offset != 0).collect();
    offsets.into_iter().map(move |offset| page.wrapping_add_signed(offset.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(offsets: [i32; 2]) -> Decision {
        let word = u64::from(offsets[0] as u32) | u64::from(offsets[1] as u32) << 32;
        let status = Status::Decided;
        Decision { tag: 0, status, written: 1, cycles: 0, outputs: [word, 0, 0] }
    }

    fn fault(key: u64, page: u64) -> Event {
        let mut event = Event::new(1, 0, key);
        event.store(16, 8, page);
        event
    }

    #[test]
    fn a_prediction_is_a_hit_when_its_page_is_asked_for_by_the_same_key() {
        let mut watch = Watch::new(Some((16, 8)));
        watch.observe(&fault(1, 100), &decision([1, -1]));
        watch.observe(&fault(2, 101), &decision([0, 0]));
        watch.observe(&fault(1, 101), &decision([1, 0]));
        watch.observe(&fault(1, 500), &decision([0, 0]));
        let mut seen = watch.seen(3);
        seen.sort_by_key(|seen| seen.key);
        assert_eq!(seen[0].accuracy, Accuracy { predicted: 3, hits: 1 });
        assert_eq!((seen[0].events, seen[0].age), (3, 0));
        assert_eq!((seen[1].events, seen[1].age), (1, 2));
        // The window began anew.
        assert_eq!(watch.seen(1).iter().map(|seen| seen.accuracy.predicted).sum::<u64>(), 0);
        assert!(watch.share().is_some_and(|share| (share - 1.0 / 3.0).abs() < 1e-9));
    }
}
