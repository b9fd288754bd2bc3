//! `rmt build`: a source becomes a verified image.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::program;

/// Compile a program, verify it and write its image.
///
/// Example: rmt build firmware/page_prefetch.rmt -o page_prefetch.elf
#[derive(Args)]
pub struct Build {
    /// The .rmt source
    source: PathBuf,
    /// The image; the source's name with .elf when left out
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Build {
    pub fn run(self) -> Result<()> {
        let (program, report) = program::load_verified(&self.source, &Default::default())?;
        for warning in &report.warnings {
            eprintln!("{warning}");
        }
        let image = rmt_isa::image::write(&program)?;
        let output = self.output.unwrap_or_else(|| self.source.with_extension("elf"));
        program::write_whole(&output, &image)?;
        let instructions: usize = program.actions.iter().map(|action| action.code.len()).sum();
        if self.json {
            let result = json!({
                "program": program.name,
                "image": output,
                "bytes": image.len(),
                "actions": program.actions.len(),
                "instructions": instructions,
            });
            println!("{result}");
        } else {
            println!(
                "{}: {} bytes, {} actions, {instructions} instructions, verified",
                output.display(),
                image.len(),
                program.actions.len()
            );
        }
        Ok(())
    }
}
