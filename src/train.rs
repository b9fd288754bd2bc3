//! `rmt train`: models for the two hook points from recorded events.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use rmt_isa::operand::Element;
use rmt_learn::balance::models::{
    HIDDEN, TREE, dataset, judge, lanes, network_decides, to_kernel_model, train_network,
};
use rmt_learn::balance::split::{by_time, rows};
use rmt_learn::balance::study::train_settings;
use rmt_learn::model_file::ModelFile;
use rmt_learn::network::float::FloatNetwork;
use rmt_learn::network::program_text::program_text;
use rmt_learn::network::quantise::quantise;
use rmt_learn::network::train::TrainSettings;
use rmt_learn::onnx::{ImportedForest, forest_program_text};
use rmt_learn::prefetch::learned::LearnedPrefetch;
use rmt_learn::prefetch::score::{ScoreConfig, score_policy};
use rmt_learn::prefetch::trace::{PageAccess, read_page_trace};
use rmt_learn::prefetch::train::{TrainConfig, export, train};
use rmt_learn::quantise::migration::{FEATURES, MigrationDecision, read_migrations};
use rmt_learn::search::{Problem, SearchConfig, search};
use rmt_learn::tree::{DecisionTree, GrowConfig, grow};
use rmt_learn::{LearnError, install};
use rmt_vm::state::ModelObjects;
use rmt_vm::verifier::Limits;
use serde::{Deserialize, Serialize};

use crate::program;

/// Train a model from recorded events.
///
/// Example: rmt train prefetch firmware/traces/pages/*.train.csv.zst -o page_prefetch.json
#[derive(Args)]
pub struct Train {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Prefetch(Prefetch),
    Migrate(Migrate),
    Search(Search),
}

/// The tree of page_prefetch.rmt, from page traces.
///
/// Example: rmt train prefetch firmware/traces/pages/*.train.csv.zst -o page_prefetch.json
#[derive(Args)]
struct Prefetch {
    /// Page traces, each of one program
    #[arg(required = true)]
    traces: Vec<PathBuf>,
    /// The model file to write
    #[arg(short, long)]
    output: PathBuf,
    /// Cost of a useless page; a useful one gains 4
    #[arg(long, default_value_t = 6)]
    useless_loss: i32,
}

/// The network of can_migrate_task.rmt, from recorded decisions.
///
/// Example: rmt train migrate firmware/traces/migrations.csv.zst -o can_migrate_task.json
#[derive(Args)]
struct Migrate {
    /// Recorded decisions
    trace: PathBuf,
    /// The model file to write
    #[arg(short, long)]
    output: PathBuf,
    /// The program that the model is for
    #[arg(long, default_value = "firmware/can_migrate_task.rmt")]
    program: PathBuf,
    /// Train on all rows, not only on those that the hard rules leave open
    #[arg(long)]
    all_rows: bool,
}

/// Search trees and networks for migration decisions that fit a budget of card cycles.
///
/// The last fifth of each load's training rows chooses, the last fifth of all rows is told beside.
///
/// Example: rmt train search firmware/traces/migrations.csv.zst --budget 120 --journal search.jsonl
#[derive(Args)]
struct Search {
    /// Recorded decisions
    trace: PathBuf,
    /// Most card cycles of an event
    #[arg(long, default_value_t = 150)]
    budget: u64,
    /// Trainings are noted here; a search that was stopped goes on from it
    #[arg(long)]
    journal: Option<PathBuf>,
    /// Threads
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

impl Train {
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Prefetch(prefetch) => prefetch.run(),
            What::Migrate(migrate) => migrate.run(),
            What::Search(search) => search.run(),
        }
    }
}

