//! The pieces of an event, by criterion.
//!
//! ```text
//! cargo bench -p rmt-vm --bench pieces
//! ```

mod common;

use common::firmware::{can_migrate_task, page_prefetch};
use common::{product, scalar};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::jit::Jit;
use rmt_vm::verifier::{Limits, verify};
use rmt_isa::Event;
use rmt_vm::Engine;

fn engines(criterion: &mut Criterion) {
    let work = scalar::rmt_program();
    let work_events: Vec<Event> = (0..64).map(|i| scalar::event(i, !i)).collect();
    let firmware = [page_prefetch(), can_migrate_task()].map(|f| (f.name, f.program, f.events));
    let programs = [("scalar", work, work_events)].into_iter().chain(firmware);
    for (name, program, events) in programs {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        let mut turn = events.iter().cycle();
        let mut jit = Jit::default();
        jit.load(&program).unwrap();
        group.bench_function("jit", |b| b.iter(|| jit.run(turn.next().unwrap())));
        let mut interpreter = InterpreterEngine::default();
        interpreter.load(&program).unwrap();
        group.bench_function("interpreter", |b| b.iter(|| interpreter.run(turn.next().unwrap())));
        group.finish();
    }
}

fn loading(criterion: &mut Criterion) {
    let program = page_prefetch().program;
    let mut group = criterion.benchmark_group("load page_prefetch");
    group.bench_function("verify", |b| b.iter(|| verify(&program, &Limits::default())));
    group.bench_function("verify and compile", |b| {
        b.iter_batched(Jit::default, |mut jit| jit.load(&program).map(|()| jit), BatchSize::LargeInput)
    });
    group.finish();
}

fn products(criterion: &mut Criterion) {
    let (kernel, inputs, mut out) = product::product();
    let mut group = criterion.benchmark_group("i8 product");
    group.throughput(Throughput::Elements(product::MACS as u64));
    group.bench_function("256x256x256", |b| b.iter(|| kernel.multiply(&inputs, false, &mut out)));
    group.throughput(Throughput::Elements((product::SIZE * product::SIZE) as u64));
    let (input, out) = (&inputs[..product::SIZE], &mut out[..product::SIZE]);
    group.bench_function("256x256", |b| b.iter(|| kernel.multiply(input, false, out)));
    group.finish();
}

criterion_group!(benches, engines, loading, products);
criterion_main!(benches);
