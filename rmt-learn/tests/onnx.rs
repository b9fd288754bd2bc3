//! Imported models against onnxruntime's answers, which `tools/make_onnx_fixtures.py` recorded; and
//! damaged files.

use std::path::{Path, PathBuf};

use rmt_isa::arithmetic::split_mix_64;
use rmt_learn::onnx::{Imported, import};
use serde::Deserialize;

#[derive(Deserialize)]
struct Row {
    input: Vec<f64>,
    output: Vec<f64>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx")
}

fn load(folder: &Path, name: &str) -> (Imported, Vec<Row>) {
    let bytes = std::fs::read(folder.join(format!("{name}.onnx"))).unwrap();
    let model = import(name, &bytes).unwrap_or_else(|error| panic!("{error}")).model;
    let rows = std::fs::read(folder.join(format!("{name}.json"))).unwrap();
    let rows: Vec<Row> = serde_json::from_slice(&rows).unwrap();
    assert!(rows.len() >= 100);
    (model, rows)
}

fn integers(row: &[f64]) -> Vec<i32> {
    row.iter().map(|value| *value as i32).collect()
}

/// Equal integers; by one where a half is rounded otherwise, which must be rare.
fn quantised_models_equal_onnxruntime(folder: &Path) {
    for kind in ["mlp", "cnn"] {
        for form in ["qdq_u8", "qdq_i8", "qoperator_u8"] {
            let name = format!("{kind}_{form}");
            let (Imported::Quantised(network), rows) = load(folder, &name) else {
                panic!("{name} is no quantised network")
            };
            let (mut lanes, mut equal) = (0, 0);
            for row in &rows {
                let (found, expected) =
                    (network.forward(&integers(&row.input)), integers(&row.output));
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() <= 1, "{name}: {found} for {expected}");
                    lanes += 1;
                    equal += usize::from(found == expected);
                }
            }
            assert!(equal * 100 >= lanes * 99, "{name}: {equal} of {lanes} are equal");
            let distinct: std::collections::BTreeSet<_> =
                rows.iter().map(|row| integers(&row.output)).collect();
            assert!(distinct.len() > 50, "the rows of {name} say something");
        }
    }
}

fn float_models_and_trees_equal_onnxruntime(folder: &Path) {
    for name in ["mlp_float", "cnn_float"] {
        let (Imported::Float(network), rows) = load(folder, name) else { panic!("{name}") };
        for row in &rows {
            for (found, expected) in network.forward(&row.input).iter().zip(&row.output) {
                assert!((found - expected).abs() < 1e-3, "{name}: {found} for {expected}");
            }
        }
    }
    let (Imported::Float(network), rows) = load(folder, "sk_mlp") else { panic!() };
    for row in &rows {
        assert_eq!(network.classify(&row.input), row.output[0] as usize);
    }
    for name in ["sk_forest", "sk_boosted"] {
        let (Imported::Forest(forest), rows) = load(folder, name) else { panic!("{name}") };
        for row in &rows {
            let found = forest.classify(&integers(&row.input));
            assert_eq!(found, row.output[0] as usize, "{name}: {:?}", row.input);
        }
        assert!(rows.iter().any(|row| row.output[0] != rows[0].output[0]));
    }
    let (Imported::Forest(forest), rows) = load(folder, "sk_regressor") else { panic!() };
    for row in &rows {
        let found = forest.sums(&integers(&row.input))[0] as f64 / forest.one;
        assert!((found - row.output[0]).abs() < 0.01, "{found} for {}", row.output[0]);
    }
}

#[test]
fn quantised_models_have_the_integers_of_onnxruntime() {
    quantised_models_equal_onnxruntime(&folder());
}

#[test]
fn float_models_and_trees_decide_as_in_onnxruntime() {
    float_models_and_trees_equal_onnxruntime(&folder());
}

/// The same against the onnxruntime that is installed, with models made anew.
#[test]
#[ignore = "needs onnxruntime in .tools/learn: ./x setup --all"]
fn models_made_anew_equal_the_installed_onnxruntime() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let python = root.join(".tools/learn/bin/python");
    assert!(python.exists(), "{} is missing; run ./x setup --all", python.display());
    let made = std::env::temp_dir().join(format!("rmt-onnx-{}", std::process::id()));
    let status = std::process::Command::new(python)
        .arg(root.join("tools/make_onnx_fixtures.py"))
        .arg(&made)
        .status()
        .unwrap();
    assert!(status.success());
    quantised_models_equal_onnxruntime(&made);
    float_models_and_trees_equal_onnxruntime(&made);
    std::fs::remove_dir_all(made).unwrap();
}

#[test]
fn operators_that_are_not_supported_are_all_named() {
    let bytes = std::fs::read(folder().join("unsupported.onnx")).unwrap();
    let message = import("unsupported.onnx", &bytes).unwrap_err().to_string();
    assert!(message.contains("LSTM (/lstm)") && message.contains("Erf (/erf)"), "{message}");
    assert!(message.contains("supported are Gemm"), "{message}");
}

/// Cut short, bytes changed, bytes repeated: an error or a model, never a panic, and no model that
/// its own check refuses.
#[test]
fn damaged_files_never_panic() {
    let mut errors = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "onnx") {
            continue;
        }
        let good = std::fs::read(&path).unwrap();
        for case in 0..600u64 {
            let draw = |salt: u64| split_mix_64(case * 8 + salt) as usize;
            let mut bytes = good.clone();
            match case % 3 {
                0 => bytes.truncate(draw(0) % good.len()),
                1 => {
                    for change in 0..1 + case % 4 {
                        let at = draw(1 + change) % good.len();
                        bytes[at] = draw(6 + change) as u8;
                    }
                }
                _ => {
                    let (from, to) = (draw(1) % good.len(), draw(2) % good.len());
                    let part = good[from.min(to)..from.max(to)].to_vec();
                    let at = draw(3) % good.len();
                    bytes.splice(at..at, part);
                }
            }
            match import("damaged", &bytes).map(|import| import.model) {
                Ok(Imported::Quantised(network)) => {
                    network.check().unwrap();
                    network.forward(&[1; 16]);
                }
                Ok(Imported::Float(network)) => {
                    network.check().unwrap();
                    network.forward(&vec![1.0; network.inputs()]);
                }
                Ok(Imported::Forest(forest)) => {
                    forest.classify(&[1; 5]);
                }
                Err(error) => {
                    errors += 1;
                    assert!(error.to_string().starts_with("model damaged: "), "{error}");
                }
            }
        }
    }
    assert!(errors > 2000, "{errors}");
    for bytes in [&b""[..], b"\x08", b"not a model", &[0xff; 64]] {
        assert!(import("x", bytes).is_err());
    }
}
