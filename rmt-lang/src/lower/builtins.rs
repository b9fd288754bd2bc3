//! Functions of the language and helpers of the machine.

use rmt_isa::operand::IntType;
use rmt_isa::{Helper, Instruction};

use super::Lowerer;
use super::value::{Operand, Type, Value, range_of, wrap};
use crate::diagnostics::Diagnostic;
use crate::ir::{Class, R, V};
use crate::source::Span;
use crate::syntax::Expression;

/// Functions of the language: name, fewest and most arguments, how it is called.
pub(crate) const BUILTINS: &[(&str, usize, usize, &str)] = &[
    ("min", 2, 2, "min(a, b)"),
    ("max", 2, 2, "max(a, b)"),
    ("abs", 1, 1, "abs(x)"),
    ("clz", 1, 1, "clz(x)"),
    ("ctz", 1, 1, "ctz(x)"),
    ("popcount", 1, 1, "popcount(x)"),
    ("sum", 1, 1, "sum(v)"),
    ("argmax", 1, 1, "argmax(v)"),
    ("relu", 1, 1, "relu(v)"),
    ("matmul", 2, 3, "matmul(weights, v, bias)"),
    ("conv2d", 3, 4, "conv2d(weights, v, window, bias)"),
    ("pool_max", 2, 2, "pool_max(v, window)"),
    ("pool_sum", 2, 2, "pool_sum(v, window)"),
    ("requant", 2, 2, "requant(v, scale) as i16"),
    ("tree", 2, 2, "tree(forest, v)"),
];

