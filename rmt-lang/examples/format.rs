//! Prints a .rmt file as the formatter writes it.
//!
//! `cargo run -p rmt-lang --example format firmware/page_prefetch.rmt`

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: format FILE.rmt");
        return ExitCode::FAILURE;
    };
    let formatted = std::fs::read_to_string(&path)
        .map_err(|error| format!("{path}: {error}\n"))
        .and_then(|text| rmt_lang::format(&path, &text).map_err(|found| found.render(true)));
    match formatted {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprint!("{message}");
            ExitCode::FAILURE
        }
    }
}
