//! Integer-only training of a small network, sample by sample: fit for a kernel thread.
//!
//! A network of one hidden layer and one output learns by gradient descent on the hinge loss. All
//! numbers are fixed-point integers: weights in 1/65536, activations in 1/4096, sums in 64 bits.
//! A step adds the gradient shifted right; the bits that fall off are rounded at random, without
//! which small gradients would never arrive (Gupta et al., "Deep Learning with Limited Numerical
//! Precision", ICML 2015). Time for each sample: two passes over the weights. Memory: the weights.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::operand::Element;
use rmt_isa::program::ChannelScale;

use super::integer::{IntegerNetwork, Step};
use crate::error::{LearnError, Result};

/// Bits behind the point of a weight.
const WEIGHT_BITS: u32 = 16;
/// Bits behind the point of an activation.
const LANE_BITS: u32 = 12;
/// One, as an activation.
const LANE_ONE: i64 = 1 << LANE_BITS;
/// Largest magnitude of a weight: 32.
const MAX_WEIGHT: i64 = 32 << WEIGHT_BITS;

/// Sizes and step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntegerTrainSettings {
    /// Hidden units, 1 to 256.
    pub hidden: usize,
    /// A step is the gradient shifted right by this, 1 to 14.
    pub rate_shift: u32,
    /// Seed of the first weights and of the rounding.
    pub seed: u64,
}

impl Default for IntegerTrainSettings {
    fn default() -> Self {
        Self { hidden: 10, rate_shift: 8, seed: 1 }
    }
}

/// A network that learns.
#[derive(Clone, Debug)]
pub struct IntegerTrainer {
    /// Raw lanes are multiplied by this and shifted right by 16.
    input_scales: Vec<i64>,
    /// `[hidden][inputs]`.
    hidden_weights: Vec<i64>,
    hidden_biases: Vec<i64>,
    output_weights: Vec<i64>,
    output_bias: i64,
    rate_shift: u32,
    random: u64,
    /// Scaled inputs and activations of the last sample.
    inputs: Vec<i64>,
    hidden: Vec<i64>,
}

impl IntegerTrainer {
    /// A network for lanes of these largest magnitudes, with small random weights.
    ///
    /// # Errors
    /// [`LearnError::Setting`] for a size or shift out of range.
    pub fn new(largest: &[i32], settings: &IntegerTrainSettings) -> Result<Self> {
        let sizes_ok = (1..=256).contains(&settings.hidden) && (1..=256).contains(&largest.len());
        if !sizes_ok || !(1..=14).contains(&settings.rate_shift) {
            return Err(LearnError::Setting {
                name: "inputs, hidden, rate_shift",
                reason: format!(
                    "1 to 256, 1 to 256 and 1 to 14 are possible, {}, {} and {} were given",
                    largest.len(),
                    settings.hidden,
                    settings.rate_shift
                ),
            });
        }
        let mut trainer = Self {
            input_scales: largest
                .iter()
                .map(|most| (LANE_ONE << 16) / i64::from(*most).abs().max(1))
                .collect(),
            hidden_weights: Vec::new(),
            hidden_biases: vec![0; settings.hidden],
            output_weights: Vec::new(),
            output_bias: 0,
            rate_shift: settings.rate_shift,
            random: split_mix_64(settings.seed),
            inputs: vec![0; largest.len()],
            hidden: vec![0; settings.hidden],
        };
        // Uniform in ±1/2.
        for _ in 0..settings.hidden * largest.len() {
            let weight = trainer.draw(WEIGHT_BITS) - (1 << (WEIGHT_BITS - 1));
            trainer.hidden_weights.push(weight);
        }
        for _ in 0..settings.hidden {
            let weight = trainer.draw(WEIGHT_BITS) - (1 << (WEIGHT_BITS - 1));
            trainer.output_weights.push(weight);
        }
        Ok(trainer)
    }

    /// A number of `bits` random bits.
    fn draw(&mut self, bits: u32) -> i64 {
        self.random = self.random.wrapping_add(1);
        (split_mix_64(self.random) >> (64 - bits)) as i64
    }

    /// `value >> shift`, the bits that fall off rounded at random.
    fn shift(&mut self, value: i64, shift: u32) -> i64 {
        (value + self.draw(shift)) >> shift
    }

