//! What is known of a program that was accepted.

use rmt_isa::program::Ordering;
use serde::Serialize;

use super::cost::{Cost, Memory, Placement};
use super::ranges::AccumulatorBounds;
use super::violation::Place;

/// The result of a successful verification.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name of the program.
    pub program: String,
    /// In which order its events must run, and what forces it.
    pub ordering: OrderingReport,
    /// Most tables that one event visits.
    pub table_visits: usize,
    /// What one event costs at worst, over all tables that it visits.
    pub event: Cost,
    /// What the declared objects take.
    pub memory: Memory,
    /// Each action, in the program's order.
    pub actions: Vec<ActionReport>,
    /// Odd things that are no reason to refuse.
    pub warnings: Vec<Warning>,
}

/// What is known of one action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActionReport {
    /// Its name.
    pub name: String,
    /// What it costs at worst by itself, without the tables that it calls; `None` when no
    /// event reaches it.
    pub cost: Option<Cost>,
    /// Which engines can run it.
    pub engines: Vec<Placement>,
    /// What was proved of each instruction that accumulates.
    pub accumulators: Vec<AccumulatorBounds>,
}

/// The ordering class with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderingReport {
    /// The class; `pure`, `per-key` or `total` in JSON.
    #[serde(serialize_with = "ordering_text")]
    pub class: Ordering,
    /// Why it is not a weaker one: what the instruction does. Empty for `Pure`.
    pub reason: String,
    /// The instruction that forces it; none for `Pure`.
    pub forced_by: Option<Place>,
}

fn ordering_text<S: serde::Serializer>(
    ordering: &Ordering,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match ordering {
        Ordering::Pure => "pure",
        Ordering::PerKey => "per-key",
        Ordering::Total => "total",
    })
}

/// Something odd that is no reason to refuse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Where.
    pub place: Place,
    /// What.
    pub text: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "warning: {}: {}", self.place, self.text)
    }
}
