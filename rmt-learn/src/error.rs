//! The one error type of the crate: what is wrong, where, and what to do about it.

use std::path::PathBuf;

use thiserror::Error;

/// Everything that learning, scoring and quantising can refuse.
#[derive(Debug, Error)]
pub enum LearnError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A trace line does not hold what its format promises.
    #[error("{file}: line {line}: {reason}")]
    Trace {
        /// The file, or a name for the stream.
        file: String,
        /// Line in the decompressed text, counted from 1 (the header is line 1).
        line: u64,
        /// What was expected and what was found.
        reason: String,
    },
    /// A data set cannot be learnt from: empty, ragged, or with labels out of range.
    #[error("training data: {0}")]
    Data(String),
    /// A tree, network or quantised model is malformed.
    #[error("model {model}: {reason}")]
    Model {
        /// The model's name or file.
        model: String,
        /// Which part is wrong, why, and what would be right.
        reason: String,
    },
    /// A learner or simulator was given a setting outside its range.
    #[error("setting {name}: {reason}")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// The permitted range and what was given.
        reason: String,
    },
}

impl LearnError {
    /// A [`LearnError::Model`] from two strings.
    pub(crate) fn model(model: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Model { model: model.into(), reason: reason.into() }
    }
}

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, LearnError>;
