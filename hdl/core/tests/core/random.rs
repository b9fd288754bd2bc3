//! Random verified programs, with all that the card executes.

use rmt_isa::card::{CardShape, lower};
use rmt_vm::generate::{Options, Step, verified_case};
use rmt_vm::verifier::{Limits, verify};

use super::bench::{Bench, compare_on};

/// What a card of a shape can run.
fn options(shape: &CardShape) -> Options {
    let mut options = Options::default();
    options.key_bits = shape.match_key_bits;
    options.lanes = shape.engine.vector_lanes.min(40) as usize;
    options.events = 12..=24;
    options.commit_every = 0;
    options.with_instructions(|info| shape.executes_opcode(info.opcode))
}

fn run(shape: &CardShape, seeds: std::ops::Range<u64>) {
    let (mut ran, all) = (0, seeds.end - seeds.start);
    let mut bench: Option<Bench> = None;
    for seed in seeds {
        let case = verified_case(seed, &options(shape));
        let report = verify(&case.program, &Limits::default()).unwrap();
        let ordering = report.ordering.class;
        if let Err(error) = lower(&case.program, ordering, shape) {
            eprintln!("seed {seed} does not fit: {error}");
            continue;
        }
        let mut events = Vec::new();
        for step in &case.steps {
            if let Step::Event(event) = step {
                let mut event = *event;
                event.store(4, 4, events.len() as u64);
                events.push(event);
            }
        }
        // One core for all: what a program leaves behind must not disturb the next one.
        let bench = match &mut bench {
            Some(bench) => {
                bench.install(shape, &case.program, ordering);
                bench
            }
            None => bench.insert(Bench::new(shape, &case.program, ordering)),
        };
        // Every other program runs with pauses and back-pressure.
        bench.jitter = (seed % 2 == 1).then_some(seed);
        eprintln!("seed {seed}: {} events, {ordering:?}", events.len());
        compare_on(bench, &case.program, &events);
        ran += 1;
    }
    assert!(2 * ran >= all, "only {ran} of {all} programs fit the card");
}

#[test]
fn random_programs_equal_the_interpreter_on_tiny() {
    run(&CardShape::tiny(), 0..16);
}

#[test]
fn random_programs_equal_the_interpreter_on_small() {
    run(&CardShape::small(), 100..114);
}

#[test]
fn random_programs_equal_the_interpreter_on_default() {
    run(&CardShape::default_card(), 200..205);
}
