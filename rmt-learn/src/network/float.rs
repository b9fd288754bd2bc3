//! A feed-forward network in double precision.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::program::Window;

use crate::error::{LearnError, Result};

/// What a layer does with its inputs before bias and ReLU.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Every output sees every input.
    Dense,
    /// A convolution; lanes by row, column, channel.
    Convolution(Window),
    /// The largest lane of each window; it has no weights.
    PoolMax(Window),
}

/// One layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// What it does.
    pub kind: Kind,
    /// Lanes that it takes.
    pub inputs: usize,
    /// Channels of its output: all lanes of a dense layer.
    pub channels: usize,
    /// Row-major, one row for each channel: `inputs` values, or `height * width * channels` of the
    /// window.
    pub weights: Vec<f64>,
    /// One for each channel.
    pub bias: Vec<f64>,
    /// Whether negative outputs become 0.
    pub relu: bool,
}

impl Layer {
    /// A layer with small random weights (He et al., "Delving Deep into Rectifiers", 2015, by a
    /// uniform draw).
    pub fn random(kind: Kind, inputs: usize, channels: usize, relu: bool, seed: u64) -> Self {
        let row = match &kind {
            Kind::Dense => inputs,
            Kind::Convolution(window) => window_lanes(window),
            Kind::PoolMax(_) => 0,
        };
        let span = (6.0 / row.max(1) as f64).sqrt();
        let weights = (0..row * channels)
            .map(|index| {
                let draw = split_mix_64(split_mix_64(seed).wrapping_add(index as u64));
                ((draw >> 11) as f64 / (1u64 << 52) as f64 - 1.0) * span
            })
            .collect();
        let bias = if row == 0 { Vec::new() } else { vec![0.0; channels] };
        Self { kind, inputs, channels, weights, bias, relu }
    }

    /// Lanes that it gives.
    pub fn outputs(&self) -> usize {
        match &self.kind {
            Kind::Dense => self.channels,
            Kind::Convolution(window) | Kind::PoolMax(window) => {
                usize::from(window.out_height) * usize::from(window.out_width) * self.channels
            }
        }
    }

    /// Weights of each channel.
    pub fn row_length(&self) -> usize {
        match &self.kind {
            Kind::Dense => self.inputs,
            Kind::Convolution(window) => window_lanes(window),
            Kind::PoolMax(_) => 0,
        }
    }

    /// For each output, calls `visit(output, channel, index in the channel's row, input)` with
    /// every input that it sees; padding is left out.
    pub(super) fn connections(&self, mut visit: impl FnMut(usize, usize, usize, usize)) {
        match &self.kind {
            Kind::Dense => {
                for output in 0..self.channels {
                    (0..self.inputs).for_each(|input| visit(output, output, input, input));
                }
            }
            Kind::Convolution(window) => {
                let depth = usize::from(window.channels);
                for_window(window, |place, at, lane| {
                    for channel in 0..self.channels {
                        let output = place * self.channels + channel;
                        (0..depth)
                            .for_each(|d| visit(output, channel, at * depth + d, lane * depth + d));
                    }
                });
            }
            Kind::PoolMax(window) => {
                let depth = usize::from(window.channels);
                for_window(window, |place, at, lane| {
                    (0..depth).for_each(|d| visit(place * depth + d, d, at, lane * depth + d));
                });
            }
        }
    }

    /// The layer's outputs before ReLU.
    pub(super) fn apply(&self, inputs: &[f64], weights: &[f64]) -> Vec<f64> {
        if let Kind::PoolMax(_) = self.kind {
            let mut outputs = vec![f64::NEG_INFINITY; self.outputs()];
            self.connections(|output, _, _, input| {
                outputs[output] = outputs[output].max(inputs[input]);
            });
            return outputs;
        }
        let row = self.row_length();
        let mut outputs: Vec<f64> =
            (0..self.outputs()).map(|output| self.bias[output % self.channels]).collect();
        self.connections(|output, channel, at, input| {
            outputs[output] += weights[channel * row + at] * inputs[input];
        });
        outputs
    }
}

/// Weights that one channel of a convolution has.
pub(super) fn window_lanes(window: &Window) -> usize {
    usize::from(window.height) * usize::from(window.width) * usize::from(window.channels)
}

