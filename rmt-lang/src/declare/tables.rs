//! Heads of actions, tables and their entries.

use rmt_isa::limits::{
    MAX_ARGUMENTS, MAX_CAPACITY, MAX_KEY_BITS, MAX_KEY_FIELDS, MAX_OBJECTS, MAX_PARAMETERS,
};
use rmt_isa::operand::IntType;
use rmt_isa::program::{Action, ActionCall, KeyField, KeySource, MatchKind, Parameter, Table};

use super::data::bits_of;
use super::{Global, Symbols};
use crate::diagnostics::{Diagnostic, Diagnostics, closest, plural, suggest};
use crate::lower::value::Type;
use crate::lower::{constant, constant_in};
use crate::source::{Name, Span, Spanned};
use crate::syntax::{self, FieldMatch, TypeName};

/// Entries of a table that does not say how many.
const DEFAULT_SIZE: u32 = 1024;

fn integer(parameter: &syntax::Parameter, diagnostics: &mut Diagnostics) -> IntType {
    match parameter.kind.node {
        TypeName::Int(kind) => kind,
        _ => {
            diagnostics.push(
                Diagnostic::error(parameter.kind.span, "this must be an integer", "not an integer")
                    .help("integers are `u8` to `u64` and `i8` to `i64`"),
            );
            IntType::U64
        }
    }
}

fn limit(count: usize, most: usize, what: &str, name: &Name, diagnostics: &mut Diagnostics) {
    if count > most {
        let message = format!("`{}` has {count} {what}, at most {most} are possible", name.node);
        diagnostics.push(Diagnostic::error(name.span, message, "too many"));
    }
}

