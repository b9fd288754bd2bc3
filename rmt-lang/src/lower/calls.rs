//! Calls: functions of the program, functions of the language, helpers of the machine, and
//! methods of contexts, records, rings and maps.

use rmt_isa::Helper;

use super::builtins::BUILTINS;
use super::value::{Operand, RecordHandle, Type, Value, range_of};
use super::{Frame, LocalPlace, Lowerer};
use crate::declare::Global;
use crate::diagnostics::{Diagnostic, closest, plural};
use crate::ir::Class;
use crate::source::Span;
use crate::syntax::{Block, Expression, ExpressionKind, Function, Statement, StatementKind};

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

    pub(super) fn count(
        &mut self,
        arguments: &[Expression],
        wanted: usize,
        what: &str,
        span: Span,
    ) -> bool {
        if arguments.len() == wanted {
            return true;
        }
        for argument in arguments {
            self.expression(argument);
        }
        let found = arguments.len();
        let message = format!("{what} takes {}, found {found}", plural(wanted, "argument"));
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
        self.end_scope(first_local);
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

    pub(super) fn unknown_function(
        &mut self,
        name: &str,
        span: Span,
        arguments: &[Expression],
    ) -> Value {
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

    // Methods.
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
