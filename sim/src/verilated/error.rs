//! Everything that can go wrong between Verilog text and a running model, each with its place and a
//! remedy.

use std::path::PathBuf;
use std::time::Duration;

use super::diagnostic::{Diagnostic, summary};
use super::spec::Direction;

/// Why a model could not be built, loaded or driven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tool is not installed, or not where an environment variable says that it is.
    #[error("{tool} was not found (looked in: {searched}); {remedy}")]
    ToolMissing {
        /// The tool's name.
        tool: &'static str,
        /// The places that were looked at, in order.
        searched: String,
        /// What the user can do.
        remedy: &'static str,
    },
    /// The Verilator that was found predates the oldest one that the generated code works with.
    #[error(
        "Verilator {found} in {} is too old: {needed} or later is needed; run ./x setup",
        root.display()
    )]
    ToolTooOld {
        /// The installation's root folder.
        root: PathBuf,
        /// The version found.
        found: String,
        /// The oldest version that will do.
        needed: String,
    },
    /// A tool ended with an error that is not about the Verilog sources.
    #[error("{tool} failed ({status}); it was run as `{command}` and said:\n{output}")]
    ToolFailed {
        /// The tool's name.
        tool: String,
        /// Its exit status in words.
        status: String,
        /// The command line.
        command: String,
        /// The first lines of its output.
        output: String,
    },
    /// A tool ran longer than [`super::Limits::command`] and was ended.
    #[error(
        "{tool} was ended after {} s; raise Limits::command if the design needs more",
        limit.as_secs()
    )]
    ToolTimeout {
        /// The tool's name.
        tool: String,
        /// The limit that it passed.
        limit: Duration,
    },
    /// Verilator refuses the sources, or warns about them.
    #[error("Verilator does not accept the Verilog of `{top}`:\n{}", summary(diagnostics))]
    Verilog {
        /// The top module.
        top: String,
        /// Every error and warning, in Verilator's order; never empty.
        diagnostics: Vec<Diagnostic>,
    },
    /// The declared port list and the top module's ports differ.
    #[error(
        "port `{port}` of module `{top}`: {difference}; the port list must equal the module's ports"
    )]
    PortMismatch {
        /// The top module.
        top: String,
        /// The port's name in the Verilog source.
        port: String,
        /// What was declared and what was found.
        difference: String,
    },
    /// A field of [`super::VerilatedBuild`] has a value that cannot be built.
    #[error("{field}: {reason}")]
    InvalidSpec {
        /// The field, with the element that is wrong.
        field: String,
        /// What is expected there.
        reason: &'static str,
    },
    /// Another process has been building the same entry for longer than [`super::Limits::lock`].
    #[error(
        "waited {} s for {} (held by process {holder}); end that build or raise Limits::lock",
        waited.as_secs(),
        lock.display()
    )]
    LockTimeout {
        /// The lock file.
        lock: PathBuf,
        /// How long was waited.
        waited: Duration,
        /// The process that wrote itself into the lock file last, or `unknown`.
        holder: String,
    },
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb: `create`, `read`, ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A built library cannot be loaded into this process.
    #[error("cannot load {}: {reason}; delete its folder to have it built again", path.display())]
    Load {
        /// The library.
        path: PathBuf,
        /// The loader's reason.
        reason: String,
    },
    /// The model could not be constructed (its C++ constructor failed).
    #[error("the model of `{top}` could not be constructed: {reason}")]
    Construct {
        /// The top module.
        top: String,
        /// The C++ side's reason.
        reason: String,
    },
    /// The model has no such port, or it has another direction or width than asked for.
    #[error("module `{top}` has no {wanted} `{port}`; it has: {available}")]
    UnknownPort {
        /// The top module.
        top: String,
        /// What was asked for: `input`, `output`, `clock input (1 bit)`.
        wanted: &'static str,
        /// The name that was asked for.
        port: String,
        /// The names that would have been accepted.
        available: String,
    },
    /// A port handle belongs to another model.
    #[error(
        "a port handle of another model was used with an instance of `{top}`; \
         get handles from the model itself"
    )]
    ForeignHandle {
        /// The instance's top module.
        top: String,
    },
    /// A value has more bits than the port.
    #[error("value {value} does not fit the {width} bits of {direction} `{port}`")]
    ValueTooWide {
        /// The port.
        port: String,
        /// Its direction: poking needs an input, peeking into 64 bits a port of at most 64.
        direction: Direction,
        /// The port's width in bits.
        width: u32,
        /// The value, or a description of it.
        value: String,
    },
    /// A slice has not the number of 32-bit words that the port has.
    #[error(
        "port `{port}` has {width} bits, that is {expected} words of 32 bits; the slice has {found}"
    )]
    WordCount {
        /// The port.
        port: String,
        /// The port's width in bits.
        width: u32,
        /// The words needed.
        expected: usize,
        /// The words given.
        found: usize,
    },
    /// The design executed `$stop` or `$fatal`, failed an assertion, or did not settle. The
    /// instance cannot go on.
    #[error("the design stopped: {message}")]
    Stopped {
        /// File, line and reason, from the Verilated code.
        message: String,
    },
    /// The design executed `$finish`. The instance cannot go on.
    #[error("the design finished: {message}")]
    Finished {
        /// File and line of the `$finish`.
        message: String,
    },
    /// A waveform was asked of a model that was built without [`super::Trace::Fst`].
    #[error("the model of `{top}` was built without waveform support; build it with Trace::Fst")]
    TraceNotBuilt {
        /// The top module.
        top: String,
    },
    /// A waveform is already being written by this instance.
    #[error("this instance writes a waveform already; close it before opening {}", path.display())]
    TraceAlreadyOpen {
        /// The second file.
        path: PathBuf,
    },
}

impl Error {
    /// For `map_err`: turns the system's error into one that says what was tried on which path.
    pub(super) fn io<'a>(
        action: &'static str,
        path: &'a std::path::Path,
    ) -> impl FnOnce(std::io::Error) -> Error + use<'a> {
        move |source| Error::Io { action, path: path.to_owned(), source }
    }
}
