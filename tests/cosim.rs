//! Co-simulation through the command: equality on real events, and that a broken RTL is found.

mod common;

use std::fs;
use std::path::Path;

use common::{firmware, rmt};
use serde_json::Value;

/// Prints why a test does nothing when there is no Verilator.
fn verilator_is_missing() -> bool {
    match rmt_sim::verilated::Toolchain::locate() {
        Ok(_) => false,
        Err(error) => {
            eprintln!("skipped: {error}");
            true
        }
    }
}

fn cosim(program: &str, events: &str, more: &[&str]) -> Value {
    let (program, events) = (firmware(program), firmware(events));
    let mut arguments = vec!["cosim", &program, "--events", &events, "--json"];
    arguments.extend(more);
    let output = rmt(&arguments).succeeds();
    let report: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(report["mismatches"], serde_json::json!([]));
    report
}

#[test]
fn both_programs_agree_with_the_rtl_on_20000_real_events_each() {
    if verilator_is_missing() {
        return;
    }
    let mut faults = 0;
    for trace in ["resize", "conv", "column", "bfs"] {
        let events = format!("traces/pages/{trace}.test.csv.zst");
        let report = cosim("page_prefetch.rmt", &events, &["--preset", "small"]);
        faults += report["events"].as_u64().unwrap();
    }
    assert!(faults >= 20_000, "{faults}");
    let report = cosim("can_migrate_task.rmt", "traces/migrations.csv.zst", &["--preset", "small"]);
    assert!(report["events"].as_u64().unwrap() >= 20_000);
}

#[test]
fn events_that_overlap_agree_too() {
    if verilator_is_missing() {
        return;
    }
    for (program, events) in [
        ("page_prefetch.rmt", "traces/pages/conv.test.csv.zst"),
        ("can_migrate_task.rmt", "traces/migrations.csv.zst"),
    ] {
        cosim(program, events, &["--preset", "small", "--in-flight", "4", "--limit", "3000"]);
    }
}

#[test]
fn a_waveform_is_written() {
    if verilator_is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let wave = folder.path().join("out.fst");
    let more = ["--preset", "small", "--limit", "20", "--wave", wave.to_str().unwrap()];
    cosim("page_prefetch.rmt", "traces/pages/conv.test.csv.zst", &more);
    assert!(fs::metadata(&wave).unwrap().len() > 10_000);
}

/// Turns the adder of the scalar ALU into a subtracter.
fn break_an_adder(folder: &Path) {
    let path = folder.join("scalar_alu.sv");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.matches("} + {").count(), 1, "the ALU has one adder");
    fs::write(&path, text.replace("} + {", "} - {")).unwrap();
}

#[test]
fn a_broken_adder_is_found_and_the_first_event_field_and_cycle_named() {
    if verilator_is_missing() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let verilog = folder.path().to_str().unwrap();
    rmt(&["gen", "--preset", "small", "-o", verilog]).succeeds();
    break_an_adder(folder.path());
    let message = rmt(&[
        "cosim",
        &firmware("page_prefetch.rmt"),
        "--events",
        &firmware("traces/pages/conv.test.csv.zst"),
        "--limit",
        "200",
        "--preset",
        "small",
        "--verilog",
        verilog,
    ])
    .fails();
    assert!(message.contains("the RTL differs from the interpreter: event "), "{message}");
    assert!(message.contains("field ") && message.contains("cycle "), "{message}");
}
