//! `rmt bench latency`: how long one decision takes, on every engine.
//!
//! Software engines are timed by this machine's clock. The RTL stands behind the real driver and a
//! simulated link: its cycles are exact, and each round trip must be the sum of its parts that
//! [`RoundTrip`] computes beforehand.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use rmt_driver::card::Card;
use rmt_driver::{QueueConfig, Transport};
use rmt_isa::card::lower;
use rmt_isa::{Decision, Event, Program};
use rmt_sim::root_complex::round_trip::{RoundTrip, Way};
use rmt_sim::root_complex::{CardBus as _, Latency};
use rmt_vm::Engine;
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::events::EventReader;
use rmt_vm::jit::Jit;
use serde_json::{Value, json};

use crate::card::{AnyDevice, CLOCK_MHZ, SimulatedDevice};
use crate::r#gen::ConfigArguments;
use crate::program;

/// Events that a software engine decides; the recorded ones again and again.
const SOFTWARE_EVENTS: usize = 50_000;
/// Cycles between two events on the RTL, so that each is alone.
const PAUSE_CYCLES: u64 = 300;
/// Difference between a round trip and the sum of its parts that is no error, cycles.
const TOLERANCE_CYCLES: u64 = 1;
/// What is printed of each distribution.
const PERCENTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Measure how long one decision takes: interpreter, JIT, RTL behind a link.
///
/// The RTL is driven by the driver, one event at a time, with three links: without latency, as
/// measured on a server, and the same with every address missed by the IOMMU's cache. Its times are
/// cycles at 250 MHz. Each round trip is compared with the sum of its parts.
///
/// Example: rmt bench latency --events 500
#[derive(Args)]
pub struct LatencyBench {
    /// A .rmt source or an image
    #[arg(long, default_value = "firmware/can_migrate_task.rmt")]
    program: PathBuf,
    /// The events
    #[arg(long, default_value = "firmware/traces/migrations.csv.zst")]
    trace: PathBuf,
    /// Events on the RTL, for each link and way
    #[arg(long, default_value_t = 200)]
    events: usize,
    #[command(flatten)]
    config: ConfigArguments,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A link and what it does to the IOMMU's cache.
struct Preset {
    name: &'static str,
    latency: Latency,
    misses: bool,
}

/// Times of one engine.
struct Distribution {
    engine: &'static str,
    link: &'static str,
    way: &'static str,
    /// Nanoseconds, ascending.
    times: Vec<f64>,
    /// Of the median event, with the cycles that were measured.
    parts: Option<(RoundTrip, u64)>,
}

impl LatencyBench {
    pub fn run(self) -> Result<()> {
        let (program, report) = program::load_verified(&self.program, &Default::default())?;
        let events: Vec<Event> =
            EventReader::open(&self.trace, &program.hook)?.collect::<Result<_, _>>()?;
        ensure!(!events.is_empty(), "{} holds no event", self.trace.display());
        let mut found = vec![
            software("interpreter", InterpreterEngine::default(), &program, &events)?,
            software("JIT", Jit::default(), &program, &events)?,
        ];

        let config = self.config.load()?;
        let image = lower(&program, report.ordering.class, config.shape())
            .with_context(|| format!("{} does not fit the card", self.program.display()))?;
        let measured = Latency::measured(CLOCK_MHZ);
        let presets = [
            Preset { name: "zero", latency: Latency::zero(), misses: false },
            Preset { name: "measured", latency: measured, misses: false },
            Preset { name: "IOMMU misses", latency: measured, misses: true },
        ];
        let device = SimulatedDevice::new(&config, Latency::zero())?;
        device.set_relax_cycles(1);
        let any: AnyDevice = Arc::new(device.clone());
        let mut card = Card::open(Arc::new(any))?;
        for preset in &presets {
            device.link().set_latency(Latency::zero());
            for way in [Way::Inline, Way::Ring] {
                card.reset()?;
                card.install(&image.writes)?;
                let rtl =
                    Rtl { device: &device, preset, way, stream_bits: config.shape().stream_bits };
                let some = events.iter().take(self.events);
                found.push(rtl.measure(&card, &program, some)?);
            }
        }
        if self.json {
            let list: Vec<Value> = found.iter().map(Distribution::json).collect();
            println!("{}", json!({ "program": program.name, "latency": list }));
        } else {
            println!("{}\n\n{}", times_table(&found), parts_table(&found));
        }
        Ok(())
    }
}

/// Times each decision of an engine in this process; the clock's own time is part of it.
fn software<E: Engine<Error: Send + Sync + 'static>>(
    name: &'static str,
    mut engine: E,
    program: &Program,
    events: &[Event],
) -> Result<Distribution> {
    engine.load(program)?;
    let mut times = Vec::with_capacity(SOFTWARE_EVENTS);
    for event in events.iter().cycle().take(SOFTWARE_EVENTS) {
        let begun = Instant::now();
        let decision = engine.run(event)?;
        times.push(begun.elapsed().as_secs_f64() * 1e9);
        std::hint::black_box(decision);
    }
    times.sort_by(f64::total_cmp);
    Ok(Distribution { engine: name, link: "none", way: "call", times, parts: None })
}

/// The RTL behind one link, by one way.
struct Rtl<'d> {
    device: &'d SimulatedDevice,
    preset: &'d Preset,
    way: Way,
    stream_bits: u32,
}

