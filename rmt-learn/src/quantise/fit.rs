//! Choosing scales and rounding weights so that decisions change least.
//!
//! An i8 weight is coarse (the study asks for steps of 0.0005, rounding to i8 gives 0.01), so plain
//! rounding changes 0.5 % of the decisions on synthetic inputs. Three things, all within i8 weights
//! and i16 activations, bring that below 0.1 %:
//! 1. *Folded output weights.* ReLU commutes with positive factors, so each output weight's
//!    magnitude goes into its unit's requantisation; the output weights become +1, 0 or -1, with no
//!    rounding error (cross-layer equalisation: Nagel et al., "Data-Free Quantization Through
//!    Weight Equalization and Bias Correction", ICCV 2019).
//! 2. *Equalised inputs.* Each input lane has a scale of its own, chosen so that each input's
//!    weights use the i8 range.
//! 3. *Adaptive rounding.* Weights, biases and scales take turns in moving by one step when that
//!    lowers the squared output error on a calibration set, weighted toward the decision threshold
//!    (in the spirit of Nagel et al., "Up or Down? Adaptive Rounding for Post-Training
//!    Quantization", ICML 2020, by coordinate descent).
//!
//! Only + - × ÷ of doubles in a fixed order are used, so results are the same on every machine.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::program::ChannelScale;

use super::integer::QuantisedMlp;
use super::network::FloatMlp;
use crate::error::{LearnError, Result};

/// Shift of the input scales; their multipliers are steps of 2^-15.
const INPUT_SHIFT: u8 = 15;
/// Largest magnitude of a weight: symmetric, so that no product needs the value -128.
const MAX_WEIGHT: f64 = 127.0;

/// What is known of one input lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InputLane {
    /// Real value of one lane unit.
    pub unit: f64,
    /// Smallest scale to try.
    pub min_scale: f64,
    /// Largest scale to try; lanes saturate at 32767 / scale.
    pub max_scale: f64,
}

/// How hard the fit tries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FitConfig {
    /// Output units of the real value 1; a hidden contribution saturates at 32767 / this.
    pub output_one: i32,
    /// Real threshold of the decision.
    pub threshold: f64,
    /// Distance from the threshold at which an error counts half.
    pub focus: f64,
    /// Sets of input scales tried; the best on the calibration set is kept.
    pub restarts: usize,
    /// Most rounds over all weights for each set.
    pub max_rounds: usize,
    /// Seed of the variations of the input scales.
    pub seed: u64,
}

impl Default for FitConfig {
    fn default() -> Self {
        Self { output_one: 2048, threshold: 0.5, focus: 0.5, restarts: 8, max_rounds: 40, seed: 1 }
    }
}

/// One hidden unit while it is fitted.
#[derive(Clone, Debug)]
struct Unit {
    weights: Vec<f64>,
    /// In accumulator units.
    bias: f64,
    /// Real output contribution of one accumulator unit, not negative.
    scale: f64,
    /// -1, 0 or 1.
    sign: f64,
    /// Accumulator for each calibration sample.
    sums: Vec<f64>,
}

impl Unit {
    fn contribution(&self, sum: f64, scale: f64) -> f64 {
        self.sign * scale * sum.max(0.0)
    }
}

/// The calibration set and the state of one fit.
struct Fit<'a> {
    /// `inputs[input][sample]`, scaled lanes.
    inputs: Vec<Vec<f64>>,
    targets: &'a [f64],
    importance: &'a [f64],
    units: Vec<Unit>,
    /// Output for each sample.
    outputs: Vec<f64>,
    error: f64,
}

