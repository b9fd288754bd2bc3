//! `rmt bench`: what is measured, against its limits and targets.

use anyhow::Result;
use clap::{Args, Subcommand};

mod breakeven;
mod card;
mod cycles;
mod handover;
mod latency;
mod programs;
mod transactions;

/// Measure, and compare with the targets of the design.
///
/// Example: rmt bench cycles --json
#[derive(Args)]
pub struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Breakeven(breakeven::Breakeven),
    Cycles(cycles::Cycles),
    Handover(handover::Handover),
    Latency(latency::LatencyBench),
}

impl Bench {
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Breakeven(breakeven) => breakeven.run(),
            What::Cycles(cycles) => cycles.run(),
            What::Handover(handover) => handover.run(),
            What::Latency(latency) => latency.run(),
        }
    }
}
