//! Blocks and statements.

use rmt_isa::Instruction;
use rmt_isa::operand::{IntType, TableId, Verdict};

use super::conditions::is_cheap;
use super::value::{Operand, Type, Value};
use super::{LocalPlace, Loop, Lowerer};
use crate::declare::Global;
use crate::diagnostics::{Diagnostic, closest, plural};
use crate::ir::{Label, R, StepKind};
use crate::source::{Name, Span, Spanned};
use crate::syntax::{
    BinaryOperator, Block, Expression, ExpressionKind, MatchArm, Pattern, Statement, StatementKind,
};

impl Lowerer<'_> {
    pub(super) fn block(&mut self, block: &Block) {
        let locals = self.locals.len();
        for (index, statement) in block.statements.iter().enumerate() {
            self.statement(statement);
            if let (true, Some(next)) = (statement.kind.leaves(), block.statements.get(index + 1)) {
                let word = "leave it out, or put a condition before it";
                self.diagnostics.push(
                    Diagnostic::warning(next.span, "this is never reached", "after the end")
                        .related(statement.span, "nothing goes on behind this")
                        .help(word),
                );
                break;
            }
        }
        self.end_scope(locals);
    }

    pub(super) fn statement(&mut self, statement: &Statement) {
        self.depth += 1;
        if self.tick(statement.span) {
            self.span = statement.span;
            self.statement_inner(statement);
        }
        self.depth -= 1;
    }

    fn statement_inner(&mut self, statement: &Statement) {
        let span = statement.span;
        match &statement.kind {
            StatementKind::Let { mutable, name, kind, value } => {
                self.binding(*mutable, name, kind.as_ref(), value);
            }
            StatementKind::Assign { place, operator, value } => {
                self.assign(place, *operator, value, span)
            }
            StatementKind::If { condition, then, otherwise } => {
                self.conditional(condition, then, otherwise.as_ref(), span);
            }
            StatementKind::For { variable, from, to, inclusive, body } => {
                self.repeat(variable, from, to, *inclusive, body);
            }
            StatementKind::Match { subject, arms } => self.match_statement(subject, arms),
            StatementKind::Block(block) => self.block(block),
            StatementKind::Return(value) => self.return_from(value.as_ref(), span),
            StatementKind::Break | StatementKind::Continue => {
                let leaves = matches!(statement.kind, StatementKind::Break);
                match self.loops.last() {
                    Some(&Loop { next_round, end }) => {
                        self.jump_always(if leaves { end } else { next_round });
                    }
                    None => {
                        let word = if leaves { "break" } else { "continue" };
                        let message = format!("`{word}` outside of a loop");
                        self.error(Diagnostic::error(span, message, "no loop is around this"));
                    }
                }
            }
            StatementKind::Decide => self.exit(Verdict::Decided),
            StatementKind::Abstain => self.exit(Verdict::Abstain),
            StatementKind::Goto { table, values } => self.goto_table(table, values),
            StatementKind::Expression(value) => {
                let is_call = matches!(value.kind, ExpressionKind::Call(..));
                if self.expression(value) != Value::Mistake && !is_call {
                    self.error(Diagnostic::error(
                        span,
                        "this value is not used",
                        "it has no effect",
                    ));
                }
            }
        }
    }

    // Assignment.

    // Flow.

    fn conditional(
        &mut self,
        condition: &Expression,
        then: &Block,
        otherwise: Option<&Block>,
        span: Span,
    ) {
        if otherwise.is_none() && self.conditional_move(condition, then) {
            return;
        }
        let (alternative, end) = (self.code.label(), self.code.label());
        let known = self.branch(condition, false, alternative);
        self.block(then);
        let Some(otherwise) = otherwise else {
            self.place(alternative);
            return;
        };
        self.span = span;
        if known == Some(true) {
            self.dead(|lowerer| lowerer.block(otherwise));
            return;
        }
        self.jump_always(end);
        self.place(alternative);
        self.block(otherwise);
        self.place(end);
    }

    /// `if c { x = y; }` without a jump, when `y` is cheap; false when it is another shape.
    fn conditional_move(&mut self, condition: &Expression, then: &Block) -> bool {
        let [Statement { kind: StatementKind::Assign { place, operator: None, value }, span }] =
            then.statements.as_slice()
        else {
            return false;
        };
        let ExpressionKind::Name(name) = &place.kind else { return false };
        let Some(local) = self.local(name).filter(|local| local.mutable) else { return false };
        let LocalPlace::Value(current) = local.place else { return false };
        let register = match current {
            Value::Int(_, Operand::Register(register))
            | Value::Bool(Operand::Register(register)) => register,
            _ => return false,
        };
        if !is_cheap(condition) || !is_cheap(value) {
            return false;
        }
        let chosen = self.expression_as(condition, Some(Type::Bool));
        self.span = *span;
        let value = self.expression_as(value, Some(current.kind()));
        let (Value::Int(_, new) | Value::Bool(new)) = value else { return true };
        match chosen {
            Value::Bool(Operand::Constant(0)) => {}
            Value::Bool(Operand::Constant(_)) => self.move_into(register, new),
            Value::Bool(Operand::Register(chosen)) => {
                let new = self.register_of(new);
                let template = Instruction::MoveIf { d: R, a: R, b: R };
                self.emit(template, Some(register), Some(chosen), Some(new));
            }
            _ => {}
        }
        true
    }

    fn repeat(
        &mut self,
        variable: &Name,
        from: &Expression,
        to: &Expression,
        inclusive: bool,
        body: &Block,
    ) {
        let first = self.bound(from);
        let last = self.bound(to);
        let (Some((first, first_kind)), Some((last, last_kind))) = (first, last) else {
            // The bounds are reported; the body may have mistakes of its own.
            self.dead(|lowerer| {
                let locals = lowerer.locals.len();
                lowerer.declare(
                    &variable.node,
                    variable.span,
                    LocalPlace::Value(Value::Mistake),
                    false,
                );
                lowerer.loop_body(body, Loop { next_round: Label(u32::MAX), end: Label(u32::MAX) });
                lowerer.end_scope(locals);
            });
            return;
        };
        let end = self.code.label();
        let mut round = first;
        while if inclusive { round <= last } else { round < last } {
            if !self.tick(body.end) {
                return;
            }
            let locals = self.locals.len();
            let value = match first_kind.or(last_kind) {
                Some(kind) => Value::Int(kind, Operand::Constant(round)),
                None => Value::Number(round),
            };
            self.declare(&variable.node, variable.span, LocalPlace::Value(value), false);
            let next_round = self.code.label();
            self.loop_body(body, Loop { next_round, end });
            self.end_scope(locals);
            self.place(next_round);
            round += 1;
        }
        self.place(end);
    }

    fn loop_body(&mut self, body: &Block, labels: Loop) {
        self.loops.push(labels);
        self.block(body);
        self.loops.pop();
    }

    /// A bound of a loop, with its type if it has one.
    fn bound(&mut self, bound: &Expression) -> Option<(i128, Option<IntType>)> {
        match self.expression(bound) {
            Value::Number(number) => Some((number, None)),
            Value::Int(kind, Operand::Constant(number)) => Some((number, Some(kind))),
            Value::Mistake => None,
            found => {
                let reason = match found {
                    Value::Int(..) => "known only at run time".to_owned(),
                    other => format!("this is {}", self.describe(other.kind())),
                };
                self.error(
                    Diagnostic::error(bound.span, "the bounds of a loop must be constants", reason)
                    .help("take the largest bound and leave early: `for i in 0..8 { if i >= n { break; } ... }`"),
                );
                None
            }
        }
    }

    fn match_statement(&mut self, subject: &Expression, arms: &[MatchArm]) {
        let value = self.expression(subject);
        let kind = match value {
            Value::Int(kind, operand) => Some((kind, operand)),
            Value::Number(number) => Some((IntType::I64, Operand::Constant(number))),
            Value::Mistake => None,
            other => {
                let found = format!("this is {}", self.describe(other.kind()));
                self.error(Diagnostic::error(subject.span, "`match` takes an integer", found));
                None
            }
        };
        let end = self.code.label();
        for arm in arms {
            let (body, next) = (self.code.label(), self.code.label());
            if let Some((kind, operand)) = kind {
                for (index, pattern) in arm.patterns.iter().enumerate() {
                    self.span = pattern.span;
                    let is_last = index + 1 == arm.patterns.len();
                    self.test_pattern(kind, operand, pattern, (!is_last).then_some(body), next);
                }
            } else {
                self.reachable = false;
            }
            self.place(body);
            self.block(&arm.body);
            self.jump_always(end);
            self.place(next);
        }
        self.place(end);
    }

    /// Tests one pattern: on success jumps to `body` or, without one, falls through; on
    /// failure falls through or, without `body`, jumps to `next`.
    fn test_pattern(
        &mut self,
        kind: IntType,
        subject: Operand,
        pattern: &Spanned<Pattern>,
        body: Option<Label>,
        next: Label,
    ) {
        use BinaryOperator as Op;
        match &pattern.node {
            Pattern::Any => {
                if let Some(body) = body {
                    self.jump_always(body);
                }
            }
            Pattern::Value(value) => {
                let Some(value) = self.pattern_constant(value, kind) else { return };
                match body {
                    Some(body) => self.jump_if(Op::Equal, kind, subject, value, true, body),
                    None => self.jump_if(Op::Equal, kind, subject, value, false, next),
                };
            }
            Pattern::Range(low, high) => {
                let low = self.pattern_constant(low, kind);
                let high = self.pattern_constant(high, kind);
                let (Some(low), Some(high)) = (low, high) else { return };
                if let (Operand::Constant(from), Operand::Constant(to)) = (low, high)
                    && from > to
                {
                    let message = "this range is empty";
                    self.error(Diagnostic::error(
                        pattern.span,
                        message,
                        "it ends before it begins",
                    ));
                }
                let skip = self.code.label();
                let failed = if body.is_some() { skip } else { next };
                self.jump_if(Op::GreaterEqual, kind, subject, low, false, failed);
                match body {
                    Some(body) => self.jump_if(Op::LessEqual, kind, subject, high, true, body),
                    None => self.jump_if(Op::LessEqual, kind, subject, high, false, next),
                };
                self.place(skip);
            }
            Pattern::Prefix(..) | Pattern::Mask(..) => {
                self.error(
                    Diagnostic::error(
                        pattern.span,
                        "this pattern is for tables",
                        "not in a `match`",
                    )
                    .help("patterns here are `5`, `1..=4` and `_`"),
                );
            }
        }
    }

    fn pattern_constant(&mut self, value: &Expression, kind: IntType) -> Option<Operand> {
        match self.expression_as(value, Some(Type::Int(kind))) {
            Value::Int(_, operand @ Operand::Constant(_)) => Some(operand),
            Value::Mistake => None,
            _ => {
                let message = "a pattern must be a constant";
                self.error(Diagnostic::error(value.span, message, "known only at run time"));
                None
            }
        }
    }

    fn return_from(&mut self, value: Option<&Expression>, span: Span) {
        let Some(frame) = self.frames.last() else {
            if let Some(value) = value {
                self.expression(value);
                self.error(
                    Diagnostic::error(value.span, "an action returns nothing", "a value")
                        .help("write outputs with `out.name = ...;`"),
                );
            }
            self.exit(Verdict::Decided);
            return;
        };
        let (result, destination, end, name) =
            (frame.result, frame.destination, frame.end, frame.name.clone());
        match (value, result) {
            (Some(value), _) => {
                let value = self.expression_as(value, Some(result));
                if let Some(destination) = destination {
                    self.assign_register(destination, value);
                }
            }
            (None, Type::Nothing | Type::Mistake) => {}
            (None, result) => {
                let what = self.describe(result);
                let message = format!("`{name}` must return {what}");
                self.error(Diagnostic::error(span, message, "no value"));
            }
        }
        self.jump_always(end);
    }

    fn goto_table(&mut self, table: &Name, values: &[Expression]) {
        let Some(Global::Table(index)) = self.global(&table.node) else {
            for value in values {
                self.expression(value);
            }
            let tables = self.symbols.file.tables.iter().map(|table| table.name.node.as_str());
            let message = format!("there is no table `{}`", table.node);
            let mut diagnostic = Diagnostic::error(table.span, message, "not declared");
            diagnostic.help =
                closest(&table.node, tables).map(|close| format!("did you mean `{close}`?"));
            self.error(diagnostic);
            self.reachable = false;
            return;
        };
        let arguments = &self.symbols.file.tables[index].arguments;
        if arguments.len() != values.len() {
            let wanted = plural(arguments.len(), "argument");
            let message = format!("`{}` takes {wanted}, found {}", table.node, values.len());
            let place = self.symbols.file.tables[index].name.span;
            let diagnostic =
                Diagnostic::error(table.span, message, "here").related(place, "declared here");
            self.error(diagnostic);
        }
        let mut operands = Vec::new();
        for (argument, value) in arguments.iter().zip(values) {
            let kind = self.type_of(&argument.kind).unwrap_or(Type::Mistake);
            if let Value::Int(_, operand) = self.expression_as(value, Some(kind)) {
                operands.push(operand);
            }
        }
        let Some(id) = TableId::new(index as u16) else { return };
        let values = operands.into_iter().map(|operand| self.register_of(operand)).collect();
        self.push(StepKind::TailCall { template: Instruction::TailCall { table: id }, values });
        self.reachable = false;
    }
}
