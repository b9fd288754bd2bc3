//! What the tests of both open flows share: a folder in which they call the tools.
#![allow(missing_docs)]

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rmt_fpga::Board;
use rmt_fpga::process::run;
use rmt_fpga::report::Timing;
use rmt_fpga::tools::{Search, Tool};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(1200);

/// Whether all tools are there; says which one is not and what installs it.
pub fn have(search: &Search, tools: &[Tool]) -> bool {
    tools.iter().all(|tool| match search.find(*tool) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("skipped: {error}");
            false
        }
    })
}

/// A folder in which tools work.
pub struct Bench {
    search: Search,
    folder: TempDir,
}

impl Bench {
    /// With the card, the board's top above it, and its pins under this name.
    pub fn new(search: Search, board: &Board, card: &str, pins: &str) -> Self {
        let bench = Self { search, folder: tempfile::tempdir().unwrap() };
        let top = board.top.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n");
        for (name, text) in [("card.v", card), ("top.v", &top), (pins, board.constraints.1)] {
            bench.write(name, text);
        }
        bench
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Runs a tool; what it said.
    pub fn call(&self, tool: Tool, arguments: &[&str]) -> String {
        let mut command = Command::new(self.search.find(tool).unwrap());
        command.current_dir(self.path()).args(arguments);
        let log = self.path().join(format!("{}.log", tool.name));
        let done = run(tool.name, &mut command, &log, LIMIT, &mut |_| ControlFlow::Continue(()));
        let said = std::fs::read_to_string(log).unwrap_or_default();
        if let Err(error) = done {
            panic!("{error}\n{said}");
        }
        said
    }
}

/// Each clock is known, as what the PLL's dividers make of the board's, and reached; the path between the two is told.
pub fn check_clocks(timing: &Timing, clocks: [(&str, f64); 2], crossing: &str) {
    for (clock, mhz) in clocks {
        let found = timing.clocks.iter().find(|found| found.name == clock);
        let found = found.unwrap_or_else(|| panic!("{clock}: {timing:?}"));
        assert!(found.reached_mhz > mhz && (found.asked_mhz - mhz).abs() < 0.1, "{timing:?}");
    }
    assert!(timing.paths.iter().any(|path| path.clocks == crossing), "{timing:?}");
}
