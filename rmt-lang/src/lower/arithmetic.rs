//! Integer arithmetic: choice of instruction, constants folded, widths kept.
//!
//! A register always holds the value of its type extended to 64 bits. After an operation that
//! may leave the type's range it is cut again; ranges tell where that is not needed.

use rmt_isa::Instruction;
use rmt_isa::operand::IntType;

use super::Lowerer;
use super::fold;
use super::value::{Operand, Type, Value, range_of};
use crate::diagnostics::Diagnostic;
use crate::ir::{R, Reg, immediate_form};
use crate::source::Span;
use crate::syntax::BinaryOperator;

macro_rules! form {
    ($name:ident) => {
        Instruction::$name { d: R, a: R, b: R }
    };
}

/// The instruction for an operator on registers; comparisons have their own.
fn instruction(operator: BinaryOperator, signed: bool) -> Option<Instruction> {
    Some(match (operator, signed) {
        (BinaryOperator::Add, _) => form!(Add),
        (BinaryOperator::Subtract, _) => form!(Sub),
        (BinaryOperator::Multiply, _) => form!(Mul),
        (BinaryOperator::Divide, true) => form!(Div),
        (BinaryOperator::Divide, false) => form!(DivU),
        (BinaryOperator::Remainder, true) => form!(Rem),
        (BinaryOperator::Remainder, false) => form!(RemU),
        (BinaryOperator::BitAnd, _) => form!(And),
        (BinaryOperator::BitOr, _) => form!(Or),
        (BinaryOperator::BitXor, _) => form!(Xor),
        (BinaryOperator::ShiftLeft, _) => form!(Shl),
        (BinaryOperator::ShiftRight, true) => form!(Shr),
        (BinaryOperator::ShiftRight, false) => form!(ShrU),
        _ => return None,
    })
}

/// Whether the operands may change places.
fn commutes(template: Instruction) -> bool {
    matches!(
        template,
        Instruction::Add { .. }
            | Instruction::Mul { .. }
            | Instruction::And { .. }
            | Instruction::Or { .. }
            | Instruction::Xor { .. }
            | Instruction::Min { .. }
            | Instruction::MinU { .. }
            | Instruction::Max { .. }
            | Instruction::MaxU { .. }
            | Instruction::SetEq { .. }
            | Instruction::SetNe { .. }
    )
}

/// The 32-bit constant that gives `value` once it is extended, if there is one.
pub(super) fn immediate(value: i128) -> Option<i32> {
    i32::try_from(value as u64 as i64).ok()
}

