//! Training and importing through the command; a tree learnt on line on the simulated RTL.

mod common;

use std::fs;
use std::path::Path;

use common::{firmware, rmt};
use rmt_learn::prefetch::online::{OnlinePrefetch, OnlinePrefetchConfig};
use rmt_learn::prefetch::trace::read_page_trace;
use rmt_learn::prefetch::train::export;

fn onnx(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rmt-learn/tests/onnx");
    folder.join(name).display().to_string()
}

#[test]
fn imported_models_become_programs_that_the_verifier_accepts() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["mlp_qdq_u8", "cnn_qoperator_u8", "sk_forest", "sk_boosted", "sk_regressor"] {
        let program = folder.path().join(format!("{name}.rmt"));
        let program = program.to_str().unwrap();
        let output = rmt(&["import", &onnx(&format!("{name}.onnx")), "-o", program]).succeeds();
        assert!(output.contains("card cycles"), "{output}");
        rmt(&["check", program]).succeeds();
        rmt(&["dis", program]).succeeds();
    }
    // A float network needs inputs to be quantised with.
    let program = folder.path().join("float.rmt");
    let (program, model) = (program.to_str().unwrap(), onnx("sk_mlp.onnx"));
    let message = rmt(&["import", &model, "-o", program]).fails();
    assert!(message.contains("--calibrate FILE with lines of 5 integers"), "{message}");
    let rows = folder.path().join("rows.csv");
    fs::write(&rows, "1,2,3,4,5\n-900,800,30,4,x\n").unwrap();
    let message =
        rmt(&["import", &model, "-o", program, "--calibrate", rows.to_str().unwrap()]).fails();
    assert!(message.contains("line 2: 5 integers are expected"), "{message}");
    assert!(!Path::new(program).exists());
    fs::write(&rows, "1,2,3,4,5\n-900,800,30,4,1000\n").unwrap();
    rmt(&["import", &model, "-o", program, "--calibrate", rows.to_str().unwrap()]).succeeds();
    rmt(&["check", program]).succeeds();
}

#[test]
fn what_cannot_be_imported_is_named_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("model.rmt");
    let program = program.to_str().unwrap();
    let message = rmt(&["import", &onnx("unsupported.onnx"), "-o", program]).fails();
    assert!(message.contains("LSTM (/lstm)") && message.contains("Erf (/erf)"), "{message}");
    let message = rmt(&["import", &firmware("page_prefetch.rmt"), "-o", program]).fails();
    assert!(message.contains("this is no ONNX model"), "{message}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_page_tree_is_trained_and_bad_traces_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("tree.json");
    let model = model.to_str().unwrap();
    let trace = firmware("traces/pages/conv.train.csv.zst");
    let output = rmt(&["train", "prefetch", &trace, "-o", model]).succeeds();
    assert!(output.contains("accuracy 9"), "{output}");
    assert!(fs::read_to_string(model).unwrap().contains("\"walk\""));

    let empty = folder.path().join("empty.csv");
    fs::write(&empty, "time_us,pid,vpn,swap_offset\n").unwrap();
    let bad = |text: &str| {
        fs::write(&empty, text).unwrap();
        let path = empty.to_str().unwrap();
        rmt(&["train", "prefetch", path, "-o", folder.path().join("no.json").to_str().unwrap()])
            .fails()
    };
    assert!(bad("time_us,pid,vpn,swap_offset\n").contains("no row"));
    assert!(bad("time_us,pid,vpn,swap_offset\n1,2,3,4\n").contains("horizon"));
    assert!(!folder.path().join("no.json").exists());
}

#[test]
fn a_tree_learnt_on_line_runs_on_the_rtl_as_on_the_interpreter() {
    if let Err(error) = rmt_sim::verilated::Toolchain::locate() {
        eprintln!("skipped: {error}");
        return;
    }
    let trace = firmware("traces/pages/conv.test.csv.zst");
    let mut policy = OnlinePrefetch::new(OnlinePrefetchConfig::default()).unwrap();
    let mut newest = None;
    for access in read_page_trace(Path::new(&trace)).unwrap() {
        policy.decide(&access).unwrap();
        newest = policy.take_new_tree().or(newest);
    }
    let tree = newest.unwrap();
    assert!(tree.leaf_count() > 3);
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("page_prefetch.rmt");
    fs::copy(firmware("page_prefetch.rmt"), &program).unwrap();
    fs::create_dir(folder.path().join("models")).unwrap();
    export(&tree).write(&folder.path().join("models/page_prefetch.json")).unwrap();
    let report = rmt(&[
        "cosim",
        program.to_str().unwrap(),
        "--events",
        &trace,
        "--limit",
        "3000",
        "--preset",
        "small",
        "--json",
    ])
    .succeeds();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["mismatches"], serde_json::json!([]));
    assert_eq!(report["events"], 3000);
}
