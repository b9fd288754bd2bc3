//! The formatter: one look for all programs.
//!
//! It works on tokens and keeps the line breaks of the author: it sets indentation and the
//! spaces within a line, aligns the comments behind consecutive lines, and leaves at most one
//! empty line between two others. The tokens stay what they are.

use crate::lexer::{Lexeme, Token, lex};
use crate::parser::{KEYWORDS, MAP_KINDS, parse};
use crate::source::{LineIndex, Span};
use crate::{Diagnostics, MAX_SOURCE_BYTES};

/// Spaces of one level of indentation.
const INDENT: usize = 4;

/// Formats a text.
///
/// # Errors
/// The mistakes of a text that cannot be read; it is left alone then.
pub fn format(source_name: &str, text: &str) -> Result<String, Diagnostics> {
    let mut diagnostics = Diagnostics::new(source_name, text);
    if text.len() > MAX_SOURCE_BYTES {
        diagnostics.push(crate::too_long(text));
        return Err(diagnostics);
    }
    let lexed = lex(text, &mut diagnostics);
    parse(text, &lexed, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let mut pieces: Vec<Piece> = lexed
        .lexemes
        .iter()
        .filter(|lexeme| lexeme.token != Token::End)
        .map(|lexeme| Piece { span: lexeme.span, token: Some(*lexeme) })
        .chain(lexed.comments.iter().map(|comment| Piece { span: comment.span, token: None }))
        .collect();
    pieces.sort_by_key(|piece| piece.span);
    let lines = split_lines(text, &pieces);
    Ok(print(&align(lay_out(text, &lines))))
}

/// A token, or a comment.
#[derive(Clone, Copy, Debug)]
struct Piece {
    span: Span,
    token: Option<Lexeme>,
}

impl Piece {
    fn is_mark(&self, marks: &[&str]) -> bool {
        matches!(self.token, Some(Lexeme { token: Token::Mark(mark), .. }) if marks.contains(&mark))
    }

    fn is_word(&self) -> bool {
        matches!(self.token, Some(Lexeme { token: Token::Identifier, .. }))
    }

    fn is_number(&self) -> bool {
        matches!(self.token, Some(Lexeme { token: Token::Number, .. }))
    }
}

/// The pieces of each line, and whether an empty line stands before it.
fn split_lines(text: &str, pieces: &[Piece]) -> Vec<(bool, Vec<Piece>)> {
    let index = LineIndex::new(text);
    let mut lines: Vec<(bool, Vec<Piece>)> = Vec::new();
    let mut last_line = 0;
    for piece in pieces {
        let line = index.line(piece.span.start);
        match lines.last_mut() {
            Some((_, current)) if line == last_line => current.push(*piece),
            _ => lines.push((line > last_line + 1 && last_line > 0, vec![*piece])),
        }
        last_line = index.line(piece.span.end.saturating_sub(1));
    }
    lines
}

/// A line to be printed: its code and the comment behind it.
#[derive(Debug, Default)]
struct Line {
    empty_before: bool,
    code: String,
    comment: Option<String>,
}

fn lay_out(text: &str, lines: &[(bool, Vec<Piece>)]) -> Vec<Line> {
    let mut out = Vec::with_capacity(lines.len());
    // For each open bracket, whether it is the first one of its line: that one indents.
    let mut open: Vec<bool> = Vec::new();
    let mut statement_goes_on = false;
    for (empty_before, pieces) in lines {
        let closing = pieces.iter().take_while(|piece| piece.is_mark(&["}", ")", "]"])).count();
        let kept = open.len().saturating_sub(closing);
        let mut level = open[..kept].iter().filter(|indents| **indents).count();
        level += usize::from(statement_goes_on && closing == 0);
        let mut line = Line { empty_before: *empty_before, ..Line::default() };
        line.code = " ".repeat(level * INDENT);
        let mut opened_here = 0_usize;
        for (at, piece) in pieces.iter().enumerate() {
            let written = &text[piece.span.range()];
            let is_last = at + 1 == pieces.len();
            if piece.token.is_none() && is_last && at > 0 {
                line.comment = Some(written.to_owned());
                continue;
            }
            if at > 0 && has_space(text, &pieces[..at], piece) {
                line.code.push(' ');
            }
            line.code.push_str(written);
            if piece.is_mark(&["{", "(", "["]) {
                open.push(opened_here == 0);
                opened_here += 1;
            } else if piece.is_mark(&["}", ")", "]"]) {
                open.pop();
                opened_here = opened_here.saturating_sub(1);
            }
        }
        if let Some(last) = pieces.iter().rev().find(|piece| piece.token.is_some()) {
            statement_goes_on = !last.is_mark(&[";", "{", "}", ",", "(", "["]);
        }
        out.push(line);
    }
    out
}

/// Whether a space stands between the last of `before` and `next`.
fn has_space(text: &str, before: &[Piece], next: &Piece) -> bool {
    let [.., last] = before else { return false };
    if last.token.is_none() || next.token.is_none() {
        return true;
    }
    let written = |piece: &Piece| &text[piece.span.range()];
    let is_keyword = |piece: &Piece| piece.is_word() && KEYWORDS.contains(&written(piece));
    let touching = last.span.end == next.span.start;
    if next.is_mark(&[",", ";", ")", "]", ":", ".", "..", "..="])
        || last.is_mark(&["(", "[", ".", "..", "..="])
    {
        return false;
    }
    if last.is_mark(&["-", "!", "~"]) && is_prefix(text, &before[..before.len() - 1]) {
        return false;
    }
    if next.is_mark(&["(", "["]) {
        // After a name it is a call or an index, after a keyword it begins a value; behind a
        // dot every word is a name.
        let is_member = before.len() >= 2 && before[before.len() - 2].is_mark(&["."]);
        let is_name = is_member || !is_keyword(last) || ["event", "out"].contains(&written(last));
        let is_value = last.is_word() && is_name;
        return !(is_value || last.is_mark(&[")", "]", ">"]) && !is_operator(text, before));
    }
    // `hash<u64>[4]`: the kind of a map and its values.
    let map_kind = |piece: Option<&Piece>| {
        piece.is_some_and(|p| p.is_word() && MAP_KINDS.iter().any(|(kind, _)| *kind == written(p)))
    };
    if next.is_mark(&["<"]) && map_kind(before.last()) {
        return false;
    }
    if before.len() >= 2 && last.is_mark(&["<"]) && map_kind(before.get(before.len() - 2)) {
        return false;
    }
    if before.len() >= 3 && next.is_mark(&[">"]) && map_kind(before.get(before.len() - 3)) {
        return false;
    }
    // `0x1200/8`, the length of a prefix, as it was written.
    let prefix = |slash: &Piece, number: Option<&Piece>| {
        slash.is_mark(&["/"]) && number.is_some_and(Piece::is_number) && touching
    };
    let second = before.len().checked_sub(2).and_then(|at| before.get(at));
    !(prefix(next, before.last()) || prefix(last, second))
}

/// Whether the last piece of `before` is a `>` that compares, not one that closes a type.
fn is_operator(text: &str, before: &[Piece]) -> bool {
    let [.., kind, _, _, last] = before else { return false };
    let word = &text[kind.span.range()];
    last.is_mark(&[">"]) && !MAP_KINDS.iter().any(|(name, _)| *name == word)
}

/// Whether a sign that follows `before` belongs to one operand only.
fn is_prefix(text: &str, before: &[Piece]) -> bool {
    let Some(last) = before.last() else { return true };
    let word = &text[last.span.range()];
    let value = last.is_number()
        || last.is_mark(&[")", "]"])
        || last.is_word() && (!KEYWORDS.contains(&word) || ["true", "false"].contains(&word));
    !value
}

/// Moves the comments behind the lines of one block to one column.
fn align(mut lines: Vec<Line>) -> Vec<Line> {
    let indentation = |line: &Line| line.code.len() - line.code.trim_start().len();
    let mut start = 0;
    while start < lines.len() {
        let level = indentation(&lines[start]);
        let same = |(at, line): &(usize, &Line)| {
            indentation(line) == level && (*at == 0 || !line.empty_before)
        };
        let end = start + lines[start..].iter().enumerate().take_while(same).count();
        let width = |line: &Line| line.code.chars().count();
        let commented = lines[start..end].iter().filter(|line| line.comment.is_some());
        let column = commented.map(width).max().unwrap_or(0) + 1;
        for line in &mut lines[start..end] {
            if let Some(comment) = line.comment.take() {
                let padding = column - width(line);
                line.code.push_str(&" ".repeat(padding));
                line.code.push_str(&comment);
            }
        }
        start = end;
    }
    lines
}

fn print(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        if line.empty_before {
            text.push('\n');
        }
        text.push_str(line.code.trim_end());
        text.push('\n');
    }
    text
}
