//! `rmt fpga`: from a configuration to a bitstream on a board.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use maud::{DOCTYPE, html};
use rmt_core::CoreConfig;
use rmt_fpga::boards::{BOARDS, Board};
use rmt_fpga::flow::{Builder, Progress, Request, loader_command};
use rmt_fpga::report::Report;
use rmt_fpga::tools::Search;
use serde_json::json;

/// Build, report and load bitstreams.
///
/// Example: rmt fpga build --board ecpix5
#[derive(Args)]
pub struct FpgaCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the boards: part, clock, link, what builds them, what was shown of them
    ///
    /// Example: rmt fpga list
    List {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Build a bitstream, from the configuration on; steps whose input is the same are not run again
    ///
    /// Example: rmt fpga build --board ulx3s --mhz 50 -o build/ulx3s
    Build(Build),
    /// Show the report of a build again
    ///
    /// Example: rmt fpga report build/fpga/ecpix5
    Report {
        /// Folder of the build
        folder: PathBuf,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Load a bitstream into a board; prints the command first
    ///
    /// Example: rmt fpga flash --board ecpix5 build/fpga/ecpix5/board.bit --dry-run
    Flash {
        /// The board
        #[arg(long)]
        board: String,
        /// The bitstream
        bitstream: PathBuf,
        /// Into the flash memory, so that it stays; without it, into the FPGA until the power goes
        #[arg(long)]
        permanent: bool,
        /// Only print the command
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Args)]
struct Build {
    /// The board; `rmt fpga list` shows those that there are
    #[arg(long)]
    board: String,
    /// A ready configuration: smallest, tiny, small or large; without it, the board's own
    #[arg(long, conflicts_with = "config")]
    preset: Option<String>,
    /// A configuration file (TOML); `rmt gen --print-config` shows what it may hold
    #[arg(long)]
    config: Option<PathBuf>,
    /// Clock of the card, MHz; without it, the board's
    #[arg(long)]
    mhz: Option<f64>,
    /// Clock that the router is asked for, MHz; without it, by what the placement is expected to reach. The card's clock stays
    #[arg(long, value_parser = aim)]
    aim: Option<f64>,
    /// Speed grade to route for, in place of the part's own: to compare, not to load
    #[arg(long)]
    speed: Option<u32>,
    /// Seed of place and route; without it, seeds from 1 on until one can be routed
    #[arg(long)]
    seed: Option<u32>,
    /// Seeds to place and route, from the first one on: the fastest one is taken
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    best_of: Option<u32>,
    /// Stop when it is known what the design takes and that it fits
    #[arg(long)]
    synthesis_only: bool,
    /// Minutes that each tool may run
    #[arg(long, default_value_t = 240)]
    limit: u64,
    /// Folder for bitstream and report (default: build/fpga/BOARD)
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// A clock that may be asked of the router.
fn aim(text: &str) -> Result<f64, String> {
    let mhz = text
        .parse()
        .map_err(|_| "this is no clock; give a clock in MHz, such as 37.5".to_owned())?;
    if !(1.0..=1000.0).contains(&mhz) {
        return Err("clocks from 1 to 1000 MHz can be asked for".to_owned());
    }
    Ok(mhz)
}

/// Seeds that are tried when none is asked for: each takes half an hour.
const TRIES: u32 = 4;

impl FpgaCommand {
    pub fn run(self) -> Result<()> {
        match self.action {
            Action::List { json } => list(json),
            Action::Build(build) => build.run(),
            Action::Report { folder, json } => {
                let path = folder.join("report.json");
                let text = fs::read_to_string(&path).with_context(|| {
                    format!("cannot read {}; `rmt fpga build` writes it", path.display())
                })?;
                let report: Report = serde_json::from_str(&text)
                    .with_context(|| format!("{} is no report", path.display()))?;
                print_report(&report, json)
            }
            Action::Flash { board, bitstream, permanent, dry_run } => {
                flash(Board::find(&board)?, &bitstream, permanent, dry_run)
            }
        }
    }
}

fn list(as_json: bool) -> Result<()> {
    if as_json {
        let boards: Vec<_> = BOARDS
            .iter()
            .map(|board| {
                json!({ "name": board.name, "title": board.title, "part": board.part, "link": board.link,
                        "flow": board.flow, "mhz": board.card_mhz, "state": board.state })
            })
            .collect();
        println!("{}", json!(boards));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["board", "what it is", "part", "MHz", "link", "built by", "shown so far"]);
    for board in BOARDS {
        let flow = serde_json::to_value(board.flow)?;
        table.add_row([
            board.name.to_owned(),
            board.title.to_owned(),
            board.part.name.to_owned(),
            board.card_mhz.to_string(),
            board.link.describe(),
            flow.as_str().unwrap_or_default().to_owned(),
            board.state.to_owned(),
        ]);
    }
    println!("{table}");
    Ok(())
}

impl Build {
    fn configuration(&self, board: &Board) -> Result<CoreConfig> {
        let config = match (&self.preset, &self.config) {
            (Some(name), _) => CoreConfig::preset(name)?,
            (None, Some(path)) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                toml::from_str(&text).with_context(|| path.display().to_string())?
            }
            (None, None) => (board.configuration)(),
        };
        config.check()?;
        Ok(config)
    }

    fn run(self) -> Result<()> {
        let board = Board::find(&self.board)?;
        let config = self.configuration(board)?;
        let request = Request {
            board,
            config: &config,
            mhz: self.mhz.unwrap_or(board.card_mhz),
            seed: self.seed.unwrap_or(1),
            tries: if self.seed.is_some() { 1 } else { TRIES },
            best_of: self.best_of.unwrap_or(1),
            aim_mhz: self.aim,
            speed: self.speed,
            limit: Duration::from_secs(60 * self.limit),
            only_synthesis: self.synthesis_only,
        };
        let bar = ProgressBar::new(100).with_style(ProgressStyle::with_template(
            "{prefix:>16} [{bar:30}] {percent:>3} % {elapsed:>4} {wide_msg}",
        )?);
        let mut progress = |progress: Progress| {
            bar.set_prefix(progress.step);
            bar.set_position((100.0 * progress.done) as u64);
            bar.set_message(progress.doing);
        };
        let build = Builder::from_environment(&mut progress).build(&request);
        bar.finish_and_clear();
        let build = build?;
        let folder = self.output.unwrap_or_else(|| Path::new("build/fpga").join(board.name));
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let write = |name: &str, text: String| {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("report.json", serde_json::to_string_pretty(&build.report)?)?;
        write("report.md", build.report.markdown())?;
        write("report.html", page(&build.report))?;
        if let Some(bitstream) = &build.bitstream {
            let copy = folder.join("board.bit");
            fs::copy(bitstream, &copy)
                .with_context(|| format!("cannot write {}", copy.display()))?;
        }
        print_report(&build.report, self.json)?;
        if !self.json {
            println!("written to {}", folder.display());
        }
        if !build.report.meets_timing() {
            bail!(
                "the clock asked for is not reached; ask for a lower one with --mhz, or for another --seed"
            );
        }
        Ok(())
    }
}

fn print_report(report: &Report, as_json: bool) -> Result<()> {
    if as_json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{}", report.markdown());
    }
    Ok(())
}

/// The report as a page for a browser.
fn page(report: &Report) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "rmt fpga: " (report.board) }
                style { "body { font: 14px/1.4 monospace; margin: 2em; } pre { white-space: pre-wrap; }" }
            }
            body { pre { (report.markdown()) } }
        }
    }
    .into_string()
}

fn flash(board: &Board, bitstream: &Path, permanent: bool, dry_run: bool) -> Result<()> {
    if !bitstream.is_file() {
        bail!(
            "{} is missing; `rmt fpga build --board {}` makes it",
            bitstream.display(),
            board.name
        );
    }
    let words = loader_command(&Search::from_environment(), board, bitstream, permanent)?;
    println!("{}", words.join(" "));
    if dry_run {
        return Ok(());
    }
    let status = Command::new(&words[0]).args(&words[1..]).status()?;
    if !status.success() {
        bail!(
            "openFPGALoader ended with {status}; is the board connected, and may this user reach it?"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_clock_that_no_router_reaches_is_refused() {
        assert_eq!(super::aim("37.5"), Ok(37.5));
        for (text, problem) in [("fast", "no clock"), ("nan", "1 to 1000"), ("0", "1 to 1000")] {
            assert!(super::aim(text).unwrap_err().contains(problem), "{text}");
        }
    }
}
