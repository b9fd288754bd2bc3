//! Calls: functions of the program, functions of the language, helpers of the machine, and
//! methods of contexts, records, rings and maps.

use rmt_isa::operand::{ContextId, IntType};
use rmt_isa::program::MapKind;
use rmt_isa::{Helper, Instruction};

use super::places::Entity;
use super::value::{Operand, RecordHandle, Type, Value, range_of};
use super::{Frame, LocalPlace, Lowerer};
use crate::declare::Global;
use crate::diagnostics::{Diagnostic, closest, suggest};
use crate::ir::{Class, R, V};
use crate::source::{Name, Span};
use crate::syntax::{Block, Expression, ExpressionKind, Function, Statement, StatementKind};

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
    pub(super) fn call(
        &mut self,
        callee: &Expression,
        arguments: &[Expression],
        span: Span,
        expected: Option<Type>,
    ) -> Value {
        match &callee.kind {
            ExpressionKind::Name(name) => {
                if let Some(Global::Function(index)) = self.global(name) {
                    let function = &self.symbols.file.functions[index];
                    return self.inline(function, arguments, span);
                }
                if let Some(helper) = Helper::ALL.iter().find(|helper| helper.text() == name) {
                    return self.helper(*helper, arguments, span);
                }
                self.builtin(name, callee.span, arguments, span, expected)
            }
            ExpressionKind::Field(base, method) => {
                let receiver = self.entity(base);
                self.method(receiver, method, arguments, span)
            }
            _ => self.error(Diagnostic::error(
                callee.span,
                "this cannot be called",
                "not a function",
            )),
        }
    }

    fn count(&mut self, arguments: &[Expression], wanted: usize, what: &str, span: Span) -> bool {
        if arguments.len() == wanted {
            return true;
        }
        for argument in arguments {
            self.expression(argument);
        }
        let found = arguments.len();
        let s = if wanted == 1 { "" } else { "s" };
        let message = format!("{what} takes {wanted} argument{s}, found {found}");
        self.error(Diagnostic::error(span, message, "here"));
        false
    }

    // Functions of the program.

    fn inline(&mut self, function: &Function, arguments: &[Expression], call: Span) -> Value {
        let name = &function.name.node;
        if let Some(outer) = self.frames.iter().position(|frame| frame.name == *name) {
            let chain: Vec<_> = self.frames[outer..].iter().map(|f| f.name.as_str()).collect();
            let message = format!("`{name}` calls itself: {} -> {name}", chain.join(" -> "));
            return self.error(
                Diagnostic::error(call, message, "functions are inlined, so this has no end")
                    .help("write a loop with a constant number of rounds"),
            );
        }
        let what = format!("`{name}`");
        if !self.count(arguments, function.parameters.len(), &what, call) {
            return Value::Mistake;
        }
        let mut values = Vec::new();
        for (parameter, argument) in function.parameters.iter().zip(arguments) {
            let kind = self.type_of(&parameter.kind).unwrap_or(Type::Mistake);
            values.push(self.expression_as(argument, Some(kind)));
        }
        let result = self.result_type(function);
        let first_local = self.locals.len();
        for (parameter, value) in function.parameters.iter().zip(values) {
            let place = LocalPlace::Value(value);
            self.declare(&parameter.name.node, parameter.name.span, place, false);
        }
        let value = self.inlined_body(function, result, first_local, call);
        self.locals.truncate(first_local);
        value
    }

    fn result_type(&mut self, function: &Function) -> Type {
        match &function.result {
            None => Type::Nothing,
            Some(kind) => self.type_of(kind).unwrap_or(Type::Mistake),
        }
    }

    fn inlined_body(
        &mut self,
        function: &Function,
        result: Type,
        first_local: usize,
        call: Span,
    ) -> Value {
        let end = self.code.label();
        let name = function.name.node.clone();
        self.frames.push(Frame { name, call, result, destination: None, end, first_local });
        let loops = std::mem::take(&mut self.loops);
        let span = self.span;
        let value = match simple_result(&function.body) {
            // A single `return` at the end: its value needs no register of its own.
            Some((before, value)) => {
                for statement in before {
                    self.statement(statement);
                }
                let from = self.span;
                self.span = value.span;
                let value = self.expression_as(value, Some(result));
                self.span = from;
                value
            }
            None => self.body_with_returns(function, result, end),
        };
        self.span = span;
        self.loops = loops;
        self.frames.pop();
        value
    }

    fn body_with_returns(
        &mut self,
        function: &Function,
        result: Type,
        end: crate::ir::Label,
    ) -> Value {
        let (destination, value) = match result {
            Type::Int(kind) => {
                let register =
                    self.new_variable(Class::Scalar, range_of(kind), "result", self.span);
                (Some(register), Value::Int(kind, Operand::Register(register)))
            }
            Type::Bool => {
                let register = self.new_variable(Class::Scalar, (0, 1), "result", self.span);
                (Some(register), Value::Bool(Operand::Register(register)))
            }
            Type::Vector(element, lanes) => {
                let register = self.new_variable(Class::Vector, (0, 0), "result", self.span);
                (Some(register), Value::Vector(element, lanes, register))
            }
            _ => (None, Value::Nothing),
        };
        if let Some(frame) = self.frames.last_mut() {
            frame.destination = destination;
        }
        self.block(&function.body);
        if !matches!(result, Type::Nothing | Type::Mistake) && self.reachable {
            let name = &function.name.node;
            let diagnostic = Diagnostic::error(
                function.body.end,
                format!("`{name}` can end without a result"),
                "nothing was returned by the time this is reached",
            )
            .help("end every path with `return`");
            self.error(diagnostic);
        }
        self.place(end);
        if result == Type::Mistake { Value::Mistake } else { value }
    }

    /// Walks a function's body for mistakes, with values of the declared types.
    pub(super) fn check_function_body(&mut self, function: &Function) {
        for parameter in &function.parameters {
            let kind = self.type_of(&parameter.kind).unwrap_or(Type::Mistake);
            let span = parameter.name.span;
            let value = match kind {
                Type::Int(int) => {
                    let register = self.new_register(Class::Scalar, range_of(int), span);
                    Value::Int(int, Operand::Register(register))
                }
                Type::Bool => {
                    let register = self.new_register(Class::Scalar, (0, 1), span);
                    Value::Bool(Operand::Register(register))
                }
                Type::Vector(element, lanes) => {
                    Value::Vector(element, lanes, self.new_register(Class::Vector, (0, 0), span))
                }
                Type::Record(context) => {
                    let found = self.new_register(Class::Scalar, (0, 1), span);
                    Value::Record(RecordHandle { context, generation: 0, found, span })
                }
                _ => Value::Mistake,
            };
            self.declare(&parameter.name.node, span, LocalPlace::Value(value), false);
        }
        let result = self.result_type(function);
        if let Type::Record(_) = result {
            let span = function.result.as_ref().map_or(function.name.span, |kind| kind.span);
            self.error(
                Diagnostic::error(span, "a function cannot return a record", "a record")
                    .help("open the record in the caller and hand it over"),
            );
        }
        self.inlined_body(function, result, 0, function.name.span);
    }

    // Functions of the language.

    fn helper(&mut self, helper: Helper, arguments: &[Expression], span: Span) -> Value {
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

    fn builtin(
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

    fn unknown_function(&mut self, name: &str, span: Span, arguments: &[Expression]) -> Value {
        for argument in arguments {
            self.expression(argument);
        }
        let mut diagnostic =
            Diagnostic::error(span, format!("there is no function `{name}`"), "not declared");
        let functions = self.symbols.file.functions.iter().map(|f| f.name.node.as_str());
        let builtins = BUILTINS.iter().map(|row| row.0);
        let helpers = Helper::ALL.iter().map(|helper| helper.text());
        diagnostic.help = match self.global(name) {
            Some(Global::Table(_)) => Some(format!("tables are reached by `goto {name}(...)`")),
            Some(Global::Action(_)) => {
                Some("actions are run by tables; share code in an `fn`".to_owned())
            }
            _ => closest(name, functions.chain(builtins).chain(helpers))
                .map(|close| format!("did you mean `{close}`?")),
        };
        self.error(diagnostic)
    }

    fn min_max(
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

    fn integer_argument(
        &mut self,
        argument: &Expression,
        signed: bool,
        name: &str,
    ) -> Option<(IntType, Operand)> {
        match self.expression(argument) {
            Value::Int(kind, operand) if kind.signed() == signed => Some((kind, operand)),
            Value::Mistake => None,
            other => {
                let sign = if signed { "signed" } else { "unsigned" };
                let found = format!("this is {}", self.describe(other.kind()));
                let message = format!("`{name}` takes a {sign} integer");
                self.error(Diagnostic::error(argument.span, message, found));
                None
            }
        }
    }

    fn absolute(&mut self, argument: &Expression) -> Value {
        let Some((kind, operand)) = self.integer_argument(argument, true, "abs") else {
            return Value::Mistake;
        };
        let (low, high) = self.range(operand, kind);
        let range = (0, high.max(-low));
        match operand {
            Operand::Constant(value) => {
                Value::Int(kind, Operand::Constant(super::value::wrap(value.abs(), kind)))
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
    fn count_bits(&mut self, name: &str, argument: &Expression) -> Value {
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

    fn relu(&mut self, argument: &Expression, expected: Option<Type>) -> Option<Value> {
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

    // Methods.

    fn method(
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

    fn no_method(&mut self, method: &Name, what: &str, methods: &[&str]) -> Value {
        let message = format!("{what} has no method `{}`", method.node);
        let mut diagnostic = Diagnostic::error(method.span, message, "not a method");
        diagnostic.help = suggest(&method.node, methods.iter().copied());
        self.error(diagnostic)
    }

    /// `context.match(key)` and `context.find(key)`.
    fn open_record(
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

    fn ring_method(
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

    fn map_method(
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

/// The statements before, and the value of, a `return` that stands at the end of a body and
/// nowhere else.
fn simple_result(body: &Block) -> Option<(&[Statement], &Expression)> {
    let (last, before) = body.statements.split_last()?;
    match &last.kind {
        StatementKind::Return(Some(value)) if !before.iter().any(returns) => Some((before, value)),
        _ => None,
    }
}

fn returns(statement: &Statement) -> bool {
    let in_block = |block: &Block| block.statements.iter().any(returns);
    match &statement.kind {
        StatementKind::Return(_) => true,
        StatementKind::If { then, otherwise, .. } => {
            in_block(then) || otherwise.as_ref().is_some_and(in_block)
        }
        StatementKind::For { body, .. } | StatementKind::Block(body) => in_block(body),
        StatementKind::Match { arms, .. } => arms.iter().any(|arm| in_block(&arm.body)),
        _ => false,
    }
}
