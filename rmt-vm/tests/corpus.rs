//! The corpus of the fuzz targets, replayed: what the fuzzers found worth keeping, and what once
//! broke something, stays right without a fuzzer.
#![cfg(feature = "jit")]

use std::path::Path;

use rmt_vm::jit::{Jit, differential::compare};

#[path = "../../fuzz/src/targets.rs"]
mod targets;

/// Gives each file of the target's corpus to the target.
fn replay(target: fn(&[u8]), name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut count = 0;
    for file in files {
        let path = file.unwrap().path();
        let data = std::fs::read(&path).unwrap();
        // A panic must say which file it was.
        println!("{}", path.display());
        target(&data);
        count += 1;
    }
    assert!(count > 10, "{} holds {count} files", folder.display());
}

#[test]
fn images() {
    replay(targets::image, "image");
}

#[test]
fn language() {
    replay(targets::language, "language");
}

#[test]
fn verified_programs() {
    replay(targets::verifier, "verifier");
}

/// The fuzzer does not run the JIT: its code generator is too large to be instrumented. What it
/// found for the interpreter is as good for the JIT.
#[test]
fn verified_programs_on_the_jit() {
    let on_jit = |data: &[u8]| {
        if let Some(case) = targets::verified_case(data) {
            compare(&case, &mut Jit::default()).unwrap_or_else(|difference| panic!("{difference}"));
        }
    };
    replay(on_jit, "verifier");
}