impl Prefetch {
    fn run(self) -> Result<()> {
        let traces: Vec<Vec<PageAccess>> =
            self.traces.iter().map(|path| read_page_trace(path)).collect::<Result<_, _>>()?;
        // The newest tenth of each trace judges, and is not trained on.
        let (old, new): (Vec<_>, Vec<_>) =
            traces.iter().map(|trace| trace.split_at(trace.len() - trace.len() / 10)).unzip();
        let config = TrainConfig { useless_loss: self.useless_loss, ..TrainConfig::default() };
        let tree = train(&old, &config)?;
        if tree.leaf_count() == 1
            && tree.evaluate(&[0; rmt_learn::prefetch::learned::FEATURES]) == 0
        {
            bail!(
                "no prefetch would have paid in these traces, whatever the steps before: one page again and again, or steps at random; record a program that reads more memory than it may have, in some order"
            );
        }
        println!("depth {}, {} leaves", tree.depth(), tree.leaf_count());
        for (path, newest) in self.traces.iter().zip(new) {
            let mut policy = LearnedPrefetch::new(tree.clone())?;
            let score = score_policy(newest, &mut policy, &ScoreConfig::default())?;
            let accuracy =
                score.accuracy().map_or("-".into(), |share| format!("{:.1}", 100.0 * share));
            println!(
                "{}: accuracy {accuracy} %, coverage {:.1} % on the newest {} faults",
                path.display(),
                100.0 * score.coverage(),
                newest.len()
            );
        }
        program::write_whole(&self.output, export(&tree).to_json().as_bytes())?;
        println!("{}", self.output.display());
        Ok(())
    }
}

impl Migrate {
    fn run(self) -> Result<()> {
        let (kernel, _) = program::load_verified(&self.program, &Default::default())?;
        let recorded = read_migrations(&self.trace)?;
        let rows = rows(&recorded, !self.all_rows);
        let split = by_time(&rows);
        let all = all_features();
        let network = train_network(&split.train, &all, HIDDEN, &train_settings())?;
        let confusion = judge(&split.test, &all, |lanes| network_decides(&network, lanes));
        println!(
            "{:.2} % as the kernel on {} newer decisions (larger class: {:.2} %); kernel no: {} no, {} yes; kernel yes: {} no, {} yes",
            100.0 * confusion.accuracy(),
            confusion.rows(),
            100.0 * confusion.majority(),
            confusion.no_no,
            confusion.no_yes,
            confusion.yes_no,
            confusion.yes_yes
        );
        let made_by = format!("rmt train migrate {}", self.trace.display());
        let file = to_kernel_model(&network, vec![("made_by".into(), made_by)])?;
        let objects = ModelObjects {
            tensors: file.tensors.clone(),
            scales: file.scales.clone(),
            ..Default::default()
        };
        // What cannot be swapped into the program is not written.
        let (_, report) = install::swap_model(&kernel, "network", objects, &Limits::default())?;
        program::write_whole(&self.output, file.to_json().as_bytes())?;
        println!(
            "{}: at most {} card cycles an event",
            self.output.display(),
            report.event.card_cycles
        );
        Ok(())
    }
}

/// A model of migration decisions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Candidate {
    Tree { depth: usize, leaves: usize },
    Network { hidden: usize, learning_rate: f64 },
}

/// The candidates, cheap ones first.
fn candidates() -> Vec<Candidate> {
    let mut all = Vec::new();
    for depth in [3, 5, 8, 12] {
        all.extend([8, 32, 128].map(|leaves| Candidate::Tree { depth, leaves }));
    }
    for hidden in [2, 4, 10, 16, 32] {
        all.extend(
            [0.003, 0.01, 0.03].map(|learning_rate| Candidate::Network { hidden, learning_rate }),
        );
    }
    all
}

struct MigrationSearch<'a> {
    train: Vec<&'a MigrationDecision>,
    newest: Vec<&'a MigrationDecision>,
}

impl MigrationSearch<'_> {
    /// The tree of a candidate; with less effort from every n-th row.
    fn tree(&self, candidate: &Candidate, effort: f64) -> rmt_learn::Result<DecisionTree> {
        let Candidate::Tree { depth, leaves } = *candidate else {
            return Err(LearnError::Data("the candidate is no tree".into()));
        };
        let every = (1.0 / effort).round().max(1.0) as usize;
        let rows: Vec<_> = self.train.iter().copied().step_by(every).collect();
        let config = GrowConfig { max_depth: depth, max_leaves: leaves, ..TREE };
        grow(&dataset(&rows, &all_features())?, &config)
    }

    fn accuracy(
        &self,
        candidate: &Candidate,
        effort: f64,
        test: &[&MigrationDecision],
    ) -> rmt_learn::Result<f64> {
        let all = all_features();
        let confusion = match candidate {
            Candidate::Tree { .. } => {
                let tree = self.tree(candidate, effort)?;
                judge(test, &all, |lanes| tree.evaluate(lanes) == 1)
            }
            Candidate::Network { hidden, learning_rate } => {
                let settings = TrainSettings {
                    epochs: (30.0 * effort).ceil() as usize,
                    learning_rate: *learning_rate,
                    ..train_settings()
                };
                let network = train_network(&self.train, &all, *hidden, &settings)?;
                judge(test, &all, |lanes| network_decides(&network, lanes))
            }
        };
        Ok(confusion.accuracy())
    }
}

