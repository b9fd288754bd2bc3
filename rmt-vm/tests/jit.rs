//! The JIT against the test vectors, against the interpreter, and on the other machine.
#![cfg(feature = "jit")]

use std::path::Path;

use rmt_vm::conformance::{Case, parse_folder, run};
use rmt_vm::generate::{Options, decodable_case, verified_case};
use rmt_vm::jit::differential::{Difference, compare};
use rmt_vm::jit::{Jit, JitError, machine_code};
use rmt_vm::{Engine, engine::InterpreterEngine};

fn vectors() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests");
    parse_folder(&folder).unwrap_or_else(|error| panic!("{error}"))
}

fn options(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options::default();
    change(&mut options);
    options
}

#[test]
fn the_jit_gives_what_the_vectors_say() {
    let mut jit = Jit::default();
    let cases = vectors();
    let verified: Vec<_> = cases.iter().filter(|case| !case.unverified).collect();
    assert!(verified.len() > 50, "{} vectors", verified.len());
    let failures: Vec<_> = verified
        .iter()
        .filter_map(|case| run(case, &mut jit).err())
        .map(|f| f.to_string())
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn programs_that_are_not_verified_are_refused() {
    let mut jit = Jit::default();
    let mut refused = 0;
    for case in vectors().iter().filter(|case| case.unverified) {
        let error = jit.load(&case.program).unwrap_err();
        assert!(matches!(error, JitError::Unverified(_)), "{}: {error}", case.name);
        assert!(matches!(jit.state(), Err(JitError::NoProgram)));
        refused += 1;
    }
    assert!(refused > 0);
}

/// `cargo run --release --example differential` runs as many as one likes.
#[test]
fn verified_programs_run_as_in_the_interpreter() {
    let mut jit = Jit::default();
    let options = Options::default();
    let mut events = 0;
    for seed in 0..2000 {
        let case = verified_case(seed, &options);
        events += compare(&case, &mut jit).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
    assert!(events > 10_000, "{events} events");
}

/// Long vectors live elsewhere than short ones.
#[test]
fn programs_with_long_vectors_run_as_in_the_interpreter() {
    let mut jit = Jit::default();
    let options = options(|options| (options.lanes, options.ring_depth) = (256, 80));
    for seed in 0..500 {
        let case = verified_case(seed, &options);
        compare(&case, &mut jit).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
}

#[test]
fn decodable_programs_are_refused_or_run_as_in_the_interpreter() {
    let mut jit = Jit::default();
    let options = options(|options| options.instructions_per_action = 1..=4);
    let mut ran = 0;
    for seed in 0..3000 {
        match compare(&decodable_case(seed, &options), &mut jit) {
            Ok(_) => ran += 1,
            Err(Difference::Jit(JitError::Unverified(_))) => {}
            Err(difference) => panic!("seed {seed}: {difference}"),
        }
    }
    assert!(ran > 0, "the verifier refuses all of them");
}

/// All vectors become code for both machines. Only the code for this one is run.
#[test]
fn all_vectors_compile_for_both_machines() {
    for triple in ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"] {
        for case in vectors().iter().filter(|case| !case.unverified) {
            let actions = machine_code(&case.program, triple)
                .unwrap_or_else(|error| panic!("{triple}: {}: {error}", case.name));
            assert_eq!(actions.len(), case.program.actions.len());
            assert!(actions.iter().all(|code| !code.is_empty()), "{triple}: {}", case.name);
        }
    }
    let error = machine_code(&vectors()[0].program, "z80").unwrap_err();
    assert!(matches!(error, JitError::Backend { .. }), "{error}");
}

/// Engines may move between threads, as those of the interpreter.
#[test]
fn engines_can_be_sent() {
    fn sendable<T: Send>(_: T) {}
    sendable(Jit::default());
    sendable(InterpreterEngine::default());
}