/// Quantises a network.
///
/// `calibration` holds raw lanes and the real inputs that they stand for.
///
/// # Errors
/// [`LearnError::Data`] if the calibration set is empty or lanes and inputs do not fit the network,
/// [`LearnError::Setting`] if a setting is out of range, [`LearnError::Model`] if an accumulator
/// could overflow.
pub fn fit(
    network: &FloatMlp,
    lanes: &[InputLane],
    calibration: &[(Vec<i16>, Vec<f64>)],
    config: &FitConfig,
) -> Result<QuantisedMlp> {
    check(network, lanes, calibration, config)?;
    let targets: Vec<f64> = calibration.iter().map(|(_, real)| network.forward(real)).collect();
    let importance: Vec<f64> = targets
        .iter()
        .map(|target| {
            let distance = (target - config.threshold) / config.focus;
            1.0 / (1.0 + distance * distance)
        })
        .collect();
    let base = equalised_scales(network, lanes);
    let mut best: Option<(f64, QuantisedMlp)> = None;
    for restart in 0..config.restarts {
        let scales = varied_scales(&base, lanes, restart, config.seed);
        let mut candidate = start(network, lanes, &scales, config)?;
        let inputs =
            transpose(calibration.iter().map(|(raw, _)| candidate.scale_inputs(raw)), lanes.len());
        let mut state = Fit::new(network, lanes, &candidate, inputs, &targets, &importance, config);
        state.descend(config.max_rounds);
        state.write(&mut candidate, config);
        candidate.check()?;
        if best.as_ref().is_none_or(|(error, _)| state.error < *error) {
            best = Some((state.error, candidate));
        }
    }
    best.map(|(_, quantised)| quantised)
        .ok_or_else(|| LearnError::Setting { name: "restarts", reason: "at least 1".into() })
}

fn check(
    network: &FloatMlp,
    lanes: &[InputLane],
    calibration: &[(Vec<i16>, Vec<f64>)],
    config: &FitConfig,
) -> Result<()> {
    network.check("float network")?;
    let inputs = network.features.len();
    if lanes.len() != inputs {
        return Err(LearnError::Data(format!(
            "{} lanes are described; the network has {inputs} inputs",
            lanes.len()
        )));
    }
    if calibration.is_empty() {
        return Err(LearnError::Data(
            "the calibration set is empty; record or draw some inputs".into(),
        ));
    }
    if let Some(index) =
        calibration.iter().position(|(raw, real)| raw.len() != inputs || real.len() != inputs)
    {
        return Err(LearnError::Data(format!(
            "calibration sample {index} does not have {inputs} lanes and inputs"
        )));
    }
    let positive = |name, value: f64| {
        if value > 0.0 && value.is_finite() {
            Ok(())
        } else {
            Err(LearnError::Setting {
                name,
                reason: format!("a positive number is needed, {value} was given"),
            })
        }
    };
    positive("focus", config.focus)?;
    positive("output_one", f64::from(config.output_one))?;
    positive("restarts", config.restarts as f64)?;
    for lane in lanes {
        positive("unit", lane.unit)?;
        positive("min_scale", lane.min_scale)?;
        positive("max_scale", lane.max_scale - lane.min_scale + f64::MIN_POSITIVE)?;
        if lane.max_scale > 32768.0 {
            return Err(LearnError::Setting {
                name: "max_scale",
                reason: format!("at most 32768, {} was given", lane.max_scale),
            });
        }
    }
    Ok(())
}

/// Scales at which each input's largest weight, relative to its unit's largest, uses the range
/// alike.
fn equalised_scales(network: &FloatMlp, lanes: &[InputLane]) -> Vec<f64> {
    let mut scales: Vec<f64> = lanes.iter().map(|lane| lane.max_scale).collect();
    // From the largest scales downward; settles within a few rounds.
    for _ in 0..32 {
        let per_unit =
            |scale: f64, lane: &InputLane, weight: f64| (weight * lane.unit / scale).abs();
        let unit_max: Vec<f64> = network
            .hidden_weights
            .iter()
            .map(|row| {
                row.iter()
                    .zip(lanes)
                    .zip(&scales)
                    .map(|((w, lane), s)| per_unit(*s, lane, *w))
                    .fold(f64::MIN_POSITIVE, f64::max)
            })
            .collect();
        for (input, lane) in lanes.iter().enumerate() {
            let used = network
                .hidden_weights
                .iter()
                .zip(&unit_max)
                .map(|(row, max)| per_unit(scales[input], lane, row[input]) / max)
                .fold(0.0, f64::max);
            scales[input] = (scales[input] * used.max(0.5)).clamp(lane.min_scale, lane.max_scale);
        }
    }
    scales
}

