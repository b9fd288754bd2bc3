//! Tables: key, actions, default, size and entries.

use super::{Parsed, Parser};
use crate::diagnostics::{Diagnostic, suggest};
use crate::source::{Name, Spanned};
use crate::syntax::{ActionCall, Entry, Expression, FieldMatch, Parameter, Pattern, Table};

/// The kinds of match by the words of P4.
pub(crate) const FIELD_MATCHES: &[(&str, FieldMatch)] = &[
    ("exact", FieldMatch::Exact),
    ("lpm", FieldMatch::LongestPrefix),
    ("ternary", FieldMatch::Ternary),
    ("range", FieldMatch::Range),
];

const PROPERTIES: &[&str] = &["key", "actions", "default", "size", "entries"];

impl Parser<'_> {
    pub(super) fn table(&mut self) -> Parsed<Table> {
        let name = self.name("the table")?;
        let arguments: Vec<Parameter> =
            if self.eat_mark("(") { self.list(")", Self::parameter)? } else { Vec::new() };
        self.expect_mark("{", "before the table's properties")?;
        let mut table = Table {
            name,
            arguments,
            key: Vec::new(),
            actions: Vec::new(),
            default: None,
            size: None,
            entries: Vec::new(),
        };
        let mut seen = Vec::new();
        self.items(|p| p.property(&mut table, &mut seen))?;
        Ok(table)
    }

    fn property(&mut self, table: &mut Table, seen: &mut Vec<String>) -> Parsed<()> {
        let word = self.word("a property of the table")?;
        if seen.contains(&word.node) {
            return Err(self.report(Diagnostic::error(
                word.span,
                format!("this table has two properties `{}`", word.node),
                "the second one",
            )));
        }
        seen.push(word.node.clone());
        match word.node.as_str() {
            "key" => {
                self.expect_mark("=", "and the fields of the key")?;
                self.expect_mark("{", "before the fields of the key")?;
                table.key = self.separated(Self::key_field)?;
                self.eat_mark(";");
            }
            "actions" => {
                self.expect_mark("=", "and the actions")?;
                self.expect_mark("{", "before the actions")?;
                table.actions = self.separated(|p| p.name("an action"))?;
                self.eat_mark(";");
            }
            "default" => {
                self.expect_mark("=", "and the default action")?;
                table.default = Some(self.action_call()?);
                self.expect_mark(";", "after the default action")?;
            }
            "size" => {
                self.expect_mark("=", "and the number of entries")?;
                table.size = Some(self.expression()?);
                self.expect_mark(";", "after the number of entries")?;
            }
            "entries" => {
                self.eat_mark("=");
                self.expect_mark("{", "before the entries")?;
                table.entries = self.items(Self::entry)?;
                self.eat_mark(";");
            }
            other => {
                let help = suggest(other, PROPERTIES.iter().copied()).unwrap_or_default();
                return Err(self.report(
                    Diagnostic::error(
                        word.span,
                        format!("a table has no property `{other}`"),
                        "not a property",
                    )
                    .help(help),
                ));
            }
        }
        Ok(())
    }

    /// Items up to `}` with `,` or `;` between them.
    fn separated<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.eat_mark("}") {
            items.push(item(self)?);
            if !self.eat_mark(",") && !self.eat_mark(";") && !self.is_mark("}") {
                return Err(self.expected("`,` or `}`"));
            }
        }
        Ok(items)
    }

    fn key_field(&mut self) -> Parsed<(Name, Spanned<FieldMatch>)> {
        if self.is_word("event") && self.is_mark_ahead(1, ".") {
            self.advance();
            self.advance();
        }
        let name = self.word("a field of the event or an argument of the table")?;
        self.expect_mark(":", "and how the field is compared")?;
        let word = self.word("how the field is compared")?;
        let Some(&(_, node)) = FIELD_MATCHES.iter().find(|(text, _)| *text == word.node) else {
            let help = suggest(&word.node, FIELD_MATCHES.iter().map(|(text, _)| *text));
            return Err(self.report(
                Diagnostic::error(
                    word.span,
                    format!("there is no match kind `{}`", word.node),
                    "not a match kind",
                )
                .help(help.unwrap_or_default()),
            ));
        };
        Ok((name, Spanned { node, span: word.span }))
    }

    pub(super) fn action_call(&mut self) -> Parsed<ActionCall> {
        let action = self.name("an action")?;
        let values: Vec<Expression> =
            if self.eat_mark("(") { self.list(")", Self::expression)? } else { Vec::new() };
        Ok(ActionCall { action, values })
    }

    /// `pattern: action(values) priority 3;`
    fn entry(&mut self) -> Parsed<Entry> {
        let start = self.span();
        let patterns =
            if self.eat_mark("(") { self.list(")", Self::pattern)? } else { vec![self.pattern()?] };
        self.expect_mark(":", "and the entry's action")?;
        let call = self.action_call()?;
        let priority = if self.eat_word("priority") { Some(self.expression()?) } else { None };
        let span = self.since(start);
        self.expect_mark(";", "after the entry")?;
        Ok(Entry { patterns, call, priority, span })
    }

    pub(super) fn pattern(&mut self) -> Parsed<Spanned<Pattern>> {
        let start = self.span();
        let node = if self.eat_word("_") {
            Pattern::Any
        } else {
            // Above `|` in strength, which separates the patterns of a `match` arm; `/` is the
            // length of a prefix, not a division.
            let value = self.pattern_value()?;
            if self.eat_mark("/") {
                Pattern::Prefix(value, self.pattern_value()?)
            } else if self.eat_mark("&&&") {
                Pattern::Mask(value, self.pattern_value()?)
            } else if self.eat_mark("..=") {
                Pattern::Range(value, self.pattern_value()?)
            } else {
                Pattern::Value(value)
            }
        };
        Ok(Spanned { node, span: self.since(start) })
    }
}
