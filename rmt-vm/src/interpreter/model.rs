//! Models: products, convolutions, pooling, requantisation, trees.
//!
//! Accumulators have 32 bits. The verifier proves that none overflows; in programs that it
//! has not seen they wrap. Shapes that do not fit end the event with
//! [`Status::OutOfRange`].

use rmt_isa::limits::VECTOR_LANES;
use rmt_isa::operand::{Bias, Element, ForestId, Scalar, ScaleId, TensorId, Vector, WindowId};
use rmt_isa::program::{Forest, ForestMode, Tensor, TreeNode, Window};
use rmt_isa::{Program, Status, arithmetic};

use super::thread::Thread;
use crate::state::State;

/// Weights are i8.
fn weights(state: &State, id: TensorId) -> Result<&Tensor, Status> {
    let tensor = state.models.tensors().get(id.index()).ok_or(Status::OutOfRange)?;
    if tensor.element == Element::I8 { Ok(tensor) } else { Err(Status::OutOfRange) }
}

/// One i32 for each output, or nothing.
fn bias(state: &State, id: Bias, outputs: usize) -> Result<Option<&[i32]>, Status> {
    let Bias(Some(id)) = id else { return Ok(None) };
    let tensor = state.models.tensors().get(id.index()).ok_or(Status::OutOfRange)?;
    let fits = tensor.element == Element::I32 && tensor.shape == [outputs as u32];
    if fits { Ok(Some(&tensor.values)) } else { Err(Status::OutOfRange) }
}

/// The lanes of an activation, i8 or i16, of which there must be `count`.
fn activation(t: &Thread, a: Vector, count: usize) -> Result<&[i32], Status> {
    let vector = t.operand(a)?;
    let fits = vector.element() != Element::I32 && vector.lanes().len() == count;
    if fits { Ok(vector.lanes()) } else { Err(Status::OutOfRange) }
}

/// `RMT_MAT_MUL`: d[m] = bias[m] + Σn weights[m][n] * a[n].
pub(super) fn mat_mul(
    t: &mut Thread,
    state: &State,
    d: Vector,
    a: Vector,
    weight_id: TensorId,
    bias_id: Bias,
) -> Result<(), Status> {
    let weights = weights(state, weight_id)?;
    let [outputs, inputs] = weights.shape[..] else { return Err(Status::OutOfRange) };
    let (outputs, inputs) = (outputs as usize, inputs as usize);
    let bias = bias(state, bias_id, outputs)?;
    activation(t, a, inputs)?;
    if outputs > t.scratch.len() {
        return Err(Status::OutOfRange);
    }
    let Thread { scratch, vectors, .. } = t;
    let activation = vectors[a.index()].lanes();
    for (m, row) in weights.values.chunks_exact(inputs).enumerate() {
        let products = row.iter().zip(activation).map(|(w, x)| w.wrapping_mul(*x));
        let start = bias.map_or(0, |bias| bias[m]);
        scratch[m] = products.fold(start, i32::wrapping_add);
    }
    t.set_from_scratch(d, Element::I32, outputs)
}

/// A window of no more places than a vector has lanes.
fn window(program: &Program, id: WindowId) -> Result<&Window, Status> {
    let window = program.windows.get(id.index()).ok_or(Status::OutOfRange)?;
    let places = usize::from(window.height) * usize::from(window.width);
    if places <= VECTOR_LANES { Ok(window) } else { Err(Status::OutOfRange) }
}

/// The lanes that a window reads and, with `channels` of output, writes.
fn window_lanes(window: &Window, channels: usize) -> (usize, usize) {
    let [in_height, in_width, in_channels, out_height, out_width] =
        [window.in_height, window.in_width, window.channels, window.out_height, window.out_width]
            .map(usize::from);
    // Five factors of 16 bits each fit 64 bits in products of three.
    (in_height * in_width * in_channels, (out_height * out_width).saturating_mul(channels))
}

