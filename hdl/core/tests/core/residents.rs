//! Several programs on one card: they run side by side, and one comes and goes while the other
//! one's events run and keep their records.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::fields::control_commit;
use rmt_isa::card::update::{BankMirror, Update};
use rmt_isa::card::{CardShape, Residents};
use rmt_isa::operand::IntType;
use rmt_isa::program::*;
use rmt_isa::{Decision, Event, Status};
use rmt_vm::Machine;

use super::bench::{Bench, HostStep};
use super::programs::{action, always, field, program};

/// Counts the events of each key in a record and those of all keys in a map.
fn counting(hook: u16, step: u64) -> Program {
    let text = format!(
        "ld_event r1, event+8, u64\n\
         RMT_MATCH_CTXT r2, ctxt0, r1\n\
         RMT_LD_CTXT r3, ctxt0.0\n\
         addi r3, r3, {step}\n\
         RMT_ST_CTXT ctxt0.0, r3\n\
         out out0, r3\n\
         movi r4, {step}\n\
         map_add r5, map0, r1, r4\n\
         out out1, r5\n\
         TAIL_CALL table1"
    );
    let actions = vec![action("count", 0, 0, &text), action("end", 0, 0, "exit decided")];
    let store = Context {
        name: "counts".into(),
        capacity: 16,
        fields: vec![field("count", IntType::U64, None)],
    };
    let mut counting = program(vec![always("t", 0), always("u", 1)], actions, vec![store]);
    counting.hook.number = hook;
    counting.maps.push(Map {
        name: "totals".into(),
        kind: MapKind::Array,
        capacity: 8,
        value: IntType::U64,
        label: Label::Public,
    });
    counting
}

fn push(bench: &mut Bench, update: &Update) {
    for (place, &write) in update.writes.iter().enumerate() {
        bench.host.push_back(HostStep::Write(write));
        if place == 0 && update.holds {
            bench.host.push_back(HostStep::UntilClear(control_commit::RUNNING.insert(1)));
        }
    }
    bench.host.push_back(HostStep::UntilClear(control_commit::COMMIT.insert(1)));
}

/// The decisions of a hook's events, in order, must be those of a fresh machine.
fn assert_equal(program: &Program, events: &[Event], outcomes: &[Decision]) {
    let mut machine = Machine::new(program).unwrap();
    for (event, outcome) in events.iter().zip(outcomes) {
        let expected = Decision { cycles: outcome.cycles, ..machine.run(event) };
        assert_eq!(*outcome, expected, "hook {}", program.hook.number);
    }
}

fn a_program_comes_and_goes(banks: u32) {
    let mut shape = CardShape { tables: 4, match_buckets: 16, ..CardShape::tiny() };
    shape.engine.threads = 8;
    shape.engine.banks = banks;
    let (first, second) = (counting(3, 1), counting(4, 100));
    let mut residents = Residents::new(&shape).unwrap();
    residents.put(0, first.clone(), Ordering::Total).unwrap();
    let mut mirror = BankMirror::new(&shape);
    let mut bench = Bench::new(&shape, &first, Ordering::Total);
    mirror.installed(&residents.image().unwrap());
    // So that some come before the second program.
    (0..20).for_each(|_| bench.host.push_back(HostStep::UntilClear(0)));
    residents.put(5, second.clone(), Ordering::Total).unwrap();
    push(&mut bench, &mirror.update(&residents.image().unwrap()).unwrap());
    // So that events of both run for a while, before the second one goes.
    for _ in 0..900 {
        bench.host.push_back(HostStep::UntilClear(0));
    }
    residents.remove(5);
    push(&mut bench, &mirror.update(&residents.image().unwrap()).unwrap());

    let of_tag = |tag: u32| {
        let random = split_mix_64(tag.into());
        Event::new(3 + (random & 1) as u16, tag, random >> 8 & 7)
    };
    let events: Vec<Event> = (0..900).map(of_tag).collect();
    let mut outcomes = bench.run(&events);
    outcomes.sort_by_key(|outcome| outcome.tag);
    let of_hook = |hook: u16| -> (Vec<Event>, Vec<Decision>) {
        let pairs = events.iter().zip(&outcomes).filter(|(event, _)| event.hook() == hook);
        pairs.map(|(event, outcome)| (*event, *outcome)).unzip()
    };
    let (ours, decisions) = of_hook(3);
    assert_eq!(ours.len(), decisions.len());
    assert_equal(&first, &ours, &decisions);
    let (theirs, decisions) = of_hook(4);
    let served = |outcome: &Decision| outcome.status != Status::NoProgram;
    let begin = decisions.iter().position(served).unwrap();
    let end = decisions.iter().rposition(served).unwrap() + 1;
    assert!(begin > 0 && end < theirs.len() && end - begin > 20, "{begin}..{end}");
    assert_equal(&second, &theirs[begin..end], &decisions[begin..end]);
}

#[test]
fn a_program_comes_and_goes_beside_another_one_with_two_banks() {
    a_program_comes_and_goes(2);
}

#[test]
fn a_program_comes_and_goes_beside_another_one_with_one_bank() {
    a_program_comes_and_goes(1);
}
