//! Runs a tool with a time limit and catches what it says.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::error::Error;

/// Output beyond this is of no use to a reader, and a tool gone wild must not fill the memory.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;

/// How a tool ended.
pub(super) struct Finished {
    /// True for exit code 0.
    pub(super) success: bool,
    /// The exit status in words.
    pub(super) status: String,
    /// Standard output and standard error, in the order in which they were written.
    pub(super) output: String,
}

/// Runs `command` to its end, at most for `limit`. `tool` is its name in errors.
pub(super) fn run(tool: &str, command: &mut Command, limit: Duration) -> Result<Finished, Error> {
    let program = std::path::PathBuf::from(command.get_program());
    // A file takes any amount of output without a reader, so that no pipe can fill up and block the
    // tool.
    let mut log = tempfile::tempfile()
        .map_err(Error::io("create a temporary file in", &std::env::temp_dir()))?;
    let duplicate =
        |file: &File| file.try_clone().map_err(Error::io("duplicate the log of", &program));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(duplicate(&log)?)
        .stderr(duplicate(&log)?)
        .spawn()
        .map_err(Error::io("run", &program))?;

    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(Error::io("wait for", &program))? {
            break status;
        }
        if start.elapsed() >= limit {
            end(&mut child);
            return Err(Error::ToolTimeout { tool: tool.to_owned(), limit });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    };

    let mut output = Vec::new();
    log.seek(SeekFrom::Start(0)).map_err(Error::io("read the log of", &program))?;
    log.take(MAX_OUTPUT_BYTES)
        .read_to_end(&mut output)
        .map_err(Error::io("read the log of", &program))?;
    Ok(Finished {
        success: status.success(),
        status: status.to_string(),
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}

/// As [`run`], with an error if the tool does not succeed.
pub(super) fn run_checked(
    tool: &str,
    command: &mut Command,
    limit: Duration,
) -> Result<String, Error> {
    let finished = run(tool, command, limit)?;
    if finished.success {
        return Ok(finished.output);
    }
    Err(Error::ToolFailed {
        tool: tool.to_owned(),
        status: finished.status,
        command: command_line(command),
        output: first_lines(&finished.output),
    })
}

/// The command as a person would type it.
pub(super) fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// As much of a tool's output as fits an error message: compilers say the cause first.
fn first_lines(output: &str) -> String {
    const LINES: usize = 20;
    let mut text: Vec<&str> = output.lines().take(LINES).collect();
    if output.lines().count() > LINES {
        text.push("...");
    }
    text.join("\n")
}

/// Ends a tool and what it started: a compiler driver's own end does not end the compiler proper.
fn end(child: &mut Child) {
    for process in descendants(child.id()) {
        if let Some(pid) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) {
            // The process may have ended by itself since it was listed; that is all that can go
            // wrong here.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The processes below `process`, as the kernel lists them at this moment.
fn descendants(process: u32) -> Vec<u32> {
    let list = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(list).unwrap_or_default();
    let mut all = Vec::new();
    for child in children.split_whitespace().filter_map(|word| word.parse().ok()) {
        all.push(child);
        all.extend(descendants(child));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_streams_are_caught_in_order() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; echo three; exit 3"]);
        let finished = run("sh", &mut command, Duration::from_secs(10)).unwrap();
        assert!(!finished.success);
        assert_eq!(finished.output, "one\ntwo\nthree\n");
        assert!(finished.status.contains('3'), "{}", finished.status);
    }

    #[test]
    fn a_tool_that_hangs_is_ended_with_its_children() {
        let note = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        // The outer shell waits for the inner one, as a compiler driver waits for the compiler.
        let inner = format!("sh -c 'echo $$ > {}; exec sleep 60'; true", note.path().display());
        command.args(["-c", &inner]);
        let start = Instant::now();
        let result = run("sh", &mut command, Duration::from_secs(2));
        assert!(matches!(result, Err(Error::ToolTimeout { .. })));
        assert!(start.elapsed() < Duration::from_secs(30));

        let child = std::fs::read_to_string(note.path()).unwrap();
        let status = format!("/proc/{}/status", child.trim());
        let is_alive = || {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            status.contains("sleep") && !status.contains("State:\tZ")
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while is_alive() {
            assert!(Instant::now() < deadline, "process {} outlived the limit", child.trim());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error =
            run("x", &mut Command::new("/nonexistent/tool"), Duration::from_secs(1)).err().unwrap();
        assert!(error.to_string().contains("/nonexistent/tool"), "{error}");
    }
}