impl Lowerer<'_> {
    /// Smallest and largest value of an operand of type `kind`.
    pub(super) fn range(&self, operand: Operand, kind: IntType) -> (i128, i128) {
        let full = range_of(kind);
        match operand {
            Operand::Constant(value) => (value, value),
            Operand::Register(register) => {
                let (low, high) = self.code.info(register).range;
                // A cast between signs keeps the register but not the meaning of its range.
                if low >= full.0 && high <= full.1 { (low, high) } else { full }
            }
        }
    }

    /// Emits a two-operand instruction in its best form.
    pub(super) fn compute_two(
        &mut self,
        template: Instruction,
        mut a: Operand,
        mut b: Operand,
        range: (i128, i128),
    ) -> Reg {
        if commutes(template) && matches!(a, Operand::Constant(_)) {
            std::mem::swap(&mut a, &mut b);
        }
        let a = self.register_of(a);
        if let Operand::Constant(value) = b
            && let Some(short) = immediate(value).and_then(|imm| immediate_form(template, imm))
        {
            return self.compute(short, Some(a), None, range);
        }
        let b = self.register_of(b);
        self.compute(template, Some(a), Some(b), range)
    }

    /// `register`, whose exact result lies in `range`, as a value of `kind`.
    pub(super) fn cut(&mut self, register: Reg, range: (i128, i128), kind: IntType) -> Operand {
        let full = range_of(kind);
        if kind.bits() == 64 || range.0 >= full.0 && range.1 <= full.1 {
            return Operand::Register(register);
        }
        Operand::Register(self.compute(
            Instruction::Extend { d: R, a: R, kind },
            Some(register),
            None,
            full,
        ))
    }

    /// `a operator b` for two values; mixing types is an error.
    pub(super) fn binary(
        &mut self,
        operator: BinaryOperator,
        (a, a_span): (Value, Span),
        (b, b_span): (Value, Span),
        span: Span,
    ) -> Value {
        if a == Value::Mistake || b == Value::Mistake {
            return Value::Mistake;
        }
        if let (Value::Number(a), Value::Number(b)) = (a, b) {
            return self.untyped(operator, a, b, span);
        }
        if let (Value::Vector(..), _) | (_, Value::Vector(..)) = (a, b) {
            return self.vector_binary(operator, a, b, span);
        }
        if let (Value::Bool(x), Value::Bool(y)) = (a, b) {
            return self.bool_binary(operator, x, y, span);
        }
        let is_shift = matches!(operator, BinaryOperator::ShiftLeft | BinaryOperator::ShiftRight);
        let kind = match (a, b) {
            (Value::Int(kind, _), Value::Int(other, _)) if kind == other || is_shift => kind,
            (Value::Int(kind, _), Value::Number(_)) => kind,
            (Value::Number(_), Value::Int(kind, _)) if !is_shift => kind,
            (Value::Number(_), Value::Int(..)) => {
                return self.error(
                    Diagnostic::error(
                        a_span,
                        "the value that is shifted has no width",
                        "a bare number",
                    )
                    .help("give it one: `1 as u64`"),
                );
            }
            _ => return self.mixed(operator, (a, a_span), (b, b_span)),
        };
        let Value::Int(_, x) = self.coerce(a, Type::Int(kind), a_span) else {
            return Value::Mistake;
        };
        if is_shift {
            let distance = match b {
                Value::Number(value) => Operand::Constant(value),
                Value::Int(_, operand) => operand,
                _ => return Value::Mistake,
            };
            return self.shift(operator, kind, x, distance, b_span);
        }
        let Value::Int(_, y) = self.coerce(b, Type::Int(kind), b_span) else {
            return Value::Mistake;
        };
        if operator.is_comparison() {
            return Value::Bool(self.compare(operator, kind, x, y));
        }
        self.int_binary(operator, kind, x, y, span)
    }

    fn untyped(&mut self, operator: BinaryOperator, a: i128, b: i128, span: Span) -> Value {
        match fold::untyped(operator, a, b) {
            Some(value) if operator.is_comparison() => Value::Bool(Operand::Constant(value)),
            Some(_) if matches!(operator, BinaryOperator::And | BinaryOperator::Or) => {
                self.error(Diagnostic::error(span, "these are numbers, not bools", "no condition"))
            }
            Some(value) => Value::Number(value),
            None => self.value_error(Diagnostic::error(
                span,
                format!("`{a} {} {b}` has no value", operator.text()),
                "not a number of at most 128 bits",
            )),
        }
    }

    fn mixed(
        &mut self,
        operator: BinaryOperator,
        (a, a_span): (Value, Span),
        (b, b_span): (Value, Span),
    ) -> Value {
        let (left, right) = (self.describe(a.kind()), self.describe(b.kind()));
        let message = format!("`{}` cannot join {left} and {right}", operator.text());
        let mut diagnostic = Diagnostic::error(b_span, message, right).related(a_span, left);
        if let (Value::Int(x, _), Value::Int(y, _)) = (a, b) {
            let wider = if x.bits() >= y.bits() { x } else { y };
            diagnostic = diagnostic.help(format!("cast one side, for instance `... as {wider}`"));
        }
        self.error(diagnostic)
    }

    /// Arithmetic on two operands of type `kind`.
    pub(super) fn int_binary(
        &mut self,
        operator: BinaryOperator,
        kind: IntType,
        a: Operand,
        b: Operand,
        span: Span,
    ) -> Value {
        if let (Operand::Constant(a), Operand::Constant(b)) = (a, b) {
            return Value::Int(kind, Operand::Constant(fold::typed(operator, kind, a, b)));
        }
        if let Some(simple) = self.simplify(operator, kind, a, b) {
            return Value::Int(kind, simple);
        }
        if let (BinaryOperator::Divide | BinaryOperator::Remainder, Operand::Constant(0)) =
            (operator, b)
        {
            let message = format!("`{}` by zero", operator.text());
            return self.value_error(Diagnostic::error(
                span,
                message,
                "the right side is always 0",
            ));
        }
        let Some(template) = instruction(operator, kind.signed()) else {
            let message = format!("`{}` needs bools", operator.text());
            return self.error(
                Diagnostic::error(span, message, format!("both sides are {kind}"))
                    .help("compare first: `x != 0`"),
            );
        };
        let range = result_range(operator, self.range(a, kind), self.range(b, kind));
        let stored = range.filter(|r| r.0 >= range_of(kind).0 && r.1 <= range_of(kind).1);
        let full = if kind.bits() == 64 { range_of(kind) } else { (i128::MIN, i128::MAX) };
        let register = self.compute_two(template, a, b, stored.unwrap_or(full));
        Value::Int(kind, self.cut(register, stored.unwrap_or((i128::MIN, i128::MAX)), kind))
    }

    /// What needs no instruction, or a cheaper one.
    fn simplify(
        &mut self,
        operator: BinaryOperator,
        kind: IntType,
        a: Operand,
        b: Operand,
    ) -> Option<Operand> {
        use BinaryOperator as Op;
        let all_ones = if kind.signed() { -1 } else { range_of(kind).1 };
        match (operator, a, b) {
            (Op::Add | Op::BitOr | Op::BitXor, x, Operand::Constant(0))
            | (Op::Add | Op::BitOr | Op::BitXor, Operand::Constant(0), x)
            | (Op::Subtract, x, Operand::Constant(0))
            | (Op::Multiply | Op::Divide, x, Operand::Constant(1))
            | (Op::Multiply, Operand::Constant(1), x) => Some(x),
            (Op::BitAnd, x, Operand::Constant(c)) | (Op::BitAnd, Operand::Constant(c), x)
                if c == all_ones =>
            {
                Some(x)
            }
            (Op::Multiply | Op::BitAnd, _, Operand::Constant(0))
            | (Op::Multiply | Op::BitAnd, Operand::Constant(0), _) => Some(Operand::Constant(0)),
            (Op::Multiply, x, Operand::Constant(c)) | (Op::Multiply, Operand::Constant(c), x)
                if c > 0 && c.count_ones() == 1 =>
            {
                let distance = Operand::Constant(c.trailing_zeros().into());
                self.operand_of(Op::ShiftLeft, kind, x, distance)
            }
            (Op::Divide, x, Operand::Constant(c)) if !kind.signed() && c.count_ones() == 1 => {
                let distance = Operand::Constant(c.trailing_zeros().into());
                self.operand_of(Op::ShiftRight, kind, x, distance)
            }
            (Op::Remainder, x, Operand::Constant(c)) if !kind.signed() && c.count_ones() == 1 => {
                self.operand_of(Op::BitAnd, kind, x, Operand::Constant(c - 1))
            }
            _ => None,
        }
    }

    fn operand_of(
        &mut self,
        operator: BinaryOperator,
        kind: IntType,
        a: Operand,
        b: Operand,
    ) -> Option<Operand> {
        match self.int_binary(operator, kind, a, b, self.span) {
            Value::Int(_, operand) => Some(operand),
            _ => None,
        }
    }

    fn shift(
        &mut self,
        operator: BinaryOperator,
        kind: IntType,
        a: Operand,
        distance: Operand,
        span: Span,
    ) -> Value {
        if let Operand::Constant(count) = distance {
            if !(0..i128::from(kind.bits())).contains(&count) {
                return self.value_error(Diagnostic::error(
                    span,
                    format!("a shift of {kind} by {count}"),
                    format!("the distance must be 0 to {}", kind.bits() - 1),
                ));
            }
            if count == 0 {
                return Value::Int(kind, a);
            }
        }
        self.int_binary(operator, kind, a, distance, span)
    }

    /// `a operator b` as a bool, for a comparison.
    pub(super) fn compare(
        &mut self,
        operator: BinaryOperator,
        kind: IntType,
        a: Operand,
        b: Operand,
    ) -> Operand {
        use BinaryOperator as Op;
        if let (Operand::Constant(a), Operand::Constant(b)) = (a, b) {
            return Operand::Constant(fold::typed(operator, kind, a, b));
        }
        let less = if kind.signed() { form!(SetLt) } else { form!(SetLtU) };
        let less_equal = if kind.signed() { form!(SetLe) } else { form!(SetLeU) };
        let (template, a, b) = match operator {
            Op::Equal => (form!(SetEq), a, b),
            Op::NotEqual => (form!(SetNe), a, b),
            Op::Less => (less, a, b),
            Op::LessEqual => (less_equal, a, b),
            Op::Greater => (less, b, a),
            _ => (less_equal, b, a),
        };
        Operand::Register(self.compute_two(template, a, b, (0, 1)))
    }

    fn bool_binary(
        &mut self,
        operator: BinaryOperator,
        a: Operand,
        b: Operand,
        span: Span,
    ) -> Value {
        use BinaryOperator as Op;
        let template = match operator {
            Op::BitAnd | Op::And => form!(And),
            Op::BitOr | Op::Or => form!(Or),
            Op::BitXor | Op::NotEqual => form!(Xor),
            Op::Equal => form!(SetEq),
            _ => {
                return self.error(Diagnostic::error(
                    span,
                    format!("`{}` has no meaning for bools", operator.text()),
                    "both sides are bool",
                ));
            }
        };
        if let (Operand::Constant(a), Operand::Constant(b)) = (a, b) {
            return Value::Bool(Operand::Constant(fold::typed(operator, IntType::U8, a, b)));
        }
        Value::Bool(Operand::Register(self.compute_two(template, a, b, (0, 1))))
    }

    /// `min` or `max` of two integers.
    pub(super) fn extreme(
        &mut self,
        kind: IntType,
        largest: bool,
        a: Operand,
        b: Operand,
    ) -> Operand {
        if let (Operand::Constant(a), Operand::Constant(b)) = (a, b) {
            return Operand::Constant(if largest { a.max(b) } else { a.min(b) });
        }
        let template = match (largest, kind.signed()) {
            (true, true) => form!(Max),
            (true, false) => form!(MaxU),
            (false, true) => form!(Min),
            (false, false) => form!(MinU),
        };
        let (x, y) = (self.range(a, kind), self.range(b, kind));
        let range =
            if largest { (x.0.max(y.0), x.1.max(y.1)) } else { (x.0.min(y.0), x.1.min(y.1)) };
        Operand::Register(self.compute_two(template, a, b, range))
    }
}

