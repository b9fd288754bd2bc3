//! Tokens to a syntax tree: recursive descent, one function for each construct.
//!
//! - this file: the reader of tokens, and how it goes on after a mistake;
//! - [`declarations`]: what stands at the top of a file;
//! - [`tables`]: tables and their entries;
//! - [`statements`] and [`expressions`]: what stands in bodies.
//!
//! A function that meets a mistake reports it and returns `Err(Reported)`; the nearest caller
//! that knows where the next construct begins skips to it and goes on. Nesting is bounded, so
//! no text overflows the stack.

mod declarations;
mod expressions;
mod statements;
mod tables;

pub(crate) use declarations::MAP_KINDS;

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::lexer::{Lexed, Lexeme, Token};
use crate::source::{Name, Span};
use crate::syntax::File;

/// A mistake that has been reported.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reported;

type Parsed<T> = Result<T, Reported>;

/// Words that name no variable, function or object.
pub(crate) const KEYWORDS: &[&str] = &[
    "program", "hook", "decision", "context", "map", "model", "const", "table", "action", "fn",
    "let", "mut", "if", "else", "for", "in", "return", "break", "continue", "decide", "abstain",
    "goto", "match", "as", "true", "false", "event", "out",
];

/// Words that begin a declaration: where reading goes on after a mistake.
const DECLARATIONS: &[&str] = &[
    "program", "hook", "decision", "context", "map", "model", "const", "table", "action", "fn",
    "private", "public",
];

struct Parser<'a> {
    text: &'a str,
    lexemes: &'a [Lexeme],
    at: usize,
    /// Blocks around the current place.
    depth: u16,
    /// Expressions around the current place.
    nesting: u16,
    /// Reading was given up: what is still said would be an echo.
    stopped: bool,
    diagnostics: &'a mut Diagnostics,
}

/// Reads a whole file. What has mistakes is reported and left out.
pub(crate) fn parse(text: &str, lexed: &Lexed, diagnostics: &mut Diagnostics) -> File {
    let mut parser = Parser {
        text,
        lexemes: &lexed.lexemes,
        at: 0,
        depth: 0,
        nesting: 0,
        stopped: false,
        diagnostics,
    };
    parser.file()
}

impl<'a> Parser<'a> {
    fn lexeme(&self, ahead: usize) -> Lexeme {
        // The list ends with `Token::End`, which is never passed.
        self.lexemes[(self.at + ahead).min(self.lexemes.len() - 1)]
    }

    fn span(&self) -> Span {
        self.lexeme(0).span
    }

    /// The piece from `start` to the token before the current one.
    fn since(&self, start: Span) -> Span {
        let last = self.lexemes[self.at.saturating_sub(1)].span;
        if last.end < start.end { start } else { start.to(last) }
    }

    fn text_of(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// The current token as written.
    fn current(&self) -> &'a str {
        self.text_of(self.span())
    }

    fn at_end(&self) -> bool {
        self.lexeme(0).token == Token::End
    }

    fn advance(&mut self) -> Lexeme {
        let lexeme = self.lexeme(0);
        if lexeme.token != Token::End {
            self.at += 1;
        }
        lexeme
    }

    fn is_mark(&self, mark: &str) -> bool {
        matches!(self.lexeme(0).token, Token::Mark(found) if found == mark)
    }

    fn is_mark_ahead(&self, ahead: usize, mark: &str) -> bool {
        matches!(self.lexeme(ahead).token, Token::Mark(found) if found == mark)
    }

    fn is_word(&self, word: &str) -> bool {
        self.lexeme(0).token == Token::Identifier && self.current() == word
    }

    fn eat_mark(&mut self, mark: &str) -> bool {
        let found = self.is_mark(mark);
        self.at += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        if !self.stopped {
            self.diagnostics.push(diagnostic);
        }
        Reported
    }

    /// Reports a mistake after which nothing more can be read.
    fn stop(&mut self, diagnostic: Diagnostic) -> Reported {
        let reported = self.report(diagnostic);
        self.stopped = true;
        self.at = self.lexemes.len() - 1;
        reported
    }

    /// Reports that something else was expected at the current token.
    fn expected(&mut self, what: &str) -> Reported {
        let diagnostic = self.unexpected(what);
        self.report(diagnostic)
    }

