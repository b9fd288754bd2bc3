//! Methods of contexts, records, history rings and maps.

use rmt_isa::Instruction;
use rmt_isa::operand::{ContextId, IntType};
use rmt_isa::program::MapKind;

use super::Lowerer;
use super::places::Entity;
use super::value::{Operand, RecordHandle, Type, Value, range_of};
use crate::diagnostics::{Diagnostic, suggest};
use crate::ir::{Class, R};
use crate::source::{Name, Span};
use crate::syntax::Expression;

/// Methods of each kind of map with the number of arguments.
fn map_methods(kind: MapKind) -> &'static [(&'static str, usize)] {
    match kind {
        MapKind::Array => &[("lookup", 1), ("update", 2), ("add", 2)],
        MapKind::Hash | MapKind::LruHash => {
            &[("lookup", 1), ("contains", 1), ("update", 2), ("add", 2), ("delete", 1)]
        }
        MapKind::RingBuffer => &[("lookup", 1), ("push", 1)],
        MapKind::Histogram => &[("lookup", 1), ("record", 1), ("add", 2)],
    }
}

impl Lowerer<'_> {
    pub(super) fn method(
        &mut self,
        receiver: Entity,
        method: &Name,
        arguments: &[Expression],
        span: Span,
    ) -> Value {
        match receiver {
            Entity::Value(Value::Mistake) => Value::Mistake,
            Entity::Context(context) => self.open_record(context, method, arguments, span),
            Entity::Value(Value::Record(handle)) if method.node == "found" => {
                if !self.count(arguments, 0, "`found`", span) {
                    return Value::Mistake;
                }
                Value::Bool(Operand::Register(handle.found))
            }
            Entity::Value(Value::Record(_)) => self.no_method(method, "a record", &["found"]),
            Entity::Ring(handle, field) => self.ring_method(handle, field, method, arguments, span),
            Entity::Map(map) => self.map_method(map, method, arguments, span),
            _ => self.no_method(method, "this value", &[]),
        }
    }

    pub(super) fn no_method(&mut self, method: &Name, what: &str, methods: &[&str]) -> Value {
        let message = format!("{what} has no method `{}`", method.node);
        let mut diagnostic = Diagnostic::error(method.span, message, "not a method");
        diagnostic.help = suggest(&method.node, methods.iter().copied());
        self.error(diagnostic)
    }

    /// `context.match(key)` and `context.find(key)`.
    pub(super) fn open_record(
        &mut self,
        context: usize,
        method: &Name,
        arguments: &[Expression],
        span: Span,
    ) -> Value {
        let creates = match method.node.as_str() {
            "match" => true,
            "find" => false,
            _ => return self.no_method(method, "a context", &["match", "find"]),
        };
        let what = format!("`{}`", method.node);
        if !self.count(arguments, 1, &what, span) {
            return Value::Mistake;
        }
        let Some(key) = self.key(&arguments[0]) else { return Value::Mistake };
        let Some(id) = ContextId::new(context as u16) else { return Value::Mistake };
        let a = self.register_of(key);
        let found = self.new_register(Class::Scalar, (0, 1), span);
        let template = if creates {
            Instruction::MatchContext { d: R, context: id, a: R }
        } else {
            Instruction::FindContext { d: R, context: id, a: R }
        };
        self.emit(template, Some(found), Some(a), None);
        self.forget(
            |known| matches!(known, Instruction::LoadContext { field, .. } if field.context == id),
        );
        self.openings += 1;
        self.open[context] = Some(self.openings);
        Value::Record(RecordHandle { context, generation: self.openings, found, span })
    }

    /// A key of a map or context: any integer, extended to 64 bits.
    pub(super) fn key(&mut self, argument: &Expression) -> Option<Operand> {
        match self.expression(argument) {
            Value::Number(number) if (0..=u64::MAX.into()).contains(&number) => {
                Some(Operand::Constant(number))
            }
            Value::Int(_, operand) => Some(operand),
            Value::Mistake => None,
            other => {
                let found = format!("this is {}", self.describe(other.kind()));
                self.error(Diagnostic::error(argument.span, "a key must be an integer", found));
                None
            }
        }
    }

    pub(super) fn ring_method(
        &mut self,
        handle: RecordHandle,
        field: usize,
        method: &Name,
        arguments: &[Expression],
        span: Span,
    ) -> Value {
        let kind = self.symbols.program.contexts[handle.context].fields[field].kind;
        match method.node.as_str() {
            "len" => {
                let Some(place) = self.field_ref(handle, field, span) else {
                    return Value::Mistake;
                };
                if !self.count(arguments, 0, "`len`", span) {
                    return Value::Mistake;
                }
                let depth =
                    self.symbols.program.contexts[handle.context].fields[field].ring.unwrap_or(0);
                let d = self.new_register(Class::Scalar, (0, depth.into()), span);
                self.emit(Instruction::HistoryLength { d: R, field: place }, Some(d), None, None);
                Value::Int(IntType::U32, Operand::Register(d))
            }
            "push" => {
                if !self.count(arguments, 1, "`push`", span) {
                    return Value::Mistake;
                }
                let value = self.expression_as(&arguments[0], Some(Type::Int(kind)));
                self.check_writable(handle, field, span);
                let Some(place) = self.field_ref(handle, field, span) else {
                    return Value::Mistake;
                };
                let Value::Int(_, operand) = value else { return Value::Mistake };
                let a = self.register_of(operand);
                let push = Instruction::PushContext { field: place, a: R };
                self.emit(push, None, Some(a), None);
                Value::Nothing
            }
            _ => self.no_method(method, "a history ring", &["push", "len"]),
        }
    }

    /// Reports a write to a field that only the control plane writes.
    pub(super) fn check_writable(&mut self, handle: RecordHandle, field: usize, span: Span) {
        let field = &self.symbols.program.contexts[handle.context].fields[field];
        if !field.writable {
            let message = format!("`{}` is read-only", field.name);
            self.error(
                Diagnostic::error(span, message, "only the control plane writes this field")
                    .help("leave out `readonly` in the context if actions shall write it"),
            );
        }
    }

    pub(super) fn map_method(
        &mut self,
        map: usize,
        method: &Name,
        arguments: &[Expression],
        span: Span,
    ) -> Value {
        let declared = &self.symbols.program.maps[map];
        let (kind, value_kind) = (declared.kind, declared.value);
        let methods = map_methods(kind);
        let Some(&(_, wanted)) = methods.iter().find(|(name, _)| *name == method.node) else {
            let names: Vec<_> = methods.iter().map(|(name, _)| *name).collect();
            return self.no_method(method, "this kind of map", &names);
        };
        let what = format!("`{}`", method.node);
        if !self.count(arguments, wanted, &what, span) {
            return Value::Mistake;
        }
        let id = self.map_id(map);
        if method.node == "push" {
            let value = self.expression_as(&arguments[0], Some(Type::Int(value_kind)));
            let Value::Int(_, operand) = value else { return Value::Mistake };
            let a = self.register_of(operand);
            self.emit(Instruction::MapPush { map: id, a: R }, None, Some(a), None);
            return Value::Nothing;
        }
        let Some(key) = self.key(&arguments[0]) else { return Value::Mistake };
        let amount = match (method.node.as_str(), arguments.get(1)) {
            ("record", _) => Value::Int(value_kind, Operand::Constant(1)),
            (_, Some(argument)) => self.expression_as(argument, Some(Type::Int(value_kind))),
            _ => Value::Nothing,
        };
        if amount == Value::Mistake {
            return Value::Mistake;
        }
        match method.node.as_str() {
            "lookup" => self.map_lookup(map, Value::Int(IntType::U64, key)),
            "add" | "record" => self.map_add(map, key, amount),
            "update" => self.map_store(map, key, amount),
            name => {
                let a = self.register_of(key);
                let d = self.new_register(Class::Scalar, (0, 1), span);
                let template = if name == "contains" {
                    Instruction::MapContains { d: R, map: id, a: R }
                } else {
                    Instruction::MapDelete { d: R, map: id, a: R }
                };
                self.emit(template, Some(d), Some(a), None);
                Value::Bool(Operand::Register(d))
            }
        }
    }

    /// Adds to a value of a map; the new value.
    pub(super) fn map_add(&mut self, map: usize, key: Operand, amount: Value) -> Value {
        let Value::Int(kind, amount) = amount else { return Value::Mistake };
        let (a, b) = (self.register_of(key), self.register_of(amount));
        let d = self.new_register(Class::Scalar, range_of(kind), self.span);
        let template = Instruction::MapAdd { d: R, map: self.map_id(map), a: R, b: R };
        self.emit(template, Some(d), Some(a), Some(b));
        Value::Int(kind, Operand::Register(d))
    }

    /// Stores a value in a map; whether there was room.
    pub(super) fn map_store(&mut self, map: usize, key: Operand, value: Value) -> Value {
        let Value::Int(_, value) = value else { return Value::Mistake };
        let (a, b) = (self.register_of(key), self.register_of(value));
        let d = self.new_register(Class::Scalar, (0, 1), self.span);
        let template = Instruction::MapStore { d: R, map: self.map_id(map), a: R, b: R };
        self.emit(template, Some(d), Some(a), Some(b));
        Value::Bool(Operand::Register(d))
    }
}
