//! Importing models from ONNX files: networks (float and quantised) and tree ensembles.
//!
//! [`proto`] has the messages of the format that are needed, [`tensor`] reads constants, [`chain`]
//! walks a graph that is one chain of operators from its input on. A quantised graph becomes an
//! [`IntegerNetwork`] with the same integers ([`quantised`]), a float graph a [`FloatNetwork`]
//! ([`float`]), which is quantised with a calibration set; a tree ensemble becomes forests
//! ([`trees`]).
//!
//! Files come from anywhere: sizes are bounded, lists are checked against each other, what is not
//! supported is named with its node. Nothing panics.

pub(crate) mod chain;
pub(crate) mod float;
pub(crate) mod forest_text;
pub(crate) mod geometry;
pub(crate) mod proto;
pub(crate) mod quantised;
pub(crate) mod tensor;
pub(crate) mod trees;

#[cfg(test)]
mod tests;

use prost::Message as _;

use crate::error::{LearnError, Result};
use crate::network::float::FloatNetwork;
use crate::network::integer::IntegerNetwork;

pub use forest_text::forest_program_text;
pub use trees::ImportedForest;

/// Largest file that is read.
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// Most nodes of a graph.
pub const MAX_NODES: usize = 10_000;

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Imported {
    /// A quantised network, with the integers of the file.
    Quantised(IntegerNetwork),
    /// A float network, to be quantised.
    Float(FloatNetwork),
    /// Decision trees.
    Forest(ImportedForest),
}

/// A model and what people should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Import {
    /// The model.
    pub model: Imported,
    /// What was done with operators that have no instruction of their own.
    pub notes: Vec<String>,
}

/// Reads a model; `name` stands in error messages.
///
/// # Errors
/// [`LearnError::Model`] if the bytes are no ONNX model, or the model uses what is not supported:
/// the message names every such operator.
pub fn import(name: &str, bytes: &[u8]) -> Result<Import> {
    let refuse = |reason: String| LearnError::model(name, reason);
    if bytes.len() > MAX_FILE_BYTES {
        return Err(refuse(format!(
            "the file has {} bytes; models of up to {MAX_FILE_BYTES} are read",
            bytes.len()
        )));
    }
    let model = proto::ModelProto::decode(bytes)
        .map_err(|error| refuse(format!("this is no ONNX model: {error}")))?;
    let graph = model
        .graph
        .ok_or_else(|| refuse("there is no graph in it; export the model again".into()))?;
    if graph.node.is_empty() || graph.node.len() > MAX_NODES {
        return Err(refuse(format!(
            "the graph has {} nodes; 1 to {MAX_NODES} are possible",
            graph.node.len()
        )));
    }
    import_graph(&graph).map_err(refuse)
}

fn import_graph(graph: &proto::GraphProto) -> std::result::Result<Import, String> {
    if graph.node.iter().any(|node| node.op_type.starts_with("TreeEnsemble")) {
        return trees::import(graph);
    }
    let is_quantised = graph.node.iter().any(|node| {
        matches!(
            node.op_type.as_str(),
            "QuantizeLinear" | "QLinearConv" | "QLinearMatMul" | "QGemm"
        )
    });
    if is_quantised { quantised::import(graph) } else { float::import(graph) }
}