/// Input scales of one restart: the first is the base, the others vary each by up to a factor of
/// 1.5.
fn varied_scales(base: &[f64], lanes: &[InputLane], restart: usize, seed: u64) -> Vec<f64> {
    const FACTORS: [f64; 8] = [0.66, 0.75, 0.85, 1.0, 1.0, 1.15, 1.3, 1.5];
    base.iter()
        .zip(lanes)
        .enumerate()
        .map(|(input, (scale, lane))| {
            let draw = split_mix_64(seed.wrapping_add((restart * base.len() + input) as u64));
            let factor = if restart == 0 { 1.0 } else { FACTORS[(draw % 8) as usize] };
            (scale * factor).clamp(lane.min_scale, lane.max_scale)
        })
        .collect()
}

/// The network with input scales set and everything else still to be fitted.
fn start(
    network: &FloatMlp,
    lanes: &[InputLane],
    scales: &[f64],
    config: &FitConfig,
) -> Result<QuantisedMlp> {
    let one = f64::from(config.output_one);
    let input_scales = scales
        .iter()
        .map(|scale| ChannelScale {
            multiplier: (scale * f64::from(1 << INPUT_SHIFT)).round() as i32,
            shift: INPUT_SHIFT,
        })
        .collect();
    let hidden = network.hidden_biases.len();
    let output_bias = (network.output_bias * one).round();
    if output_bias.abs() > 1e9 {
        return Err(LearnError::model(
            "float network",
            format!("output bias {} does not fit at {one} units", network.output_bias),
        ));
    }
    Ok(QuantisedMlp {
        input_scales,
        hidden_weights: vec![vec![0; lanes.len()]; hidden],
        hidden_biases: vec![0; hidden],
        hidden_scales: vec![ChannelScale { multiplier: 0, shift: 1 }; hidden],
        output_weights: vec![0; hidden],
        output_bias: output_bias as i32,
        output_one: config.output_one,
        threshold: (config.threshold * one).round() as i32,
    })
}

fn transpose(rows: impl Iterator<Item = Vec<i16>>, columns: usize) -> Vec<Vec<f64>> {
    let mut transposed = vec![Vec::new(); columns];
    for row in rows {
        for (column, value) in transposed.iter_mut().zip(row) {
            column.push(f64::from(value));
        }
    }
    transposed
}

impl<'a> Fit<'a> {
    /// Plain rounding: each unit's largest weight becomes 127.
    fn new(
        network: &FloatMlp,
        lanes: &[InputLane],
        quantised: &QuantisedMlp,
        inputs: Vec<Vec<f64>>,
        targets: &'a [f64],
        importance: &'a [f64],
        config: &FitConfig,
    ) -> Self {
        let lane_reals: Vec<f64> = lanes
            .iter()
            .zip(&quantised.input_scales)
            .map(|(lane, scale)| {
                lane.unit * f64::from(1 << INPUT_SHIFT) / f64::from(scale.multiplier)
            })
            .collect();
        let samples = targets.len();
        let bias = f64::from(quantised.output_bias) / f64::from(config.output_one);
        let mut fit = Self {
            inputs,
            targets,
            importance,
            units: Vec::new(),
            outputs: vec![bias; samples],
            error: 0.0,
        };
        for ((row, unit_bias), output_weight) in
            network.hidden_weights.iter().zip(&network.hidden_biases).zip(&network.output_weights)
        {
            let lane_weights: Vec<f64> =
                row.iter().zip(&lane_reals).map(|(weight, real)| weight * real).collect();
            let step =
                lane_weights.iter().fold(f64::MIN_POSITIVE, |max, weight| max.max(weight.abs()))
                    / MAX_WEIGHT;
            let sign = if *output_weight == 0.0 { 0.0 } else { output_weight.signum() };
            let mut unit = Unit {
                weights: lane_weights.iter().map(|weight| (weight / step).round()).collect(),
                bias: (unit_bias / step).round(),
                scale: step * output_weight.abs(),
                sign,
                sums: Vec::new(),
            };
            unit.sums = vec![unit.bias; samples];
            for (weight, lane) in unit.weights.iter().zip(&fit.inputs) {
                unit.sums.iter_mut().zip(lane).for_each(|(sum, value)| *sum += weight * value);
            }
            for (output, sum) in fit.outputs.iter_mut().zip(&unit.sums) {
                *output += unit.contribution(*sum, unit.scale);
            }
            fit.units.push(unit);
        }
        fit.error = fit.weighted_error(&fit.outputs);
        fit
    }

