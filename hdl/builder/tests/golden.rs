//! The Verilog of the samples, against files beside this one; each is also linted and parsed by the tools that are there.
//!
//! `UPDATE_GOLDEN=1 cargo test -p rtl-builder --test golden` writes the files anew; read the difference before committing.
#![allow(missing_docs)]

mod support;

use rtl_builder::prelude::*;
use std::path::Path;
use support::samples::{Arithmetic, Corners, Handshake, MacArray, Memories, Streams};
use support::{simulate, tools};

fn check<C: Component>(component: C) {
    let design = elaborate(&component).expect("the sample is valid");
    let text = design.verilog();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/golden/{}.sv", design.top_name()));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    for (number, (expected, found)) in golden.lines().zip(text.lines()).enumerate() {
        assert_eq!(expected, found, "{}:{}", file.display(), number + 1);
    }
    assert_eq!(
        golden.lines().count(),
        text.lines().count(),
        "{} has another length",
        file.display()
    );
    assert_eq!(
        elaborate(&component).expect("the sample is valid").verilog(),
        text,
        "output must be deterministic"
    );
    parse(&design);
}

fn parse(design: &Design) {
    let folder = simulate::Folder::new(design.top_name());
    let files = design.write_to(folder.path()).expect("the folder is writable");
    match tools::verilator() {
        Some(tool) => simulate::lint(&tool, &files, design.top_name(), folder.path()),
        None => tools::skip("lint of a golden file", "verilator"),
    }
    match tools::iverilog() {
        Some(tool) => {
            let mut arguments =
                vec!["-g2012", "-Wall", "-o", "parsed.vvp", "-s", design.top_name()];
            arguments.extend(files.iter().map(String::as_str));
            let said = tools::run(&tool, folder.path(), &arguments);
            let said: Vec<&str> = said.lines().filter(|line| !line.contains("timescale")).collect();
            assert!(said.is_empty(), "Icarus objects: {said:?}");
        }
        None => tools::skip("parsing a golden file", "iverilog"),
    }
}

#[test]
fn arithmetic() {
    check(Arithmetic);
}

#[test]
fn handshake() {
    check(Handshake);
}

#[test]
fn memories() {
    check(Memories);
}

#[test]
fn corners() {
    check(Corners);
}

#[test]
fn streams() {
    check(Streams);
}

#[test]
fn mac_array() {
    check(MacArray { size: 2 });
}
