//! A network in the machine's integers: each layer is one instruction.
//!
//! [`IntegerNetwork::forward`] is written from the definition of the instructions and shares no code
//! with the interpreter but the rounding rule of `rmt-isa`, so that the two check each other.

use rmt_isa::arithmetic::requantise;
use rmt_isa::limits::VECTOR_LANES;
use rmt_isa::operand::Element;
use rmt_isa::program::{ChannelScale, Scale, Tensor, Window};

use super::float::for_window;
use crate::error::{LearnError, Result};
use crate::model_file::ModelFile;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Scale, round half up, add the zero point, saturate; lane i has channel i mod n.
    Requantise {
        /// Scales of the channels.
        channels: Vec<ChannelScale>,
        /// Added after scaling.
        zero_point: i32,
        /// What lanes become.
        element: Element,
    },
    /// Product with a matrix, plus bias.
    MatMul {
        /// Row-major, one row for each output.
        weights: Vec<i8>,
        /// One for each output.
        bias: Vec<i32>,
    },
    /// Convolution, plus bias.
    Convolve {
        /// Geometry.
        window: Window,
        /// `[outputs, height, width, channels]`.
        weights: Vec<i8>,
        /// One for each output channel.
        bias: Vec<i32>,
    },
    /// The largest lane of each window.
    PoolMax(Window),
    /// The sum of each window.
    PoolSum(Window),
    /// Lanes below 0 become 0.
    Relu,
    /// Lanes below this become this.
    AtLeast(i32),
    /// Lanes above this become this.
    AtMost(i32),
}

/// Lanes between two steps: how many, what they are, and what values they can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Number of lanes.
    pub count: usize,
    /// Type of a lane.
    pub element: Element,
    /// Smallest possible value.
    pub low: i64,
    /// Largest possible value.
    pub high: i64,
}

/// A network in integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerNetwork {
    /// Lanes that it takes.
    pub inputs: usize,
    /// Type of an input lane.
    pub input_element: Element,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl IntegerNetwork {
    /// Checks that steps fit each other and the machine, and that no accumulator can overflow for
    /// any input; gives the lanes before the first and after each step.
    ///
    /// # Errors
    /// [`LearnError::Model`] with the step that is wrong.
    pub fn check(&self) -> Result<Vec<Lanes>> {
        let element = self.input_element;
        let mut lanes = Lanes {
            count: self.inputs,
            element,
            low: element.min().into(),
            high: element.max().into(),
        };
        let mut all = vec![lanes];
        for (index, step) in self.steps.iter().enumerate() {
            let refuse =
                |reason| LearnError::model("integer network", format!("step {index}: {reason}"));
            lanes = after(step, lanes).map_err(refuse)?;
            all.push(lanes);
        }
        if let Some(lanes) = all.iter().find(|lanes| !(1..=VECTOR_LANES).contains(&lanes.count)) {
            return Err(LearnError::model(
                "integer network",
                format!(
                    "a vector would have {} lanes; 1 to {VECTOR_LANES} are possible",
                    lanes.count
                ),
            ));
        }
        Ok(all)
    }

    /// The outputs for input lanes; missing lanes count as 0, surplus ones are ignored.
    pub fn forward(&self, inputs: &[i32]) -> Vec<i32> {
        let mut lanes: Vec<i32> =
            inputs.iter().copied().chain(std::iter::repeat(0)).take(self.inputs).collect();
        for step in &self.steps {
            lanes = run(step, &lanes);
        }
        lanes
    }

    /// Multiply-accumulates of one forward pass.
    pub fn macs(&self) -> usize {
        let of = |step: &Step| match step {
            Step::MatMul { weights, .. } => weights.len(),
            Step::Convolve { window, weights, .. } => {
                weights.len() * usize::from(window.out_height) * usize::from(window.out_width)
            }
            _ => 0,
        };
        self.steps.iter().map(of).sum()
    }

    /// The model file: tensors `w0`, `b0`, scales `s0` and windows `g0`, numbered by step.
    pub fn to_model_file(&self, notes: Vec<(String, String)>) -> ModelFile {
        let mut file = ModelFile { notes, ..ModelFile::default() };
        let mut lanes = self.inputs;
        for (index, step) in self.steps.iter().enumerate() {
            let tensor = |name: String, element, shape: Vec<u32>, values| Tensor {
                name,
                model: 0,
                element,
                shape,
                values,
            };
            let wide = |values: &[i8]| values.iter().map(|value| i32::from(*value)).collect();
            let mut push = |weights: &[i8], bias: &[i32], shape: Vec<u32>| {
                file.tensors.push(tensor(format!("w{index}"), Element::I8, shape, wide(weights)));
                let length = vec![bias.len() as u32];
                file.tensors.push(tensor(format!("b{index}"), Element::I32, length, bias.to_vec()));
            };
            match step {
                Step::Requantise { channels, zero_point, .. } => file.scales.push(Scale {
                    name: format!("s{index}"),
                    model: 0,
                    channels: channels.clone(),
                    zero_point: *zero_point,
                }),
                Step::MatMul { weights, bias } => {
                    push(weights, bias, vec![bias.len() as u32, lanes as u32]);
                }
                Step::Convolve { window, weights, bias } => {
                    let sizes = [window.height, window.width, window.channels].map(u32::from);
                    push(weights, bias, [&[bias.len() as u32][..], &sizes].concat());
                }
                _ => {}
            }
            if let Step::Convolve { window, .. } | Step::PoolMax(window) | Step::PoolSum(window) =
                step
            {
                file.windows.push(Window { name: format!("g{index}"), ..window.clone() });
            }
            lanes = count_after(step, lanes);
        }
        file
    }
}