/// For each place of a window, calls `visit(place, index inside the window, input pixel)`.
pub(super) fn for_window(window: &Window, mut visit: impl FnMut(usize, usize, usize)) {
    let size = |value: u16| i64::from(value);
    for out_y in 0..size(window.out_height) {
        for out_x in 0..size(window.out_width) {
            for y in 0..size(window.height) {
                for x in 0..size(window.width) {
                    let row = out_y * size(window.stride_y) + y - size(window.pad_top);
                    let column = out_x * size(window.stride_x) + x - size(window.pad_left);
                    if (0..size(window.in_height)).contains(&row)
                        && (0..size(window.in_width)).contains(&column)
                    {
                        visit(
                            (out_y * size(window.out_width) + out_x) as usize,
                            (y * size(window.width) + x) as usize,
                            (row * size(window.in_width) + column) as usize,
                        );
                    }
                }
            }
        }
    }
}

/// A network: layers one after the other.
#[derive(Clone, Debug, PartialEq)]
pub struct FloatNetwork {
    /// The layers, at least one.
    pub layers: Vec<Layer>,
}

impl FloatNetwork {
    /// A multi-layer perceptron with random weights: ReLU after each layer but the last.
    pub fn perceptron(inputs: usize, hidden: &[usize], outputs: usize, seed: u64) -> Self {
        let mut layers: Vec<Layer> = Vec::new();
        for (index, width) in hidden.iter().chain([&outputs]).enumerate() {
            let from = layers.last().map_or(inputs, Layer::outputs);
            let relu = index < hidden.len();
            let seed = seed.wrapping_add(index as u64);
            layers.push(Layer::random(Kind::Dense, from, *width, relu, seed));
        }
        Self { layers }
    }

    /// Lanes that it takes.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// Lanes that it gives.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, Layer::outputs)
    }

    /// Checks that layers fit each other and all numbers are finite.
    ///
    /// # Errors
    /// [`LearnError::Model`] with the layer that is wrong.
    pub fn check(&self) -> Result<()> {
        let refuse = |layer: usize, reason: String| {
            Err(LearnError::model("float network", format!("layer {layer}: {reason}")))
        };
        if self.layers.is_empty() {
            return refuse(0, "a network needs at least one layer".into());
        }
        let mut lanes = self.inputs();
        for (index, layer) in self.layers.iter().enumerate() {
            if let Kind::Convolution(window) | Kind::PoolMax(window) = &layer.kind {
                let pixels = usize::from(window.in_height) * usize::from(window.in_width);
                let expected = pixels * usize::from(window.channels);
                if expected != layer.inputs {
                    return refuse(
                        index,
                        format!("its window covers {expected} lanes, it takes {}", layer.inputs),
                    );
                }
            }
            if layer.inputs != lanes || layer.channels == 0 || lanes == 0 {
                return refuse(index, format!("it takes {} lanes, {lanes} come", layer.inputs));
            }
            let (weights, biases) = match layer.kind {
                Kind::PoolMax(_) => (0, 0),
                _ => (layer.row_length() * layer.channels, layer.channels),
            };
            if layer.weights.len() != weights || layer.bias.len() != biases {
                return refuse(
                    index,
                    format!(
                        "{} weights and {} biases; {weights} and {biases} are needed",
                        layer.weights.len(),
                        layer.bias.len()
                    ),
                );
            }
            let mut numbers = layer.weights.iter().chain(&layer.bias);
            if let Some(number) = numbers.find(|number| !number.is_finite()) {
                return refuse(
                    index,
                    format!(
                        "a weight is {number}; train again with a smaller learning rate, or export the weights again"
                    ),
                );
            }
            lanes = layer.outputs();
        }
        Ok(())
    }

    /// The outputs for real inputs, of which there must be [`inputs`](Self::inputs).
    pub fn forward(&self, inputs: &[f64]) -> Vec<f64> {
        let mut lanes = inputs.to_vec();
        for layer in &self.layers {
            lanes = layer.apply(&lanes, &layer.weights);
            if layer.relu {
                lanes.iter_mut().for_each(|lane| *lane = lane.max(0.0));
            }
        }
        lanes
    }

    /// The class that the outputs mean: for a lone output 1 if it is above 0, else the first largest.
    pub fn classify(&self, inputs: &[f64]) -> usize {
        class_of(&self.forward(inputs))
    }
}

/// The class that outputs mean, as [`FloatNetwork::classify`] says.
pub fn class_of<T: PartialOrd + Default + Copy>(outputs: &[T]) -> usize {
    if let [lone] = outputs {
        return usize::from(*lone > T::default());
    }
    let mut best = 0;
    for (class, output) in outputs.iter().enumerate() {
        if *output > outputs[best] {
            best = class;
        }
    }
    best
}
