//! What `rmt guest study` has measured in a guest, read back for the report.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rmt_isa::shim::control::Counter;
use rmt_isa::shim::hooks::CAN_MIGRATE_TASK;
use rmt_learn::balance::split::{Parting, family};
use rmt_learn::balance::study::{BalanceStudy, run_study};
use rmt_learn::quantise::migration::{MigrationDecision, read_migrations};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{percent, print_balance};

/// The runs of the page study, a line of JSON each.
pub const PREFETCH: &str = "prefetch.jsonl";
/// The jobs of the balancing study, a line of JSON each.
pub const JOBS: &str = "balance.jsonl";
/// The recorded decisions, a table for each run.
pub const DECISIONS: &str = "balance";

/// Titles of a [`PrefetchRow`]'s cells.
pub const PREFETCH_TITLES: [&str; 9] = [
    "program",
    "policy",
    "time, s",
    "time %",
    "swap faults",
    "waited for the device",
    "read before their fault",
    "coverage %",
    "accuracy %",
];
/// Titles of a [`JobRow`]'s cells.
pub const JOB_TITLES: [&str; 8] = [
    "load",
    "decider",
    "time, s",
    "time %",
    "calls",
    "in time %",
    "used",
    "changed the kernel's answer",
];

/// All that was measured.
#[derive(Debug, Default, Serialize)]
pub struct Live {
    /// Page prefetching, by program and policy.
    pub prefetch: Vec<PrefetchRow>,
    /// Recorded decisions by load.
    pub classes: Vec<Classes>,
    /// Models of the recorded decisions: the open rows, all rows.
    pub balance: Vec<BalanceStudy>,
    /// Jobs, by load and decider.
    pub jobs: Vec<JobRow>,
}

/// One program under one policy, all rounds together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PrefetchRow {
    /// The program.
    pub load: String,
    /// The policy.
    pub policy: String,
    /// Median time, s.
    pub seconds: f64,
    /// Faults on swapped-out pages.
    pub swap_faults: u64,
    /// Those whose page nobody had asked for.
    pub major_faults: u64,
    /// Pages read.
    pub pages_read: u64,
    /// Trees that were learnt and swapped in.
    pub trees: u64,
}

/// Decisions of one load.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Classes {
    /// The load.
    pub load: String,
    /// All, and those with "yes".
    pub all: (u64, u64),
    /// Those that the hard rules leave open, and those of them with "yes".
    pub open: (u64, u64),
}

/// Jobs of one load with one decider, all rounds together.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct JobRow {
    /// The load.
    pub load: String,
    /// Who decided.
    pub decider: String,
    /// Median time, s.
    pub seconds: f64,
    /// Decisions while the jobs ran.
    pub calls: u64,
    /// Events sent, and answered in time.
    pub sent: u64,
    /// Answers in time.
    pub in_time: u64,
    /// Answers used.
    pub used: u64,
    /// Answers used that were not the kernel's.
    pub changed: u64,
}

/// What `rmt kernel load --json` prints.
#[derive(Deserialize)]
struct Run {
    load: String,
    seconds: f64,
    major_faults: u64,
    pages_read: u64,
    swap_faults: Option<u64>,
}

#[derive(Deserialize)]
struct PrefetchLine {
    policy: String,
    run: Run,
    daemon: Value,
}

#[derive(Deserialize)]
struct JobLine {
    decider: String,
    run: Run,
    before: Value,
    after: Value,
}

impl Live {
    /// Reads the results of a folder; what is not there stays empty. The models of recorded
    /// decisions are trained anew.
    ///
    /// # Errors
    /// When a file cannot be read or is none of `rmt guest study`.
    pub fn read(folder: &Path, mut progress: impl FnMut(&str)) -> Result<Self> {
        let prefetch = prefetch_rows(&lines(&folder.join(PREFETCH))?);
        let jobs = job_rows(&lines(&folder.join(JOBS))?)?;
        let recorded = match folder.join(DECISIONS) {
            decisions if decisions.exists() => read_decisions(&decisions)?,
            _ => Vec::new(),
        };
        let mut balance = Vec::new();
        for open_only in [true, false] {
            if !recorded.is_empty() {
                let study = run_study(&recorded, open_only, Parting::ByRun, &mut progress)?;
                balance.push(study);
            }
        }
        Ok(Self { prefetch, classes: classes(&recorded), balance, jobs })
    }

