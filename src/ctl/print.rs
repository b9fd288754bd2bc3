//! Answers for people.

use anyhow::Result;
use comfy_table::{Table, presets};
use rmt_daemon::protocol::{Answer, CountersView, ProgramLine, ProgramView, TableView, Wish};
use rmt_vm::state::FieldValue;
use rmt_vm::state::dump::{ContextDump, MapDump, MapValues};

/// Prints an answer.
pub fn answer(answer: &Answer) -> Result<()> {
    match answer {
        Answer::Programs(lines) => programs(lines),
        Answer::Program(view) => program(view),
        Answer::Installed { program, engine, note } => {
            println!("{program} runs on {engine}");
            if let Some(note) = note {
                println!("  not as wished: {note}");
            }
        }
        Answer::Committed { added, nanoseconds } => {
            let handles: Vec<String> =
                added.iter().map(|handle| format!("#{}", handle.0)).collect();
            let added = match handles.as_slice() {
                [] => String::new(),
                [one] => format!(" entry {one} added;"),
                [first, .., last] => {
                    format!(" {} entries added, {first} to {last};", handles.len())
                }
            };
            println!("done;{added} events waited {:.1} µs", *nanoseconds as f64 / 1e3);
        }
        Answer::Removed => println!("removed"),
        Answer::Placed { engine, .. } => println!("runs on {engine}"),
        Answer::Table(view) => table(view),
        Answer::Context(dump) => context(dump),
        Answer::Map(dump) => map(dump),
        Answer::State(state) => println!("{}", serde_json::to_string_pretty(state)?),
        Answer::Counters(view) => println!("{}", counters(view)),
        Answer::Platform(platform) => print!("{}", toml::to_string(platform)?),
    }
    Ok(())
}

fn grid(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(header);
    table
}

fn wish(wish: Wish) -> &'static str {
    match wish {
        Wish::Auto => "auto",
        Wish::Interpreter => "interpreter",
        Wish::Jit => "jit",
        Wish::Card => "card",
    }
}

fn programs(lines: &[ProgramLine]) {
    if lines.is_empty() {
        println!("no programs; `rmt ctl install FILE` runs one");
        return;
    }
    let mut table = grid(&["program", "hook", "runs on", "wished", "entries", "events"]);
    for line in lines {
        table.add_row([
            line.name.clone(),
            format!("{} ({})", line.hook, line.hook_number),
            line.engine.to_string(),
            wish(line.wish).to_owned(),
            line.entries.to_string(),
            line.events.to_string(),
        ]);
    }
    println!("{table}");
}

fn program(view: &ProgramView) {
    let ProgramLine { name, hook, hook_number, engine, .. } = &view.line;
    println!("{name}: hook {hook} ({hook_number}), on {engine}, wished {}", wish(view.line.wish));
    let (instructions, macs, cycles) = view.cost;
    println!(
        "events run {}; at worst {instructions} instructions, {macs} MACs, {cycles} card cycles",
        view.ordering
    );
    for (what, list) in [
        ("output", &view.outputs),
        ("table", &view.tables),
        ("action", &view.actions),
        ("context", &view.contexts),
        ("map", &view.maps),
        ("model", &view.models),
    ] {
        list.iter().for_each(|item| println!("  {what} {item}"));
    }
}

fn table(view: &TableView) {
    let mut grid = grid(&["entry", "matches", "priority", "runs"]);
    for entry in &view.entries {
        grid.add_row([
            format!("#{}", entry.handle.0),
            entry.matcher.clone(),
            entry.priority.to_string(),
            entry.call.to_string(),
        ]);
    }
    let default = view.default.as_ref().map_or("none".to_owned(), ToString::to_string);
    grid.add_row(["default", "", "", &default]);
    println!("{grid}");
}

fn context(dump: &ContextDump) {
    let header: Vec<&str> =
        ["key"].into_iter().chain(dump.fields.iter().map(String::as_str)).collect();
    let mut grid = grid(&header);
    for way in dump.sets.iter().flat_map(|set| &set.ways) {
        let values = way.value.iter().map(|value| match value {
            FieldValue::Scalar(value) => (*value as i64).to_string(),
            FieldValue::Ring(values) => {
                let values: Vec<_> = values.iter().map(|v| (*v as i64).to_string()).collect();
                values.join(" ")
            }
        });
        grid.add_row([way.key.to_string()].into_iter().chain(values));
    }
    println!("{grid}");
}

fn map(dump: &MapDump) {
    let mut grid = grid(&["key", "value"]);
    let mut row = |key: u64, value: u64| _ = grid.add_row([key.to_string(), value.to_string()]);
    match &dump.values {
        MapValues::Indexed(values) => {
            values.iter().for_each(|&(key, value)| row(key.into(), value))
        }
        MapValues::Hashed(sets) => {
            sets.iter().flat_map(|set| &set.ways).for_each(|way| row(way.key, way.value));
        }
        MapValues::Ring { pushed, values } => {
            let numbered = (0..).zip(values);
            numbered.for_each(|(age, &value)| row(pushed - 1 - age, value));
        }
    }
    println!("{grid}");
}

/// All counters as a table: a line for each program.
pub fn counters(view: &CountersView) -> String {
    let mut grid = grid(&[
        "program",
        "runs on",
        "events",
        "decided",
        "abstained",
        "missed",
        "faults",
        "cached",
        "late",
        "refused",
        "commits",
        "moves",
        "50 % ns",
        "99 % ns",
        "accuracy",
    ]);
    for (name, program) in &view.programs {
        let counters = &program.counters;
        let accuracy = program.accuracy.map_or("-".to_owned(), |a| format!("{:.0} %", 100.0 * a));
        grid.add_row([
            name.clone(),
            program.engine.to_string(),
            counters.events.to_string(),
            counters.decided.to_string(),
            counters.abstained.to_string(),
            counters.missed.to_string(),
            counters.faults.to_string(),
            counters.from_cache.to_string(),
            counters.card_late.to_string(),
            counters.card_refused.to_string(),
            counters.commits.to_string(),
            counters.moves.to_string(),
            program.nanoseconds[0].to_string(),
            program.nanoseconds[1].to_string(),
            accuracy,
        ]);
    }
    let mut text = grid.to_string();
    for (source, counters) in &view.sources {
        let list: Vec<_> = counters.iter().map(|(name, value)| format!("{name} {value}")).collect();
        text += &format!("\nsource {source}: {}", list.join(", "));
    }
    let card = if view.card_works { "works" } else { "none, or lost" };
    text += &format!(
        "\nup {:.0} s; card: {card}; requests: {} done, {} refused; journal: {} bytes; {} events of hooks without program",
        view.uptime_seconds,
        view.requests.0,
        view.requests.1,
        view.journal_bytes,
        view.events_without_program
    );
    text
}
