//! Bodies to intermediate code: names and types are checked and code is emitted in one walk.
//!
//! - [`value`]: what an expression gives: a constant, a register, an opened record.
//! - [`statements`], [`assignment`], [`expressions`], [`conditions`]: the walk itself.
//! - [`types`], [`places`], [`arithmetic`], [`vectors`], [`models`]: what the parts mean.
//! - [`calls`], [`builtins`], [`methods`]: functions of the program, of the language, and of
//!   contexts and maps.
//! - [`fold`]: arithmetic on constants, exactly as the machine does it.
//!
//! Functions are inlined and loops unrolled by walking their bodies again. Code that cannot be
//! reached is walked for its mistakes, but emits nothing.

mod arithmetic;
mod assignment;
mod builtins;
mod calls;
mod conditions;
mod expressions;
pub(crate) mod fold;
mod methods;
mod models;
mod places;
mod statements;
mod types;
pub(crate) mod value;
mod vectors;

use std::collections::HashMap;

use rmt_isa::Instruction;
use rmt_isa::limits::MAX_ACTION_INSTRUCTIONS;
use rmt_isa::operand::{IntType, ParameterIndex, Verdict};

use crate::declare::{Global, Symbols};
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::ir::{Class, Code, J, Label, Operation, R, Reg, RegInfo, Step, StepKind};
use crate::source::Span;
use crate::syntax::{Action, Expression, Function};
use value::{Operand, Type, Value, range_of};

/// Statements and expressions that one action may unroll to.
const MAX_WORK: u32 = 200_000;
/// Steps before anything is optimised; the ISA allows 4096 instructions after it.
const MAX_STEPS: usize = 4 * MAX_ACTION_INSTRUCTIONS;
/// Deepest recursion of the walk, inlined functions included.
const MAX_DEPTH: u32 = 192;

/// A name in a body.
#[derive(Clone, Debug)]
struct Local {
    name: String,
    place: LocalPlace,
    mutable: bool,
    span: Span,
    /// Its value was asked for, or it need not be.
    used: bool,
}

#[derive(Clone, Copy, Debug)]
enum LocalPlace {
    Value(Value),
    /// Action data of the matched entry: loaded where it is used.
    Parameter(ParameterIndex, IntType),
}

/// A function that is being inlined.
#[derive(Debug)]
struct Frame {
    name: String,
    /// Where the call stands.
    call: Span,
    result: Type,
    /// The register that `return` writes, the label that it jumps to.
    destination: Option<Reg>,
    end: Label,
    /// Names from here on are the function's own.
    first_local: usize,
}

/// A loop that is being unrolled.
#[derive(Clone, Copy, Debug)]
struct Loop {
    next_round: Label,
    end: Label,
}

/// What is known of a label before it is placed.
#[derive(Clone, Debug)]
struct Arrival {
    /// Openings of the context stores, where all jumps agree.
    open: Vec<Option<u32>>,
    /// Reusable values that were there at the first jump.
    reusable: usize,
}

type ReuseKey = (u64, Option<Reg>, Option<Reg>);

/// Lowers one body.
pub(crate) struct Lowerer<'a> {
    symbols: &'a Symbols<'a>,
    diagnostics: &'a mut Diagnostics,
    code: Code,
    locals: Vec<Local>,
    frames: Vec<Frame>,
    loops: Vec<Loop>,
    arrivals: HashMap<Label, Arrival>,
    /// For each context store, which opening is the current one.
    open: Vec<Option<u32>>,
    openings: u32,
    reachable: bool,
    /// The body may end the event: it is an action's, not a constant's.
    in_action: bool,
    work: u32,
    depth: u32,
    exhausted: bool,
    /// Values that were computed before and may serve again, in order of computation.
    reuse: Option<HashMap<ReuseKey, Reg>>,
    reuse_order: Vec<ReuseKey>,
    span: Span,
}

/// Lowers an action. `reuse`: keep values for later use, which needs more registers.
pub(crate) fn lower_action(
    symbols: &Symbols<'_>,
    diagnostics: &mut Diagnostics,
    action: &Action,
    reuse: bool,
) -> Code {
    let mut lowerer = Lowerer::new(symbols, diagnostics);
    lowerer.in_action = true;
    lowerer.reuse = reuse.then(HashMap::new);
    lowerer.action(action);
    lowerer.code
}

