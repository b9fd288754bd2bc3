//! The float reference: a network of one hidden layer with ReLU and one output.

use std::path::Path;

use serde::Deserialize;

use crate::error::{LearnError, Result};
use crate::table::read_bytes;

/// A published input with the output that the authors' weights give.
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenVector {
    /// Real inputs, after preprocessing.
    pub input: Vec<f64>,
    /// Output in double precision, to the digits given.
    pub float64: f64,
    /// The decision.
    pub migrate: bool,
}

/// Weights as stored: `w1[input * hidden + unit]`, `w2[unit]`.
#[derive(Clone, Debug, Deserialize)]
struct WeightFile {
    features: Vec<String>,
    w1: Vec<f64>,
    b1: Vec<f64>,
    w2: Vec<f64>,
    b2: Vec<f64>,
    golden: GoldenVector,
}

/// A network `inputs → hidden (ReLU) → 1` in double precision.
#[derive(Clone, Debug)]
pub struct FloatMlp {
    /// Names of the inputs.
    pub features: Vec<String>,
    /// Hidden weights, one row of inputs for each unit.
    pub hidden_weights: Vec<Vec<f64>>,
    /// Hidden biases.
    pub hidden_biases: Vec<f64>,
    /// Output weights.
    pub output_weights: Vec<f64>,
    /// Output bias.
    pub output_bias: f64,
    /// A check that came with the weights.
    pub golden: GoldenVector,
}

impl FloatMlp {
    /// Reads the weights' JSON file.
    ///
    /// # Errors
    /// [`LearnError::Io`], or [`LearnError::Model`] as [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_bytes(path)?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    /// Parses the weights' JSON text; `name` stands in error messages.
    ///
    /// # Errors
    /// [`LearnError::Model`] if the text is no such JSON, a list has the wrong length, or a number
    /// is not finite.
    pub fn parse(name: &str, json: &[u8]) -> Result<Self> {
        let file: WeightFile = serde_json::from_slice(json)
            .map_err(|error| LearnError::model(name, error.to_string()))?;
        Self::from_file(name, file)
    }

    fn from_file(name: &str, file: WeightFile) -> Result<Self> {
        let (inputs, hidden) = (file.features.len(), file.b1.len());
        let lengths = [
            ("w1", file.w1.len(), inputs * hidden),
            ("w2", file.w2.len(), hidden),
            ("b2", file.b2.len(), 1),
            ("golden.input", file.golden.input.len(), inputs),
        ];
        if inputs == 0 || hidden == 0 {
            return Err(LearnError::model(
                name,
                "a network needs at least one feature and one hidden unit",
            ));
        }
        for (list, found, expected) in lengths {
            if found != expected {
                return Err(LearnError::model(
                    name,
                    format!(
                        "{list} has {found} numbers; {inputs} features and {hidden} hidden units need {expected}"
                    ),
                ));
            }
        }
        let hidden_weights = (0..hidden)
            .map(|unit| (0..inputs).map(|input| file.w1[input * hidden + unit]).collect())
            .collect();
        let network = Self {
            features: file.features,
            hidden_weights,
            hidden_biases: file.b1,
            output_weights: file.w2,
            output_bias: file.b2[0],
            golden: file.golden,
        };
        network.check(name)?;
        Ok(network)
    }

    /// Checks that all lists fit each other and all numbers are finite; `name` stands in error
    /// messages.
    ///
    /// # Errors
    /// [`LearnError::Model`] with the list that is wrong.
    pub fn check(&self, name: &str) -> Result<()> {
        let hidden = self.hidden_biases.len();
        let ragged = self.hidden_weights.iter().any(|row| row.len() != self.features.len());
        if ragged || self.hidden_weights.len() != hidden || self.output_weights.len() != hidden {
            return Err(LearnError::model(
                name,
                "the lists of weights and biases do not have matching lengths",
            ));
        }
        let rows = self.hidden_weights.iter().map(|row| ("hidden weights", row.as_slice()));
        let lists = rows.chain([
            ("hidden biases", self.hidden_biases.as_slice()),
            ("output weights", self.output_weights.as_slice()),
            ("output bias", std::slice::from_ref(&self.output_bias)),
            ("golden input", self.golden.input.as_slice()),
        ]);
        for (list, numbers) in lists {
            if let Some(number) = numbers.iter().find(|number| !number.is_finite()) {
                return Err(LearnError::model(
                    name,
                    format!(
                        "the {list} hold {number}, which is not finite; export the weights again"
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The output for real inputs. Missing inputs count as 0.
    pub fn forward(&self, inputs: &[f64]) -> f64 {
        let mut output = self.output_bias;
        for ((weights, bias), output_weight) in
            self.hidden_weights.iter().zip(&self.hidden_biases).zip(&self.output_weights)
        {
            let sum =
                weights.iter().zip(inputs).fold(*bias, |sum, (weight, input)| sum + weight * input);
            output += output_weight * sum.max(0.0);
        }
        output
    }
}
