//! Text to tokens. Hand-written: the language has few tokens, and every mistake in one of
//! them deserves its own message.

use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::source::Span;

/// A kind of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Token {
    /// A name or a keyword: which of the two depends on the place.
    Identifier,
    /// A number; its value is in [`Lexed::numbers`].
    Number,
    /// Text in double quotes.
    String,
    /// Punctuation, spelled as written.
    Mark(&'static str),
    /// The end of the text.
    End,
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) span: Span,
    /// Value of a number.
    pub(crate) number: u64,
}

/// All punctuation, longer marks before their own beginnings.
const MARKS: &[&str] = &[
    "<<=", ">>=", "&&&", "..=", "->", "=>", "==", "!=", "<=", ">=", "<<", ">>", "&&", "||", "++",
    "--", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "..", "::", "{", "}", "(", ")", "[", "]",
    "<", ">", "=", "+", "-", "*", "/", "%", "&", "|", "^", "!", "~", ":", ";", ",", ".", "@", "?",
];

/// A comment and where it stands, for the formatter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comment {
    pub(crate) span: Span,
}

/// The tokens of a text; the last one is [`Token::End`].
pub(crate) struct Lexed {
    pub(crate) lexemes: Vec<Lexeme>,
    pub(crate) comments: Vec<Comment>,
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    out: Lexed,
    diagnostics: &'a mut Diagnostics,
}

/// Splits `text` into tokens; what is no token is reported and left out.
pub(crate) fn lex(text: &str, diagnostics: &mut Diagnostics) -> Lexed {
    let out = Lexed { lexemes: Vec::new(), comments: Vec::new() };
    let mut lexer = Lexer { text, at: 0, out, diagnostics };
    while lexer.at < text.len() {
        lexer.step();
    }
    lexer.push(Token::End, text.len(), 0);
    lexer.out
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn push(&mut self, token: Token, start: usize, number: u64) {
        let span = Span::new(start, self.at);
        self.out.lexemes.push(Lexeme { token, span, number });
    }

    fn error(&mut self, start: usize, message: &str, reason: &str, help: Option<&str>) {
        let mut diagnostic = Diagnostic::error(Span::new(start, self.at), message, reason);
        diagnostic.help = help.map(str::to_owned);
        self.diagnostics.push(diagnostic);
    }

    /// Length of the leading characters for which `keep` holds.
    fn run(&self, keep: impl Fn(char) -> bool) -> usize {
        self.rest().find(|c| !keep(c)).unwrap_or(self.rest().len())
    }

    fn step(&mut self) {
        let start = self.at;
        let Some(first) = self.rest().chars().next() else { return };
        if first.is_whitespace() {
            self.at += self.run(char::is_whitespace);
        } else if self.rest().starts_with("//") {
            self.at += self.run(|c| c != '\n');
            self.out.comments.push(Comment { span: Span::new(start, self.at) });
        } else if self.rest().starts_with("/*") {
            self.block_comment(start);
        } else if first.is_ascii_alphabetic() || first == '_' {
            self.at += self.run(|c| c.is_ascii_alphanumeric() || c == '_');
            self.push(Token::Identifier, start, 0);
        } else if first.is_ascii_digit() {
            self.number(start);
        } else if first == '"' {
            self.string(start);
        } else if let Some(mark) = MARKS.iter().find(|mark| self.rest().starts_with(**mark)) {
            self.at += mark.len();
            self.push(Token::Mark(mark), start, 0);
        } else {
            self.at += first.len_utf8();
            let message = format!("`{}` means nothing here", first.escape_debug());
            self.error(start, &message, "no token begins with this character", None);
        }
    }

    fn block_comment(&mut self, start: usize) {
        match self.rest().find("*/") {
            Some(end) => self.at += end + 2,
            None => {
                self.at = self.text.len();
                let end = (start + 2).min(self.at);
                self.diagnostics.push(
                    Diagnostic::error(
                        Span::new(start, end),
                        "this comment has no end",
                        "it begins here",
                    )
                    .help("close it with `*/`"),
                );
            }
        }
        self.out.comments.push(Comment { span: Span::new(start, self.at) });
    }

    fn number(&mut self, start: usize) {
        self.at += self.run(|c| c.is_ascii_alphanumeric() || c == '_');
        let written = self.text[start..self.at].replace('_', "");
        let lower = written.to_ascii_lowercase();
        let (digits, radix) = match lower.get(..2) {
            Some("0x") => (&lower[2..], 16),
            Some("0b") => (&lower[2..], 2),
            Some("0o") => (&lower[2..], 8),
            _ => (lower.as_str(), 10),
        };
        let value = u64::from_str_radix(digits, radix);
        if value.is_err() {
            let first_bad = digits.find(|c: char| !c.is_digit(radix));
            match first_bad {
                Some(at) if at > 0 && radix == 10 => self.error(
                    start,
                    "this number ends in letters",
                    "not a number",
                    Some("numbers take the type of their place; where there is none, write `5 as u32`"),
                ),
                Some(_) => self.error(start, "this is not a number", "a digit does not fit", None),
                None if digits.is_empty() => {
                    self.error(start, "this number has no digits", "digits are missing", None);
                }
                None => self.error(
                    start,
                    "this number is too large",
                    "it does not fit 64 bits",
                    Some("the largest number is 0xffff_ffff_ffff_ffff"),
                ),
            }
        }
        self.push(Token::Number, start, value.unwrap_or(0));
        if self.rest().starts_with('.')
            && self.rest()[1..].starts_with(|c: char| c.is_ascii_digit())
        {
            self.at += 1;
            self.at += self.run(|c| c.is_ascii_alphanumeric());
            self.error(
                start,
                "there are no fractions",
                "all arithmetic is on integers",
                Some("scale the value: a fixed-point multiplier and a shift, or `requant`"),
            );
        }
    }

    fn string(&mut self, start: usize) {
        self.at += 1;
        self.at += self.run(|c| c != '"' && c != '\n');
        if self.rest().starts_with('"') {
            self.at += 1;
        } else {
            self.error(start, "this text has no end", "it begins here", Some("close it with `\"`"));
        }
        self.push(Token::String, start, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> (Vec<String>, Diagnostics) {
        let mut diagnostics = Diagnostics::new("test.rmt", text);
        let lexed = lex(text, &mut diagnostics);
        let spelled = lexed.lexemes.iter().map(|l| text[l.span.range()].to_owned()).collect();
        (spelled, diagnostics)
    }

    #[test]
    fn longer_marks_win() {
        let (spelled, diagnostics) = tokens("a<<=1..=2 &&& 0xf // c\n/* d */b->c");
        assert_eq!(
            spelled,
            ["a", "<<=", "1", "..=", "2", "&&&", "0xf", "b", "->", "c", ""].map(str::to_owned)
        );
        assert!(diagnostics.is_empty());
    }

    #[test]
    fn every_mistake_is_reported_at_its_place() {
        let (_, diagnostics) = tokens("$ 12ab 0x 0xfg 1.5 \"open\n99999999999999999999 /*");
        let positions: Vec<_> =
            diagnostics.list().iter().map(|d| diagnostics.position(d.span)).collect();
        assert_eq!(positions, [(1, 1), (1, 3), (1, 8), (1, 11), (1, 16), (1, 20), (2, 1), (2, 22)]);
    }
}
