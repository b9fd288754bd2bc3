//! Quantised graphs, in both forms that onnxruntime writes: operators between `QuantizeLinear` and
//! `DequantizeLinear`, and operators on integers (`QLinearConv`, `QLinearMatMul`, `QGemm`).
//!
//! A lane holds the file's integer; of unsigned bytes, the integer less 128. Products and sums are
//! those of the file. Requantisation multiplies by a 31-bit multiplier and rounds half up, where
//! onnxruntime multiplies by a 32-bit float and rounds half to even: results can differ by one
//! where the exact value lies within a few millionths of a half.

use rmt_isa::operand::Element;
use rmt_isa::program::ChannelScale;

use super::chain::{Shape, data_input, gives, is_tail, takes, unsupported};
use super::geometry::{kernel_of, reordered, weight_shape, whole_image, window_of};
use super::proto::{GraphProto, NodeProto};
use super::tensor::{Constant, Constants};
use super::{Import, Imported};
use crate::network::integer::{IntegerNetwork, Step};
use crate::quantise::fit::channel_scale;

const SUPPORTED: [&str; 17] = [
    "QuantizeLinear",
    "DequantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "QGemm",
    "Gemm",
    "MatMul",
    "Add",
    "Conv",
    "Relu",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "Flatten",
    "Reshape",
    "Identity",
    "Transpose",
];

/// Scale and zero point of the lanes; the zero point is that of the shifted integers.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Quantisation {
    scale: f64,
    zero: i64,
}

/// What the chain has come to.
#[derive(Clone, Debug)]
enum State {
    /// Real inputs that no node has quantised yet.
    Real,
    /// Integers of the file.
    Integers(Quantisation),
    /// The same integers, behind a `DequantizeLinear`: real numbers to the graph.
    Dequantised(Quantisation),
    /// Sums of a product or a window, one real unit for each channel; to be quantised.
    Sums { units: Vec<f64>, relu: bool },
}

struct Walk {
    shape: Shape,
    state: State,
    steps: Vec<Step>,
    notes: Vec<String>,
}

/// Imports a quantised graph.
pub fn import(graph: &GraphProto) -> Result<Import, String> {
    let mut constants = Constants::of(graph)?;
    let (mut current, shape) = data_input(graph, &constants)?;
    if let Some(message) = unsupported(graph, &SUPPORTED) {
        return Err(message);
    }
    let inputs = shape.count();
    let mut walk = Walk { shape, state: State::Real, steps: Vec::new(), notes: Vec::new() };
    for (index, node) in graph.node.iter().enumerate() {
        if constants.fold(node)? {
            continue;
        }
        if !walk.steps.is_empty() && is_tail(&graph.node[index..]) {
            walk.notes
                .push(format!("from {} on the graph only turns scores into labels", node.label()));
            break;
        }
        takes(node, &current)?;
        step(&mut walk, node, &constants)
            .map_err(|reason| format!("{}: {reason}", node.label()))?;
        current = gives(node)?;
    }
    if let State::Sums { units, relu } = &walk.state {
        // Float outputs: sums stay sums where one unit holds for all.
        if *relu {
            walk.steps.push(Step::Relu);
        }
        if units.iter().any(|unit| *unit != units[0]) {
            return Err("the last layer has a scale for each channel and is not quantised; quantise the graph's output".into());
        }
    }
    let network = IntegerNetwork { inputs, input_element: Element::I8, steps: walk.steps };
    network.check().map_err(|error| error.to_string())?;
    Ok(Import { model: Imported::Quantised(network), notes: walk.notes })
}

