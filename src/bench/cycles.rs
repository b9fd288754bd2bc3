//! `rmt bench cycles`: cycles of the RTL, which are exact.

use anyhow::{Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use rmt_core::CoreConfig;
use rmt_isa::card::{CardShape, lower};
use rmt_isa::event::event_layout;
use rmt_isa::program::{Ordering, Program};
use rmt_isa::{Decision, Event};
use rmt_sim::card::{Card, EvaluatedPins, Pins, TimedDecision, VerilatedPins};
use rmt_sim::verilated::Trace;
use rmt_vm::Machine;
use serde_json::{Value, json};

use super::programs;
use crate::cosim::{Simulator, verilated_model};

/// Events of a measurement of throughput.
const STREAM_EVENTS: u32 = 2000;
/// Cycles that an event of 64 bytes with its header takes on a stream of 128 bits.
const STREAM_CYCLES: f64 = 5.0;

/// Measure look-ups, lone events, MAC use and events per second in cycles of the RTL.
///
/// Without --preset all three presets are measured. The targets of the design are those of the
/// preset `large`. Each decision is compared with the interpreter's.
///
/// Example: rmt bench cycles --json
#[derive(Args)]
pub struct Cycles {
    /// Only this preset: tiny, small or large
    #[arg(long)]
    preset: Option<String>,
    /// What simulates the RTL
    #[arg(long, value_enum, default_value_t = Simulator::Verilator)]
    simulator: Simulator,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What a figure should be.
#[derive(Clone, Copy)]
enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// One figure.
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// The design's target, on the card for which it has one.
    target: Option<Target>,
}

impl Figure {
    fn meets(&self) -> bool {
        match self.target {
            Some(Target::AtMost(most)) => self.value <= most,
            Some(Target::AtLeast(least)) => self.value >= least,
            None => true,
        }
    }

    fn to_json(&self) -> Value {
        let (kind, target) = match self.target {
            Some(Target::AtMost(most)) => ("at most", Some(most)),
            Some(Target::AtLeast(least)) => ("at least", Some(least)),
            None => ("none", None),
        };
        json!({
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": target,
            "target_is": kind,
            "meets": self.meets(),
        })
    }
}

impl Cycles {
    pub fn run(self) -> Result<()> {
        let presets: Vec<&str> = match &self.preset {
            Some(name) => vec![name],
            None => CoreConfig::PRESETS.to_vec(),
        };
        let mut all = Vec::new();
        let mut missed = 0;
        for name in presets {
            let figures = self.measured(name)?;
            missed += figures.iter().filter(|figure| !figure.meets()).count();
            if !self.json {
                println!("{name}\n{}", table(&figures));
            }
            let figures: Vec<_> = figures.iter().map(Figure::to_json).collect();
            all.push(json!({ "preset": name, "figures": figures }));
        }
        if self.json {
            println!("{}", json!({ "cards": all }));
        }
        ensure!(missed == 0, "{missed} figures miss their target");
        Ok(())
    }

    fn measured(&self, preset: &str) -> Result<Vec<Figure>> {
        let config = CoreConfig::preset(preset)?;
        let mut figures = match self.simulator {
            Simulator::Verilator => {
                let model = verilated_model(&config, None, Trace::None)?;
                measure(Card::reset(VerilatedPins::new(&model)?, &config)?)?
            }
            Simulator::Evaluator => {
                let design = rmt_core::elaborate(&config)?;
                measure(Card::reset(EvaluatedPins::new(&design)?, &config)?)?
            }
        };
        // How many packets a decision takes does not depend on the size of the core.
        if preset == "tiny" {
            figures.push(Figure {
                name: "PCIe transactions of an inline decision".into(),
                value: super::transactions::of_inline_decision(&config)?,
                unit: "packets",
                target: Some(Target::AtMost(2.0)),
            });
        }
        Ok(figures)
    }
}

fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["what", "found", "target", "unit"]);
    for figure in figures {
        let target = match figure.target {
            Some(Target::AtMost(most)) => format!("≤ {most:.3}"),
            Some(Target::AtLeast(least)) => format!("≥ {least:.3}"),
            None => String::new(),
        };
        let verdict = if figure.meets() { "" } else { " (missed)" };
        table.add_row([
            figure.name.clone(),
            format!("{:.3}{verdict}", figure.value),
            target,
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
    let mut event = programs::event(tag);
    // The smallest card has as many entries; those beyond are found on the others alone.
    event.store(event_layout::KEY.offset, event_layout::KEY.bytes, event.key() % 100);
    event
}

fn measure<P: Pins>(mut card: Card<P>) -> Result<Vec<Figure>> {
    let shape = card.shape().clone();
    let edge = u64::from(shape.engine.array);
    let design_card = shape == CardShape::default_card();
    let mut figures = Vec::new();
    let mut add = |name: &str, value, unit, target| {
        let target = design_card.then_some(target);
        figures.push(Figure { name: name.into(), value, unit, target });
    };
    let lone = |card: &mut Card<P>, program: &Program| -> Result<f64> {
        let times = stream(card, program, 1)?;
        Ok((times[0].decided_cycle - times[0].accepted_cycle) as f64)
    };
    let tree = lone(&mut card, &programs::tree(8)?)?;
    add("lone event, tree of depth 8", tree, "cycles", Target::AtMost(30.0));
    let network = lone(&mut card, &programs::network()?)?;
    let name = format!("lone event, MLP 15-10-1, N = {edge}");
    add(&name, network, "cycles", Target::AtMost(100.0));
    // A layer of one tile: what a product adds before an instruction that waits for it.
    let layer = lone(&mut card, &programs::layer(edge as u32, true)?)?
        - lone(&mut card, &programs::layer(edge as u32, false)?)?;
    // The array alone: a row each cycle, three cycles in a cell, one across.
    let bound = (edge - 1 + 3 + 1) as f64;
    add("a layer by the array's own bound", layer / bound, "times", Target::AtMost(1.25));

    let entries = programs::entries_of(&shape);
    let times = stream(&mut card, &programs::look_up(entries)?, STREAM_EVENTS)?;
    add("exact match look-ups", 1.0 / interval(&times), "per cycle", Target::AtLeast(1.0));
    let times = stream(&mut card, &programs::twelve_instructions(entries)?, STREAM_EVENTS)?;
    let name = format!("events of 12 instructions, {} stages", shape.stages);
    let target = Target::AtMost(STREAM_CYCLES / 0.9);
    add(&name, interval(&times), "cycles each", target);

    if let Some(side) = programs::square_side(&shape) {
        let times = stream(&mut card, &programs::square(side)?, side)?;
        let first = times.iter().map(|time| time.accepted_cycle).min().unwrap_or(0);
        let last = times.iter().map(|time| time.decided_cycle).max().unwrap_or(0);
        let products = u64::from(side).pow(3) / (edge * edge);
        let share = 100.0 * products as f64 / (last - first) as f64;
        let name = format!("MAC use, {side} × {side} × {side}");
        add(&name, share, "%", Target::AtLeast(95.0));
    }
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
