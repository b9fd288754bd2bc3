//! What can go wrong, each with what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::resources::Shortage;

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
pub enum FpgaError {
    /// There is no such board.
    #[error("there is no board `{name}`; the boards are: {known}")]
    NoSuchBoard {
        /// The name asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A tool is missing.
    #[error("{tool} is missing; {remedy}")]
    ToolMissing {
        /// Its name.
        tool: &'static str,
        /// What installs it.
        remedy: &'static str,
    },
    /// A tool failed.
    #[error("{tool} failed ({status}):\n{output}\nall of its output is in {}", log.display())]
    ToolFailed {
        /// Its name.
        tool: &'static str,
        /// How it ended.
        status: String,
        /// What it said last, or of the error.
        output: String,
        /// Where all of it stands.
        log: PathBuf,
    },
    /// A tool took too long.
    #[error(
        "{tool} did not end within {} minutes; give it longer with --limit", limit.as_secs() / 60
    )]
    ToolTimeout {
        /// Its name.
        tool: &'static str,
        /// How long it had.
        limit: Duration,
    },
    /// Signals want the same wires, and the router does not come to fewer.
    #[error(
        "{tool} cannot route it with seed {seed}: {left} wires are wanted by more than one net or late, and hardly fewer for {rounds} rounds; try another --seed or a smaller configuration"
    )]
    Unroutable {
        /// Its name.
        tool: &'static str,
        /// The seed of the placement.
        seed: u32,
        /// The fewest wires that were left.
        left: u64,
        /// Rounds since then.
        rounds: u32,
    },
    /// A cell has no place that it may have: the placer's own check says so.
    #[error("{tool} found no valid place for a cell with seed {seed}; try another --seed")]
    Unplaced {
        /// Its name.
        tool: &'static str,
        /// The seed of the placement.
        seed: u32,
    },
    /// The configuration is too large.
    #[error("the configuration does not fit the {part} of board `{board}`: {shortage}")]
    TooLarge {
        /// The board.
        board: &'static str,
        /// Its part.
        part: &'static str,
        /// What is short.
        shortage: Shortage,
    },
    /// The clock cannot be made.
    #[error(
        "the PLL cannot make {wanted} MHz from {input} MHz to within 1 %; try a whole fraction of {low} to {high} MHz"
    )]
    NoClock {
        /// MHz that the board has.
        input: f64,
        /// MHz asked for.
        wanted: f64,
        /// The least that its oscillator does, MHz.
        low: f64,
        /// The most, MHz.
        high: f64,
    },
    /// The board's flow does not run here.
    #[error(
        "board `{board}` is built with Vivado, which this command does not run; it wrote the project to {}: vivado -mode batch -source build.tcl", folder.display()
    )]
    NeedsVivado {
        /// The board.
        board: &'static str,
        /// Where the project is.
        folder: PathBuf,
    },
    /// Nothing can be measured for the board here.
    #[error("board `{board}` is built with Vivado, so nothing can be measured for it here")]
    NotHere {
        /// The board.
        board: &'static str,
    },
    /// The core cannot be generated.
    #[error(transparent)]
    Core(#[from] rmt_core::Error),
    /// A file cannot be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A tool's output is not what it should be.
    #[error("{what} is not as expected: {problem}")]
    BadOutput {
        /// Which output.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl FpgaError {
    /// For `map_err`: JSON that says something else than it should.
    pub(crate) fn json(what: &'static str) -> impl Fn(serde_json::Error) -> Self {
        move |error| Self::BadOutput { what, problem: error.to_string() }
    }

    /// For `map_err`: a file that cannot be used.
    pub(crate) fn file(doing: &'static str, path: &std::path::Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::File { doing, path: path.to_owned(), source }
    }
}