fn step(walk: &mut Walk, node: &NodeProto, constants: &Constants) -> Result<(), String> {
    match node.op_type.as_str() {
        "QuantizeLinear" => {
            let to = quantisation(node, constants, 1)?;
            match walk.state.clone() {
                State::Real => {
                    walk.notes.push(format!(
                        "inputs are the integers behind {}: round(x / {}) + {}",
                        node.label(),
                        to.scale,
                        to.zero
                    ));
                    walk.state = State::Integers(to);
                }
                State::Sums { units, relu } => requantise(walk, &units, relu, to)?,
                // Quantised again: nothing changes with equal parameters.
                State::Dequantised(from) if from == to => walk.state = State::Integers(to),
                State::Dequantised(from) => {
                    recentre(walk, from);
                    requantise(walk, &[from.scale], false, to)?;
                }
                State::Integers(_) => return Err("integers are quantised again".into()),
            }
        }
        "DequantizeLinear" => {
            let from = quantisation(node, constants, 1)?;
            match walk.state {
                State::Integers(now) if same(now, from) => walk.state = State::Dequantised(now),
                State::Real => walk.state = State::Dequantised(from),
                _ => return Err("its scale is not that of the integers that come".into()),
            }
        }
        "Gemm" | "MatMul" => {
            let from = dequantised(walk)?;
            let unit = |name| node.attribute(name).is_none_or(|attribute| attribute.f == 1.0);
            if !unit("alpha") || !unit("beta") || node.int("transA", 0) != 0 {
                return Err("alpha, beta other than 1 and transA are not supported".into());
            }
            let mut weights = constants.input(node, 1)?.clone();
            if node.op_type == "MatMul" || node.int("transB", 0) == 0 {
                if weights.quantised.as_ref().is_some_and(|(scales, _)| scales.len() > 1) {
                    return Err("scales for each column are not supported".into());
                }
                weights = weights.transposed()?;
            }
            let bias = node.input.get(2).filter(|name| !name.is_empty());
            let bias = bias.map(|_| constants.input(node, 2)).transpose()?;
            product(walk, &weights, bias, from)?;
        }
        "Add" => {
            let bias = constants.input(node, 1)?.real();
            let State::Sums { units, relu: false } = &walk.state else {
                return Err("it is no bias of a layer".into());
            };
            let Some(Step::MatMul { bias: sums, .. } | Step::Convolve { bias: sums, .. }) =
                walk.steps.last_mut()
            else {
                return Err("it is no bias of a layer".into());
            };
            if bias.len() != sums.len() {
                return Err(format!("{} biases for {} outputs", bias.len(), sums.len()));
            }
            for (index, (sum, bias)) in sums.iter_mut().zip(bias).enumerate() {
                let more = (bias / units[index % units.len()]).round() as i64;
                *sum = narrow(i64::from(*sum) + more)?;
            }
        }
        "Conv" => {
            let from = dequantised(walk)?;
            let weights = constants.input(node, 1)?;
            let bias = node.input.get(2).filter(|name| !name.is_empty());
            let bias = bias.map(|_| constants.input(node, 2)).transpose()?;
            convolution(walk, node, weights, bias, from)?;
        }
        "QGemm" => {
            let from = integers(walk, quantisation(node, constants, 1)?)?;
            if node.attribute("alpha").is_some_and(|a| a.f != 1.0) || node.int("transA", 0) != 0 {
                return Err("alpha other than 1 and transA are not supported".into());
            }
            let mut weights = with_scales(node, constants, 3)?;
            if node.int("transB", 0) == 0 {
                weights = weights.transposed()?;
            }
            let bias = node.input.get(6).filter(|name| !name.is_empty());
            let bias = bias.map(|_| constants.input(node, 6)).transpose()?;
            product(walk, &weights, bias, from)?;
            let units = units(walk)?;
            if node.input.get(7).is_some_and(|name| !name.is_empty()) {
                let to = quantisation(node, constants, 7)?;
                requantise(walk, &units, false, to)?;
            }
        }
        "QLinearMatMul" => {
            let from = integers(walk, quantisation(node, constants, 1)?)?;
            let weights = with_scales(node, constants, 3)?.transposed()?;
            product(walk, &weights, None, from)?;
            let to = quantisation(node, constants, 6)?;
            let units = units(walk)?;
            requantise(walk, &units, false, to)?;
        }
        "QLinearConv" => {
            let from = integers(walk, quantisation(node, constants, 1)?)?;
            let weights = with_scales(node, constants, 3)?;
            let bias = node.input.get(8).filter(|name| !name.is_empty());
            let bias = bias.map(|_| constants.input(node, 8)).transpose()?;
            convolution(walk, node, &weights, bias, from)?;
            let to = quantisation(node, constants, 6)?;
            let units = units(walk)?;
            requantise(walk, &units, false, to)?;
        }
        "Relu" => match &mut walk.state {
            State::Sums { relu, .. } => *relu = true,
            State::Dequantised(from) => {
                let zero = narrow(from.zero)?;
                walk.steps.push(Step::AtLeast(zero));
            }
            _ => return Err("it takes sums or dequantised integers".into()),
        },
        "MaxPool" => {
            if node.ints("pads", &[0; 4]).iter().any(|pad| *pad != 0) {
                return Err("pads are not supported on quantised images".into());
            }
            let kernel = kernel_of(node)?;
            let (window, shape) = pool_window(walk, node, Some(kernel))?;
            walk.steps.push(Step::PoolMax(window));
            walk.shape = shape;
        }
        "AveragePool" | "GlobalAveragePool" => {
            let from = dequantised(walk)?;
            if node.ints("pads", &[0; 4]).iter().any(|pad| *pad != 0) {
                return Err("pads are not supported".into());
            }
            let kernel = match node.op_type.as_str() {
                "AveragePool" => Some(kernel_of(node)?),
                _ => None,
            };
            let (window, shape) = pool_window(walk, node, kernel)?;
            recentre(walk, from);
            let lanes = f64::from(window.height) * f64::from(window.width);
            walk.steps.push(Step::PoolSum(window));
            walk.shape = shape;
            walk.state = State::Sums { units: vec![from.scale / lanes], relu: false };
        }
        "Flatten" | "Reshape" => {
            if let Shape::Image { channels, height, width } = walk.shape {
                walk.shape = Shape::FlatImage { channels, height, width };
            }
        }
        "Identity" => {}
        other => return Err(format!("{other} is supported for constants only")),
    }
    Ok(())
}