    /// Prints the tables.
    pub fn print(&self, folder: &Path) {
        let row = |cells: &[String]| {
            let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:>13}")).collect();
            println!("  {}", cells.join(" "));
        };
        let titles = |titles: &[&str]| println!("  {}", titles.join(" | "));
        if !self.prefetch.is_empty() {
            println!("Page prefetching, live ({}):", folder.join(PREFETCH).display());
            titles(&PREFETCH_TITLES);
            self.prefetch.iter().for_each(|one| row(&one.cells(&self.prefetch)));
        }
        if !self.classes.is_empty() {
            println!("\nDecisions, live: load | all | yes % | open | yes %");
            self.classes.iter().for_each(|one| row(&one.cells()));
            print_balance("Load balancing, live, the last run of each load", &self.balance);
        }
        if !self.jobs.is_empty() {
            println!("\nJobs of fixed work, live ({}):", folder.join(JOBS).display());
            titles(&JOB_TITLES);
            self.jobs.iter().for_each(|one| row(&one.cells(&self.jobs)));
        }
        println!();
    }
}

/// All recorded decisions of a folder, run after run.
///
/// # Errors
/// When there is none, or a table is damaged.
pub fn read_decisions(folder: &Path) -> Result<Vec<MigrationDecision>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    if paths.is_empty() {
        bail!("{} has no table; run `rmt guest study balance`", folder.display());
    }
    let mut recorded = Vec::new();
    for path in paths {
        recorded.extend(read_migrations(&path)?);
    }
    Ok(recorded)
}

/// The lines of a file of JSON; none when there is no file.
fn lines<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| {
            let place = format!("{}: line {}", path.display(), number + 1);
            format!("{place} is no result of `rmt guest study`; run it again")
        })
    };
    text.lines().enumerate().map(parse).collect()
}

/// A line that a job has left.
trait Job {
    /// What it printed.
    fn run(&self) -> &Run;
    /// Who decided.
    fn by(&self) -> &str;
}

impl Job for PrefetchLine {
    fn run(&self) -> &Run {
        &self.run
    }

    fn by(&self) -> &str {
        &self.policy
    }
}

impl Job for JobLine {
    fn run(&self) -> &Run {
        &self.run
    }

    fn by(&self) -> &str {
        &self.decider
    }
}

/// The rounds of each load under each decider, together; by load, as the first decider ran them.
fn rounds<J: Job>(lines: &[J]) -> Vec<Vec<&J>> {
    let mut groups: Vec<Vec<&J>> = Vec::new();
    for line in lines {
        let same = |group: &&mut Vec<&J>| {
            group[0].run().load == line.run().load && group[0].by() == line.by()
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(line),
            None => groups.push(vec![line]),
        }
    }
    let first = |load: &str| lines.iter().position(|line| line.run().load == load);
    groups.sort_by_key(|group| first(&group[0].run().load));
    groups
}

