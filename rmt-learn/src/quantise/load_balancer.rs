//! The recipe for one network: `can_migrate_task` of the APSys'20 study, from float weights to a
//! model file.

use rmt_isa::operand::Element;
use rmt_isa::program::{Scale, Tensor};

use super::fit::{FitConfig, InputLane, fit};
use super::integer::QuantisedMlp;
use super::migration::{
    DELTA_FAULTS, FEATURE_NAMES, FEATURES, FeatureRanges, LANE_UNITS, RawFeatures, SRC_LEN,
};
use super::network::FloatMlp;
use crate::error::{LearnError, Result};
use crate::model_file::ModelFile;

/// Synthetic decisions that the fit is calibrated on.
pub const CALIBRATION_SAMPLES: usize = 4096;
/// Seed of the calibration set; tests must draw from others.
pub const CALIBRATION_SEED: u64 = 100;
/// Position of `src_load`, `dst_load` and `dst_len`.
const SRC_LOAD: usize = 9;
const DST_LOAD: usize = 10;
const DST_LEN: usize = 11;

/// Input scales that the fit may choose from.
///
/// Run queue lengths may reach 64 before they saturate (32767 / 511), loads 32767, the ratio ±8 in
/// its 4096ths; the other features are 0 or 1, or small counts.
pub fn input_lanes() -> [InputLane; FEATURES] {
    std::array::from_fn(|index| {
        let (min_scale, max_scale) = match index {
            SRC_LEN | DST_LEN => (256.0, 511.0),
            SRC_LOAD | DST_LOAD => (1.0, 1.0),
            DELTA_FAULTS => (0.0625, 4.0),
            _ => (128.0, 8192.0),
        };
        InputLane { unit: LANE_UNITS[index], min_scale, max_scale }
    })
}

/// Fit settings of the shipped model.
pub fn fit_config() -> FitConfig {
    FitConfig { focus: 1.0, max_rounds: 60, ..FitConfig::default() }
}

/// Quantises the study's network for inputs in the given ranges.
///
/// # Errors
/// [`LearnError::Model`] if the network's features are not the study's, else as [`fit`].
pub fn quantise(
    network: &FloatMlp,
    ranges: &FeatureRanges,
    config: &FitConfig,
) -> Result<QuantisedMlp> {
    if network.features != FEATURE_NAMES {
        return Err(LearnError::model(
            "load balancer",
            format!("the features must be {FEATURE_NAMES:?}, found {:?}", network.features),
        ));
    }
    let calibration: Vec<_> = ranges
        .sample(CALIBRATION_SAMPLES, CALIBRATION_SEED)
        .iter()
        .map(|features| (features.to_lanes().to_vec(), features.to_real().to_vec()))
        .collect();
    fit(network, &input_lanes(), &calibration, config)
}

/// How often the integers decide as double precision does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Decisions compared.
    pub decisions: usize,
    /// Decisions that differ.
    pub differing: usize,
    /// Largest difference of the outputs, in real units.
    pub largest_error: f64,
}

impl Agreement {
    /// Share of equal decisions; 1 for none.
    pub fn share(&self) -> f64 {
        1.0 - self.differing as f64 / self.decisions.max(1) as f64
    }
}

/// Compares integers and double precision on raw decisions.
pub fn agreement<'a>(
    network: &FloatMlp,
    quantised: &QuantisedMlp,
    decisions: impl IntoIterator<Item = &'a RawFeatures>,
) -> Agreement {
    let threshold = quantised.to_real(quantised.threshold);
    let mut result = Agreement { decisions: 0, differing: 0, largest_error: 0.0 };
    for features in decisions {
        let real = network.forward(&features.to_real());
        let output = quantised.forward(&features.to_lanes());
        result.decisions += 1;
        result.differing += usize::from((real > threshold) != (output > quantised.threshold));
        result.largest_error = result.largest_error.max((quantised.to_real(output) - real).abs());
    }
    result
}

/// The model file: tensors `w1` `b1` `w2` `b2` `threshold`, scales `input` `s1`.
///
/// `threshold` has two dimensions because programs read tensors by row.
pub fn export(quantised: &QuantisedMlp) -> ModelFile {
    let hidden = quantised.hidden_weights.len() as u32;
    let inputs = quantised.input_scales.len() as u32;
    let tensor = |name: &str, element, shape: Vec<u32>, values: Vec<i32>| Tensor {
        name: name.into(),
        model: 0,
        element,
        shape,
        values,
    };
    let scale = |name: &str, channels: &[_]| Scale {
        name: name.into(),
        model: 0,
        channels: channels.to_vec(),
        zero_point: 0,
    };
    let note = |name: &str, text: String| (name.to_owned(), text);
    ModelFile {
        notes: vec![
            note("about", "The 15-10-1 network of \"Machine Learning for Load Balancing in the Linux Kernel\" (APSys 2020): may this task be migrated?".into()),
            note("origin", "Trained weights of Keitokuch/MLLB, kmod/c_mlp.h, MIT licence; kept in mllb_mlp.json beside this file.".into()),
            note("made_by", "cargo run --release -p rmt-learn --example quantise_mllb".into()),
            note("inputs", format!("One i16 lane each: {}. Raw kernel integers, except: src_len - 2; delta_faults * 4096 / total_faults (toward zero, 0 if the total is 0). Lanes saturate.", FEATURE_NAMES.join(", "))),
            note("steps", "x = requant(lanes, input) i16; h = relu(requant(w1 * x + b1, s1)) i16; y = w2 * h + b2; migrate if y > threshold.".into()),
            note("output", format!("y / {} is the study's real output; its threshold is 0.5.", quantised.output_one)),
        ],
        tensors: vec![
            tensor("w1", Element::I8, vec![hidden, inputs], quantised.hidden_weights.iter().flatten().map(|weight| i32::from(*weight)).collect()),
            tensor("b1", Element::I32, vec![hidden], quantised.hidden_biases.clone()),
            tensor("w2", Element::I8, vec![1, hidden], quantised.output_weights.iter().map(|weight| i32::from(*weight)).collect()),
            tensor("b2", Element::I32, vec![1], vec![quantised.output_bias]),
            tensor("threshold", Element::I32, vec![1, 1], vec![quantised.threshold]),
        ],
        scales: vec![scale("input", &quantised.input_scales), scale("s1", &quantised.hidden_scales)],
        windows: Vec::new(),
        forests: Vec::new(),
    }
}
