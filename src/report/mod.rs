//! `rmt report`: both case studies from traces to one HTML page.

pub mod live;
mod page;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rmt_learn::balance::split::Parting;
use rmt_learn::balance::study::{BalanceStudy, run_study as run_balance};
use rmt_learn::prefetch::study::{StudyRow, run_study as run_prefetch};
use rmt_learn::prefetch::trace::read_page_trace;
use rmt_learn::prefetch::train::{TrainConfig, train};
use rmt_learn::quantise::migration::read_migrations;
use serde_json::json;

use crate::program;
use live::Live;

/// Programs whose faults were recorded.
const PROGRAMS: [&str; 4] = ["resize", "conv", "column", "bfs"];

/// Run both case studies (page prefetching, load balancing) on recorded events and write one HTML
/// page with tables and plots.
///
/// Example: rmt report -o report/learning.html
#[derive(Args)]
pub struct Report {
    /// Where the programs and trace samples are
    #[arg(long, default_value = "firmware")]
    firmware: PathBuf,
    /// A folder of whole page recordings (NAME.csv.zst), scored instead of the samples' test parts
    #[arg(long)]
    recordings: Option<PathBuf>,
    /// A folder of results that `rmt guest study` has made; without it those in the firmware folder
    #[arg(long)]
    live: Option<PathBuf>,
    /// Where the page goes
    #[arg(short, long, default_value = "report/learning.html")]
    output: PathBuf,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// The policies on one recorded program.
pub struct PrefetchResult {
    /// The program.
    pub program: &'static str,
    /// Faults scored.
    pub faults: usize,
    /// One for each policy.
    pub rows: Vec<StudyRow>,
}

impl Report {
    pub fn run(self) -> Result<()> {
        let bar = ProgressBar::new_spinner()
            .with_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        let folder = match &self.live {
            Some(folder) if !folder.is_dir() => {
                bail!("{} is no folder; make one by `rmt guest study`", folder.display())
            }
            Some(folder) => folder.clone(),
            None => self.firmware.join("traces/live"),
        };
        let live = Live::read(&folder, |step| bar.set_message(format!("live: {step}")))?;
        let sample = |program: &str, part: &str| {
            self.firmware.join(format!("traces/pages/{program}.{part}.csv.zst"))
        };
        let mut training = Vec::new();
        for program in PROGRAMS {
            training.push(read_page_trace(&sample(program, "train"))?);
        }
        let parts: Vec<_> = training.iter().map(Vec::as_slice).collect();
        bar.set_message("training the page tree");
        let tree = train(&parts, &TrainConfig::default())?;
        let mut prefetch = Vec::new();
        for program in PROGRAMS {
            bar.set_message(format!("prefetching: {program}"));
            let path = match &self.recordings {
                Some(folder) => folder.join(format!("{program}.csv.zst")),
                None => sample(program, "test"),
            };
            let stream = read_page_trace(&path)?;
            // Whole recordings hold what the tree was trained on: only trees learnt on line count.
            let trained = self.recordings.is_none().then_some(&tree);
            let rows = run_prefetch(&stream, trained)?;
            prefetch.push(PrefetchResult { program, faults: stream.len(), rows });
        }
        let recorded = read_migrations(&self.firmware.join("traces/migrations.csv.zst"))?;
        let mut balance: Vec<BalanceStudy> = Vec::new();
        for open_only in [true, false] {
            balance.push(run_balance(&recorded, open_only, Parting::ByTime, |step| {
                bar.set_message(format!("balancing: {step}"));
            })?);
        }
        bar.finish_and_clear();
        let command = match &self.recordings {
            Some(_) => "rmt report --recordings FOLDER",
            None => "rmt report",
        };
        let page = page::render(&prefetch, &balance, &live, command)?;
        if let Some(folder) = self.output.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        program::write_whole(&self.output, page.as_bytes())?;
        if self.json {
            let prefetch: Vec<_> = (prefetch.iter())
                .map(|r| json!({ "program": r.program, "faults": r.faults, "policies": r.rows }))
                .collect();
            let result = json!({
                "prefetch": prefetch, "balance": balance, "live": live, "report": self.output,
            });
            println!("{result}");
        } else {
            print_tables(&prefetch, &balance);
            live.print(&folder);
            println!("Report with plots: {}", self.output.display());
        }
        Ok(())
    }
}

/// Per cent with one decimal.
fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn print_tables(prefetch: &[PrefetchResult], balance: &[BalanceStudy]) {
    println!(
        "Page prefetching: accuracy / coverage / completion time on {} in %",
        page::DEVICE_OF_TABLE
    );
    for result in prefetch {
        println!("\n{} ({} faults)", result.program, result.faults);
        for row in &result.rows {
            println!(
                "  {:36} {:>6} {:>6} {:>6}",
                row.policy,
                row.accuracy.map_or("-".into(), percent),
                percent(row.coverage),
                percent(row.time_share[page::DEVICE_INDEX])
            );
        }
    }
    print_balance("Load balancing", balance);
    println!();
}

fn print_balance(title: &str, balance: &[BalanceStudy]) {
    for study in balance {
        let which =
            if study.open_only { "rows that the hard rules leave open" } else { "all rows" };
        println!("\n{title}, {which}: features, accuracy %, balanced %, larger class %");
        for row in &study.rows {
            println!(
                "  {:46} {:>3} {:>7.2} {:>7.2} {:>7.2}",
                row.model,
                row.features,
                100.0 * row.confusion.accuracy(),
                100.0 * row.confusion.balanced_accuracy(),
                100.0 * row.confusion.majority()
            );
        }
        println!("  the two features: {}", study.chosen.join(", "));
        println!("  loads never trained on: network %, tree %, larger class %");
        for load in &study.unseen {
            println!(
                "    {:12} {:>6} rows {:>7.2} {:>7.2} {:>7.2}",
                load.family,
                load.network.rows(),
                100.0 * load.network.accuracy(),
                100.0 * load.tree.accuracy(),
                100.0 * load.network.majority()
            );
        }
    }
}
