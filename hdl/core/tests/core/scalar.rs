//! Scalar programs: arithmetic, jumps, tables, tail calls, contexts, order, faults.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::CardShape;
use rmt_isa::operand::IntType;
use rmt_isa::program::*;
use rmt_isa::{Event, Status};

use super::bench::{Bench, compare};
use super::programs::{action, always, field, program};

/// Events with random arguments and keys below `keys`.
fn events(count: u32, keys: u64) -> Vec<Event> {
    (0..count)
        .map(|tag| {
            let random = |n: u64| split_mix_64(u64::from(tag) * 8 + n);
            let mut event = Event::new(3, tag, random(0) % keys);
            for n in 0..6 {
                event.store(16 + 8 * n as usize, 8, random(1 + n));
            }
            event
        })
        .collect()
}

#[test]
fn arithmetic_and_jumps_equal_the_interpreter() {
    let act = action(
        "act",
        0,
        0,
        "ld_event r1, event+16, u64\n\
         ld_event r2, event+26, i16\n\
         add r3, r1, r2\n\
         addi r3, r3, -7\n\
         mul r4, r3, r1\n\
         jlti r2, 0, +2\n\
         divi r4, r4, 77\n\
         xori r4, r4, 4660\n\
         shrui r5, r4, 3\n\
         jlt r5, r1, +1\n\
         sub r5, r5, r1\n\
         CALL r6, mulhi, r5, r1\n\
         rem r7, r6, r2\n\
         out out0, r5\n\
         out out1, r6\n\
         jeqi r7, 0, +1\n\
         out out2, r7\n\
         jgti r2, 100, +1\n\
         exit decided\n\
         exit abstain",
    );
    let program = program(vec![always("t", 0)], vec![act], vec![]);
    compare(&CardShape::tiny(), &program, Ordering::Pure, &events(60, 10));
}

fn keyed(name: &str, kind: IntType, source: KeySource) -> Table {
    Table {
        key: vec![KeyField { name: "k".into(), kind, source }],
        capacity: 200,
        default: None,
        ..always(name, 0)
    }
}

fn entry(key: u128, action: u16, parameters: &[u64]) -> Entry {
    Entry {
        matcher: Matcher::Exact { key },
        priority: 0,
        call: ActionCall { action, parameters: parameters.to_vec() },
    }
}

#[test]
fn tables_tail_calls_and_parameters_equal_the_interpreter() {
    let mut first = keyed("first", IntType::U32, KeySource::Event { offset: 8 });
    first.actions = vec![0, 1];
    first.entries = (0..40)
        .map(|key| entry(key, (key % 2) as u16, &[3 * key as u64, key as u64 + 1]))
        .collect();
    let mut second = keyed("second", IntType::U8, KeySource::Argument { register: 2 });
    second.key.push(KeyField {
        name: "h".into(),
        kind: IntType::I16,
        source: KeySource::Event { offset: 18 },
    });
    second.actions = vec![2];
    second.default = Some(ActionCall { action: 2, parameters: vec![9, 8] });
    second.entries = (0..20).map(|n| entry(n << 16 | 7, 2, &[1, 2 + n as u64])).collect();
    let actions = vec![
        action(
            "pass",
            0,
            2,
            "ld_param r1, param0\nld_param r2, param1\nout out0, r1\nTAIL_CALL table1",
        ),
        action("end", 0, 2, "ld_param r1, param0\nld_param r2, param1\nout out1, r2\nexit decided"),
        action(
            "last",
            2,
            2,
            "ld_param r3, param1\nadd r3, r3, r1\nadd r3, r3, r2\nout out2, r3\nexit decided",
        ),
    ];
    let program = program(vec![first, second], actions, vec![]);
    let mut events = events(80, 60);
    for event in events.iter_mut().step_by(2) {
        event.store(18, 2, 7);
    }
    compare(&CardShape::tiny(), &program, Ordering::Pure, &events);
    compare(&CardShape::small(), &program, Ordering::Pure, &events);
}

