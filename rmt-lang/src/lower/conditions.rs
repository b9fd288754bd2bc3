//! Conditions: comparisons fused with jumps, short-circuit `&&` and `||`, values that depend
//! on a condition.

use rmt_isa::Instruction;
use rmt_isa::operand::IntType;

use super::Lowerer;
use super::value::{Operand, Type, Value};
use crate::diagnostics::Diagnostic;
use crate::ir::{Class, J, Label, R, immediate_form};
use crate::source::Span;
use crate::syntax::{BinaryOperator, Expression, ExpressionKind, UnaryOperator};

/// Highest expression that is computed whether it is needed or not, to save a jump.
const CHEAP_HEIGHT: u16 = 3;

impl Lowerer<'_> {
    /// Jumps to `target` when `condition` is `sense`, else falls through. Gives the
    /// condition when it is known now.
    pub(super) fn branch(
        &mut self,
        condition: &Expression,
        sense: bool,
        target: Label,
    ) -> Option<bool> {
        match &condition.kind {
            ExpressionKind::Unary(UnaryOperator::Not, inner) => {
                self.branch(inner, !sense, target).map(|known| !known)
            }
            ExpressionKind::Binary(
                operator @ (BinaryOperator::And | BinaryOperator::Or),
                left,
                right,
            ) => self.branch_joined(*operator == BinaryOperator::And, left, right, sense, target),
            ExpressionKind::Binary(operator, left, right) if operator.is_comparison() => {
                self.branch_compared(*operator, left, right, condition.span, sense, target)
            }
            _ => {
                let value = self.expression_as(condition, Some(Type::Bool));
                self.branch_on(value, sense, target)
            }
        }
    }

    /// `a && b` or `a || b`.
    fn branch_joined(
        &mut self,
        is_and: bool,
        left: &Expression,
        right: &Expression,
        sense: bool,
        target: Label,
    ) -> Option<bool> {
        // `a && b` is false, and `a || b` true, as soon as `a` is.
        let deciding = !is_and;
        if sense == deciding {
            let first = self.branch(left, sense, target);
            let second = self.branch(right, sense, target);
            return match (first, second) {
                (Some(known), _) | (_, Some(known)) if known == deciding => Some(known),
                (Some(_), second) => second,
                _ => None,
            };
        }
        let skip = self.code.label();
        let first = self.branch(left, !sense, skip);
        let second = self.branch(right, sense, target);
        self.place(skip);
        match (first, second) {
            (Some(known), _) if known == deciding => Some(known),
            (Some(_), second) => second,
            _ => None,
        }
    }

    fn branch_compared(
        &mut self,
        operator: BinaryOperator,
        left: &Expression,
        right: &Expression,
        span: Span,
        sense: bool,
        target: Label,
    ) -> Option<bool> {
        let (a, b) = self.sides(left, right, None);
        let kind = match (a, b) {
            (Value::Int(kind, _), Value::Int(other, _)) if kind == other => kind,
            (Value::Int(kind, _), Value::Number(_)) | (Value::Number(_), Value::Int(kind, _)) => {
                kind
            }
            _ => {
                let value = self.binary(operator, (a, left.span), (b, right.span), span);
                return self.branch_on(value, sense, target);
            }
        };
        let a = self.coerce(a, Type::Int(kind), left.span);
        let b = self.coerce(b, Type::Int(kind), right.span);
        let (Value::Int(_, a), Value::Int(_, b)) = (a, b) else { return None };
        self.jump_if(operator, kind, a, b, sense, target)
    }

    /// Jumps when `a operator b` is `sense`.
    pub(super) fn jump_if(
        &mut self,
        operator: BinaryOperator,
        kind: IntType,
        a: Operand,
        b: Operand,
        sense: bool,
        target: Label,
    ) -> Option<bool> {
        use BinaryOperator as Op;
        if matches!((a, b), (Operand::Constant(_), Operand::Constant(_))) {
            let value = Value::Bool(self.compare(operator, kind, a, b));
            return self.branch_on(value, sense, target);
        }
        let operator = match (operator, sense) {
            (operator, true) => operator,
            (Op::Equal, false) => Op::NotEqual,
            (Op::NotEqual, false) => Op::Equal,
            (Op::Less, false) => Op::GreaterEqual,
            (Op::LessEqual, false) => Op::Greater,
            (Op::Greater, false) => Op::LessEqual,
            (_, false) => Op::Less,
        };
        // A constant stands on the right, where the short form takes it.
        let (operator, a, b) = match a {
            Operand::Constant(_) => (mirrored(operator), b, a),
            Operand::Register(_) => (operator, a, b),
        };
        let a = self.register_of(a);
        if let Operand::Constant(value) = b
            && let Some(imm) = super::arithmetic::immediate(value)
            && let Some(short) = short_jump(operator, kind.signed(), imm)
        {
            self.jump(short, Some(a), None, target);
            return None;
        }
        let b = self.register_of(b);
        let (operator, a, b) = match operator {
            Op::Greater | Op::GreaterEqual => (mirrored(operator), b, a),
            _ => (operator, a, b),
        };
        self.jump(register_jump(operator, kind.signed()), Some(a), Some(b), target);
        None
    }

    /// Jumps to `target` when the bool is `sense`.
    pub(super) fn branch_on(&mut self, value: Value, sense: bool, target: Label) -> Option<bool> {
        match value {
            Value::Bool(Operand::Constant(known)) => {
                let known = known != 0;
                if known == sense {
                    self.jump_always(target);
                }
                Some(known)
            }
            Value::Bool(Operand::Register(register)) => {
                let template = if sense {
                    Instruction::JumpNeImm { a: R, imm: 0, target: J }
                } else {
                    Instruction::JumpEqImm { a: R, imm: 0, target: J }
                };
                self.jump(template, Some(register), None, target);
                None
            }
            _ => None,
        }
    }

    /// `a && b`, `a || b` as a value.
    pub(super) fn joined(
        &mut self,
        operator: BinaryOperator,
        left: &Expression,
        right: &Expression,
        span: Span,
    ) -> Value {
        let a = self.expression_as(left, Some(Type::Bool));
        let is_and = operator == BinaryOperator::And;
        if let Some(known) = a.constant() {
            if (known != 0) == is_and {
                return self.expression_as(right, Some(Type::Bool));
            }
            self.dead(|l| l.expression_as(right, Some(Type::Bool)));
            return a;
        }
        if is_cheap(right) {
            let b = self.expression_as(right, Some(Type::Bool));
            return self.binary(operator, (a, left.span), (b, right.span), span);
        }
        let Value::Bool(first) = a else {
            self.expression_as(right, Some(Type::Bool));
            return Value::Mistake;
        };
        let result = self.new_variable(Class::Scalar, (0, 1), "condition", span);
        let end = self.code.label();
        self.move_into(result, first);
        self.branch_on(a, !is_and, end);
        if let Value::Bool(second) = self.expression_as(right, Some(Type::Bool)) {
            self.move_into(result, second);
        }
        self.place(end);
        Value::Bool(Operand::Register(result))
    }

    /// `if condition { then } else { otherwise }` as a value.
    pub(super) fn choice(
        &mut self,
        condition: &Expression,
        then: &Expression,
        otherwise: &Expression,
        expected: Option<Type>,
    ) -> Value {
        let kind = expected.unwrap_or_else(|| self.common_type(then, otherwise));
        if let Type::Int(_) | Type::Bool = kind
            && is_cheap(then)
            && is_cheap(otherwise)
        {
            return self.selected(condition, then, otherwise, kind);
        }
        let (alternative, end) = (self.code.label(), self.code.label());
        let known = self.branch(condition, false, alternative);
        let first = self.expression_as(then, Some(kind));
        match known {
            // Only one side is ever run: no register has to hold either.
            Some(true) => {
                self.dead(|l| l.expression_as(otherwise, Some(kind)));
                return first;
            }
            Some(false) => {
                self.place(alternative);
                return self.expression_as(otherwise, Some(kind));
            }
            None => {}
        }
        let result = match kind {
            Type::Int(int) => {
                let range = super::value::range_of(int);
                Some(self.new_variable(Class::Scalar, range, "if", condition.span))
            }
            Type::Bool => Some(self.new_variable(Class::Scalar, (0, 1), "if", condition.span)),
            Type::Vector(..) => {
                Some(self.new_variable(Class::Vector, (0, 0), "if", condition.span))
            }
            _ => None,
        };
        if let Some(result) = result {
            self.assign_register(result, first);
        }
        self.jump_always(end);
        self.place(alternative);
        let second = self.expression_as(otherwise, Some(kind));
        if let Some(result) = result {
            self.assign_register(result, second);
        }
        self.place(end);
        match (kind, result) {
            (Type::Int(int), Some(result)) => Value::Int(int, Operand::Register(result)),
            (Type::Bool, Some(result)) => Value::Bool(Operand::Register(result)),
            (Type::Vector(element, lanes), Some(result)) => Value::Vector(element, lanes, result),
            (Type::Mistake, _) => Value::Mistake,
            _ => self.error(
                Diagnostic::error(
                    then.span,
                    "this `if` has values without a type",
                    format!("both are {}", self.describe(kind)),
                )
                .help("give one of them a type: `1 as u64`"),
            ),
        }
    }

    /// Both values are computed, a conditional move takes one.
    fn selected(
        &mut self,
        condition: &Expression,
        then: &Expression,
        otherwise: &Expression,
        kind: Type,
    ) -> Value {
        let chosen = self.expression_as(condition, Some(Type::Bool));
        let first = self.expression_as(then, Some(kind));
        let second = self.expression_as(otherwise, Some(kind));
        let (x, y) = match (first, second) {
            (Value::Int(_, x), Value::Int(_, y)) | (Value::Bool(x), Value::Bool(y)) => (x, y),
            _ => return Value::Mistake,
        };
        let operand = match chosen {
            Value::Bool(Operand::Constant(known)) => {
                if known != 0 {
                    x
                } else {
                    y
                }
            }
            Value::Bool(Operand::Register(chosen)) => {
                self.select(chosen, x, y, kind, condition.span)
            }
            _ => return Value::Mistake,
        };
        match kind {
            Type::Int(int) => Value::Int(int, operand),
            _ => Value::Bool(operand),
        }
    }

    fn select(
        &mut self,
        chosen: crate::ir::Reg,
        x: Operand,
        y: Operand,
        kind: Type,
        span: Span,
    ) -> Operand {
        if x == y {
            return x;
        }
        if (x, y) == (Operand::Constant(1), Operand::Constant(0)) {
            return Operand::Register(chosen);
        }
        let range = match kind {
            Type::Int(int) => super::value::range_of(int),
            _ => (0, 1),
        };
        let x = self.register_of(x);
        let result = self.new_variable(Class::Scalar, range, "if", span);
        self.move_into(result, y);
        self.emit(Instruction::MoveIf { d: R, a: R, b: R }, Some(result), Some(chosen), Some(x));
        Operand::Register(result)
    }

    /// The type that two alternatives share, found without emitting anything.
    fn common_type(&mut self, then: &Expression, otherwise: &Expression) -> Type {
        let (first, second) =
            self.dead(|l| (l.expression(then).kind(), l.expression(otherwise).kind()));
        if first == Type::Number { second } else { first }
    }
}

