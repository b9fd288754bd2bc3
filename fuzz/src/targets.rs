//! What is fuzzed: each target takes any bytes and panics when a promise is broken.
//!
//! `fuzz_targets/` gives them to libFuzzer; `rmt-vm/tests/corpus.rs` includes this file and replays the corpus with a plain test.

use rmt_isa::image::{ImageError, MAGIC};
use rmt_isa::{INSTRUCTIONS, Instruction, Program, Status};
use rmt_lang::MemoryLoader;
use rmt_vm::engine::{Engine, InterpreterEngine};
use rmt_vm::generate::{Case, Options, Step, code_case};
use rmt_vm::verifier::{Limits, verify};

/// Loading an image is total, an image that was read is written and read again as it is, and
/// the verifier takes every program that an image can hold.
pub fn image(data: &[u8]) {
    let Some(program) = read_any(data) else { return };
    let image = rmt_isa::image::write(&program).expect("a program that was read is written");
    let again = rmt_isa::image::read(&image).expect("an image that was written is read");
    assert_eq!(again, program);
    let accepted = verify(&program, &Limits::default()).is_ok();
    let mut engine = InterpreterEngine::default();
    assert!(!accepted || engine.load(&program).is_ok(), "a verified program does not load");
}

/// Reads an image, with its checksum put right: a fuzzer would not get past it.
fn read_any(data: &[u8]) -> Option<Program> {
    let expected = match rmt_isa::image::read(data) {
        Err(ImageError::Checksum { expected, .. }) => expected,
        read => return read.ok(),
    };
    let mut data = data.to_vec();
    let version = data.windows(MAGIC.len()).position(|bytes| bytes == MAGIC)?;
    let checksum = data.get_mut(version + MAGIC.len() + 4..)?.get_mut(..4)?;
    checksum.copy_from_slice(&expected.to_le_bytes());
    rmt_isa::image::read(&data).ok()
}

/// Compiling and formatting are total; formatting twice is formatting once, and a text means
/// the same before and after.
pub fn language(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let model = include_str!("../../firmware/models/page_prefetch.json");
    let files = MemoryLoader { files: [("m.json".to_owned(), model.to_owned())].into() };
    let compiled = rmt_lang::compile("fuzz.rmt", text, &files);
    if let Err(diagnostics) = &compiled {
        assert!(diagnostics.has_errors());
        // Drawing walks all places of all messages.
        assert!(!diagnostics.render(false).is_empty());
    }
    if let Ok(program) = &compiled {
        let _ = verify(program, &Limits::default());
    }
    let Ok(formatted) = rmt_lang::format("fuzz.rmt", text) else { return };
    let again = rmt_lang::format("fuzz.rmt", &formatted).expect("formatted text is right");
    assert_eq!(again, formatted);
    let recompiled = rmt_lang::compile("fuzz.rmt", &formatted, &files);
    assert_eq!(recompiled.is_ok(), compiled.is_ok(), "formatting changes whether it compiles");
}

/// A verified program never faults.
pub fn verifier(data: &[u8]) {
    let Some(case) = verified_case(data) else { return };
    let mut engine = InterpreterEngine::default();
    engine.load(&case.program).expect("a verified program loads");
    for step in &case.steps {
        if let Step::Event(event) = step {
            let status = engine.run(event).expect("the engine is loaded").status;
            let fine = matches!(
                status,
                // Events of other hooks and malformed ones are no fault of the program.
                Status::Decided
                    | Status::Abstained
                    | Status::Missed
                    | Status::NoProgram
                    | Status::BadEvent
            );
            assert!(fine, "a verified program ends with {status:?}: {case:?}");
        }
    }
}

/// The program of an input with its events, if the verifier accepts it. The first two bytes
/// choose declarations and events, the others are instructions.
pub fn verified_case(data: &[u8]) -> Option<Case> {
    let (seed, words) = data.split_first_chunk::<2>()?;
    let mut options = Options::default();
    (options.tables, options.events) = (1..=2, 4..=8);
    let code: Vec<_> = words.chunks_exact(8).take(64).map(instruction).collect();
    let case = code_case(u16::from_le_bytes(*seed).into(), &options, &code);
    verify(&case.program, &Limits::default()).is_ok().then_some(case)
}

/// The instruction of eight bytes: themselves, or the nearest with a known opcode and no bit
/// set that has no meaning, or else an exit.
fn instruction(bytes: &[u8]) -> Instruction {
    let word = bytes.try_into().map_or(0, u64::from_le_bytes);
    let info = &INSTRUCTIONS[(word & 0xff) as usize % INSTRUCTIONS.len()];
    let near = word & info.used_bits() & !0xff | u64::from(info.opcode);
    let exit = Instruction::Exit { verdict: rmt_isa::operand::Verdict::Decided };
    Instruction::decode(word).or_else(|_| Instruction::decode(near)).unwrap_or(exit)
}
