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

/// Every n-th line of the recorded decisions behind the header.
fn some_decisions(every: usize) -> String {
    let file = fs::read(firmware("traces/migrations.csv.zst")).unwrap();
    let mut text = String::new();
    let mut decoder = ruzstd::decoding::StreamingDecoder::new(file.as_slice()).unwrap();
    std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<_> = rows.lines().step_by(every).collect();
    format!("{header}\n{}\n", rows.join("\n"))
}

#[test]
fn a_search_trains_trees_and_networks_and_goes_on_from_its_journal() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (trace, journal) = (file("decisions.csv"), file("search.jsonl"));
    fs::write(&trace, some_decisions(16)).unwrap();
    let search = |budget| {
        let arguments = ["train", "search", &trace, "--journal", &journal, "--budget", budget];
        rmt(&arguments)
    };
    let first = search("150").succeeds();
    assert!(first.contains("trainings (0 from the journal)"), "{first}");
    let text = fs::read_to_string(&journal).unwrap();
    let trained = |kind: &str| {
        let mut trials = text.lines().filter(|line| line.contains(kind));
        let good = |line: &str| {
            let trial: serde_json::Value = serde_json::from_str(line).unwrap();
            trial["score"].as_f64().is_some_and(|score| score > 0.5)
        };
        trials.clone().count() > 5 && trials.all(good)
    };
    assert!(trained("\"tree\"") && trained("\"network\""), "{text}");
    let best =
        |output: &str| output.lines().find(|line| line.starts_with("best")).map(str::to_owned);
    assert!(best(&first).unwrap().contains("card cycles"), "{first}");

    let trainings = text.lines().count();
    let second = search("150").succeeds();
    assert!(
        second.contains(&format!("{trainings} trainings ({trainings} from the journal)")),
        "{second}"
    );
    assert_eq!(best(&first), best(&second));
    let message = search("3").fails();
    assert!(message.contains("card cycles, the budget is 3"), "{message}");
}

#[test]
fn what_nothing_can_be_learnt_from_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (trace, model) = (file("trace.csv"), file("model.json"));
    let decisions = some_decisions(64);
    let header = decisions.lines().next().unwrap();
    let of_class = |class: &str| {
        let rows = decisions.lines().filter(|row| row.ends_with(&format!(",1,{class}")));
        let rows: Vec<_> = rows.collect();
        assert!(rows.len() > 20);
        format!("{header}\n{}\n", rows.join("\n"))
    };
    let migrate = |text: &str, what: &str| {
        fs::write(&trace, text).unwrap();
        let mut arguments = vec!["train", what, &trace];
        if what == "migrate" {
            arguments.extend(["-o", &model]);
        }
        rmt(&arguments).fails()
    };
    for class in ["0", "1"] {
        let message = migrate(&of_class(class), "migrate");
        assert!(message.contains(&format!("samples have class {class}")), "{message}");
        let message = migrate(&of_class(class), "search");
        assert!(message.contains("decisions to train on are alike"), "{message}");
    }
    let message = migrate(&format!("{header}\n"), "migrate");
    assert!(message.contains("there is a header and no row"), "{message}");
    let message = migrate(&decisions.replace("delta_hot", "warm"), "migrate");
    assert!(message.contains("column 'delta_hot' is missing"), "{message}");
    let message = migrate(&format!("{header}\n"), "search");
    assert!(message.contains("there is a header and no row"), "{message}");
    // One page again and again: no page is worth asking for.
    let faults: String = (0..3000).map(|time| format!("{time},7,1000,5\n")).collect();
    fs::write(&trace, format!("time_us,pid,vpn,swap_offset\n{faults}")).unwrap();
    let message = rmt(&["train", "prefetch", &trace, "-o", &model]).fails();
    assert!(message.contains("no prefetch would have paid"), "{message}");
    assert!(!Path::new(&model).exists());
}

#[test]
fn live_results_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("prefetch.jsonl"), "{\"policy\":\"none\"}\n").unwrap();
    let page = folder.path().join("page.html");
    let live = folder.path().display().to_string();
    let message = rmt(&["report", "--live", &live, "-o", page.to_str().unwrap()]).fails();
    assert!(
        message.contains("prefetch.jsonl: line 1 is no result of `rmt guest study`"),
        "{message}"
    );
    let message = rmt(&["report", "--live", "/no/such/folder"]).fails();
    assert!(message.contains("/no/such/folder"), "{message}");
    let message = rmt(&["guest", "study", "balance", "--runs", "1"]).fails();
    assert!(message.contains("--runs 2"), "{message}");
    assert!(!page.exists());
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