/// Whether computing the expression costs little and changes nothing.
pub(super) fn is_cheap(expression: &Expression) -> bool {
    fn is_simple(expression: &Expression) -> bool {
        match &expression.kind {
            ExpressionKind::Number(_) | ExpressionKind::Bool(_) | ExpressionKind::Name(_) => true,
            ExpressionKind::Unary(_, a) | ExpressionKind::Cast(a, _) => is_simple(a),
            ExpressionKind::Field(a, _) => is_simple(a),
            ExpressionKind::Binary(operator, a, b) => {
                let slow = [BinaryOperator::Divide, BinaryOperator::Remainder];
                let joined = [BinaryOperator::And, BinaryOperator::Or];
                !slow.contains(operator)
                    && !joined.contains(operator)
                    && is_simple(a)
                    && is_simple(b)
            }
            _ => false,
        }
    }
    expression.height <= CHEAP_HEIGHT && is_simple(expression)
}

/// The operator with its sides exchanged.
fn mirrored(operator: BinaryOperator) -> BinaryOperator {
    match operator {
        BinaryOperator::Less => BinaryOperator::Greater,
        BinaryOperator::LessEqual => BinaryOperator::GreaterEqual,
        BinaryOperator::Greater => BinaryOperator::Less,
        BinaryOperator::GreaterEqual => BinaryOperator::LessEqual,
        same => same,
    }
}

