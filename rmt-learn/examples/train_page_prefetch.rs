//! Trains the page prefetch tree on the project's samples and writes
//! `firmware/models/page_prefetch.json`.
//!
//! ```text
//! cargo run --release -p rmt-learn --example train_page_prefetch
//! cargo run --release -p rmt-learn --example train_page_prefetch -- FOLDER
//! ```
//!
//! Compares policies on the test windows; with FOLDER, which holds the full page recordings, also on
//! their second halves.
//!
//! Tables show accuracy / coverage in per cent. `left out` is a tree trained without the program it
//! is scored on.

use std::error::Error;
use std::path::{Path, PathBuf};

use rmt_learn::prefetch::compare::{Comparison, compare};
use rmt_learn::prefetch::learned::LearnedPrefetch;
use rmt_learn::prefetch::linux::{DEFAULT_PAGE_CLUSTER, LinuxClusterReadahead};
use rmt_learn::prefetch::policy::PrefetchPolicy;
use rmt_learn::prefetch::score::{ScoreConfig, Trigger, score_policy};
use rmt_learn::prefetch::trace::{PageAccess, read_page_trace};
use rmt_learn::prefetch::train::{TrainConfig, export, train};
use rmt_learn::tree::DecisionTree;

/// The recorded programs.
const PROGRAMS: [&str; 4] = ["resize", "conv", "column", "bfs"];

fn main() -> Result<(), Box<dyn Error>> {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
    let sample = |part: &str| -> rmt_learn::Result<Vec<Vec<PageAccess>>> {
        let file = |program: &&str| firmware.join(format!("traces/pages/{program}.{part}.csv.zst"));
        PROGRAMS.iter().map(|program| read_page_trace(&file(program))).collect()
    };
    let training = sample("train")?;
    let config = TrainConfig::default();
    let tree = train_on(&training, None, &config)?;
    let model = firmware.join("models/page_prefetch.json");
    export(&tree).write(&model)?;
    println!("{}: depth {}, {} leaves", model.display(), tree.depth(), tree.leaf_count());
    let left_out = (0..PROGRAMS.len())
        .map(|program| train_on(&training, Some(program), &config))
        .collect::<rmt_learn::Result<Vec<_>>>()?;

    print_table("test windows: the last 10,000 faults", &sample("test")?, &tree, &left_out)?;
    if let Some(folder) = std::env::args_os().nth(1) {
        let file = |program: &&str| PathBuf::from(&folder).join(format!("{program}.csv.zst"));
        let recordings = PROGRAMS
            .iter()
            .map(|program| read_page_trace(&file(program)))
            .collect::<rmt_learn::Result<Vec<_>>>()?;
        print_calibration(&recordings)?;
        let second_halves: Vec<_> =
            recordings.iter().map(|faults| faults[faults.len() / 2..].to_vec()).collect();
        print_table("second halves of the full recordings", &second_halves, &tree, &left_out)?;
    }
    Ok(())
}

/// Major faults of the recorded programs with read-ahead off and on (`vm.page-cluster` 0 and 3), as
/// the guest counted them.
const MEASURED_MAJOR_FAULTS: [(u32, u32); 4] =
    [(123_863, 20_775), (216_167, 37_808), (119_825, 104_483), (111_048, 106_579)];

/// Prints what Linux's read-ahead covers in the simulator, for several cache sizes, beside what the
/// guest measured.
fn print_calibration(recordings: &[Vec<PageAccess>]) -> Result<(), Box<dyn Error>> {
    println!(
        "\ncoverage of Linux's read-ahead, whole recordings\n{:34}{}",
        "",
        PROGRAMS.map(|program| format!("{program:>14}")).concat()
    );
    for cache_pages in [64, 128, 256, 512] {
        let config = ScoreConfig { cache_pages, ..ScoreConfig::default() };
        let mut line = String::new();
        for faults in recordings {
            let score = score_policy(
                faults,
                &mut LinuxClusterReadahead::new(DEFAULT_PAGE_CLUSTER),
                &config,
            )?;
            line += &format!("{:>14.1}", score.coverage() * 100.0);
        }
        println!("{:34}{line}", format!("simulated, cache of {cache_pages} pages"));
    }
    let measured = MEASURED_MAJOR_FAULTS
        .map(|(off, on)| format!("{:>14.1}", 100.0 - 100.0 * f64::from(on) / f64::from(off)));
    println!("{:34}{}", "measured in the guest", measured.concat());
    Ok(())
}

/// Trains on all programs, or on all but one.
fn train_on(
    traces: &[Vec<PageAccess>],
    left_out: Option<usize>,
    config: &TrainConfig,
) -> rmt_learn::Result<DecisionTree> {
    let chosen = traces.iter().enumerate().filter(|(program, _)| Some(*program) != left_out);
    train(&chosen.map(|(_, trace)| trace.as_slice()).collect::<Vec<_>>(), config)
}

/// A policy under another name, to tell two trees apart in the table.
struct Named(&'static str, LearnedPrefetch);

impl PrefetchPolicy for Named {
    fn name(&self) -> String {
        self.0.into()
    }

    fn observe(
        &mut self,
        access: &PageAccess,
        hit: bool,
        requests: &mut Vec<rmt_learn::prefetch::policy::PageRequest>,
    ) {
        self.1.observe(access, hit, requests);
    }
}

fn print_table(
    title: &str,
    streams: &[Vec<PageAccess>],
    tree: &DecisionTree,
    left_out: &[DecisionTree],
) -> Result<(), Box<dyn Error>> {
    let mut columns: Vec<Vec<Comparison>> = Vec::new();
    for (stream, left_out) in streams.iter().zip(left_out) {
        let (all, others) =
            (LearnedPrefetch::new(tree.clone())?, LearnedPrefetch::new(left_out.clone())?);
        let make_all = || Box::new(Named("RMT tree", all.clone())) as Box<dyn PrefetchPolicy>;
        let make_others =
            || Box::new(Named("RMT tree, left out", others.clone())) as Box<dyn PrefetchPolicy>;
        columns.push(compare(stream, &[&make_all, &make_others], &ScoreConfig::default())?);
    }
    println!("\n{title}\n{:34}{}", "", PROGRAMS.map(|program| format!("{program:>14}")).concat());
    for line in 0..columns[0].len() {
        let Comparison { policy, trigger, .. } = &columns[0][line];
        let when = if *trigger == Trigger::EveryFault { ", every fault" } else { "" };
        let cells = columns.iter().map(|column| {
            let score = column[line].score;
            let accuracy =
                score.accuracy().map_or("-".into(), |share| format!("{:.1}", share * 100.0));
            format!("{:>14}", format!("{accuracy}/{:.1}", score.coverage() * 100.0))
        });
        println!("{:34}{}", format!("{policy}{when}"), cells.collect::<String>());
    }
    Ok(())
}
