//! `rmt bench handover`: from hook to decision, in parts, through the rings of the kernel module.
//!
//! One thread is the kernel (the module's own ring code, compiled for user space), the other the
//! daemon. Each event is stamped when it is sent, when the daemon has it, when it is decided, and
//! when the kernel's side has seen the answer.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use rmt_driver::shim::host::KernelSide;
use rmt_isa::Program;
use rmt_vm::Engine;
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::jit::Jit;
use serde_json::json;

use super::programs;
use crate::demo::plot::LogLines;
use crate::program;

/// Binary logarithm of the ring's places, the module's default.
const RING_LOG2: u32 = 10;
/// Events before those that count.
const WARM_UP: u32 = 1000;
/// An answer must come within this time, also on a machine that does everything else first.
const PATIENCE: Duration = Duration::from_secs(20);
const PARTS: [&str; 4] = ["hook to daemon", "decision", "daemon to hook", "all"];
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// Measure the way of an event from the hook to its decision in parts, as HDR histograms.
///
/// Two threads, two processors: on a machine with fewer free the figures are those of its scheduler.
///
/// Example: rmt bench handover --events 100000 --svg handover.svg
#[derive(Args)]
pub struct Handover {
    /// Events of each program
    #[arg(long, default_value_t = 20_000)]
    events: u32,
    /// What decides
    #[arg(long, value_enum, default_value_t = Choice::Jit)]
    engine: Choice,
    /// Draw the quantiles of the whole way into this file
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// One instruction at a time
    Interpreter,
    /// Machine code for this CPU
    Jit,
}

/// The histograms of one program, by part.
struct Measured {
    program: &'static str,
    parts: [Histogram<u64>; 4],
}

impl Handover {
    pub fn run(self) -> Result<()> {
        let mut measured = Vec::new();
        for (name, program) in programs()? {
            let parts = match self.engine {
                Choice::Interpreter => measure(InterpreterEngine::default(), &program, self.events),
                Choice::Jit => measure(Jit::default(), &program, self.events),
            }?;
            measured.push(Measured { program: name, parts });
        }
        if let Some(path) = &self.svg {
            program::write_whole(path, plot(&measured)?.as_bytes())?;
        }
        if self.json {
            println!("{}", json!({ "events": self.events, "programs": as_json(&measured) }));
        } else {
            println!("{}", table(&measured));
            println!("nanoseconds; {} events of each program", self.events);
        }
        Ok(())
    }
}

fn programs() -> Result<Vec<(&'static str, Program)>> {
    Ok(vec![
        ("no-op", programs::look_up(0)?),
        ("tree, depth 8", programs::tree(8)?),
        ("MLP 15-10-1", programs::network()?),
        ("32 trees, depth 5", programs::forest(32, 5)?),
        ("CNN 3x3, 4 channels", programs::convolution()?),
    ])
}

fn measure<E>(mut engine: E, program: &Program, events: u32) -> Result<[Histogram<u64>; 4]>
where
    E: Engine<Error: Send + Sync + 'static> + Send,
{
    engine.load(program)?;
    let (mut kernel, mut rings) = KernelSide::pair(1, RING_LOG2, 0, 0);
    let total = events + WARM_UP;
    let begun = Instant::now();
    let now = || begun.elapsed().as_nanos() as u64;
    std::thread::scope(|scope| {
        let daemon = scope.spawn(move || -> Result<Vec<[u64; 2]>> {
            let mut stamps = Vec::with_capacity(total as usize);
            let mut last = Instant::now();
            while stamps.len() < total as usize {
                let Some(event) = rings.take_event() else {
                    ensure!(last.elapsed() < PATIENCE, "the kernel's side sends nothing");
                    std::hint::spin_loop();
                    continue;
                };
                let taken = now();
                let decision = engine.run(&event)?;
                let decided = now();
                rings.answer(&decision);
                stamps.push([taken, decided]);
                last = Instant::now();
            }
            Ok(stamps)
        });
        let mut sent = Vec::with_capacity(total as usize);
        for number in 0..total {
            let event = programs::event(number);
            let begun = now();
            let tag = kernel.send(&event).ok_or_else(|| anyhow!("the ring is full"))?;
            let waited = Instant::now();
            while kernel.answer(tag).is_none() {
                ensure!(waited.elapsed() < PATIENCE, "no answer to event {number}");
                std::hint::spin_loop();
            }
            sent.push([begun, now()]);
        }
        let stamps = daemon.join().map_err(|_| anyhow!("the daemon's side failed"))??;
        let mut parts = new_histograms()?;
        for ([begun, seen], [taken, decided]) in sent.into_iter().zip(stamps).skip(WARM_UP as usize)
        {
            let times = [taken - begun, decided - taken, seen - decided, seen - begun];
            parts
                .iter_mut()
                .zip(times)
                .for_each(|(part, time)| part.saturating_record(time.max(1)));
        }
        Ok(parts)
    })
}

fn new_histograms() -> Result<[Histogram<u64>; 4]> {
    let one = Histogram::new_with_bounds(1, 10_000_000_000, 3)?;
    Ok([one.clone(), one.clone(), one.clone(), one])
}

fn table(measured: &[Measured]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["program", "part", "50 %", "90 %", "99 %", "99.9 %", "most"]);
    for Measured { program, parts } in measured {
        for (place, (name, part)) in PARTS.iter().zip(parts).enumerate() {
            let program = if place == 0 { *program } else { "" };
            let mut cells = vec![program.to_owned(), (*name).to_owned()];
            cells.extend(QUANTILES.iter().map(|q| part.value_at_quantile(*q).to_string()));
            cells.push(part.max().to_string());
            table.add_row(cells);
        }
    }
    for column in 2..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn as_json(measured: &[Measured]) -> serde_json::Value {
    let part = |part: &Histogram<u64>| {
        // The whole histogram: each value that occurred, and how often.
        let values: Vec<_> =
            part.iter_recorded().map(|v| (v.value_iterated_to(), v.count_at_value())).collect();
        json!({ "mean": part.mean(), "most": part.max(), "histogram": values })
    };
    let one = |Measured { program, parts }: &Measured| {
        let parts: serde_json::Map<_, _> =
            PARTS.iter().zip(parts).map(|(name, p)| ((*name).to_owned(), part(p))).collect();
        json!({ "program": program, "nanoseconds": parts })
    };
    measured.iter().map(one).collect()
}

/// Of the whole way: nanoseconds over how rare an event that takes longer is.
fn plot(measured: &[Measured]) -> Result<String> {
    let rarities = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
    let series = measured.iter().map(|Measured { program, parts }| {
        let at = |rarity: f64| parts[3].value_at_quantile(1.0 - 1.0 / rarity).max(1) as f64;
        ((*program).to_owned(), rarities.iter().map(|&rarity| (rarity, at(rarity))).collect())
    });
    LogLines {
        title: "Hook to decision and back",
        axes: ["one event in so many takes longer", "ns"],
        series: series.collect(),
        marks: Vec::new(),
    }
    .to_svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_are_shown() {
        let mut parts = new_histograms().unwrap();
        for (part, time) in parts.iter_mut().zip([300, 50, 250, 600]) {
            (0..100).for_each(|_| part.record(time).unwrap());
        }
        let measured = [Measured { program: "no-op", parts }];
        assert!(table(&measured).to_string().contains("600"));
        assert!(plot(&measured).unwrap().contains("no-op"));
        assert_eq!(as_json(&measured)[0]["nanoseconds"]["all"]["histogram"][0][1], 100);
    }
}