/// Looks for mistakes in a function, called or not.
pub(crate) fn check_function(
    symbols: &Symbols<'_>,
    diagnostics: &mut Diagnostics,
    function: &Function,
) {
    let mut lowerer = Lowerer::new(symbols, diagnostics);
    lowerer.in_action = true;
    lowerer.reachable = false;
    lowerer.check_function_body(function);
}

/// The value of an expression that must be known now, and its type.
pub(crate) fn constant(
    symbols: &Symbols<'_>,
    diagnostics: &mut Diagnostics,
    expression: &Expression,
    expected: Option<Type>,
) -> Option<Value> {
    let mut lowerer = Lowerer::new(symbols, diagnostics);
    let value = lowerer.expression_as(expression, expected);
    match (value, value.constant()) {
        (Value::Mistake, _) => None,
        (_, Some(_)) => Some(value),
        _ => {
            lowerer.error(
                Diagnostic::error(
                    expression.span,
                    "this must be a constant",
                    "known only at run time",
                )
                .help("constants are made of numbers, `const` names and operators"),
            );
            None
        }
    }
}

/// The value of an integer constant that must be between `low` and `high`.
pub(crate) fn constant_in(
    symbols: &Symbols<'_>,
    diagnostics: &mut Diagnostics,
    expression: &Expression,
    (low, high): (i128, i128),
    what: &str,
) -> Option<i128> {
    let value = constant(symbols, diagnostics, expression, None)?;
    let number = value.constant()?;
    if matches!(value, Value::Bool(_)) || !(low..=high).contains(&number) {
        let message = format!("{what} must be {low} to {high}");
        let reason = match value {
            Value::Bool(_) => "this is a bool".to_owned(),
            _ => format!("this is {number}"),
        };
        diagnostics.push(Diagnostic::error(expression.span, message, reason));
        return None;
    }
    Some(number)
}

/// Whether `name` is a function of the language or of the machine.
pub(crate) fn calls_builtins(name: &str) -> bool {
    builtins::BUILTINS.iter().any(|row| row.0 == name)
        || rmt_isa::Helper::ALL.iter().any(|helper| helper.text() == name)
}

impl<'a> Lowerer<'a> {
    fn new(symbols: &'a Symbols<'a>, diagnostics: &'a mut Diagnostics) -> Self {
        Self {
            symbols,
            diagnostics,
            code: Code::default(),
            locals: Vec::new(),
            frames: Vec::new(),
            loops: Vec::new(),
            arrivals: HashMap::new(),
            open: vec![None; symbols.program.contexts.len()],
            openings: 0,
            reachable: true,
            in_action: false,
            work: 0,
            depth: 0,
            exhausted: false,
            reuse: None,
            reuse_order: Vec::new(),
            span: Span::default(),
        }
    }

    fn action(&mut self, action: &Action) {
        let mut arguments = Vec::new();
        let mut parameters = 0;
        for parameter in &action.parameters {
            // A type that is no integer has been reported with the action's head.
            let crate::syntax::TypeName::Int(kind) = parameter.kind.node else { continue };
            let name = &parameter.name;
            let place = if parameter.is_argument {
                let register = self.new_register(Class::Scalar, range_of(kind), name.span);
                self.code.registers[register.0 as usize].name = Some(name.node.clone());
                arguments.push(register);
                LocalPlace::Value(Value::Int(kind, Operand::Register(register)))
            } else {
                parameters += 1;
                match ParameterIndex::new(parameters - 1) {
                    Some(index) => LocalPlace::Parameter(index, kind),
                    None => LocalPlace::Value(Value::Mistake),
                }
            };
            self.declare(&name.node, name.span, place, false);
        }
        if !arguments.is_empty() {
            self.push(StepKind::Arguments(arguments));
        }
        self.block(&action.body);
        self.span = action.body.end;
        self.exit(Verdict::Decided);
    }

    // Mistakes.

    fn error(&mut self, diagnostic: Diagnostic) -> Value {
        self.diagnostics.push(diagnostic);
        Value::Mistake
    }

