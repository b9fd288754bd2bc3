//! Random typed programs: compiled, verified and run, against a direct evaluation in Rust.
//!
//! The evaluation here knows nothing of registers: a value is an `i128` that is wrapped to its
//! type after every operation.

mod common;

use common::{assembly, event};
use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::operand::IntType;
use rmt_lang::MemoryLoader;
use rmt_vm::Machine;
use rmt_vm::verifier::{Limits, verify};

/// Programs that are tried; the environment variable `RMT_RANDOM_PROGRAMS` asks for more.
const PROGRAMS: u64 = 1500;
/// Events for each program.
const EVENTS: u64 = 3;

/// Event fields, one of each type; their names are those of the types with an `e` before.
const HEAD: &str = "program random;
hook random = 1 { key ku64: u64; eu64: u64; ei64: i64; eu32: u32; ei32: i32; eu16: u16; ei16: i16; eu8: u8; ei8: i8; }
decision { first: u64; second: i64; third: u16; }
table random { actions = { act }; default = act(); }
fn twice(x: u32) -> u32 { return x + x; }
fn pick(c: bool, x: i16, y: i16) -> i16 { if c { return x; } return y - 1; }
action act() {
";

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        split_mix_64(self.0)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn kind(&mut self) -> IntType {
        IntType::ALL[self.below(8)]
    }

    /// A value with many bits, few bits, or at an edge.
    fn value(&mut self, kind: IntType) -> i128 {
        let any = match self.below(4) {
            0 => self.next() >> 59,
            1 => (self.next() >> 60).wrapping_neg(),
            2 => 1 << self.below(64),
            _ => self.next(),
        };
        wrap(any.into(), kind)
    }
}

fn wrap(value: i128, kind: IntType) -> i128 {
    match kind {
        IntType::U8 => (value as u8).into(),
        IntType::U16 => (value as u16).into(),
        IntType::U32 => (value as u32).into(),
        IntType::U64 => (value as u64).into(),
        IntType::I8 => (value as i8).into(),
        IntType::I16 => (value as i16).into(),
        IntType::I32 => (value as i32).into(),
        IntType::I64 => (value as i64).into(),
    }
}

