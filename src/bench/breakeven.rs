//! `rmt bench breakeven`: what an event costs on each engine, by model and by batch, and from
//! which batch on the card is cheaper.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use rmt_driver::Transport;
use rmt_isa::{Decision, Event, Program};
use rmt_vm::Engine;
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::jit::Jit;
use serde::Serialize;

use super::card::CardBench;
use super::programs;
use crate::card::LatencyPreset;
use crate::demo::plot::{LogLines, stacked};
use crate::r#gen::ConfigArguments;
use crate::program;

/// Batches; the largest one fits the queue.
const BATCHES: [usize; 7] = [1, 2, 4, 8, 16, 32, MOST];
const MOST: usize = 64;
/// Those of the lines over the size of the networks.
const SIZE_BATCHES: [usize; 3] = [1, 8, MOST];
/// Time for each figure of software. The shortest pass over all events counts: on a machine that
/// others use as well, everything else only adds to it.
const TIME: Duration = Duration::from_millis(200);
const LEAST_PASSES: u32 = 10;

/// Measure the cost of an event on interpreter, JIT and card against batch and model size.
///
/// The card is the simulated RTL behind a link with the latencies of a server: its times are
/// cycles, which are exact, at 250 MHz. Software is timed on this machine. The first batch at which
/// the card is cheaper than the JIT is marked, and the size of network from which it is. Each
/// decision of the card is compared with the interpreter's.
///
/// Example: rmt bench breakeven --preset small --svg breakeven.svg
#[derive(Args)]
pub struct Breakeven {
    #[command(flatten)]
    config: ConfigArguments,
    /// How long transactions take on the link
    #[arg(long, value_enum, default_value_t = LatencyPreset::Measured)]
    latency: LatencyPreset,
    /// Seconds after which no further program is begun on the card
    #[arg(long, default_value_t = 600)]
    limit: u64,
    /// Draw the result into this file
    #[arg(long)]
    svg: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// A program that is measured.
struct Model {
    name: String,
    macs: u64,
    /// Whether it is one of the networks that differ in size only.
    is_network: bool,
    program: Program,
}

/// What one program costs.
#[derive(Serialize)]
struct Row {
    model: String,
    macs: u64,
    is_network: bool,
    interpreter_ns: f64,
    jit_ns: f64,
    /// By batch; empty when the card has not run the program.
    card_ns: Vec<f64>,
    /// Why it has not.
    obstacle: Option<String>,
    /// Smallest batch at which the card is cheaper than the JIT.
    pays_from: Option<usize>,
}

/// The size of network from which the card is cheaper than the JIT.
#[derive(Debug, PartialEq, Serialize)]
struct Crossing {
    batch: usize,
    macs: f64,
    nanoseconds: f64,
}

impl Breakeven {
    pub fn run(self) -> Result<()> {
        let (begun, limit) = (Instant::now(), Duration::from_secs(self.limit));
        let config = self.config.load()?;
        eprintln!("building the card (cached next time)");
        let mut bench = CardBench::new(&config, self.latency.latency(), Transport::Ring)?;
        let models = models()?;
        let mut rows = Vec::new();
        for (number, model) in models.iter().enumerate() {
            eprintln!(
                "{} of {}, after {:.0} s: {}",
                number + 1,
                models.len(),
                begun.elapsed().as_secs_f64(),
                model.name
            );
            let card = (begun.elapsed() < limit).then_some(&mut bench);
            rows.push(measure(model, card).with_context(|| model.name.clone())?);
        }
        let crossings: Vec<_> =
            SIZE_BATCHES.iter().filter_map(|&batch| crossing(&rows, batch)).collect();
        if let Some(path) = &self.svg {
            let charts = [plot_batches(&rows)?, plot_sizes(&rows, &crossings)?];
            program::write_whole(path, stacked(&charts).as_bytes())?;
        }
        if self.json {
            let result =
                serde_json::json!({ "batches": BATCHES, "rows": rows, "crossings": crossings });
            println!("{result}");
            return Ok(());
        }
        println!("{}", table(&rows));
        println!("nanoseconds of an event; * the card is cheaper than the JIT");
        for row in &rows {
            if let Some(obstacle) = &row.obstacle {
                println!("{}: {obstacle}", row.model);
            }
        }
        for batch in SIZE_BATCHES {
            println!("networks in batches of {batch}: the card {}", verdict(&rows, batch));
        }
        Ok(())
    }
}

/// From which size of network on the card pays, in words.
fn verdict(rows: &[Row], batch: usize) -> String {
    if let Some(Crossing { macs, nanoseconds, .. }) = crossing(rows, batch) {
        return format!("pays from {macs:.0} multiply-accumulates on ({nanoseconds:.0} ns)");
    }
    let pays = |row: &Row| of_batch(row, batch).is_some_and(|card| card < row.jit_ns);
    match networks(rows).first() {
        Some(row) if pays(row) => format!("pays from the smallest on, {}", row.model),
        _ => "does not pay at any of the sizes".to_owned(),
    }
}

fn models() -> Result<Vec<Model>> {
    let other = |name: &str, macs, program| {
        Ok::<_, anyhow::Error>(Model { name: name.into(), macs, is_network: false, program })
    };
    let mut models = vec![
        other("nothing", 0, programs::look_up(0)?)?,
        other("tree, depth 8", 0, programs::tree(8)?)?,
        other("32 trees, depth 5", 0, programs::forest(32, 5)?)?,
        other("CNN 3x3, 3 channels", programs::CONVOLUTION_MACS, programs::convolution()?)?,
    ];
    let network = |name: String, macs, program| Model { name, macs, is_network: true, program };
    models.push(network("MLP 15-10-1".into(), 160, programs::network()?));
    for edge in [32, 64, 128] {
        let macs = u64::from(edge * edge + edge);
        models.push(network(format!("MLP {edge}-{edge}-1"), macs, programs::wide_network(edge)?));
    }
    Ok(models)
}

/// Nanoseconds of an event on the card, by batch.
fn by_batch(
    card: &mut CardBench,
    slot: u32,
    events: &[Event],
    expected: &[Decision],
) -> Result<Vec<f64>> {
    let times = BATCHES.iter().map(|&batch| {
        let (time, _) = card.decide(slot, &events[..batch], expected)?;
        Ok(time.as_nanos() as f64 / batch as f64)
    });
    times.collect()
}

/// Measures a program; without card, when there is no time left for it.
fn measure(model: &Model, card: Option<&mut CardBench>) -> Result<Row> {
    let program = &model.program;
    let events: Vec<Event> = (0..MOST as u32).map(programs::event).collect();
    let (interpreter_ns, expected) = software(InterpreterEngine::default(), program, &events)?;
    let (jit_ns, by_jit) = software(Jit::default(), program, &events)?;
    ensure!(expected == by_jit, "interpreter and JIT differ");
    let (mut card_ns, mut obstacle) = (Vec::new(), None);
    match card {
        None => obstacle = Some("not measured: no time left, give more with --limit".to_owned()),
        Some(card) => match card.install(program) {
            Err(error) => obstacle = Some(error.to_string()),
            Ok(slot) => {
                // The first event of a pair finds nothing in the IOMMU's cache.
                card.decide(slot, &events[..1], &expected)?;
                card_ns = by_batch(card, slot, &events, &expected)?;
                card.remove(slot);
            }
        },
    }
    let cheaper = card_ns.iter().position(|&card| card < jit_ns);
    Ok(Row {
        model: model.name.clone(),
        macs: model.macs,
        is_network: model.is_network,
        interpreter_ns,
        jit_ns,
        card_ns,
        obstacle,
        pays_from: cheaper.map(|place| BATCHES[place]),
    })
}

/// The networks that were measured on the card, by size.
fn networks(rows: &[Row]) -> Vec<&Row> {
    let mut networks: Vec<_> =
        rows.iter().filter(|row| row.is_network && !row.card_ns.is_empty()).collect();
    networks.sort_by_key(|row| row.macs);
    networks
}

fn of_batch(row: &Row, batch: usize) -> Option<f64> {
    let place = BATCHES.iter().position(|&known| known == batch)?;
    row.card_ns.get(place).copied()
}

/// Where the card's line over the size of the networks falls below the JIT's, between two sizes on
/// straight lines of the logarithmic plot.
fn crossing(rows: &[Row], batch: usize) -> Option<Crossing> {
    let networks = networks(rows);
    networks.windows(2).find_map(|pair| {
        let [less, more] = pair else { return None };
        let ahead = |row: &Row| Some((of_batch(row, batch)? / row.jit_ns).ln());
        let (before, behind) = (ahead(less)?, ahead(more)?);
        if before <= 0.0 || behind > 0.0 {
            return None;
        }
        let share = before / (before - behind);
        let between = |from: f64, to: f64| from * (to / from).powf(share);
        Some(Crossing {
            batch,
            macs: between(less.macs as f64, more.macs as f64),
            nanoseconds: between(less.jit_ns, more.jit_ns),
        })
    })
}

/// Nanoseconds of an event, and the decisions.
fn software<E: Engine<Error: Send + Sync + 'static>>(
    mut engine: E,
    program: &Program,
    events: &[Event],
) -> Result<(f64, Vec<Decision>)> {
    engine.load(program)?;
    let decisions = events.iter().map(|event| engine.run(event)).collect::<Result<Vec<_>, _>>()?;
    let (mut least, begun, mut passes) = (Duration::MAX, Instant::now(), 0);
    while begun.elapsed() < TIME || passes < LEAST_PASSES {
        let pass = Instant::now();
        for event in events {
            std::hint::black_box(engine.run(std::hint::black_box(event))?);
        }
        least = least.min(pass.elapsed());
        passes += 1;
    }
    let least = least.as_nanos() as f64 / events.len() as f64;
    Ok((least, decisions))
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
            (Some(_), _) => "see below".to_owned(),
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

/// Card and JIT over the batch, of the smallest and the two largest networks, the crossings marked:
/// six colours are told apart.
fn plot_batches(rows: &[Row]) -> Result<String> {
    let (mut series, mut marks) = (Vec::new(), Vec::new());
    let mut drawn = networks(rows);
    if drawn.len() > 3 {
        drawn.drain(1..drawn.len() - 2);
    }
    for row in drawn {
        let batches = || BATCHES.iter().map(|&batch| batch as f64);
        let card = batches().zip(row.card_ns.iter().copied()).collect();
        series.push((format!("{}, card", row.model), card));
        series.push((format!("{}, JIT", row.model), batches().map(|b| (b, row.jit_ns)).collect()));
        marks.extend(row.pays_from.map(|batch| (batch as f64, row.jit_ns)));
    }
    LogLines {
        title: "Cost of an event by batch",
        axes: ["events of a batch", "ns of an event"],
        series,
        marks,
    }
    .to_svg()
}

/// Each engine over the size of the networks, the crossings marked.
fn plot_sizes(rows: &[Row], crossings: &[Crossing]) -> Result<String> {
    let networks = networks(rows);
    let line = |value: &dyn Fn(&Row) -> Option<f64>| {
        networks.iter().filter_map(|row| Some((row.macs as f64, value(row)?))).collect()
    };
    let mut series = vec![
        ("interpreter".to_owned(), line(&|row| Some(row.interpreter_ns))),
        ("JIT".to_owned(), line(&|row| Some(row.jit_ns))),
    ];
    for batch in SIZE_BATCHES {
        series.push((format!("card, batch {batch}"), line(&|row| of_batch(row, batch))));
    }
    LogLines {
        title: "Cost of an event by size of the network",
        axes: ["multiply-accumulates of an event", "ns of an event"],
        series,
        marks: crossings.iter().map(|found| (found.macs, found.nanoseconds)).collect(),
    }
    .to_svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(macs: u64, jit_ns: f64, card_ns: Vec<f64>) -> Row {
        let pays_from = card_ns.iter().position(|&ns| ns < jit_ns).map(|place| BATCHES[place]);
        let (model, obstacle, interpreter_ns) = ("MLP".to_owned(), None, 9e3);
        Row { model, macs, is_network: true, interpreter_ns, jit_ns, card_ns, obstacle, pays_from }
    }

    #[test]
    fn the_crossing_by_batch_is_marked_in_table_and_plot() {
        let rows = [row(1000, 500.0, vec![1500.0, 800.0, 420.0, 210.0, 100.0, 60.0, 50.0])];
        let text = table(&rows).to_string();
        assert!(text.contains("800 ") && text.contains("420*"), "{text}");
        let svg = plot_batches(&rows).unwrap();
        assert!(svg.contains("<circle") && svg.contains("MLP, card"));
    }

    #[test]
    fn the_crossing_by_size_is_found_between_two_sizes() {
        let flat = |ns: f64| vec![ns; BATCHES.len()];
        // The JIT's cost grows with the size, the card's does not: they meet at the size between.
        let rows = [row(10_000, 1000.0, flat(100.0)), row(100, 10.0, flat(100.0))];
        let found = crossing(&rows, 8).unwrap();
        assert!((found.macs - 1000.0).abs() < 1e-6 && (found.nanoseconds - 100.0).abs() < 1e-6);
        assert_eq!(crossing(&rows, 3), None);
        assert_eq!(crossing(&rows[..1], 8), None);
        assert_eq!(verdict(&rows, 8), "pays from 1000 multiply-accumulates on (100 ns)");
        assert_eq!(verdict(&rows[..1], 8), "pays from the smallest on, MLP");
        assert_eq!(verdict(&rows[1..], 8), "does not pay at any of the sizes");
        let charts = [plot_sizes(&rows, &[found]).unwrap(), plot_batches(&rows).unwrap()];
        let svg = stacked(&charts);
        assert!(svg.contains("<circle") && svg.contains("card, batch 64"));
        assert_eq!((svg.matches("<svg").count(), svg.matches("</svg>").count()), (3, 3));
    }
}
