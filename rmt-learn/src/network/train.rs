//! Training by gradient descent, with or without regard to the later quantisation.
//!
//! Adam (Kingma and Ba, 2015) on mini-batches; squared hinge loss, one class against the others.
//! Only + − × ÷ and √ of doubles in a fixed order are used, which IEEE 754 rounds alike everywhere:
//! the same data and seed give the same weights on every machine.
//!
//! The trainer is the project's own: the networks have some hundred weights, quantisation-aware
//! training needs the machine's rounding inside the forward pass, and models must come out byte for
//! byte. The general crates were judged: candle's matrix kernels alone take longer to compile than
//! the rest of the workspace.

use rmt_isa::arithmetic::split_mix_64;

use super::float::{FloatNetwork, Kind, Layer, class_of};
use crate::error::{LearnError, Result};

/// Real inputs with the right class.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Inputs, best within -1 to 1.
    pub inputs: Vec<f64>,
    /// The right class.
    pub class: usize,
}

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrainSettings {
    /// Most passes over the data.
    pub epochs: usize,
    /// Samples of one step.
    pub batch: usize,
    /// Step size.
    pub learning_rate: f64,
    /// Passes without a better validation loss after which training stops.
    pub patience: usize,
    /// Weigh classes so that each counts alike.
    pub balanced: bool,
    /// Weights and activations pass through the rounding of 8 and this many bits (8 or 16) in the
    /// forward pass; gradients pass straight through it.
    pub quantised_bits: Option<u32>,
    /// Seed of the order of samples.
    pub seed: u64,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            epochs: 60,
            batch: 32,
            learning_rate: 0.01,
            patience: 12,
            balanced: false,
            quantised_bits: None,
            seed: 1,
        }
    }
}

/// How training went.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainReport {
    /// Passes over the data.
    pub epochs: usize,
    /// Validation loss after each pass.
    pub validation_loss: Vec<f64>,
}