fn pool_window(
    walk: &Walk,
    node: &NodeProto,
    kernel: Option<[usize; 2]>,
) -> Result<(rmt_isa::program::Window, Shape), String> {
    let Shape::Image { channels, .. } = walk.shape else {
        return Err("it takes an image, features come".into());
    };
    match kernel {
        Some(kernel) => window_of(node, walk.shape, kernel, channels),
        None => whole_image(node, walk.shape),
    }
}

/// Scale and zero point at inputs `index` and `index + 1` of a node, shifted as lanes are.
fn quantisation(
    node: &NodeProto,
    constants: &Constants,
    index: usize,
) -> Result<Quantisation, String> {
    let scale = constants.scalar(node, index, 1.0)?;
    if !(scale > 0.0 && scale.is_finite()) {
        return Err(format!("a scale of {scale}"));
    }
    let name = node.input.get(index + 1).map_or("", String::as_str);
    if name.is_empty() {
        // Left out: unsigned bytes with the zero point 0.
        return Ok(Quantisation { scale, zero: -128 });
    }
    let zero = constants.input(node, index + 1)?;
    let value = zero.scalar().ok_or("several zero points where one is supported")? as i64;
    let shift = if zero.is_u8 { 128 } else { 0 };
    if !(-128..=127).contains(&(value - shift)) {
        return Err(format!("a zero point of {value}; lanes of 8 bits are supported"));
    }
    Ok(Quantisation { scale, zero: value - shift })
}

/// The weights at input `index` with the scales and zero points behind them.
fn with_scales(node: &NodeProto, constants: &Constants, index: usize) -> Result<Constant, String> {
    let weights = constants.input(node, index)?.clone();
    let scales = constants.input(node, index + 1)?.values.clone();
    let zeros: Vec<i64> =
        constants.input(node, index + 2)?.values.iter().map(|value| *value as i64).collect();
    if scales.is_empty() || zeros.len() != scales.len() {
        return Err(format!("{} scales and {} zero points", scales.len(), zeros.len()));
    }
    Ok(Constant { quantised: Some((scales, zeros)), ..weights })
}

fn same(a: Quantisation, b: Quantisation) -> bool {
    a.zero == b.zero && (a.scale - b.scale).abs() <= a.scale * 1e-6
}

fn integers(walk: &mut Walk, said: Quantisation) -> Result<Quantisation, String> {
    match walk.state {
        State::Integers(now) if same(now, said) => Ok(now),
        // The graph's input may be integers itself.
        State::Real => Ok(said),
        _ => Err("its input's scale is not that of the integers that come".into()),
    }
}

fn dequantised(walk: &Walk) -> Result<Quantisation, String> {
    match walk.state {
        State::Dequantised(from) => Ok(from),
        _ => Err("it takes what no DequantizeLinear gave; quantise the whole graph".into()),
    }
}

fn units(walk: &Walk) -> Result<Vec<f64>, String> {
    match &walk.state {
        State::Sums { units, .. } => Ok(units.clone()),
        _ => Err("there are no sums to quantise".into()),
    }
}

/// Lanes less their zero point, as i16: real 0 becomes 0.
fn recentre(walk: &mut Walk, from: Quantisation) {
    // x * 2^30 / 2^30 is x itself.
    let one = ChannelScale { multiplier: 1 << 30, shift: 30 };
    // Zero points are within 8 bits.
    let zero_point = -(from.zero as i32);
    walk.steps.push(Step::Requantise { channels: vec![one], zero_point, element: Element::I16 });
}

fn requantise(walk: &mut Walk, units: &[f64], relu: bool, to: Quantisation) -> Result<(), String> {
    let zero_point = narrow(to.zero)?;
    let channels: Vec<_> = units.iter().map(|unit| channel_scale(unit / to.scale)).collect();
    walk.steps.push(Step::Requantise { channels, zero_point, element: Element::I8 });
    if relu && zero_point > -128 {
        walk.steps.push(Step::AtLeast(zero_point));
    }
    walk.state = State::Integers(to);
    Ok(())
}

