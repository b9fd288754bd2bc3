//! Reads Verilator's errors and warnings into values, so that a caller can point at the Verilog
//! line.

use std::fmt;

/// How many diagnostics an error message prints before it says how many more there are.
const SHOWN: usize = 8;

/// Whether Verilator calls it an error or a warning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The source is wrong.
    Error,
    /// The source is legal but suspect; the build refuses it all the same.
    Warning,
}

/// One error or warning of Verilator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Verilator's name of the check, such as `WIDTHEXPAND`; empty for a syntax error.
    pub code: String,
    /// The source's name, as given to the build; empty if the message is about no file.
    pub file: String,
    /// Line in that source, from 1; 0 if the message is about no line.
    pub line: u32,
    /// Column in that line, from 1; 0 if unknown.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        }
        f.write_str(match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })?;
        if !self.code.is_empty() {
            write!(f, " {}", self.code)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// The first diagnostics, one a line, and how many there are beyond them.
pub(super) fn summary(diagnostics: &[Diagnostic]) -> String {
    let mut text: Vec<String> = diagnostics.iter().take(SHOWN).map(|d| format!("  {d}")).collect();
    if diagnostics.len() > SHOWN {
        text.push(format!("  and {} more", diagnostics.len() - SHOWN));
    }
    text.join("\n")
}

/// Reads Verilator's output; lines that are no error or warning (source excerpts, hints) are left
/// out.
pub(super) fn parse(output: &str) -> Vec<Diagnostic> {
    output.lines().filter_map(parse_line).collect()
}

/// `%Error: FILE:LINE:COLUMN: TEXT`, `%Warning-CODE: FILE:LINE:COLUMN: TEXT` or `%Error: TEXT`.
fn parse_line(line: &str) -> Option<Diagnostic> {
    let (severity, rest) = if let Some(rest) = line.strip_prefix("%Error") {
        (Severity::Error, rest)
    } else {
        (Severity::Warning, line.strip_prefix("%Warning")?)
    };
    let (code, text) = rest.split_once(": ")?;
    // The closing count of errors repeats what is already known.
    if text.starts_with("Exiting due to") {
        return None;
    }
    let (file, line, column, message) = split_place(text).unwrap_or(("", 0, 0, text));
    Some(Diagnostic {
        severity,
        code: code.trim_start_matches('-').to_owned(),
        file: file.to_owned(),
        line,
        column,
        message: message.to_owned(),
    })
}

/// Splits `FILE:LINE:COLUMN: TEXT`.
fn split_place(text: &str) -> Option<(&str, u32, u32, &str)> {
    let (place, message) = text.split_once(": ")?;
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some((parts.next()?, line, column, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_warnings_carry_their_place() {
        let output = "\
%Warning-WIDTHEXPAND: top.v:12:7: Operator ADD expects 32 bits
                    : ... note: In instance 'top'
   12 |  assign y = a + b;
%Error: other.v:3:1: syntax error, unexpected endmodule
%Error: Cannot find file containing module: 'x'
%Error: Exiting due to 3 error(s)
- V e r i l a t i o n   R e p o r t";
        let found = parse(output);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].code, "WIDTHEXPAND");
        assert_eq!((found[0].file.as_str(), found[0].line, found[0].column), ("top.v", 12, 7));
        assert_eq!(found[1].severity, Severity::Error);
        assert_eq!(found[1].to_string(), "other.v:3:1: error: syntax error, unexpected endmodule");
        assert_eq!(found[2].file, "");
        assert_eq!(found[2].message, "Cannot find file containing module: 'x'");
    }

    #[test]
    fn a_long_list_says_how_many_are_left_out() {
        let one = parse("%Error: a.v:1:1: no").remove(0);
        let text = summary(&vec![one; SHOWN + 4]);
        assert_eq!(text.lines().count(), SHOWN + 1);
        assert!(text.ends_with("and 4 more"), "{text}");
    }
}
