//! Commits while events run at full load: no event is lost, none sees half of a commit.

use rmt_isa::Event;
use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::fields::control_commit;
use rmt_isa::card::update::BankMirror;
use rmt_isa::card::{CardShape, lower};
use rmt_isa::operand::{Element, IntType};
use rmt_isa::program::*;
use rmt_vm::Machine;

use super::bench::{Bench, HostStep};
use super::programs::{action, always, program};

const KEYS: u64 = 12;

/// Version `n` of a program: code, entries and model all tell it.
fn version(n: u64) -> Program {
    let text = format!(
        "ld_param r1, param0\n\
         out out0, r1\n\
         RMT_VECTOR_LD_EVENT v0, x4, i16, event+16\n\
         RMT_MAT_MUL v1, v0, tensor0, tensor1\n\
         RMT_SCALAR_VAL r2, v1, lane0\n\
         out out1, r2\n\
         movi r3, {n}\n\
         out out2, r3\n\
         exit decided"
    );
    let mut table = always("t", 0);
    table.key = vec![KeyField {
        name: "k".into(),
        kind: IntType::U64,
        source: KeySource::Event { offset: 8 },
    }];
    table.capacity = 64;
    table.default = Some(ActionCall { action: 0, parameters: vec![77 + n] });
    // Each version has other keys, so that entries come and go.
    table.entries = (0..KEYS)
        .filter(|key| key % 5 != n % 5)
        .map(|key| Entry {
            matcher: Matcher::Exact { key: key.into() },
            priority: 0,
            call: ActionCall { action: 0, parameters: vec![1000 * n + key] },
        })
        .collect();
    let tensor = |name: &str, element, shape: &[u32], values: Vec<i32>| Tensor {
        name: name.into(),
        model: 0,
        element,
        shape: shape.to_vec(),
        values,
    };
    let mut program = program(vec![table], vec![action("act", 0, 1, &text)], vec![]);
    program.models.push("m".into());
    let n = n as i32;
    program.tensors = vec![
        tensor("w", Element::I8, &[1, 4], (0..4).map(|column| 3 * n + column).collect()),
        tensor("b", Element::I32, &[1], vec![100_000 * n]),
    ];
    program
}

fn events(count: u32) -> Vec<Event> {
    (0..count)
        .map(|tag| {
            let random = |n: u64| split_mix_64(u64::from(tag) * 8 + n);
            let mut event = Event::new(3, tag, random(0) % KEYS);
            event.store(16, 8, random(1) & 0x0fff_0fff_0fff_0fff);
            event
        })
        .collect()
}

/// Commits one version after the other while `count` events run.
fn commits_under_load(shape: &CardShape, count: u32, jitter: Option<u64>) {
    let versions: Vec<Program> = (0..5).map(version).collect();
    let mut bench = Bench::new(shape, &versions[0], Ordering::Pure);
    bench.jitter = jitter;
    let mut mirror = BankMirror::new(shape);
    mirror.installed(&bench.image);
    // So that the first version has events, too.
    (0..20).for_each(|_| bench.host.push_back(HostStep::UntilClear(0)));
    for program in &versions[1..] {
        let image = lower(program, Ordering::Pure, shape).unwrap();
        let update = mirror.update(&image).unwrap();
        for (place, &write) in update.writes.iter().enumerate() {
            bench.host.push_back(HostStep::Write(write));
            if place == 0 && update.holds {
                bench.host.push_back(HostStep::UntilClear(control_commit::RUNNING.insert(1)));
            }
        }
        bench.host.push_back(HostStep::UntilClear(control_commit::COMMIT.insert(1)));
    }
    let events = events(count);
    let mut outcomes = bench.run(&events);
    outcomes.sort_by_key(|outcome| outcome.tag);
    let tags: Vec<u32> = outcomes.iter().map(|outcome| outcome.tag).collect();
    assert_eq!(tags, (0..count).collect::<Vec<_>>(), "every event has one decision");
    let mut machines: Vec<Machine> =
        versions.iter().map(|program| Machine::new(program).unwrap()).collect();
    let mut current = 0;
    let mut seen = vec![0_u32; versions.len()];
    for (event, outcome) in events.iter().zip(&outcomes) {
        let version = outcome.outputs[2] as usize;
        assert!(version >= current, "event {}: {version} after {current}", outcome.tag);
        current = version;
        seen[version] += 1;
        let mut expected = machines[version].run(event);
        expected.cycles = outcome.cycles;
        assert_eq!(*outcome, expected, "an event of version {version}");
    }
    assert!(seen.iter().all(|&events| events > 0), "events of each version: {seen:?}");
    assert_eq!(bench.read(rmt_isa::card::regions::COUNTERS.word(1)), u64::from(count));
}

/// A small card whose banks are filled in few writes.
fn shape(stages: u32, threads: u32, banks: u32) -> CardShape {
    let tiny = CardShape::tiny();
    let mut shape = CardShape { stages, tables: 2, match_buckets: 16, parameter_rows: 32, ..tiny };
    shape.engine.threads = threads;
    shape.engine.banks = banks;
    shape
}

#[test]
fn commits_with_two_banks_lose_and_mix_nothing() {
    commits_under_load(&shape(2, 8, 2), 400, None);
}

#[test]
fn commits_with_two_banks_and_pauses_lose_and_mix_nothing() {
    commits_under_load(&shape(1, 4, 2), 250, Some(5));
}

#[test]
fn commits_with_one_bank_hold_events_and_lose_none() {
    commits_under_load(&shape(1, 4, 1), 120, None);
}

#[test]
fn an_event_that_never_ends_delays_a_commit_no_longer_than_the_watchdog() {
    use rmt_isa::card::HostWrite;
    use rmt_isa::card::regions::CONTROL;
    // An unverified program: tail calls round in a circle.
    let circle =
        program(vec![always("t", 0)], vec![action("act", 0, 0, "TAIL_CALL table0")], vec![]);
    let mut bench = Bench::new(&shape(1, 2, 2), &circle, Ordering::Pure);
    bench.write(CONTROL.word(1), 300);
    let commit = HostWrite { address: CONTROL.word(0), value: control_commit::COMMIT.insert(1) };
    bench.host.push_back(HostStep::Write(commit));
    bench.host.push_back(HostStep::UntilClear(control_commit::COMMIT.insert(1)));
    let before = bench.read(rmt_isa::card::regions::COUNTERS.word(0));
    let outcomes = bench.run(&events(1));
    assert_eq!(outcomes[0].status, rmt_isa::Status::Watchdog);
    let after = bench.read(rmt_isa::card::regions::COUNTERS.word(0));
    assert!(after - before < 400, "{} cycles", after - before);
    let state = bench.read(CONTROL.word(0));
    assert_eq!(control_commit::COMMIT.extract(state), 0);
    assert_eq!(control_commit::ACTIVE.extract(state), 0, "from bank 1, where the program is");
}
