//! Programs on the card, which is the driver's mock: it decides otherwise than software would, so
//! that each decision shows who made it.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Daemon, refused, small_event, small_program};
use rmt_daemon::client::{add_entry, remove_entry};
use rmt_daemon::engines::CardEngine;
use rmt_daemon::protocol::{Answer, EngineName, NamedChange, Request, Wish};
use rmt_daemon::rights::Rights;
use rmt_driver::QueueConfig;
use rmt_driver::mock::{MOCK_QUEUES, MockCard};
use rmt_isa::card::CardShape;
use rmt_isa::card::fields::control_slot;
use rmt_isa::card::regions::{CONTEXT_KEYS, CONTROL, MATCH};
use rmt_isa::card::shape::{FIRST_SLOT_WORD, SLOTS};
use rmt_isa::{Decision, Event, Program, Status};

/// What the mock answers.
const BY_CARD: u64 = 777;

type Mock = MockCard<fn(&Event) -> Decision>;

fn by_card(event: &Event) -> Decision {
    let outputs = [BY_CARD, 0, 0];
    Decision { tag: event.tag(), status: Status::Decided, written: 1, cycles: 9, outputs }
}

fn start(folder: &std::path::Path) -> (Daemon, Arc<Mock>) {
    start_shape(folder, &CardShape::default())
}

fn start_shape(folder: &std::path::Path, shape: &CardShape) -> (Daemon, Arc<Mock>) {
    let mock: Arc<Mock> = MockCard::new(shape, by_card);
    let card = CardEngine::open(Arc::new(mock.clone()), QueueConfig::default()).unwrap();
    (Daemon::with(folder, Some(card), vec![], Rights::new(None).unwrap()), mock)
}

fn outputs(daemon: &Daemon, count: u32) -> Vec<u64> {
    let events = (0..count).map(|tag| small_event(tag, u64::from(tag % 8), 3)).collect();
    daemon.decide(events).iter().map(|decision| decision.outputs[0]).collect()
}

/// The time that events wait for a transaction of 1,000 entries on the card: printed, and bounded far
/// above the target, for machines under load. The mock takes no time for its part.
#[test]
fn a_thousand_entries_reach_the_card_in_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    // Each entry has a row of parameters.
    let shape = CardShape { parameter_rows: 2048, ..CardShape::default() };
    let (daemon, _) = start_shape(folder.path(), &shape);
    daemon.install(&small_program(), Wish::Card);
    let mut least = u64::MAX;
    for round in 0..3 {
        let pids = 1000 * round..1000 * (round + 1);
        let changes = pids.clone().map(|pid| {
            add_entry("t", &format!("pid={pid}"), format!("answer({pid})").parse().unwrap())
        });
        let request = Request::Commit { program: "small".into(), changes: changes.collect() };
        let Answer::Committed { nanoseconds, .. } = daemon.client().ask(&request).unwrap() else {
            panic!()
        };
        least = least.min(nanoseconds);
        let removed = pids.map(|pid| remove_entry("t", &format!("pid={pid}")));
        daemon.client().commit("small", removed.collect()).unwrap();
    }
    println!("1,000 entries to the card: events waited {} µs", least / 1000);
    assert!(least < 200_000_000, "{least}");
    assert_eq!(outputs(&daemon, 1), [BY_CARD]);
}

fn place(daemon: &Daemon, place: Wish) -> Answer {
    daemon.client().ask(&Request::Place { program: "small".into(), place }).unwrap()
}

#[test]
fn a_program_goes_to_the_card_and_back_with_what_it_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, mock) = start(folder.path());
    daemon.install(&small_program(), Wish::Jit);
    assert_eq!(outputs(&daemon, 100), [12; 100]);
    let before = daemon.state("small");
    let on_card = Answer::Placed { engine: EngineName::Card, note: None };
    assert_eq!(place(&daemon, Wish::Card), on_card);
    assert_eq!(outputs(&daemon, 100), [BY_CARD; 100]);
    // Its records are on the card, under their keys.
    let keys = 0..4 * before.contexts[0].sets.len() as u32 * 16;
    let found = keys.filter(|slot| mock.core_word(CONTEXT_KEYS.word(*slot)) == 7).count();
    assert!(found >= 1, "no record of key 7");
    // The mock's events write nothing: what comes back is what went.
    place(&daemon, Wish::Jit);
    assert_eq!(before.first_difference(&daemon.state("small")), None);
    assert_eq!(outputs(&daemon, 1), [12]);
    let Answer::Counters(counters) = daemon.client().ask(&Request::Counters).unwrap() else {
        panic!()
    };
    let small = &counters.programs["small"].counters;
    assert_eq!((small.on_card, small.on_jit, small.events, small.card_losses), (100, 101, 201, 0));
    // There and back, and to the JIT at first or not: moves are counted.
    assert!(small.moves >= 2);
}

