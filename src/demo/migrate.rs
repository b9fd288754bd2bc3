//! The load-balancing network: its decisions in integers beside those in floating point and
//! beside the kernel's.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rmt_isa::Status;
use rmt_learn::quantise::migration::{MigrationDecision, read_migrations};
use rmt_learn::quantise::network::FloatMlp;
use rmt_vm::Machine;
use rmt_vm::events::EventReader;
use serde_json::{Value, json};

use crate::program;

/// How the decisions compare.
#[derive(Debug, Default)]
pub struct MigrateResult {
    /// Decisions.
    pub decisions: u64,
    /// The program decides as the network does in double precision.
    pub as_float: u64,
    /// Decisions that affinity, running and throttling leave open.
    pub open: u64,
    /// Of these, the kernel said yes.
    pub open_yes: u64,
    /// Of these, the program decides as the kernel did.
    pub open_as_kernel: u64,
}

/// The recorded decisions.
pub fn trace(firmware: &Path) -> PathBuf {
    firmware.join("traces/migrations.csv.zst")
}

/// Runs the program over all recorded decisions.
pub fn run(firmware: &Path) -> Result<MigrateResult> {
    let (program, _) =
        program::load_verified(&firmware.join("can_migrate_task.rmt"), &Default::default())?;
    let network = FloatMlp::read(&firmware.join("models/mllb_mlp.json"))?;
    let recorded = read_migrations(&trace(firmware))?;
    let events = EventReader::open(&trace(firmware), &program.hook)?;
    let mut machine = Machine::new(&program)?;
    let mut result = MigrateResult::default();
    for (event, recorded) in events.zip(&recorded) {
        let decision = machine.run(&event?);
        ensure!(decision.status == Status::Decided, "event {} was not decided", result.decisions);
        result.count(decision.outputs[0] != 0, recorded, &network);
    }
    ensure!(result.decisions == recorded.len() as u64, "the trace has lines that are no events");
    (result.open > 0).then_some(result).context("the trace has no open decision")
}

impl MigrateResult {
    fn count(&mut self, migrate: bool, recorded: &MigrationDecision, network: &FloatMlp) {
        let float = network.forward(&recorded.features.to_real()) > 0.5;
        self.decisions += 1;
        self.as_float += u64::from(migrate == float);
        if recorded.hard_pass {
            self.open += 1;
            self.open_yes += u64::from(recorded.can_migrate);
            self.open_as_kernel += u64::from(migrate == recorded.can_migrate);
        }
    }

    /// Share of the larger class among the open decisions: what always giving one answer has.
    pub fn majority(&self) -> f64 {
        let yes = self.open_yes as f64 / self.open.max(1) as f64;
        yes.max(1.0 - yes)
    }

    /// The result as JSON.
    pub fn to_json(&self) -> Value {
        json!({
            "decisions": self.decisions,
            "same_as_float64": self.as_float,
            "open": self.open,
            "open_yes": self.open_yes,
            "open_same_as_kernel": self.open_as_kernel,
            "majority_share": self.majority(),
        })
    }
}

impl fmt::Display for MigrateResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        writeln!(
            f,
            "{} recorded decisions; i8 weights and i16 activations decide as float64 does in {:.2} %,",
            self.decisions,
            percent(self.as_float, self.decisions)
        )?;
        write!(
            f,
            "and as the kernel did in {:.1} % of the {} that its hard rules leave open (always \"{}\" has {:.1} %);\n\
             the network was trained on another kernel, in the APSys'20 study; retraining is the learner's work",
            percent(self.open_as_kernel, self.open),
            self.open,
            if 2 * self.open_yes >= self.open { "yes" } else { "no" },
            100.0 * self.majority()
        )
    }
}
