//! `rmt check`: what the verifier says, and what an event costs.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use rmt_vm::verifier::{Cost, EngineKind, Limits, Report, verify};
use serde_json::json;

use crate::program;

/// Verify a program and report what an event costs at worst, action by action.
///
/// Example: rmt check firmware/page_prefetch.rmt
#[derive(Args)]
pub struct Check {
    /// A .rmt source or an image
    program: PathBuf,
    /// Print the report, or the violations, as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self) -> Result<()> {
        let program = program::load(&self.program)?;
        let verified = verify(&program, &Limits::default());
        match (verified, self.json) {
            (Ok(report), true) => println!("{}", json!({ "accepted": true, "report": report })),
            (Ok(report), false) => print_report(&report),
            (Err(violations), true) => {
                println!("{}", json!({ "accepted": false, "violations": violations }));
                bail!("{}: the verifier refuses the program", self.program.display());
            }
            (Err(violations), false) => bail!(program::refusal(&self.program, &violations)),
        }
        Ok(())
    }
}

fn print_report(report: &Report) {
    let ordering = &report.ordering;
    println!("{}: accepted", report.program);
    println!("events run: {}{}", ordering.class.text(), reason(&ordering.reason));
    println!("tables visited by an event: {}", report.table_visits);
    println!(
        "memory: {} bytes, {} tree nodes\n",
        report.memory.total_bytes(),
        report.memory.tree_nodes
    );
    println!("{}", cost_table(report));
    for action in &report.actions {
        for placement in &action.engines {
            for obstacle in &placement.obstacles {
                println!(
                    "{} cannot run on the {}: {}",
                    action.name,
                    engine_text(placement.engine),
                    obstacle.text
                );
            }
        }
    }
    for warning in &report.warnings {
        println!("{warning}");
    }
}

fn reason(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

/// One line for each action and one for the whole event; figures are worst cases.
fn cost_table(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header([
        "at worst",
        "instructions",
        "MACs",
        "comparisons",
        "bytes read",
        "bytes written",
        "card cycles",
        "engines",
    ]);
    for action in &report.actions {
        let engines: Vec<_> = (action.engines.iter())
            .filter(|placement| placement.possible())
            .map(|placement| engine_text(placement.engine))
            .collect();
        let mut row = vec![action.name.clone()];
        row.extend(figures(action.cost));
        row.push(engines.join(", "));
        table.add_row(row);
    }
    let mut row = vec!["whole event".to_owned()];
    row.extend(figures(Some(report.event)));
    table.add_row(row);
    for column in table.column_iter_mut().skip(1).take(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn engine_text(engine: EngineKind) -> &'static str {
    match engine {
        EngineKind::Interpreter => "interpreter",
        EngineKind::Jit => "JIT",
        EngineKind::Card => "card",
    }
}

fn figures(cost: Option<Cost>) -> [String; 6] {
    match cost {
        Some(cost) => [
            cost.instructions,
            cost.macs,
            cost.comparisons,
            cost.bytes_read,
            cost.bytes_written,
            cost.card_cycles,
        ]
        .map(|figure| figure.to_string()),
        None => [(); 6].map(|()| "-".to_owned()),
    }
}