#[test]
fn a_commit_reaches_the_card_and_the_software_that_stands_by() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, mock) = start(folder.path());
    daemon.install(&small_program(), Wish::Card);
    let match_words = || (0..65536).filter(|n| mock.core_word(MATCH.word(*n)) != 0).count();
    let before = match_words();
    let entries =
        (100..140).map(|pid| add_entry("t", &format!("pid={pid}"), "answer(5)".parse().unwrap()));
    daemon.client().commit("small", entries.collect()).unwrap();
    assert!(match_words() >= before + 40, "{before} words before, {} now", match_words());
    let change = NamedChange::PutRecord {
        context: "seen".into(),
        key: 5,
        fields: vec![
            rmt_vm::state::FieldValue::Scalar(9),
            rmt_vm::state::FieldValue::Ring(vec![4, 3]),
        ],
    };
    daemon.client().commit("small", vec![change]).unwrap();
    // What the card cannot hold is refused, and nothing is changed on either.
    let state = daemon.state("small");
    assert_eq!(state.contexts[0].sets.iter().map(|set| set.ways.len()).sum::<usize>(), 1);
    let bad = add_entry("t", "pid=100", "answer(6)".parse().unwrap());
    let refusal = refused(daemon.client().commit("small", vec![bad]));
    assert!(refusal.reason.contains("same matcher"), "{refusal}");
    assert_eq!(state.first_difference(&daemon.state("small")), None);
    // The card goes: software knows all of it.
    mock.faults.gone.store(true, Ordering::Relaxed);
    let events = vec![small_event(1, 120, 0), small_event(2, 5, 0)];
    let decisions = daemon.decide(events);
    assert_eq!([decisions[0].outputs[0], decisions[1].outputs[0]], [16, 12]);
    let context =
        Request::Context { program: "small".into(), context: "seen".into(), key: Some(5) };
    let Answer::Context(records) = daemon.client().ask(&context).unwrap() else { panic!() };
    assert_eq!(records.sets[0].ways[0].value[0], rmt_vm::state::FieldValue::Scalar(10));
}

#[test]
fn a_lost_card_costs_no_event_and_little_time() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, mock) = start(folder.path());
    daemon.install(&small_program(), Wish::Card);
    assert_eq!(outputs(&daemon, 64), [BY_CARD; 64]);
    mock.faults.gone.store(true, Ordering::Relaxed);
    let begun = Instant::now();
    assert_eq!(outputs(&daemon, 1000), [12; 1000]);
    // One budget of the queue (1 ms) and the software's own time, with room for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let Answer::Counters(counters) = daemon.client().ask(&Request::Counters).unwrap() else {
        panic!()
    };
    let small = &counters.programs["small"];
    assert_eq!((small.engine, small.counters.card_losses), (EngineName::Jit, 1));
    assert_eq!(small.counters.events, 1064);
    assert!(!counters.card_works);
    let Answer::Placed { engine, note: Some(note) } = place(&daemon, Wish::Card) else { panic!() };
    assert!(engine == EngineName::Jit && note.contains("lost"), "{note}");
}

#[test]
fn late_decisions_are_made_by_software_within_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, mock) = start(folder.path());
    daemon.install(&small_program(), Wish::Card);
    mock.faults.silent.store(true, Ordering::Relaxed);
    assert_eq!(outputs(&daemon, 32), [12; 32]);
    mock.faults.silent.store(false, Ordering::Relaxed);
    mock.ring_doorbell(0);
    assert_eq!(outputs(&daemon, 32), [BY_CARD; 32]);
    let Answer::Counters(counters) = daemon.client().ask(&Request::Counters).unwrap() else {
        panic!()
    };
    let small = &counters.programs["small"].counters;
    assert_eq!((small.card_late, small.on_card, small.card_losses), (32, 32, 0));
}

/// A program like the small one, for another hook.
fn on_hook(name: &str, hook: u16) -> Program {
    let text = common::SMALL.replace("program small", &format!("program {name}"));
    common::small_with(&text.replace("= 7 {", &format!("= {hook} {{")))
}

fn decide_on(daemon: &Daemon, hook: u16, pid: u64) -> u64 {
    let mut event = Event::new(hook, 1, pid);
    event.store(16, 2, 3);
    daemon.decide(vec![event])[0].outputs[0]
}

fn engine_of(answer: &Answer) -> (EngineName, &str) {
    match answer {
        Answer::Installed { engine, note, .. } | Answer::Placed { engine, note } => {
            (*engine, note.as_deref().unwrap_or_default())
        }
        other => panic!("{other:?}"),
    }
}