fn places(window: &Window) -> usize {
    usize::from(window.out_height) * usize::from(window.out_width)
}

fn count_after(step: &Step, lanes: usize) -> usize {
    match step {
        Step::MatMul { bias, .. } => bias.len(),
        Step::Convolve { window, bias, .. } => places(window) * bias.len(),
        Step::PoolMax(window) | Step::PoolSum(window) => {
            places(window) * usize::from(window.channels)
        }
        _ => lanes,
    }
}

/// The lanes after a step.
fn after(step: &Step, lanes: Lanes) -> std::result::Result<Lanes, String> {
    let count = count_after(step, lanes.count);
    let covers = |window: &Window| {
        let pixels = usize::from(window.in_height) * usize::from(window.in_width);
        let expected = pixels * usize::from(window.channels);
        if expected == lanes.count {
            Ok(())
        } else {
            Err(format!("its window covers {expected} lanes, {} come", lanes.count))
        }
    };
    let narrow = || match lanes.element {
        Element::I8 | Element::I16 => Ok(()),
        other => Err(format!("a product takes lanes of 8 or 16 bits, {other} come")),
    };
    let sums = |weights: &[i8], bias: &[i32]| -> std::result::Result<Lanes, String> {
        narrow()?;
        if bias.is_empty() || !weights.len().is_multiple_of(bias.len()) || weights.is_empty() {
            return Err(format!("{} weights for {} outputs", weights.len(), bias.len()));
        }
        let (mut low, mut high) = (0, 0);
        for (row, bias) in weights.chunks(weights.len() / bias.len()).zip(bias) {
            // Bounds of every partial sum, in whatever order an engine adds: 0 is always among them.
            let (mut least, mut most) = (i64::from(*bias).min(0), i64::from(*bias).max(0));
            for weight in row {
                let ends =
                    [lanes.low.min(0), lanes.high.max(0)].map(|end| end * i64::from(*weight));
                least += ends[0].min(ends[1]);
                most += ends[0].max(ends[1]);
            }
            (low, high) = (low.min(least), high.max(most));
        }
        if low < i64::from(i32::MIN) || high > i64::from(i32::MAX) {
            return Err(format!(
                "an accumulator can reach {low} to {high}, beyond 32 bits; use smaller weights"
            ));
        }
        Ok(Lanes { count, element: Element::I32, low, high })
    };
    Ok(match step {
        Step::Requantise { channels, zero_point, element } => {
            if channels.is_empty() || channels.len() > VECTOR_LANES {
                return Err(format!(
                    "{} channels; 1 to {VECTOR_LANES} are possible",
                    channels.len()
                ));
            }
            if let Some(scale) =
                channels.iter().find(|s| s.multiplier < 0 || !(1..=62).contains(&s.shift))
            {
                return Err(format!(
                    "a scale of {} / 2^{} has no such multiplier or shift",
                    scale.multiplier, scale.shift
                ));
            }
            let ends = channels.iter().flat_map(|scale| {
                [lanes.low, lanes.high].map(|end| {
                    let end = end.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
                    i64::from(requantise(end, scale.multiplier, scale.shift, *zero_point, *element))
                })
            });
            let (low, high) =
                ends.fold((i64::MAX, i64::MIN), |(a, b), end| (a.min(end), b.max(end)));
            Lanes { count, element: *element, low, high }
        }
        Step::MatMul { weights, bias } => {
            if weights.len() != bias.len() * lanes.count {
                return Err(format!(
                    "{} weights for {} inputs and {} outputs",
                    weights.len(),
                    lanes.count,
                    bias.len()
                ));
            }
            sums(weights, bias)?
        }
        Step::Convolve { window, weights, bias } => {
            covers(window)?;
            let row = super::float::window_lanes(window);
            if weights.len() != bias.len() * row {
                return Err(format!(
                    "{} weights for {} outputs of {row} each",
                    weights.len(),
                    bias.len()
                ));
            }
            sums(weights, bias)?
        }
        Step::PoolMax(window) => {
            covers(window)?;
            Lanes { count, ..lanes }
        }
        Step::PoolSum(window) => {
            covers(window)?;
            let most = i64::from(window.height) * i64::from(window.width);
            let (low, high) = (lanes.low.min(0) * most, lanes.high.max(0) * most);
            if low < i64::from(i32::MIN) || high > i64::from(i32::MAX) {
                return Err("a sum can leave 32 bits".into());
            }
            Lanes { count, element: Element::I32, low, high }
        }
        Step::Relu => Lanes { low: lanes.low.max(0), high: lanes.high.max(0), ..lanes },
        Step::AtLeast(least) => Lanes {
            low: lanes.low.max((*least).into()),
            high: lanes.high.max((*least).into()),
            ..lanes
        },
        Step::AtMost(most) => Lanes {
            low: lanes.low.min((*most).into()),
            high: lanes.high.min((*most).into()),
            ..lanes
        },
    })
}

