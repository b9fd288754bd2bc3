//! Random programs with commits on the core, against the interpreter.

use rmt_core::CoreConfig;
use rmt_isa::card::CardShape;
use rmt_sim::card::{Card, EvaluatedPins, Pins, VerilatedPins};
use rmt_sim::cosim::{RandomOptions, RandomReport, cosimulate_random, coverage_of_programs};
use rmt_sim::verilated::{Toolchain, Trace, default_cache_dir};

fn run<P: Pins>(pins: P, config: &CoreConfig, events: u64, seed: u64) -> RandomReport {
    let mut card = Card::reset(pins, config).unwrap();
    let report = cosimulate_random(&mut card, RandomOptions { events, seed }, |_| ()).unwrap();
    for (what, count) in &report.skipped {
        eprintln!("skipped {count} times: {what}");
    }
    assert_eq!(report.mismatch, None);
    assert!(report.events >= events && report.commits > 0, "{report:?}");
    report
}

/// Small memories, so that a bank is filled in few writes.
fn shape(stages: u32, threads: u32, banks: u32) -> CardShape {
    let mut shape = CardShape { stages, match_buckets: 16, ..CardShape::tiny() };
    shape.engine.threads = threads;
    shape.engine.banks = banks;
    shape
}

#[test]
fn random_programs_and_commits_equal_the_interpreter_on_the_evaluator() {
    for (stages, threads, banks, seed) in [(1, 2, 1, 0), (2, 8, 2, 100)] {
        let config = CoreConfig::new(shape(stages, threads, banks));
        let design = rmt_core::elaborate(&config).unwrap();
        run(EvaluatedPins::new(&design).unwrap(), &config, 80, seed);
    }
}

/// Without RTL, so in seconds: the programs of these seeds reach every bin that the interpreter can
/// tell. Those of the larger cards run below.
#[test]
fn random_programs_reach_every_bin_of_the_interpreter() {
    let config = CoreConfig::preset("tiny").unwrap();
    let coverage = coverage_of_programs(config.shape(), 1..1001, 12).unwrap();
    let rarest = coverage.bins().min_by_key(|(_, _, hits)| *hits);
    eprintln!("{} bins, the rarest is {rarest:?}", coverage.bins().count());
    let empty: Vec<_> = coverage.empty_bins().collect();
    assert!(empty.is_empty(), "{empty:?}");
}

#[test]
#[ignore = "a quarter of an hour of Verilator; `./x test --all` runs it"]
fn random_programs_cover_everything_on_all_presets() {
    let toolchain = Toolchain::locate().unwrap();
    for preset in CoreConfig::PRESETS {
        let config = CoreConfig::preset(preset).unwrap();
        let design = rmt_core::elaborate(&config).unwrap();
        let (files, cache) = (design.files(), default_cache_dir());
        let model = VerilatedPins::model(&design, files, Trace::None, &toolchain, &cache).unwrap();
        let report = run(VerilatedPins::new(&model).unwrap(), &config, 100_000, 1);
        let empty: Vec<_> = report.coverage.empty_bins().collect();
        assert!(empty.is_empty(), "{preset}: {empty:?}");
    }
}
