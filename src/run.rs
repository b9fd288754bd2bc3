//! `rmt run`: a program on the interpreter or the JIT, over recorded events.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use rmt_isa::program::Output;
use rmt_isa::{Decision, Program};
use rmt_vm::Engine;
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::events::EventReader;
use rmt_vm::jit::Jit;
use serde_json::json;

use crate::program;

/// Run a program over recorded events and print its decisions.
///
/// Events are the lines of a CSV file (plain or .zst); its columns are matched by name with the
/// fields of the program's hook.
///
/// Example: rmt run firmware/page_prefetch.rmt --events firmware/traces/pages/conv.test.csv.zst
#[derive(Args)]
pub struct Run {
    /// A .rmt source or an image
    program: PathBuf,
    /// The events
    #[arg(long)]
    events: PathBuf,
    /// What runs the program; both engines decide alike
    #[arg(long, value_enum, default_value = "interpreter")]
    engine: Choice,
    /// Most events to run
    #[arg(long)]
    limit: Option<usize>,
    /// Print only how many events ended in which way
    #[arg(long)]
    summary: bool,
    /// Write the state after the last event to this file, as JSON
    #[arg(long)]
    state: Option<PathBuf>,
    /// Print each decision (or the summary) as a line of JSON instead of CSV
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    /// One instruction at a time; the specification
    Interpreter,
    /// Machine code for this CPU
    Jit,
}

impl Run {
    pub fn run(self) -> Result<()> {
        match self.engine {
            Choice::Interpreter => self.on(InterpreterEngine::default()),
            Choice::Jit => self.on(Jit::default()),
        }
    }

    fn on<E: Engine<Error: Send + Sync + 'static>>(self, mut engine: E) -> Result<()> {
        let (program, _) = program::load_verified(&self.program, &Default::default())?;
        engine.load(&program)?;
        let events = EventReader::open(&self.events, &program.hook)?;
        let mut out = BufWriter::new(std::io::stdout().lock());
        let mut endings: BTreeMap<&str, u64> = BTreeMap::new();
        if !self.summary && !self.json {
            writeln!(out, "{}", header(&program))?;
        }
        let mut steps = 0;
        for event in events.take(self.limit.unwrap_or(usize::MAX)) {
            let decision = engine.run(&event?)?;
            *endings.entry(decision.status.text()).or_default() += 1;
            steps += engine.steps().unwrap_or(0);
            match (self.summary, self.json) {
                (true, _) => {}
                (false, true) => writeln!(out, "{}", decision_json(&program, &decision))?,
                (false, false) => writeln!(out, "{}", decision_csv(&program, &decision))?,
            }
        }
        if self.summary {
            let events: u64 = endings.values().sum();
            if self.json {
                let result = json!({ "events": events, "instructions": steps, "endings": endings });
                writeln!(out, "{result}")?;
            } else {
                writeln!(out, "{events} events, {steps} instructions")?;
                for (status, count) in &endings {
                    writeln!(out, "{status}: {count}")?;
                }
            }
        }
        out.flush()?;
        if let Some(path) = &self.state {
            let state = serde_json::to_vec_pretty(&engine.state()?)
                .context("the state cannot be written as JSON")?;
            program::write_whole(path, &state)?;
        }
        Ok(())
    }
}

fn header(program: &Program) -> String {
    let names = program.outputs.iter().map(|output| format!(",{}", output.name));
    format!("event,status{}", names.collect::<String>())
}

fn decision_csv(program: &Program, decision: &Decision) -> String {
    let values = (program.outputs.iter().zip(decision.outputs))
        .map(|(output, word)| format!(",{}", output_text(output, word)));
    format!("{},{}{}", decision.tag, decision.status.text(), values.collect::<String>())
}

fn decision_json(program: &Program, decision: &Decision) -> serde_json::Value {
    let outputs: BTreeMap<&str, serde_json::Value> = (program.outputs.iter())
        .zip(decision.outputs)
        .map(|(output, word)| {
            let value = output.kind.wrap(word);
            let number = if output.kind.signed() { json!(value as i64) } else { json!(value) };
            (output.name.as_str(), number)
        })
        .collect();
    json!({ "event": decision.tag, "status": decision.status.text(), "outputs": outputs })
}

/// An output word as its declared type reads it.
fn output_text(output: &Output, word: u64) -> String {
    let value = output.kind.wrap(word);
    if output.kind.signed() { (value as i64).to_string() } else { value.to_string() }
}
