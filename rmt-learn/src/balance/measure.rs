//! Right and wrong decisions by class.

use serde::Serialize;

/// Decisions by what the kernel said and what the model says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// Kernel no, model no.
    pub no_no: u64,
    /// Kernel no, model yes.
    pub no_yes: u64,
    /// Kernel yes, model no.
    pub yes_no: u64,
    /// Kernel yes, model yes.
    pub yes_yes: u64,
}

impl Confusion {
    /// Counts one decision.
    pub fn count(&mut self, kernel: bool, model: bool) {
        *match (kernel, model) {
            (false, false) => &mut self.no_no,
            (false, true) => &mut self.no_yes,
            (true, false) => &mut self.yes_no,
            (true, true) => &mut self.yes_yes,
        } += 1;
    }

    /// Adds the counts of another one.
    pub fn add(&mut self, other: &Self) {
        self.no_no += other.no_no;
        self.no_yes += other.no_yes;
        self.yes_no += other.yes_no;
        self.yes_yes += other.yes_yes;
    }

    /// Decisions.
    pub fn rows(&self) -> u64 {
        self.no_no + self.no_yes + self.yes_no + self.yes_yes
    }

    /// Share decided as the kernel did; 0 for none.
    pub fn accuracy(&self) -> f64 {
        share(self.no_no + self.yes_yes, self.rows())
    }

    /// Share of the larger class: what always giving one answer has.
    pub fn majority(&self) -> f64 {
        let yes = share(self.yes_no + self.yes_yes, self.rows());
        yes.max(1.0 - yes)
    }

    /// Mean of the shares right in either class; of a class without rows, the other one's.
    pub fn balanced_accuracy(&self) -> f64 {
        let no =
            (self.no_no + self.no_yes > 0).then(|| share(self.no_no, self.no_no + self.no_yes));
        let yes = (self.yes_no + self.yes_yes > 0)
            .then(|| share(self.yes_yes, self.yes_no + self.yes_yes));
        match (no, yes) {
            (Some(no), Some(yes)) => (no + yes) / 2.0,
            (one, other) => one.or(other).unwrap_or(0.0),
        }
    }
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
