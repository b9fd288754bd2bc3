//! Parting recorded decisions into what is trained on and what is tested on.
//!
//! Neighbours in time are nearly equal, and a quarter of the rows repeat another one, so rows drawn
//! at random would show the test set to the learner. Here a test set is the end of each load's run,
//! or all rows of a kind of load.

use std::collections::BTreeMap;

use crate::quantise::migration::MigrationDecision;

/// Rows to train on and rows to test on.
#[derive(Clone, Debug, Default)]
pub struct Split<'a> {
    /// For training.
    pub train: Vec<&'a MigrationDecision>,
    /// For the test.
    pub test: Vec<&'a MigrationDecision>,
}

/// How rows are parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// The last fifth of each phase is for the test.
    ByTime,
    /// The last run of each kind of load is for the test.
    ByRun,
}

impl Parting {
    /// Parts rows, which are in the order of time.
    pub fn part<'a>(self, rows: &[&'a MigrationDecision]) -> Split<'a> {
        match self {
            Self::ByTime => by_time(rows),
            Self::ByRun => by_run(rows),
        }
    }
}

/// The kind of load of a phase: its name without the level (`burst16` is a `burst`).
pub fn family(phase: &str) -> &str {
    phase.trim_end_matches(|character: char| character.is_ascii_digit())
}

/// Rows that are of interest: all, or those that the hard rules leave open.
pub fn rows(recorded: &[MigrationDecision], open_only: bool) -> Vec<&MigrationDecision> {
    recorded.iter().filter(|row| row.hard_pass || !open_only).collect()
}

/// The last fifth of each phase is for the test; rows are in the order of time.
pub fn by_time<'a>(rows: &[&'a MigrationDecision]) -> Split<'a> {
    let mut phases: BTreeMap<&str, Vec<&MigrationDecision>> = BTreeMap::new();
    for row in rows {
        phases.entry(&row.phase).or_default().push(row);
    }
    let mut split = Split::default();
    for mut phase in phases.into_values() {
        let test = phase.split_off(phase.len() - phase.len() / 5);
        split.train.extend(phase);
        split.test.extend(test);
    }
    split
}

/// The last run of each kind of load is for the test; each phase is one run (`matrix1`, `matrix2`). A
/// load of one run is trained on only.
pub fn by_run<'a>(rows: &[&'a MigrationDecision]) -> Split<'a> {
    let mut runs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in rows {
        let known = runs.entry(family(&row.phase)).or_default();
        if !known.contains(&row.phase.as_str()) {
            known.push(&row.phase);
        }
    }
    let is_last = |row: &MigrationDecision| {
        let known = &runs[family(&row.phase)];
        known.len() > 1 && known.last().is_some_and(|last| *last == row.phase)
    };
    let (test, train) = rows.iter().copied().partition(|row| is_last(row));
    Split { train, test }
}

/// For each kind of load: all others for training, its rows for the test.
pub fn by_family<'a>(rows: &[&'a MigrationDecision]) -> Vec<(&'a str, Split<'a>)> {
    let mut families: Vec<&str> = rows.iter().map(|row| family(&row.phase)).collect();
    families.sort_unstable();
    families.dedup();
    families
        .into_iter()
        .map(|name| {
            let (test, train) = rows.iter().copied().partition(|row| family(&row.phase) == name);
            (name, Split { train, test })
        })
        .collect()
}
