//! Rows to learn from, within the bounds that keep the learner's integer sums exact.

use crate::error::{LearnError, Result};

/// Most rows of one data set: 2^20.
pub const MAX_ROWS: usize = 1 << 20;
/// Most features of a row: the tree engine's feature index is a u8, the lanes of a vector are
/// fewer.
pub const MAX_FEATURES: usize = 64;
/// Most classes: 64.
pub const MAX_CLASSES: usize = 64;
/// Largest magnitude of one gain. With the other bounds a class sum stays below 2^28, and the worth
/// of a split is a fraction with a numerator below 2^104 and a denominator below 2^60: all sums are
/// exact.
pub const MAX_ABS_GAIN: i32 = 1 << 8;

/// Rows of features, and for each row and class the gain of deciding for that class.
#[derive(Clone, Debug)]
pub struct Dataset {
    feature_count: usize,
    class_count: usize,
    /// Row-major, `feature_count` values a row.
    features: Vec<i32>,
    /// Row-major, `class_count` values a row.
    gains: Vec<i32>,
}

impl Dataset {
    /// An empty data set for rows of `feature_count` features and `class_count` classes.
    ///
    /// # Errors
    /// [`LearnError::Data`] if a count is 0 or above [`MAX_FEATURES`] or [`MAX_CLASSES`].
    pub fn new(feature_count: usize, class_count: usize) -> Result<Self> {
        if feature_count == 0 || feature_count > MAX_FEATURES {
            return Err(LearnError::Data(format!(
                "1 to {MAX_FEATURES} features are possible, {feature_count} were asked for"
            )));
        }
        if class_count == 0 || class_count > MAX_CLASSES {
            return Err(LearnError::Data(format!(
                "1 to {MAX_CLASSES} classes are possible, {class_count} were asked for"
            )));
        }
        Ok(Self { feature_count, class_count, features: Vec::new(), gains: Vec::new() })
    }

    /// Adds a row with a gain for each class.
    ///
    /// # Errors
    /// [`LearnError::Data`] if a length differs from the data set's, a gain exceeds
    /// [`MAX_ABS_GAIN`], or the data set is full.
    pub fn push_gains(&mut self, features: &[i32], gains: &[i32]) -> Result<()> {
        let row = self.len();
        if row == MAX_ROWS {
            return Err(LearnError::Data(format!(
                "more than {MAX_ROWS} rows; learn from a window or a sample"
            )));
        }
        if features.len() != self.feature_count || gains.len() != self.class_count {
            return Err(LearnError::Data(format!(
                "row {row} has {} features and {} gains; {} and {} are expected",
                features.len(),
                gains.len(),
                self.feature_count,
                self.class_count
            )));
        }
        if let Some(gain) =
            gains.iter().find(|gain| gain.unsigned_abs() > MAX_ABS_GAIN.unsigned_abs())
        {
            return Err(LearnError::Data(format!(
                "row {row} has a gain of {gain}; scale gains to at most {MAX_ABS_GAIN}"
            )));
        }
        self.features.extend_from_slice(features);
        self.gains.extend_from_slice(gains);
        Ok(())
    }

    /// Adds a row whose right class is `label`: gain 1 for it, 0 for the others.
    ///
    /// # Errors
    /// As [`push_gains`](Self::push_gains), and if `label` is no class.
    pub fn push_label(&mut self, features: &[i32], label: usize) -> Result<()> {
        if label >= self.class_count {
            return Err(LearnError::Data(format!(
                "row {} has label {label}; classes are 0 to {}",
                self.len(),
                self.class_count - 1
            )));
        }
        let mut gains = vec![0; self.class_count];
        gains[label] = 1;
        self.push_gains(features, &gains)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.features.len() / self.feature_count
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// Features of each row.
    pub fn feature_count(&self) -> usize {
        self.feature_count
    }

    /// Number of classes.
    pub fn class_count(&self) -> usize {
        self.class_count
    }

    /// The features of one row.
    pub fn features(&self, row: usize) -> &[i32] {
        &self.features[row * self.feature_count..][..self.feature_count]
    }

    /// The gains of one row.
    pub fn gains(&self, row: usize) -> &[i32] {
        &self.gains[row * self.class_count..][..self.class_count]
    }
}