/// The lane of channel 0 of the input under place (`ky`, `kx`) of the window, when the
/// window stands at output (`y`, `x`); `None` outside the input.
fn input_lane(window: &Window, y: usize, x: usize, ky: usize, kx: usize) -> Option<usize> {
    let row = (y * usize::from(window.stride_y) + ky).checked_sub(window.pad_top.into())?;
    let column = (x * usize::from(window.stride_x) + kx).checked_sub(window.pad_left.into())?;
    let inside = row < window.in_height.into() && column < window.in_width.into();
    inside.then(|| (row * usize::from(window.in_width) + column) * usize::from(window.channels))
}

/// All outputs (`y`, `x`) of a window in the order of their lanes.
fn places(window: &Window) -> impl Iterator<Item = (usize, usize)> {
    let (height, width) = (usize::from(window.out_height), usize::from(window.out_width));
    (0..height).flat_map(move |y| (0..width).map(move |x| (y, x)))
}

/// All places (`ky`, `kx`) inside a window.
fn taps(window: &Window) -> impl Iterator<Item = (usize, usize)> {
    let (height, width) = (usize::from(window.height), usize::from(window.width));
    (0..height).flat_map(move |ky| (0..width).map(move |kx| (ky, kx)))
}

/// `RMT_CONV_2D`: d[y][x][m] = bias[m] + Σ(ky, kx, c) weights[m][ky][kx][c] *
/// a[y * stride_y + ky - pad_top][x * stride_x + kx - pad_left][c]; outside the input a is 0.
#[allow(clippy::too_many_arguments, reason = "an operand each, as in the table")]
pub(super) fn conv_2d(
    t: &mut Thread,
    program: &Program,
    state: &State,
    d: Vector,
    a: Vector,
    window_id: WindowId,
    weight_id: TensorId,
    bias_id: Bias,
) -> Result<(), Status> {
    let window = window(program, window_id)?;
    let weights = weights(state, weight_id)?;
    let [outputs, height, width, channels] = weights.shape[..] else {
        return Err(Status::OutOfRange);
    };
    let kernel = [window.height, window.width, window.channels].map(u32::from);
    let outputs = outputs as usize;
    let (inputs, results) = window_lanes(window, outputs);
    if kernel != [height, width, channels] || results > t.scratch.len() {
        return Err(Status::OutOfRange);
    }
    let bias = bias(state, bias_id, outputs)?;
    activation(t, a, inputs)?;

    let channels = channels as usize;
    let kernel_size = height as usize * width as usize * channels;
    let Thread { scratch, vectors, .. } = t;
    let activation = vectors[a.index()].lanes();
    for (place, (y, x)) in places(window).enumerate() {
        for m in 0..outputs {
            let kernel = &weights.values[m * kernel_size..][..kernel_size];
            let mut sum = bias.map_or(0, |bias| bias[m]);
            for (tap, (ky, kx)) in taps(window).enumerate() {
                let Some(lane) = input_lane(window, y, x, ky, kx) else { continue };
                for c in 0..channels {
                    let product = kernel[tap * channels + c].wrapping_mul(activation[lane + c]);
                    sum = sum.wrapping_add(product);
                }
            }
            scratch[place * outputs + m] = sum;
        }
    }
    t.set_from_scratch(d, Element::I32, results)
}

/// What pooling makes of the values under the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// The largest; the type's smallest value when there is none.
    Max,
    /// The sum as i32.
    Sum,
}

