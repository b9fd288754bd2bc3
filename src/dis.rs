//! `rmt dis`: what is in a program, as text.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use rmt_isa::Program;
use rmt_isa::assembly::disassemble;
use rmt_isa::program::Action;
use serde_json::{Value, json};

use crate::program;

/// Show the actions of a program or image in assembly, with source lines.
///
/// Example: rmt dis firmware/can_migrate_task.rmt
#[derive(Args)]
pub struct Dis {
    /// A .rmt source or an image
    program: PathBuf,
    /// Only this action
    #[arg(long)]
    action: Option<String>,
    /// Print as JSON: for each action its instructions, words and lines
    #[arg(long)]
    json: bool,
}

impl Dis {
    pub fn run(self) -> Result<()> {
        let program = program::load(&self.program)?;
        let wanted =
            |action: &&Action| self.action.as_ref().is_none_or(|name| *name == action.name);
        let actions: Vec<&Action> = program.actions.iter().filter(wanted).collect();
        if let (true, Some(name)) = (actions.is_empty(), &self.action) {
            let names: Vec<_> = program.actions.iter().map(|action| action.name.as_str()).collect();
            anyhow::bail!("there is no action `{name}`; the actions are: {}", names.join(", "));
        }
        if self.json {
            println!("{}", json!(actions.into_iter().map(action_json).collect::<Vec<_>>()));
            return Ok(());
        }
        print_objects(&program);
        for action in actions {
            print_action(&program, action);
        }
        Ok(())
    }
}

fn action_json(action: &Action) -> Value {
    let instructions: Vec<_> =
        (action.code.iter().zip(action.lines.iter().chain([0].iter().cycle())))
            .map(|(instruction, line)| {
                json!({
                    "text": instruction.to_string(),
                    "word": format!("{:#018x}", instruction.encode()),
                    "line": line,
                })
            })
            .collect();
    json!({ "name": action.name, "instructions": instructions })
}

/// The objects by the numbers that the instructions use.
fn print_objects(program: &Program) {
    println!("; program {}, hook {} ({})", program.name, program.hook.name, program.hook.number);
    let list = |kind: &str, names: Vec<&String>| {
        for (number, name) in names.into_iter().enumerate() {
            println!("; {kind}{number} = {name}");
        }
    };
    list("table", program.tables.iter().map(|table| &table.name).collect());
    for (number, context) in program.contexts.iter().enumerate() {
        for (field, declared) in context.fields.iter().enumerate() {
            println!("; ctxt{number}.{field} = {}.{}", context.name, declared.name);
        }
    }
    list("map", program.maps.iter().map(|map| &map.name).collect());
    list("tensor", program.tensors.iter().map(|tensor| &tensor.name).collect());
    list("scale", program.scales.iter().map(|scale| &scale.name).collect());
    list("window", program.windows.iter().map(|window| &window.name).collect());
    list("forest", program.forests.iter().map(|forest| &forest.name).collect());
}

/// The assembly, which assembles again, with the source line of each instruction at its end.
fn print_action(program: &Program, action: &Action) {
    println!("\n; action {}", action.name);
    let mut lines = action.lines.iter();
    for text in disassemble(&action.code).lines() {
        // Labels stand at the margin and have no source line.
        let line = if text.starts_with(' ') { lines.next().copied().unwrap_or(0) } else { 0 };
        match line {
            0 => println!("{text}"),
            line => println!("{text:<48}; {}:{line}", program.source),
        }
    }
}