#[derive(Debug)]
enum Expr {
    Constant(i128, IntType),
    Event(IntType),
    Local(usize),
    Binary(&'static str, Box<Expr>, Box<Expr>, IntType),
    Shift(&'static str, Box<Expr>, Box<Expr>, IntType),
    Call(&'static str, Vec<Expr>, IntType),
    Negate(Box<Expr>, IntType),
    Complement(Box<Expr>, IntType),
    Cast(Box<Expr>, IntType),
    If(Box<Cond>, Box<Expr>, Box<Expr>),
}

#[derive(Debug)]
enum Cond {
    Compare(&'static str, Box<Expr>, Box<Expr>),
    And(Box<Cond>, Box<Cond>),
    Or(Box<Cond>, Box<Cond>),
    Not(Box<Cond>),
}

#[derive(Debug)]
enum Statement {
    Let(usize, Expr),
    Assign(usize, Expr),
    Compound(&'static str, usize, Expr),
    If(Cond, Vec<Statement>, Vec<Statement>),
    For(u8, usize, Vec<Statement>),
    Leave(Cond, &'static str),
}

struct Generator {
    random: Random,
    /// Types of the variables made so far; those in scope are the first `visible`.
    locals: Vec<IntType>,
    loops: usize,
}

const OPERATORS: [&str; 8] = ["+", "-", "*", "/", "%", "&", "|", "^"];
const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

impl Generator {
    fn expr(&mut self, kind: IntType, depth: usize, scope: &[usize]) -> Expr {
        let locals: Vec<_> = scope.iter().copied().filter(|&l| self.locals[l] == kind).collect();
        let choice = if depth == 0 { self.random.below(4) } else { self.random.below(14) };
        match choice {
            0 => Expr::Constant(self.random.value(kind), kind),
            1 | 2 if !locals.is_empty() => Expr::Local(locals[self.random.below(locals.len())]),
            1..=3 => Expr::Event(kind),
            4..=7 => {
                let operator = OPERATORS[self.random.below(8)];
                let a = self.expr(kind, depth - 1, scope);
                let mut b = self.expr(kind, depth - 1, scope);
                if matches!((operator, &b), ("/" | "%", Expr::Constant(0, _))) {
                    // Refused when it can be seen.
                    b = Expr::Event(kind);
                }
                Expr::Binary(operator, Box::new(a), Box::new(b), kind)
            }
            8 => {
                let operator = ["<<", ">>"][self.random.below(2)];
                let distance = match self.random.below(2) {
                    0 => {
                        Expr::Constant(self.random.below(kind.bits() as usize) as i128, IntType::U8)
                    }
                    _ => {
                        Expr::Event([IntType::U8, IntType::U64, IntType::I8][self.random.below(3)])
                    }
                };
                let value = self.expr(kind, depth - 1, scope);
                Expr::Shift(operator, Box::new(value), Box::new(distance), kind)
            }
            9 => {
                let name = ["min", "max"][self.random.below(2)];
                let arguments =
                    vec![self.expr(kind, depth - 1, scope), self.expr(kind, depth - 1, scope)];
                Expr::Call(name, arguments, kind)
            }
            10 if kind.signed() && self.random.below(2) == 0 => {
                Expr::Negate(Box::new(self.expr(kind, depth - 1, scope)), kind)
            }
            10 => Expr::Complement(Box::new(self.expr(kind, depth - 1, scope)), kind),
            11 => {
                let from = self.random.kind();
                Expr::Cast(Box::new(self.expr(from, depth - 1, scope)), kind)
            }
            12 => Expr::If(
                Box::new(self.cond(depth - 1, scope)),
                Box::new(self.expr(kind, depth - 1, scope)),
                Box::new(self.expr(kind, depth - 1, scope)),
            ),
            _ => self.call(kind, depth, scope),
        }
    }

    fn call(&mut self, kind: IntType, depth: usize, scope: &[usize]) -> Expr {
        match kind {
            IntType::U32 if self.random.below(2) == 0 => {
                Expr::Call("twice", vec![self.expr(kind, depth - 1, scope)], kind)
            }
            IntType::U32 => {
                let name = ["clz", "ctz", "popcount"][self.random.below(3)];
                let of =
                    [IntType::U8, IntType::U16, IntType::U32, IntType::U64][self.random.below(4)];
                Expr::Call(name, vec![self.expr(of, depth - 1, scope)], of)
            }
            IntType::I16 => {
                let condition = self.cond(depth - 1, scope);
                let x = self.expr(kind, depth - 1, scope);
                let y = self.expr(kind, depth - 1, scope);
                // `pick(c, x, y)` is `if c { x } else { y - 1 }`; the text is made for it.
                let one = Box::new(Expr::Constant(1, kind));
                let y = Box::new(Expr::Binary("-", Box::new(y), one, kind));
                Expr::If(Box::new(condition), Box::new(x), y)
            }
            _ if kind.signed() => Expr::Call("abs", vec![self.expr(kind, depth - 1, scope)], kind),
            _ => Expr::Event(kind),
        }
    }

    fn cond(&mut self, depth: usize, scope: &[usize]) -> Cond {
        match if depth == 0 { 0 } else { self.random.below(5) } {
            0 | 1 => {
                let kind = self.random.kind();
                let operator = COMPARISONS[self.random.below(6)];
                let a = self.expr(kind, depth.min(1), scope);
                let b = self.expr(kind, depth.min(1), scope);
                Cond::Compare(operator, Box::new(a), Box::new(b))
            }
            2 => Cond::And(
                Box::new(self.cond(depth - 1, scope)),
                Box::new(self.cond(depth - 1, scope)),
            ),
            3 => Cond::Or(
                Box::new(self.cond(depth - 1, scope)),
                Box::new(self.cond(depth - 1, scope)),
            ),
            _ => Cond::Not(Box::new(self.cond(depth - 1, scope))),
        }
    }

    fn block(&mut self, depth: usize, outer: &[usize]) -> Vec<Statement> {
        let mut scope = outer.to_vec();
        let mut statements = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let choice = self.random.below(8);
            statements.push(match choice {
                0 | 1 => {
                    let kind = self.random.kind();
                    let value = self.expr(kind, 3, &scope);
                    self.locals.push(kind);
                    scope.push(self.locals.len() - 1);
                    Statement::Let(self.locals.len() - 1, value)
                }
                2..=4 if !scope.is_empty() => {
                    let local = scope[self.random.below(scope.len())];
                    let value = self.expr(self.locals[local], 3, &scope);
                    match self.random.below(3) {
                        0 => Statement::Compound(
                            ["+", "-", "^", "&"][self.random.below(4)],
                            local,
                            value,
                        ),
                        _ => Statement::Assign(local, value),
                    }
                }
                5 if depth > 0 => Statement::If(
                    self.cond(2, &scope),
                    self.block(depth - 1, &scope),
                    if self.random.below(2) == 0 { vec![] } else { self.block(depth - 1, &scope) },
                ),
                6 if depth > 0 => {
                    let rounds = self.random.below(4) as u8;
                    self.locals.push(IntType::U8);
                    let counter = self.locals.len() - 1;
                    self.loops += 1;
                    let inner = self.block(depth - 1, &scope);
                    self.loops -= 1;
                    Statement::For(rounds, counter, inner)
                }
                7 if self.loops > 0 => Statement::Leave(
                    self.cond(1, &scope),
                    ["break", "continue"][self.random.below(2)],
                ),
                _ => {
                    let kind = self.random.kind();
                    let value = self.expr(kind, 2, &scope);
                    self.locals.push(kind);
                    scope.push(self.locals.len() - 1);
                    Statement::Let(self.locals.len() - 1, value)
                }
            });
        }
        statements
    }
}

// Text.

fn number(value: i128, kind: IntType) -> String {
    if value < 0 { format!("(0 - {}) as {kind}", -value) } else { format!("{value} as {kind}") }
}

fn expr_text(expr: &Expr) -> String {
    match expr {
        Expr::Constant(value, kind) => format!("({})", number(*value, *kind)),
        Expr::Event(kind) => format!("event.e{kind}"),
        Expr::Local(local) => format!("l{local}"),
        Expr::Binary(operator, a, b, _) | Expr::Shift(operator, a, b, _) => {
            format!("({} {operator} {})", expr_text(a), expr_text(b))
        }
        Expr::Call(name, arguments, _) => {
            let arguments: Vec<_> = arguments.iter().map(expr_text).collect();
            format!("{name}({})", arguments.join(", "))
        }
        Expr::Negate(a, _) => format!("(-{})", expr_text(a)),
        Expr::Complement(a, _) => format!("(~{})", expr_text(a)),
        Expr::Cast(a, kind) => format!("({} as {kind})", expr_text(a)),
        Expr::If(condition, a, b) => {
            if let Expr::Binary("-", y, one, IntType::I16) = &**b
                && matches!(**one, Expr::Constant(1, _))
            {
                return format!(
                    "pick({}, {}, {})",
                    cond_text(condition),
                    expr_text(a),
                    expr_text(y)
                );
            }
            format!(
                "(if {} {{ {} }} else {{ {} }})",
                cond_text(condition),
                expr_text(a),
                expr_text(b)
            )
        }
    }
}

fn cond_text(cond: &Cond) -> String {
    match cond {
        Cond::Compare(operator, a, b) => format!("({} {operator} {})", expr_text(a), expr_text(b)),
        Cond::And(a, b) => format!("({} && {})", cond_text(a), cond_text(b)),
        Cond::Or(a, b) => format!("({} || {})", cond_text(a), cond_text(b)),
        Cond::Not(a) => format!("!{}", cond_text(a)),
    }
}

fn statement_text(statement: &Statement, text: &mut String) {
    let block = |statements: &[Statement], text: &mut String| {
        for statement in statements {
            statement_text(statement, text);
        }
    };
    match statement {
        Statement::Let(local, value) => {
            text.push_str(&format!("let mut l{local} = {};\n", expr_text(value)));
        }
        Statement::Assign(local, value) => {
            text.push_str(&format!("l{local} = {};\n", expr_text(value)))
        }
        Statement::Compound(operator, local, value) => {
            text.push_str(&format!("l{local} {operator}= {};\n", expr_text(value)));
        }
        Statement::If(condition, then, otherwise) => {
            text.push_str(&format!("if {} {{\n", cond_text(condition)));
            block(then, text);
            if !otherwise.is_empty() {
                text.push_str("} else {\n");
                block(otherwise, text);
            }
            text.push_str("}\n");
        }
        Statement::For(rounds, counter, body) => {
            text.push_str(&format!("for l{counter} in 0 as u8..{rounds} {{\n"));
            block(body, text);
            text.push_str("}\n");
        }
        Statement::Leave(condition, word) => {
            text.push_str(&format!("if {} {{ {word}; }}\n", cond_text(condition)));
        }
    }
}

// Evaluation.

struct Env {
    event: Vec<i128>,
    locals: Vec<i128>,
}

impl Env {
    fn expr(&self, expr: &Expr) -> i128 {
        match expr {
            Expr::Constant(value, _) => *value,
            Expr::Event(kind) => self.event[*kind as usize],
            Expr::Local(local) => self.locals[*local],
            Expr::Binary(operator, a, b, kind) => {
                let (a, b) = (self.expr(a), self.expr(b));
                wrap(
                    match *operator {
                        "+" => a + b,
                        "-" => a - b,
                        "*" => a.wrapping_mul(b),
                        "/" => a.checked_div(b).unwrap_or(0),
                        "%" => a.checked_rem(b).unwrap_or(a),
                        "&" => a & b,
                        "|" => a | b,
                        _ => a ^ b,
                    },
                    *kind,
                )
            }
            Expr::Shift(operator, a, b, kind) => {
                let (a, distance) = (self.expr(a), (self.expr(b) & 63) as u32);
                wrap(if *operator == "<<" { a << distance } else { a >> distance }, *kind)
            }
            Expr::Call(name, arguments, kind) => {
                let values: Vec<_> = arguments.iter().map(|a| self.expr(a)).collect();
                let bits = values[0] as u64 & (u64::MAX >> (64 - kind.bits()));
                match *name {
                    "min" => values[0].min(values[1]),
                    "max" => values[0].max(values[1]),
                    "abs" => wrap(values[0].abs(), *kind),
                    "twice" => wrap(values[0] * 2, IntType::U32),
                    "clz" => i128::from(bits.leading_zeros()) - i128::from(64 - kind.bits()),
                    "ctz" => i128::from(bits.trailing_zeros().min(kind.bits())),
                    _ => bits.count_ones().into(),
                }
            }
            Expr::Negate(a, kind) => wrap(-self.expr(a), *kind),
            Expr::Complement(a, kind) => wrap(!self.expr(a), *kind),
            Expr::Cast(a, kind) => wrap(self.expr(a), *kind),
            Expr::If(condition, a, b) => {
                if self.cond(condition) {
                    self.expr(a)
                } else {
                    self.expr(b)
                }
            }
        }
    }

    fn cond(&self, cond: &Cond) -> bool {
        match cond {
            Cond::Compare(operator, a, b) => {
                let (a, b) = (self.expr(a), self.expr(b));
                match *operator {
                    "==" => a == b,
                    "!=" => a != b,
                    "<" => a < b,
                    "<=" => a <= b,
                    ">" => a > b,
                    _ => a >= b,
                }
            }
            Cond::And(a, b) => self.cond(a) && self.cond(b),
            Cond::Or(a, b) => self.cond(a) || self.cond(b),
            Cond::Not(a) => !self.cond(a),
        }
    }

    /// Runs statements; gives the word that left them early.
    fn run(&mut self, statements: &[Statement], kinds: &[IntType]) -> Option<&'static str> {
        for statement in statements {
            match statement {
                Statement::Let(local, value) | Statement::Assign(local, value) => {
                    self.locals[*local] = self.expr(value);
                }
                Statement::Compound(operator, local, value) => {
                    let (old, value) = (self.locals[*local], self.expr(value));
                    let new = match *operator {
                        "+" => old + value,
                        "-" => old - value,
                        "^" => old ^ value,
                        _ => old & value,
                    };
                    self.locals[*local] = wrap(new, kinds[*local]);
                }
                Statement::If(condition, then, otherwise) => {
                    let taken = if self.cond(condition) { then } else { otherwise };
                    if let Some(word) = self.run(taken, kinds) {
                        return Some(word);
                    }
                }
                Statement::For(rounds, counter, body) => {
                    for round in 0..*rounds {
                        self.locals[*counter] = round.into();
                        if self.run(body, kinds) == Some("break") {
                            break;
                        }
                    }
                }
                Statement::Leave(condition, word) => {
                    if self.cond(condition) {
                        return Some(word);
                    }
                }
            }
        }
        None
    }
}

#[test]
fn random_programs_compute_what_their_text_says() {
    let asked = std::env::var("RMT_RANDOM_PROGRAMS").ok();
    let programs = asked.map_or(PROGRAMS, |count| count.parse().expect("a number of programs"));
    let mut refusals = [0; 2];
    for seed in 0..programs {
        let random = Random(split_mix_64(seed));
        let mut generator = Generator { random, locals: Vec::new(), loops: 0 };
        let body = generator.block(2, &[]);
        // Variables at the top of the body are the ones to look at in the end.
        let scope: Vec<_> = body
            .iter()
            .filter_map(|s| if let Statement::Let(local, _) = s { Some(*local) } else { None })
            .collect();
        let results = [
            generator.expr(IntType::U64, 3, &scope),
            generator.expr(IntType::I64, 3, &scope),
            generator.expr(IntType::U16, 3, &scope),
        ];
        let mut text = HEAD.to_owned();
        body.iter().for_each(|statement| statement_text(statement, &mut text));
        for (name, result) in ["first", "second", "third"].into_iter().zip(&results) {
            text.push_str(&format!("out.{name} = {};\n", expr_text(result)));
        }
        text.push_str("}\n");
        let program = match rmt_lang::compile("random.rmt", &text, &MemoryLoader::default()) {
            Ok(program) => program,
            Err(diagnostics) => {
                // Random code divides by what turns out to be 0, and keeps too much at once.
                let refused = ["more than 16 live values", "by zero"];
                let message = diagnostics.to_string();
                let known = refused.iter().position(|reason| message.contains(reason));
                let Some(known) = known else {
                    panic!("seed {seed}\n{text}\n{}", diagnostics.render(false));
                };
                refusals[known] += 1;
                continue;
            }
        };
        if let Err(violations) = verify(&program, &Limits::default()) {
            panic!("seed {seed}\n{text}\n{}\n{}", violations[0], assembly(&program));
        }
        let mut machine = Machine::new(&program).unwrap();
        for _ in 0..EVENTS {
            let values: Vec<_> =
                IntType::ALL.iter().map(|&kind| generator.random.value(kind)).collect();
            let names: Vec<_> = IntType::ALL.iter().map(|kind| format!("e{kind}")).collect();
            let fields: Vec<_> = names
                .iter()
                .zip(&values)
                .map(|(name, value)| (name.as_str(), *value as u64))
                .collect();
            let mut env = Env { event: values.clone(), locals: vec![0; generator.locals.len()] };
            env.run(&body, &generator.locals);
            let expected = results.each_ref().map(|result| env.expr(result) as u64);
            let found = machine.run(&event(&program, &fields)).outputs;
            assert_eq!(
                found,
                expected,
                "seed {seed}, event {fields:?}\n{text}\n{}",
                assembly(&program)
            );
        }
    }
    let refused: u64 = refusals.iter().sum();
    assert!(refused * 20 < programs, "{refusals:?} of {programs} programs were refused");
}