impl Lowerer<'_> {
    pub(super) fn helper(&mut self, helper: Helper, arguments: &[Expression], span: Span) -> Value {
        let what = format!("`{helper}`");
        if !self.count(arguments, helper.arguments(), &what, span) {
            return Value::Mistake;
        }
        let mut operands = [Operand::Constant(0); 2];
        let mut wrong = false;
        for (operand, argument) in operands.iter_mut().zip(arguments) {
            match self.expression_as(argument, Some(Type::Int(IntType::U64))) {
                Value::Int(_, found) => *operand = found,
                _ => wrong = true,
            }
        }
        if wrong {
            return Value::Mistake;
        }
        if let [Operand::Constant(a), Operand::Constant(b)] = operands {
            let result = helper.evaluate(a as u64, b as u64);
            return Value::Int(IntType::U64, Operand::Constant(result.into()));
        }
        let a = self.register_of(operands[0]);
        let b = if helper.arguments() == 1 { a } else { self.register_of(operands[1]) };
        let call = Instruction::Call { d: R, helper, a: R, b: R };
        let d = self.compute(call, Some(a), Some(b), range_of(IntType::U64));
        Value::Int(IntType::U64, Operand::Register(d))
    }

    pub(super) fn builtin(
        &mut self,
        name: &str,
        name_span: Span,
        arguments: &[Expression],
        span: Span,
        expected: Option<Type>,
    ) -> Value {
        let Some(&(_, fewest, most, usage)) = BUILTINS.iter().find(|row| row.0 == name) else {
            return self.unknown_function(name, name_span, arguments);
        };
        if !(fewest..=most).contains(&arguments.len()) {
            let message = format!("`{name}` takes other arguments");
            let reason = format!("{} given", arguments.len());
            return self
                .error(Diagnostic::error(span, message, reason).help(format!("write `{usage}`")));
        }
        let value = match name {
            "min" | "max" => Some(self.min_max(name, arguments, span, expected)),
            "abs" => Some(self.absolute(&arguments[0])),
            "clz" | "ctz" | "popcount" => Some(self.count_bits(name, &arguments[0])),
            "sum" => self.vector_argument(&arguments[0]).map(|(_, _, a)| {
                let kind = IntType::I64;
                let template = Instruction::VectorSum { d: R, a: V };
                let d = self.compute(template, Some(a), None, range_of(kind));
                Value::Int(kind, Operand::Register(d))
            }),
            "argmax" => self.vector_argument(&arguments[0]).map(|(_, lanes, a)| {
                let template = Instruction::ArgMax { d: R, a: V };
                let d = self.compute(template, Some(a), None, (0, lanes as i128 - 1));
                Value::Int(IntType::U32, Operand::Register(d))
            }),
            "relu" => self.relu(&arguments[0], expected),
            "matmul" => self.matmul(arguments),
            "conv2d" => self.conv2d(arguments),
            "pool_max" => self.pool(arguments, false),
            "pool_sum" => self.pool(arguments, true),
            "requant" => self.requant(arguments, expected, span),
            _ => self.tree(arguments),
        };
        value.unwrap_or(Value::Mistake)
    }

    pub(super) fn min_max(
        &mut self,
        name: &str,
        arguments: &[Expression],
        span: Span,
        expected: Option<Type>,
    ) -> Value {
        let (a, b) = self.sides(&arguments[0], &arguments[1], expected);
        let largest = name == "max";
        let kind = match (a, b) {
            (Value::Mistake, _) | (_, Value::Mistake) => return Value::Mistake,
            (Value::Number(a), Value::Number(b)) => {
                return Value::Number(if largest { a.max(b) } else { a.min(b) });
            }
            (Value::Vector(..), _) | (_, Value::Vector(..)) => {
                let template = if largest {
                    Instruction::VectorMax { d: V, a: V, b: V }
                } else {
                    Instruction::VectorMin { d: V, a: V, b: V }
                };
                return self.lane_wise(template, name, a, b, span);
            }
            (Value::Int(kind, _), _) | (_, Value::Int(kind, _)) => kind,
            _ => {
                let what = self.describe(a.kind());
                let message = format!("`{name}` cannot take {what}");
                return self.error(Diagnostic::error(span, message, "integers or vectors"));
            }
        };
        let a = self.coerce(a, Type::Int(kind), arguments[0].span);
        let b = self.coerce(b, Type::Int(kind), arguments[1].span);
        let (Value::Int(_, a), Value::Int(_, b)) = (a, b) else { return Value::Mistake };
        Value::Int(kind, self.extreme(kind, largest, a, b))
    }

    pub(super) fn integer_argument(
        &mut self,
        argument: &Expression,
        signed: bool,
        name: &str,
    ) -> Option<(IntType, Operand)> {
        match self.expression(argument) {
            Value::Int(kind, operand) if kind.signed() == signed => Some((kind, operand)),
            Value::Mistake => None,
            other => {
                let sign = if signed { "a signed" } else { "an unsigned" };
                let found = format!("this is {}", self.describe(other.kind()));
                let message = format!("`{name}` takes {sign} integer");
                self.error(Diagnostic::error(argument.span, message, found));
                None
            }
        }
    }

    pub(super) fn absolute(&mut self, argument: &Expression) -> Value {
        let Some((kind, operand)) = self.integer_argument(argument, true, "abs") else {
            return Value::Mistake;
        };
        let (low, high) = self.range(operand, kind);
        let range = (0, high.max(-low));
        match operand {
            Operand::Constant(value) => {
                Value::Int(kind, Operand::Constant(wrap(value.abs(), kind)))
            }
            Operand::Register(a) => {
                let fits = range.1 <= range_of(kind).1;
                let stored = if fits { range } else { (i128::MIN, i128::MAX) };
                let template = Instruction::Abs { d: R, a: R };
                let d = self.compute(template, Some(a), None, stored);
                Value::Int(kind, self.cut(d, range, kind))
            }
        }
    }

    /// `clz`, `ctz` and `popcount` of an unsigned integer, counted in its own width.
    pub(super) fn count_bits(&mut self, name: &str, argument: &Expression) -> Value {
        let Some((kind, operand)) = self.integer_argument(argument, false, name) else {
            return Value::Mistake;
        };
        let width = i128::from(kind.bits());
        let result = match operand {
            Operand::Constant(value) => Operand::Constant(match name {
                "clz" => width - i128::from(128 - value.leading_zeros()),
                "ctz" => i128::from(value.trailing_zeros()).min(width),
                _ => value.count_ones().into(),
            }),
            Operand::Register(a) => {
                let template = match name {
                    "clz" => Instruction::LeadingZeros { d: R, a: R },
                    "ctz" => Instruction::TrailingZeros { d: R, a: R },
                    _ => Instruction::CountOnes { d: R, a: R },
                };
                let wide = Operand::Register(self.compute(template, Some(a), None, (0, 64)));
                let narrow = Operand::Constant(64 - width);
                match name {
                    "clz" if width < 64 => {
                        let sub = Instruction::Sub { d: R, a: R, b: R };
                        Operand::Register(self.compute_two(sub, wide, narrow, (0, width)))
                    }
                    "ctz" if width < 64 => {
                        self.extreme(IntType::U32, false, wide, Operand::Constant(width))
                    }
                    _ => wide,
                }
            }
        };
        Value::Int(IntType::U32, result)
    }

    pub(super) fn relu(&mut self, argument: &Expression, expected: Option<Type>) -> Option<Value> {
        // The type that is wanted of the result is also that of the argument.
        let value = match expected {
            Some(Type::Vector(..)) => self.expression_as(argument, expected),
            _ => self.expression(argument),
        };
        let Value::Vector(element, lanes, a) = value else {
            if value != Value::Mistake {
                let what = self.describe(value.kind());
                let message = format!("expected a vector, found {what}");
                self.error(
                    Diagnostic::error(argument.span, message, "not a vector")
                        .help("for an integer write `max(x, 0)`"),
                );
            }
            return None;
        };
        let d = self.new_register(Class::Vector, (0, 0), self.span);
        self.emit(Instruction::VectorRelu { d: V, a: V }, Some(d), Some(a), None);
        Some(Value::Vector(element, lanes, d))
    }
}
