//! What the command does with bad input: one clear error with place and remedy, an exit code
//! that is not 0, and nothing half-written.

mod common;

use std::fs;

use common::{firmware, rmt};

const TRACE: &str = "time_us,pid,vpn,swap_offset\n0,7,100,1\n5,7,101,2\n";

#[test]
fn a_malformed_trace_line_is_named_with_its_column() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("faults.csv");
    fs::write(&trace, format!("{TRACE}9,7,10x,3\n")).unwrap();
    let message =
        rmt(&["run", &firmware("page_prefetch.rmt"), "--events", trace.to_str().unwrap()]).fails();
    assert!(message.contains("faults.csv: line 4, column `vpn`: `10x`"), "{message}");
}

#[test]
fn a_missing_column_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("faults.csv");
    fs::write(&trace, TRACE.replace("vpn", "page")).unwrap();
    let message =
        rmt(&["run", &firmware("page_prefetch.rmt"), "--events", trace.to_str().unwrap()]).fails();
    assert!(message.contains("has the field `vpn`, but no column has this name"), "{message}");
}

#[test]
fn a_truncated_image_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("program.elf");
    let image_path = image.to_str().unwrap();
    rmt(&["build", &firmware("page_prefetch.rmt"), "-o", image_path]).succeeds();
    let trace = folder.path().join("faults.csv");
    fs::write(&trace, TRACE).unwrap();
    rmt(&["run", image_path, "--events", trace.to_str().unwrap()]).succeeds();

    let bytes = fs::read(&image).unwrap();
    fs::write(&image, &bytes[..bytes.len() - 100]).unwrap();
    let message = rmt(&["check", image_path]).fails();
    assert!(message.contains("program.elf"), "{message}");
    assert!(message.contains("build it again with `rmt build`"), "{message}");
}

#[test]
fn an_uninitialised_register_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = rmt_isa::Program {
        name: "hostile".into(),
        tables: vec![rmt_isa::program::Table {
            name: "entry".into(),
            kind: rmt_isa::program::MatchKind::Exact,
            key: vec![],
            capacity: 1,
            actions: vec![0],
            default: Some(rmt_isa::program::ActionCall { action: 0, parameters: vec![] }),
            entries: vec![],
        }],
        ..Default::default()
    };
    program.actions = vec![rmt_isa::program::Action {
        name: "leak".into(),
        parameters: vec![],
        arguments: 0,
        code: rmt_isa::assembly::assemble("addi r1, r9, 1\nexit decided").unwrap(),
        lines: vec![0, 0],
    }];
    let image = folder.path().join("hostile.elf");
    fs::write(&image, rmt_isa::image::write(&program).unwrap()).unwrap();
    let message = rmt(&["check", image.to_str().unwrap()]).fails();
    for part in ["`entry`", "`leak`", "r9", "addi r1, r9, 1"] {
        assert!(message.contains(part), "{part} is missing in:\n{message}");
    }
}

#[test]
fn a_program_that_does_not_compile_leaves_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("broken.rmt");
    let good = fs::read_to_string(firmware("page_prefetch.rmt")).unwrap();
    fs::write(&source, good.replace("let near =", "let near")).unwrap();
    let message = rmt(&["build", source.to_str().unwrap()]).fails();
    assert!(message.contains("broken.rmt"), "{message}");
    let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(files, [source], "something was left behind");
}

#[test]
fn a_missing_verilator_is_named_with_the_command_that_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("faults.csv");
    fs::write(&trace, TRACE).unwrap();
    let message =
        rmt(&["cosim", &firmware("page_prefetch.rmt"), "--events", trace.to_str().unwrap()])
            .env("RMT_TOOLS", folder.path())
            .env("PATH", folder.path())
            .fails();
    assert!(message.to_lowercase().contains("verilator"), "{message}");
    assert!(message.contains("./x setup"), "{message}");
}

#[test]
fn a_file_that_is_neither_source_nor_image_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("noise");
    fs::write(&file, [0xff, 0xfe, 0x00, 0x12]).unwrap();
    let message = rmt(&["check", file.to_str().unwrap()]).fails();
    assert!(message.contains("byte 0 is not UTF-8"), "{message}");
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_rmt"))
        .args(["fpga", "list"])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(141));
}
