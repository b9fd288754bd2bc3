//! The pieces of the software machine, one by one: verify, load, decide, look up, multiply.
//!
//! ```text
//! cargo bench -p rmt-vm --features jit --bench pieces
//! cargo bench -p rmt-vm --features jit --bench pieces -- 'look_up/ternary'
//! ```
//!
//! `ratios` compares pieces with their targets in one run; this one finds out which piece became
//! slower between two commits: Criterion compares with the run before.

#[allow(dead_code, reason = "shared with `ratios`, which uses more of it")]
mod common;

use std::hint::black_box;
use std::sync::Arc;

use common::firmware::{Firmware, can_migrate_task, page_prefetch};
use common::{product, scalar};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::operand::IntType;
use rmt_isa::program::{ActionCall, Entry, KeyField, KeySource, MatchKind, Matcher};
use rmt_isa::{Event, Program};
use rmt_vm::Engine;
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::jit::Jit;
use rmt_vm::jit::kernels::{MatrixKernel, Unit};
use rmt_vm::state::State;
use rmt_vm::verifier::{Limits, verify};

/// The programs of the repository: name, program, events.
fn programs() -> Vec<(&'static str, Program, Vec<Event>)> {
    let firmware = |Firmware { name, program, events }| (name, program, events);
    let events = (0..64).map(|i| scalar::event(split_mix_64(i), split_mix_64(!i))).collect();
    vec![
        firmware(page_prefetch()),
        firmware(can_migrate_task()),
        ("scalar", scalar::rmt_program(), events),
    ]
}

fn verification(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for (name, program, _) in programs() {
        group.bench_function(name, |bencher| {
            bencher.iter(|| verify(black_box(&program), &Limits::default()).unwrap());
        });
    }
}

fn loading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(20);
    for (name, program, _) in programs() {
        group.bench_function(BenchmarkId::new("interpreter", name), |bencher| {
            bencher.iter(|| InterpreterEngine::default().load(black_box(&program)).unwrap());
        });
        // With the verifier and the code generator.
        group.bench_function(BenchmarkId::new("jit", name), |bencher| {
            bencher.iter(|| Jit::default().load(black_box(&program)).unwrap());
        });
    }
}

fn decisions(criterion: &mut Criterion) {
    fn on<E: Engine>(mut engine: E, program: &Program, events: &[Event]) -> impl FnMut() {
        engine.load(program).unwrap();
        let events = events.to_vec();
        move || {
            for event in &events {
                _ = black_box(engine.run(black_box(event)));
            }
        }
    }
    let mut group = criterion.benchmark_group("decide");
    for (name, program, events) in programs() {
        group.throughput(Throughput::Elements(events.len() as u64));
        let mut run = on(InterpreterEngine::default(), &program, &events);
        group.bench_function(BenchmarkId::new("interpreter", name), |b| b.iter(&mut run));
        let mut run = on(Jit::default(), &program, &events);
        group.bench_function(BenchmarkId::new("jit", name), |b| b.iter(&mut run));
    }
}

/// A table with one key field of 64 bits, and 1,024 entries.
fn table(kind: MatchKind) -> State {
    const ENTRIES: u64 = 1 << 10;
    let mut program = scalar::rmt_program();
    let table = &mut program.tables[0];
    (table.kind, table.capacity) = (kind, ENTRIES as u32);
    table.key = vec![KeyField {
        name: "a".into(),
        kind: IntType::U64,
        source: KeySource::Event { offset: 16 },
    }];
    let matcher = |number: u64| {
        let key = split_mix_64(number);
        match kind {
            MatchKind::Exact => Matcher::Exact { key: key.into() },
            MatchKind::LongestPrefix => {
                let length = 8 + (number % 57) as u8;
                let key = key >> (64 - length) << (64 - length);
                Matcher::LongestPrefix { key: key.into(), length }
            }
            MatchKind::Ternary => {
                // As access lists have it: entries share a few masks.
                let mask = u64::MAX << (8 * (number % 8));
                Matcher::Ternary { value: (key & mask).into(), mask: mask.into() }
            }
            MatchKind::Range => {
                let low = number << 54;
                Matcher::Range { low: vec![low], high: vec![low | (1 << 53)] }
            }
        }
    };
    table.entries = (0..ENTRIES)
        .map(|number| Entry {
            matcher: matcher(number),
            priority: match kind {
                MatchKind::Ternary | MatchKind::Range => number as u32,
                MatchKind::Exact | MatchKind::LongestPrefix => 0,
            },
            call: ActionCall { action: 0, parameters: vec![] },
        })
        .collect();
    State::new(Arc::new(program)).unwrap()
}

fn look_ups(criterion: &mut Criterion) {
    let kinds = [
        ("exact", MatchKind::Exact),
        ("longest_prefix", MatchKind::LongestPrefix),
        ("ternary", MatchKind::Ternary),
        ("range", MatchKind::Range),
    ];
    let mut group = criterion.benchmark_group("look_up");
    // Half of the events are the keys that an exact table holds.
    let events: Vec<Event> =
        (0..256).map(|i| scalar::event(split_mix_64(i * 8), split_mix_64(i))).collect();
    group.throughput(Throughput::Elements(events.len() as u64));
    for (name, kind) in kinds {
        let state = table(kind);
        let table = &state.tables()[0];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for event in &events {
                    black_box(table.look_up_event(black_box(event), &[0; 4]));
                }
            });
        });
    }
}

fn products(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("product");
    let values = |count: usize, seed: u64| -> Vec<i32> {
        (0..count as u64).map(|i| (split_mix_64(seed + i) as i8).into()).collect()
    };
    for unit in Unit::ALL.into_iter().filter(|unit| unit.is_present()) {
        for (size, batch) in [(64, 1), (256, 1), (product::SIZE, product::SIZE)] {
            let kernel =
                MatrixKernel::on(unit, size, size, &values(size * size, 1), &vec![0; size]);
            let (inputs, mut out) = (values(batch * size, 2), vec![0; batch * size]);
            group.throughput(Throughput::Elements((batch * size * size) as u64));
            let name = BenchmarkId::new(format!("{unit:?}"), format!("{size}x{size}x{batch}"));
            group.bench_function(name, |bencher| {
                bencher.iter(|| kernel.multiply(black_box(&inputs), false, &mut out));
            });
        }
    }
}

criterion_group!(pieces, verification, loading, decisions, look_ups, products);
criterion_main!(pieces);
