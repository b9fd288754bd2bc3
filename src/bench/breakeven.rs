//! `rmt bench breakeven`: what an event costs on each engine, by model and by batch, and from
//! which batch on the card is cheaper.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use rmt_daemon::engines::CardEngine;
use rmt_driver::QueueConfig;
use rmt_isa::program::Ordering;
use rmt_isa::{Decision, Event, Program};
use rmt_vm::Engine;
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::jit::Jit;
use rmt_vm::state::Contents;
use serde::Serialize;

use super::programs;
use crate::card::{LatencyPreset, SimulatedDevice};
use crate::demo::plot::LogLines;
use crate::r#gen::ConfigArguments;
use crate::program;

/// Batches; the largest one fits the queue.
const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// Time for each figure of software, of which the least of several counts.
const TIME: Duration = Duration::from_millis(20);
const REPEATS: u32 = 5;
/// The queue's budget in the card's time: never the reason for an answer here.
const BUDGET_MICROSECONDS: u32 = 1_000_000;

/// Measure the cost of an event on interpreter, JIT and card against batch and model size.
///
/// The card is the simulated RTL behind a link with the latencies of a server: its times are
/// cycles, which are exact, at 250 MHz. Software is timed on this machine. The first batch at which
/// the card is cheaper than the JIT is marked.
///
/// Example: rmt bench breakeven --preset small --svg breakeven.svg
#[derive(Args)]
pub struct Breakeven {
    #[command(flatten)]
    config: ConfigArguments,
    /// How long transactions take on the link
    #[arg(long, value_enum, default_value_t = LatencyPreset::Measured)]
    latency: LatencyPreset,
    /// Draw the result into this file
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What one program costs.
#[derive(Serialize)]
struct Row {
    model: String,
    macs: u64,
    interpreter_ns: f64,
    jit_ns: f64,
    /// By batch; empty when the card cannot hold the program.
    card_ns: Vec<f64>,
    /// Why the card cannot.
    obstacle: Option<String>,
    /// Smallest batch at which the card is cheaper than the JIT.
    pays_from: Option<usize>,
}

impl Breakeven {
    pub fn run(self) -> Result<()> {
        let config = self.config.load()?;
        let device = SimulatedDevice::new(&config, self.latency.latency())?;
        let queue =
            QueueConfig { budget_microseconds: BUDGET_MICROSECONDS, ..QueueConfig::default() };
        let mut card = CardEngine::open(Arc::new(device), queue)?;
        let mut rows = Vec::new();
        for (model, macs, program) in models()? {
            rows.push(measure(&mut card, model, macs, &program)?);
        }
        if let Some(path) = &self.svg {
            program::write_whole(path, plot(&rows)?.as_bytes())?;
        }
        if self.json {
            println!("{}", serde_json::json!({ "batches": BATCHES, "rows": rows }));
        } else {
            println!("{}", table(&rows));
            println!("nanoseconds of an event; * the card is cheaper than the JIT");
        }
        Ok(())
    }
}

fn models() -> Result<Vec<(String, u64, Program)>> {
    let mut models = vec![
        ("nothing".to_owned(), 0, programs::look_up(0)?),
        ("tree, depth 8".to_owned(), 0, programs::tree(8)?),
        ("MLP 15-10-1".to_owned(), 160, programs::network()?),
        ("32 trees, depth 5".to_owned(), 0, programs::forest(32, 5)?),
        ("CNN 3x3, 4 channels".to_owned(), 696, programs::convolution()?),
    ];
    for edge in [32, 64, 128] {
        let macs = u64::from(edge * edge + edge);
        models.push((format!("MLP {edge}-{edge}-1"), macs, programs::wide_network(edge)?));
    }
    Ok(models)
}

fn measure(card: &mut CardEngine, model: String, macs: u64, program: &Program) -> Result<Row> {
    let events: Vec<Event> = (0..64).map(programs::event).collect();
    let (interpreter_ns, expected) = software(InterpreterEngine::default(), program, &events)?;
    let (jit_ns, by_jit) = software(Jit::default(), program, &events)?;
    ensure!(expected == by_jit, "{model}: interpreter and JIT differ");
    let (mut card_ns, mut obstacle) = (Vec::new(), None);
    match card.install(program, Ordering::Pure, &Contents::default()) {
        Err(error) => obstacle = Some(error.to_string()),
        Ok(()) => {
            for batch in BATCHES {
                card_ns.push(
                    on_card(card, &events[..batch], &expected).with_context(|| model.clone())?,
                );
            }
            card.remove();
        }
    }
    let cheaper = card_ns.iter().position(|&card| card < jit_ns);
    let pays_from = cheaper.map(|place| BATCHES[place]);
    Ok(Row { model, macs, interpreter_ns, jit_ns, card_ns, obstacle, pays_from })
}

/// Nanoseconds of an event, and the decisions.
fn software<E: Engine<Error: Send + Sync + 'static>>(
    mut engine: E,
    program: &Program,
    events: &[Event],
) -> Result<(f64, Vec<Decision>)> {
    engine.load(program)?;
    let decisions = events.iter().map(|event| engine.run(event)).collect::<Result<Vec<_>, _>>()?;
    let mut least = f64::INFINITY;
    for _ in 0..REPEATS {
        let (begun, mut count) = (Instant::now(), 0_u32);
        while begun.elapsed() < TIME / REPEATS {
            for event in events {
                std::hint::black_box(engine.run(std::hint::black_box(event))?);
            }
            count += events.len() as u32;
        }
        least = least.min(begun.elapsed().as_nanos() as f64 / f64::from(count));
    }
    Ok((least, decisions))
}

