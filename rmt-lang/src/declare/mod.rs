//! Declarations to the skeleton of a program: everything but the code of actions.
//!
//! - this file: constants and the table of names;
//! - [`data`]: hook, decision, contexts, maps and models;
//! - [`tables`]: heads of actions and tables; [`entries`]: what tables begin with.
//!
//! The order is fixed by need: constants first (capacities are constants), tables last (their
//! entries name actions and their keys name fields).

mod data;
mod entries;
mod tables;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use rmt_isa::Program;
use rmt_isa::operand::IntType;
use rmt_isa::program::Table;

use crate::FileLoader;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::lower::value::{Type, Value};
use crate::lower::{self, calls_builtins};
use crate::source::{Name, Span};
use crate::syntax::{File, TypeName};

/// What a name at the top of the file stands for; numbers are indices into the lists of
/// [`File`] and [`Program`], which agree.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Global {
    Constant(Value),
    Context(usize),
    Map(usize),
    Model(usize),
    Table(usize),
    Action(usize),
    Function(usize),
}

/// An object of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModelItem {
    Tensor(usize),
    Scale(usize),
    Window(usize),
    Forest(usize),
}

impl ModelItem {
    /// The kind in words.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Tensor(_) => "tensor",
            Self::Scale(_) => "scale",
            Self::Window(_) => "window",
            Self::Forest(_) => "forest",
        }
    }
}

/// A field of the event, or several side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventItem {
    pub(crate) offset: u8,
    pub(crate) kind: IntType,
    /// `i16[15]`: a field of that many lanes.
    pub(crate) lanes: Option<usize>,
}

/// All that is declared.
pub(crate) struct Symbols<'a> {
    pub(crate) file: &'a File,
    pub(crate) program: Program,
    pub(crate) names: BTreeMap<String, (Global, Span)>,
    /// Names that somebody asked for, to warn of the others.
    pub(crate) used: RefCell<BTreeSet<String>>,
    pub(crate) event: BTreeMap<String, EventItem>,
    /// Index of each output in [`Program::outputs`]; with a count where several have one name.
    pub(crate) outputs: BTreeMap<String, (usize, Option<usize>)>,
    /// For each model the objects by name; `None` when its file could not be read.
    pub(crate) model_items: Vec<Option<BTreeMap<String, ModelItem>>>,
}

/// Reads all declarations. The code of the actions is still empty.
pub(crate) fn declare<'a>(
    file: &'a File,
    source_name: &str,
    text_span: Span,
    loader: &dyn FileLoader,
    diagnostics: &mut Diagnostics,
) -> Symbols<'a> {
    let program = Program { source: source_name.to_owned(), ..Program::default() };
    let mut symbols = Symbols {
        file,
        program,
        names: BTreeMap::new(),
        used: RefCell::default(),
        event: BTreeMap::new(),
        outputs: BTreeMap::new(),
        model_items: Vec::new(),
    };
    match &file.program {
        Some(name) => symbols.program.name.clone_from(&name.node),
        None => diagnostics.push(
            Diagnostic::error(text_span, "the program has no name", "a file begins with it")
                .help("begin with `program some_name;`"),
        ),
    }
    symbols.name_everything(diagnostics);
    symbols.constants(diagnostics);
    symbols.hook(text_span, diagnostics);
    symbols.outputs(diagnostics);
    symbols.contexts(diagnostics);
    symbols.maps(diagnostics);
    symbols.models(loader, diagnostics);
    symbols.actions(diagnostics);
    symbols.tables(text_span, diagnostics);
    symbols
}

impl Symbols<'_> {
    fn name_everything(&mut self, diagnostics: &mut Diagnostics) {
        let file = self.file;
        let named: Vec<(&Name, Global)> = std::iter::empty()
            .chain(file.contexts.iter().enumerate().map(|(i, c)| (&c.name, Global::Context(i))))
            .chain(file.maps.iter().enumerate().map(|(i, m)| (&m.name, Global::Map(i))))
            .chain(file.models.iter().enumerate().map(|(i, m)| (&m.name, Global::Model(i))))
            .chain(file.tables.iter().enumerate().map(|(i, t)| (&t.name, Global::Table(i))))
            .chain(file.actions.iter().enumerate().map(|(i, a)| (&a.name, Global::Action(i))))
            .chain(file.functions.iter().enumerate().map(|(i, f)| (&f.name, Global::Function(i))))
            .collect();
        for (name, global) in named {
            self.add_name(name, global, diagnostics);
        }
    }

    fn add_name(&mut self, name: &Name, global: Global, diagnostics: &mut Diagnostics) {
        let is_function = matches!(global, Global::Function(_));
        if is_function && calls_builtins(&name.node) {
            let message = format!("`{}` is a function of the language", name.node);
            diagnostics.push(
                Diagnostic::error(name.span, message, "this name is taken")
                    .help("take another name"),
            );
            return;
        }
        if let Some((_, first)) = self.names.get(&name.node) {
            let message = format!("there are two declarations of `{}`", name.node);
            diagnostics.push(
                Diagnostic::error(name.span, message, "the second one")
                    .related(*first, "the first one")
                    .help("take another name for one of them"),
            );
            return;
        }
        self.names.insert(name.node.clone(), (global, name.span));
    }

    fn constants(&mut self, diagnostics: &mut Diagnostics) {
        for constant in &self.file.constants {
            let expected = match constant.kind.as_ref().map(|kind| &kind.node) {
                None => None,
                Some(TypeName::Int(kind)) => Some(Type::Int(*kind)),
                Some(TypeName::Bool) => Some(Type::Bool),
                Some(_) => {
                    let span = constant.kind.as_ref().map_or(constant.name.span, |kind| kind.span);
                    let message = "constants are integers and bools";
                    diagnostics.push(Diagnostic::error(span, message, "not for constants"));
                    None
                }
            };
            let value = lower::constant(self, diagnostics, &constant.value, expected);
            let global = Global::Constant(value.unwrap_or(Value::Mistake));
            self.add_name(&constant.name, global, diagnostics);
        }
    }

    /// Warns of what is declared and never used.
    pub(crate) fn warn_of_unused(&self, diagnostics: &mut Diagnostics) {
        let used = self.used.borrow();
        for (name, (global, span)) in &self.names {
            let (is_used, remedy) = match global {
                Global::Table(index) => {
                    (*index == 0 || used.contains(name), "reach it with `goto`")
                }
                Global::Action(index) => {
                    let listed = |table: &Table| table.actions.contains(&(*index as u16));
                    (self.program.tables.iter().any(listed), "list it in a table")
                }
                _ => (used.contains(name), "use it"),
            };
            if !is_used && !name.starts_with('_') {
                let message = format!("`{name}` is never used");
                diagnostics.push(
                    Diagnostic::warning(*span, message, "declared here")
                        .help(format!("{remedy}, or leave it out")),
                );
            }
        }
    }
}
