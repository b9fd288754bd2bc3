//! Declarations: what stands at the top of a file.

use rmt_isa::operand::{IntType, OperandValue};
use rmt_isa::program::{Label, MapKind};

use super::{DECLARATIONS, Parsed, Parser, Reported};
use crate::diagnostics::{Diagnostic, closest};
use crate::lexer::Token;
use crate::source::{Name, Spanned};
use crate::syntax::{
    Action, Constant, Context, Field, File, Function, Hook, Map, Model, Parameter, TypeName,
};

/// The kinds of map by the words of the language.
pub(crate) const MAP_KINDS: &[(&str, MapKind)] = &[
    ("array", MapKind::Array),
    ("hash", MapKind::Hash),
    ("lru_hash", MapKind::LruHash),
    ("ring_buffer", MapKind::RingBuffer),
    ("histogram", MapKind::Histogram),
];

impl Parser<'_> {
    pub(super) fn file(&mut self) -> File {
        let mut file = File::default();
        while !self.at_end() {
            let before = self.at;
            if self.declaration(&mut file).is_err() {
                if self.at == before {
                    self.advance();
                }
                self.skip_to_declaration();
            }
        }
        file
    }

    fn declaration(&mut self, file: &mut File) -> Parsed<()> {
        let label = self.label();
        let start = self.span();
        let word = self.current();
        if label.is_some() && word != "map" {
            return Err(self.expected("`map` after `private` or `public`"));
        }
        if self.lexeme(0).token == Token::Identifier && DECLARATIONS.contains(&word) {
            self.advance();
        }
        match word {
            "program" => {
                let name = self.name("the program")?;
                self.expect_mark(";", "after the program's name")?;
                self.once(&mut file.program, name, start, "program")
            }
            "hook" => {
                let hook = self.hook()?;
                self.once(&mut file.hook, hook, start, "hook")
            }
            "decision" => {
                self.expect_mark("{", "before the outputs")?;
                let outputs = self.items(|p| p.field("an output"))?;
                if !file.outputs.is_empty() {
                    return Err(self.twice(start, "decision"));
                }
                file.outputs = outputs;
                Ok(())
            }
            "context" => self.context().map(|context| file.contexts.push(context)),
            "map" => self.map(label.unwrap_or_default()).map(|map| file.maps.push(map)),
            "model" => self.model().map(|model| file.models.push(model)),
            "const" => self.constant().map(|constant| file.constants.push(constant)),
            "table" => self.table().map(|table| file.tables.push(table)),
            "action" => self.action().map(|action| file.actions.push(action)),
            "fn" => self.function().map(|function| file.functions.push(function)),
            _ => {
                let mut diagnostic = self.unexpected("a declaration");
                diagnostic.help = closest(word, DECLARATIONS.iter().copied())
                    .map(|close| format!("did you mean `{close}`?"));
                Err(self.report(diagnostic))
            }
        }
    }

    fn twice(&mut self, span: crate::source::Span, what: &str) -> Reported {
        self.report(Diagnostic::error(
            span,
            format!("there are two declarations of `{what}`"),
            "a program has one",
        ))
    }

    fn once<T>(
        &mut self,
        place: &mut Option<T>,
        found: T,
        span: crate::source::Span,
        what: &str,
    ) -> Parsed<()> {
        if place.is_some() {
            return Err(self.twice(span, what));
        }
        *place = Some(found);
        Ok(())
    }

    fn label(&mut self) -> Option<Label> {
        if self.eat_word("private") {
            Some(Label::Private)
        } else if self.eat_word("public") {
            Some(Label::Public)
        } else {
            None
        }
    }

    fn hook(&mut self) -> Parsed<Hook> {
        let name = self.name("the hook")?;
        self.expect_mark("=", "and the hook's number")?;
        let number = self.expression()?;
        self.expect_mark("{", "before the event's fields")?;
        let fields = self.items(|p| p.field("a field of the event"))?;
        Ok(Hook { name, number, fields })
    }

    /// `modifiers name: type @ offset;`
    fn field(&mut self, what: &str) -> Parsed<Field> {
        let (mut label, mut is_key, mut is_read_only, mut is_ring) =
            (Label::Public, false, false, false);
        // A modifier may be a field's name as well: then a colon follows it.
        while !self.is_mark_ahead(1, ":") {
            match self.current() {
                "private" => label = Label::Private,
                "public" => label = Label::Public,
                "key" => is_key = true,
                "readonly" => is_read_only = true,
                "ring" => is_ring = true,
                _ => break,
            }
            self.advance();
        }
        let name = self.word(&format!("the name of {what}"))?;
        self.expect_mark(":", "and the type")?;
        let kind = self.type_name()?;
        let offset = if self.eat_mark("@") { Some(self.expression()?) } else { None };
        self.expect_mark(";", "after the field")?;
        Ok(Field { name, kind, label, is_key, is_read_only, is_ring, offset })
    }

    fn context(&mut self) -> Parsed<Context> {
        let name = self.name("the context")?;
        self.expect_mark("[", "and the number of records")?;
        let capacity = self.expression()?;
        self.expect_mark("]", "after the number of records")?;
        self.expect_mark("{", "before the fields")?;
        let fields = self.items(|p| p.field("a field of the record"))?;
        Ok(Context { name, capacity, fields })
    }

    fn map(&mut self, label: Label) -> Parsed<Map> {
        let name = self.name("the map")?;
        self.expect_mark(":", "and the kind of map")?;
        let word = self.word("a kind of map")?;
        let Some(&(_, kind)) = MAP_KINDS.iter().find(|(text, _)| *text == word.node) else {
            let names = MAP_KINDS.iter().map(|(text, _)| *text);
            let diagnostic = Diagnostic::error(
                word.span,
                format!("there is no kind of map `{}`", word.node),
                "not a kind of map",
            );
            let help = crate::diagnostics::suggest(&word.node, names).unwrap_or_default();
            return Err(self.report(diagnostic.help(help)));
        };
        self.expect_mark("<", "and the type of the values, as in `hash<u64>[1024]`")?;
        let value = self.integer_type()?;
        self.expect_mark(">", "after the type of the values")?;
        self.expect_mark("[", "and the number of values")?;
        let capacity = self.expression()?;
        self.expect_mark("]", "after the number of values")?;
        self.expect_mark(";", "after the map")?;
        Ok(Map { name, kind, value, capacity, label })
    }

    fn model(&mut self) -> Parsed<Model> {
        let name = self.name("the model")?;
        self.expect_mark("=", "and the model's file")?;
        let span = self.span();
        if self.lexeme(0).token != Token::String {
            return Err(self.expected("the model's file in quotes"));
        }
        let node = self.current().trim_matches('"').to_owned();
        self.advance();
        self.expect_mark(";", "after the model's file")?;
        Ok(Model { name, path: Name { node, span } })
    }

    fn constant(&mut self) -> Parsed<Constant> {
        let name = self.name("the constant")?;
        let kind = if self.eat_mark(":") { Some(self.type_name()?) } else { None };
        self.expect_mark("=", "and the constant's value")?;
        let value = self.expression()?;
        self.expect_mark(";", "after the constant")?;
        Ok(Constant { name, kind, value })
    }

    fn action(&mut self) -> Parsed<Action> {
        let name = self.name("the action")?;
        self.expect_mark("(", "after the action's name")?;
        let parameters = self.list(")", Self::parameter)?;
        let body = self.block("before the action's body")?;
        Ok(Action { name, parameters, body })
    }

    fn function(&mut self) -> Parsed<Function> {
        let name = self.name("the function")?;
        self.expect_mark("(", "after the function's name")?;
        let parameters = self.list(")", Self::parameter)?;
        let result = if self.eat_mark("->") { Some(self.type_name()?) } else { None };
        let body = self.block("before the function's body")?;
        Ok(Function { name, parameters, result, body })
    }

    pub(super) fn parameter(&mut self) -> Parsed<Parameter> {
        let is_argument = self.eat_word("in");
        let name = self.name("the parameter")?;
        self.expect_mark(":", "and the parameter's type")?;
        Ok(Parameter { name, kind: self.type_name()?, is_argument })
    }

    fn integer_type(&mut self) -> Parsed<IntType> {
        let kind = self.type_name()?;
        match kind.node {
            TypeName::Int(int) => Ok(int),
            _ => Err(self.report(
                Diagnostic::error(kind.span, "this must be an integer type", "not an integer")
                    .help("integers are `u8` to `u64` and `i8` to `i64`"),
            )),
        }
    }

    /// `u32`, `bool`, `i16[15]` or the name of a context.
    pub(super) fn type_name(&mut self) -> Parsed<Spanned<TypeName>> {
        let word = self.word("a type")?;
        let Some(int) = IntType::parse(&word.node) else {
            let node = match word.node.as_str() {
                "bool" => TypeName::Bool,
                _ => TypeName::Record(word.node),
            };
            return Ok(Spanned { node, span: word.span });
        };
        if !self.eat_mark("[") {
            return Ok(Spanned { node: TypeName::Int(int), span: word.span });
        }
        let count = self.expression()?;
        let end = self.expect_mark("]", "after the number of lanes")?;
        Ok(Spanned { node: TypeName::Array(int, Box::new(count)), span: word.span.to(end) })
    }
}
