//! The deciders of the study, trained on rows and run in integers.

use rmt_isa::operand::Element;
use rmt_isa::program::{Scale, Tensor};

use super::measure::Confusion;
use crate::error::{LearnError, Result};
use crate::model_file::ModelFile;
use crate::network::float::FloatNetwork;
use crate::network::integer::{IntegerNetwork, Step};
use crate::network::online::{IntegerTrainSettings, IntegerTrainer};
use crate::network::quantise::quantise;
use crate::network::train::{Sample, TrainSettings, train};
use crate::quantise::migration::{FEATURES, MigrationDecision};
use crate::tree::{Dataset, DecisionTree, GrowConfig, grow};

/// Hidden units of the APSys'20 network.
pub const HIDDEN: usize = 10;
/// Rows that quantisation is calibrated on, spread over the training rows.
const CALIBRATION_ROWS: usize = 2000;

/// Bounds of the trees.
pub const TREE: GrowConfig =
    GrowConfig { max_depth: 8, max_leaves: 64, min_leaf_rows: 8, max_bins: 256 };

/// The chosen lanes of a row.
pub fn lanes(row: &MigrationDecision, features: &[usize]) -> Vec<i32> {
    let all = row.features.to_lanes();
    features.iter().map(|feature| i32::from(all[*feature])).collect()
}

/// Rows as a data set of the tree learner.
///
/// # Errors
/// As [`Dataset::push_label`].
pub fn dataset(rows: &[&MigrationDecision], features: &[usize]) -> Result<Dataset> {
    let mut data = Dataset::new(features.len(), 2)?;
    for row in rows {
        data.push_label(&lanes(row, features), usize::from(row.can_migrate))?;
    }
    Ok(data)
}

/// A tree.
///
/// # Errors
/// As [`grow`].
pub fn train_tree(rows: &[&MigrationDecision], features: &[usize]) -> Result<DecisionTree> {
    grow(&dataset(rows, features)?, &TREE)
}

/// Units in which the largest lane of the training rows becomes 1.
fn input_units(rows: &[&MigrationDecision], features: &[usize]) -> Vec<f64> {
    largest(rows, features).iter().map(|most| 1.0 / f64::from((*most).max(1))).collect()
}

/// The largest magnitude of each lane.
fn largest(rows: &[&MigrationDecision], features: &[usize]) -> Vec<i32> {
    let mut most = vec![0; features.len()];
    for row in rows {
        for (most, lane) in most.iter_mut().zip(lanes(row, features)) {
            *most = (*most).max(lane.abs());
        }
    }
    most
}

/// Trains a network with one hidden layer in floating point, aware of the quantisation to come, and
/// quantises it. Every fifth stretch of 64 rows judges when to stop.
///
/// # Errors
/// As [`train`] and [`quantise`]: no row, or one class only.
pub fn train_network(
    rows: &[&MigrationDecision],
    features: &[usize],
    hidden: usize,
    settings: &TrainSettings,
) -> Result<IntegerNetwork> {
    let units = input_units(rows, features);
    let (mut training, mut validation) = (Vec::new(), Vec::new());
    for (index, row) in rows.iter().enumerate() {
        let inputs = lanes(row, features);
        let inputs = inputs.iter().zip(&units).map(|(lane, unit)| f64::from(*lane) * unit);
        let sample = Sample { inputs: inputs.collect(), class: usize::from(row.can_migrate) };
        if index / 64 % 5 == 4 { validation.push(sample) } else { training.push(sample) }
    }
    let mut network = FloatNetwork::perceptron(features.len(), &[hidden], 1, settings.seed);
    train(&mut network, &training, &validation, settings)?;
    let every = rows.len().div_ceil(CALIBRATION_ROWS).max(1);
    let calibration: Vec<_> = rows.iter().step_by(every).map(|row| lanes(row, features)).collect();
    quantise(&network, &units, &calibration, Element::I16)
}

/// Trains a network on line, in integers only: each row is seen once, in the order of time.
///
/// # Errors
/// [`LearnError::Data`] if there is no row, else as [`IntegerTrainer`].
pub fn train_integer_network(
    rows: &[&MigrationDecision],
    features: &[usize],
) -> Result<IntegerNetwork> {
    if rows.is_empty() {
        return Err(LearnError::Data("there is no row to train on; record some decisions".into()));
    }
    let settings = IntegerTrainSettings { hidden: HIDDEN, ..IntegerTrainSettings::default() };
    let mut trainer = IntegerTrainer::new(&largest(rows, features), &settings)?;
    for row in rows {
        trainer.learn(&lanes(row, features), row.can_migrate);
    }
    trainer.to_integer_network()
}

/// What a network decides.
pub fn network_decides(network: &IntegerNetwork, lanes: &[i32]) -> bool {
    network.forward(lanes).first().is_some_and(|output| *output > 0)
}

/// Counts a decider's decisions on rows.
pub fn judge(
    rows: &[&MigrationDecision],
    features: &[usize],
    mut decide: impl FnMut(&[i32]) -> bool,
) -> Confusion {
    let mut confusion = Confusion::default();
    for row in rows {
        confusion.count(row.can_migrate, decide(&lanes(row, features)));
    }
    confusion
}

/// The network as a model file that takes the place of the one of
/// `firmware/can_migrate_task.rmt`.
///
/// # Errors
/// [`LearnError::Model`] if it is not a network of 15 inputs, 10 hidden units and one output.
pub fn to_kernel_model(
    network: &IntegerNetwork,
    notes: Vec<(String, String)>,
) -> Result<ModelFile> {
    let refuse = || {
        LearnError::model(
            "can_migrate_task",
            format!(
                "a network of {FEATURES} inputs, {HIDDEN} hidden units with ReLU and one output is needed"
            ),
        )
    };
    let [
        Step::Requantise { channels: input, zero_point: 0, element: Element::I16 },
        Step::MatMul { weights: w1, bias: b1 },
        Step::Requantise { channels: s1, zero_point: 0, element: Element::I16 },
        Step::Relu,
        Step::MatMul { weights: w2, bias: b2 },
    ] = network.steps.as_slice()
    else {
        return Err(refuse());
    };
    if input.len() != FEATURES || b1.len() != HIDDEN || s1.len() != HIDDEN || b2.len() != 1 {
        return Err(refuse());
    }
    let wide = |values: &[i8]| values.iter().map(|value| i32::from(*value)).collect();
    let tensor = |name: &str, element, shape: &[usize], values| Tensor {
        name: name.into(),
        model: 0,
        element,
        shape: shape.iter().map(|length| *length as u32).collect(),
        values,
    };
    let scale = |name: &str, channels: &[_]| Scale {
        name: name.into(),
        model: 0,
        channels: channels.to_vec(),
        zero_point: 0,
    };
    Ok(ModelFile {
        notes,
        tensors: vec![
            tensor("w1", Element::I8, &[HIDDEN, FEATURES], wide(w1)),
            tensor("b1", Element::I32, &[HIDDEN], b1.clone()),
            tensor("w2", Element::I8, &[1, HIDDEN], wide(w2)),
            tensor("b2", Element::I32, &[1], b2.clone()),
            tensor("threshold", Element::I32, &[1, 1], vec![0]),
        ],
        scales: vec![scale("input", input), scale("s1", s1)],
        ..ModelFile::default()
    })
}
