//! `rmt bench`: what is measured, against its limits and targets.

use anyhow::Result;
use clap::{Args, Subcommand};

mod cycles;
mod latency;
mod programs;

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
    Cycles(cycles::Cycles),
    Latency(latency::LatencyBench),
}

impl Bench {
    pub fn run(self) -> Result<()> {
        match self.what {
            What::Cycles(cycles) => cycles.run(),
            What::Latency(latency) => latency.run(),
        }
    }
}
