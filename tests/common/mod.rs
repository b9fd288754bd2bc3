//! Running the `rmt` command in tests.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

/// The `rmt` command with arguments, in the project's folder.
pub fn rmt(arguments: &[&str]) -> Rmt {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmt"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    Rmt { command }
}

/// A file under firmware/.
#[allow(dead_code, reason = "each test binary uses some of these")]
pub fn firmware(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware").join(name).display().to_string()
}

/// A command that has not run yet.
pub struct Rmt {
    command: Command,
}

#[allow(dead_code, reason = "each test binary uses some of these")]
impl Rmt {
    /// With an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it; it must succeed. Its standard output.
    pub fn succeeds(mut self) -> String {
        let output = self.command.output().expect("the command starts");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?} failed:\n{message}", self.command);
        String::from_utf8(output.stdout).expect("the output is UTF-8")
    }

    /// Runs it; it must fail with an error, not a panic. Its standard error.
    pub fn fails(mut self) -> String {
        let output = self.command.output().expect("the command starts");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{:?}:\n{message}", self.command);
        assert!(message.contains("error: ") && !message.contains("panicked"), "{message}");
        message
    }
}
