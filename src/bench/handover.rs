//! `rmt bench handover`: from hook to decision, in parts, through the rings of the kernel module.
//!
//! One thread is the kernel (the module's own ring code, compiled for user space), the other the
//! daemon. Each event is stamped when it is sent, when the daemon has it, when it is decided, and
//! when the kernel's side has seen the answer. The simulated card decides beforehand; its part is by
//! its own clock, in cycles that are exact.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use rmt_driver::Transport;
use rmt_driver::shim::host::KernelSide;
use rmt_isa::{Decision, Event, Program};
use rmt_sim::root_complex::Latency;
use rmt_sim::root_complex::round_trip::{RoundTrip, Way};
use rmt_vm::Engine;
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::jit::Jit;
use serde_json::json;

use super::card::CardBench;
use super::programs;
use crate::card::{CLOCK_MHZ, LatencyPreset};
use crate::demo::plot::{LogLines, stacked};
use crate::r#gen::ConfigArguments;
use crate::program;

/// Binary logarithm of the ring's places, the module's default.
const RING_LOG2: u32 = 10;
/// Events before those that count.
const WARM_UP: u32 = 1000;
/// An answer must come within this time, also on a machine that does everything else first.
const PATIENCE: Duration = Duration::from_secs(20);
/// Parts of an event's way. The rings are both hand-overs together; the last ones are within the
/// decision, on the card only.
const PARTS: [&str; 8] = [
    "hook to daemon",
    "decision",
    "daemon to hook",
    "rings",
    "all",
    "of the decision: link",
    "of the decision: queues",
    "of the decision: core",
];
const ALL: usize = 4;
const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// Measure the way of an event from the hook to its decision in parts, as HDR histograms.
///
/// Two threads, two processors: on a machine with fewer free the figures of the rings are those of
/// its scheduler. With the engine `card` the decision is made by the simulated RTL behind a link,
/// at 250 MHz: its parts are cycles, and stand in place of a decision that takes no time.
///
/// Example: rmt bench handover --engine jit,card --preset small --svg handover.svg
#[derive(Args)]
pub struct Handover {
    /// Events of each program
    #[arg(long, default_value_t = 20_000)]
    events: u32,
    /// Different events of each program on the simulated card, which come again and again
    #[arg(long, default_value_t = 100)]
    card_events: u32,
    /// What decides, one or several
    #[arg(long, value_enum, value_delimiter = ',', default_value = "jit")]
    engine: Vec<Choice>,
    #[command(flatten)]
    config: ConfigArguments,
    /// How long transactions take on the card's link
    #[arg(long, value_enum, default_value_t = LatencyPreset::Measured)]
    latency: LatencyPreset,
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
    /// The simulated card
    Card,
}

impl Choice {
    fn name(self) -> &'static str {
        match self {
            Self::Interpreter => "interpreter",
            Self::Jit => "JIT",
            Self::Card => "card",
        }
    }
}

/// The histograms of one program on an engine, by part.
struct Measured {
    engine: &'static str,
    program: &'static str,
    parts: Vec<Histogram<u64>>,
}

/// Times within a decision of the card, nanoseconds.
#[derive(Clone, Copy)]
struct CardTimes {
    all: u64,
    link: u64,
    queues: u64,
    core: u64,
}

impl Handover {
    pub fn run(self) -> Result<()> {
        let mut measured = Vec::new();
        for &engine in &self.engine {
            measured.extend(self.measure_engine(engine)?);
        }
        if let Some(path) = &self.svg {
            program::write_whole(path, plot(&measured)?.as_bytes())?;
        }
        if self.json {
            println!("{}", json!({ "events": self.events, "programs": as_json(&measured) }));
        } else {
            println!("{}", table(&measured));
            println!("nanoseconds");
        }
        Ok(())
    }

