//! `rmt guest study`: the case studies live, in a guest with the kernel module.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use rmt_learn::balance::models::{HIDDEN, judge, network_decides, to_kernel_model, train_network};
use rmt_learn::balance::split::{by_run, rows};
use rmt_learn::balance::study::train_settings;
use rmt_learn::quantise::migration::FEATURES;

use super::{COMMON, GuestOptions, Parts, Task};
use crate::{program, report::live};

/// Runs of the page study in the guest.
const PREFETCH: &str = include_str!("../../guest/prefetch_study.sh");
/// Recording decisions of the scheduler.
const BALANCE_RECORD: &str = include_str!("../../guest/balance_record.sh");
/// Jobs that programs decide about.
const BALANCE_ACT: &str = include_str!("../../guest/balance_act.sh");
/// The program that decides, in the folder of programs.
const BALANCE_PROGRAM: &str = "can_migrate_task.rmt";
/// Its model, beside it.
const BALANCE_MODEL: &str = "models/can_migrate_task.json";

/// The guest's processor that daemons have for themselves, as the scripts say.
const LAST_PROCESSOR: u32 = 3;

/// Which study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Page prefetching: none, the kernel's read-ahead, a tree learnt on line
    Prefetch,
    /// Load balancing: decisions are recorded, a network is trained, and decides
    Balance,
    /// The last part of it, with decisions that were recorded before
    BalanceAct,
}

/// Run a case study live.
#[derive(Args)]
pub struct Study {
    which: Which,
    #[command(flatten)]
    options: GuestOptions,
    /// How often each job is repeated
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Recorded runs of each load; the last one is for the test
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Seconds of a recorded run
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// The folder that takes the results, for `rmt report --live`
    #[arg(short, long, default_value = "report/live")]
    output: PathBuf,
}

impl Study {
    pub fn run(self) -> Result<()> {
        if self.rounds == 0 || self.runs < 2 || self.seconds == 0 {
            bail!(
                "at least --rounds 1, --runs 2 (one to train on, one for the test) and --seconds 1 are needed"
            );
        }
        match self.which {
            Which::Prefetch => self.boot(PREFETCH, None),
            Which::Balance => {
                // Runs of an earlier study would be taken for some of this one.
                let old = self.output.join(live::DECISIONS);
                if old.exists() {
                    bail!(
                        "{} holds a study's runs; remove it, or give another folder with -o",
                        old.display()
                    );
                }
                self.boot(BALANCE_RECORD, None)?;
                self.act()
            }
            Which::BalanceAct => self.act(),
        }
    }

    /// Runs a script in the guest and saves what it leaves.
    fn boot(&self, script: &str, study: Option<&Path>) -> Result<()> {
        let script = (script.replace("@ROUNDS@", &self.rounds.to_string()))
            .replace("@RUNS@", &self.runs.to_string())
            .replace("@SECONDS@", &self.seconds.to_string());
        let files = self.options.boot(&Task {
            takes_results: true,
            study: study.map(Path::to_owned),
            // While hooks wait, their answers must not wait behind other processors.
            favoured_processor: study.is_some().then_some(LAST_PROCESSOR),
            ..Task::new(Parts::MODULE, format!("{COMMON}{script}"))
        })?;
        save(&self.output, &files)
    }

    /// Trains the network of the program on all runs but the last of each load, and lets it decide.
    fn act(&self) -> Result<()> {
        let recorded = live::read_decisions(&self.output.join(live::DECISIONS))?;
        // The module keeps the hard rules: the network learns what they leave open.
        let rows = rows(&recorded, true);
        let split = by_run(&rows);
        let all: Vec<usize> = (0..FEATURES).collect();
        let network = train_network(&split.train, &all, HIDDEN, &train_settings())?;
        let confusion = judge(&split.test, &all, |lanes| network_decides(&network, lanes));
        println!(
            "trained on {} decisions; {:.2} % as the kernel on {} of the last runs (larger class: {:.2} %)",
            split.train.len(),
            100.0 * confusion.accuracy(),
            confusion.rows(),
            100.0 * confusion.majority()
        );
        let made_by = ("made_by".to_owned(), "rmt guest study balance".to_owned());
        let model = to_kernel_model(&network, vec![made_by])?;
        let folder = tempfile::tempdir()?;
        let source = self.options.firmware.join(BALANCE_PROGRAM);
        let path = folder.path().join(BALANCE_PROGRAM);
        std::fs::copy(&source, &path)
            .with_context(|| format!("cannot copy {}", source.display()))?;
        std::fs::create_dir(folder.path().join("models"))?;
        model.write(&folder.path().join(BALANCE_MODEL))?;
        // What the verifier refuses is seen here, not in the guest.
        program::load_verified(&path, &Default::default())?;
        self.boot(BALANCE_ACT, Some(folder.path()))
    }
}

/// Writes the files of a guest into a folder.
pub fn save(folder: &Path, results: &[(String, Vec<u8>)]) -> Result<()> {
    if results.is_empty() {
        bail!("the guest has left nothing in /results");
    }
    for (name, content) in results {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
        }
        program::write_whole(&path, content)?;
        println!("{}", path.display());
    }
    Ok(())
}
