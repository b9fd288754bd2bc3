//! The .rmt language: text to a [`Program`], or diagnostics.
//!
//! A text goes through these modules, in this order:
//!
//! - `lexer` and `parser`: text to the tree in `syntax`;
//! - `declare`: everything but the bodies of actions to the skeleton of a program; `model`
//!   reads the files that models come from;
//! - `lower`: bodies to intermediate code (`ir`), names and types checked, functions inlined,
//!   loops unrolled;
//! - `optimise`, `allocate`, `emit`: intermediate code to instructions on 16 scalar and 8
//!   vector registers.
//!
//! `diagnostics` collects what there is to say. `docs/language.md` is the reference of the
//! language. Whether the program is acceptable (bounds, overflow, information flow) is for the
//! verifier of `rmt-vm` to say; what this crate accepts passes its structural checks.

mod allocate;
mod declare;
mod diagnostics;
mod emit;
mod format;
mod ir;
mod lexer;
mod loader;
mod lower;
mod model;
mod optimise;
mod parser;
mod source;
mod syntax;

pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use format::format;
pub use loader::{DirectoryLoader, FileLoader, MemoryLoader};
pub use source::Span;

use declare::Symbols;
use emit::EmitError;
use rmt_isa::Program;
use source::LineIndex;

/// Largest text that is compiled, in bytes.
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

/// Compiles a text.
///
/// `source_name` is the name used in messages and kept in the program; `loader` reads the
/// model files that the text names.
///
/// # Errors
/// All mistakes that were found, with their places and remedies.
///
/// # Examples
/// ```
/// let text = "
/// program answer;
/// hook nap = 1 { key pid: u64; }
/// decision { minutes: u32; }
/// table naps { actions = { sleep }; default = sleep(); }
/// action sleep() { out.minutes = 20; }
/// ";
/// let program = rmt_lang::compile("nap.rmt", text, &rmt_lang::MemoryLoader::default())?;
/// assert_eq!(program.actions[0].name, "sleep");
/// # Ok::<(), rmt_lang::Diagnostics>(())
/// ```
pub fn compile(
    source_name: &str,
    text: &str,
    loader: &dyn FileLoader,
) -> Result<Program, Diagnostics> {
    compile_with_warnings(source_name, text, loader).map(|(program, _)| program)
}

/// As [`compile`], and gives the warnings of a program that is right as well.
///
/// # Errors
/// As [`compile`].
pub fn compile_with_warnings(
    source_name: &str,
    text: &str,
    loader: &dyn FileLoader,
) -> Result<(Program, Diagnostics), Diagnostics> {
    let mut diagnostics = Diagnostics::new(source_name, text);
    if text.len() > MAX_SOURCE_BYTES {
        diagnostics.push(too_long(text));
        return Err(diagnostics);
    }
    let lexed = lexer::lex(text, &mut diagnostics);
    let file = parser::parse(text, &lexed, &mut diagnostics);
    if diagnostics.has_errors() {
        // What is declared in a text that cannot be read is a guess; errors about it mislead.
        return Err(diagnostics);
    }
    let start = Span::new(0, text.chars().next().map_or(0, char::len_utf8));
    let mut symbols = declare::declare(&file, source_name, start, loader, &mut diagnostics);
    for function in &file.functions {
        lower::check_function(&symbols, &mut diagnostics, function);
    }
    let lines = LineIndex::new(text);
    for index in 0..file.actions.len() {
        compile_action(&mut symbols, index, &lines, &mut diagnostics);
    }
    if diagnostics.has_errors() {
        // Mistakes leave names unused; only they are to be looked at now.
        return Err(diagnostics.errors());
    }
    symbols.warn_of_unused(&mut diagnostics);
    Ok((symbols.program, diagnostics))
}

/// Fills in the code of one action.
fn compile_action(
    symbols: &mut Symbols<'_>,
    index: usize,
    lines: &LineIndex,
    diagnostics: &mut Diagnostics,
) {
    let action = &symbols.file.actions[index];
    let mut crowded = None;
    // Keeping computed values for later use is faster, but takes registers.
    for reuse in [true, false] {
        let mut code = lower::lower_action(symbols, diagnostics, action, reuse);
        if diagnostics.has_errors() {
            return;
        }
        optimise::optimise(&mut code, &symbols.program);
        match allocate::allocate(&code) {
            Ok(allocation) => {
                match emit::emit(&code, &allocation, lines) {
                    Ok((instructions, source_lines)) => {
                        let action = &mut symbols.program.actions[index];
                        action.code = instructions;
                        action.lines = source_lines;
                    }
                    Err(error) => diagnostics.push(emit_error(&action.name, &error)),
                }
                return;
            }
            Err(diagnostic) => crowded = Some(diagnostic),
        }
    }
    if let Some(diagnostic) = crowded {
        diagnostics.push(*diagnostic);
    }
}

fn emit_error(name: &source::Name, error: &EmitError) -> Diagnostic {
    match error {
        EmitError::TooLong(count) => {
            let most = rmt_isa::limits::MAX_ACTION_INSTRUCTIONS;
            let message =
                format!("`{}` has {count} instructions, at most {most} are possible", name.node);
            Diagnostic::error(name.span, message, "too long")
                .help("loops are unrolled and functions inlined: make the loops shorter, or split the action with `goto`")
        }
        EmitError::Encoding(what) => {
            let message = format!("`{}` cannot be encoded: {what}", name.node);
            Diagnostic::error(name.span, message, "a defect of the compiler, please report it")
        }
    }
}

fn too_long(text: &str) -> Diagnostic {
    let message = format!("the text has {} bytes, at most {MAX_SOURCE_BYTES} are read", text.len());
    Diagnostic::error(Span::new(0, 0), message, "too long")
        .help("constants of models belong into model files")
}