fn run(step: &Step, lanes: &[i32]) -> Vec<i32> {
    match step {
        Step::Requantise { channels, zero_point, element } => (lanes.iter().enumerate())
            .map(|(lane, value)| {
                let scale = channels[lane % channels.len()];
                requantise(*value, scale.multiplier, scale.shift, *zero_point, *element)
            })
            .collect(),
        Step::MatMul { weights, bias } => weights
            .chunks(lanes.len())
            .zip(bias)
            .map(|(row, bias)| {
                row.iter().zip(lanes).fold(*bias, |sum, (weight, lane)| {
                    sum.wrapping_add(i32::from(*weight).wrapping_mul(*lane))
                })
            })
            .collect(),
        Step::Convolve { window, weights, bias } => {
            let (depth, outputs) = (usize::from(window.channels), bias.len());
            let row = super::float::window_lanes(window);
            let mut sums: Vec<i32> =
                (0..places(window) * outputs).map(|lane| bias[lane % outputs]).collect();
            for_window(window, |place, at, pixel| {
                for output in 0..outputs {
                    for channel in 0..depth {
                        let weight = i32::from(weights[output * row + at * depth + channel]);
                        let sum = &mut sums[place * outputs + output];
                        *sum =
                            sum.wrapping_add(weight.wrapping_mul(lanes[pixel * depth + channel]));
                    }
                }
            });
            sums
        }
        Step::PoolMax(window) => pool(window, lanes, i32::MIN, i32::max),
        Step::PoolSum(window) => pool(window, lanes, 0, i32::wrapping_add),
        Step::Relu => lanes.iter().map(|lane| (*lane).max(0)).collect(),
        Step::AtLeast(least) => lanes.iter().map(|lane| (*lane).max(*least)).collect(),
        Step::AtMost(most) => lanes.iter().map(|lane| (*lane).min(*most)).collect(),
    }
}

fn pool(window: &Window, lanes: &[i32], start: i32, join: impl Fn(i32, i32) -> i32) -> Vec<i32> {
    let depth = usize::from(window.channels);
    let mut joined = vec![start; places(window) * depth];
    for_window(window, |place, _, pixel| {
        for channel in 0..depth {
            let value = &mut joined[place * depth + channel];
            *value = join(*value, lanes[pixel * depth + channel]);
        }
    });
    joined
}
