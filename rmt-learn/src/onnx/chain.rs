//! Walking a graph that is one chain: each node takes what the node before it gave, and constants.

use super::proto::{GraphProto, NodeProto, ValueInfoProto};
use super::tensor::Constants;

/// Shape of the value that flows along the chain, without the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A list of features.
    Flat(usize),
    /// Channels, rows, columns. Lanes of the machine run by row, column, channel.
    Image {
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// An image laid out flat in the format's order (channel, row, column), while the machine's
    /// lanes still have their own.
    FlatImage {
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
}

impl Shape {
    /// Lanes.
    pub fn count(self) -> usize {
        match self {
            Self::Flat(count) => count,
            Self::Image { channels, height, width }
            | Self::FlatImage { channels, height, width } => channels * height * width,
        }
    }

    /// For each lane of the machine, its place in the format's order.
    pub fn format_order(self) -> Vec<usize> {
        match self {
            Self::Flat(count) => (0..count).collect(),
            Self::Image { channels, height, width }
            | Self::FlatImage { channels, height, width } => {
                let pixels = height * width;
                (0..pixels)
                    .flat_map(|pixel| (0..channels).map(move |c| c * pixels + pixel))
                    .collect()
            }
        }
    }
}

/// The graph's one data input: name and shape.
pub fn data_input(graph: &GraphProto, constants: &Constants) -> Result<(String, Shape), String> {
    let inputs: Vec<&ValueInfoProto> =
        graph.input.iter().filter(|input| constants.get(&input.name).is_none()).collect();
    let [input] = inputs.as_slice() else {
        let names: Vec<_> = inputs.iter().map(|input| input.name.as_str()).collect();
        return Err(format!(
            "the graph has {} data inputs ({}); exactly one is supported",
            inputs.len(),
            names.join(", ")
        ));
    };
    let shape = (input.r#type.as_ref())
        .and_then(|kind| kind.tensor_type.as_ref())
        .and_then(|tensor| tensor.shape.as_ref())
        .ok_or_else(|| {
            format!("input {} has no shape; export the model with shapes", input.name)
        })?;
    let dims: Vec<usize> =
        shape.dim.iter().map(|dim| usize::try_from(dim.dim_value).unwrap_or(0)).collect();
    // The batch is 1 or open.
    let shape = match dims[..] {
        [count] | [0 | 1, count] if (1..=4096).contains(&count) => Shape::Flat(count),
        [0 | 1, channels, height, width]
            if [channels, height, width].iter().all(|length| (1..=256).contains(length)) =>
        {
            Shape::Image { channels, height, width }
        }
        _ => {
            return Err(format!(
                "input {} has the shape {dims:?} (0: open); a batch of 1 with features, or with channels, rows and columns, is supported",
                input.name
            ));
        }
    };
    Ok((input.name.clone(), shape))
}

/// Checks that a node takes `current` as its first data input.
pub fn takes(node: &NodeProto, current: &str) -> Result<(), String> {
    match node.input.first() {
        Some(name) if name == current => Ok(()),
        other => Err(format!(
            "{}: it takes '{}', the chain is at '{current}'; graphs with branches are not supported",
            node.label(),
            other.map_or("", String::as_str)
        )),
    }
}

/// The name that a node gives its result.
pub fn gives(node: &NodeProto) -> Result<String, String> {
    node.output.first().cloned().ok_or_else(|| format!("{}: it gives nothing", node.label()))
}

/// Operators that turn scores into labels and tables; behind the last layer they change no decision.
const TAIL: [&str; 17] = [
    "ArgMax",
    "ArrayFeatureExtractor",
    "ZipMap",
    "Cast",
    "Reshape",
    "Sub",
    "Concat",
    "Normalizer",
    "Identity",
    "Squeeze",
    "Unsqueeze",
    "Softmax",
    "LogSoftmax",
    "Sigmoid",
    "Greater",
    "Less",
    "Constant",
];

/// Whether the rest of a graph only turns scores into labels.
pub fn is_tail(nodes: &[NodeProto]) -> bool {
    nodes.iter().all(|node| TAIL.contains(&node.op_type.as_str()))
}

/// The message that names all operators that are not in `supported`; `None` if there is none.
pub fn unsupported(graph: &GraphProto, supported: &[&str]) -> Option<String> {
    let mut names: Vec<String> = graph
        .node
        .iter()
        .filter(|node| {
            let name = node.op_type.as_str();
            !supported.contains(&name) && !TAIL.contains(&name)
        })
        .map(NodeProto::label)
        .collect();
    names.dedup();
    let more = names.len().saturating_sub(12);
    names.truncate(12);
    (!names.is_empty()).then(|| {
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "operators that are not supported: {}{rest}; supported are {}",
            names.join(", "),
            supported.join(", ")
        )
    })
}
