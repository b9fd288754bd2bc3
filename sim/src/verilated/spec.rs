//! What to build: sources, top module, ports and options.

use std::fmt;
use std::path::{Path, PathBuf};

use super::error::Error;

/// Direction of a top-level port, seen from the design.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Driven from outside the design.
    Input,
    /// Driven by the design.
    Output,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Input => "input",
            Direction::Output => "output",
        })
    }
}

/// A top-level port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Port {
    /// The name in the Verilog source.
    pub name: String,
    /// Width in bits, at least 1.
    pub width: u32,
    /// Direction, seen from the design.
    pub direction: Direction,
}

impl Port {
    /// An input of `width` bits.
    pub fn input(name: impl Into<String>, width: u32) -> Self {
        Port { name: name.into(), width, direction: Direction::Input }
    }

    /// An output of `width` bits.
    pub fn output(name: impl Into<String>, width: u32) -> Self {
        Port { name: name.into(), width, direction: Direction::Output }
    }

    /// 32-bit words that hold the port's value.
    pub fn words(&self) -> usize {
        self.width.div_ceil(32) as usize
    }
}

/// A clock that has several cycles in one of another, one of which begins with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Multiple {
    /// The port of the other clock.
    pub of: String,
    /// Its own port.
    pub clock: String,
    /// Its cycles in one of the other, at least 2.
    pub cycles: u32,
}

/// One source: a plain file name (`core.v`, `defs.vh`) and its text. Headers (`.vh`, `.svh`) are
/// found by `include`; all others are read by Verilator in the given order.
pub type Source = (String, String);

/// Whether the model can write waveforms. Support alone costs speed, also while no waveform is
/// open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trace {
    /// No waveforms.
    #[default]
    None,
    /// Waveforms in the FST format (read by GTKWave and Surfer).
    Fst,
}

/// Members of every class that Verilator generates; a port of such a name makes C++ that does not
/// compile.
const MEMBERS: [&str; 19] = [
    "Vmodel",
    "atClone",
    "contextp",
    "eval",
    "eval_end_step",
    "eval_step",
    "eventsPending",
    "hierName",
    "modelName",
    "name",
    "nextTimeSlot",
    "prepareClone",
    "rootp",
    "threads",
    "trace",
    "traceBaseModel",
    "traceCapable",
    "traceConfig",
    "vlSymsp",
];

/// What to spend time on: building the model, or running it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Optimisation {
    /// Quick to build, slow to run: for a model that sees thousands of cycles.
    Build,
    /// Slower to build, quick to run, tuned to this machine's processor: for a model that sees
    /// millions of cycles.
    #[default]
    Run,
}

/// A description of a Verilated model. [`VerilatedBuild::build`] turns it into one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerilatedBuild {
    /// The Verilog, in the order in which Verilator reads it.
    pub sources: Vec<Source>,
    /// The top module.
    pub top: String,
    /// The top module's ports. All inputs must be listed; outputs that nobody reads may be left
    /// out.
    pub ports: Vec<Port>,
    /// Clocks that go with others, at most one with each.
    pub multiples: Vec<Multiple>,
    /// Waveform support.
    pub trace: Trace,
    /// Build time against run time.
    pub optimisation: Optimisation,
    /// Preprocessor macros: name and value (empty for none).
    pub defines: Vec<(String, String)>,
    /// Threads that evaluate one instance, 1 to 64. More than 1 pays only for large designs on idle
    /// cores.
    pub threads: u32,
}

impl VerilatedBuild {
    /// A model without waveforms, quick to run, on one thread.
    pub fn new(top: impl Into<String>, sources: Vec<Source>, ports: Vec<Port>) -> Self {
        VerilatedBuild {
            sources,
            top: top.into(),
            ports,
            multiples: Vec::new(),
            trace: Trace::None,
            optimisation: Optimisation::Run,
            defines: Vec::new(),
            threads: 1,
        }
    }

    /// With ports for clocks that have so many cycles in one of the clock `of`, and go with it from then on.
    pub fn with_multiples(mut self, of: &str, clocks: &[(&str, u32)]) -> Self {
        for &(clock, cycles) in clocks {
            self.ports.push(Port::input(clock, 1));
            let (of, clock) = (of.to_owned(), clock.to_owned());
            self.multiples.push(Multiple { of, clock, cycles });
        }
        self
    }