    fn unexpected(&self, what: &str) -> Diagnostic {
        let found = match self.lexeme(0).token {
            Token::End => "the end of the file".to_owned(),
            _ => format!("`{}`", self.current()),
        };
        let message = format!("expected {what}, found {found}");
        Diagnostic::error(self.span(), message, format!("expected {what}"))
    }

    fn expect_mark(&mut self, mark: &'static str, after: &str) -> Parsed<Span> {
        let span = self.span();
        if self.eat_mark(mark) {
            return Ok(span);
        }
        if mark == ";" && self.at > 0 {
            // A missing semicolon belongs to the line that it should end.
            let last = self.lexemes[self.at - 1].span;
            let place = Span { start: last.end, end: last.end };
            let place = if self.text.is_char_boundary(last.end as usize) { place } else { last };
            return Err(self.report(
                Diagnostic::error(place, format!("missing `;` {after}"), "here")
                    .help("end the line with `;`"),
            ));
        }
        Err(self.expected(&format!("`{mark}` {after}")))
    }

    /// A name that the program gives to something.
    fn name(&mut self, what: &str) -> Parsed<Name> {
        let Lexeme { token, span, .. } = self.lexeme(0);
        if token != Token::Identifier {
            return Err(self.expected(&format!("the name of {what}")));
        }
        let text = self.current();
        if KEYWORDS.contains(&text) {
            return Err(self.report(
                Diagnostic::error(
                    span,
                    format!("`{text}` cannot be the name of {what}"),
                    "this word belongs to the language",
                )
                .help(format!("take another name, such as `{text}_`")),
            ));
        }
        self.advance();
        Ok(Name { node: text.to_owned(), span })
    }

    /// Any word, keyword or not: names of fields and methods stand behind a dot.
    fn word(&mut self, what: &str) -> Parsed<Name> {
        let Lexeme { token, span, .. } = self.lexeme(0);
        if token != Token::Identifier {
            return Err(self.expected(what));
        }
        let node = self.current().to_owned();
        self.advance();
        Ok(Name { node, span })
    }

    /// Skips to the start of the next declaration.
    fn skip_to_declaration(&mut self) {
        let mut braces = 0_i32;
        while !self.at_end() {
            let starts_line = self.starts_line();
            let word = self.current();
            if starts_line
                && self.lexeme(0).token == Token::Identifier
                && DECLARATIONS.contains(&word)
                && braces <= 0
            {
                return;
            }
            if self.is_mark("{") {
                braces += 1;
            } else if self.is_mark("}") {
                braces -= 1;
            }
            self.advance();
        }
    }

    /// Whether the current token is the first of its line, not indented.
    fn starts_line(&self) -> bool {
        let start = self.span().start as usize;
        start == 0 || self.text.as_bytes().get(start - 1) == Some(&b'\n')
    }

    /// Skips the rest of an item that broke at the current token and began at token `first`:
    /// past its `;`, or to the `}` that closes the braces around it.
    fn skip_item(&mut self, first: usize) {
        // Only braces count: a missing `)` shall not swallow the lines after it.
        let change = |token: Token| match token {
            Token::Mark("{") => 1,
            Token::Mark("}") => -1,
            _ => 0,
        };
        let read = &self.lexemes[first..self.at];
        let mut open: i32 = read.iter().map(|lexeme| change(lexeme.token)).sum::<i32>().max(0);
        while !(self.at_end() || open == 0 && self.is_mark("}")) {
            let token = self.advance().token;
            open = (open + change(token)).max(0);
            if open == 0 && matches!(token, Token::Mark(";" | "}")) {
                self.eat_mark(";");
                return;
            }
        }
    }

    /// Items up to the closing brace, the opening one being read already; a broken item is
    /// skipped.
    fn items<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.is_mark("}") {
            if self.at_end() {
                return Err(self.expected("`}`"));
            }
            let before = self.at;
            match item(self) {
                Ok(found) => items.push(found),
                Err(Reported) => {
                    self.skip_item(before);
                    if self.at == before {
                        self.advance();
                    }
                }
            }
        }
        self.advance();
        Ok(items)
    }

    /// Things separated by commas up to `close`, which is read too.
    fn list<T>(
        &mut self,
        close: &'static str,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.eat_mark(close) {
            items.push(item(self)?);
            if !self.eat_mark(",") && !self.is_mark(close) {
                return Err(self.expected(&format!("`,` or `{close}`")));
            }
        }
        Ok(items)
    }
}
