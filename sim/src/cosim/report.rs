//! The result of a co-simulation.

use std::fmt;

use rmt_vm::state::dump::Difference;
use serde::Serialize;

/// Where a mismatch was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MismatchPlace {
    /// In a decision.
    Decision,
    /// In the state, at a checkpoint.
    State,
}

/// A difference between interpreter and RTL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Number of the event, from 0; for the state: the last event before it was seen.
    pub event: u64,
    /// Clock cycle since reset in which it was seen.
    pub cycle: u64,
    /// Decision or state.
    pub place: MismatchPlace,
    /// The field, such as `output[1]` or `contexts.pages.sets[3].ways[0].value[2]`.
    pub field: String,
    /// What the interpreter says.
    pub expected: String,
    /// What the RTL says.
    pub found: String,
}

impl Mismatch {
    pub(super) fn new(event: u64, cycle: u64, place: MismatchPlace, what: Difference) -> Self {
        Self { event, cycle, place, field: what.place, expected: what.left, found: what.right }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, cycle, field, expected, found, .. } = self;
        let place = match self.place {
            MismatchPlace::Decision => "decision",
            MismatchPlace::State => "state after it",
        };
        write!(
            f,
            "event {event}, {place}, field {field}, cycle {cycle}: the interpreter says {expected}, the RTL {found}"
        )
    }
}

/// What a co-simulation found.
#[derive(Clone, Debug, Default)]
pub struct CosimReport {
    /// Events that were decided and compared.
    pub events: u64,
    /// Times that the whole state was compared.
    pub checkpoints: u64,
    /// The differences, in the order in which they were seen.
    pub mismatches: Vec<Mismatch>,
    /// Cycles from taking an event to its decision, ascending, one for each event.
    pub cycles_per_event: Vec<u64>,
    /// Clock cycles simulated, with reading the state back.
    pub cycles: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What the card counted meanwhile, by name, in the card's order.
    pub counters: Vec<(&'static str, u64)>,
}

/// Counters that keep a bound and do not add up.
const BOUNDS: [&str; 2] = ["SHORTEST_EVENT", "LONGEST_EVENT"];

impl CosimReport {
    /// Takes note of the card's counters, before and after.
    pub(super) fn count(&mut self, before: &[(&'static str, u64)], after: &[(&'static str, u64)]) {
        let difference = |(&(name, before), &(_, after)): (&(&'static str, u64), _)| {
            (name, if BOUNDS.contains(&name) { after } else { after - before })
        };
        self.counters = before.iter().zip(after).map(difference).collect();
    }

    /// A counter; 0 when there is none of this name.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.iter().find(|(other, _)| *other == name).map_or(0, |(_, value)| *value)
    }

    /// One counter divided by another, 0 when that one is 0.
    pub fn ratio(&self, part: &str, whole: &str) -> f64 {
        self.counter(part) as f64 / self.counter(whole).max(1) as f64
    }

    /// The cycles that a share `per_mille` of all events did not exceed; 0 without events.
    /// 0 gives the least, 500 the median, 1000 the most.
    pub fn cycles_at(&self, per_mille: usize) -> u64 {
        let rank = (self.cycles_per_event.len() * per_mille).div_ceil(1000).max(1);
        self.cycles_per_event.get(rank - 1).copied().unwrap_or(0)
    }

    /// The report as JSON, with the percentiles in place of all cycles.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "events": self.events,
            "checkpoints": self.checkpoints,
            "mismatches": self.mismatches,
            "cycles_per_event": {
                "min": self.cycles_at(0),
                "median": self.cycles_at(500),
                "p99": self.cycles_at(990),
                "max": self.cycles_at(1000),
            },
            "cycles": self.cycles,
            "cycles_per_second": self.cycles_per_second(),
            "counters": self.counters.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        })
    }

    /// Simulated clock cycles per second of wall time.
    pub fn cycles_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.cycles as f64 / self.seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let report =
            CosimReport { cycles_per_event: (1..=200).collect(), ..CosimReport::default() };
        assert_eq!([0, 500, 990, 1000].map(|share| report.cycles_at(share)), [1, 100, 198, 200]);
        assert_eq!(CosimReport::default().cycles_at(500), 0);
    }
}