    /// Refuses what Verilator would choke on or, worse, take for an option.
    pub(super) fn check(&self) -> Result<(), Error> {
        check_sources(&self.sources)?;
        check_identifier("top", &self.top)?;
        for (index, port) in self.ports.iter().enumerate() {
            let invalid =
                |reason| Err(Error::InvalidSpec { field: format!("port `{}`", port.name), reason });
            if port.name.is_empty() || port.width == 0 {
                return invalid("needs a name and a width of at least 1 bit");
            }
            if MEMBERS.contains(&port.name.as_str()) {
                return invalid(
                    "is a name that Verilator's model class uses itself; rename the port",
                );
            }
            if self.ports[..index].iter().any(|other| other.name == port.name) {
                return invalid("is listed twice");
            }
        }
        let is_clock = |name: &str| {
            let one_bit = |port: &&Port| port.direction == Direction::Input && port.width == 1;
            self.ports.iter().filter(one_bit).any(|port| port.name == name)
        };
        for (index, multiple) in self.multiples.iter().enumerate() {
            let Multiple { of, clock, cycles } = multiple;
            let twice = self.multiples[..index].iter().any(|other| other.of == *of);
            if twice || of == clock || *cycles < 2 || !is_clock(of) || !is_clock(clock) {
                return Err(Error::InvalidSpec {
                    field: format!("multiple `{clock}` of `{of}`"),
                    reason: "expected two inputs of 1 bit, at least 2 cycles, and no other multiple of the clock",
                });
            }
        }
        for (name, value) in &self.defines {
            check_identifier("define", name)?;
            if value.contains(['\n', '+']) {
                return Err(Error::InvalidSpec {
                    field: format!("define `{name}`"),
                    reason: "expected one line without `+`, which would start the next define",
                });
            }
        }
        if !(1..=64).contains(&self.threads) {
            return Err(Error::InvalidSpec {
                field: format!("threads = {}", self.threads),
                reason: "expected 1 to 64",
            });
        }
        Ok(())
    }
}

/// Source names must be plain, different file names, since they are written into one folder.
pub(super) fn check_sources(sources: &[Source]) -> Result<(), Error> {
    if sources.is_empty() {
        return Err(Error::InvalidSpec {
            field: "sources".to_owned(),
            reason: "there is no source",
        });
    }
    for (index, (name, _)) in sources.iter().enumerate() {
        let invalid =
            |reason| Err(Error::InvalidSpec { field: format!("source `{name}`"), reason });
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            || !name.chars().all(plain)
        {
            return invalid("expected a plain file name of letters, digits, `_`, `-` and `.`");
        }
        if sources[..index].iter().any(|(other, _)| other == name) {
            return invalid("is listed twice");
        }
    }
    Ok(())
}

/// A simple Verilog identifier: it goes on Verilator's command line.
pub(super) fn check_identifier(field: &str, name: &str) -> Result<(), Error> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$')) {
        return Ok(());
    }
    Err(Error::InvalidSpec {
        field: format!("{field} `{name}`"),
        reason: "expected a simple Verilog identifier",
    })
}

/// Writes the sources into `folder`; returns the names that Verilator is to read (headers are only
/// included).
pub(super) fn write_sources<'a>(
    sources: &'a [Source],
    folder: &Path,
) -> Result<Vec<&'a str>, Error> {
    for (name, text) in sources {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(Error::io("write", &path))?;
    }
    let is_header = |name: &str| name.ends_with(".vh") || name.ends_with(".svh");
    Ok(sources.iter().map(|(name, _)| name.as_str()).filter(|name| !is_header(name)).collect())
}

/// The checkout that this program was built from; it may be gone.
pub(super) fn workspace_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(build: &VerilatedBuild) -> String {
        build.check().unwrap_err().to_string()
    }

    #[test]
    fn what_would_escape_the_folder_or_the_command_line_is_refused() {
        let source = |name: &str| vec![(name.to_owned(), String::new())];
        let good = VerilatedBuild::new("top", source("a.v"), vec![Port::input("a", 1)]);
        assert!(good.check().is_ok());
        for name in ["../a.v", "/a.v", "-a.v", "a b.v", "", ".."] {
            assert!(
                message(&VerilatedBuild { sources: source(name), ..good.clone() })
                    .contains("plain file name"),
                "{name}"
            );
        }
        assert!(message(&VerilatedBuild { sources: vec![], ..good.clone() }).contains("no source"));
        assert!(
            message(&VerilatedBuild { top: "--exe".to_owned(), ..good.clone() })
                .contains("identifier")
        );
        assert!(
            message(&VerilatedBuild { ports: vec![Port::input("a", 0)], ..good.clone() })
                .contains("at least 1 bit")
        );
        let member = vec![Port::input("eval", 1)];
        assert!(message(&VerilatedBuild { ports: member, ..good.clone() }).contains("rename"));
        let twice = vec![Port::input("a", 1), Port::output("a", 1)];
        assert!(message(&VerilatedBuild { ports: twice, ..good.clone() }).contains("twice"));
        let define = vec![("A".to_owned(), "1+B=2".to_owned())];
        assert!(message(&VerilatedBuild { defines: define, ..good.clone() }).contains("`+`"));
        assert!(message(&VerilatedBuild { threads: 0, ..good }).contains("1 to 64"));
    }
}
