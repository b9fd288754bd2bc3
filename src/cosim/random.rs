//! `rmt cosim --random`: random verified programs on the RTL, and what they covered.

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rmt_core::CoreConfig;
use rmt_sim::card::{Card, EvaluatedPins, Pins, VerilatedPins};
use rmt_sim::cosim::{RandomOptions, RandomReport, cosimulate_random};
use rmt_sim::verilated::Trace;
use serde_json::json;

use super::{Simulator, verilated_model};

/// What to run and how to print it.
pub struct RandomRun {
    pub config: CoreConfig,
    pub options: RandomOptions,
    pub simulator: Simulator,
    pub allow_empty_bins: bool,
    pub json: bool,
}

impl RandomRun {
    /// Runs, prints, and fails when the card differs or a bin stayed empty.
    pub fn run(&self) -> Result<()> {
        let report = match self.simulator {
            Simulator::Verilator => {
                let model = verilated_model(&self.config, None, Trace::None)?;
                self.simulate(VerilatedPins::new(&model)?)?
            }
            Simulator::Evaluator => {
                self.simulate(EvaluatedPins::new(&rmt_core::elaborate(&self.config)?)?)?
            }
        };
        if self.json {
            println!("{}", to_json(&report));
        } else {
            print_report(&report);
        }
        if let Some((seed, mismatch)) = &report.mismatch {
            bail!(
                "the program of seed {seed} differs: {mismatch}; `rmt cosim --random 1 --seed {seed}` runs it alone"
            );
        }
        let empty: Vec<String> =
            report.coverage.empty_bins().map(|(group, name)| format!("{group} ({name})")).collect();
        if !empty.is_empty() && !self.allow_empty_bins {
            bail!(
                "{} bins of coverage are empty: {}; run more events, or allow it with --allow-empty-bins",
                empty.len(),
                empty.join(", ")
            );
        }
        Ok(())
    }

    fn simulate<P: Pins>(&self, pins: P) -> Result<RandomReport> {
        let mut card = Card::reset(pins, &self.config)?;
        let bar = ProgressBar::new(self.options.events)
            .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left")?);
        let report = cosimulate_random(&mut card, self.options, |done| bar.set_position(done))?;
        bar.finish_and_clear();
        Ok(report)
    }
}

fn to_json(report: &RandomReport) -> serde_json::Value {
    let bins: Vec<_> = report
        .coverage
        .bins()
        .map(|(group, name, hits)| json!({ "group": group, "bin": name, "hits": hits }))
        .collect();
    json!({
        "events": report.events,
        "programs": report.programs,
        "commits": report.commits,
        "skipped": report.skipped,
        "left_out": report.left_out,
        "coverage": bins,
        "mismatch": report.mismatch.as_ref().map(|(seed, mismatch)| json!({ "seed": seed, "mismatch": mismatch })),
        "cycles": report.cycles,
        "seconds": report.seconds,
    })
}

fn print_report(report: &RandomReport) {
    let RandomReport { events, programs, commits, cycles, seconds, .. } = report;
    println!("{events} events of {programs} programs, {commits} commits between them");
    println!("{cycles} cycles simulated, {:.0} each second", *cycles as f64 / seconds.max(1e-9));
    for (what, count) in &report.skipped {
        println!("skipped {count} times: {what}");
    }
    if !report.left_out.is_empty() {
        println!("not generated, for the card has it not: {}", report.left_out.join(", "));
    }
    let mut groups: Vec<(&str, Vec<(&str, u64)>)> = Vec::new();
    for (group, name, hits) in report.coverage.bins() {
        match groups.last_mut() {
            Some((last, bins)) if *last == group => bins.push((name, hits)),
            _ => groups.push((group, vec![(name, hits)])),
        }
    }
    println!("\n{:<22} {:>5} {:>6}  fewest hits", "coverage", "bins", "empty");
    for (group, bins) in groups {
        let empty = bins.iter().filter(|(_, hits)| *hits == 0).count();
        if let Some((name, hits)) = bins.iter().min_by_key(|(_, hits)| *hits) {
            println!("{group:<22} {:>5} {empty:>6}  {hits} ({name})", bins.len());
        }
    }
}
