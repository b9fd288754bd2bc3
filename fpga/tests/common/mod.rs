//! What the tests of both open flows share: calling the tools in a folder.
#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rmt_fpga::process::run;
use rmt_fpga::tools::{Search, Tool};

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

/// Runs a tool in a folder; what it said.
pub fn call(search: &Search, tool: Tool, folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(search.find(tool).unwrap());
    command.current_dir(folder).args(arguments);
    let log = folder.join(format!("{}.log", tool.name));
    let done = run(tool.name, &mut command, &log, LIMIT, &mut |_| {});
    let said = std::fs::read_to_string(log).unwrap_or_default();
    if let Err(error) = done {
        panic!("{error}\n{said}");
    }
    said
}