/// Programs come to the card, change and go, and those beside them keep deciding with what they have
/// learnt.
#[test]
fn several_programs_are_on_the_card_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, mock) = start(folder.path());
    daemon.install(&small_program(), Wish::Jit);
    assert_eq!(outputs(&daemon, 100), [12; 100]);
    assert_eq!(engine_of(&place(&daemon, Wish::Card)), (EngineName::Card, ""));
    let before = daemon.state("small");
    let records = |key: u64| {
        let keys = (0..4096).filter(|slot| mock.core_word(CONTEXT_KEYS.word(*slot)) == key);
        keys.collect::<Vec<_>>()
    };
    let of_small = records(7);
    assert!(!of_small.is_empty());
    for (number, name) in [(8, "second"), (9, "third")] {
        let installed = daemon.install(&on_hook(name, number), Wish::Card);
        assert_eq!(engine_of(&installed), (EngineName::Card, ""), "{name}");
    }
    let all_on_card = |hooks: &[u16]| {
        for hook in hooks {
            assert_eq!(decide_on(&daemon, *hook, 7), BY_CARD, "hook {hook}");
        }
    };
    all_on_card(&[7, 8, 9]);
    // One gets entries and a record; the records of the first one stay where they are.
    let change = NamedChange::PutRecord {
        context: "seen".into(),
        key: 5000,
        fields: vec![
            rmt_vm::state::FieldValue::Scalar(9),
            rmt_vm::state::FieldValue::Ring(vec![4]),
        ],
    };
    let entry = add_entry("t", "pid=100", "answer(5)".parse().unwrap());
    daemon.client().commit("second", vec![entry, change]).unwrap();
    assert_eq!(records(5000).len(), 1);
    assert_eq!(records(7), of_small);
    assert_eq!(before.first_difference(&daemon.state("small")), None);
    // It goes: its hook is nobody's on the card, the others stay.
    let request = Request::Place { program: "second".into(), place: Wish::Jit };
    assert_eq!(engine_of(&daemon.client().ask(&request).unwrap()), (EngineName::Jit, ""));
    let slots = (0..SLOTS).map(|slot| mock.core_word(CONTROL.word(FIRST_SLOT_WORD + slot)));
    let hooks = slots.filter(|word| control_slot::ENABLE.extract(*word) == 1);
    let hooks: Vec<u64> = hooks.map(|word| control_slot::HOOK.extract(word)).collect();
    assert_eq!(hooks, [7, 9]);
    assert_eq!(decide_on(&daemon, 8, 100), 16);
    all_on_card(&[7, 9]);
    // Another one takes its place.
    let installed = daemon.install(&on_hook("fourth", 10), Wish::Card);
    assert_eq!(engine_of(&installed), (EngineName::Card, ""));
    all_on_card(&[7, 9, 10]);
    place(&daemon, Wish::Jit);
    assert_eq!(before.first_difference(&daemon.state("small")), None);
    all_on_card(&[9, 10]);
    // The card goes: software decides for both.
    mock.faults.gone.store(true, Ordering::Relaxed);
    assert_eq!([9, 10].map(|hook| decide_on(&daemon, hook, 1)), [12; 2]);
    let Answer::Counters(counters) = daemon.client().ask(&Request::Counters).unwrap() else {
        panic!()
    };
    for name in ["third", "fourth"] {
        let program = &counters.programs[name];
        assert_eq!((program.engine, program.counters.card_losses), (EngineName::Jit, 1), "{name}");
    }
}

/// The card is as it was at first when all have gone, whichever went last.
#[test]
fn programs_that_left_the_card_can_come_again_in_another_order() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, _) = start(folder.path());
    daemon.install(&small_program(), Wish::Card);
    daemon.install(&on_hook("second", 8), Wish::Card);
    let place = |name: &str, place| {
        let answer = daemon.client().ask(&Request::Place { program: name.into(), place }).unwrap();
        assert_eq!(engine_of(&answer).1, "", "{name}");
    };
    for name in ["small", "second"] {
        place(name, Wish::Jit);
    }
    for name in ["second", "small"] {
        place(name, Wish::Card);
    }
    assert_eq!([7, 8].map(|hook| decide_on(&daemon, hook, 1)), [BY_CARD; 2]);
}

/// Each program needs a queue pair, and memories for its state: who finds none is told, and runs in
/// software.
#[test]
fn a_program_without_room_on_the_card_is_told_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, _) = start(folder.path());
    daemon.install(&small_program(), Wish::Card);
    let text = common::SMALL.replace("program small", "program large").replace("= 7 {", "= 8 {");
    let sets = CardShape::default().context_sets;
    let large = common::small_with(&text.replace("seen[64]", &format!("seen[{}]", 4 * sets)));
    let installed = daemon.install(&large, Wish::Card);
    let (engine, note) = engine_of(&installed);
    assert_eq!(engine, EngineName::Jit);
    assert!(note.contains("context_sets") && note.contains("beside it: small"), "{note}");
    daemon.client().ask(&Request::Remove { program: "large".into() }).unwrap();
    for number in 1..MOCK_QUEUES as u16 {
        let installed = daemon.install(&on_hook(&format!("p{number}"), 20 + number), Wish::Card);
        assert_eq!(engine_of(&installed), (EngineName::Card, ""));
    }
    let installed = daemon.install(&on_hook("last", 30), Wish::Card);
    let (engine, note) = engine_of(&installed);
    assert_eq!(engine, EngineName::Jit);
    assert!(note.contains("takes 4 programs") && note.contains("small, p1, p2, p3"), "{note}");
    daemon.client().ask(&Request::Remove { program: "p2".into() }).unwrap();
    let place = Request::Place { program: "last".into(), place: Wish::Card };
    assert_eq!(engine_of(&daemon.client().ask(&place).unwrap()), (EngineName::Card, ""));
}
