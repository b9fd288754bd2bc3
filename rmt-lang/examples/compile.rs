//! Compiles a .rmt file and prints its actions in assembly with source lines.
//!
//! `cargo run -p rmt-lang --example compile firmware/page_prefetch.rmt`

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: compile FILE.rmt");
        return ExitCode::FAILURE;
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let loader = rmt_lang::DirectoryLoader::beside(Path::new(&path));
    match rmt_lang::compile(&path, &text, &loader) {
        Ok(program) => {
            for action in &program.actions {
                println!("{}: {} instructions", action.name, action.code.len());
                for (instruction, line) in action.code.iter().zip(&action.lines) {
                    println!("{line:5}  {instruction}");
                }
            }
            ExitCode::SUCCESS
        }
        Err(diagnostics) => {
            eprint!("{}", diagnostics.render(true));
            ExitCode::FAILURE
        }
    }
}
