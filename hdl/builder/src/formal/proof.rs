//! The files of a proof: the design with its properties, a top that drives it, and the script.

use crate::design::{Design, PortInfo};
use crate::ir::{Direction, PropertyKind};
use std::path::Path;

/// Name of the top module of a proof.
const TOP: &str = "proof_top";
/// Inputs whose names begin so keep their value.
const CONSTANT_PREFIX: &str = "constant_";

/// What is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Every assertion holds in every state that can be reached (property-directed reachability).
    Always,
    /// Every assertion holds in every cycle, by induction over this many cycles.
    Induction {
        /// Cycles that are looked at together, at least 1.
        cycles: u32,
    },
    /// Every assertion holds in the first cycles after reset.
    Bounded {
        /// How many.
        cycles: u32,
    },
    /// Every cover becomes true within so many cycles, on some path.
    Reachable {
        /// How many.
        cycles: u32,
    },
}

/// Why there is nothing to prove, or a proof cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormalError {
    /// The design has no property of the kind that the goal is about.
    #[error("`{design}` has no {kind}: state one with `formal::{kind}`")]
    NoProperty {
        /// Top module.
        design: String,
        /// Name of the kind.
        kind: &'static str,
    },
    /// Proofs are about one clock.
    #[error("`{design}` has the clocks {clocks}; a proof needs a design with one")]
    Clocks {
        /// Top module.
        design: String,
        /// Their names.
        clocks: String,
    },
    /// A file could not be written, or a tool not started.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// A proof, ready to be written and run.
#[derive(Debug, Clone)]
pub struct Proof {
    files: Vec<(String, String)>,
    script: String,
    goal: Goal,
}

impl Proof {
    /// The proof that a design reaches a goal.
    ///
    /// # Errors
    /// [`FormalError::NoProperty`] and [`FormalError::Clocks`].
    pub fn new(design: &Design, goal: Goal) -> Result<Self, FormalError> {
        let (needed, kind) = match goal {
            Goal::Reachable { .. } => (PropertyKind::Cover, "cover"),
            _ => (PropertyKind::Assert, "assert"),
        };
        let name = || design.top_name().to_owned();
        if !design.has_property(needed) {
            return Err(FormalError::NoProperty { design: name(), kind });
        }
        let clocks = design.clocks();
        if clocks.len() > 1 {
            let clocks = clocks.iter().map(|(clock, _)| *clock).collect::<Vec<_>>().join(", ");
            return Err(FormalError::Clocks { design: name(), clocks });
        }
        let mut files = design.files_with_properties();
        files.push((format!("{TOP}.sv"), top(design)));
        let script = script(&files, goal);
        Ok(Self { files, script, goal })
    }

    /// The same design with another goal.
    pub(super) fn with_goal(&self, goal: Goal) -> Self {
        let files = self.files.clone();
        Self { script: script(&files, goal), files, goal }
    }

    /// What is to be shown.
    pub fn goal(&self) -> Goal {
        self.goal
    }

    /// The Verilog with its file names, the proof's top last.
    pub fn files(&self) -> &[(String, String)] {
        &self.files
    }

    /// The script for SymbiYosys.
    pub fn script(&self) -> &str {
        &self.script
    }

    /// Writes the Verilog and the script, as `proof.sby`, into `folder`, which is made if it is missing.
    ///
    /// # Errors
    /// [`FormalError::Io`].
    pub fn write_to(&self, folder: &Path) -> Result<(), FormalError> {
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(|source| FormalError::Io {
                what: format!("write {}", path.display()),
                source,
            })
        };
        std::fs::create_dir_all(folder).map_err(|source| FormalError::Io {
            what: format!("make {}", folder.display()),
            source,
        })?;
        for (name, text) in &self.files {
            write(name, text)?;
        }
        write("proof.sby", &self.script)
    }
}

/// The module that resets the design in the first cycle and leaves its inputs free.
fn top(design: &Design) -> String {
    let mut body = String::new();
    let mut pins = Vec::new();
    let mut clock = "clk";
    for (name, reset) in design.clocks() {
        clock = name;
        pins.push(format!("    .{name}({name})"));
        pins.extend(reset.map(|reset| format!("    .{reset}(first_cycle)")));
    }
    for PortInfo { name, direction, width, .. } in design.ports() {
        let freedom = match direction {
            Direction::Input if name.starts_with(CONSTANT_PREFIX) => "(* anyconst *) ",
            Direction::Input => "(* anyseq *) ",
            Direction::Output => "",
        };
        body.push_str(&format!("  {freedom}wire [{}:0] {name};\n", width - 1));
        pins.push(format!("    .{name}({name})"));
    }
    format!(
        "// Free inputs, one cycle of reset\nmodule {TOP} (\n    input logic {clock}\n);\n  \
         reg first_cycle = 1'b1;\n  always @(posedge {clock}) first_cycle <= 1'b0;\n{body}  \
         {} dut (\n{}\n  );\nendmodule\n",
        design.top_name(),
        pins.join(",\n")
    )
}

fn script(files: &[(String, String)], goal: Goal) -> String {
    let (mode, depth, engine) = match goal {
        Goal::Always => ("prove", 20, "abc pdr"),
        Goal::Induction { cycles } => ("prove", cycles, "smtbmc yices"),
        Goal::Bounded { cycles } => ("bmc", cycles, "smtbmc yices"),
        Goal::Reachable { cycles } => ("cover", cycles, "smtbmc yices"),
    };
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    format!(
        "[options]\nmode {mode}\ndepth {depth}\n\n[engines]\n{engine}\n\n[script]\nread -formal -sv {}\nprep -top {TOP}\n\n[files]\n{}\n",
        names.join(" "),
        names.join("\n")
    )
}
