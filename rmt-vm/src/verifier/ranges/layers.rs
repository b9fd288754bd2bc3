//! Ranges of layers: what an accumulator can hold at any moment, and what comes out.

use std::collections::HashMap;
use std::rc::Rc;

use rmt_isa::arithmetic::requantise;
use rmt_isa::operand::Element;
use rmt_isa::program::{Forest, ForestMode, Scale, Tensor, TreeNode, Window};
use serde::Serialize;

use super::interval::Interval;
use super::lanes::{Effort, LaneRanges};

/// What was proved of the accumulators of one product, convolution or sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AccumulatorBounds {
    /// Index of the instruction in its action.
    pub instruction: usize,
    /// Least value of any partial sum, in any order of adding.
    pub low: i64,
    /// Greatest value of any partial sum.
    pub high: i64,
}

/// Bounds of a sum: of its final value, and of every partial sum on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) result: Interval,
    pub(super) partial: Interval,
}

impl Sum {
    /// The sum that holds nothing but a start value. The accumulator may begin at 0 or at
    /// the start value.
    pub(super) fn starting_with(value: i64) -> Self {
        let (start, zero) = (Interval::constant(value), Interval::constant(0));
        Self { result: start, partial: start.join(zero) }
    }

    /// One more addend. In some order every addend below 0, or every one above, comes first.
    pub(super) fn add(&mut self, addend: Interval) {
        let zero = Interval::constant(0);
        self.result = self.result.add(addend);
        self.partial = self.partial.add(addend.join(zero));
    }
}

/// Whether i32 holds all of it.
pub(super) fn fits(partial: Interval) -> bool {
    Interval::of_element(Element::I32).contains(partial)
}

/// Sums of the positive and of the negative weights of each row, for inputs that share one
/// range; computed once for each tensor.
#[derive(Debug, Default)]
pub(super) struct RowSums {
    known: HashMap<usize, Rc<Vec<(i64, i64)>>>,
}

impl RowSums {
    fn get(&mut self, index: usize, weights: &Tensor) -> Rc<Vec<(i64, i64)>> {
        let sums = self.known.entry(index).or_insert_with(|| {
            let rows = weights.shape.first().copied().unwrap_or(0).max(1) as usize;
            let length = (weights.values.len() / rows).max(1);
            let row = |row: &[i32]| {
                row.iter().fold((0, 0), |(positive, negative), &weight| {
                    let weight = i64::from(weight);
                    (positive + weight.max(0), negative + weight.min(0))
                })
            };
            Rc::new(weights.values.chunks_exact(length).map(row).collect())
        });
        Rc::clone(sums)
    }
}

/// What products with these weights look at.
#[derive(Clone, Copy)]
pub(super) struct Layer<'p> {
    /// Number of the weights, for what is remembered of them.
    pub(super) number: usize,
    pub(super) weights: &'p Tensor,
    pub(super) bias: Option<&'p Tensor>,
}

impl Layer<'_> {
    fn bias(&self, output: usize) -> i64 {
        let value = self.bias.and_then(|bias| bias.values.get(output));
        value.copied().unwrap_or(0).into()
    }

    fn outputs(&self) -> usize {
        self.weights.shape.first().copied().unwrap_or(0) as usize
    }
}

/// `bias + Σ weight * x` for every x of one range, given the sums of the weights.
fn uniform_sum(bias: i64, (positive, negative): (i64, i64), x: Interval) -> Sum {
    let product = x.scale(positive).add(x.scale(negative));
    let with_zero = x.join(Interval::constant(0));
    let any = with_zero.scale(positive).add(with_zero.scale(negative));
    let start = Sum::starting_with(bias);
    Sum { result: start.result.add(product), partial: start.partial.add(any) }
}

/// Sums of a matrix product, one for each output.
pub(super) fn mat_mul(
    effort: &mut Effort,
    rows: &mut RowSums,
    layer: Layer<'_>,
    input: &LaneRanges,
) -> Vec<Sum> {
    let work = layer.weights.values.len() as u64;
    match input {
        LaneRanges::Each(lanes) if effort.take(work) => {
            let rows = layer.weights.values.chunks_exact(lanes.len().max(1)).enumerate();
            rows.map(|(output, row)| {
                let mut sum = Sum::starting_with(layer.bias(output));
                for (&weight, &lane) in row.iter().zip(lanes.iter()) {
                    sum.add(lane.scale(weight.into()));
                }
                sum
            })
            .collect()
        }
        other => {
            let hull = other.hull();
            let sums = rows.get(layer.number, layer.weights);
            sums.iter().enumerate().map(|(m, &s)| uniform_sum(layer.bias(m), s, hull)).collect()
        }
    }
}

/// The lanes of the input, channel 0, under the window at one place of the output, with the
/// number of the tap; places outside the input are left out.
fn taps(window: &Window, place: usize) -> impl Iterator<Item = (usize, usize)> {
    let window = window.clone();
    let (y, x) = (place / usize::from(window.out_width), place % usize::from(window.out_width));
    let (height, width) = (usize::from(window.height), usize::from(window.width));
    (0..height * width).filter_map(move |tap| {
        let (ky, kx) = (tap / width, tap % width);
        let row = (y * usize::from(window.stride_y) + ky).checked_sub(window.pad_top.into())?;
        let column = (x * usize::from(window.stride_x) + kx).checked_sub(window.pad_left.into())?;
        let inside = row < window.in_height.into() && column < window.in_width.into();
        let lane = (row * usize::from(window.in_width) + column) * usize::from(window.channels);
        inside.then_some((tap, lane))
    })
}

