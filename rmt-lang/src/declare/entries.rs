//! Entries of tables: patterns to what the machine compares.

use rmt_isa::program::{Entry, KeyField, MatchKind, Matcher, Table};

use super::Symbols;
use super::data::bits_of;
use crate::diagnostics::{Diagnostic, Diagnostics, plural};
use crate::lower::value::{Type, range_of};
use crate::lower::{constant, constant_in};
use crate::source::Spanned;
use crate::syntax::{self, Expression, FieldMatch, Pattern};

/// What one field of an entry asks, in the terms of every kind of match.
#[derive(Debug)]
struct FieldPattern {
    value: u64,
    mask: u64,
    /// Length of the prefix.
    length: u32,
    low: u64,
    high: u64,
}

impl Symbols<'_> {
    pub(super) fn entry(
        &self,
        declared: &syntax::Table,
        table: &Table,
        entry: &syntax::Entry,
        diagnostics: &mut Diagnostics,
    ) -> Option<Entry> {
        if entry.patterns.len() != table.key.len() {
            let fields = plural(table.key.len(), "field");
            let message = format!(
                "the key of `{}` has {fields}, this entry {}",
                table.name,
                entry.patterns.len()
            );
            let help = if table.key.is_empty() {
                "a table without a key runs its default"
            } else {
                "write one pattern for each field: `(1, 2..=5): act();`"
            };
            diagnostics.push(Diagnostic::error(entry.span, message, "this entry").help(help));
            return None;
        }
        let fields: Option<Vec<_>> = entry
            .patterns
            .iter()
            .zip(&table.key)
            .zip(&declared.key)
            .map(|((pattern, field), (_, how))| self.pattern(pattern, field, how.node, diagnostics))
            .collect();
        let matcher = matcher(table.kind, &table.key, &fields?);
        let ordered = matches!(table.kind, MatchKind::Ternary | MatchKind::Range);
        let priority = match &entry.priority {
            None => 0,
            Some(value) if ordered => {
                let range = (0, u32::MAX.into());
                constant_in(self, diagnostics, value, range, "a priority")? as u32
            }
            Some(value) => {
                let message = "only ternary and range tables have priorities";
                diagnostics.push(Diagnostic::error(value.span, message, "no meaning here"));
                return None;
            }
        };
        if let Some(first) =
            table.entries.iter().find(|e| e.matcher == matcher && e.priority == priority)
        {
            let message = format!("two entries of `{}` match the same", table.name);
            let action = &self.program.actions[usize::from(first.call.action)].name;
            let reason = format!("an entry before this one already runs `{action}`");
            diagnostics.push(Diagnostic::error(entry.span, message, reason));
            return None;
        }
        let call = self.action_call(declared, &entry.call, diagnostics)?;
        Some(Entry { matcher, priority, call })
    }

    /// What a pattern asks of one field.
    fn pattern(
        &self,
        pattern: &Spanned<Pattern>,
        field: &KeyField,
        how: FieldMatch,
        diagnostics: &mut Diagnostics,
    ) -> Option<FieldPattern> {
        let bits = field.kind.bits();
        let mask = u64::MAX >> (64 - bits);
        let value = |symbols: &Self, value: &Expression, diagnostics: &mut Diagnostics| {
            let expected = Some(Type::Int(field.kind));
            bits_of(constant(symbols, diagnostics, value, expected)?.constant()?, field.kind)
        };
        match (&pattern.node, how) {
            (Pattern::Value(written), _) => {
                let exact = value(self, written, diagnostics)?;
                Some(FieldPattern {
                    value: exact & mask,
                    mask,
                    length: bits,
                    low: exact,
                    high: exact,
                })
            }
            (Pattern::Any, FieldMatch::Ternary | FieldMatch::Range | FieldMatch::LongestPrefix) => {
                let (low, high) = range_of(field.kind);
                Some(FieldPattern {
                    value: 0,
                    mask: 0,
                    length: 0,
                    low: low as u64,
                    high: high as u64,
                })
            }
            (Pattern::Prefix(written, length), FieldMatch::LongestPrefix) => {
                let what = "the length of the prefix";
                let prefix = value(self, written, diagnostics)? & mask;
                let length = constant_in(self, diagnostics, length, (0, bits.into()), what)? as u32;
                let kept = if length == 0 { 0 } else { mask & (mask << (bits - length)) };
                if prefix & !kept != 0 {
                    let message = format!("bits behind the first {length} are set");
                    let help = format!("write {:#x}/{length}", prefix & kept);
                    diagnostics.push(
                        Diagnostic::error(pattern.span, message, "they would never be compared")
                            .help(help),
                    );
                    return None;
                }
                Some(FieldPattern { value: prefix, mask: kept, length, low: 0, high: 0 })
            }
            (Pattern::Mask(written, kept), FieldMatch::Ternary) => {
                let wanted = value(self, written, diagnostics)? & mask;
                let kept = value(self, kept, diagnostics)? & mask;
                if wanted & !kept != 0 {
                    let help = format!("write {:#x} &&& {kept:#x}", wanted & kept);
                    diagnostics.push(
                        Diagnostic::error(
                            pattern.span,
                            "bits outside of the mask are set",
                            "they would never be compared",
                        )
                        .help(help),
                    );
                    return None;
                }
                Some(FieldPattern { value: wanted, mask: kept, length: 0, low: 0, high: 0 })
            }
            (Pattern::Range(low, high), FieldMatch::Range) => {
                let (from, to) = (value(self, low, diagnostics)?, value(self, high, diagnostics)?);
                let ordered =
                    if field.kind.signed() { from as i64 <= to as i64 } else { from <= to };
                if !ordered {
                    let message = "this range is empty";
                    diagnostics.push(Diagnostic::error(
                        pattern.span,
                        message,
                        "it ends before it begins",
                    ));
                    return None;
                }
                Some(FieldPattern { value: 0, mask: 0, length: 0, low: from, high: to })
            }
            (_, how) => {
                let (kind, help) = match how {
                    FieldMatch::Exact => ("exact", "exact fields take one value: `5`"),
                    FieldMatch::LongestPrefix => ("lpm", "lpm fields take `0x1200/8`, `5` or `_`"),
                    FieldMatch::Ternary => {
                        ("ternary", "ternary fields take `0x10 &&& 0xf0`, `5` or `_`")
                    }
                    FieldMatch::Range => ("range", "range fields take `1..=5`, `5` or `_`"),
                };
                let message =
                    format!("this pattern does not fit the {kind} field `{}`", field.name);
                diagnostics
                    .push(Diagnostic::error(pattern.span, message, "this pattern").help(help));
                None
            }
        }
    }
}

fn matcher(kind: MatchKind, key: &[KeyField], fields: &[FieldPattern]) -> Matcher {
    let join = |part: fn(&FieldPattern) -> u64| {
        key.iter().zip(fields).fold(0_u128, |joined, (field, pattern)| {
            joined << field.kind.bits() | u128::from(part(pattern))
        })
    };
    let value = join(|pattern| pattern.value);
    match kind {
        MatchKind::Exact => Matcher::Exact { key: value },
        MatchKind::LongestPrefix => Matcher::LongestPrefix {
            key: value,
            length: fields.iter().map(|pattern| pattern.length).sum::<u32>() as u8,
        },
        MatchKind::Ternary => Matcher::Ternary { value, mask: join(|pattern| pattern.mask) },
        MatchKind::Range => Matcher::Range {
            low: fields.iter().map(|pattern| pattern.low).collect(),
            high: fields.iter().map(|pattern| pattern.high).collect(),
        },
    }
}
