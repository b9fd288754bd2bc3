//! A violation: what is wrong, where, why, and what would mend it.

use std::fmt;

use serde::Serialize;

use super::rules::Rule;

/// One broken rule. `Display` draws it for people over several lines; `Serialize` gives the
/// same parts to programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The rule.
    #[serde(rename = "code")]
    pub rule: Rule,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// Where.
    pub place: Place,
    /// What was found and what was expected.
    pub reason: String,
    /// What would mend it.
    pub remedy: String,
}

/// Where in a program something stands. Parts that do not apply are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Name of the program.
    pub program: String,
    /// Source file, empty when the program names none.
    pub source: String,
    /// Line of the source, counted from 1.
    pub line: Option<u32>,
    /// Table: the one at fault, or the first one that runs the action.
    pub table: Option<ObjectName>,
    /// Action.
    pub action: Option<ObjectName>,
    /// Another object: a context store, map, model, tensor and so on.
    pub object: Option<String>,
    /// Instruction of the action.
    pub instruction: Option<InstructionPlace>,
}

/// An object by index and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectName {
    /// Index in its list of the program.
    pub index: usize,
    /// Its name; unprintable characters escaped, cut when very long.
    pub name: String,
}

/// One instruction of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InstructionPlace {
    /// Index in the action, from 0.
    pub index: usize,
    /// The instruction in assembly.
    pub text: String,
    /// Names of the objects in its operands, such as `tensor0 = w1`; may be empty.
    pub names: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut part = |f: &mut fmt::Formatter<'_>, text: fmt::Arguments<'_>| {
            write!(f, "{separator}{text}")?;
            separator = ", ";
            Ok(())
        };
        if let Some(table) = &self.table {
            part(f, format_args!("table {} `{}`", table.index, table.name))?;
        }
        if let Some(action) = &self.action {
            part(f, format_args!("action {} `{}`", action.index, action.name))?;
        }
        if let Some(object) = &self.object {
            part(f, format_args!("{object}"))?;
        }
        if let Some(instruction) = &self.instruction {
            part(f, format_args!("instruction {}", instruction.index))?;
        }
        if separator.is_empty() {
            write!(f, "the program as a whole")?;
        }
        Ok(())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error[{}]: {}", self.rule, self.title)?;
        write!(f, "  --> program `{}`", self.place.program)?;
        match (self.place.source.is_empty(), self.place.line) {
            (true, None) => {}
            (true, Some(line)) => write!(f, ", line {line}")?,
            (false, None) => write!(f, ", {}", self.place.source)?,
            (false, Some(line)) => write!(f, ", {}:{line}", self.place.source)?,
        }
        write!(f, "\n   | {}", self.place)?;
        if let Some(instruction) = &self.place.instruction {
            write!(f, "\n   |     {}", instruction.text)?;
            if !instruction.names.is_empty() {
                write!(f, "    ; {}", instruction.names)?;
            }
        }
        write!(f, "\n   = reason: {}\n   = remedy: {}", self.reason, self.remedy)
    }
}

impl std::error::Error for Violation {}
