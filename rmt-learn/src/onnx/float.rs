//! Float graphs: perceptrons and small convolution networks.

use super::chain::{Shape, data_input, gives, is_tail, takes, unsupported};
use super::geometry::{kernel_of, reordered, weight_shape, window_of};
use super::proto::{GraphProto, NodeProto};
use super::tensor::Constants;
use super::{Import, Imported};
use crate::network::float::{FloatNetwork, Kind, Layer};

const SUPPORTED: [&str; 18] = [
    "Gemm",
    "MatMul",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Scaler",
    "Relu",
    "Conv",
    "MaxPool",
    "Flatten",
    "Reshape",
    "Identity",
    "Dropout",
    "Cast",
    "Constant",
    "Transpose",
    "Softmax",
];

/// What is known while the chain is walked.
struct Walk {
    shape: Shape,
    /// Input scaling that the first layer takes in: lane × factor + offset.
    scaling: Option<(Vec<f64>, Vec<f64>)>,
    layers: Vec<Layer>,
    notes: Vec<String>,
}

/// Imports a float graph.
pub fn import(graph: &GraphProto) -> Result<Import, String> {
    let mut constants = Constants::of(graph)?;
    let (mut current, shape) = data_input(graph, &constants)?;
    if let Some(message) = unsupported(graph, &SUPPORTED) {
        return Err(message);
    }
    let mut walk = Walk { shape, scaling: None, layers: Vec::new(), notes: Vec::new() };
    for (index, node) in graph.node.iter().enumerate() {
        if constants.fold(node)? {
            continue;
        }
        if !walk.layers.is_empty() && is_tail(&graph.node[index..]) {
            walk.notes.push(format!(
                "from {} on the graph only turns scores into labels; the class is the largest score, of a lone score above 0",
                node.label()
            ));
            break;
        }
        // An addition may name the chain second.
        let swapped = node.op_type == "Add" && node.input.get(1) == Some(&current);
        if !swapped {
            takes(node, &current)?;
        }
        step(&mut walk, node, &constants, usize::from(!swapped))
            .map_err(|reason| format!("{}: {reason}", node.label()))?;
        current = gives(node)?;
    }
    if walk.scaling.is_some() {
        return Err("the graph scales its input and has no layer".into());
    }
    let network = FloatNetwork { layers: walk.layers };
    network.check().map_err(|error| error.to_string())?;
    Ok(Import { model: Imported::Float(network), notes: walk.notes })
}

fn step(
    walk: &mut Walk,
    node: &NodeProto,
    constants: &Constants,
    other: usize,
) -> Result<(), String> {
    match node.op_type.as_str() {
        "Gemm" => gemm(walk, node, constants)?,
        "MatMul" => {
            let weights = constants.input(node, 1)?.transposed()?;
            dense(walk, &weights.shape, &weights.real(), Vec::new())?;
        }
        "Add" if !walk.layers.is_empty() && walk.scaling.is_none() => {
            let bias = constants.input(node, other)?.real();
            let layer = walk.layers.last_mut().ok_or("an addition without a layer before it")?;
            if layer.relu || bias.len() != layer.bias.len() {
                return Err("it is no bias of the layer before it".into());
            }
            layer.bias.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
        }
        "Add" | "Sub" | "Mul" | "Div" | "Scaler" => scale_input(walk, node, constants, other)?,
        "Relu" => {
            let layer = walk.layers.last_mut().ok_or("there is no layer before it")?;
            layer.relu = true;
        }
        "Conv" => convolution(walk, node, constants)?,
        "MaxPool" => {
            no_scaling(walk)?;
            let kernel = kernel_of(node)?;
            let Shape::Image { channels, .. } = walk.shape else {
                return Err("it takes an image, features come".into());
            };
            let (window, shape) = window_of(node, walk.shape, kernel, channels)?;
            let inputs = walk.shape.count();
            walk.layers.push(Layer::random(Kind::PoolMax(window), inputs, channels, false, 0));
            walk.shape = shape;
        }
        "Flatten" | "Reshape" => {
            if let Shape::Image { channels, height, width } = walk.shape {
                walk.shape = Shape::FlatImage { channels, height, width };
            }
        }
        "Identity" | "Dropout" | "Cast" => {}
        other => return Err(format!("{other} is supported behind the last layer only")),
    }
    Ok(())
}

fn gemm(walk: &mut Walk, node: &NodeProto, constants: &Constants) -> Result<(), String> {
    let unit = |name| node.attribute(name).is_none_or(|attribute| attribute.f == 1.0);
    if !unit("alpha") || !unit("beta") || node.int("transA", 0) != 0 {
        return Err("alpha, beta other than 1 and transA are not supported".into());
    }
    let weights = constants.input(node, 1)?;
    let weights =
        if node.int("transB", 0) != 0 { weights.clone() } else { weights.transposed()? };
    let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
        Some(_) => constants.input(node, 2)?.real(),
        None => Vec::new(),
    };
    dense(walk, &weights.shape, &weights.real(), bias)
}