    fn weighted_error(&self, outputs: &[f64]) -> f64 {
        outputs.iter().zip(self.targets).zip(self.importance).fold(
            0.0,
            |error, ((output, target), weight)| {
                error + weight * (output - target) * (output - target)
            },
        )
    }

    /// Rounds over all parameters until a round gains less than a thousandth.
    fn descend(&mut self, max_rounds: usize) {
        for _ in 0..max_rounds {
            let before = self.error;
            for unit in 0..self.units.len() {
                for input in 0..self.inputs.len() {
                    for step in [-1.0, 1.0] {
                        if (self.units[unit].weights[input] + step).abs() <= MAX_WEIGHT
                            && self.try_sums(unit, |sum, sample, inputs| {
                                sum + step * inputs[input][sample]
                            })
                        {
                            self.units[unit].weights[input] += step;
                        }
                    }
                }
                for real_step in [-1e-2, 1e-2, -1e-3, 1e-3, -1e-4, 1e-4] {
                    let step = (real_step / self.units[unit].scale.max(1e-12)).round();
                    if self.try_sums(unit, |sum, _, _| sum + step) {
                        self.units[unit].bias += step;
                    }
                }
                for factor in [0.99, 1.01, 0.999, 1.001, 0.9999, 1.0001] {
                    self.try_scale(unit, self.units[unit].scale * factor);
                }
            }
            if before - self.error <= before * 1e-3 {
                break;
            }
        }
    }

    /// Moves one unit's accumulators if that lowers the error; tells whether it did.
    fn try_sums(&mut self, unit: usize, moved: impl Fn(f64, usize, &[Vec<f64>]) -> f64) -> bool {
        let old = &self.units[unit];
        let sums: Vec<f64> = old
            .sums
            .iter()
            .enumerate()
            .map(|(sample, sum)| moved(*sum, sample, &self.inputs))
            .collect();
        let scale = old.scale;
        self.adopt_if_better(unit, sums, scale)
    }

    fn try_scale(&mut self, unit: usize, scale: f64) {
        let sums = self.units[unit].sums.clone();
        self.adopt_if_better(unit, sums, scale);
    }

    fn adopt_if_better(&mut self, unit: usize, sums: Vec<f64>, scale: f64) -> bool {
        let old = &self.units[unit];
        let outputs: Vec<f64> = self
            .outputs
            .iter()
            .zip(old.sums.iter().zip(&sums))
            .map(|(output, (old_sum, new_sum))| {
                output - old.contribution(*old_sum, old.scale) + old.contribution(*new_sum, scale)
            })
            .collect();
        let error = self.weighted_error(&outputs);
        // A margin above rounding noise, so that no step is taken for nothing.
        if error >= self.error * (1.0 - 1e-9) {
            return false;
        }
        self.error = error;
        self.outputs = outputs;
        self.units[unit].sums = sums;
        self.units[unit].scale = scale;
        true
    }

    /// Writes the fitted units as integers.
    fn write(&self, quantised: &mut QuantisedMlp, config: &FitConfig) {
        for (index, unit) in self.units.iter().enumerate() {
            quantised.hidden_weights[index] =
                unit.weights.iter().map(|weight| *weight as i8).collect();
            quantised.hidden_biases[index] = unit.bias as i32;
            quantised.hidden_scales[index] =
                channel_scale(unit.scale * f64::from(config.output_one));
            quantised.output_weights[index] = unit.sign as i8;
        }
    }
}

/// The scale nearest to a real factor: a multiplier of 31 bits where the shift allows it.
///
/// A factor that needs a shift above 62 loses bits, one above 2^30 saturates; neither occurs in a
/// trained network.
pub fn channel_scale(factor: f64) -> ChannelScale {
    let mut shift = 1u8;
    let mut scaled = factor * 2.0;
    while scaled < f64::from(1 << 30) && shift < 62 {
        scaled *= 2.0;
        shift += 1;
    }
    // A cast saturates, and takes what is not a number as 0.
    ChannelScale { multiplier: scaled.round() as i32, shift }
}