fn context_program() -> Program {
    let contexts = vec![
        Context {
            name: "pages".into(),
            capacity: 16,
            fields: vec![
                field("last", IntType::U64, None),
                field("deltas", IntType::I16, Some(5)),
                field("count", IntType::U8, None),
            ],
        },
        Context {
            name: "other".into(),
            capacity: 32,
            fields: vec![field("sum", IntType::I32, None), field("one", IntType::U8, Some(1))],
        },
    ];
    let act = action(
        "act",
        0,
        0,
        "ld_event r1, event+8, u64\n\
         ld_event r2, event+16, u32\n\
         RMT_MATCH_CTXT r3, ctxt0, r1\n\
         RMT_LD_CTXT r4, ctxt0.0\n\
         sub r5, r2, r4\n\
         RMT_ST_CTXT ctxt0.0, r2\n\
         RMT_PUSH_CTXT ctxt0.1, r5\n\
         RMT_LD_HISTI r6, ctxt0.1, 0\n\
         RMT_LD_HISTI r7, ctxt0.1, 4\n\
         andi r8, r2, 7\n\
         RMT_LD_HIST r8, ctxt0.1, r8\n\
         RMT_HIST_LEN r9, ctxt0.1\n\
         RMT_LD_CTXT r10, ctxt0.2\n\
         addi r10, r10, 50\n\
         RMT_ST_CTXT ctxt0.2, r10\n\
         RMT_FIND_CTXT r11, ctxt1, r1\n\
         RMT_LD_CTXT r12, ctxt1.0\n\
         RMT_ST_CTXT ctxt1.0, r2\n\
         jgti r9, 2, +2\n\
         RMT_MATCH_CTXT r11, ctxt1, r1\n\
         RMT_PUSH_CTXT ctxt1.1, r2\n\
         RMT_LD_CTXT r13, ctxt1.0\n\
         add r12, r12, r13\n\
         out out0, r6\n\
         add r7, r7, r8\n\
         add r7, r7, r10\n\
         out out1, r7\n\
         add r12, r12, r3\n\
         add r12, r12, r11\n\
         out out2, r12\n\
         exit decided",
    );
    program(vec![always("t", 0)], vec![act], contexts)
}

#[test]
fn contexts_equal_the_interpreter_one_event_at_a_time_and_per_key() {
    for ordering in [Ordering::Total, Ordering::PerKey] {
        compare(&CardShape::tiny(), &context_program(), ordering, &events(150, 40));
        compare(&CardShape::small(), &context_program(), ordering, &events(150, 25));
    }
}

#[test]
fn events_that_cannot_run_end_with_their_status() {
    let act = action("act", 0, 0, "out out0, r0\nexit decided");
    let mut missed = always("t", 0);
    missed.default = None;
    let program_of = |table: Table| program(vec![table], vec![act.clone()], vec![]);
    let shape = CardShape::tiny();
    let status = |program: &Program, event: Event| {
        let mut bench = Bench::new(&shape, program, Ordering::Pure);
        bench.run(&[event])[0].status
    };
    let good = program_of(always("t", 0));
    assert_eq!(status(&good, Event::new(4, 1, 2)), Status::NoProgram);
    let mut flagged = Event::new(3, 1, 2);
    flagged.store(2, 2, 1);
    assert_eq!(status(&good, flagged), Status::BadEvent);
    assert_eq!(status(&program_of(missed), Event::new(3, 1, 2)), Status::Missed);
    assert_eq!(status(&good, Event::new(3, 1, 2)), Status::Decided);
}

