//! The `rmt` command: one file a subcommand, each thin over the crates that do the work.
//!
//! Results go to standard output, as a table for people or with `--json` for programs;
//! messages and progress go to standard error. The exit code is 0 only on success.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod docs;

/// Learned decisions for the operating system's kernel, in reconfigurable hardware.
#[derive(Parser)]
#[command(name = "rmt", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Docs(docs::Docs),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Docs(docs) => docs.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