/// Moments of Adam for one list of numbers.
struct Moments {
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Moments {
    fn new(count: usize) -> Self {
        Self { first: vec![0.0; count], second: vec![0.0; count] }
    }

    fn step(&mut self, values: &mut [f64], gradients: &[f64], rate: f64, corrections: (f64, f64)) {
        for ((value, gradient), (first, second)) in
            values.iter_mut().zip(gradients).zip(self.first.iter_mut().zip(self.second.iter_mut()))
        {
            *first += (gradient - *first) * 0.1;
            *second += (gradient * gradient - *second) * 0.001;
            *value -= rate * (*first / corrections.0) / ((*second / corrections.1).sqrt() + 1e-8);
        }
    }
}

/// Gradients of one layer.
struct Gradients {
    weights: Vec<f64>,
    bias: Vec<f64>,
}

/// Trains a network in place and keeps the weights of the best validation loss.
///
/// # Errors
/// [`LearnError::Data`] if there is no sample, samples do not fit the network, a class is out of
/// range, or all training samples have one class; [`LearnError::Setting`] for a setting out of
/// range; [`LearnError::Model`] if weights stop being finite.
pub fn train(
    network: &mut FloatNetwork,
    training: &[Sample],
    validation: &[Sample],
    settings: &TrainSettings,
) -> Result<TrainReport> {
    network.check()?;
    check(network, training, validation, settings)?;
    let class_weights = class_weights(network, training, settings.balanced);
    let mut moments: Vec<_> = (network.layers.iter())
        .map(|layer| (Moments::new(layer.weights.len()), Moments::new(layer.bias.len())))
        .collect();
    let mut corrections = (1.0, 1.0);
    let mut order: Vec<usize> = (0..training.len()).collect();
    let mut counter = split_mix_64(settings.seed);
    let mut best: Option<(f64, FloatNetwork)> = None;
    let mut best_epoch = 0;
    let mut report = TrainReport { epochs: 0, validation_loss: Vec::new() };
    for epoch in 0..settings.epochs {
        for place in (1..order.len()).rev() {
            counter = counter.wrapping_add(1);
            let other = (u128::from(split_mix_64(counter)) * (place as u128 + 1)) >> 64;
            order.swap(place, other as usize);
        }
        // The step size falls linearly to a tenth.
        let rate = settings.learning_rate * (1.0 - 0.9 * epoch as f64 / settings.epochs as f64);
        for batch in order.chunks(settings.batch) {
            let weights = rounded_weights(network, settings.quantised_bits);
            let mut gradients: Vec<_> = (network.layers.iter())
                .map(|layer| Gradients {
                    weights: vec![0.0; layer.weights.len()],
                    bias: vec![0.0; layer.bias.len()],
                })
                .collect();
            for sample in batch {
                let sample = &training[*sample];
                let weight = class_weights[sample.class] / batch.len() as f64;
                add_gradients(network, &weights, sample, weight, settings, &mut gradients);
            }
            corrections = (corrections.0 * 0.9, corrections.1 * 0.999);
            let bias_corrections = (1.0 - corrections.0, 1.0 - corrections.1);
            for ((layer, gradient), (weights, bias)) in
                network.layers.iter_mut().zip(&gradients).zip(&mut moments)
            {
                weights.step(&mut layer.weights, &gradient.weights, rate, bias_corrections);
                bias.step(&mut layer.bias, &gradient.bias, rate, bias_corrections);
            }
        }
        network.check()?;
        let weights = rounded_weights(network, settings.quantised_bits);
        let judged = if validation.is_empty() { training } else { validation };
        let loss = judged
            .iter()
            .map(|sample| {
                let lanes = forward(network, &weights, &sample.inputs, settings.quantised_bits);
                let outputs = lanes.last().map_or(&[][..], Vec::as_slice);
                class_weights[sample.class] * hinge(outputs, sample.class).0
            })
            .sum::<f64>()
            / judged.len() as f64;
        report.validation_loss.push(loss);
        report.epochs = epoch + 1;
        if best.as_ref().is_none_or(|(least, _)| loss < *least) {
            best = Some((loss, network.clone()));
            best_epoch = epoch;
        } else if epoch - best_epoch >= settings.patience {
            break;
        }
    }
    if let Some((_, trained)) = best {
        *network = trained;
    }
    Ok(report)
}

fn check(
    network: &FloatNetwork,
    training: &[Sample],
    validation: &[Sample],
    settings: &TrainSettings,
) -> Result<()> {
    let refuse = |reason: String| Err(LearnError::Data(reason));
    let Some(first) = training.first() else {
        return refuse("there is no sample to train on; record some, or give another file".into());
    };
    let classes = network.outputs().max(2);
    for (index, sample) in training.iter().chain(validation).enumerate() {
        if sample.inputs.len() != network.inputs() || sample.class >= classes {
            return refuse(format!(
                "sample {index} has {} inputs and class {}; the network takes {} inputs and tells {classes} classes apart",
                sample.inputs.len(),
                sample.class,
                network.inputs()
            ));
        }
        if let Some(input) = sample.inputs.iter().find(|input| !input.is_finite()) {
            return refuse(format!("sample {index} has an input of {input}"));
        }
    }
    if training.iter().all(|sample| sample.class == first.class) {
        return refuse(format!(
            "all {} samples have class {}; a network learns nothing from one class, record loads in which the kernel decides both ways",
            training.len(),
            first.class
        ));
    }
    let rate_ok = settings.learning_rate > 0.0 && settings.learning_rate <= 1.0;
    let bits_ok = matches!(settings.quantised_bits, None | Some(8 | 16));
    if settings.epochs == 0 || settings.batch == 0 || !rate_ok || !bits_ok {
        return Err(LearnError::Setting {
            name: "epochs, batch, learning_rate, quantised_bits",
            reason: format!(
                "at least 1, at least 1, above 0 to 1, and 8 or 16 are possible, {settings:?} was given"
            ),
        });
    }
    Ok(())
}

fn class_weights(network: &FloatNetwork, training: &[Sample], balanced: bool) -> Vec<f64> {
    let classes = network.outputs().max(2);
    let mut counts = vec![0usize; classes];
    training.iter().for_each(|sample| counts[sample.class] += 1);
    counts
        .iter()
        .map(|count| match balanced {
            true => training.len() as f64 / (classes * (*count).max(1)) as f64,
            false => 1.0,
        })
        .collect()
}

/// The weights of the forward pass: each channel's row rounded to its own i8 scale, where asked.
fn rounded_weights(network: &FloatNetwork, bits: Option<u32>) -> Vec<Vec<f64>> {
    let of_layer = |layer: &Layer| {
        if bits.is_none() || layer.weights.is_empty() {
            return layer.weights.clone();
        }
        let round_row = |row: &[f64]| {
            let step = row.iter().fold(f64::MIN_POSITIVE, |max, w| max.max(w.abs())) / 127.0;
            row.iter().map(|weight| (weight / step).round() * step).collect::<Vec<_>>()
        };
        layer.weights.chunks(layer.row_length()).flat_map(round_row).collect()
    };
    network.layers.iter().map(of_layer).collect()
}

/// Activations before the first and after each layer.
fn forward(
    network: &FloatNetwork,
    weights: &[Vec<f64>],
    inputs: &[f64],
    bits: Option<u32>,
) -> Vec<Vec<f64>> {
    let mut all = vec![inputs.to_vec()];
    let last = network.layers.len() - 1;
    for (index, (layer, weights)) in network.layers.iter().zip(weights).enumerate() {
        let mut lanes = layer.apply(&all[index], weights);
        if layer.relu {
            lanes.iter_mut().for_each(|lane| *lane = lane.max(0.0));
        }
        if let (Some(bits), true) = (bits, index < last) {
            let most = lanes.iter().fold(f64::MIN_POSITIVE, |max, lane| max.max(lane.abs()));
            let step = most / f64::from((1u32 << (bits - 1)) - 1);
            lanes.iter_mut().for_each(|lane| *lane = (*lane / step).round() * step);
        }
        all.push(lanes);
    }
    all
}

/// Squared hinge loss and its gradient by output.
fn hinge(outputs: &[f64], class: usize) -> (f64, Vec<f64>) {
    let lone = outputs.len() == 1;
    let mut loss = 0.0;
    let gradient = (outputs.iter().enumerate())
        .map(|(output, value)| {
            let wanted = if lone { class == 1 } else { class == output };
            let sign = if wanted { 1.0 } else { -1.0 };
            let short = (1.0 - sign * value).max(0.0);
            loss += short * short;
            -2.0 * sign * short
        })
        .collect();
    (loss, gradient)
}

fn add_gradients(
    network: &FloatNetwork,
    weights: &[Vec<f64>],
    sample: &Sample,
    weight: f64,
    settings: &TrainSettings,
    gradients: &mut [Gradients],
) {
    let lanes = forward(network, weights, &sample.inputs, settings.quantised_bits);
    let (_, mut upstream) = hinge(&lanes[network.layers.len()], sample.class);
    upstream.iter_mut().for_each(|gradient| *gradient *= weight);
    for (index, layer) in network.layers.iter().enumerate().rev() {
        let (inputs, outputs) = (&lanes[index], &lanes[index + 1]);
        if layer.relu {
            for (gradient, output) in upstream.iter_mut().zip(outputs) {
                if *output <= 0.0 {
                    *gradient = 0.0;
                }
            }
        }
        let mut downstream = vec![0.0; layer.inputs];
        if let Kind::PoolMax(_) = layer.kind {
            let mut taken = vec![false; outputs.len()];
            layer.connections(|output, _, _, input| {
                // The first largest lane takes the gradient.
                if !taken[output] && inputs[input] == outputs[output] {
                    taken[output] = true;
                    downstream[input] += upstream[output];
                }
            });
        } else {
            let row = layer.row_length();
            let gradient = &mut gradients[index];
            for (output, value) in upstream.iter().enumerate() {
                gradient.bias[output % layer.channels] += value;
            }
            layer.connections(|output, channel, at, input| {
                gradient.weights[channel * row + at] += upstream[output] * inputs[input];
                downstream[input] += upstream[output] * weights[index][channel * row + at];
            });
        }
        upstream = downstream;
    }
}

/// Share of samples that the network classifies right; 0 for none.
pub fn accuracy(network: &FloatNetwork, samples: &[Sample]) -> f64 {
    let right = samples
        .iter()
        .filter(|sample| class_of(&network.forward(&sample.inputs)) == sample.class)
        .count();
    right as f64 / samples.len().max(1) as f64
}