impl Symbols<'_> {
    pub(super) fn actions(&mut self, diagnostics: &mut Diagnostics) {
        for action in &self.file.actions {
            let arguments = action.parameters.iter().filter(|p| p.is_argument).count();
            let own = action.parameters.len() - arguments;
            limit(arguments, MAX_ARGUMENTS, "`in` parameters", &action.name, diagnostics);
            limit(own, MAX_PARAMETERS, "parameters", &action.name, diagnostics);
            let mut parameters = Vec::new();
            for parameter in &action.parameters {
                let kind = integer(parameter, diagnostics);
                if !parameter.is_argument {
                    parameters.push(Parameter { name: parameter.name.node.clone(), kind });
                }
            }
            self.program.actions.push(Action {
                name: action.name.node.clone(),
                parameters,
                arguments: arguments.min(MAX_ARGUMENTS) as u8,
                code: Vec::new(),
                lines: Vec::new(),
            });
        }
        if let Some(last) = self.file.actions.last() {
            let count = self.file.actions.len();
            if count > MAX_OBJECTS {
                let message =
                    format!("there are {count} actions, at most {MAX_OBJECTS} are possible");
                diagnostics.push(Diagnostic::error(last.name.span, message, "too many"));
            }
        }
    }

    pub(super) fn tables(&mut self, text_span: Span, diagnostics: &mut Diagnostics) {
        let tables = &self.file.tables;
        match tables.first() {
            None => diagnostics.push(
                Diagnostic::error(text_span, "the program has no table", "events begin at a table")
                    .help("declare one: `table decide { actions = { act }; default = act(); }`"),
            ),
            Some(first) if !first.arguments.is_empty() => diagnostics.push(
                Diagnostic::error(
                    first.name.span,
                    "the first table takes arguments",
                    "events begin here, and nothing hands any over",
                )
                .help("put the table where events begin first"),
            ),
            Some(_) => {}
        }
        if let Some(last) = tables.get(MAX_OBJECTS) {
            let message = format!("there are more than {MAX_OBJECTS} tables");
            diagnostics.push(Diagnostic::error(last.name.span, message, "too many"));
        }
        for table in tables {
            let table = self.table(table, diagnostics);
            self.program.tables.push(table);
        }
    }

    fn table(&self, declared: &syntax::Table, diagnostics: &mut Diagnostics) -> Table {
        let name = &declared.name;
        limit(declared.arguments.len(), MAX_ARGUMENTS, "arguments", name, diagnostics);
        limit(declared.key.len(), MAX_KEY_FIELDS, "fields in its key", name, diagnostics);
        let key: Vec<_> = declared
            .key
            .iter()
            .filter_map(|(name, _)| self.key_field(declared, name, diagnostics))
            .collect();
        let kind = match_kind(&declared.key, diagnostics);
        let size = declared.size.as_ref().and_then(|size| {
            let range = (1, MAX_CAPACITY as i128);
            constant_in(self, diagnostics, size, range, "the number of entries")
        });
        let capacity = match (size, key.is_empty()) {
            (Some(size), _) => size as u32,
            (None, true) => 1,
            (None, false) => DEFAULT_SIZE,
        };
        let mut table = Table {
            name: name.node.clone(),
            kind,
            key,
            capacity,
            actions: Vec::new(),
            default: None,
            entries: Vec::new(),
        };
        if table.key_bits() > MAX_KEY_BITS {
            let message = format!("the key of `{}` has {} bits", name.node, table.key_bits());
            let reason = format!("at most {MAX_KEY_BITS} are possible");
            diagnostics.push(Diagnostic::error(name.span, message, reason));
            return table;
        }
        self.table_actions(declared, &mut table, diagnostics);
        if declared.actions.is_empty() {
            diagnostics.push(
                Diagnostic::error(
                    name.span,
                    format!("`{}` has no actions", name.node),
                    "nothing to run",
                )
                .help("list them: `actions = { act };`"),
            );
        }
        if let Some(call) = &declared.default {
            table.default = self.action_call(declared, call, diagnostics);
        } else if declared.key.is_empty() {
            diagnostics.push(
                Diagnostic::error(
                    name.span,
                    format!("`{}` has neither a key nor a default", name.node),
                    "no event would run anything",
                )
                .help("add `default = act();`"),
            );
        }
        if key_is_whole(declared, &table) {
            for entry in &declared.entries {
                let entry = self.entry(declared, &table, entry, diagnostics);
                table.entries.extend(entry);
            }
        }
        if declared.entries.len() > table.capacity as usize {
            let message = format!("`{}` has more entries than room", name.node);
            let reason = format!("{} entries, {} places", declared.entries.len(), table.capacity);
            diagnostics.push(Diagnostic::error(name.span, message, reason).help("raise `size`"));
        }
        table
    }

    fn key_field(
        &self,
        table: &syntax::Table,
        name: &Name,
        diagnostics: &mut Diagnostics,
    ) -> Option<KeyField> {
        let argument = table.arguments.iter().position(|argument| argument.name.node == name.node);
        if let Some(index) = argument {
            let kind = integer(&table.arguments[index], diagnostics);
            let source = KeySource::Argument { register: index as u8 + 1 };
            return Some(KeyField { name: name.node.clone(), kind, source });
        }
        match self.event.get(&name.node) {
            Some(item) if item.lanes.is_none() => Some(KeyField {
                name: name.node.clone(),
                kind: item.kind,
                source: KeySource::Event { offset: item.offset },
            }),
            Some(_) => {
                let message = format!("`{}` cannot be part of a key", name.node);
                diagnostics.push(Diagnostic::error(name.span, message, "it has several lanes"));
                None
            }
            None => {
                let arguments = table.arguments.iter().map(|argument| argument.name.node.as_str());
                let fields = self.event.keys().map(String::as_str);
                let message = format!("there is no field `{}` for the key", name.node);
                let mut diagnostic = Diagnostic::error(name.span, message, "not declared");
                diagnostic.help = suggest(&name.node, arguments.chain(fields).collect::<Vec<_>>());
                diagnostics.push(diagnostic);
                None
            }
        }
    }

    fn table_actions(
        &self,
        declared: &syntax::Table,
        table: &mut Table,
        diagnostics: &mut Diagnostics,
    ) {
        for name in &declared.actions {
            let Some(Global::Action(index)) = self.names.get(&name.node).map(|(global, _)| *global)
            else {
                let actions = self.file.actions.iter().map(|action| action.name.node.as_str());
                let message = format!("there is no action `{}`", name.node);
                let mut diagnostic = Diagnostic::error(name.span, message, "not declared");
                diagnostic.help =
                    closest(&name.node, actions).map(|close| format!("did you mean `{close}`?"));
                diagnostics.push(diagnostic);
                continue;
            };
            if table.actions.contains(&(index as u16)) {
                let message = format!("`{}` is listed twice", name.node);
                diagnostics.push(Diagnostic::error(name.span, message, "the second time"));
                continue;
            }
            self.check_arguments(declared, name, index, diagnostics);
            table.actions.push(index as u16);
        }
    }

    /// The `in` parameters of an action are the arguments of the table, or the first of them.
    fn check_arguments(
        &self,
        table: &syntax::Table,
        name: &Name,
        action: usize,
        diagnostics: &mut Diagnostics,
    ) {
        let wanted = self.file.actions[action].parameters.iter().filter(|p| p.is_argument);
        for (index, parameter) in wanted.enumerate() {
            let kind = match parameter.kind.node {
                TypeName::Int(kind) => kind,
                _ => continue,
            };
            let given = table.arguments.get(index).map(|argument| &argument.kind.node);
            if matches!(given, Some(TypeName::Int(found)) if *found == kind) {
                continue;
            }
            let message = format!(
                "`{}` takes `in {}: {kind}`, which `{}` does not hand over",
                name.node, parameter.name.node, table.name.node
            );
            let reason = match given {
                Some(_) => format!("argument {} of the table has another type", index + 1),
                None => format!("the table has {}", plural(table.arguments.len(), "argument")),
            };
            diagnostics.push(
                Diagnostic::error(name.span, message, reason)
                    .related(parameter.name.span, "declared here")
                    .help(format!(
                        "declare the table as `table {}({}: {kind}, ...)`",
                        table.name.node, parameter.name.node
                    )),
            );
            return;
        }
    }

    pub(super) fn action_call(
        &self,
        table: &syntax::Table,
        call: &syntax::ActionCall,
        diagnostics: &mut Diagnostics,
    ) -> Option<ActionCall> {
        let name = &call.action;
        let listed = table.actions.iter().any(|action| action.node == name.node);
        let index = match self.names.get(&name.node) {
            Some((Global::Action(index), _)) if listed => *index,
            found => {
                let is_action = matches!(found, Some((Global::Action(_), _)));
                let listed = table.actions.iter().map(|action| action.node.as_str());
                let message =
                    format!("`{}` is not among the actions of `{}`", name.node, table.name.node);
                let mut diagnostic = Diagnostic::error(name.span, message, "not listed");
                diagnostic.help = if is_action {
                    Some(format!("add it: `actions = {{ ..., {} }};`", name.node))
                } else {
                    suggest(&name.node, listed)
                };
                diagnostics.push(diagnostic);
                return None;
            }
        };
        let wanted = &self.program.actions[index].parameters;
        if wanted.len() != call.values.len() {
            let names: Vec<_> = wanted.iter().map(|p| format!("{}: {}", p.name, p.kind)).collect();
            let message = format!("`{}` takes ({})", name.node, names.join(", "));
            let reason = format!("{} given", plural(call.values.len(), "value"));
            diagnostics.push(Diagnostic::error(name.span, message, reason));
            return None;
        }
        let mut parameters = Vec::new();
        for (parameter, value) in wanted.iter().zip(&call.values) {
            let expected = Some(Type::Int(parameter.kind));
            let value = constant(self, diagnostics, value, expected)?.constant()?;
            parameters.push(bits_of(value, parameter.kind)?);
        }
        Some(ActionCall { action: index as u16, parameters })
    }

    // Entries.
}