fn places(window: &Window) -> usize {
    usize::from(window.out_height) * usize::from(window.out_width)
}

/// Sums of a convolution, one for each lane of the result.
pub(super) fn conv_2d(
    effort: &mut Effort,
    rows: &mut RowSums,
    layer: Layer<'_>,
    window: &Window,
    input: &LaneRanges,
) -> Vec<Sum> {
    let (places, outputs, channels) =
        (places(window), layer.outputs(), usize::from(window.channels));
    let kernel = layer.weights.values.len() / outputs.max(1);
    if !effort.take((places * layer.weights.values.len()) as u64) {
        // Padding leaves products out: every subset of them is bounded by the partial sums.
        let hull = input.hull();
        let sums = rows.get(layer.number, layer.weights);
        let coarse = |(m, &sums): (usize, &(i64, i64))| {
            let Sum { partial, .. } = uniform_sum(layer.bias(m), sums, hull);
            Sum { result: partial, partial }
        };
        let sums: Vec<Sum> = sums.iter().enumerate().map(coarse).collect();
        return (0..places).flat_map(|_| sums.iter().copied()).collect();
    }
    let mut sums = Vec::with_capacity(places * outputs);
    for place in 0..places {
        for output in 0..outputs {
            let weights = &layer.weights.values[output * kernel..][..kernel];
            let mut sum = Sum::starting_with(layer.bias(output));
            for (tap, lane) in taps(window, place) {
                for c in 0..channels {
                    sum.add(input.lane(lane + c).scale(weights[tap * channels + c].into()));
                }
            }
            sums.push(sum);
        }
    }
    sums
}

/// Sums of a pooling window, one for each lane of the result.
pub(super) fn pool_sum(effort: &mut Effort, window: &Window, input: &LaneRanges) -> Vec<Sum> {
    let hull = input.hull();
    pool(effort, window, |lanes| {
        let mut sum = Sum::starting_with(0);
        match lanes {
            Some(lanes) => lanes.iter().for_each(|&lane| sum.add(input.lane(lane))),
            // Between one and all places of the window count.
            None => {
                let taps = i64::from(window.height) * i64::from(window.width);
                let all = Interval::constant(taps).mul(hull.join(Interval::constant(0)));
                sum = Sum { result: all, partial: all };
            }
        }
        sum
    })
}

/// Ranges of the largest value in a window.
pub(super) fn pool_max(effort: &mut Effort, window: &Window, input: &LaneRanges) -> LaneRanges {
    if let LaneRanges::All(range) = input {
        return LaneRanges::All(*range);
    }
    let hull = input.hull();
    LaneRanges::each(pool(effort, window, |lanes| {
        let lanes = lanes.unwrap_or_default().iter().map(|&lane| input.lane(lane));
        lanes.reduce(Interval::max).unwrap_or(hull)
    }))
}

/// What `f` makes of the lanes under the window, for each lane of the result; of nothing when
/// the effort is used up.
fn pool<T>(effort: &mut Effort, window: &Window, f: impl Fn(Option<&[usize]>) -> T) -> Vec<T> {
    let (places, channels) = (places(window), usize::from(window.channels));
    let work = places * channels * usize::from(window.height) * usize::from(window.width);
    if !effort.take(work as u64) {
        return (0..places * channels).map(|_| f(None)).collect();
    }
    let mut results = Vec::with_capacity(places * channels);
    for place in 0..places {
        let base: Vec<usize> = taps(window, place).map(|(_, lane)| lane).collect();
        for c in 0..channels {
            let lanes: Vec<usize> = base.iter().map(|lane| lane + c).collect();
            results.push(f(Some(&lanes)));
        }
    }
    results
}

/// Requantised lanes: scaling and saturating are monotone, as no multiplier is negative.
pub(super) fn requantised(
    effort: &mut Effort,
    scale: &Scale,
    element: Element,
    lanes: usize,
    input: &LaneRanges,
) -> LaneRanges {
    let through = |channel: usize, range: Interval| {
        let Some(scaling) = scale.channels.get(channel) else {
            return Interval::of_element(element);
        };
        range.clamp(Interval::of_element(Element::I32)).map(|value| {
            let (multiplier, shift) = (scaling.multiplier, scaling.shift);
            requantise(value as i32, multiplier, shift, scale.zero_point, element).into()
        })
    };
    let channels = scale.channels.len().max(1);
    if effort.take(lanes as u64) {
        LaneRanges::each((0..lanes).map(|i| through(i % channels, input.lane(i))).collect())
    } else {
        let hull = input.hull();
        let all = (0..channels).map(|channel| through(channel, hull)).reduce(Interval::join);
        LaneRanges::All(all.unwrap_or(Interval::of_element(element)))
    }
}

/// What a forest can give, from its leaves.
pub(super) fn forest_values(forest: &Forest) -> Interval {
    // Leaves below each node, from the back: children stand behind their parent.
    let mut below: Vec<Interval> = vec![Interval::ALL; forest.nodes.len()];
    for (index, node) in forest.nodes.iter().enumerate().rev() {
        below[index] = match *node {
            TreeNode::Leaf { value } => Interval::constant(value.into()),
            TreeNode::Branch { left, .. } => {
                let child = |node: usize| below.get(node).copied().unwrap_or(Interval::ALL);
                child(left.into()).join(child(usize::from(left) + 1))
            }
        };
    }
    let trees = forest.roots.iter().filter_map(|&root| below.get(usize::from(root)).copied());
    let all = match forest.mode {
        ForestMode::Sum => trees.reduce(Interval::add),
        ForestMode::Vote => trees.reduce(Interval::join),
    };
    all.unwrap_or(Interval::ALL)
}
