//! The test vectors of `tests/filetests` on the interpreter, and that they leave no
//! instruction out.

use std::collections::BTreeSet;
use std::path::Path;

use rmt_isa::{INSTRUCTIONS, Instruction};
use rmt_vm::conformance::{Case, StepAction, parse_folder, run};
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::interpreter::{Machine, Observer, Thread};
use rmt_vm::verifier::{Limits, verify};

/// All tests of all files.
fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests");
    parse_folder(&folder).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_interpreter_gives_what_the_vectors_say() {
    let mut engine = InterpreterEngine::default();
    let failures: Vec<_> = cases()
        .iter()
        .filter_map(|case| run(case, &mut engine).err())
        .map(|f| f.to_string())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[derive(Default)]
struct Executed(BTreeSet<&'static str>);

impl Observer for Executed {
    fn instruction(&mut self, _: usize, _: usize, instruction: Instruction, _: &Thread) {
        self.0.insert(instruction.info().mnemonic);
    }
}

/// Every row of the table has a vector that is named after it and executes it.
#[test]
fn every_instruction_has_a_vector() {
    let mut covered = BTreeSet::new();
    for case in cases().iter().filter(|case| !case.unverified) {
        let mut machine = Machine::new(&case.program).unwrap();
        let mut executed = Executed::default();
        for step in &case.steps {
            match &step.action {
                StepAction::Run { event, .. } => {
                    machine.run_observed(event, &mut executed);
                }
                StepAction::Commit { changes, refused } => {
                    assert_eq!(machine.state_mut().commit(changes).is_err(), *refused);
                }
                StepAction::State { .. } => {}
            }
        }
        let subject = case.name.split(' ').next().unwrap_or_default();
        covered.extend(executed.0.into_iter().filter(|mnemonic| *mnemonic == subject));
    }
    let missing: Vec<_> =
        INSTRUCTIONS.iter().map(|i| i.mnemonic).filter(|m| !covered.contains(m)).collect();
    assert!(missing.is_empty(), "no vector executes: {}", missing.join(", "));
}

/// The verifier accepts a test's program exactly when the test does not call it `unverified`:
/// so engines that run only verified programs run all others.
#[test]
fn the_verifier_agrees_with_the_marks() {
    let mut wrong = Vec::new();
    for case in cases() {
        match (verify(&case.program, &Limits::default()), case.unverified) {
            (Ok(_), false) | (Err(_), true) => {}
            (Ok(_), true) => wrong.push(format!("{}: `{}` is accepted", case.file, case.name)),
            (Err(violations), false) => {
                let texts = violations.iter().map(|violation| violation.to_string());
                let texts = texts.collect::<Vec<_>>().join("\n    ");
                wrong.push(format!("{}: `{}` is refused:\n    {texts}", case.file, case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
