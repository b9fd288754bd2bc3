//! Expressions to values.

use rmt_isa::Instruction;
use rmt_isa::operand::IntType;

use super::value::{Operand, Type, Value, range_of, wrap};
use super::{Lowerer, places::Entity};
use crate::diagnostics::Diagnostic;
use crate::ir::{R, Reg};
use crate::source::Span;
use crate::syntax::{BinaryOperator, Expression, ExpressionKind, UnaryOperator};

impl Lowerer<'_> {
    /// The value of an expression, of whatever type.
    pub(super) fn expression(&mut self, expression: &Expression) -> Value {
        self.expression_toward(expression, None)
    }

    /// The value of an expression as one of type `expected`, if that is given.
    pub(super) fn expression_as(
        &mut self,
        expression: &Expression,
        expected: Option<Type>,
    ) -> Value {
        let value = self.expression_toward(expression, expected);
        match expected {
            Some(expected) => self.coerce(value, expected, expression.span),
            None => value,
        }
    }

    /// The value; `expected` helps those expressions that have no type of their own.
    pub(super) fn expression_toward(
        &mut self,
        expression: &Expression,
        expected: Option<Type>,
    ) -> Value {
        self.depth += 1;
        let value = if self.tick(expression.span) {
            self.expression_inner(expression, expected)
        } else {
            Value::Mistake
        };
        self.depth -= 1;
        value
    }

    fn expression_inner(&mut self, expression: &Expression, expected: Option<Type>) -> Value {
        let span = expression.span;
        match &expression.kind {
            ExpressionKind::Number(number) => Value::Number((*number).into()),
            ExpressionKind::Bool(value) => Value::Bool(Operand::Constant((*value).into())),
            ExpressionKind::Name(_)
            | ExpressionKind::Field(..)
            | ExpressionKind::Index(..)
            | ExpressionKind::Slice(..) => {
                let entity = self.entity(expression);
                self.load(entity, span)
            }
            ExpressionKind::Call(callee, arguments) => self.call(callee, arguments, span, expected),
            ExpressionKind::Unary(operator, inner) => {
                let inner_expected = expected.filter(|_| *operator != UnaryOperator::Not);
                let value = self.expression_toward(inner, inner_expected);
                match (operator, value, expected) {
                    // `x & ~3`: the bits above are those of the type that is wanted.
                    (UnaryOperator::Complement, Value::Number(number), Some(Type::Int(kind))) => {
                        Value::Int(kind, Operand::Constant(wrap(!number, kind)))
                    }
                    _ => self.unary(*operator, value, span),
                }
            }
            ExpressionKind::Binary(
                operator @ (BinaryOperator::And | BinaryOperator::Or),
                left,
                right,
            ) => self.joined(*operator, left, right, span),
            ExpressionKind::Binary(operator, left, right) => {
                let (a, b) = match operator {
                    // The distance has a type of its own.
                    BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight => {
                        (self.expression_toward(left, expected), self.expression(right))
                    }
                    _ => {
                        // Comparisons and products of vectors give another type than they take.
                        let widens = *operator == BinaryOperator::Multiply
                            && matches!(expected, Some(Type::Vector(..)));
                        let same = !operator.is_comparison() && !widens;
                        self.sides(left, right, expected.filter(|_| same))
                    }
                };
                self.binary(*operator, (a, left.span), (b, right.span), span)
            }
            ExpressionKind::Cast(inner, kind) => self.cast(inner, kind, span),
            ExpressionKind::If(condition, then, otherwise) => {
                self.choice(condition, then, otherwise, expected)
            }
            ExpressionKind::List(values) => self.vector_list(values, expected, span),
            ExpressionKind::Fill(value, count) => self.vector_fill(value, count, expected, span),
        }
    }

    /// Both sides of an operator. A side without a type of its own takes that of the other
    /// side, else what is wanted of the whole.
    pub(super) fn sides(
        &mut self,
        left: &Expression,
        right: &Expression,
        expected: Option<Type>,
    ) -> (Value, Value) {
        if takes_type(left) && !takes_type(right) {
            let b = self.expression_toward(right, expected);
            return (self.expression_toward(left, own_type(b).or(expected)), b);
        }
        let a = self.expression_toward(left, expected);
        let wanted = if takes_type(right) { own_type(a).or(expected) } else { expected };
        (a, self.expression_toward(right, wanted))
    }

    fn unary(&mut self, operator: UnaryOperator, value: Value, span: Span) -> Value {
        match (operator, value) {
            (_, Value::Mistake) => Value::Mistake,
            (UnaryOperator::Negate, Value::Number(number)) => match number.checked_neg() {
                Some(negated) => Value::Number(negated),
                None => Value::Mistake,
            },
            (UnaryOperator::Complement, Value::Number(number)) => Value::Number(!number),
            (UnaryOperator::Not, Value::Bool(Operand::Constant(known))) => {
                Value::Bool(Operand::Constant(1 - known))
            }
            (UnaryOperator::Not, Value::Bool(operand @ Operand::Register(_))) => {
                let one = Operand::Constant(1);
                let flipped =
                    self.compute_two(Instruction::Xor { d: R, a: R, b: R }, operand, one, (0, 1));
                Value::Bool(Operand::Register(flipped))
            }
            (UnaryOperator::Negate, Value::Int(kind, operand)) if kind.signed() => {
                self.negate(kind, operand)
            }
            (UnaryOperator::Complement, Value::Int(kind, operand)) => {
                self.complement(kind, operand)
            }
            (UnaryOperator::Negate, Value::Int(kind, _)) => self.error(
                Diagnostic::error(span, format!("`{kind}` has no negative values"), "unsigned")
                    .help("write `0 - x` if it shall wrap, or cast to a signed type first"),
            ),
            (UnaryOperator::Not, Value::Int(kind, _)) => self.error(
                Diagnostic::error(span, "`!` is for bools", format!("this is `{kind}`"))
                    .help("write `x == 0` to test for zero, `~x` to flip the bits"),
            ),
            (UnaryOperator::Complement, Value::Bool(_)) => self.error(
                Diagnostic::error(span, "`~` is for integers", "this is `bool`").help("write `!x`"),
            ),
            (operator, other) => {
                let sign = match operator {
                    UnaryOperator::Negate => "-",
                    UnaryOperator::Not => "!",
                    UnaryOperator::Complement => "~",
                };
                let what = self.describe(other.kind());
                self.error(Diagnostic::error(span, format!("`{sign}` cannot take {what}"), what))
            }
        }
    }

    fn negate(&mut self, kind: IntType, operand: Operand) -> Value {
        let register = match operand {
            Operand::Constant(value) => {
                return Value::Int(kind, Operand::Constant(wrap(-value, kind)));
            }
            Operand::Register(register) => register,
        };
        let (low, high) = self.range(operand, kind);
        let exact = (-high, -low);
        let stored = if exact.1 <= range_of(kind).1 { exact } else { (i128::MIN, i128::MAX) };
        let negated = self.compute(Instruction::Neg { d: R, a: R }, Some(register), None, stored);
        Value::Int(kind, self.cut(negated, exact, kind))
    }

    fn complement(&mut self, kind: IntType, operand: Operand) -> Value {
        let register = match operand {
            Operand::Constant(value) => {
                return Value::Int(kind, Operand::Constant(wrap(!value, kind)));
            }
            Operand::Register(register) => register,
        };
        let (low, high) = self.range(operand, kind);
        let exact = (!high, !low);
        let stored = if kind.signed() { exact } else { (i128::MIN, i128::MAX) };
        let flipped = self.compute(Instruction::Not { d: R, a: R }, Some(register), None, stored);
        Value::Int(kind, self.cut(flipped, exact, kind))
    }

    /// Writes a value into the register of a variable.
    pub(super) fn assign_register(&mut self, register: Reg, value: Value) {
        match value {
            Value::Int(_, operand) | Value::Bool(operand) => self.move_into(register, operand),
            Value::Vector(element, _, source) => self.copy_vector(register, source, element),
            _ => {}
        }
    }

    /// The value of whatever an expression names.
    pub(super) fn load(&mut self, entity: Entity, span: Span) -> Value {
        match entity {
            Entity::Value(value) => value,
            Entity::Lane(vector, lane) => self.load_lane(vector, lane),
            Entity::EventField(offset, kind) => self.load_event(offset, kind),
            Entity::EventVector(offset, element, lanes) => {
                self.load_event_vector(offset, element, lanes)
            }
            Entity::Field(handle, field) => self.load_field(handle, field, span),
            Entity::History(handle, field, index) => self.load_history(handle, field, index, span),
            Entity::MapValue(map, key) => self.map_lookup(map, key),
            Entity::Row(tensor, row) => self.load_row(tensor, row, span),
            other => self.not_a_value(other, span),
        }
    }
}

/// A vector written down or flipped bits, which have no type of their own.
fn takes_type(expression: &Expression) -> bool {
    matches!(
        expression.kind,
        ExpressionKind::List(_)
            | ExpressionKind::Fill(..)
            | ExpressionKind::Unary(UnaryOperator::Complement, _)
    )
}

fn own_type(value: Value) -> Option<Type> {
    Some(value.kind()).filter(|kind| matches!(kind, Type::Vector(..) | Type::Int(_)))
}