/// Rows of i8 weights, with their scale each.
fn weight_rows(weights: &Constant, rows: usize) -> Result<(Vec<i8>, Vec<f64>), String> {
    let Some((scales, zeros)) = &weights.quantised else {
        return Err("its weights are not quantised".into());
    };
    if scales.len() != 1 && scales.len() != rows {
        return Err(format!("{} scales for {rows} outputs", scales.len()));
    }
    if let Some(scale) = scales.iter().find(|scale| **scale <= 0.0) {
        return Err(format!("a weight's scale is {scale}"));
    }
    let row = weights.values.len() / rows.max(1);
    let integers = weights
        .values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let channel = (index / row.max(1)).min(zeros.len() - 1);
            let value = *value as i64 - zeros[channel];
            i8::try_from(value)
                .map_err(|_| format!("a weight of {value} does not fit 8 bits; quantise weights symmetrically (int8, zero point 0)"))
        })
        .collect::<Result<_, _>>()?;
    Ok((integers, scales.clone()))
}

/// Biases in the units of the sums; quantised ones are taken as they are.
fn biases(bias: Option<&Constant>, units: &[f64], rows: usize) -> Result<Vec<i64>, String> {
    let Some(bias) = bias else { return Ok(vec![0; rows]) };
    if bias.values.len() != rows {
        return Err(format!("{} biases for {rows} outputs", bias.values.len()));
    }
    // Operators on integers have integers as they are: in units of input and weight.
    let scales = bias.quantised.as_ref().map(|(scales, _)| scales.as_slice());
    Ok((bias.values.iter().enumerate())
        .map(|(index, value)| {
            let unit = units[index % units.len()];
            let scale = scales.map_or(unit, |scales| scales[index % scales.len()]);
            (value * scale / unit).round() as i64
        })
        .collect())
}

fn narrow(value: i64) -> Result<i32, String> {
    i32::try_from(value).map_err(|_| format!("{value} does not fit 32 bits"))
}

fn product(
    walk: &mut Walk,
    weights: &Constant,
    bias: Option<&Constant>,
    from: Quantisation,
) -> Result<(), String> {
    let [outputs, inputs] = weights.shape[..] else {
        return Err(format!("weights of the shape {:?}; a matrix is needed", weights.shape));
    };
    if inputs != walk.shape.count() || outputs == 0 {
        return Err(format!("weights for {inputs} inputs, {} come", walk.shape.count()));
    }
    if matches!(walk.shape, Shape::Image { .. }) {
        return Err("an image comes; flatten it first".into());
    }
    let (rows, scales) = weight_rows(weights, outputs)?;
    let order = walk.shape.format_order();
    let rows: Vec<i8> =
        rows.chunks(inputs).flat_map(|row| order.iter().map(|place| row[*place])).collect();
    let units: Vec<f64> = scales.iter().map(|scale| scale * from.scale).collect();
    let bias = biases(bias, &units, outputs)?;
    // Σ w (x − z) = Σ w x − z Σ w.
    let bias = rows
        .chunks(inputs)
        .zip(bias)
        .map(|(row, bias)| {
            let sum: i64 = row.iter().map(|weight| i64::from(*weight)).sum();
            narrow(bias - from.zero * sum)
        })
        .collect::<Result<_, _>>()?;
    walk.steps.push(Step::MatMul { weights: rows, bias });
    walk.shape = Shape::Flat(outputs);
    walk.state = State::Sums { units, relu: false };
    Ok(())
}

fn convolution(
    walk: &mut Walk,
    node: &NodeProto,
    weights: &Constant,
    bias: Option<&Constant>,
    from: Quantisation,
) -> Result<(), String> {
    let [outputs, channels, height, width] = weight_shape(node, &weights.shape, walk.shape)?;
    let (rows, scales) = weight_rows(weights, outputs)?;
    let (window, shape) = window_of(node, walk.shape, [height, width], outputs)?;
    let units: Vec<f64> = scales.iter().map(|scale| scale * from.scale).collect();
    let bias = biases(bias, &units, outputs)?;
    let rows = reordered(&rows, [outputs, channels, height, width]);
    // Padding is 0: then real 0 must be 0, too. Without padding the bias takes the zero point in.
    let is_padded = node.ints("pads", &[0; 4]).iter().any(|pad| *pad != 0);
    if is_padded && from.zero != 0 {
        recentre(walk, from);
    }
    let zero = if is_padded { 0 } else { from.zero };
    let bias = rows
        .chunks(rows.len() / outputs)
        .zip(bias)
        .map(|(row, bias)| {
            let sum: i64 = row.iter().map(|weight| i64::from(*weight)).sum();
            narrow(bias - zero * sum)
        })
        .collect::<Result<_, _>>()?;
    walk.steps.push(Step::Convolve { window, weights: rows, bias });
    walk.shape = shape;
    walk.state = State::Sums { units, relu: false };
    Ok(())
}
