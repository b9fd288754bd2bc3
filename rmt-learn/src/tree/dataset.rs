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
    targets: Targets,
}

/// What each row pays.
#[derive(Clone, Debug)]
enum Targets {
    /// The right class of each row: gain 1 for it, 0 for the others.
    Labels(Vec<u8>),
    /// Row-major, `class_count` values a row.
    Gains(Vec<i32>),
}

/// A 1 between zeros: a slice of it is the gains of any label.
const ONE_HOT: [i32; 2 * MAX_CLASSES - 1] = {
    let mut gains = [0; 2 * MAX_CLASSES - 1];
    gains[MAX_CLASSES - 1] = 1;
    gains
};

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
        Ok(Self {
            feature_count,
            class_count,
            features: Vec::new(),
            targets: Targets::Labels(Vec::new()),
        })
    }

    /// Adds a row with a gain for each class.
    ///
    /// # Errors
    /// [`LearnError::Data`] if a length differs from the data set's, a gain exceeds
    /// [`MAX_ABS_GAIN`], or the data set is full.
    pub fn push_gains(&mut self, features: &[i32], gains: &[i32]) -> Result<()> {
        self.check_space()?;
        self.check_features(features)?;
        self.check_gains(gains)?;
        self.features.extend_from_slice(features);
        self.gains_mut().extend_from_slice(gains);
        Ok(())
    }

    /// Adds a row whose right class is `label`: gain 1 for it, 0 for the others.
    ///
    /// # Errors
    /// As [`push_gains`](Self::push_gains), and if `label` is no class.
    pub fn push_label(&mut self, features: &[i32], label: usize) -> Result<()> {
        self.check_space()?;
        self.check_features(features)?;
        let label = self.check_label(label)?;
        match &mut self.targets {
            Targets::Labels(labels) => labels.push(label),
            Targets::Gains(gains) => gains.extend_from_slice(one_hot(label, self.class_count)),
        }
        self.features.extend_from_slice(features);
        Ok(())
    }

    /// Puts a row with gains in the place of row `row`, which must exist.
    pub(super) fn replace_gains(
        &mut self,
        row: usize,
        features: &[i32],
        gains: &[i32],
    ) -> Result<()> {
        self.check_features(features)?;
        self.check_gains(gains)?;
        let classes = self.class_count;
        self.features[row * self.feature_count..][..self.feature_count].copy_from_slice(features);
        self.gains_mut()[row * classes..][..classes].copy_from_slice(gains);
        Ok(())
    }

    /// Puts a row with a label in the place of row `row`, which must exist.
    pub(super) fn replace_label(
        &mut self,
        row: usize,
        features: &[i32],
        label: usize,
    ) -> Result<()> {
        self.check_features(features)?;
        let label = self.check_label(label)?;
        let classes = self.class_count;
        match &mut self.targets {
            Targets::Labels(labels) => labels[row] = label,
            Targets::Gains(gains) => {
                gains[row * classes..][..classes].copy_from_slice(one_hot(label, classes));
            }
        }
        self.features[row * self.feature_count..][..self.feature_count].copy_from_slice(features);
        Ok(())
    }

    /// The gains of all rows, written out if there were only labels so far.
    fn gains_mut(&mut self) -> &mut Vec<i32> {
        if let Targets::Labels(labels) = &self.targets {
            let rows = labels.iter().flat_map(|label| one_hot(*label, self.class_count));
            self.targets = Targets::Gains(rows.copied().collect());
        }
        match &mut self.targets {
            Targets::Gains(gains) => gains,
            Targets::Labels(_) => unreachable!("written out above"),
        }
    }

    fn check_space(&self) -> Result<()> {
        if self.len() == MAX_ROWS {
            return Err(LearnError::Data(format!(
                "more than {MAX_ROWS} rows; learn from a window or a sample"
            )));
        }
        Ok(())
    }

    fn check_features(&self, features: &[i32]) -> Result<()> {
        if features.len() != self.feature_count {
            return Err(LearnError::Data(format!(
                "row {} has {} features; {} are expected",
                self.len(),
                features.len(),
                self.feature_count
            )));
        }
        Ok(())
    }

    fn check_gains(&self, gains: &[i32]) -> Result<()> {
        let row = self.len();
        if gains.len() != self.class_count {
            return Err(LearnError::Data(format!(
                "row {row} has {} gains; {} are expected",
                gains.len(),
                self.class_count
            )));
        }
        let too_large = |gain: &&i32| gain.unsigned_abs() > MAX_ABS_GAIN.unsigned_abs();
        if let Some(gain) = gains.iter().find(too_large) {
            return Err(LearnError::Data(format!(
                "row {row} has a gain of {gain}; scale gains to at most {MAX_ABS_GAIN}"
            )));
        }
        Ok(())
    }

    fn check_label(&self, label: usize) -> Result<u8> {
        if label >= self.class_count {
            return Err(LearnError::Data(format!(
                "row {} has label {label}; classes are 0 to {}",
                self.len(),
                self.class_count - 1
            )));
        }
        Ok(label as u8)
    }

    /// The class of each row, if all rows have labels.
    pub(super) fn labels(&self) -> Option<&[u8]> {
        match &self.targets {
            Targets::Labels(labels) => Some(labels),
            Targets::Gains(_) => None,
        }
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
        match &self.targets {
            Targets::Labels(labels) => one_hot(labels[row], self.class_count),
            Targets::Gains(gains) => &gains[row * self.class_count..][..self.class_count],
        }
    }
}

fn one_hot(label: u8, classes: usize) -> &'static [i32] {
    &ONE_HOT[MAX_CLASSES - 1 - usize::from(label)..][..classes]
}