    fn measure_engine(&self, engine: Choice) -> Result<Vec<Measured>> {
        let config = self.config.load()?;
        let mut card = match engine {
            Choice::Card => {
                eprintln!("building the card (cached next time)");
                let latency = self.latency.latency();
                Some((CardBench::new(&config, latency, Transport::Inline)?, latency))
            }
            _ => None,
        };
        let stream_bits = config.shape().stream_bits;
        let mut measured = Vec::new();
        for (name, program) in programs::microbenchmarks()? {
            eprintln!("{}: {name}", engine.name());
            let parts = match (engine, &mut card) {
                (Choice::Interpreter, _) => {
                    in_software(InterpreterEngine::default(), &program, self.events)
                }
                (Choice::Card, Some((card, latency))) => {
                    let counts = [self.events, self.card_events];
                    on_card(card, latency, stream_bits, &program, counts)
                }
                _ => in_software(Jit::default(), &program, self.events),
            };
            let parts = parts.context(name)?;
            measured.push(Measured { engine: engine.name(), program: name, parts });
        }
        Ok(measured)
    }
}

fn in_software<E>(mut engine: E, program: &Program, events: u32) -> Result<Vec<Histogram<u64>>>
where
    E: Engine<Error: Send + Sync + 'static> + Send,
{
    engine.load(program)?;
    measure(events, WARM_UP, move |event| Ok((engine.run(event)?, None)))
}

fn on_card(
    card: &mut CardBench,
    latency: &Latency,
    stream_bits: u32,
    program: &Program,
    [events, simulated]: [u32; 2],
) -> Result<Vec<Histogram<u64>>> {
    let slot = card.install(program)?;
    let mut interpreter = InterpreterEngine::default();
    interpreter.load(program)?;
    let nanoseconds = |cycles: u64| (cycles as f64 * 1000.0 / CLOCK_MHZ) as u64;
    let mut answers = Vec::new();
    // The first event of a pair finds nothing in the IOMMU's cache.
    for number in [0].into_iter().chain(0..simulated.max(1)) {
        let event = programs::event(number);
        let expected = interpreter.run(&event)?;
        let (time, decision) = card.decide(slot, &[event], &[expected])?;
        let decision = decision.context("the card ended no event")?;
        // What the round trip is made of; the rest of it is the link's.
        let parts = RoundTrip::of(Way::Inline, stream_bits, latency, 0, decision.cycles.into());
        let (all, queues, core) =
            (time.as_nanos() as u64, nanoseconds(parts.queue), nanoseconds(parts.pipeline));
        let link = all.saturating_sub(queues + core);
        answers.push((decision, CardTimes { all, link, queues, core }));
    }
    card.remove(slot);
    answers.remove(0);
    // The simulation takes a thousand times as long as the card: the rings are measured without it.
    let mut answers = answers.into_iter().cycle();
    measure(events, WARM_UP, move |event| {
        let (decision, card) = answers.next().context("no event was simulated")?;
        Ok((Decision { tag: event.tag(), ..decision }, Some(card)))
    })
}

