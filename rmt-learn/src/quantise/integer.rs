//! The quantised network in the machine's exact arithmetic, and the proof that its sums fit.
//!
//! Five instructions: requantise the i16 inputs, `RMT_MAT_MUL`, `RMT_REQUANT` to i16, ReLU,
//! `RMT_MAT_MUL`; then one comparison. Rounding and saturation are those of
//! [`rmt_isa::arithmetic::requantise`].

use rmt_isa::arithmetic::requantise;
use rmt_isa::operand::Element;
use rmt_isa::program::ChannelScale;

use crate::error::{LearnError, Result};

/// Largest magnitude of an i16 lane.
const MAX_LANE: i64 = 1 << 15;

/// A network `inputs → hidden (ReLU) → 1` in integers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantisedMlp {
    /// Scale of each input lane.
    pub input_scales: Vec<ChannelScale>,
    /// i8 weights, `[hidden][inputs]`.
    pub hidden_weights: Vec<Vec<i8>>,
    /// i32 biases, in units of each unit's accumulator.
    pub hidden_biases: Vec<i32>,
    /// Accumulator to i16 activation, one scale for each unit.
    pub hidden_scales: Vec<ChannelScale>,
    /// i8 weights of the output.
    pub output_weights: Vec<i8>,
    /// i32 bias of the output.
    pub output_bias: i32,
    /// Output units of the real value 1.
    pub output_one: i32,
    /// Decide "migrate" if the output is above this.
    pub threshold: i32,
}

/// Largest magnitudes that the i32 accumulators can reach, for any i16 input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccumulatorBounds {
    /// Over all hidden units.
    pub hidden: i64,
    /// Of the output.
    pub output: i64,
}

impl QuantisedMlp {
    /// Checks shapes, scales, and that no accumulator can overflow.
    ///
    /// # Errors
    /// [`LearnError::Model`] with the part that is wrong.
    pub fn check(&self) -> Result<AccumulatorBounds> {
        let refuse = |reason: String| Err(LearnError::model("quantised network", reason));
        let (inputs, hidden) = (self.input_scales.len(), self.hidden_weights.len());
        if inputs == 0 || hidden == 0 {
            return refuse("a network needs at least one input and one hidden unit".into());
        }
        if let Some(row) = self.hidden_weights.iter().position(|row| row.len() != inputs) {
            return refuse(format!(
                "hidden unit {row} has {} weights for {inputs} inputs",
                self.hidden_weights[row].len()
            ));
        }
        for (list, found) in [
            ("hidden biases", self.hidden_biases.len()),
            ("hidden scales", self.hidden_scales.len()),
            ("output weights", self.output_weights.len()),
        ] {
            if found != hidden {
                return refuse(format!("{found} {list} for {hidden} hidden units"));
            }
        }
        for scale in self.input_scales.iter().chain(&self.hidden_scales) {
            if scale.multiplier < 0 || !(1..=62).contains(&scale.shift) {
                return refuse(format!(
                    "a scale of {} / 2^{} needs a multiplier of at least 0 and a shift of 1 to 62",
                    scale.multiplier, scale.shift
                ));
            }
        }
        let bounds = self.bounds();
        for (layer, bound) in [("hidden", bounds.hidden), ("output", bounds.output)] {
            if bound > i64::from(i32::MAX) {
                return refuse(format!(
                    "the {layer} accumulator can reach {bound}, above {}; use smaller weights or a smaller bias",
                    i32::MAX
                ));
            }
        }
        Ok(bounds)
    }

    /// Interval analysis: Σ |weight| · 2^15 + |bias|. It bounds every partial sum too, in whatever
    /// order an engine adds.
    fn bounds(&self) -> AccumulatorBounds {
        let bound = |weights: &[i8], bias: i32| {
            let weight_sum: i64 =
                weights.iter().map(|weight| i64::from(weight.unsigned_abs())).sum();
            weight_sum * MAX_LANE + i64::from(bias.unsigned_abs())
        };
        let rows = self.hidden_weights.iter().zip(&self.hidden_biases);
        AccumulatorBounds {
            hidden: rows.map(|(row, bias)| bound(row, *bias)).max().unwrap_or(0),
            output: bound(&self.output_weights, self.output_bias),
        }
    }

    /// Scaled inputs: what the first product multiplies. Missing lanes count as 0.
    pub fn scale_inputs(&self, lanes: &[i16]) -> Vec<i16> {
        let lanes = lanes.iter().copied().chain(std::iter::repeat(0));
        self.input_scales
            .iter()
            .zip(lanes)
            .map(|(scale, lane)| {
                requantise(lane.into(), scale.multiplier, scale.shift, 0, Element::I16) as i16
            })
            .collect()
    }

    /// The output accumulator for raw lanes, in units of 1 / [`output_one`](Self::output_one).
    pub fn forward(&self, lanes: &[i16]) -> i32 {
        let inputs = self.scale_inputs(lanes);
        let mut output = self.output_bias;
        for (unit, weights) in self.hidden_weights.iter().enumerate() {
            let sum = weights
                .iter()
                .zip(&inputs)
                .fold(self.hidden_biases[unit], |sum, (weight, input)| {
                    sum.wrapping_add(i32::from(*weight) * i32::from(*input))
                });
            let ChannelScale { multiplier, shift } = self.hidden_scales[unit];
            let activation = requantise(sum, multiplier, shift, 0, Element::I16).max(0);
            output = output.wrapping_add(i32::from(self.output_weights[unit]) * activation);
        }
        output
    }

    /// Whether the network decides "migrate".
    pub fn decide(&self, lanes: &[i16]) -> bool {
        self.forward(lanes) > self.threshold
    }

    /// An output accumulator as the real number that it stands for.
    pub fn to_real(&self, output: i32) -> f64 {
        f64::from(output) / f64::from(self.output_one)
    }
}
