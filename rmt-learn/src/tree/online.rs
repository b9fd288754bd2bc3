//! Learning on line: a window of the newest samples, a new tree whenever enough of it is new.
//!
//! The kernel's side of this is a background thread: the decision path pushes samples, the thread
//! learns a tree between two pushes and hands it to the engine as one model swap. Memory is the
//! window and the [`Grower`]'s working memory; both are fixed by [`OnlineConfig`].

use super::dataset::{Dataset, MAX_ROWS};
use super::grow::{GrowConfig, Grower};
use super::model::DecisionTree;
use crate::error::{LearnError, Result};

/// Sizes of the window and bounds of its trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnlineConfig {
    /// Samples in the window, the newest ones, 1 to 2^20.
    pub window_samples: usize,
    /// New samples from one tree to the next, at least 1.
    pub period_samples: usize,
    /// Bounds of each tree.
    pub grow: GrowConfig,
}

impl Default for OnlineConfig {
    fn default() -> Self {
        Self { window_samples: 4096, period_samples: 1024, grow: GrowConfig::default() }
    }
}

/// A learner that sees samples one by one.
#[derive(Debug)]
pub struct OnlineTree {
    config: OnlineConfig,
    window: Dataset,
    /// Row that the next sample of a full window replaces: the oldest one.
    oldest: usize,
    new_samples: usize,
    grower: Grower,
}

impl OnlineTree {
    /// A learner with an empty window.
    ///
    /// # Errors
    /// [`LearnError::Setting`] for a size out of range, [`LearnError::Data`] for too many features
    /// or classes.
    pub fn new(feature_count: usize, class_count: usize, config: OnlineConfig) -> Result<Self> {
        config.grow.check()?;
        if !(1..=MAX_ROWS).contains(&config.window_samples) || config.period_samples == 0 {
            return Err(LearnError::Setting {
                name: "window_samples, period_samples",
                reason: format!(
                    "a window of 1 to {MAX_ROWS} and a period of at least 1 are possible, {} and {} were given",
                    config.window_samples, config.period_samples
                ),
            });
        }
        let window = Dataset::new(feature_count, class_count)?;
        Ok(Self { config, window, oldest: 0, new_samples: 0, grower: Grower::default() })
    }

    /// Takes a sample with the gain of each class.
    ///
    /// # Errors
    /// As [`Dataset::push_gains`].
    pub fn push_gains(&mut self, features: &[i32], gains: &[i32]) -> Result<()> {
        match self.row_to_replace() {
            None => self.window.push_gains(features, gains)?,
            Some(row) => self.window.replace_gains(row, features, gains)?,
        }
        self.advance();
        Ok(())
    }

    /// Takes a sample whose right class is `label`.
    ///
    /// # Errors
    /// As [`Dataset::push_label`].
    pub fn push_label(&mut self, features: &[i32], label: usize) -> Result<()> {
        match self.row_to_replace() {
            None => self.window.push_label(features, label)?,
            Some(row) => self.window.replace_label(row, features, label)?,
        }
        self.advance();
        Ok(())
    }

    fn row_to_replace(&self) -> Option<usize> {
        (self.window.len() == self.config.window_samples).then_some(self.oldest)
    }

    fn advance(&mut self) {
        self.oldest = (self.oldest + 1) % self.config.window_samples;
        self.new_samples += 1;
    }

    /// Whether a period's worth of samples came since the last tree.
    pub fn is_due(&self) -> bool {
        self.new_samples >= self.config.period_samples
    }

    /// Learns a tree from the window as it is.
    ///
    /// # Errors
    /// [`LearnError::Data`] if the window is empty.
    pub fn learn(&mut self) -> Result<DecisionTree> {
        self.new_samples = 0;
        self.grower.grow(&self.window, &self.config.grow)
    }

    /// The samples that the next tree is learnt from.
    pub fn window(&self) -> &Dataset {
        &self.window
    }
}