/// Range of the exact result of an operator; `None` when it does not fit 128 bits or nothing
/// useful is known.
fn result_range(
    operator: BinaryOperator,
    (al, ah): (i128, i128),
    (bl, bh): (i128, i128),
) -> Option<(i128, i128)> {
    let magnitude = al.abs().max(ah.abs());
    match operator {
        BinaryOperator::Add => Some((al + bl, ah + bh)),
        BinaryOperator::Subtract => Some((al - bh, ah - bl)),
        BinaryOperator::Multiply => {
            let products =
                [al.checked_mul(bl), al.checked_mul(bh), ah.checked_mul(bl), ah.checked_mul(bh)];
            let [a, b, c, d] = products;
            let (a, b, c, d) = (a?, b?, c?, d?);
            Some((a.min(b).min(c).min(d), a.max(b).max(c).max(d)))
        }
        BinaryOperator::Divide if al >= 0 && bl >= 0 => Some((0, ah)),
        BinaryOperator::Divide => Some((-magnitude, magnitude)),
        BinaryOperator::Remainder if al >= 0 && bl > 0 => Some((0, ah.min(bh - 1))),
        BinaryOperator::Remainder => Some((al.min(0), ah.max(0))),
        BinaryOperator::BitAnd if al >= 0 && bl >= 0 => Some((0, ah.min(bh))),
        BinaryOperator::BitAnd if al >= 0 => Some((0, ah)),
        BinaryOperator::BitAnd if bl >= 0 => Some((0, bh)),
        BinaryOperator::BitOr | BinaryOperator::BitXor if al >= 0 && bl >= 0 => {
            let bits = 128 - ah.max(bh).leading_zeros();
            Some((0, (1_i128 << bits) - 1))
        }
        BinaryOperator::BitAnd | BinaryOperator::BitOr | BinaryOperator::BitXor => {
            // Signed values of n bits give values of n bits.
            let bits = 128 - ah.max(bh).max(!al).max(!bl).leading_zeros();
            Some((-(1_i128 << bits), (1_i128 << bits) - 1))
        }
        BinaryOperator::ShiftLeft if bl == bh && (0..64).contains(&bl) => {
            Some((al.checked_mul(1 << bl)?, ah.checked_mul(1 << bl)?))
        }
        BinaryOperator::ShiftRight if bl == bh && (0..64).contains(&bl) => {
            Some((al >> bl, ah >> bl))
        }
        BinaryOperator::ShiftRight => Some((al.min(0), ah.max(0))),
        _ => None,
    }
}