fn key_is_whole(declared: &syntax::Table, table: &Table) -> bool {
    declared.key.len() == table.key.len()
}

/// The kind of the table, from the kinds of its fields.
fn match_kind(key: &[(Name, Spanned<FieldMatch>)], diagnostics: &mut Diagnostics) -> MatchKind {
    let has = |wanted| key.iter().any(|(_, how)| how.node == wanted);
    let kinds = [
        (FieldMatch::LongestPrefix, MatchKind::LongestPrefix),
        (FieldMatch::Ternary, MatchKind::Ternary),
        (FieldMatch::Range, MatchKind::Range),
    ];
    let found: Vec<_> = kinds.iter().filter(|(how, _)| has(*how)).map(|(_, kind)| *kind).collect();
    let last = key.last().map(|(name, how)| (name.span, how.node));
    if let (true, Some((span, _))) = (found.len() > 1, last) {
        diagnostics.push(
            Diagnostic::error(
                span,
                "these kinds of match cannot be joined in one key",
                "in this key",
            )
            .help(
                "exact joins with each of lpm, ternary and range; the others not with each other",
            ),
        );
    }
    let before_last = key.split_last().map_or(&key[..0], |(_, before)| before);
    let early = before_last.iter().find(|(_, how)| how.node == FieldMatch::LongestPrefix);
    if let Some((_, how)) = early {
        diagnostics.push(
            Diagnostic::error(how.span, "an lpm field must be the last one", "fields follow it")
                .help("put the exact fields first"),
        );
    }
    found.first().copied().unwrap_or(MatchKind::Exact)
}
