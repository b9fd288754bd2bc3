//! Vectors: lanes, literals, lane-wise operators, and the operations of models on them.

use rmt_isa::Instruction;
use rmt_isa::limits::VECTOR_LANES;
use rmt_isa::operand::{Element, IntType, Lane, Lanes, TensorId};

use super::Lowerer;
use super::value::{Operand, Type, Value, range_of};
use crate::diagnostics::Diagnostic;
use crate::ir::{Class, Operation, R, Reg, StepKind, V};
use crate::source::Span;
use crate::syntax::{BinaryOperator, Expression, element_of, int_of};

impl Lowerer<'_> {
    /// Number of lanes as written.
    pub(super) fn lane_count(&mut self, count: &Expression) -> Option<usize> {
        let value = self.expression(count);
        match value.constant() {
            Some(lanes) if (1..=VECTOR_LANES as i128).contains(&lanes) => Some(lanes as usize),
            _ if value == Value::Mistake => None,
            found => {
                let reason = match found {
                    Some(number) => format!("this is {number}"),
                    None => "known only at run time".to_owned(),
                };
                let message =
                    format!("the number of lanes must be a constant of 1 to {VECTOR_LANES}");
                self.error(Diagnostic::error(count.span, message, reason));
                None
            }
        }
    }

    /// `[a, b, c]`.
    pub(super) fn vector_list(
        &mut self,
        values: &[Expression],
        expected: Option<Type>,
        span: Span,
    ) -> Value {
        let Some(element) = self.lane_type(expected, span) else {
            return Value::Mistake;
        };
        let lanes = values.len();
        if lanes == 0 || lanes > VECTOR_LANES {
            let message = format!("a vector has 1 to {VECTOR_LANES} lanes, not {lanes}");
            return self.error(Diagnostic::error(span, message, "here"));
        }
        let values: Vec<_> =
            values.iter().map(|value| (self.lane_value(value, element), value.span)).collect();
        // Lanes that equal the fill need no instruction of their own.
        let fill = values.iter().find_map(|(value, _)| value.constant()).unwrap_or(0);
        let vector = self.filled(element, lanes, fill, span);
        let Value::Vector(_, _, register) = vector else { return vector };
        for (lane, (value, span)) in values.into_iter().enumerate() {
            if value.constant() != Some(fill) {
                self.set_lane(register, lane, value, span);
            }
        }
        vector
    }

    /// `[value; count]`.
    pub(super) fn vector_fill(
        &mut self,
        value: &Expression,
        count: &Expression,
        expected: Option<Type>,
        span: Span,
    ) -> Value {
        let lanes = self.lane_count(count);
        let (Some(element), Some(lanes)) = (self.lane_type(expected, span), lanes) else {
            return Value::Mistake;
        };
        let lane = self.lane_value(value, element);
        if lane == Value::Mistake {
            return Value::Mistake;
        }
        let vector = self.filled(element, lanes, lane.constant().unwrap_or(0), span);
        if let (Value::Vector(_, _, register), None) = (vector, lane.constant()) {
            for index in 0..lanes {
                self.set_lane(register, index, lane, value.span);
            }
        }
        vector
    }

    fn lane_type(&mut self, expected: Option<Type>, span: Span) -> Option<Element> {
        let element = match expected {
            Some(Type::Vector(element, _)) => Some(element),
            Some(Type::Int(kind)) => element_of(kind),
            Some(Type::Mistake) => return None,
            _ => None,
        };
        if element.is_none() {
            self.error(
                Diagnostic::error(span, "the type of the lanes is not known", "a vector of what?")
                    .help("write `let v: i16[4] = [...]` or `[...] as i16`"),
            );
        }
        element
    }

    /// A value that shall go into a lane: a number that fits, or any integer, which saturates.
    fn lane_value(&mut self, value: &Expression, element: Element) -> Value {
        match self.expression(value) {
            number @ Value::Number(_) => {
                self.coerce(number, Type::Int(int_of(element)), value.span)
            }
            Value::Int(IntType::U64, Operand::Register(_)) => self.error(
                Diagnostic::error(
                    value.span,
                    "a lane cannot take `u64`",
                    "lanes read it as signed",
                )
                .help("cast it, for instance `min(x, 32767) as i16`"),
            ),
            int @ Value::Int(..) => int,
            Value::Mistake => Value::Mistake,
            other => {
                let what = self.describe(other.kind());
                let message = format!("a lane cannot take {what}");
                self.error(Diagnostic::error(value.span, message, "lanes are integers"))
            }
        }
    }

    fn filled(&mut self, element: Element, lanes: usize, value: i128, span: Span) -> Value {
        let saturated = element.saturate(value.clamp(i64::MIN.into(), i64::MAX.into()) as i64);
        let Some(count) = Lanes::new(lanes as u16) else { return Value::Mistake };
        let register = self.new_variable(Class::Vector, (0, 0), "vector", span);
        let fill = Instruction::VectorFill { d: V, lanes: count, element, imm: saturated };
        self.emit(fill, Some(register), None, None);
        Value::Vector(element, lanes, register)
    }

    fn set_lane(&mut self, register: Reg, lane: usize, value: Value, span: Span) {
        let (Value::Int(_, operand), Some(lane)) = (value, Lane::new(lane as u16)) else { return };
        self.span = self.span.to(span);
        let a = self.register_of(operand);
        self.emit(Instruction::VectorSet { d: V, lane, a: R }, Some(register), Some(a), None);
    }

    /// `v[index] = value` for a variable.
    pub(super) fn assign_lane(
        &mut self,
        (element, lanes, register): (Element, usize, Reg),
        index: &Expression,
        value: &Expression,
    ) {
        let lane = self.expression(index);
        let value_span = value.span;
        let value = self.lane_value(value, element);
        match lane.constant() {
            Some(lane) if (0..lanes as i128).contains(&lane) => {
                self.set_lane(register, lane as usize, value, value_span);
            }
            Some(lane) => {
                self.value_error(Diagnostic::error(
                    index.span,
                    format!("there is no lane {lane}: the vector has {lanes}"),
                    format!("the last one is {}", lanes - 1),
                ));
            }
            None if lane == Value::Mistake => {}
            None => {
                self.error(
                    Diagnostic::error(
                        index.span,
                        "the lane must be a constant",
                        "known only at run time",
                    )
                    .help("loops over constants are unrolled: `for i in 0..8 { v[i] = ...; }`"),
                );
            }
        }
    }

    /// `v[index]`.
    pub(super) fn load_lane(&mut self, vector: Value, index: Value) -> Value {
        let (Value::Vector(element, _, register), Value::Int(_, index)) = (vector, index) else {
            return Value::Mistake;
        };
        let kind = int_of(element);
        let d = match index {
            Operand::Constant(lane) => {
                let Some(lane) = Lane::new(lane as u16) else { return Value::Mistake };
                let read = Instruction::ScalarValue { d: R, a: V, lane };
                self.compute(read, Some(register), None, range_of(kind))
            }
            Operand::Register(index) => {
                let read = Instruction::ScalarValueAt { d: R, a: V, b: R };
                self.compute(read, Some(register), Some(index), range_of(kind))
            }
        };
        Value::Int(kind, Operand::Register(d))
    }

    /// Copies a vector; there is no move, but every type converts to itself.
    pub(super) fn copy_vector(&mut self, d: Reg, source: Reg, element: Element) {
        let template = Instruction::VectorConvert { d: V, a: V, element };
        let (d, a) = (Some(d), Some(source));
        let copy = Operation { template, d, a, b: None, target: None, is_copy: true };
        self.push(StepKind::Instruction(copy));
    }

    pub(super) fn vector_result(
        &mut self,
        template: Instruction,
        a: Reg,
        b: Option<Reg>,
        element: Element,
        lanes: usize,
    ) -> Value {
        let d = self.new_register(Class::Vector, (0, 0), self.span);
        self.emit(template, Some(d), Some(a), b);
        Value::Vector(element, lanes, d)
    }

    /// `a operator b` where one is a vector.
    pub(super) fn vector_binary(
        &mut self,
        operator: BinaryOperator,
        a: Value,
        b: Value,
        span: Span,
    ) -> Value {
        let template = match operator {
            BinaryOperator::Add => Instruction::VectorAdd { d: V, a: V, b: V },
            BinaryOperator::Subtract => Instruction::VectorSub { d: V, a: V, b: V },
            BinaryOperator::Multiply => Instruction::VectorMul { d: V, a: V, b: V },
            _ => {
                let message = format!("`{}` has no meaning for vectors", operator.text());
                return self.error(
                    Diagnostic::error(span, message, "vectors have `+`, `-` and `*`")
                        .help("also `min`, `max`, `relu`, `sum` and `argmax`"),
                );
            }
        };
        self.lane_wise(template, operator.text(), a, b, span)
    }

    /// A lane-wise operation of two vectors.
    pub(super) fn lane_wise(
        &mut self,
        template: Instruction,
        name: &str,
        a: Value,
        b: Value,
        span: Span,
    ) -> Value {
        let widens = matches!(template, Instruction::VectorMul { .. });
        match (a, b) {
            (Value::Mistake, _) | (_, Value::Mistake) => Value::Mistake,
            (Value::Vector(x, n, a), Value::Vector(y, m, b)) if n == m => {
                if widens && x != Element::I32 && y != Element::I32 {
                    self.vector_result(template, a, Some(b), Element::I32, n)
                } else if !widens && x == y {
                    self.vector_result(template, a, Some(b), x, n)
                } else {
                    let help =
                        if widens { "`*` takes `i8` and `i16`" } else { "cast one side with `as`" };
                    let message = format!("`{name}` cannot join lanes of `{x}` and `{y}`");
                    self.error(Diagnostic::error(span, message, "lane types").help(help))
                }
            }
            _ => {
                let (x, y) = (self.describe(a.kind()), self.describe(b.kind()));
                self.error(
                    Diagnostic::error(
                        span,
                        format!("`{name}` cannot join {x} and {y}"),
                        "shapes differ",
                    )
                    .help("both sides are vectors of one length; `[x; 8]` has eight equal lanes"),
                )
            }
        }
    }

    /// A row of a tensor.
    pub(super) fn load_row(&mut self, tensor: usize, row: Value, span: Span) -> Value {
        let shape = &self.symbols.program.tensors[tensor].shape;
        let element = self.symbols.program.tensors[tensor].element;
        let (&[_, lanes], Some(id)) = (shape.as_slice(), TensorId::new(tensor as u16)) else {
            return self.error(
                Diagnostic::error(
                    span,
                    "only tensors of two dimensions have rows",
                    format!("the shape is {shape:?}"),
                )
                .help("write the model file with a shape such as [1, n]"),
            );
        };
        if lanes as usize > VECTOR_LANES {
            let message = format!("a row of {lanes} values does not fit a vector");
            return self.error(Diagnostic::error(span, message, format!("at most {VECTOR_LANES}")));
        }
        let Value::Int(_, row) = row else { return Value::Mistake };
        let row = self.register_of(row);
        let template = Instruction::VectorLoadTensor { d: V, a: R, tensor: id };
        self.vector_result(template, row, None, element, lanes as usize)
    }

    /// A vector argument.
    pub(super) fn vector_argument(
        &mut self,
        argument: &Expression,
    ) -> Option<(Element, usize, Reg)> {
        match self.expression(argument) {
            Value::Vector(element, lanes, register) => Some((element, lanes, register)),
            Value::Mistake => None,
            other => {
                let what = self.describe(other.kind());
                self.error(Diagnostic::error(
                    argument.span,
                    format!("expected a vector, found {what}"),
                    "not a vector",
                ));
                None
            }
        }
    }
}
