//! `rmt cosim`: the interpreter and the RTL side by side, compared bit by bit.

mod random;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use rmt_core::CoreConfig;
use rmt_isa::card::{CardImage, lower};
use rmt_isa::{Event, Program};
use rmt_sim::card::{Card, EvaluatedPins, Pins, VerilatedPins};
use rmt_sim::cosim::{
    CosimOptions, CosimReport, MismatchPlace, RandomOptions, cosimulate, localise,
};
use rmt_sim::verilated::{Source, Toolchain, Trace, VerilatedModel, default_cache_dir};
use rmt_vm::Machine;
use rmt_vm::events::EventReader;

use self::random::RandomRun;
use crate::r#gen::ConfigArguments;
use crate::program;

/// Run a program on the interpreter and on the simulated RTL, and compare every decision,
/// context record and table.
///
/// With --random the programs are random ones that the verifier accepts, with random tables,
/// models and events, and with commits, pauses and back-pressure at random; what they made
/// the machine do is printed, and an empty bin of this coverage is a failure.
///
/// Example: rmt cosim firmware/page_prefetch.rmt --events firmware/traces/conv.csv.zst
#[derive(Args)]
pub struct Cosim {
    /// A .rmt source or an image
    #[arg(required_unless_present = "random")]
    program: Option<PathBuf>,
    /// The events: a CSV file, plain or .zst
    #[arg(long, required_unless_present = "random")]
    events: Option<PathBuf>,
    /// Run random programs instead, until so many events were compared
    #[arg(long, value_name = "EVENTS", conflicts_with_all = ["program", "events", "wave", "verilog", "limit"])]
    random: Option<u64>,
    /// Seed of the first random program; each further one has the next seed
    #[arg(long, default_value_t = 1, requires = "random")]
    seed: u64,
    /// With --random: no failure when the events do not cover everything
    #[arg(long, requires = "random")]
    allow_empty_bins: bool,
    #[command(flatten)]
    config: ConfigArguments,
    /// Most events to run
    #[arg(long)]
    limit: Option<usize>,
    /// Events inside the core at a time; 1 measures lone events
    #[arg(long, default_value_t = 1)]
    in_flight: usize,
    /// What simulates the RTL
    #[arg(long, value_enum, default_value_t = Simulator::Verilator)]
    simulator: Simulator,
    /// Simulate the Verilog in this folder (as `rmt gen` wrote it, perhaps edited) instead
    #[arg(long)]
    verilog: Option<PathBuf>,
    /// Write a waveform of all signals to this file, in FST format
    #[arg(long)]
    wave: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Simulator {
    /// Verilator: fast, needs the tools that `./x setup` installs
    Verilator,
    /// The evaluator of rtl-builder: slower, needs nothing
    Evaluator,
}

impl Cosim {
    pub fn run(self) -> Result<()> {
        if self.simulator == Simulator::Evaluator && (self.wave.is_some() || self.verilog.is_some())
        {
            bail!("--wave and --verilog need Verilator; leave out --simulator evaluator");
        }
        let config = self.config.load()?;
        if let Some(events) = self.random {
            let run = RandomRun {
                config,
                options: RandomOptions { events, seed: self.seed },
                simulator: self.simulator,
                allow_empty_bins: self.allow_empty_bins,
                json: self.json,
            };
            return run.run();
        }
        let (Some(source), Some(events)) = (&self.program, &self.events) else {
            bail!("give a program and --events, or --random");
        };
        let (program, report) = program::load_verified(source, &Default::default())?;
        let image = lower(&program, report.ordering.class, config.shape())?;
        let events: Vec<Event> = EventReader::open(events, &program.hook)?
            .take(self.limit.unwrap_or(usize::MAX))
            .collect::<Result<_, _>>()?;
        let setting = Setting { config, program, image, in_flight: self.in_flight };
        let result = match self.simulator {
            Simulator::Verilator => {
                let trace = if self.wave.is_some() { Trace::Fst } else { Trace::None };
                let model = setting.verilated_model(self.verilog.as_deref(), trace)?;
                let mut wave = self.wave.as_deref();
                setting.cosimulate(&events, || {
                    let mut pins = VerilatedPins::new(&model)?;
                    if let Some(path) = wave.take() {
                        pins.open_waveform(path)?;
                    }
                    Ok(pins)
                })?
            }
            Simulator::Evaluator => {
                let design = rmt_core::elaborate(&setting.config)?;
                setting.cosimulate(&events, || Ok(EvaluatedPins::new(&design)?))?
            }
        };
        if self.json {
            println!("{}", result.to_json());
        } else {
            print_report(&result);
        }
        match result.mismatches.first() {
            Some(first) => bail!("the RTL differs from the interpreter: {first}"),
            None => Ok(()),
        }
    }
}

/// The Verilated core of a configuration, or of the Verilog in a folder, from the cache when
/// it was built before.
pub fn verilated_model(
    config: &CoreConfig,
    folder: Option<&Path>,
    trace: Trace,
) -> Result<VerilatedModel> {
    let toolchain = Toolchain::locate()?;
    let design = rmt_core::elaborate(config)?;
    let sources = match folder {
        Some(folder) => read_sources(folder)?,
        None => design.files(),
    };
    let spinner = ProgressBar::new_spinner().with_message("building the model (cached next time)");
    spinner.enable_steady_tick(std::time::Duration::from_millis(100));
    let model = VerilatedPins::model(&design, sources, trace, &toolchain, &default_cache_dir())?;
    spinner.finish_and_clear();
    Ok(model)
}

/// What is simulated.
pub struct Setting {
    pub config: CoreConfig,
    pub program: Program,
    pub image: CardImage,
    pub in_flight: usize,
}

impl Setting {
    /// The Verilated core, from the cache when it was built before.
    pub fn verilated_model(&self, folder: Option<&Path>, trace: Trace) -> Result<VerilatedModel> {
        verilated_model(&self.config, folder, trace)
    }

