//! From a trained network to integers.
//!
//! Weights become i8 with a scale of their own for each output channel; activations i8 or i16 with
//! a scale that a calibration set gives. The scales follow "Quantization and Training of Neural
//! Networks for Efficient Integer-Arithmetic-Only Inference" (Jacob et al., CVPR 2018), symmetric,
//! so that zero points are 0.

use rmt_isa::operand::Element;

use super::float::{FloatNetwork, Kind};
use super::integer::{IntegerNetwork, Step};
use crate::error::{LearnError, Result};
use crate::quantise::fit::channel_scale;

/// Quantises a network that was trained on `lane * input_units[lane]`.
///
/// `calibration` holds raw lanes; the largest activation that they cause sets each layer's scale.
/// `element` is the type of the activations, i8 or i16. The last layer of several outputs is scaled
/// to i16, so that outputs can be compared; a lone output stays an accumulator, of which only the
/// sign matters.
///
/// # Errors
/// [`LearnError::Data`] if the calibration set is empty or does not fit, [`LearnError::Model`] if
/// weights are not finite or an accumulator could overflow.
pub fn quantise(
    network: &FloatNetwork,
    input_units: &[f64],
    calibration: &[Vec<i32>],
    element: Element,
) -> Result<IntegerNetwork> {
    network.check()?;
    let inputs = network.inputs();
    if input_units.len() != inputs || calibration.iter().any(|lanes| lanes.len() != inputs) {
        return Err(LearnError::Data(format!(
            "the network takes {inputs} lanes; the units or the calibration set have others"
        )));
    }
    if calibration.is_empty() {
        return Err(LearnError::Data("the calibration set is empty; give some inputs".into()));
    }
    if let Some(unit) = input_units.iter().find(|unit| !(**unit > 0.0 && unit.is_finite())) {
        return Err(LearnError::Data(format!("an input unit is {unit}; units are positive")));
    }
    let most = largest_activations(network, input_units, calibration);
    let full = f64::from(element.max());
    // What one unit of the current lanes stands for.
    let mut unit = most[0] / full;
    let mut steps = vec![Step::Requantise {
        channels: input_units.iter().map(|input| channel_scale(input / unit)).collect(),
        zero_point: 0,
        element,
    }];
    for (index, layer) in network.layers.iter().enumerate() {
        let is_last = index + 1 == network.layers.len();
        if let Kind::PoolMax(window) = &layer.kind {
            steps.push(Step::PoolMax(window.clone()));
        } else {
            let mut weights = Vec::new();
            let mut bias = Vec::new();
            let mut accumulator_units = Vec::new();
            for (row, row_bias) in layer.weights.chunks(layer.row_length()).zip(&layer.bias) {
                let step = row.iter().fold(f64::MIN_POSITIVE, |max, w| max.max(w.abs())) / 127.0;
                // A row of zeros still needs a unit in which its bias fits.
                let step = step.max(row_bias.abs() / unit / f64::from(1 << 29));
                weights.extend(row.iter().map(|weight| (weight / step).round() as i8));
                bias.push((row_bias / (step * unit)).round() as i32);
                accumulator_units.push(step * unit);
            }
            steps.push(match &layer.kind {
                Kind::Convolution(window) => {
                    Step::Convolve { window: window.clone(), weights, bias }
                }
                _ => Step::MatMul { weights, bias },
            });
            if is_last && layer.outputs() == 1 {
                break;
            }
            let element = if is_last { Element::I16 } else { element };
            // A pooling layer behind this one needs no scale of its own.
            unit = most[index + 1] / f64::from(element.max());
            let channels = accumulator_units.iter().map(|from| channel_scale(from / unit));
            steps.push(Step::Requantise { channels: channels.collect(), zero_point: 0, element });
        }
        if layer.relu {
            steps.push(Step::Relu);
        }
    }
    let integers = IntegerNetwork { inputs, input_element: Element::I32, steps };
    integers.check()?;
    Ok(integers)
}

/// The largest magnitude before the first and after each layer.
fn largest_activations(
    network: &FloatNetwork,
    input_units: &[f64],
    calibration: &[Vec<i32>],
) -> Vec<f64> {
    let mut most = vec![f64::MIN_POSITIVE; network.layers.len() + 1];
    let largest = |lanes: &[f64]| lanes.iter().fold(0.0f64, |max, lane| max.max(lane.abs()));
    for raw in calibration {
        let mut lanes: Vec<f64> =
            raw.iter().zip(input_units).map(|(lane, unit)| f64::from(*lane) * unit).collect();
        most[0] = most[0].max(largest(&lanes));
        for (layer, most) in network.layers.iter().zip(&mut most[1..]) {
            lanes = layer.apply(&lanes, &layer.weights);
            *most = most.max(largest(&lanes));
            if layer.relu {
                lanes.iter_mut().for_each(|lane| *lane = lane.max(0.0));
            }
        }
    }
    most
}
