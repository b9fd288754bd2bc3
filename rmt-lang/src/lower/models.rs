//! Operations of models: products, convolutions, pooling, requantisation, forests.

use rmt_isa::Instruction;
use rmt_isa::limits::VECTOR_LANES;
use rmt_isa::operand::{Bias, Element, ForestId, IntType, ScaleId, TensorId, WindowId};
use rmt_isa::program::Window;

use super::Lowerer;
use super::places::Entity;
use super::value::{Operand, Type, Value, range_of};
use crate::declare::ModelItem;
use crate::diagnostics::Diagnostic;
use crate::ir::{Class, R, V};
use crate::source::Span;
use crate::syntax::{Expression, element_of};

impl Lowerer<'_> {
    pub(super) fn model_argument(
        &mut self,
        argument: &Expression,
        wanted: &str,
    ) -> Option<ModelItem> {
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

    pub(super) fn tensor_argument(&mut self, argument: &Expression) -> Option<(usize, TensorId)> {
        match self.model_argument(argument, "tensor")? {
            ModelItem::Tensor(index) => Some((index, TensorId::new(index as u16)?)),
            _ => None,
        }
    }

    pub(super) fn window_argument(&mut self, argument: &Expression) -> Option<(Window, WindowId)> {
        match self.model_argument(argument, "window")? {
            ModelItem::Window(index) => {
                Some((self.symbols.program.windows[index].clone(), WindowId::new(index as u16)?))
            }
            _ => None,
        }
    }

    pub(super) fn bias_argument(
        &mut self,
        argument: Option<&Expression>,
        outputs: u32,
    ) -> Option<Bias> {
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

    pub(super) fn check_weights(
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

    pub(super) fn check_activations(&mut self, argument: &Expression, element: Element) -> bool {
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
    pub(super) fn window_lanes(
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
