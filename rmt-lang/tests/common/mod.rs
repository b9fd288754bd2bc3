//! Compiling, verifying and running small programs.

#![allow(dead_code, reason = "each test file uses a part")]

use rmt_isa::{Decision, Event, Program};
use rmt_lang::MemoryLoader;
use rmt_vm::Machine;
use rmt_vm::verifier::{Limits, verify};

/// Compiles a text that must be right, with model files in memory, and has it verified.
pub fn compile_with(text: &str, files: &[(&str, &str)]) -> Program {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let loader = MemoryLoader { files: files.collect() };
    let program = rmt_lang::compile("test.rmt", text, &loader)
        .unwrap_or_else(|diagnostics| panic!("{text}\n{}", diagnostics.render(false)));
    if let Err(violations) = verify(&program, &Limits::default()) {
        let list: String = violations.iter().map(|violation| format!("{violation}\n")).collect();
        panic!("{text}\n{list}{}", assembly(&program));
    }
    program
}

/// Compiles a text that must be right and names no files.
pub fn compile(text: &str) -> Program {
    compile_with(text, &[])
}

/// The code of all actions, for messages.
pub fn assembly(program: &Program) -> String {
    let mut text = String::new();
    for action in &program.actions {
        text.push_str(&format!("{}:\n", action.name));
        for instruction in &action.code {
            text.push_str(&format!("  {instruction}\n"));
        }
    }
    text
}

/// An event of the program's hook with these values of fields.
pub fn event(program: &Program, values: &[(&str, u64)]) -> Event {
    let mut event = Event::new(program.hook.number, 0, 0);
    for (name, value) in values {
        let field = program.hook.fields.iter().find(|field| field.name == *name).unwrap();
        event.store(field.offset.into(), field.kind.bytes(), *value);
    }
    event
}

/// Runs one event on a new machine.
pub fn run(program: &Program, values: &[(&str, u64)]) -> Decision {
    Machine::new(program).unwrap().run(&event(program, values))
}

/// A program with three outputs, a context, maps and one action with this body.
pub fn with_body(body: &str) -> String {
    format!(
        "program test;
hook test = 1 {{ key k: u64; a: u64; b: u64; x: i32; y: i32; s: i8; t: u8; v: i16[6]; }}
decision {{ r0: u64; r1: i64; r2: u32; }}
context records[16] {{ count: u64; small: i8; readonly limit: u32; ring past: i16[4]; }}
context others[4] {{ sum: i64; }}
map list: array<u32>[8];
map counts: hash<u64>[16];
map recent: lru_hash<i32>[8];
map log: ring_buffer<u16>[4];
map sizes: histogram<u64>[10];
table test {{ actions = {{ act }}; default = act(); }}
action act() {{
{body}
}}
"
    )
}

/// Outputs of a body on one event.
pub fn outputs(body: &str, values: &[(&str, u64)]) -> [u64; 3] {
    run(&compile(&with_body(body)), values).outputs
}
