//! Vectors: lanes, literals, lane-wise operators, and the operations of models on them.

use rmt_isa::Instruction;
use rmt_isa::limits::VECTOR_LANES;
use rmt_isa::operand::{
    Bias, Element, ForestId, IntType, Lane, Lanes, ScaleId, TensorId, WindowId,
};
use rmt_isa::program::Window;

use super::Lowerer;
use super::places::Entity;
use super::value::{Operand, Type, Value, range_of};
use crate::declare::ModelItem;
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

    fn vector_result(
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

    fn model_argument(&mut self, argument: &Expression, wanted: &str) -> Option<ModelItem> {
        let entity = self.entity(argument);
        let found = match entity {
            Entity::Value(Value::Mistake) => return None,
            Entity::Item(item) if item.text() == wanted => return Some(item),
            Entity::Item(item) => format!("this is a {}", item.text()),
            _ => "this is no object of a model".to_owned(),
        };
        self.error(
            Diagnostic::error(argument.span, format!("expected a {wanted} of a model"), found)
                .help("objects of a model are written `model.name`"),
        );
        None
    }

    fn tensor_argument(&mut self, argument: &Expression) -> Option<(usize, TensorId)> {
        match self.model_argument(argument, "tensor")? {
            ModelItem::Tensor(index) => Some((index, TensorId::new(index as u16)?)),
            _ => None,
        }
    }

    fn window_argument(&mut self, argument: &Expression) -> Option<(Window, WindowId)> {
        match self.model_argument(argument, "window")? {
            ModelItem::Window(index) => {
                Some((self.symbols.program.windows[index].clone(), WindowId::new(index as u16)?))
            }
            _ => None,
        }
    }

    fn bias_argument(&mut self, argument: Option<&Expression>, outputs: u32) -> Option<Bias> {
        let Some(argument) = argument else { return Some(Bias(None)) };
        let (index, id) = self.tensor_argument(argument)?;
        let tensor = &self.symbols.program.tensors[index];
        if tensor.element != Element::I32 || tensor.shape != [outputs] {
            let found = format!("this is {}{:?}", tensor.element, tensor.shape);
            let message = format!("the bias must be i32[{outputs}], one for each output");
            self.error(Diagnostic::error(argument.span, message, found));
            return None;
        }
        Some(Bias(Some(id)))
    }

    fn check_weights(
        &mut self,
        argument: &Expression,
        tensor: usize,
        shape: &[u32],
        what: &str,
    ) -> bool {
        let tensor = &self.symbols.program.tensors[tensor];
        let fits = tensor.shape.len() == shape.len() + 1 && tensor.shape[1..] == *shape;
        if fits && tensor.element == Element::I8 && tensor.shape[0] as usize <= VECTOR_LANES {
            return true;
        }
        let found = format!("this is {}{:?}", tensor.element, tensor.shape);
        let wanted: Vec<_> = shape.iter().map(u32::to_string).collect();
        let message = format!("{what} needs weights i8[outputs, {}]", wanted.join(", "));
        self.error(Diagnostic::error(argument.span, message, found));
        false
    }

    fn check_activations(&mut self, argument: &Expression, element: Element) -> bool {
        if element == Element::I32 {
            self.error(
                Diagnostic::error(argument.span, "activations are `i8` or `i16`", "this is `i32`")
                    .help("scale it first: `requant(x, scale) as i16`"),
            );
        }
        element != Element::I32
    }

    /// `matmul(weights, x, bias)`.
    pub(super) fn matmul(&mut self, arguments: &[Expression]) -> Option<Value> {
        let (tensor, weights) = self.tensor_argument(&arguments[0])?;
        let (element, lanes, a) = self.vector_argument(&arguments[1])?;
        if !self.check_activations(&arguments[1], element)
            || !self.check_weights(&arguments[0], tensor, &[lanes as u32], "this product")
        {
            return None;
        }
        let outputs = self.symbols.program.tensors[tensor].shape[0];
        let bias = self.bias_argument(arguments.get(2), outputs)?;
        let template = Instruction::MatMul { d: V, a: V, weights, bias };
        Some(self.vector_result(template, a, None, Element::I32, outputs as usize))
    }

    /// `conv2d(weights, x, window, bias)`.
    pub(super) fn conv2d(&mut self, arguments: &[Expression]) -> Option<Value> {
        let (tensor, weights) = self.tensor_argument(&arguments[0])?;
        let (element, lanes, a) = self.vector_argument(&arguments[1])?;
        let (geometry, window) = self.window_argument(&arguments[2])?;
        let shape = [geometry.height, geometry.width, geometry.channels].map(u32::from);
        if !self.check_activations(&arguments[1], element)
            || !self.check_weights(&arguments[0], tensor, &shape, "this convolution")
        {
            return None;
        }
        let outputs = self.symbols.program.tensors[tensor].shape[0];
        let bias = self.bias_argument(arguments.get(3), outputs)?;
        let count = self.window_lanes(&arguments[1], &geometry, lanes, outputs as usize)?;
        let template = Instruction::Conv2d { d: V, a: V, window, weights, bias };
        Some(self.vector_result(template, a, None, Element::I32, count))
    }

    /// `pool_max(x, window)`, `pool_sum(x, window)`.
    pub(super) fn pool(&mut self, arguments: &[Expression], sums: bool) -> Option<Value> {
        let (element, lanes, a) = self.vector_argument(&arguments[0])?;
        let (geometry, window) = self.window_argument(&arguments[1])?;
        let channels = usize::from(geometry.channels);
        let count = self.window_lanes(&arguments[0], &geometry, lanes, channels)?;
        Some(if sums {
            let template = Instruction::PoolSum { d: V, a: V, window };
            self.vector_result(template, a, None, Element::I32, count)
        } else {
            let template = Instruction::PoolMax { d: V, a: V, window };
            self.vector_result(template, a, None, element, count)
        })
    }

    /// Lanes of the result, when those of the input agree with the window.
    fn window_lanes(
        &mut self,
        input: &Expression,
        window: &Window,
        lanes: usize,
        channels: usize,
    ) -> Option<usize> {
        let size = |height: u16, width: u16, channels: usize| {
            usize::from(height) * usize::from(width) * channels
        };
        let wanted = size(window.in_height, window.in_width, window.channels.into());
        if wanted != lanes {
            let message = format!(
                "the window reads {} rows of {} columns of {} channels: {wanted} lanes",
                window.in_height, window.in_width, window.channels
            );
            let found = format!("this has {lanes} lanes");
            self.error(Diagnostic::error(input.span, message, found));
            return None;
        }
        let count = size(window.out_height, window.out_width, channels);
        if count > VECTOR_LANES {
            let message = format!("the result has {count} lanes, more than {VECTOR_LANES}");
            self.error(Diagnostic::error(input.span, message, "the window's output is too large"));
            return None;
        }
        Some(count)
    }

    /// `requant(accumulators, scale)`; the type of the lanes comes from the place.
    pub(super) fn requant(
        &mut self,
        arguments: &[Expression],
        expected: Option<Type>,
        span: Span,
    ) -> Option<Value> {
        let (from, lanes, a) = self.vector_argument(&arguments[0])?;
        let ModelItem::Scale(index) = self.model_argument(&arguments[1], "scale")? else {
            return None;
        };
        let channels = self.symbols.program.scales[index].channels.len();
        if from != Element::I32 {
            self.error(
                Diagnostic::error(
                    arguments[0].span,
                    "`requant` takes lanes of `i32`",
                    format!("these are `{from}`"),
                )
                .help("widen them: `requant(x as i32, scale)`"),
            );
            return None;
        }
        if lanes % channels != 0 {
            let message = format!("{lanes} lanes do not divide into {channels} channels");
            self.error(Diagnostic::error(arguments[1].span, message, "one scale for each channel"));
            return None;
        }
        let element = match expected {
            Some(Type::Vector(element, _)) => Some(element),
            Some(Type::Int(kind)) => element_of(kind),
            _ => None,
        };
        let Some(element) = element else {
            self.error(
                Diagnostic::error(
                    span,
                    "the type of the result is not known",
                    "requantised to what?",
                )
                .help("write `requant(...) as i16`, or give the variable a type"),
            );
            return None;
        };
        let scale = ScaleId::new(index as u16)?;
        let template = Instruction::Requantise { d: V, a: V, element, scale };
        Some(self.vector_result(template, a, None, element, lanes))
    }

    /// `tree(forest, features)`.
    pub(super) fn tree(&mut self, arguments: &[Expression]) -> Option<Value> {
        let ModelItem::Forest(index) = self.model_argument(&arguments[0], "forest")? else {
            return None;
        };
        let (_, lanes, a) = self.vector_argument(&arguments[1])?;
        let wanted = usize::from(self.symbols.program.forests[index].features);
        if wanted != lanes {
            let message = format!("this forest has {wanted} features");
            let found = format!("this has {lanes} lanes");
            self.error(Diagnostic::error(arguments[1].span, message, found));
            return None;
        }
        let forest = ForestId::new(index as u16)?;
        let d = self.new_register(Class::Scalar, range_of(IntType::I64), self.span);
        self.emit(Instruction::ForestEval { d: R, a: V, forest }, Some(d), Some(a), None);
        Some(Value::Int(IntType::I64, Operand::Register(d)))
    }
}
