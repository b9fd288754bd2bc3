//! The programs of `firmware/` over the beginning of their recorded events.

use std::path::{Path, PathBuf};

use rmt_isa::Event;
use rmt_isa::Program;
use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::CardShape;
use rmt_vm::Machine;
use rmt_vm::events::EventReader;
use rmt_vm::verifier::{Limits, verify};

use super::bench::{Bench, compare};
use super::estimate::estimate;

fn firmware(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware").join(name)
}

/// A program and the first `count` events of a trace.
fn load(program: &str, trace: &str, count: usize) -> (Program, Vec<Event>) {
    let path = firmware(program);
    let text = std::fs::read_to_string(&path).unwrap();
    let loader = rmt_lang::DirectoryLoader::beside(&path);
    let program = rmt_lang::compile(program, &text, &loader).unwrap();
    let reader = EventReader::open(&firmware(trace), &program.hook).unwrap();
    let events: Vec<Event> = reader.take(count).map(Result::unwrap).collect();
    assert_eq!(events.len(), count);
    (program, events)
}

/// Runs the first `count` events of a trace; gives the fewest and most cycles of an event.
fn run(program: &str, trace: &str, count: usize) -> (u16, u16) {
    let (program, events) = load(program, trace, count);
    let report = verify(&program, &Limits::default()).unwrap();
    let shape = CardShape::default_card();
    let outcomes = compare(&shape, &program, report.ordering.class, &events);
    let cycles = outcomes.iter().map(|outcome| outcome.cycles);
    (cycles.clone().min().unwrap(), cycles.max().unwrap())
}

/// Cycles of a program's events, each alone on the default card.
pub struct FirmwareCycles {
    pub events: usize,
    /// Least and most.
    pub measured: (u64, u64),
    /// The same by the formula, for the same events.
    pub formula: (u64, u64),
    /// What `rmt check` says.
    pub checked: u64,
}

/// Runs the first events of a trace one by one, and events of random arguments, among which are
/// larger numbers: each must take what the formula says, within 5 %, and the longest of them
/// what `rmt check` says.
pub fn firmware_cycles(program: &str, trace: &str) -> FirmwareCycles {
    let (program, mut events) = load(program, trace, 80);
    events.extend((0..20).map(|tag| {
        let mut event = Event::new(program.hook.number, tag, u64::from(tag) % 4);
        let random = |word: u64| split_mix_64(u64::from(tag) * 8 + word);
        (0..6).for_each(|word| event.store(16 + 8 * word, 8, random(word as u64)));
        event
    }));
    let shape = CardShape::default_card();
    let limits = Limits { card: shape.clone(), ..Limits::default() };
    let report = verify(&program, &limits).unwrap();
    let checked = report.event.card_cycles;
    let mut bench = Bench::new(&shape, &program, report.ordering.class);
    let mut machine = Machine::new(&program).unwrap();
    let (mut measured, mut formula) = ((u64::MAX, 0), (u64::MAX, 0));
    let widen = |(low, high): (u64, u64), new: u64| (low.min(new), high.max(new));
    for (number, event) in events.iter().enumerate() {
        let found = u64::from(bench.run(std::slice::from_ref(event))[0].cycles);
        let expected = estimate(&shape, &program, &mut machine, event);
        assert_within(found, expected, &format!("{} event {number}", program.name));
        (measured, formula) = (widen(measured, found), widen(formula, expected));
    }
    let most = measured.1;
    assert!(most <= checked, "the bound of {checked} cycles is no bound: {most}");
    assert_within(most, checked, &format!("the longest event of {}", program.name));
    FirmwareCycles { events: events.len(), measured, formula, checked }
}

/// The formula is within 5 % of what was measured.
fn assert_within(measured: u64, formula: u64, what: &str) {
    let difference = measured.abs_diff(formula);
    assert!(20 * difference <= measured, "{what}: {measured} cycles, the formula says {formula}");
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
