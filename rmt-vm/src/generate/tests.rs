//! Generated cases are what they claim to be.

use std::collections::BTreeMap;

use rmt_isa::{INSTRUCTIONS, Instruction, Status};

use super::*;
use crate::interpreter::{Machine, Observer, Thread};
use crate::verifier::{Limits, verify};

#[derive(Default)]
struct Executed(BTreeMap<&'static str, u64>);

impl Observer for Executed {
    fn instruction(&mut self, _: usize, _: usize, instruction: Instruction, _: &Thread) {
        *self.0.entry(instruction.info().mnemonic).or_default() += 1;
    }
}

/// Runs a case on the interpreter; the statuses of its events.
fn run(case: &Case, executed: &mut Executed) -> Vec<Status> {
    let mut machine = Machine::new(&case.program).unwrap();
    let mut statuses = Vec::new();
    for step in &case.steps {
        match step {
            Step::Event(event) => statuses.push(machine.run_observed(event, executed).status),
            Step::Commit(changes) => {
                let before = machine.state().clone();
                if machine.state_mut().commit(changes).is_err() {
                    assert!(*machine.state() == before, "a refused commit left a trace");
                }
            }
        }
    }
    statuses
}

#[test]
fn verified_cases_pass_the_verifier_and_never_fault() {
    let options = Options::default();
    let mut counts = BTreeMap::<&str, u32>::new();
    for seed in 0..400 {
        let case = verified_case(seed, &options);
        if let Err(violations) = verify(&case.program, &Limits::default()) {
            panic!("seed {seed}: {}", violations[0]);
        }
        for status in run(&case, &mut Executed::default()) {
            *counts.entry(status.text()).or_default() += 1;
        }
    }
    for fault in [Status::BadInstruction, Status::OutOfRange, Status::Watchdog] {
        assert_eq!(counts.get(fault.text()), None, "{counts:?}");
    }
    for ending in [Status::Decided, Status::Abstained, Status::Missed, Status::BadEvent] {
        assert!(counts.contains_key(ending.text()), "no event ended {ending:?}: {counts:?}");
    }
}

#[test]
fn verified_cases_reach_every_instruction() {
    let mut executed = Executed::default();
    for seed in 0..600 {
        run(&verified_case(seed, &Options::default()), &mut executed);
    }
    let rare: Vec<_> = INSTRUCTIONS
        .iter()
        .map(|info| (info.mnemonic, executed.0.get(info.mnemonic).copied().unwrap_or(0)))
        .filter(|(_, count)| *count < 20)
        .collect();
    assert!(rare.is_empty(), "executed fewer than 20 times in 600 cases: {rare:?}");
}

#[test]
fn keyed_cases_run_in_order_for_each_key() {
    use rmt_isa::program::Ordering;
    let mut options = Options::default();
    (options.keyed, options.maps, options.contexts) = (true, 0..=0, 1..=2);
    let ordered = (0..60).filter(|&seed| {
        let case = verified_case(seed, &options);
        verify(&case.program, &Limits::default()).unwrap().ordering.class == Ordering::PerKey
    });
    assert!(ordered.count() > 20);
}

#[test]
fn options_leave_instructions_out() {
    use rmt_isa::instruction::Class;
    let options = Options::default()
        .without_class(Class::Model)
        .without_class(Class::Map)
        .with_instructions(|info| info.mnemonic != "TAIL_CALL");
    let mut executed = Executed::default();
    for seed in 0..100 {
        let case = verified_case(seed, &options);
        assert_eq!(case.program.tables.len(), 1);
        run(&case, &mut executed);
        assert!(verify(&case.program, &Limits::default()).is_ok(), "seed {seed}");
    }
    assert!(executed.0.len() > 80, "{}", executed.0.len());
    for mnemonic in executed.0.keys() {
        let info = options.instructions().iter().find(|info| info.mnemonic == *mnemonic);
        assert!(info.is_some(), "{mnemonic} was left out");
    }
}

#[test]
fn a_seed_gives_the_same_case_again_and_another_seed_another_one() {
    let options = Options::default();
    assert_eq!(verified_case(7, &options), verified_case(7, &options));
    assert_ne!(verified_case(7, &options), verified_case(8, &options));
    assert_eq!(decodable_case(7, &options), decodable_case(7, &options));
}

#[test]
fn odd_programs_end_with_a_status_and_never_panic() {
    let options = Options::default();
    let (mut accepted, mut faults) = (0, 0);
    for seed in 0..1500 {
        let case = decodable_case(seed, &options);
        let statuses = run(&case, &mut Executed::default());
        let fault = |status: &&Status| **status as u8 >= Status::BadInstruction as u8;
        let verified = verify(&case.program, &Limits::default()).is_ok();
        accepted += u32::from(verified);
        let own = [Status::NoProgram, Status::BadEvent];
        let faulted = statuses.iter().filter(fault).filter(|s| !own.contains(s)).count();
        faults += faulted;
        assert!(!verified || faulted == 0, "seed {seed}: a verified program faulted");
    }
    assert!(faults > 1000, "odd programs hardly fault ({faults}): they are not odd");
    assert!(accepted < 750, "the verifier accepts {accepted} of 1500");
}

#[test]
fn words_decode_or_are_refused_and_encode_to_themselves() {
    let words = words(1, 20_000);
    let decoded =
        words.iter().filter_map(|&word| Instruction::decode(word).ok().map(|i| (word, i)));
    let count = decoded.inspect(|(word, i)| assert_eq!(i.encode(), *word)).count();
    assert!((200..19_000).contains(&count), "{count} of 20000 words are instructions");
}
