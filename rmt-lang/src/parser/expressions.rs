//! Expressions, by precedence climbing.

use super::{Parsed, Parser};
use crate::diagnostics::Diagnostic;
use crate::lexer::Token;
use crate::source::Span;
use crate::syntax::{
    BinaryOperator, Expression, ExpressionKind, MAX_EXPRESSION_HEIGHT, UnaryOperator,
};

/// Binds stronger than `|` and weaker than `/`: what stands in a pattern.
const PATTERN_STRENGTH: u8 = 10;

impl Parser<'_> {
    pub(super) fn expression(&mut self) -> Parsed<Expression> {
        self.binary(1)
    }

    /// A number, name or expression in parentheses, with a sign: all that a pattern needs.
    pub(super) fn pattern_value(&mut self) -> Parsed<Expression> {
        self.binary(PATTERN_STRENGTH)
    }

    /// Wraps `kind` up, refusing what is too deep for those that walk it.
    fn make(&mut self, kind: ExpressionKind, start: Span) -> Parsed<Expression> {
        let height = 1 + match &kind {
            ExpressionKind::Field(a, _)
            | ExpressionKind::Slice(a, _, _)
            | ExpressionKind::Unary(_, a)
            | ExpressionKind::Cast(a, _) => a.height,
            ExpressionKind::Index(a, b)
            | ExpressionKind::Binary(_, a, b)
            | ExpressionKind::Fill(a, b) => a.height.max(b.height),
            ExpressionKind::If(a, b, c) => a.height.max(b.height).max(c.height),
            ExpressionKind::Call(a, list) => {
                list.iter().fold(a.height, |height, value| height.max(value.height))
            }
            ExpressionKind::List(list) => list.iter().map(|value| value.height).max().unwrap_or(0),
            ExpressionKind::Number(_) | ExpressionKind::Bool(_) | ExpressionKind::Name(_) => 0,
        };
        let span = self.since(start);
        if height > MAX_EXPRESSION_HEIGHT {
            return Err(self.report(too_deep(span)));
        }
        Ok(Expression { kind, span, height })
    }

    fn binary(&mut self, weakest: u8) -> Parsed<Expression> {
        self.nesting += 1;
        let result = if self.nesting > 2 * MAX_EXPRESSION_HEIGHT {
            let diagnostic = too_deep(self.span());
            Err(self.stop(diagnostic))
        } else {
            self.binary_inner(weakest)
        };
        self.nesting -= 1;
        result
    }

    fn binary_inner(&mut self, weakest: u8) -> Parsed<Expression> {
        let start = self.span();
        let mut left = self.unary()?;
        let mut compared = false;
        loop {
            let Token::Mark(mark) = self.lexeme(0).token else { return Ok(left) };
            let Some(&(_, operator, strength)) =
                BinaryOperator::TABLE.iter().find(|row| row.0 == mark)
            else {
                return Ok(left);
            };
            if strength < weakest {
                return Ok(left);
            }
            let at = self.span();
            if operator.is_comparison() && compared {
                return Err(self.report(
                    Diagnostic::error(at, "comparisons do not chain", "the second comparison")
                        .help("write `a < b && b < c`"),
                ));
            }
            compared = operator.is_comparison();
            self.advance();
            let right = self.binary(strength + 1)?;
            let kind = ExpressionKind::Binary(operator, Box::new(left), Box::new(right));
            left = self.make(kind, start)?;
        }
    }

    fn unary(&mut self) -> Parsed<Expression> {
        let start = self.span();
        let operator = match self.current() {
            "-" => UnaryOperator::Negate,
            "!" => UnaryOperator::Not,
            "~" => UnaryOperator::Complement,
            "++" | "--" => {
                return Err(self.report(
                    Diagnostic::error(start, "there is no `++` and no `--`", "not an operator")
                        .help("write `x += 1;`"),
                ));
            }
            "&" | "*" => {
                return Err(self.report(Diagnostic::error(
                    start,
                    "there are no pointers",
                    "neither taken nor followed",
                )));
            }
            _ => return self.cast(),
        };
        self.advance();
        // Signs bind stronger than casts: `-x as u8` is `(-x) as u8`.
        let operand = self.nested_unary()?;
        let negated = self.make(ExpressionKind::Unary(operator, Box::new(operand)), start)?;
        self.casts_of(negated, start)
    }

    fn nested_unary(&mut self) -> Parsed<Expression> {
        self.nesting += 1;
        let result = if self.nesting > 2 * MAX_EXPRESSION_HEIGHT {
            let diagnostic = too_deep(self.span());
            Err(self.stop(diagnostic))
        } else if matches!(self.current(), "-" | "!" | "~") {
            self.unary()
        } else {
            self.postfix()
        };
        self.nesting -= 1;
        result
    }

    fn cast(&mut self) -> Parsed<Expression> {
        let start = self.span();
        let value = self.postfix()?;
        self.casts_of(value, start)
    }

    fn casts_of(&mut self, mut value: Expression, start: Span) -> Parsed<Expression> {
        while self.eat_word("as") {
            let kind = self.type_name()?;
            value = self.make(ExpressionKind::Cast(Box::new(value), kind), start)?;
        }
        Ok(value)
    }

    fn postfix(&mut self) -> Parsed<Expression> {
        let start = self.span();
        let mut value = self.primary()?;
        loop {
            let kind = if self.eat_mark(".") {
                ExpressionKind::Field(Box::new(value), self.word("the name of a field")?)
            } else if self.eat_mark("(") {
                ExpressionKind::Call(Box::new(value), self.list(")", Self::expression)?)
            } else if self.is_mark("[")
                && self.lexeme(1).token == Token::Identifier
                && self.is_mark_ahead(2, "..=")
            {
                self.advance();
                let first = self.word("the first field")?;
                self.advance();
                let last = self.word("the last field")?;
                self.expect_mark("]", "after the last field")?;
                ExpressionKind::Slice(Box::new(value), first, last)
            } else if self.eat_mark("[") {
                let index = self.expression()?;
                self.expect_mark("]", "after the index")?;
                ExpressionKind::Index(Box::new(value), Box::new(index))
            } else if self.is_mark("->") {
                let span = self.span();
                return Err(self.report(
                    Diagnostic::error(span, "there are no pointers", "not an operator")
                        .help("write `.` for `->`"),
                ));
            } else if self.is_mark("?") {
                let span = self.span();
                return Err(self.report(
                    Diagnostic::error(span, "there is no `?:`", "not an operator")
                        .help("write `if condition { a } else { b }`"),
                ));
            } else {
                return Ok(value);
            };
            value = self.make(kind, start)?;
        }
    }

    fn primary(&mut self) -> Parsed<Expression> {
        let lexeme = self.lexeme(0);
        let start = lexeme.span;
        let kind = match lexeme.token {
            Token::Number => {
                self.advance();
                ExpressionKind::Number(lexeme.number)
            }
            Token::Mark("(") => {
                self.advance();
                let mut inner = self.expression()?;
                self.expect_mark(")", "after the expression")?;
                inner.span = self.since(start);
                return Ok(inner);
            }
            Token::Mark("[") => {
                self.advance();
                self.array()?
            }
            Token::Identifier => match self.current() {
                word @ ("true" | "false") => {
                    self.advance();
                    ExpressionKind::Bool(word == "true")
                }
                "if" => {
                    self.advance();
                    self.choice()?
                }
                word @ ("event" | "out") => {
                    self.advance();
                    ExpressionKind::Name(word.to_owned())
                }
                _ => ExpressionKind::Name(self.name("a value")?.node),
            },
            _ => return Err(self.expected("a value")),
        };
        self.make(kind, start)
    }

    /// `[1, 2, 3]` or `[0; 15]`, the bracket being read.
    fn array(&mut self) -> Parsed<ExpressionKind> {
        if self.eat_mark("]") {
            return Ok(ExpressionKind::List(Vec::new()));
        }
        let first = self.expression()?;
        if self.eat_mark(";") {
            let count = self.expression()?;
            self.expect_mark("]", "after the number of lanes")?;
            return Ok(ExpressionKind::Fill(Box::new(first), Box::new(count)));
        }
        let mut values = vec![first];
        if !self.is_mark("]") {
            self.expect_mark(",", "or `]`")?;
        }
        values.extend(self.list("]", Self::expression)?);
        Ok(ExpressionKind::List(values))
    }

    /// `if condition { a } else { b }` as a value, `if` being read.
    fn choice(&mut self) -> Parsed<ExpressionKind> {
        let condition = self.expression()?;
        self.expect_mark("{", "after the condition")?;
        let then = self.expression()?;
        self.expect_mark("}", "after the value: an `if` in an expression has one value a branch")?;
        if !self.eat_word("else") {
            return Err(self.expected("`else`: an `if` in an expression needs both branches"));
        }
        let otherwise = if self.is_word("if") {
            self.nested_choice()?
        } else {
            self.expect_mark("{", "after `else`")?;
            let otherwise = self.expression()?;
            self.expect_mark("}", "after the value")?;
            otherwise
        };
        Ok(ExpressionKind::If(Box::new(condition), Box::new(then), Box::new(otherwise)))
    }

    fn nested_choice(&mut self) -> Parsed<Expression> {
        // Through `binary`, which bounds the nesting.
        self.binary(PATTERN_STRENGTH)
    }
}

fn too_deep(span: Span) -> Diagnostic {
    let message = format!("this expression is nested more than {MAX_EXPRESSION_HEIGHT} deep");
    Diagnostic::error(span, message, "too deep")
        .help("give its parts names with `let`; a sum of n terms is n deep")
}