impl Problem for MigrationSearch<'_> {
    type Candidate = Candidate;

    /// Writes the program of such a model and asks the verifier.
    fn card_cycles(&self, candidate: &Candidate) -> rmt_learn::Result<u64> {
        let (text, file) = match candidate {
            Candidate::Tree { .. } => {
                let forest = self.tree(candidate, 1.0)?.to_forest("score");
                let forest = ImportedForest {
                    forests: vec![forest],
                    features: FEATURES,
                    one: 1.0,
                    base: vec![0],
                    is_classifier: true,
                };
                let text = forest_program_text(&forest, "candidate", MODEL_FILE)?;
                (text, ModelFile { forests: forest.forests, ..ModelFile::default() })
            }
            // What a network costs depends on its size, not on its weights.
            Candidate::Network { hidden, .. } => {
                let network = FloatNetwork::perceptron(FEATURES, &[*hidden], 1, 1);
                let some = self.train.iter().take(100).map(|row| lanes(row, &all_features()));
                let calibration: Vec<_> = some.collect();
                let mut network =
                    quantise(&network, &[0.001; FEATURES], &calibration, Element::I16)?;
                network.input_element = Element::I16;
                let text = program_text(&network, "candidate", MODEL_FILE)?;
                (text, network.to_model_file(Vec::new()))
            }
        };
        cycles_of(&text, &file).map_err(|error| LearnError::Data(error.to_string()))
    }

    fn score(&self, candidate: &Candidate, effort: f64) -> rmt_learn::Result<f64> {
        self.accuracy(candidate, effort, &self.newest)
    }
}

/// The name under which the program of a candidate finds its model.
const MODEL_FILE: &str = "candidate.json";

fn all_features() -> Vec<usize> {
    (0..FEATURES).collect()
}

fn cycles_of(text: &str, file: &ModelFile) -> Result<u64> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(MODEL_FILE), file.to_json())?;
    let path = folder.path().join("candidate.rmt");
    std::fs::write(&path, text)?;
    let (_, report) = program::load_verified(&path, &Default::default())?;
    Ok(report.event.card_cycles)
}

impl Search {
    fn run(self) -> Result<()> {
        let recorded = read_migrations(&self.trace)?;
        let rows = rows(&recorded, true);
        let split = by_time(&rows);
        let inner = by_time(&split.train);
        let yes = inner.train.iter().filter(|row| row.can_migrate).count();
        if yes == 0 || yes == inner.train.len() {
            bail!(
                "{}: all {} decisions to train on are alike; record loads in which the kernel decides both ways",
                self.trace.display(),
                inner.train.len()
            );
        }
        let problem = MigrationSearch { train: inner.train, newest: inner.test };
        let config = SearchConfig {
            budget_cycles: self.budget,
            threads: self.threads,
            ..SearchConfig::default()
        };
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
            "{bar:40} {pos}/{len} trainings, {eta} left",
        )?);
        let found =
            search(&problem, &candidates(), &config, self.journal.as_deref(), &|done, all| {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            })
            .context("the search found nothing")?;
        bar.finish_and_clear();
        println!(
            "{} trainings ({} from the journal), {} candidates over the budget of {} card cycles",
            found.trials.len(),
            found.resumed,
            found.refused.len(),
            self.budget
        );
        let last = found.trials.iter().map(|trial| trial.rung).max();
        for trial in found.trials.iter().filter(|trial| Some(trial.rung) == last) {
            let score =
                trial.score.map_or("failed".into(), |score| format!("{:.2} %", 100.0 * score));
            println!("  {:?}: {score}", trial.candidate);
        }
        let unseen = problem.accuracy(&found.best.candidate, 1.0, &split.test)?;
        println!(
            "best: {:?}, at most {} card cycles; {:.2} % on {} newer decisions that took no part",
            found.best.candidate,
            found.card_cycles,
            100.0 * unseen,
            split.test.len()
        );
        Ok(())
    }
}
