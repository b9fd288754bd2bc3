//! `rmt gen`: the Verilog of a core.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use rmt_core::CoreConfig;
use rmt_sim::verilated::Toolchain;
use serde_json::json;

use crate::estimate;

/// Generate the Verilog of a core, or of a whole card, from a configuration.
///
/// Example: rmt gen --preset small --card --lint -o build/card
#[derive(Args)]
pub struct Gen {
    #[command(flatten)]
    config: ConfigArguments,
    /// The core behind queue pairs and a PCIe endpoint, instead of the core alone
    #[arg(long)]
    card: bool,
    /// The card in a clock domain of its own, beside that of its PCIe block
    #[arg(long, requires = "card")]
    own_clock: bool,
    /// Folder for the Verilog; it is made if it is missing
    #[arg(short, long, default_value = "build/core")]
    output: PathBuf,
    /// Check the result with `verilator --lint-only -Wall`
    #[arg(long)]
    lint: bool,
    /// Print the configuration as TOML and generate nothing
    #[arg(long)]
    print_config: bool,
    /// Print what the card would take on an ECP5, without synthesis, and generate nothing
    #[arg(long)]
    estimate: bool,
    /// With --estimate: plot that of cards with other arrays and stages
    #[arg(long, requires = "estimate")]
    svg: Option<PathBuf>,
    /// Print the files, or the estimate, as JSON
    #[arg(long)]
    json: bool,
}

/// Which core: shared by all subcommands that generate one.
#[derive(Args)]
pub struct ConfigArguments {
    /// A ready configuration: smallest, tiny (4x4 array), small (8x8) or large (16x16)
    #[arg(long, default_value = "small", conflicts_with = "config")]
    preset: String,
    /// A configuration file (TOML); `--print-config` shows what it may hold
    #[arg(long)]
    config: Option<PathBuf>,
}

impl ConfigArguments {
    /// The same as words of a command line.
    pub fn to_arguments(&self) -> Vec<std::ffi::OsString> {
        match &self.config {
            Some(path) => vec!["--config".into(), path.into()],
            None => vec!["--preset".into(), self.preset.clone().into()],
        }
    }

    /// The configuration, checked.
    pub fn load(&self) -> Result<CoreConfig> {
        let config = match &self.config {
            Some(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                toml::from_str(&text).with_context(|| path.display().to_string())?
            }
            None => CoreConfig::preset(&self.preset)?,
        };
        config.check()?;
        Ok(config)
    }
}

impl Gen {
    pub fn run(self) -> Result<()> {
        let config = self.config.load()?;
        if self.print_config {
            print!("{}", toml::to_string_pretty(&config)?);
            return Ok(());
        }
        if self.estimate {
            return estimate::run(&config, self.svg.as_deref(), self.json);
        }
        let design = match (self.card, self.own_clock) {
            (true, true) => rmt_core::elaborate_pcie_card(&config)?,
            (true, false) => rmt_core::elaborate_card(&config)?,
            _ => rmt_core::elaborate(&config)?,
        };
        if self.lint {
            Toolchain::locate()?.lint(&design.files(), design.top_name())?;
        }
        let names = design
            .write_to(&self.output)
            .with_context(|| format!("cannot write to {}", self.output.display()))?;
        if self.json {
            println!(
                "{}",
                json!({ "top": design.top_name(), "folder": self.output, "files": names })
            );
        } else {
            let linted = if self.lint { ", clean under verilator --lint-only -Wall" } else { "" };
            println!("{} modules in {}{linted}", names.len(), self.output.display());
        }
        Ok(())
    }
}
