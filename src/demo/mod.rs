//! `rmt demo`: the whole idea on real input, in one command.
//!
//! [`prefetch`] and [`migrate`] run the two programs of `firmware/` over recorded events, on
//! the interpreter for what the decisions are worth, and on interpreter and RTL together for
//! equality and cycles. [`page`] makes one HTML page of it, with the plots of [`plot`].

mod migrate;
mod page;
pub mod plot;
mod prefetch;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use rmt_isa::card::lower;
use rmt_isa::{Event, Program};
use rmt_sim::card::VerilatedPins;
use rmt_sim::cosim::CosimReport;
use rmt_sim::verilated::Trace;
use rmt_vm::events::EventReader;
use serde_json::json;

use crate::cosim::Setting;
use crate::r#gen::ConfigArguments;
use crate::program;

/// Run both programs of firmware/ over recorded kernel events, on the interpreter and on the
/// simulated RTL, and write a report with plots.
///
/// Example: rmt demo
#[derive(Args)]
pub struct Demo {
    #[command(flatten)]
    config: ConfigArguments,
    /// Where the programs and traces are
    #[arg(long, default_value = "firmware")]
    firmware: PathBuf,
    /// Where the report goes
    #[arg(long, default_value = "report/demo.html")]
    report: PathBuf,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

/// One program on the RTL: which events, and what came out.
pub struct RtlRun {
    /// What the events are.
    pub events: String,
    /// What the co-simulation found.
    pub report: CosimReport,
}

impl Demo {
    pub fn run(self) -> Result<()> {
        let config = self.config.load()?;
        let array = config.shape().engine.array;
        let prefetch = prefetch::run(&self.firmware)?;
        if !self.json {
            println!("page_prefetch.rmt: which pages will this process fault on next?");
            println!("Each policy sees the same recorded swap-in faults of real programs.\n");
            println!("{}\n", prefetch::table(&prefetch));
        }
        let migrate = migrate::run(&self.firmware)?;
        if !self.json {
            println!("can_migrate_task.rmt: may the load balancer move this task?\n");
            println!("{migrate}\n");
            println!(
                "Both programs on the RTL ({array}x{array} array, Verilator) against the interpreter:\n"
            );
        }
        let mut runs = Vec::new();
        let programs = [
            ("page_prefetch.rmt", prefetch::traces(&self.firmware)),
            ("can_migrate_task.rmt", vec![migrate::trace(&self.firmware)]),
        ];
        for (name, traces) in programs {
            let (program, report) =
                program::load_verified(&self.firmware.join(name), &Default::default())?;
            let image = lower(&program, report.ordering.class, config.shape())?;
            let setting = Setting { config: config.clone(), program, image, in_flight: 1 };
            let model = setting.verilated_model(None, Trace::None)?;
            for trace in traces {
                let events = read_events(&setting.program, &trace)?;
                let report = setting.cosimulate(&events, || Ok(VerilatedPins::new(&model)?))?;
                let run = RtlRun { events: format!("{name} on {}", stem(&trace)), report };
                if !self.json {
                    println!("{}", line(&run));
                }
                runs.push(run);
            }
        }
        if let Some(folder) = self.report.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let page = page::render(&config, &prefetch, &migrate, &runs)?;
        program::write_whole(&self.report, page.as_bytes())?;
        if self.json {
            let result = json!({
                "page_prefetch": prefetch.iter().map(prefetch::to_json).collect::<Vec<_>>(),
                "can_migrate_task": migrate.to_json(),
                "rtl": runs.iter().map(|run| {
                    json!({ "events": run.events, "result": run.report.to_json() })
                }).collect::<Vec<_>>(),
                "report": self.report,
            });
            println!("{result}");
        } else {
            println!("\nReport with plots: {}", self.report.display());
        }
        let mismatches: usize = runs.iter().map(|run| run.report.mismatches.len()).sum();
        ensure!(mismatches == 0, "the RTL differs from the interpreter in {mismatches} places");
        Ok(())
    }
}

fn line(run: &RtlRun) -> String {
    let report = &run.report;
    let first = report.mismatches.first();
    format!(
        "{:<38} {:>6} events, {} mismatches, cycles per decision {} / {} / {} (least / median / most){}",
        run.events,
        report.events,
        report.mismatches.len(),
        report.cycles_at(0),
        report.cycles_at(500),
        report.cycles_at(1000),
        first.map(|first| format!("\n    {first}")).unwrap_or_default(),
    )
}

fn read_events(program: &Program, trace: &Path) -> Result<Vec<Event>> {
    Ok(EventReader::open(trace, &program.hook)?.collect::<Result<_, _>>()?)
}

/// The name of a trace without its endings.
fn stem(trace: &Path) -> String {
    let name = trace.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}
