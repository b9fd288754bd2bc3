//! `rmt docs`: writes the reference pages that are made from the tables, or checks them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

/// Write the generated reference pages, or check that they are fresh.
///
/// Example: rmt docs --check
#[derive(Args)]
pub struct Docs {
    /// Only compare: fail and name each page that differs from what would be written
    #[arg(long)]
    check: bool,
    /// The project's folder
    #[arg(long, default_value = ".")]
    root: PathBuf,
}

impl Docs {
    pub fn run(self) -> Result<()> {
        let mut stale = Vec::new();
        for page in rmt_isa::reference::pages() {
            let path = self.root.join(page.path);
            // A page that cannot be read is as stale as one that differs.
            if fs::read_to_string(&path).is_ok_and(|content| content == page.content) {
                continue;
            }
            if self.check {
                stale.push(page.path);
                continue;
            }
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)
                    .with_context(|| format!("cannot create the folder {}", folder.display()))?;
            }
            fs::write(&path, page.content)
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {}", page.path);
        }
        if !stale.is_empty() {
            bail!("stale: {}; run `rmt docs` and commit the result", stale.join(", "));
        }
        Ok(())
    }
}
