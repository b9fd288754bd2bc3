//! Runs a tool with a time limit, line by line. It ends with whoever runs it, however that ends: place and route
//! would else go on for an hour behind a command that was killed.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::error::FpgaError;

/// How long a tool may go on after its last line.
const POLL: Duration = Duration::from_millis(100);

/// A tool that is stopped when nobody waits for it any longer.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself since.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Has the kernel kill the process that a command starts when the thread that starts it ends, which the process
/// of this thread cannot do itself when it is killed. Elsewhere than on Linux the process goes on.
fn ends_with_its_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, set_parent_process_death_signal};
        use std::os::unix::process::CommandExt as _;
        let ask = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
        // SAFETY: between fork and exec the closure makes one system call, and touches neither memory of others nor a lock.
        unsafe { command.pre_exec(ask) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// Runs a command to its end, at most for `limit`. Each line of its output goes to `line`, which may break it off, and into
/// the file `log`.
///
/// # Errors
/// [`FpgaError::ToolFailed`] with what it said of errors, [`FpgaError::ToolTimeout`], or a file that cannot be written.
pub fn run(
    tool: &'static str,
    command: &mut Command,
    log: &Path,
    limit: Duration,
    line: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<(), FpgaError> {
    let program = std::path::PathBuf::from(command.get_program());
    let mut file = File::create(log).map_err(FpgaError::file("write", log))?;
    ends_with_its_parent(command);
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(FpgaError::file("run", &program))?;
    let mut running = Running(child);
    let child = &mut running.0;
    let (sender, receiver) = mpsc::channel();
    let streams: [Option<Box<dyn std::io::Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for stream in streams.into_iter().flatten() {
        let sender = sender.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                // Nobody listens any longer when the tool is stopped.
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
    }
    drop(sender);
    let begun = Instant::now();
    let mut said: Vec<String> = Vec::new();
    loop {
        match receiver.recv_timeout(POLL) {
            Ok(text) => {
                let text = text.trim_end();
                writeln!(file, "{text}").map_err(FpgaError::file("write", log))?;
                if line(text).is_break() {
                    return Ok(());
                }
                said.push(text.to_owned());
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if begun.elapsed() >= limit {
            return Err(FpgaError::ToolTimeout { tool, limit });
        }
    }
    let status = child.wait().map_err(FpgaError::file("wait for", &program))?;
    if status.success() {
        return Ok(());
    }
    Err(FpgaError::ToolFailed {
        tool,
        status: status.to_string(),
        output: cause(&said),
        log: log.to_owned(),
    })
}

/// The lines that say why: those with an error, else the last ones.
fn cause(said: &[String]) -> String {
    const LINES: usize = 10;
    let errors: Vec<&str> =
        said.iter().map(String::as_str).filter(|line| line.contains("ERROR")).take(LINES).collect();
    if !errors.is_empty() {
        return errors.join("\n");
    }
    said[said.len().saturating_sub(LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: Duration) -> (Result<(), FpgaError>, Vec<String>) {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        let result = run("sh", command.args(["-c", script]), log.path(), limit, &mut |line| {
            lines.push(line.to_owned());
            if line == "enough" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let kept = std::fs::read_to_string(log.path()).unwrap();
        assert_eq!(kept.lines().collect::<Vec<_>>(), lines);
        (result, lines)
    }

    #[test]
    fn lines_come_as_they_are_said_and_failures_with_their_cause() {
        let minute = Duration::from_secs(60);
        let (result, lines) = shell("echo one; echo two", minute);
        assert!(result.is_ok());
        assert_eq!(lines, ["one", "two"]);
        let (result, lines) = shell("echo one; echo enough; sleep 60; echo two", minute);
        assert!(result.is_ok());
        assert_eq!(lines, ["one", "enough"]);
        let (result, _) = shell("echo ERROR: no such part; echo bye; exit 3", minute);
        let error = result.unwrap_err().to_string();
        assert!(error.contains("no such part") && !error.contains("bye"), "{error}");
        assert!(error.contains('3'), "{error}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_tool_ends_with_the_thread_that_runs_it() {
        let begun = Instant::now();
        let start = || {
            let mut command = Command::new("sleep");
            ends_with_its_parent(command.arg("60"));
            command.spawn().unwrap()
        };
        let mut child = std::thread::spawn(start).join().unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_tool_that_hangs_is_stopped() {
        let begun = Instant::now();
        let (result, _) = shell("exec sleep 60", Duration::from_millis(300));
        assert!(matches!(result, Err(FpgaError::ToolTimeout { .. })), "{result:?}");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
}