    /// Runs the events; where a checkpoint differs, runs them again one by one to name the
    /// first event that went wrong.
    pub fn cosimulate<P: Pins>(
        &self,
        events: &[Event],
        mut pins: impl FnMut() -> Result<P>,
    ) -> Result<CosimReport> {
        let mut card = self.installed(pins()?)?;
        let mut machine = Machine::new(&self.program)?;
        let options = CosimOptions { in_flight: self.in_flight, ..CosimOptions::default() };
        let bar = ProgressBar::new(events.len() as u64)
            .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} events, {eta} left")?);
        let mut report = cosimulate(
            &mut card,
            &self.image,
            &mut machine,
            events.iter().copied().map(Ok),
            options,
            |done| {
                bar.set_position(done);
            },
        )?;
        bar.finish_and_clear();
        let first = report.mismatches.first().filter(|first| first.place == MismatchPlace::State);
        if let Some(first) = first {
            let from = first.event / options.checkpoint_events * options.checkpoint_events;
            let upto = &events[..=first.event as usize];
            let mut card = self.installed(pins()?)?;
            let mut machine = Machine::new(&self.program)?;
            match localise(&mut card, &self.image, &mut machine, upto, from)? {
                Some(exact) => report.mismatches.insert(0, exact),
                None => eprintln!(
                    "one by one the same events agree: the fault needs events that overlap"
                ),
            }
        }
        Ok(report)
    }

    fn installed<P: Pins>(&self, pins: P) -> Result<Card<P>> {
        let mut card = Card::reset(pins, &self.config)?;
        card.install(&self.image)?;
        Ok(card)
    }
}

/// All Verilog files of a folder, in the order of their names.
fn read_sources(folder: &Path) -> Result<Vec<Source>> {
    let read = || -> std::io::Result<Vec<Source>> {
        let mut sources = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            if let (Some(name), Some("sv" | "v")) =
                (name, path.extension().and_then(|e| e.to_str()))
            {
                sources.push((name, fs::read_to_string(&path)?));
            }
        }
        sources.sort();
        Ok(sources)
    };
    let sources =
        read().with_context(|| format!("cannot read the Verilog in {}", folder.display()))?;
    if sources.is_empty() {
        bail!("there is no .sv or .v file in {}; write them with `rmt gen -o`", folder.display());
    }
    Ok(sources)
}

fn print_report(report: &CosimReport) {
    println!(
        "{} events, {} mismatches, state compared {} times",
        report.events,
        report.mismatches.len(),
        report.checkpoints
    );
    println!(
        "cycles per event: {} least, {} median, {} 99th percentile, {} most",
        report.cycles_at(0),
        report.cycles_at(500),
        report.cycles_at(990),
        report.cycles_at(1000)
    );
    println!(
        "threads with an event: {:.2} on average while there is one; instructions each cycle then: {:.2}",
        report.ratio("ACTIVE_THREADS", "BUSY_CYCLES"),
        report.ratio("INSTRUCTIONS", "BUSY_CYCLES")
    );
    println!(
        "multipliers in use: {:.1} % of the cycles in which a product is under way",
        100.0 * report.ratio("ARRAY_WAVES", "ARRAY_CYCLES")
    );
    let stalls: Vec<String> = (report.counters.iter())
        .filter(|(name, value)| name.ends_with("STALLS") && *value > 0)
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let stalls = if stalls.is_empty() { "none".to_owned() } else { stalls.join(", ") };
    println!("stalls, in cycles: {stalls}");
    println!("{:.0} simulated cycles per second", report.cycles_per_second());
}
