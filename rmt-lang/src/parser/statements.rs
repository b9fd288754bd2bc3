//! Blocks and statements.

use super::{Parsed, Parser, Reported};
use crate::diagnostics::Diagnostic;
use crate::syntax::{
    BinaryOperator, Block, Expression, ExpressionKind, MAX_BLOCK_DEPTH, MatchArm, Statement,
    StatementKind,
};

impl Parser<'_> {
    pub(super) fn block(&mut self, place: &str) -> Parsed<Block> {
        self.expect_mark("{", place)?;
        self.depth += 1;
        let block = self.block_items();
        self.depth -= 1;
        block
    }

    fn block_items(&mut self) -> Parsed<Block> {
        if self.depth > MAX_BLOCK_DEPTH {
            let message = format!("blocks are nested more than {MAX_BLOCK_DEPTH} deep");
            let diagnostic = Diagnostic::error(self.span(), message, "this block is too deep");
            return Err(self.stop(diagnostic.help("move the inner part into a function")));
        }
        let statements = self.items(Self::statement)?;
        let end = self.lexemes[self.at - 1].span;
        Ok(Block { statements, end })
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let start = self.span();
        let kind = self.statement_kind()?;
        Ok(Statement { kind, span: self.since(start) })
    }

    fn statement_kind(&mut self) -> Parsed<StatementKind> {
        let start = self.span();
        if self.is_mark("{") {
            return Ok(StatementKind::Block(self.block("before the block")?));
        }
        match self.current() {
            "let" => self.binding(),
            "if" => self.branch(),
            "for" => self.repeat(),
            "match" => self.match_statement(),
            "return" => {
                self.advance();
                let value = if self.is_mark(";") { None } else { Some(self.expression()?) };
                self.end_statement(StatementKind::Return(value))
            }
            "break" => self.single_word(StatementKind::Break),
            "continue" => self.single_word(StatementKind::Continue),
            "decide" => self.single_word(StatementKind::Decide),
            "abstain" => self.single_word(StatementKind::Abstain),
            "goto" => {
                self.advance();
                let table = self.name("the next table")?;
                let values =
                    if self.eat_mark("(") { self.list(")", Self::expression)? } else { Vec::new() };
                self.end_statement(StatementKind::Goto { table, values })
            }
            word @ ("while" | "loop" | "do") => {
                let message = format!("there is no `{word}`");
                Err(self.report(
                    Diagnostic::error(start, message, "its number of rounds would have no bound")
                        .help("write `for i in 0..8 { ... }` and leave it early with `break`"),
                ))
            }
            "switch" => Err(self.report(
                Diagnostic::error(start, "there is no `switch`", "not a statement")
                    .help("write `match x { 1 => { ... } 2 | 3 => { ... } _ => { ... } }`"),
            )),
            _ => self.expression_statement(),
        }
    }

    fn end_statement(&mut self, kind: StatementKind) -> Parsed<StatementKind> {
        self.expect_mark(";", "after the statement")?;
        Ok(kind)
    }

    fn single_word(&mut self, kind: StatementKind) -> Parsed<StatementKind> {
        self.advance();
        self.end_statement(kind)
    }

    fn binding(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let mutable = self.eat_word("mut");
        let name = self.name("the variable")?;
        let kind = if self.eat_mark(":") { Some(self.type_name()?) } else { None };
        if self.is_mark(";") {
            return Err(self.report(
                Diagnostic::error(
                    name.span,
                    format!("`{}` has no value", name.node),
                    "every variable begins with a value",
                )
                .help(format!("write `let mut {}: ... = 0;`", name.node)),
            ));
        }
        self.expect_mark("=", "and the variable's value")?;
        let value = self.expression()?;
        self.end_statement(StatementKind::Let { mutable, name, kind, value })
    }

    fn branch(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let condition = self.expression()?;
        let then = self.block("after the condition")?;
        let otherwise = if !self.eat_word("else") {
            None
        } else if self.is_word("if") {
            // `else if` counts as a nested block, so that long chains stay bounded.
            self.depth += 1;
            let nested = if self.depth > MAX_BLOCK_DEPTH {
                Err(self.too_many_branches())
            } else {
                self.statement()
            };
            self.depth -= 1;
            let nested = nested?;
            Some(Block { end: nested.span, statements: vec![nested] })
        } else {
            Some(self.block("after `else`")?)
        };
        Ok(StatementKind::If { condition, then, otherwise })
    }

    fn too_many_branches(&mut self) -> Reported {
        let span = self.span();
        self.report(
            Diagnostic::error(
                span,
                format!("more than {MAX_BLOCK_DEPTH} `else if` in a row"),
                "this one is too many",
            )
            .help("write a `match`, or look the value up in a table"),
        )
    }

    fn repeat(&mut self) -> Parsed<StatementKind> {
        let start = self.span();
        self.advance();
        if self.is_mark("(") && !self.is_mark_ahead(2, "..") {
            return Err(self.report(
                Diagnostic::error(start, "loops are not written as in C", "expected a range")
                    .help("write `for i in 0..8 { ... }`"),
            ));
        }
        let variable = self.name("the loop's variable")?;
        if !self.eat_word("in") {
            return Err(self.expected("`in` and the range, as in `for i in 0..8`"));
        }
        let from = self.expression()?;
        let inclusive = self.is_mark("..=");
        if !self.eat_mark("..=") && !self.eat_mark("..") {
            return Err(self.expected("`..` and the end of the range"));
        }
        let to = self.expression()?;
        let body = self.block("after the range")?;
        Ok(StatementKind::For { variable, from, to, inclusive, body })
    }

    fn match_statement(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let subject = self.expression()?;
        self.expect_mark("{", "before the arms")?;
        let arms = self.items(|p| {
            let mut patterns = vec![p.pattern()?];
            while p.eat_mark("|") {
                patterns.push(p.pattern()?);
            }
            p.expect_mark("=>", "after the pattern")?;
            let body = p.block("after `=>`")?;
            p.eat_mark(",");
            Ok(MatchArm { patterns, body })
        })?;
        Ok(StatementKind::Match { subject, arms })
    }

    fn expression_statement(&mut self) -> Parsed<StatementKind> {
        let place = self.expression()?;
        let mark = self.current();
        if mark == "++" || mark == "--" {
            let sign = &mark[..1];
            let target = self.text_of(place.span);
            let help = format!("write `{target} {sign}= 1`");
            return Err(self.report(
                Diagnostic::error(self.span(), format!("there is no `{mark}`"), "not an operator")
                    .help(help),
            ));
        }
        let compound = mark.strip_suffix('=').and_then(|operator| {
            BinaryOperator::TABLE.iter().find(|row| row.0 == operator && row.2 > 3)
        });
        let operator = compound.map(|row| row.1);
        if operator.is_none() && mark != "=" {
            return self.end_value(place);
        }
        self.advance();
        let value = self.expression()?;
        self.end_statement(StatementKind::Assign { place, operator, value })
    }

    fn end_value(&mut self, value: Expression) -> Parsed<StatementKind> {
        if self.is_mark("}") && !matches!(value.kind, ExpressionKind::Call(..)) {
            return Err(self.report(
                Diagnostic::error(value.span, "this value is not used", "a value, not a statement")
                    .help("functions give their result with `return`"),
            ));
        }
        self.end_statement(StatementKind::Expression(value))
    }
}
