//! Types: as written, as wanted of a value, and casts from one to another.

use rmt_isa::Instruction;
use rmt_isa::operand::IntType;

use super::Lowerer;
use super::value::{Operand, Type, Value, fits, range_of, wrap};
use crate::declare::Global;
use crate::diagnostics::{Diagnostic, suggest};
use crate::ir::{Class, V};
use crate::source::{Span, Spanned};
use crate::syntax::{Expression, ExpressionKind, TypeName, element_of, int_of};

impl Lowerer<'_> {
    /// `value` as a value of type `expected`; a bare number takes that type.
    pub(super) fn coerce(&mut self, value: Value, expected: Type, span: Span) -> Value {
        let found = value.kind();
        match (value, expected) {
            (Value::Mistake, _) | (_, Type::Mistake) => Value::Mistake,
            (Value::Number(number), Type::Int(kind)) if fits(number, kind) => {
                Value::Int(kind, Operand::Constant(number))
            }
            (Value::Number(number), Type::Int(kind)) => {
                let (low, high) = range_of(kind);
                self.value_error(
                    Diagnostic::error(
                        span,
                        format!("{number} is no {kind}"),
                        format!("{kind} goes from {low} to {high}"),
                    )
                    .help(format!("to cut it to the width on purpose, write `... as {kind}`")),
                )
            }
            _ if found == expected => value,
            _ => self.mismatch(found, expected, span),
        }
    }

    pub(super) fn mismatch(&mut self, found: Type, expected: Type, span: Span) -> Value {
        let (found_text, expected_text) = (self.describe(found), self.describe(expected));
        let mut diagnostic = Diagnostic::error(
            span,
            format!("expected {expected_text}, found {found_text}"),
            format!("this is {found_text}"),
        );
        diagnostic.help = match (found, expected) {
            (Type::Int(_) | Type::Bool, Type::Int(kind)) => {
                Some(format!("cast it: `... as {kind}`"))
            }
            (Type::Int(_) | Type::Number, Type::Bool) => Some("compare it: `... != 0`".to_owned()),
            (Type::Vector(_, n), Type::Vector(element, m)) if n == m => {
                Some(format!("cast it, lanes saturate: `... as {element}`"))
            }
            _ => None,
        };
        self.error(diagnostic)
    }

    /// A type in words.
    pub(super) fn describe(&self, kind: Type) -> String {
        match kind {
            Type::Number => "a number".to_owned(),
            Type::Record(context) => {
                let name = self.symbols.program.contexts.get(context).map(|c| c.name.as_str());
                format!("a record of `{}`", name.unwrap_or("?"))
            }
            Type::Nothing => "nothing".to_owned(),
            other => format!("`{other}`"),
        }
    }

    /// A type as written; `None` when it has been reported as wrong.
    pub(super) fn type_of(&mut self, kind: &Spanned<TypeName>) -> Option<Type> {
        match &kind.node {
            TypeName::Int(int) => Some(Type::Int(*int)),
            TypeName::Bool => Some(Type::Bool),
            TypeName::Array(int, count) => {
                let Some(element) = element_of(*int) else {
                    self.no_element(*int, kind.span);
                    return None;
                };
                let lanes = self.lane_count(count)?;
                Some(Type::Vector(element, lanes))
            }
            TypeName::Record(name) => match self.global(name) {
                Some(Global::Context(context)) => Some(Type::Record(context)),
                _ => {
                    let types = IntType::ALL.iter().map(|kind| kind.text());
                    let contexts = self.symbols.program.contexts.iter().map(|c| c.name.as_str());
                    let all: Vec<_> = types.chain(["bool"]).chain(contexts).collect();
                    let mut diagnostic = Diagnostic::error(
                        kind.span,
                        format!("there is no type `{name}`"),
                        "not a type",
                    );
                    diagnostic.help = suggest(name, all);
                    self.error(diagnostic);
                    None
                }
            },
        }
    }

    pub(super) fn cast(
        &mut self,
        inner: &Expression,
        kind: &Spanned<TypeName>,
        span: Span,
    ) -> Value {
        let Some(target) = self.type_of(kind) else {
            self.expression(inner);
            return Value::Mistake;
        };
        if let Some(value) = self.cast_history(inner, target, span) {
            return value;
        }
        // `requant(x, s) as i16` and `[0; 4] as i16` take their element type from the cast.
        let expected = match (target, &inner.kind) {
            (Type::Int(_), ExpressionKind::List(_) | ExpressionKind::Fill(..)) => Some(target),
            (Type::Int(_) | Type::Vector(..), ExpressionKind::Call(callee, _)) => {
                matches!(&callee.kind, ExpressionKind::Name(name) if name == "requant")
                    .then_some(target)
            }
            (Type::Vector(..), ExpressionKind::List(_) | ExpressionKind::Fill(..)) => Some(target),
            _ => None,
        };
        let value = self.expression_toward(inner, expected);
        self.cast_loaded(value, target, span)
    }

    pub(super) fn cast_loaded(&mut self, value: Value, target: Type, span: Span) -> Value {
        match (value, target) {
            (Value::Mistake, _) | (_, Type::Mistake) => Value::Mistake,
            (Value::Number(number), Type::Int(kind)) => {
                Value::Int(kind, Operand::Constant(wrap(number, kind)))
            }
            (Value::Int(from, operand), Type::Int(kind)) => self.cast_int(from, operand, kind),
            (Value::Bool(operand), Type::Int(kind)) => Value::Int(kind, operand),
            (Value::Bool(_), Type::Bool) => value,
            (Value::Vector(from, lanes, register), Type::Int(kind)) => match element_of(kind) {
                Some(element) if element == from => value,
                Some(element) => {
                    let converted = self.new_register(Class::Vector, (0, 0), span);
                    let template = Instruction::VectorConvert { d: V, a: V, element };
                    self.emit(template, Some(converted), Some(register), None);
                    Value::Vector(element, lanes, converted)
                }
                None => self.no_element(kind, span),
            },
            (Value::Vector(_, lanes, _), Type::Vector(element, wanted)) => {
                if lanes != wanted {
                    return self.error(Diagnostic::error(
                        span,
                        format!("a vector of {lanes} lanes cannot become one of {wanted}"),
                        "the number of lanes differs",
                    ));
                }
                let kind = int_of(element);
                self.cast_loaded(value, Type::Int(kind), span)
            }
            (_, Type::Bool) => self.error(
                Diagnostic::error(span, "nothing is cast to `bool`", "a comparison is needed")
                    .help("write `x != 0`"),
            ),
            _ => {
                let (from, to) = (self.describe(value.kind()), self.describe(target));
                self.error(Diagnostic::error(
                    span,
                    format!("{from} cannot become {to}"),
                    "no such cast",
                ))
            }
        }
    }

    pub(super) fn no_element(&mut self, kind: IntType, span: Span) -> Value {
        self.error(
            Diagnostic::error(span, format!("lanes cannot be `{kind}`"), "not a type of lanes")
                .help("lanes are `i8`, `i16` or `i32`"),
        )
    }

    /// `value as kind` for an integer.
    pub(super) fn cast_int(&mut self, from: IntType, operand: Operand, kind: IntType) -> Value {
        let cast = match operand {
            Operand::Constant(value) => Operand::Constant(wrap(value, kind)),
            Operand::Register(register) => {
                let range = self.range(operand, from);
                self.cut(register, range, kind)
            }
        };
        Value::Int(kind, cast)
    }
}