    /// A mistake that depends on values: not one where the code cannot be reached.
    fn value_error(&mut self, mut diagnostic: Diagnostic) -> Value {
        if self.reachable {
            if let Some(frame) = self.frames.last() {
                diagnostic =
                    diagnostic.related(frame.call, format!("`{}` is called here", frame.name));
            }
            self.diagnostics.push(diagnostic);
        }
        Value::Mistake
    }

    /// Counts a piece of work; false once there was too much.
    fn tick(&mut self, span: Span) -> bool {
        self.work += 1;
        let too_much = self.work > MAX_WORK || self.code.steps.len() > MAX_STEPS;
        if !self.exhausted && (too_much || self.depth > MAX_DEPTH) {
            self.exhausted = true;
            let diagnostic = if too_much {
                Diagnostic::error(
                    span,
                    format!("this action unrolls to more than {MAX_ACTION_INSTRUCTIONS} instructions"),
                    "too much by the time that this is reached",
                )
                .help("loops are unrolled and functions inlined: make the loops shorter, or split the action with `goto`")
            } else {
                Diagnostic::error(
                    span,
                    "calls and expressions are nested too deep",
                    "too deep here",
                )
                .help("give parts of the expression names with `let`")
            };
            self.diagnostics.push(diagnostic);
        }
        !self.exhausted
    }

    /// Walks something that is never run, for its types and mistakes.
    fn dead<T>(&mut self, walk: impl FnOnce(&mut Self) -> T) -> T {
        let reachable = std::mem::replace(&mut self.reachable, false);
        let open = self.open.clone();
        let result = walk(self);
        self.reachable = reachable;
        self.open = open;
        result
    }

    // Names.

    fn declare(&mut self, name: &str, span: Span, place: LocalPlace, mutable: bool) {
        self.locals.push(Local { name: name.to_owned(), place, mutable, span, used: true });
    }

    /// Ends the scopes of all names but the first `kept`, and warns of those without use.
    fn end_scope(&mut self, kept: usize) {
        for local in self.locals.drain(kept..) {
            if !local.used && !local.name.starts_with('_') && !self.exhausted {
                let message = format!("`{}` is never read", local.name);
                self.diagnostics.push(
                    Diagnostic::warning(local.span, message, "declared here")
                        .help(format!("leave it out, or call it `_{}`", local.name)),
                );
            }
        }
    }

    /// Names that the current function sees, the innermost last.
    fn visible_locals(&self) -> &[Local] {
        let first = self.frames.last().map_or(0, |frame| frame.first_local);
        &self.locals[first..]
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.visible_locals().iter().rev().find(|local| local.name == name)
    }

    fn global(&self, name: &str) -> Option<Global> {
        self.symbols.used.borrow_mut().insert(name.to_owned());
        self.symbols.names.get(name).map(|(global, _)| *global)
    }

    // Code.

    fn new_register(&mut self, class: Class, range: (i128, i128), span: Span) -> Reg {
        self.code.register(RegInfo { class, range, is_variable: false, name: None, span })
    }

    fn new_variable(&mut self, class: Class, range: (i128, i128), name: &str, span: Span) -> Reg {
        let name = Some(name.to_owned());
        self.code.register(RegInfo { class, range, is_variable: true, name, span })
    }

    fn push(&mut self, kind: StepKind) {
        if self.reachable && !self.exhausted {
            self.code.steps.push(Step { kind, span: self.span });
        }
    }

    fn emit(&mut self, template: Instruction, d: Option<Reg>, a: Option<Reg>, b: Option<Reg>) {
        let is_copy = matches!(template, Instruction::Move { .. });
        let operation = Operation { template, d, a, b, target: None, is_copy };
        self.push(StepKind::Instruction(operation));
    }

    /// Emits a computation without effects, or finds the register that already holds it.
    fn compute(
        &mut self,
        template: Instruction,
        a: Option<Reg>,
        b: Option<Reg>,
        range: (i128, i128),
    ) -> Reg {
        let key = (template.encode(), a, b);
        let fixed = [a, b].into_iter().flatten().all(|r| !self.code.info(r).is_variable);
        if fixed && let Some(&known) = self.reuse.as_ref().and_then(|reuse| reuse.get(&key)) {
            return known;
        }
        let d = self.new_register(Class::Scalar, range, self.span);
        self.emit(template, Some(d), a, b);
        if fixed {
            self.remember(key, d);
        }
        d
    }