/// Adds a dense layer with weights `[outputs, inputs]` in the format's order of inputs.
fn dense(walk: &mut Walk, shape: &[usize], weights: &[f64], bias: Vec<f64>) -> Result<(), String> {
    let [outputs, inputs] = *shape else {
        return Err(format!("weights of the shape {shape:?}; a matrix is needed"));
    };
    if matches!(walk.shape, Shape::Image { .. }) {
        return Err("an image comes; flatten it first".into());
    }
    if inputs != walk.shape.count() || outputs == 0 {
        return Err(format!("weights for {inputs} inputs, {} come", walk.shape.count()));
    }
    let mut bias = if bias.is_empty() { vec![0.0; outputs] } else { bias };
    if bias.len() == 1 {
        bias = vec![bias[0]; outputs];
    }
    if bias.len() != outputs {
        return Err(format!("{} biases for {outputs} outputs", bias.len()));
    }
    let order = walk.shape.format_order();
    let mut ordered: Vec<f64> =
        weights.chunks(inputs).flat_map(|row| order.iter().map(move |place| row[*place])).collect();
    if let Some((factors, offsets)) = walk.scaling.take() {
        for (row, bias) in ordered.chunks_mut(inputs).zip(&mut bias) {
            for (lane, weight) in row.iter_mut().enumerate() {
                *bias += *weight * offsets[lane];
                *weight *= factors[lane];
            }
        }
    }
    walk.layers.push(Layer {
        kind: Kind::Dense,
        inputs,
        channels: outputs,
        weights: ordered,
        bias,
        relu: false,
    });
    walk.shape = Shape::Flat(outputs);
    Ok(())
}

fn convolution(walk: &mut Walk, node: &NodeProto, constants: &Constants) -> Result<(), String> {
    no_scaling(walk)?;
    let weights = constants.input(node, 1)?;
    let [outputs, channels, height, width] = weight_shape(node, &weights.shape, walk.shape)?;
    let (window, shape) = window_of(node, walk.shape, [height, width], outputs)?;
    let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
        Some(_) => constants.input(node, 2)?.real(),
        None => vec![0.0; outputs],
    };
    walk.layers.push(Layer {
        kind: Kind::Convolution(window),
        inputs: walk.shape.count(),
        channels: outputs,
        weights: reordered(&weights.real(), [outputs, channels, height, width]),
        bias,
        relu: false,
    });
    walk.shape = shape;
    Ok(())
}

/// `Sub`, `Div`, `Mul`, `Add` and `Scaler` on the input go into the first layer.
fn scale_input(
    walk: &mut Walk,
    node: &NodeProto,
    constants: &Constants,
    other: usize,
) -> Result<(), String> {
    let count = walk.shape.count();
    if !walk.layers.is_empty() || !matches!(walk.shape, Shape::Flat(_)) {
        return Err("scaling is supported for features before the first layer only".into());
    }
    let spread = |values: Vec<f64>| match values.len() {
        1 => Ok(vec![values[0]; count]),
        length if length == count => Ok(values),
        length => Err(format!("{length} values for {count} features")),
    };
    let (mut factors, mut offsets) =
        walk.scaling.take().unwrap_or_else(|| (vec![1.0; count], vec![0.0; count]));
    let (times, plus): (Vec<f64>, Vec<f64>) = if node.op_type == "Scaler" {
        let list = |name: &str| {
            let floats = node.attribute(name).map_or(&[][..], |attribute| &attribute.floats);
            spread(floats.iter().map(|value| f64::from(*value)).collect())
        };
        let (offset, scale) = (list("offset")?, list("scale")?);
        let plus = offset.iter().zip(&scale).map(|(offset, scale)| -offset * scale).collect();
        (scale, plus)
    } else {
        let values = spread(constants.input(node, other)?.real())?;
        match node.op_type.as_str() {
            "Add" => (vec![1.0; count], values),
            "Sub" => (vec![1.0; count], values.iter().map(|value| -value).collect()),
            "Mul" => (values, vec![0.0; count]),
            _ => (values.iter().map(|value| 1.0 / value).collect(), vec![0.0; count]),
        }
    };
    for lane in 0..count {
        factors[lane] *= times[lane];
        offsets[lane] = offsets[lane] * times[lane] + plus[lane];
    }
    walk.scaling = Some((factors, offsets));
    Ok(())
}

fn no_scaling(walk: &Walk) -> Result<(), String> {
    match walk.scaling {
        None => Ok(()),
        Some(_) => Err("scaling before an image layer is not supported".into()),
    }
}