/// Nanoseconds of an event of a batch, by the card's clock.
fn on_card(card: &mut CardEngine, events: &[Event], expected: &[Decision]) -> Result<f64> {
    let device = card.device().clone();
    let begun = device.now();
    let mut wrong = None;
    card.decide(events, |place, result| match result {
        Ok(decision) if decision.outputs == expected[place].outputs => {}
        other => wrong = Some((place, other)),
    });
    let time = device.now() - begun;
    ensure!(wrong.is_none(), "the card's answer is not the interpreter's: {wrong:?}");
    Ok(time.as_nanos() as f64 / events.len() as f64)
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    let cards = BATCHES.iter().map(|batch| format!("card, {batch}"));
    let header =
        ["model", "MACs", "interpreter", "JIT"].map(str::to_owned).into_iter().chain(cards);
    table.set_header(header.chain(["pays from".to_owned()]));
    for row in rows {
        let mut cells = vec![
            row.model.clone(),
            row.macs.to_string(),
            format!("{:.0}", row.interpreter_ns),
            format!("{:.1}", row.jit_ns),
        ];
        cells.extend(row.card_ns.iter().map(|&card| {
            let mark = if card < row.jit_ns { "*" } else { "" };
            format!("{card:.0}{mark}")
        }));
        cells.resize(4 + BATCHES.len(), "-".to_owned());
        cells.push(match (&row.obstacle, row.pays_from) {
            (Some(obstacle), _) => obstacle.clone(),
            (None, Some(batch)) => format!("{batch}"),
            (None, None) => "never".to_owned(),
        });
        table.add_row(cells);
    }
    for column in 1..4 + BATCHES.len() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Card and JIT of the models with products, the crossings marked.
fn plot(rows: &[Row]) -> Result<String> {
    let (mut series, mut marks) = (Vec::new(), Vec::new());
    // Six colours are told apart: three models with two lines each.
    let drawn = rows.iter().filter(|row| row.macs >= 160 && !row.card_ns.is_empty());
    let mut drawn: Vec<&Row> = drawn.collect();
    drawn.sort_by_key(|row| row.macs);
    let drawn = match drawn.as_slice() {
        [first, .., before, last] if drawn.len() > 3 => vec![*first, *before, *last],
        all => all.to_vec(),
    };
    for row in drawn {
        let batches = || BATCHES.iter().map(|&batch| batch as f64);
        let card = batches().zip(row.card_ns.iter().copied()).collect();
        series.push((format!("{}, card", row.model), card));
        series.push((format!("{}, JIT", row.model), batches().map(|b| (b, row.jit_ns)).collect()));
        marks.extend(row.pays_from.map(|batch| (batch as f64, row.jit_ns)));
    }
    LogLines {
        title: "Cost of an event",
        axes: ["events of a batch", "ns of an event"],
        series,
        marks,
    }
    .to_svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(card_ns: Vec<f64>) -> Row {
        let pays_from = card_ns.iter().position(|&ns| ns < 500.0).map(|place| BATCHES[place]);
        let (model, obstacle) = ("MLP".to_owned(), None);
        Row { model, macs: 1000, interpreter_ns: 9e3, jit_ns: 500.0, card_ns, obstacle, pays_from }
    }

    #[test]
    fn the_crossing_is_marked_in_table_and_plot() {
        let rows = [row(vec![1500.0, 800.0, 420.0, 210.0, 100.0, 60.0, 50.0])];
        let text = table(&rows).to_string();
        assert!(text.contains("800 ") && text.contains("420*"), "{text}");
        let svg = plot(&rows).unwrap();
        assert!(svg.contains("<circle") && svg.contains("MLP, card"));
    }
}