    /// Notes that `register` holds the result of an instruction.
    fn remember(&mut self, key: ReuseKey, register: Reg) {
        if self.reachable
            && let Some(reuse) = &mut self.reuse
        {
            reuse.insert(key, register);
            self.reuse_order.push(key);
        }
    }

    /// Forgets results that an effect has made old.
    fn forget(&mut self, is_old: impl Fn(Instruction) -> bool) {
        if self.reachable
            && let Some(reuse) = &mut self.reuse
        {
            reuse.retain(|key, _| !Instruction::decode(key.0).is_ok_and(&is_old));
        }
    }

    /// A register that holds the constant with these 64 bits.
    fn constant_register(&mut self, value: i128) -> Reg {
        let bits = value as u64;
        let range = (value, value);
        if let Ok(imm) = i32::try_from(bits as i64) {
            return self.compute(Instruction::MoveImm { d: R, imm }, None, None, range);
        }
        let imm = bits as u32 as i32;
        let low =
            self.compute(Instruction::MoveImm { d: R, imm }, None, None, (imm.into(), imm.into()));
        let high = (bits >> 32) as u32 as i32;
        self.compute(Instruction::MoveHigh { d: R, a: R, imm: high }, Some(low), None, range)
    }

    fn register_of(&mut self, operand: Operand) -> Reg {
        match operand {
            Operand::Register(register) => register,
            Operand::Constant(value) => self.constant_register(value),
        }
    }

    /// Writes `operand` into `d`.
    fn move_into(&mut self, d: Reg, operand: Operand) {
        match operand {
            Operand::Constant(value) => {
                if let Ok(imm) = i32::try_from(value as u64 as i64) {
                    self.emit(Instruction::MoveImm { d: R, imm }, Some(d), None, None);
                } else {
                    let source = self.constant_register(value);
                    self.emit(Instruction::Move { d: R, a: R }, Some(d), Some(source), None);
                }
            }
            Operand::Register(source) if source == d => {}
            Operand::Register(source) => {
                self.emit(Instruction::Move { d: R, a: R }, Some(d), Some(source), None);
            }
        }
    }

    // Flow.

    fn exit(&mut self, verdict: Verdict) {
        self.emit(Instruction::Exit { verdict }, None, None, None);
        self.reachable = false;
    }

    /// A jump, always (`template` is `Jump`) or on a condition.
    fn jump(&mut self, template: Instruction, a: Option<Reg>, b: Option<Reg>, target: Label) {
        if !self.reachable || self.exhausted {
            return;
        }
        let operation = Operation { template, d: None, a, b, target: Some(target), is_copy: false };
        self.push(StepKind::Instruction(operation));
        let reusable = self.reuse_order.len();
        let open = &self.open;
        let arrival =
            self.arrivals.entry(target).or_insert_with(|| Arrival { open: open.clone(), reusable });
        agree(&mut arrival.open, open);
    }

    fn jump_always(&mut self, target: Label) {
        self.jump(Instruction::Jump { target: J }, None, None, target);
        self.reachable = false;
    }

    /// Places a label; without jumps to it there is nothing to do.
    fn place(&mut self, label: Label) {
        let Some(arrival) = self.arrivals.remove(&label) else { return };
        if self.reachable {
            agree(&mut self.open, &arrival.open);
        } else {
            self.open = arrival.open;
        }
        // What was computed after the first jump is not there for those who jumped.
        let kept = arrival.reusable.min(self.reuse_order.len());
        for key in self.reuse_order.drain(kept..) {
            if let Some(reuse) = &mut self.reuse {
                reuse.remove(&key);
            }
        }
        for other in self.arrivals.values_mut() {
            other.reusable = other.reusable.min(kept);
        }
        self.reachable = true;
        self.push(StepKind::Label(label));
    }
}

/// Keeps what both sides agree on.
fn agree(open: &mut [Option<u32>], other: &[Option<u32>]) {
    for (mine, other) in open.iter_mut().zip(other) {
        if mine != other {
            *mine = None;
        }
    }
}
