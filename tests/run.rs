//! `rmt run`: both engines give the same decisions and leave the same state.

mod common;

use std::fs;

use common::{firmware, rmt};

/// Program and trace; one with contexts, one with a network.
const RUNS: [(&str, &str); 2] = [
    ("page_prefetch.rmt", "traces/pages/conv.test.csv.zst"),
    ("can_migrate_task.rmt", "traces/migrations.csv.zst"),
];

/// Standard output and the state after 500 events.
fn run(engine: &str, (program, trace): (&str, &str), more: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.json");
    let (program, trace) = (firmware(program), firmware(trace));
    let mut arguments = vec!["run", &program, "--events", &trace, "--engine", engine];
    arguments.extend(["--limit", "500", "--state", state.to_str().unwrap()]);
    arguments.extend(more);
    let printed = rmt(&arguments).succeeds();
    (printed, fs::read_to_string(&state).unwrap())
}

#[test]
fn the_jit_decides_as_the_interpreter_and_leaves_the_same_state() {
    for case in RUNS {
        let (decisions, state) = run("jit", case, &[]);
        assert_eq!(decisions.lines().count(), 501, "a header and 500 decisions:\n{decisions}");
        assert!(decisions.lines().any(|line| line.contains(",decided,")), "{decisions}");
        assert!(run("interpreter", case, &[]) == (decisions, state), "{case:?}");
    }
}

#[test]
fn the_jit_counts_what_the_interpreter_counts() {
    for case in RUNS {
        let (summary, _) = run("jit", case, &["--summary", "--json"]);
        let counts: serde_json::Value = serde_json::from_str(&summary).unwrap();
        assert_eq!(counts["events"], 500);
        assert!(counts["instructions"].as_u64().unwrap() > 500, "{counts}");
        assert_eq!(run("interpreter", case, &["--summary", "--json"]).0, summary, "{case:?}");
    }
}
