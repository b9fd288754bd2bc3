//! The `rmt` command: one file a subcommand, each thin over the crates that do the work.
//!
//! Results go to standard output, as a table for people or with `--json` for programs;
//! messages and progress go to standard error. The exit code is 0 only on success.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod bench;
mod build;
mod card;
mod check;
mod cosim;
mod ctl;
mod demo;
mod dis;
mod docs;
mod estimate;
mod fpga;
mod r#gen;
mod guest;
mod import;
mod kernel;
mod learner;
mod mutate;
mod program;
mod record;
mod report;
mod run;
mod serve;
mod top;
mod train;

/// Learned decisions for the operating system's kernel, in reconfigurable hardware.
#[derive(Parser)]
#[command(name = "rmt", version, about, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Demo(demo::Demo),
    Build(build::Build),
    Check(check::Check),
    Dis(dis::Dis),
    Run(run::Run),
    Gen(r#gen::Gen),
    Cosim(cosim::Cosim),
    Mutate(mutate::Mutate),
    Bench(bench::Bench),
    Card(card::CardCommand),
    Fpga(fpga::FpgaCommand),
    Guest(guest::GuestCommand),
    Kernel(kernel::KernelCommand),
    Record(record::Record),
    Docs(docs::Docs),
    Train(train::Train),
    Import(import::Import),
    Report(report::Report),
    Serve(serve::Serve),
    Ctl(ctl::Ctl),
    Top(top::Top),
}

fn main() -> ExitCode {
    end_quietly_without_reader();
    let result = match Arguments::parse().command {
        Command::Demo(demo) => demo.run(),
        Command::Build(build) => build.run(),
        Command::Check(check) => check.run(),
        Command::Dis(dis) => dis.run(),
        Command::Run(run) => run.run(),
        Command::Gen(r#gen) => r#gen.run(),
        Command::Cosim(cosim) => cosim.run(),
        Command::Mutate(mutate) => mutate.run(),
        Command::Bench(bench) => bench.run(),
        Command::Card(card) => card.run(),
        Command::Fpga(fpga) => fpga.run(),
        Command::Guest(guest) => guest.run(),
        Command::Kernel(kernel) => kernel.run(),
        Command::Record(record) => record.run(),
        Command::Docs(docs) => docs.run(),
        Command::Train(train) => train.run(),
        Command::Import(import) => import.run(),
        Command::Report(report) => report.run(),
        Command::Serve(serve) => serve.run(),
        Command::Ctl(ctl) => ctl.run(),
        Command::Top(top) => top.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What a shell reports of a program that its reader has left: 128 and the number of SIGPIPE.
const READER_IS_GONE: i32 = 141;

/// Lets `rmt ... | head` end like any other program. `println!` panics there, and the signal that ends
/// others would also end a server whose client goes away.
fn end_quietly_without_reader() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map_or("", String::as_str);
        if text.starts_with("failed printing to stdout") && text.contains("Broken pipe") {
            std::process::exit(READER_IS_GONE);
        }
        report(panic);
    }));
}
