//! Variables and assignments: to variables, lanes, outputs, fields, rings and maps.

use rmt_isa::Instruction;
use rmt_isa::operand::{Element, IntType};
use rmt_isa::program::MapKind;

use super::places::Entity;
use super::value::{Operand, Type, Value, range_of};
use super::{LocalPlace, Lowerer};
use crate::diagnostics::Diagnostic;
use crate::ir::{Class, Reg, V};
use crate::source::{Name, Span, Spanned};
use crate::syntax::{BinaryOperator, Expression, ExpressionKind, TypeName};

impl Lowerer<'_> {
    pub(super) fn binding(
        &mut self,
        mutable: bool,
        name: &Name,
        kind: Option<&Spanned<TypeName>>,
        value: &Expression,
    ) {
        let expected = kind.map(|kind| self.type_of(kind).unwrap_or(Type::Mistake));
        let value_span = value.span;
        let value = self.expression_as(value, expected);
        let value = match value {
            Value::Nothing => self.error(Diagnostic::error(
                value_span,
                "this has no value",
                "nothing is returned",
            )),
            Value::Number(number) if mutable => self.error(
                Diagnostic::error(
                    name.span,
                    format!("`{}` needs a type", name.node),
                    "of which width?",
                )
                .help(format!("write `let mut {}: u64 = {number};`", name.node)),
            ),
            Value::Record(_) if mutable => self.error(
                Diagnostic::error(name.span, "a record cannot change", "`mut` has no meaning here")
                    .help("leave out `mut`; the record's fields can be written all the same"),
            ),
            value => value,
        };
        let bound = if mutable { self.variable(value, name) } else { self.snapshot(value, name) };
        self.declare(&name.node, name.span, LocalPlace::Value(bound), mutable);
        if let Some(local) = self.locals.last_mut() {
            local.used = bound == Value::Mistake;
        }
    }

    /// A register of its own for a variable that begins with `value`.
    pub(super) fn variable(&mut self, value: Value, name: &Name) -> Value {
        let register = match value {
            Value::Int(kind, _) => {
                self.new_variable(Class::Scalar, range_of(kind), &name.node, name.span)
            }
            Value::Bool(_) => self.new_variable(Class::Scalar, (0, 1), &name.node, name.span),
            Value::Vector(..) => self.new_variable(Class::Vector, (0, 0), &name.node, name.span),
            other => return other,
        };
        self.assign_register(register, value);
        match value {
            Value::Int(kind, _) => Value::Int(kind, Operand::Register(register)),
            Value::Bool(_) => Value::Bool(Operand::Register(register)),
            Value::Vector(element, lanes, _) => Value::Vector(element, lanes, register),
            other => other,
        }
    }

    /// `value` under a name: as it is, unless it is a variable that may change later.
    pub(super) fn snapshot(&mut self, value: Value, name: &Name) -> Value {
        let register = match value {
            Value::Int(_, Operand::Register(register))
            | Value::Bool(Operand::Register(register))
            | Value::Vector(_, _, register) => register,
            other => return other,
        };
        let changes = self.locals.iter().any(|local| {
            local.mutable
                && match local.place {
                    LocalPlace::Value(
                        Value::Int(_, Operand::Register(r))
                        | Value::Bool(Operand::Register(r))
                        | Value::Vector(_, _, r),
                    ) => r == register,
                    _ => false,
                }
        });
        if changes {
            return self.variable(value, name);
        }
        self.code.registers[register.0 as usize].name.get_or_insert_with(|| name.node.clone());
        value
    }

    pub(super) fn assign(
        &mut self,
        place: &Expression,
        operator: Option<BinaryOperator>,
        value: &Expression,
        span: Span,
    ) {
        if let ExpressionKind::Name(name) = &place.kind
            && let Some(local) = self.local(name)
        {
            let local = local.clone();
            if !local.mutable {
                self.expression(value);
                let message = format!("`{name}` does not change");
                let diagnostic = Diagnostic::error(place.span, message, "assigned here")
                    .related(local.span, "declared without `mut`")
                    .help(format!("declare it with `let mut {name}`"));
                self.error(diagnostic);
                return;
            }
            let LocalPlace::Value(current) = local.place else { return };
            self.assign_local(current, operator, value, span);
            return;
        }
        if let ExpressionKind::Index(base, index) = &place.kind
            && let ExpressionKind::Name(name) = &base.kind
            && let Some(local) = self.local(name)
            && let LocalPlace::Value(Value::Vector(element, lanes, register)) = local.place
        {
            let (mutable, declared) = (local.mutable, local.span);
            if !mutable {
                let message = format!("`{name}` does not change");
                let diagnostic = Diagnostic::error(place.span, message, "assigned here")
                    .related(declared, "declared without `mut`")
                    .help(format!("declare it with `let mut {name}`"));
                self.error(diagnostic);
            } else if operator.is_some() {
                let help =
                    format!("write `{name}[i] = {name}[i] + ...;` with a cast: lanes saturate");
                self.error(
                    Diagnostic::error(span, "lanes have no compound assignment", "not on a lane")
                        .help(help),
                );
            } else {
                self.assign_lane((element, lanes, register), index, value);
            }
            return;
        }
        let entity = self.entity(place);
        self.assign_entity(entity, place, operator, value, span);
    }

    pub(super) fn assign_local(
        &mut self,
        current: Value,
        operator: Option<BinaryOperator>,
        value: &Expression,
        span: Span,
    ) {
        let kind = current.kind();
        let new = match operator {
            None => self.expression_as(value, Some(kind)),
            Some(operator) => self.compound(current, operator, value, kind, span),
        };
        let register = match current {
            Value::Int(_, Operand::Register(register))
            | Value::Bool(Operand::Register(register))
            | Value::Vector(_, _, register) => register,
            _ => return,
        };
        self.assign_register(register, new);
    }

    /// `current operator value` as a value of type `kind`.
    pub(super) fn compound(
        &mut self,
        current: Value,
        operator: BinaryOperator,
        value: &Expression,
        kind: Type,
        span: Span,
    ) -> Value {
        let right = self.expression(value);
        let joined = self.binary(operator, (current, span), (right, value.span), span);
        self.coerce(joined, kind, span)
    }

    pub(super) fn assign_entity(
        &mut self,
        entity: Entity,
        place: &Expression,
        operator: Option<BinaryOperator>,
        value: &Expression,
        span: Span,
    ) {
        match entity {
            Entity::Value(Value::Mistake) => {
                self.expression(value);
            }
            Entity::Output(output) if operator.is_none() => {
                let kind = self.symbols.program.outputs[output].kind;
                let value_span = value.span;
                let value = self.expression_as(value, Some(Type::Int(kind)));
                self.store_output(output, value, value_span);
            }
            Entity::Output(_) => {
                self.expression(value);
                self.not_a_value(entity, place.span);
            }
            Entity::Field(handle, field) => {
                let kind =
                    Type::Int(self.symbols.program.contexts[handle.context].fields[field].kind);
                let new = match operator {
                    None => self.expression_as(value, Some(kind)),
                    Some(operator) => {
                        let current = self.load_field(handle, field, place.span);
                        self.compound(current, operator, value, kind, span)
                    }
                };
                self.check_writable(handle, field, place.span);
                let Some(target) = self.field_ref(handle, field, place.span) else { return };
                let Value::Int(_, operand) = new else { return };
                self.store_field(target, operand);
            }
            Entity::Ring(handle, field) if operator.is_none() => {
                self.check_writable(handle, field, place.span);
                let kind = self.symbols.program.contexts[handle.context].fields[field].kind;
                // A literal takes the ring's own type for its lanes, if lanes can have it.
                let literal =
                    matches!(value.kind, ExpressionKind::List(_) | ExpressionKind::Fill(..));
                let stored = if literal && crate::syntax::element_of(kind).is_some() {
                    self.literal_lanes(value, kind)
                } else {
                    self.vector_argument(value)
                };
                let Some((_, lanes, a)) = stored else { return };
                let depth =
                    self.symbols.program.contexts[handle.context].fields[field].ring.unwrap_or(0);
                if lanes > usize::from(depth) {
                    let message = format!("the ring keeps {depth} values, not {lanes}");
                    self.error(Diagnostic::error(value.span, message, "more lanes than values"));
                    return;
                }
                let Some(target) = self.field_ref(handle, field, place.span) else { return };
                let store = Instruction::VectorStoreContext { field: target, a: V };
                self.emit(store, None, Some(a), None);
            }
            Entity::MapValue(map, key) => self.assign_map(map, key, operator, value, span),
            Entity::History(..) => {
                self.expression(value);
                self.error(
                    Diagnostic::error(
                        place.span,
                        "values of a ring do not change one by one",
                        "a ring",
                    )
                    .help("`.push(x)` adds the newest value; `record.ring = v;` replaces all"),
                );
            }
            _ => {
                self.expression(value);
                self.error(Diagnostic::error(place.span, "this cannot be assigned", "not a place").help(
                    "places are variables declared with `let mut`, `out.name`, fields of records and values of maps",
                ));
            }
        }
    }

    pub(super) fn literal_lanes(
        &mut self,
        value: &Expression,
        kind: IntType,
    ) -> Option<(Element, usize, Reg)> {
        let lanes = match &value.kind {
            ExpressionKind::List(values) => {
                return match self.vector_list(values, Some(Type::Int(kind)), value.span) {
                    Value::Vector(element, lanes, register) => Some((element, lanes, register)),
                    _ => None,
                };
            }
            ExpressionKind::Fill(lane, count) => {
                self.vector_fill(lane, count, Some(Type::Int(kind)), value.span)
            }
            _ => Value::Mistake,
        };
        match lanes {
            Value::Vector(element, lanes, register) => Some((element, lanes, register)),
            _ => None,
        }
    }

    pub(super) fn assign_map(
        &mut self,
        map: usize,
        key: Value,
        operator: Option<BinaryOperator>,
        value: &Expression,
        span: Span,
    ) {
        let declared = &self.symbols.program.maps[map];
        let kind = Type::Int(declared.value);
        if matches!(declared.kind, MapKind::RingBuffer | MapKind::Histogram) {
            let help = match declared.kind {
                MapKind::RingBuffer => "add a value with `.push(x)`",
                _ => "count a sample with `.record(x)`",
            };
            self.expression(value);
            self.error(
                Diagnostic::error(span, "this map has no places to assign", "read only").help(help),
            );
            return;
        }
        let Value::Int(_, operand) = key else { return };
        match operator {
            None => {
                let value = self.expression_as(value, Some(kind));
                self.map_store(map, operand, value);
            }
            Some(BinaryOperator::Add) => {
                let amount = self.expression_as(value, Some(kind));
                self.map_add(map, operand, amount);
            }
            Some(operator) => {
                let current = self.map_lookup(map, key);
                let new = self.compound(current, operator, value, kind, span);
                self.map_store(map, operand, new);
            }
        }
    }
}