#[test]
fn an_unverified_program_ends_its_own_event_only() {
    use rmt_isa::card::regions::{CONTROL, PROGRAM};
    let mut table = keyed("t", IntType::U64, KeySource::Event { offset: 8 });
    table.actions = vec![0, 1];
    table.entries = vec![entry(1, 0, &[]), entry(2, 1, &[])];
    let actions = vec![
        action("good", 0, 0, "ld_event r1, event+16, u64\nout out0, r1\nexit decided"),
        action("bad", 0, 0, "movi r1, 1\nexit decided"),
    ];
    let program = program(vec![table], actions, vec![]);
    // With one bank, code changes where it runs.
    let mut shape = CardShape::small();
    shape.engine.banks = 1;
    let mut bench = Bench::new(&shape, &program, Ordering::Pure);
    let bad = u32::from(bench.image.action_starts[1]);
    let cases = [
        // No opcode 0xff.
        (0xff, Status::BadInstruction),
        // Helper 9 of CALL.
        (0x04 | 9 << 20, Status::BadInstruction),
        // out3.
        (0x05 | 3 << 20, Status::OutOfRange),
        // A context that is not there.
        (0x84, Status::OutOfRange),
        // A table beyond the descriptors, and one that is not described.
        (0x03 | 4095 << 20, Status::OutOfRange),
        (0x03 | 5 << 20, Status::OutOfRange),
        // Tail calls round in a circle.
        (0x03, Status::Watchdog),
    ];
    bench.write(CONTROL.word(1), 500);
    for (word, expected) in cases {
        bench.write(PROGRAM.word(bad), word);
        let events: Vec<_> = (0..12)
            .map(|tag| {
                let mut event = Event::new(3, tag, 1 + u64::from(tag % 3 == 0));
                event.store(16, 8, 1000 + u64::from(tag));
                event
            })
            .collect();
        for decision in bench.run(&events) {
            if decision.tag % 3 == 0 {
                assert_eq!(decision.status, expected, "{word:#x}");
            } else {
                assert_eq!(decision.status, Status::Decided);
                assert_eq!(decision.outputs[0], 1000 + u64::from(decision.tag));
            }
        }
    }
}

#[test]
fn decisions_wait_while_nobody_takes_them() {
    let act = action("act", 0, 0, "ld_event r1, event+16, u64\nout out0, r1\nexit decided");
    let program = program(vec![always("t", 0)], vec![act], vec![]);
    let mut bench = Bench::new(&CardShape::tiny(), &program, Ordering::Pure);
    bench.sim.poke("decision_ready", 0);
    let events = events(3, 9);
    bench.sim.poke("event_valid", 1);
    for _ in 0..40 {
        bench.sim.poke_bits("event_payload", &rtl_builder::prelude::Bits::from_words(512, &[3, 0]));
        bench.step();
    }
    assert_eq!(
        bench.sim.peek("event_ready"),
        0,
        "both threads hold a finished event, and one waits"
    );
    bench.sim.poke("event_valid", 0);
    bench.sim.poke("decision_ready", 1);
    // The event that waited runs now.
    (0..20).for_each(|_| bench.step());
    let outcomes = bench.run(&events);
    for (outcome, event) in outcomes.iter().zip(&events) {
        assert_eq!(outcome.outputs[0], event.load(16, 8));
    }
}

#[test]
fn what_was_written_reads_back() {
    let program = context_program();
    let shape = CardShape::tiny();
    let mut bench = Bench::new(&shape, &program, Ordering::Total);
    use rmt_isa::card::regions::{CAPABILITIES, COUNTERS, REGIONS};
    let words = shape.capability_words();
    for (index, word) in words.iter().enumerate() {
        assert_eq!(bench.read(CAPABILITIES.word(index as u32)), *word);
    }
    for write in bench.image.writes.clone() {
        let region = REGIONS.iter().find(|region| {
            (region.base()..region.base() + region.words()).contains(&write.address)
        });
        // The control word is written twice; the last write counts.
        if region.is_some_and(|region| region.readable && region.name != "CONTROL") {
            assert_eq!(bench.read(write.address), write.value, "{:#x}", write.address);
        }
    }
    bench.run(&events(5, 3));
    assert_eq!(bench.read(COUNTERS.word(1)), 5);
    assert_eq!(bench.read(COUNTERS.word(2)), 5);
    assert_eq!(bench.read(0x3f_0000 >> 1), 0, "words that are not there read as zero");
}