    /// The output in 1/4096; above 0 means class 1. Missing lanes count as 0.
    pub fn forward(&mut self, lanes: &[i32]) -> i64 {
        for (index, (input, scale)) in self.inputs.iter_mut().zip(&self.input_scales).enumerate() {
            let lane = i64::from(lanes.get(index).copied().unwrap_or(0));
            // Lanes beyond what was promised saturate at eight times of it.
            *input = ((lane * scale) >> 16).clamp(-8 * LANE_ONE, 8 * LANE_ONE);
        }
        let mut output = self.output_bias << LANE_BITS;
        for (unit, activation) in self.hidden.iter_mut().enumerate() {
            let row = &self.hidden_weights[unit * self.inputs.len()..][..self.inputs.len()];
            let sum: i64 = row.iter().zip(&self.inputs).map(|(weight, input)| weight * input).sum();
            *activation = ((sum >> WEIGHT_BITS)
                + (self.hidden_biases[unit] >> (WEIGHT_BITS - LANE_BITS)))
                .max(0);
            output += self.output_weights[unit] * *activation;
        }
        output >> WEIGHT_BITS
    }

    /// Learns from one sample; tells whether it was classified right before.
    pub fn learn(&mut self, lanes: &[i32], class: bool) -> bool {
        let output = self.forward(lanes);
        let sign = if class { 1 } else { -1 };
        // The hinge: samples that are right by a margin of 1 teach nothing.
        if sign * output < LANE_ONE {
            let rate = self.rate_shift;
            for unit in 0..self.hidden.len() {
                let activation = self.hidden[unit];
                let old_weight = self.output_weights[unit];
                let change = self.shift((sign * activation) << (WEIGHT_BITS - LANE_BITS), rate);
                self.output_weights[unit] = (old_weight + change).clamp(-MAX_WEIGHT, MAX_WEIGHT);
                if activation == 0 {
                    continue;
                }
                let change = self.shift(sign * old_weight, rate);
                self.hidden_biases[unit] =
                    (self.hidden_biases[unit] + change).clamp(-MAX_WEIGHT, MAX_WEIGHT);
                for input in 0..self.inputs.len() {
                    let gradient = sign * old_weight * self.inputs[input];
                    let change = self.shift(gradient, rate + LANE_BITS);
                    let weight = &mut self.hidden_weights[unit * self.inputs.len() + input];
                    *weight = (*weight + change).clamp(-MAX_WEIGHT, MAX_WEIGHT);
                }
            }
            let change = self.shift(sign << WEIGHT_BITS, rate);
            self.output_bias = (self.output_bias + change).clamp(-MAX_WEIGHT, MAX_WEIGHT);
        }
        (output > 0) == class
    }

    /// The network as the machine runs it: i8 weights, i16 activations; no floating point here
    /// either.
    ///
    /// # Errors
    /// [`LearnError::Model`] if an accumulator could overflow.
    pub fn to_integer_network(&self) -> Result<IntegerNetwork> {
        let inputs = self.inputs.len();
        let input_channels = self.input_scales.iter().map(|scale| {
            // Lanes in 1/4096, as in training; a scale above 2^31 needs a smaller shift.
            let (mut multiplier, mut shift) = (*scale, 16u8);
            while multiplier > i64::from(i32::MAX) {
                multiplier >>= 1;
                shift -= 1;
            }
            ChannelScale { multiplier: multiplier as i32, shift }
        });
        let mut steps = vec![Step::Requantise {
            channels: input_channels.collect(),
            zero_point: 0,
            element: Element::I16,
        }];
        let (mut weights, mut bias, mut channels) = (Vec::new(), Vec::new(), Vec::new());
        for (row, row_bias) in self.hidden_weights.chunks(inputs).zip(&self.hidden_biases) {
            let (row, step) = round_row(row);
            weights.extend(row);
            // A sum is weight / step × lane in 1/4096; the bias has 1/65536.
            bias.push(saturated((row_bias << LANE_BITS) / step));
            // Back to 1/4096: × step / 65536.
            channels.push(ChannelScale { multiplier: saturated(step), shift: WEIGHT_BITS as u8 });
        }
        steps.push(Step::MatMul { weights, bias });
        steps.push(Step::Requantise { channels, zero_point: 0, element: Element::I16 });
        steps.push(Step::Relu);
        let (weights, step) = round_row(&self.output_weights);
        let bias = vec![saturated((self.output_bias << LANE_BITS) / step)];
        steps.push(Step::MatMul { weights, bias });
        let network = IntegerNetwork { inputs, input_element: Element::I32, steps };
        network.check()?;
        Ok(network)
    }
}

/// A row as i8 and the step that one of it stands for, in 1/65536.
fn round_row(row: &[i64]) -> (Vec<i8>, i64) {
    let most = row.iter().map(|weight| weight.abs()).max().unwrap_or(0);
    let step = (most + 126) / 127;
    let step = step.max(1);
    let rounded = row.iter().map(|weight| {
        let half = if *weight < 0 { -step / 2 } else { step / 2 };
        ((weight + half) / step).clamp(-127, 127) as i8
    });
    (rounded.collect(), step)
}

fn saturated(value: i64) -> i32 {
    // Room for the products beside a bias: half of the accumulator.
    value.clamp(-(1 << 30), 1 << 30) as i32
}
