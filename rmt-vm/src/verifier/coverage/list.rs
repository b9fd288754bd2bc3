//! What covers each instruction and each helper, as a list:
//!
//! ```text
//! cargo test -p rmt-vm --features jit --lib the_coverage_list -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use rmt_isa::{Helper, INSTRUCTIONS, Instruction};

use super::super::verify;
use super::{accepted, refusals, with};
use crate::conformance::{StepAction, parse_folder};
use crate::generate::{Grade, Step};
use crate::interpreter::{Machine, Observer, Thread};
use crate::jit::{Jit, differential::compare};

/// How often instructions and helpers were executed, by their names in the coverage list.
#[derive(Default)]
struct Executed(BTreeMap<String, usize>);

impl Observer for Executed {
    fn instruction(&mut self, _: usize, _: usize, instruction: Instruction, _: &Thread) {
        *self.0.entry(instruction.info().mnemonic.to_owned()).or_default() += 1;
        if let Instruction::Call { helper, .. } = instruction {
            *self.0.entry(format!("CALL {helper}")).or_default() += 1;
        }
    }
}

impl Executed {
    fn count(&self, name: &str) -> usize {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// For each name the vectors that are named after it and execute it. The vectors themselves
/// are run by `tests/vectors.rs`, and on the JIT by `tests/jit.rs`.
fn vectors() -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests");
    let cases = parse_folder(&folder).unwrap_or_else(|error| panic!("{error}"));
    for case in cases.iter().filter(|case| !case.unverified) {
        let mut machine = Machine::new(&case.program).unwrap();
        let mut executed = Executed::default();
        for step in &case.steps {
            match &step.action {
                StepAction::Run { event, .. } => {
                    machine.run_observed(event, &mut executed);
                }
                StepAction::Commit { changes, .. } => {
                    let _ = machine.state_mut().commit(changes);
                }
                StepAction::State { .. } => {}
            }
        }
        let named = |name: &&String| {
            case.name == **name
                || case.name.strip_prefix(*name).is_some_and(|rest| rest.starts_with(' '))
        };
        for name in executed.0.keys().filter(named) {
            *found.entry(name.clone()).or_default() += 1;
        }
    }
    found
}

/// Executions in random verified programs that interpreter and JIT run alike.
fn differential() -> Executed {
    let (mut executed, mut jit) = (Executed::default(), Jit::default());
    for seed in 0..200 {
        let case = Grade::Verified.case(seed, 16).expect("this grade always gives a program");
        compare(&case, &mut jit).unwrap_or_else(|difference| panic!("seed {seed}: {difference}"));
        let mut machine = Machine::new(&case.program).unwrap();
        for step in &case.steps {
            match step {
                Step::Event(event) => {
                    machine.run_observed(event, &mut executed);
                }
                Step::Commit(changes) => {
                    let _ = machine.state_mut().commit(changes);
                }
            }
        }
    }
    executed
}

/// What covers each instruction and each helper, as a list; nothing may be missing.
#[test]
fn the_coverage_list() {
    let (vectors, differential) = (vectors(), differential());
    let mut missing = Vec::new();
    let heading = ["instruction", "accepted", "refused", "vectors", "differential"];
    let [name, accepts, refuses, in_vectors, in_differential] = heading;
    println!("{name:<22}{accepts:>9}{refuses:>9}{in_vectors:>9}{in_differential:>13}");
    let call = INSTRUCTIONS.iter().find(|info| info.mnemonic == "CALL").unwrap();
    let helpers = Helper::ALL.iter().map(|&helper| {
        let Instruction::Call { d, a, b, .. } = accepted(call) else { unreachable!() };
        (format!("CALL {helper}"), Instruction::Call { d, helper, a, b })
    });
    let instructions = INSTRUCTIONS.iter().map(|info| (info.mnemonic.to_owned(), accepted(info)));
    for (name, instruction) in instructions.chain(helpers) {
        let fixture = with(instruction);
        let accepts = usize::from(verify(&fixture.program, &fixture.limits).is_ok());
        let refuses = refusals(instruction);
        let in_vectors = vectors.get(&name).copied().unwrap_or(0);
        let executions = differential.count(&name);
        println!("{name:<22}{accepts:>9}{refuses:>9}{in_vectors:>9}{executions:>13}");
        if [accepts, refuses, in_vectors, executions].contains(&0) {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "not covered in all four ways: {}", missing.join(", "));
}