fn register_jump(operator: BinaryOperator, signed: bool) -> Instruction {
    macro_rules! jump {
        ($name:ident) => {
            Instruction::$name { a: R, b: R, target: J }
        };
    }
    match (operator, signed) {
        (BinaryOperator::Equal, _) => jump!(JumpEq),
        (BinaryOperator::NotEqual, _) => jump!(JumpNe),
        (BinaryOperator::Less, true) => jump!(JumpLt),
        (BinaryOperator::Less, false) => jump!(JumpLtU),
        (_, true) => jump!(JumpLe),
        (_, false) => jump!(JumpLeU),
    }
}

fn short_jump(operator: BinaryOperator, signed: bool, imm: i32) -> Option<Instruction> {
    macro_rules! jump {
        ($name:ident) => {
            Instruction::$name { a: R, imm, target: J }
        };
    }
    Some(match (operator, signed) {
        (BinaryOperator::Greater, true) => jump!(JumpGtImm),
        (BinaryOperator::Greater, false) => jump!(JumpGtUImm),
        (BinaryOperator::GreaterEqual, true) => jump!(JumpGeImm),
        (BinaryOperator::GreaterEqual, false) => jump!(JumpGeUImm),
        _ => return immediate_form(register_jump(operator, signed), imm),
    })
}
