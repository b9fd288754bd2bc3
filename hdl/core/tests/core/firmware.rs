//! The programs of `firmware/` over the beginning of their recorded events.

use std::path::{Path, PathBuf};

use rmt_isa::Event;
use rmt_isa::card::CardShape;
use rmt_vm::events::EventReader;
use rmt_vm::verifier::{Limits, verify};

use super::bench::compare;

fn firmware(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware").join(name)
}

/// Runs the first `count` events of a trace; gives the fewest and most cycles of an event.
fn run(program: &str, trace: &str, count: usize) -> (u16, u16) {
    let path = firmware(program);
    let text = std::fs::read_to_string(&path).unwrap();
    let loader = rmt_lang::DirectoryLoader::beside(&path);
    let program = rmt_lang::compile(program, &text, &loader).unwrap();
    let report = verify(&program, &Limits::default()).unwrap();
    let reader = EventReader::open(&firmware(trace), &program.hook).unwrap();
    let events: Vec<Event> = reader.take(count).map(Result::unwrap).collect();
    assert_eq!(events.len(), count);
    let shape = CardShape::default_card();
    let outcomes = compare(&shape, &program, report.ordering.class, &events);
    let cycles = outcomes.iter().map(|outcome| outcome.cycles);
    (cycles.clone().min().unwrap(), cycles.max().unwrap())
}

#[test]
fn page_prefetch_equals_the_interpreter() {
    let (min, max) = run("page_prefetch.rmt", "traces/pages/column.test.csv.zst", 120);
    eprintln!("page_prefetch: {min} to {max} cycles an event");
}

#[test]
fn can_migrate_task_equals_the_interpreter() {
    let (min, max) = run("can_migrate_task.rmt", "traces/migrations.csv.zst", 60);
    eprintln!("can_migrate_task: {min} to {max} cycles an event");
}
