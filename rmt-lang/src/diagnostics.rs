//! What the compiler has to say: errors and warnings with place, reason and remedy, drawn for
//! people or written as JSON for programs.

use std::fmt;

use ariadne::{CharSet, Color, Config, IndexType, Label, Report, ReportKind, Source};
use serde_json::{Value, json};

use crate::source::{LineIndex, Span};

/// Most messages of one run; what follows is usually an echo of the first ones.
const MAX_DIAGNOSTICS: usize = 40;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// There is no program.
    Error,
    /// There is a program, but perhaps not the one that was meant.
    Warning,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// Where.
    pub span: Span,
    /// The reason, written at the place itself.
    pub reason: String,
    /// Other places that matter, each with a remark.
    pub related: Vec<(Span, String)>,
    /// What would fix it.
    pub help: Option<String>,
}

impl Diagnostic {
    pub(crate) fn error(span: Span, message: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span,
            reason: reason.into(),
            related: Vec::new(),
            help: None,
        }
    }

    pub(crate) fn warning(
        span: Span,
        message: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message, reason) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn related(mut self, span: Span, remark: impl Into<String>) -> Self {
        self.related.push((span, remark.into()));
        self
    }
}

/// All messages of one run, with the text that they speak of.
#[derive(Clone, Debug)]
pub struct Diagnostics {
    source_name: String,
    text: String,
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub(crate) fn new(source_name: &str, text: &str) -> Self {
        Self { source_name: source_name.to_owned(), text: text.to_owned(), list: Vec::new() }
    }

    /// Adds a message, unless the same was said before: unrolled loops and inlined functions
    /// meet one mistake many times.
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let same = |other: &&Diagnostic| other.severity == diagnostic.severity;
        let room = self.list.iter().filter(same).count() < MAX_DIAGNOSTICS;
        if room && !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// The messages in the order of the text.
    pub fn list(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<_> = self.list.iter().collect();
        list.sort_by_key(|diagnostic| diagnostic.span);
        list
    }

    /// The errors alone.
    pub(crate) fn errors(mut self) -> Self {
        self.list.retain(|diagnostic| diagnostic.severity == Severity::Error);
        self
    }

    /// Whether there is an error among the messages.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Line and column, both from 1, of the start of `span`.
    pub fn position(&self, span: Span) -> (u32, u32) {
        LineIndex::new(&self.text).position(&self.text, span.start)
    }

    /// The messages with excerpts of the source, for people.
    pub fn render(&self, colour: bool) -> String {
        let mut text = String::new();
        for diagnostic in self.list() {
            text.push_str(&self.render_one(diagnostic, colour));
            text.push('\n');
        }
        text
    }

    fn render_one(&self, diagnostic: &Diagnostic, colour: bool) -> String {
        let (kind, main_colour) = match diagnostic.severity {
            Severity::Error => (ReportKind::Error, Color::Red),
            Severity::Warning => (ReportKind::Warning, Color::Yellow),
        };
        let name = self.source_name.as_str();
        let config = Config::default()
            .with_color(colour)
            .with_index_type(IndexType::Byte)
            .with_char_set(if colour { CharSet::Unicode } else { CharSet::Ascii });
        let mut report = Report::build(kind, (name, diagnostic.span.range()))
            .with_config(config)
            .with_message(&diagnostic.message)
            .with_label(
                Label::new((name, diagnostic.span.range()))
                    .with_message(&diagnostic.reason)
                    .with_color(main_colour),
            );
        for (span, remark) in &diagnostic.related {
            report = report.with_label(
                Label::new((name, span.range())).with_message(remark).with_color(Color::Blue),
            );
        }
        if let Some(help) = &diagnostic.help {
            report = report.with_help(help);
        }
        let mut drawn = Vec::new();
        let source = (name, Source::from(self.text.as_str()));
        match report.finish().write(source, &mut drawn) {
            Ok(()) => {
                let drawn = String::from_utf8_lossy(&drawn);
                // The drawing pads lines on the right; that only makes noise in files.
                drawn.lines().map(|line| format!("{}\n", line.trim_end())).collect()
            }
            // Writing to memory does not fail; the plain line is still better than nothing.
            Err(_) => format!("{}\n", self.plain_line(diagnostic)),
        }
    }

    fn plain_line(&self, diagnostic: &Diagnostic) -> String {
        let (line, column) = self.position(diagnostic.span);
        format!("{}:{line}:{column}: {}", self.source_name, diagnostic.message)
    }

    /// The messages as a JSON array: severity, message, file, labels (the first one is the
    /// place itself) with lines and columns from 1, and help.
    pub fn to_json(&self) -> Value {
        let lines = LineIndex::new(&self.text);
        let label = |span: Span, remark: &str| {
            let (line, column) = lines.position(&self.text, span.start);
            let (end_line, end_column) = lines.position(&self.text, span.end);
            json!({
                "line": line, "column": column, "end_line": end_line, "end_column": end_column,
                "message": remark,
            })
        };
        let messages = self.list().into_iter().map(|diagnostic| {
            let main = std::iter::once(label(diagnostic.span, &diagnostic.reason));
            let related = diagnostic.related.iter().map(|(span, remark)| label(*span, remark));
            json!({
                "severity": match diagnostic.severity {
                    Severity::Error => "error",
                    Severity::Warning => "warning",
                },
                "message": diagnostic.message,
                "file": self.source_name,
                "labels": main.chain(related).collect::<Vec<_>>(),
                "help": diagnostic.help,
            })
        });
        Value::Array(messages.collect())
    }
}

/// One line for each message: `file:line:column: message`.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.list().into_iter().map(|d| self.plain_line(d)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Diagnostics {}

/// The candidate that `name` was perhaps meant to be.
pub(crate) fn closest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|&(distance, candidate)| {
            let near = distance <= allowed && distance < name.chars().count();
            near || (name.len() >= 3 && candidate.starts_with(name))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean" or the list of what there is.
pub(crate) fn suggest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(close) = closest(name, candidates.clone()) {
        return Some(format!("did you mean `{close}`?"));
    }
    let all: Vec<_> = candidates.into_iter().take(12).map(|name| format!("`{name}`")).collect();
    match all.len() {
        0 => None,
        1..=11 => Some(format!("there is {}", all.join(", "))),
        _ => Some(format!("there is {}, ...", all.join(", "))),
    }
}

/// `1 argument`, `2 arguments`.
pub(crate) fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