impl Rtl<'_> {
    /// Sends events one by one through the driver.
    fn measure<'e>(
        &self,
        card: &Card<AnyDevice>,
        program: &Program,
        events: impl Iterator<Item = &'e Event>,
    ) -> Result<Distribution> {
        let (transport, way) = match self.way {
            Way::Inline => (Transport::Inline, "inline"),
            Way::Ring => (Transport::Ring, "ring"),
        };
        let config = QueueConfig {
            transport,
            // Each ring in one page, which the IOMMU's cache holds after the first event.
            ring_log2: 5,
            hooks: vec![program.hook.number],
            budget_microseconds: 100_000,
            ..QueueConfig::default()
        };
        let mut queue = card.queue(0, config)?;
        self.device.link().set_latency(self.preset.latency);
        let mut interpreter = InterpreterEngine::default();
        interpreter.load(program)?;
        let mut trips = Vec::new();
        for (number, event) in events.enumerate() {
            let expected = interpreter.run(event)?;
            {
                let mut link = self.device.link();
                link.advance(PAUSE_CYCLES)?;
                if self.preset.misses {
                    link.clear_iommu_cache();
                }
            }
            let begun = self.device.link().cycle();
            queue.submit(event)?;
            queue.flush();
            let mut answer = None;
            while answer.is_none() {
                queue.poll(|ended| answer = Some(ended.result));
                if answer.is_none() {
                    self.device.link().advance(1)?;
                }
            }
            let cycles = self.device.link().cycle() - begun;
            let Some(Ok(decision)) = answer else { bail!("event {number} ended with {answer:?}") };
            ensure!(
                Decision { cycles: 0, ..decision } == Decision { cycles: 0, ..expected },
                "event {number}: the RTL decides {decision:?}, the interpreter {expected:?}"
            );
            // The first event of a pair fills the IOMMU's cache.
            if number > 0 || self.preset.misses {
                trips.push((self.parts(decision.cycles.into()), cycles));
            }
        }
        let off =
            trips.iter().find(|(parts, cycles)| parts.sum().abs_diff(*cycles) > TOLERANCE_CYCLES);
        if let Some((parts, cycles)) = off {
            bail!(
                "{way}, {}: a round trip took {cycles} cycles, its parts add up to {}: {parts:?}",
                self.preset.name,
                parts.sum()
            );
        }
        trips.sort_by_key(|(_, cycles)| *cycles);
        let times = trips.iter().map(|(_, cycles)| *cycles as f64 * 1000.0 / CLOCK_MHZ).collect();
        let parts = trips.get(trips.len() / 2).copied();
        Ok(Distribution { engine: "RTL", link: self.preset.name, way, times, parts })
    }

    /// What a round trip must be made of.
    fn parts(&self, pipeline: u64) -> RoundTrip {
        // The decision's page; with a ring that of the event, too.
        let misses = match (self.preset.misses, self.way) {
            (false, _) => 0,
            (true, Way::Inline) => 1,
            (true, Way::Ring) => 2,
        };
        RoundTrip::of(self.way, self.stream_bits, &self.preset.latency, misses, pipeline)
    }
}

impl Distribution {
    /// The time below which a share of the events stayed.
    fn percentile(&self, share: f64) -> f64 {
        let place = (share * self.times.len() as f64).ceil() as usize;
        self.times.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    fn json(&self) -> Value {
        let percentiles: serde_json::Map<String, Value> = PERCENTILES
            .iter()
            .map(|(name, share)| ((*name).to_owned(), json!(self.percentile(*share))))
            .collect();
        let parts = self.parts.map(|(parts, cycles)| {
            json!({ "host": parts.host, "link": parts.link, "queue": parts.queue,
                    "pipeline": parts.pipeline, "sum": parts.sum(), "measured": cycles })
        });
        json!({ "engine": self.engine, "link": self.link, "way": self.way,
                "events": self.times.len(), "nanoseconds": percentiles, "cycles": parts })
    }
}

/// A table whose columns from `first_number` on are numbers.
fn table(header: &[&str], rows: Vec<Vec<String>>, first_number: usize) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(first_number) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn times_table(found: &[Distribution]) -> Table {
    let mut header = vec!["engine", "link", "way", "events"];
    header.extend(PERCENTILES.map(|(name, _)| name));
    let row = |one: &Distribution| {
        let names = [one.engine, one.link, one.way].map(str::to_owned);
        let count = one.times.len().to_string();
        let times = PERCENTILES.map(|(_, share)| format!("{:.0} ns", one.percentile(share)));
        names.into_iter().chain([count]).chain(times).collect()
    };
    table(&header, found.iter().map(row).collect(), 3)
}

fn parts_table(found: &[Distribution]) -> Table {
    let header = ["link", "way", "host", "link time", "queue", "pipeline", "sum", "measured"];
    let row = |one: &Distribution| {
        let (parts, cycles) = one.parts?;
        let RoundTrip { host, link, queue, pipeline } = parts;
        let numbers = [host, link, queue, pipeline, parts.sum(), cycles];
        let names = [one.link, one.way].map(str::to_owned);
        Some(names.into_iter().chain(numbers.map(|cycles| cycles.to_string())).collect())
    };
    table(&header, found.iter().filter_map(row).collect(), 2)
}