/// Sends events through the rings, of which the daemon's side has each decided by `decide`.
fn measure(
    events: u32,
    warm_up: u32,
    mut decide: impl FnMut(&Event) -> Result<(Decision, Option<CardTimes>)> + Send,
) -> Result<Vec<Histogram<u64>>> {
    let (mut kernel, mut rings) = KernelSide::pair(1, RING_LOG2, 0, 0);
    let total = events + warm_up;
    let begun = Instant::now();
    let now = || begun.elapsed().as_nanos() as u64;
    std::thread::scope(|scope| {
        let daemon = scope.spawn(move || -> Result<Vec<(u64, u64, Option<CardTimes>)>> {
            let mut stamps = Vec::with_capacity(total as usize);
            let mut last = Instant::now();
            while stamps.len() < total as usize {
                let Some(event) = rings.take_event() else {
                    ensure!(last.elapsed() < PATIENCE, "the kernel's side sends nothing");
                    std::hint::spin_loop();
                    continue;
                };
                let taken = now();
                let (decision, card) = decide(&event)?;
                let decided = now();
                rings.answer(&decision);
                stamps.push((taken, decided, card));
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
        let counted = sent.into_iter().zip(stamps).skip(warm_up as usize);
        for ([begun, seen], (taken, decided, card)) in counted {
            let rings = [taken - begun, seen - decided];
            let decision = card.map_or(decided - taken, |card| card.all);
            let both = rings[0] + rings[1];
            let software = [rings[0], decision, rings[1], both, both + decision];
            let on_card = card.into_iter().flat_map(|card| [card.link, card.queues, card.core]);
            let times = software.into_iter().chain(on_card);
            parts
                .iter_mut()
                .zip(times)
                .for_each(|(part, time)| part.saturating_record(time.max(1)));
        }
        parts.retain(|part| !part.is_empty());
        Ok(parts)
    })
}

fn new_histograms() -> Result<Vec<Histogram<u64>>> {
    let one = Histogram::new_with_bounds(1, 10_000_000_000, 3)?;
    Ok(vec![one; PARTS.len()])
}

fn table(measured: &[Measured]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header([
        "engine", "program", "part", "events", "50 %", "90 %", "99 %", "99.9 %", "most",
    ]);
    for Measured { engine, program, parts } in measured {
        for (place, (name, part)) in PARTS.iter().zip(parts).enumerate() {
            let first = |text: &str| if place == 0 { text.to_owned() } else { String::new() };
            let mut cells = vec![first(engine), first(program), (*name).to_owned()];
            cells.push(first(&part.len().to_string()));
            cells.extend(QUANTILES.iter().map(|q| part.value_at_quantile(*q).to_string()));
            cells.push(part.max().to_string());
            table.add_row(cells);
        }
    }
    for column in 3..9 {
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
    let one = |Measured { engine, program, parts }: &Measured| {
        let parts: serde_json::Map<_, _> =
            PARTS.iter().zip(parts).map(|(name, p)| ((*name).to_owned(), part(p))).collect();
        json!({ "engine": engine, "program": program, "nanoseconds": parts })
    };
    measured.iter().map(one).collect()
}

/// Of the whole way: nanoseconds over how rare an event that takes longer is, a chart for each
/// engine.
fn plot(measured: &[Measured]) -> Result<String> {
    let rarities = [2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
    let charts = measured.chunk_by(|a, b| a.engine == b.engine).map(|of_engine| {
        let series = of_engine.iter().map(|Measured { program, parts, .. }| {
            let at = |rarity: f64| parts[ALL].value_at_quantile(1.0 - 1.0 / rarity).max(1) as f64;
            ((*program).to_owned(), rarities.iter().map(|&rarity| (rarity, at(rarity))).collect())
        });
        LogLines {
            title: &format!("Hook to decision and back: {}", of_engine[0].engine),
            axes: ["one event in so many takes longer", "ns"],
            series: series.collect(),
            marks: Vec::new(),
        }
        .to_svg()
    });
    Ok(stacked(&charts.collect::<Result<Vec<_>>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_and_are_shown() {
        let card = CardTimes { all: 1_000_000, link: 600_000, queues: 300_000, core: 100_000 };
        let decided = |event: &Event| Decision {
            tag: event.tag(),
            status: rmt_isa::Status::Decided,
            written: 0,
            cycles: 0,
            outputs: [0; rmt_isa::limits::MAX_OUTPUTS],
        };
        let parts = measure(100, 10, |event| Ok((decided(event), Some(card)))).unwrap();
        assert!(parts.iter().all(|part| part.len() == 100) && parts.len() == PARTS.len());
        // The card's time stands in place of that of the simulation.
        assert!(parts[ALL].min() > 999_000 && parts[ALL].min() > parts[1].min());
        let in_software = measure(50, 0, |event| Ok((decided(event), None))).unwrap();
        assert_eq!(in_software.len(), ALL + 1);
        let measured = [
            Measured { engine: "JIT", program: "no-op", parts: in_software },
            Measured { engine: "card", program: "no-op", parts },
        ];
        assert!(table(&measured).to_string().contains("decision: core"));
        let svg = plot(&measured).unwrap();
        assert!(svg.contains("back: JIT") && svg.contains("back: card"));
        let core = &as_json(&measured)[1]["nanoseconds"]["of the decision: core"];
        assert_eq!(core["histogram"][0][1], 100);
    }
}
