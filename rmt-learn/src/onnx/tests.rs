//! Graphs that are legal files and no models: each is refused with what is wrong with it.

use std::path::Path;

use prost::Message as _;

use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use super::{Imported, MAX_FILE_BYTES, MAX_NODES, import};
use crate::network::program_text::program_text;
use crate::network::quantise::quantise;
use rmt_isa::operand::Element;
use rmt_vm::verifier::{Limits, verify};

/// The float type of tensors.
const FLOAT: i32 = 1;

/// A float network that PyTorch exported.
fn fixture() -> ModelProto {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx/mlp_float.onnx");
    ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap()
}

fn refused(change: impl FnOnce(&mut GraphProto)) -> String {
    let mut model = fixture();
    change(model.graph.as_mut().unwrap());
    import("model", &model.encode_to_vec()).unwrap_err().to_string()
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let message = refused(|graph| {
            let weights = graph.initializer.iter_mut().find(|tensor| tensor.data_type == FLOAT);
            let weights = weights.unwrap();
            if weights.raw_data.is_empty() {
                weights.float_data[1] = value;
            } else {
                weights.raw_data[4..8].copy_from_slice(&value.to_le_bytes());
            }
        });
        assert!(message.contains(&format!("holds {value}; train again")), "{message}");
    }
}

#[test]
fn huge_graphs_tensors_and_files_are_refused_before_they_cost_anything() {
    let message = refused(|graph| {
        let relu = NodeProto { op_type: "Relu".into(), ..NodeProto::default() };
        graph.node = vec![relu; MAX_NODES + 1];
    });
    assert!(message.contains("the graph has 10001 nodes; 1 to 10000"), "{message}");
    // What its shape promises is more than could be held; the file has none of it.
    for dims in [vec![1 << 20, 1 << 20], vec![i64::MAX, i64::MAX], vec![1 << 62, 4]] {
        let message = refused(|graph| graph.initializer[0].dims = dims);
        assert!(message.contains("has more than 16777216 elements"), "{message}");
    }
    let message = refused(|graph| graph.initializer[0].dims[0] = -1);
    assert!(message.contains("has a length of -1"), "{message}");
    let message = import("model", &vec![0; MAX_FILE_BYTES + 1]).unwrap_err().to_string();
    assert!(message.contains("models of up to 67108864 are read"), "{message}");
}

/// A network can be imported that no event may take; the verifier refuses it, and says by how much.
#[test]
fn a_model_over_the_budget_is_refused_by_the_verifier_with_what_it_costs() {
    const UNITS: usize = 40;
    let mut graph = fixture().graph.unwrap();
    let input = graph.input[0].name.clone();
    let output = graph.output[0].name.clone();
    let dimensions = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
    dimensions.shape.as_mut().unwrap().dim.last_mut().unwrap().dim_value = UNITS as i64;
    (graph.node, graph.initializer) = (Vec::new(), Vec::new());
    let mut last = input;
    for layer in 0..40 {
        let (weights, bias) = (format!("w{layer}"), format!("b{layer}"));
        let tensor = |name: &str, dims: &[usize]| TensorProto {
            dims: dims.iter().map(|length| *length as i64).collect(),
            data_type: FLOAT,
            float_data: vec![0.01; dims.iter().product()],
            name: name.into(),
            ..TensorProto::default()
        };
        graph.initializer.push(tensor(&weights, &[UNITS, UNITS]));
        graph.initializer.push(tensor(&bias, &[UNITS]));
        let next = if layer == 39 { output.clone() } else { format!("h{layer}") };
        let node = |op_type: &str, input: Vec<String>, output: String| NodeProto {
            input,
            output: vec![output],
            op_type: op_type.into(),
            ..NodeProto::default()
        };
        graph.node.push(node("Gemm", vec![last, weights, bias], next.clone()));
        last = next;
    }
    let bytes = ModelProto { graph: Some(graph) }.encode_to_vec();
    let Imported::Float(network) = import("deep", &bytes).unwrap().model else { panic!() };
    let rows = [vec![100; UNITS], vec![-100; UNITS]];
    let mut network = quantise(&network, &[0.01; UNITS], &rows, Element::I8).unwrap();
    network.input_element = Element::I8;
    let text = program_text(&network, "deep", "deep.json").unwrap();
    let folder = std::env::temp_dir().join(format!("rmt-deep-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("deep.json");
    std::fs::write(path, network.to_model_file(Vec::new()).to_json()).unwrap();
    let files = rmt_lang::DirectoryLoader::beside(&folder.join("deep.rmt"));
    let program = rmt_lang::compile("deep.rmt", &text, &files).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let report = verify(&program, &Limits::default()).unwrap();
    assert_eq!(report.event.macs, 40 * UNITS as u64 * UNITS as u64);
    let mut limits = Limits::default();
    (limits.event.macs, limits.event.card_cycles) = (50_000, 5_000);
    let violations = verify(&program, &limits).unwrap_err();
    let list: Vec<_> = violations.iter().map(ToString::to_string).collect();
    let list = list.join("\n");
    for part in ["64 000", "50 000", "1 449 too many", "prune or shrink model"] {
        assert!(list.contains(part), "{part} is missing in:\n{list}");
    }
}