/// Median time of the rounds, s.
fn seconds<J: Job>(rounds: &[&J]) -> f64 {
    let mut times: Vec<f64> = rounds.iter().map(|line| line.run().seconds).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

fn prefetch_rows(lines: &[PrefetchLine]) -> Vec<PrefetchRow> {
    let row = |rounds: Vec<&PrefetchLine>| {
        let sum = |count: fn(&PrefetchLine) -> u64| rounds.iter().map(|line| count(line)).sum();
        PrefetchRow {
            load: rounds[0].run.load.clone(),
            policy: rounds[0].policy.clone(),
            seconds: seconds(&rounds),
            swap_faults: sum(|line| line.run.swap_faults.unwrap_or(0)),
            major_faults: sum(|line| line.run.major_faults),
            pages_read: sum(|line| line.run.pages_read),
            trees: sum(|line| {
                let trees = line.daemon.pointer("/counters/sources/kernel/trees_swapped");
                trees.and_then(Value::as_u64).unwrap_or(0)
            }),
        }
    };
    rounds(lines).into_iter().map(row).collect()
}

/// A counter of can_migrate_task in what `rmt kernel status --json` prints.
fn counter(status: &Value, counter: Counter) -> Result<u64> {
    let hooks = status.as_array().map_or(&[][..], Vec::as_slice);
    let hook = hooks.iter().find(|hook| hook["hook"] == CAN_MIGRATE_TASK.name);
    let value = hook.and_then(|hook| hook["counters"][counter.text()].as_u64());
    value.with_context(|| format!("a job has no counter {counter}; run the study again"))
}

fn job_rows(lines: &[JobLine]) -> Result<Vec<JobRow>> {
    let row = |rounds: Vec<&JobLine>| {
        let sum = |which| {
            let more = |line: &&JobLine| {
                Ok::<_, anyhow::Error>(counter(&line.after, which)? - counter(&line.before, which)?)
            };
            rounds.iter().map(more).sum::<Result<u64>>()
        };
        Ok(JobRow {
            load: rounds[0].run.load.clone(),
            decider: rounds[0].decider.clone(),
            seconds: seconds(&rounds),
            calls: sum(Counter::Calls)?,
            sent: sum(Counter::Sent)?,
            in_time: sum(Counter::InTime)?,
            used: sum(Counter::Used)?,
            changed: sum(Counter::Changed)?,
        })
    };
    rounds(lines).into_iter().map(row).collect()
}

fn classes(recorded: &[MigrationDecision]) -> Vec<Classes> {
    let mut classes: Vec<Classes> = Vec::new();
    for row in recorded {
        let load = family(&row.phase);
        if classes.last().is_none_or(|class| class.load != load) {
            classes.push(Classes { load: load.into(), ..Classes::default() });
        }
        let Some(class) = classes.last_mut() else { continue };
        let count = |which: &mut (u64, u64)| {
            which.0 += 1;
            which.1 += u64::from(row.can_migrate);
        };
        count(&mut class.all);
        if row.hard_pass {
            count(&mut class.open);
        }
    }
    classes
}

fn share(part: u64, whole: u64) -> String {
    if whole == 0 { "-".into() } else { percent(part as f64 / whole as f64) }
}

impl PrefetchRow {
    /// Pages that were read before their fault.
    pub fn ahead(&self) -> u64 {
        self.pages_read.saturating_sub(self.major_faults)
    }

    /// Faults whose page was there or on its way.
    pub fn hits(&self) -> u64 {
        self.swap_faults.saturating_sub(self.major_faults)
    }

    /// The cells of a table, beside all rows: the first policy's time is the whole.
    pub fn cells(&self, all: &[Self]) -> [String; 9] {
        let whole = all.iter().find(|row| row.load == self.load).map_or(0.0, |row| row.seconds);
        [
            self.load.clone(),
            self.policy.clone(),
            format!("{:.2}", self.seconds),
            percent(self.seconds / whole),
            self.swap_faults.to_string(),
            self.major_faults.to_string(),
            self.ahead().to_string(),
            share(self.hits(), self.swap_faults),
            share(self.hits().min(self.ahead()), self.ahead()),
        ]
    }
}

impl Classes {
    /// The cells of a table.
    pub fn cells(&self) -> [String; 5] {
        [
            self.load.clone(),
            self.all.0.to_string(),
            share(self.all.1, self.all.0),
            self.open.0.to_string(),
            share(self.open.1, self.open.0),
        ]
    }
}

impl JobRow {
    /// The cells of a table, beside all rows: the first decider's time is the whole.
    pub fn cells(&self, all: &[Self]) -> [String; 8] {
        let whole = all.iter().find(|row| row.load == self.load).map_or(0.0, |row| row.seconds);
        [
            self.load.clone(),
            self.decider.clone(),
            format!("{:.2}", self.seconds),
            percent(self.seconds / whole),
            self.calls.to_string(),
            share(self.in_time, self.sent),
            self.used.to_string(),
            self.changed.to_string(),
        ]
    }
}
