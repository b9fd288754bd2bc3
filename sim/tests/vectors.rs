//! The test vectors of rmt-vm, which every engine runs, on the RTL in the evaluator.
#![allow(missing_docs)]

use std::path::Path;

use rmt_core::CoreConfig;
use rmt_isa::card::CardShape;
use rmt_sim::card::EvaluatedPins;
use rmt_sim::engine::{CardEngine, CardEngineError};
use rmt_vm::conformance::{Case, parse_folder, run};

/// All tests of all files.
fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rmt-vm/tests/filetests");
    parse_folder(&folder).unwrap_or_else(|error| panic!("{error}"))
}

/// A card for all vectors: keys of 128 bits, vectors of 256 lanes.
fn config() -> CoreConfig {
    // Few slots and places, which each test clears.
    let mut shape =
        CardShape { match_key_bits: 128, match_buckets: 16, map_sets: 16, ..CardShape::tiny() };
    shape.engine.vector_lanes = 256;
    CoreConfig::new(shape)
}

/// Why a test is not for this engine: cards run verified programs alone.
fn reason_to_skip(case: &Case, shape: &CardShape) -> Option<String> {
    if case.unverified {
        return Some("its program is not verified".into());
    }
    let mut code = case.program.actions.iter().flat_map(|action| &action.code);
    let missing = code.find(|instruction| !shape.executes_opcode(instruction.opcode()))?;
    Some(format!("the card has no `{}`", missing.info().mnemonic))
}

#[test]
fn the_rtl_gives_what_the_vectors_say() {
    let config = config();
    let design = rmt_core::elaborate(&config).unwrap();
    let mut engine = CardEngine::new(EvaluatedPins::new(&design).unwrap(), &config).unwrap();
    let (mut ran, mut skipped, mut failures) = (0, Vec::new(), Vec::new());
    for case in cases() {
        if let Some(reason) = reason_to_skip(&case, config.shape()) {
            eprintln!("skipped: {}: `{}`: {reason}", case.file, case.name);
            skipped.extend((!case.unverified).then_some(case.name));
            continue;
        }
        match run(&case, &mut engine) {
            Ok(_) => ran += 1,
            Err(failure) => failures.push(failure.to_string()),
        }
    }
    eprintln!("{ran} tests of verified programs ran");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(skipped.is_empty() && ran >= 155, "{ran} ran, these did not: {skipped:?}");
}

#[test]
fn without_a_program_there_is_an_error() {
    use rmt_vm::Engine;
    let config = config();
    let design = rmt_core::elaborate(&config).unwrap();
    let mut engine = CardEngine::new(EvaluatedPins::new(&design).unwrap(), &config).unwrap();
    assert!(matches!(engine.state(), Err(CardEngineError::NoProgram)));
}