/// `RMT_POOL_MAX`, `RMT_POOL_SUM`: d[y][x][c] = largest or sum over the window of
/// a[..][..][c]; places outside the input do not count.
pub(super) fn pool(
    t: &mut Thread,
    program: &Program,
    d: Vector,
    a: Vector,
    window_id: WindowId,
    pooling: Pooling,
) -> Result<(), Status> {
    let window = window(program, window_id)?;
    let channels = usize::from(window.channels);
    let (inputs, results) = window_lanes(window, channels);
    let (element, count) = (t.operand(a)?.element(), t.operand(a)?.lanes().len());
    if count != inputs || results > t.scratch.len() {
        return Err(Status::OutOfRange);
    }
    let Thread { scratch, vectors, .. } = t;
    let input = vectors[a.index()].lanes();
    for (place, (y, x)) in places(window).enumerate() {
        for c in 0..channels {
            let lanes = taps(window).filter_map(|(ky, kx)| input_lane(window, y, x, ky, kx));
            let values = lanes.map(|lane| input[lane + c]);
            scratch[place * channels + c] = match pooling {
                Pooling::Max => values.max().unwrap_or(element.min()),
                Pooling::Sum => values.fold(0, i32::wrapping_add),
            };
        }
    }
    let element = if pooling == Pooling::Sum { Element::I32 } else { element };
    t.set_from_scratch(d, element, results)
}

/// `RMT_REQUANT`: d[i] = requantise(a[i]) with the scale of channel i mod n; a is i32.
pub(super) fn requantise(
    t: &mut Thread,
    state: &State,
    d: Vector,
    a: Vector,
    element: Element,
    scale: ScaleId,
) -> Result<(), Status> {
    let scale = state.models.scales().get(scale.index()).ok_or(Status::OutOfRange)?;
    let (kind, count) = (t.operand(a)?.element(), t.operand(a)?.lanes().len());
    if kind != Element::I32 || count % scale.channels.len() != 0 {
        return Err(Status::OutOfRange);
    }
    let Thread { scratch, vectors, .. } = t;
    let channels = scale.channels.iter().cycle();
    let lanes = vectors[a.index()].lanes().iter();
    for (result, (&value, channel)) in scratch.iter_mut().zip(lanes.zip(channels)) {
        let (multiplier, shift) = (channel.multiplier, channel.shift);
        *result = arithmetic::requantise(value, multiplier, shift, scale.zero_point, element);
    }
    t.set_from_scratch(d, element, count)
}

/// `RMT_TREE_EVAL`: d = the forest's value for the features a.
pub(super) fn forest_eval(
    t: &mut Thread,
    state: &State,
    d: Scalar,
    a: Vector,
    forest: ForestId,
) -> Result<(), Status> {
    let forest = state.models.forests().get(forest.index()).ok_or(Status::OutOfRange)?;
    let features = t.operand(a)?.lanes();
    if features.len() != usize::from(forest.features) {
        return Err(Status::OutOfRange);
    }
    let value = evaluate_forest(forest, features)?;
    t.set(d, value as u64);
    Ok(())
}

/// The sum of the trees' leaves, or the class that most leaves name.
fn evaluate_forest(forest: &Forest, features: &[i32]) -> Result<i64, Status> {
    let mut sum = 0_i64;
    let mut votes = [0_u32; 256];
    for &root in &forest.roots {
        let leaf = evaluate_tree(&forest.nodes, root, features)?;
        match forest.mode {
            ForestMode::Sum => sum += i64::from(leaf),
            ForestMode::Vote => {
                let class = usize::try_from(leaf).ok().and_then(|class| votes.get_mut(class));
                *class.ok_or(Status::OutOfRange)? += 1;
            }
        }
    }
    if forest.mode == ForestMode::Vote {
        let most = votes.iter().max();
        let class = votes.iter().position(|count| Some(count) == most);
        sum = class.unwrap_or(0) as i64;
    }
    Ok(sum)
}

/// The leaf that the features lead to. Children stand behind their parent (checked when the
/// model was loaded), so the walk ends.
fn evaluate_tree(nodes: &[TreeNode], root: u16, features: &[i32]) -> Result<i32, Status> {
    let mut place = usize::from(root);
    loop {
        match *nodes.get(place).ok_or(Status::OutOfRange)? {
            TreeNode::Leaf { value } => return Ok(value),
            TreeNode::Branch { feature, threshold, left } => {
                let value = features.get(usize::from(feature)).ok_or(Status::OutOfRange)?;
                place = usize::from(left) + usize::from(*value > threshold);
            }
        }
    }
}
