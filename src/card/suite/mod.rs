//! The driver's own test suite, on any card: `rmt card test`.
//!
//! [`decisions`] compares both programs of the firmware with the interpreter, [`way`] tests the
//! ways of events and interrupts, [`faults`] what goes wrong and how it is mended, [`link`] what
//! only a simulated link can do. Each case starts from a card that was reset.

mod decisions;
mod faults;
mod link;
mod way;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rmt_driver::card::Card;
use rmt_driver::{QueueConfig, Transport};
use rmt_isa::card::{CardImage, LowerError, lower};
use rmt_isa::{Event, Program};
use rmt_vm::events::EventReader;
use serde_json::json;

use super::simulated::SimulatedDevice;
use super::{AnyDevice, Opened, firmware_file};
use crate::program;

/// How to test.
#[derive(Args)]
pub struct SuiteOptions {
    /// Events of each program that are compared with the interpreter
    #[arg(long, default_value_t = 10_000)]
    events: usize,
    /// Only cases whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Folder of programs and traces
    #[arg(long, default_value = "firmware")]
    firmware: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A card under test.
pub struct Bench {
    card: Card<AnyDevice>,
    firmware: PathBuf,
    events: usize,
    budget: Duration,
    /// The card's simulation, if it is one in this process.
    simulated: Option<Arc<SimulatedDevice>>,
}

/// How a case ended, with what it found in a few words.
enum Verdict {
    /// All is as it must be.
    Passed(String),
    /// This card cannot show it, because of this.
    NotHere(String),
}

/// A case.
type Case = fn(&mut Bench) -> Result<Verdict>;

const CASES: &[(&str, Case)] = &[
    ("identity", way::identity),
    ("admin queue", way::admin_queue),
    ("page_prefetch", decisions::page_prefetch),
    ("can_migrate_task", decisions::can_migrate_task),
    ("inline events", decisions::inline_events),
    ("interrupts", way::interrupts),
    ("late decisions", faults::late_decisions),
    ("stray access", faults::stray_access),
    ("bad event", faults::bad_event),
    ("ring overrun", faults::ring_overrun),
    ("bad rings", faults::bad_rings),
    ("reset under load", faults::reset_under_load),
    ("function reset under load", faults::function_reset_under_load),
    ("completion time-out", link::completion_timeout),
    ("late completion", link::late_completion),
    ("poisoned completion", link::poisoned_completion),
    ("refused completion", link::refused_completion),
    ("removed under load", link::removed_under_load),
];

impl SuiteOptions {
    /// Runs the cases and prints what they found.
    pub fn run(self, opened: Opened) -> Result<()> {
        let Opened { device, budget, simulated } = opened;
        let card = Card::open(Arc::new(device))?;
        let (firmware, events) = (self.firmware, self.events);
        let mut bench = Bench { card, firmware, events, budget, simulated };
        let mut results = Vec::new();
        let mut failed = 0;
        for (name, case) in CASES {
            if self.only.as_ref().is_some_and(|part| !name.contains(part.as_str())) {
                continue;
            }
            let begun = Instant::now();
            let result = bench.card.reset().map_err(Into::into).and_then(|()| case(&mut bench));
            let seconds = begun.elapsed().as_secs_f64();
            let (verdict, text) = match result {
                Ok(Verdict::Passed(text)) => ("ok", text),
                Ok(Verdict::NotHere(text)) => ("n/a", text),
                Err(error) => ("FAILED", format!("{error:#}")),
            };
            failed += usize::from(verdict == "FAILED");
            if !self.json {
                println!("{name:<26} {verdict:<6} {seconds:>6.1} s  {text}");
            }
            results.push(
                json!({ "case": name, "verdict": verdict, "seconds": seconds, "found": text }),
            );
        }
        if self.json {
            println!("{}", json!({ "cases": results, "failed": failed }));
        }
        match (results.len(), failed) {
            (0, _) => bail!("no case has such a name; leave out --only to see all"),
            (_, 0) => Ok(()),
            (cases, failed) => bail!("{failed} of {cases} cases failed"),
        }
    }
}

/// A verified program with its events, as it goes onto the card.
struct Loaded {
    program: Program,
    image: CardImage,
    events: Vec<Event>,
}

impl Bench {
    /// Loads a program of the firmware for this card, with recorded events. In the inner result
    /// the reason why the card is too small for it.
    fn load(&self, name: &str, traces: &[&str], most: usize) -> Result<Result<Loaded, LowerError>> {
        let path = firmware_file(&self.firmware, name)?;
        let (program, report) = program::load_verified(&path, &Default::default())?;
        let image = match lower(&program, report.ordering.class, self.card.shape()) {
            Ok(image) => image,
            Err(too_small) => return Ok(Err(too_small)),
        };
        let mut events = Vec::new();
        for trace in traces {
            let path = firmware_file(&self.firmware, trace)?;
            let left = most - events.len();
            for event in EventReader::open(&path, &program.hook)?.take(left) {
                events.push(event?);
            }
        }
        Ok(Ok(Loaded { program, image, events }))
    }

    /// A small program and some events, for tests of the way.
    fn load_some(&self, most: usize) -> Result<Loaded> {
        let name = "can_migrate_task.rmt";
        let loaded = self.load(name, &["traces/migrations.csv.zst"], most)?;
        loaded.with_context(|| format!("{name} does not fit the card"))
    }

    /// A budget for events that the card will not answer: long enough for those that it does,
    /// short enough to wait for.
    fn fault_budget(&self) -> Duration {
        self.budget / 10
    }

    /// A queue configuration for a program.
    fn config(&self, program: &Program, transport: Transport) -> QueueConfig {
        QueueConfig {
            transport,
            budget_microseconds: self.budget.as_micros() as u32,
            hooks: vec![program.hook.number],
            ..QueueConfig::default()
        }
    }
}
