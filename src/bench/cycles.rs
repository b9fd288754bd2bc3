//! `rmt bench cycles`: cycles of the RTL, which are exact.

use anyhow::{Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use rmt_core::CoreConfig;
use rmt_isa::card::{CardShape, lower};
use rmt_isa::program::{Ordering, Program};
use rmt_isa::{Decision, Event};
use rmt_sim::card::{Card, EvaluatedPins, Pins, TimedDecision, VerilatedPins};
use rmt_sim::verilated::Trace;
use rmt_vm::Machine;
use serde_json::json;

use super::programs;
use crate::cosim::{Simulator, verilated_model};

/// Events of a measurement of throughput.
const STREAM_EVENTS: u32 = 2000;
/// Entries of the tables that are looked up.
const ENTRIES: u64 = 500;
/// Rows of the large product, which has as many inputs and outputs.
const ROWS: u32 = 256;
/// Cycles that an event of 64 bytes with its header takes on a stream of 128 bits.
const STREAM_CYCLES: f64 = 5.0;

/// Measure look-ups, lone events, MAC use and events per second in cycles of the RTL.
///
/// The card is the preset `large`. Each decision is compared with the interpreter's.
///
/// Example: rmt bench cycles --json
#[derive(Args)]
pub struct Cycles {
    /// What simulates the RTL
    #[arg(long, value_enum, default_value_t = Simulator::Verilator)]
    simulator: Simulator,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// One figure.
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    /// At most (or at least) so much.
    target: f64,
    at_least: bool,
}

impl Figure {
    fn meets(&self) -> bool {
        if self.at_least { self.value >= self.target } else { self.value <= self.target }
    }
}

impl Cycles {
    pub fn run(self) -> Result<()> {
        let config = CoreConfig::new(CardShape::default_card());
        let figures = match self.simulator {
            Simulator::Verilator => {
                let model = verilated_model(&config, None, Trace::None)?;
                measure(Card::reset(VerilatedPins::new(&model)?, &config)?)?
            }
            Simulator::Evaluator => {
                let design = rmt_core::elaborate(&config)?;
                measure(Card::reset(EvaluatedPins::new(&design)?, &config)?)?
            }
        };
        if self.json {
            let figures: Vec<_> = figures
                .iter()
                .map(|figure| {
                    json!({
                        "name": figure.name,
                        "value": figure.value,
                        "unit": figure.unit,
                        "target": figure.target,
                        "target_is": if figure.at_least { "at least" } else { "at most" },
                        "meets": figure.meets(),
                    })
                })
                .collect();
            println!("{}", json!({ "shape": config.shape(), "figures": figures }));
        } else {
            println!("{}", table(&figures));
        }
        let missed = figures.iter().filter(|figure| !figure.meets()).count();
        ensure!(missed == 0, "{missed} figures miss their target");
        Ok(())
    }
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["what", "found", "target", "unit"]);
    for figure in figures {
        let sign = if figure.at_least { "≥" } else { "≤" };
        table.add_row([
            figure.name.to_owned(),
            format!("{:.3}", figure.value),
            format!("{sign} {}", figure.target),
            figure.unit.to_owned(),
        ]);
    }
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// An event of random arguments for one of the tables' entries.
fn event(tag: u32) -> Event {
    let random = |n: u64| rmt_isa::arithmetic::split_mix_64(u64::from(tag) * 8 + n);
    let mut event = Event::new(programs::HOOK, tag, random(0) % ENTRIES);
    (0..6).for_each(|n| event.store(16 + 8 * n, 8, random(1 + n as u64) & 0x0fff_0fff_0fff_0fff));
    event
}

fn measure<P: Pins>(mut card: Card<P>) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut add = |name, value, unit, target, at_least| {
        figures.push(Figure { name, value, unit, target, at_least });
    };
    let lone = |card: &mut Card<P>, program: &Program| -> Result<f64> {
        let times = stream(card, program, 1)?;
        Ok((times[0].decided_cycle - times[0].accepted_cycle) as f64)
    };
    let tree = lone(&mut card, &programs::tree(8)?)?;
    add("lone event, tree of depth 8", tree, "cycles", 30.0, false);
    let network = lone(&mut card, &programs::network()?)?;
    add("lone event, MLP 15-10-1, N = 16", network, "cycles", 100.0, false);

    let times = stream(&mut card, &programs::look_up(ENTRIES)?, STREAM_EVENTS)?;
    add("exact match look-ups", 1.0 / interval(&times), "per cycle", 1.0, true);
    let times = stream(&mut card, &programs::twelve_instructions(ENTRIES)?, STREAM_EVENTS)?;
    let cycles = interval(&times);
    add("events, 12 instructions, 4 stages", cycles, "cycles each", STREAM_CYCLES / 0.9, false);

    let times = stream(&mut card, &programs::square()?, ROWS)?;
    let first = times.iter().map(|time| time.accepted_cycle).min().unwrap_or(0);
    let last = times.iter().map(|time| time.decided_cycle).max().unwrap_or(0);
    let edge = u64::from(card.shape().engine.array);
    let products = u64::from(ROWS).pow(3) / (edge * edge);
    let share = products as f64 / (last - first) as f64;
    add("MAC use, 256 × 256 × 256", 100.0 * share, "%", 95.0, true);
    Ok(figures)
}

/// Cycles between two events that are taken, when one is always offered.
fn interval(times: &[TimedDecision]) -> f64 {
    let first = times.iter().map(|time| time.accepted_cycle).min().unwrap_or(0);
    let last = times.iter().map(|time| time.accepted_cycle).max().unwrap_or(0);
    (last - first) as f64 / (times.len() as f64 - 1.0)
}

/// Runs so many events, offered as fast as they are taken; all decisions with their times.
fn stream<P: Pins>(
    card: &mut Card<P>,
    program: &Program,
    count: u32,
) -> Result<Vec<TimedDecision>> {
    let image = lower(program, Ordering::Pure, card.shape())?;
    card.install(&image)?;
    let mut machine = Machine::new(program)?;
    let events: Vec<Event> = (0..count).map(event).collect();
    let expected: Vec<Decision> = events.iter().map(|event| machine.run(event)).collect();
    let (mut next, mut times) = (0, Vec::new());
    let begun = card.cycle();
    while times.len() < events.len() {
        let (accepted, decision) = card.exchange(events.get(next))?;
        next += usize::from(accepted);
        if let Some(timed) = decision {
            let found = Decision { cycles: 0, ..timed.decision };
            let wanted = expected.get(found.tag as usize);
            ensure!(wanted == Some(&found), "the RTL decides {found:?}, not {wanted:?}");
            times.push(timed);
        }
        let bound = u64::from(count) * rmt_sim::card::PATIENCE_CYCLES;
        ensure!(card.cycle() - begun < bound, "the core does not answer");
    }
    Ok(times)
}
