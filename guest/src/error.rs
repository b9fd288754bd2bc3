//! What can go wrong between asking for a guest and its verdict.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why there is no guest, or no verdict.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// A file cannot be read or written.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program cannot be started.
    #[error("cannot run {program}: {source}; install it: apt-get install {package}")]
    Program {
        /// Its name.
        program: &'static str,
        /// Debian's name of the package that holds it.
        package: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// No mirror is known.
    #[error(
        "apt knows no mirror of Debian: {reason}; run `apt-get update` on Debian, or give one: RMT_DEBIAN_MIRROR=URL"
    )]
    NoMirror {
        /// What apt said.
        reason: String,
    },
    /// The set-up script failed.
    #[error("guest/setup.sh failed; its last lines:\n{log}")]
    Setup {
        /// The end of its output.
        log: String,
    },
    /// The unpacked folder lacks something.
    #[error("{} has no {what}; remove the folder and run `rmt guest setup` again", folder.display())]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A kernel module cannot be built.
    #[error("the kernel module in {} does not build:\n{log}", folder.display())]
    Module {
        /// Where its sources are.
        folder: PathBuf,
        /// The end of the compiler's output.
        log: String,
    },
    /// A program for the guest needs a library that is not here.
    #[error("{} needs {library}, which is not on this machine", program.display())]
    NoLibrary {
        /// The program.
        program: PathBuf,
        /// The library.
        library: String,
    },
    /// What the guest has left is no archive.
    #[error("the results of the guest cannot be read: {reason}")]
    Results {
        /// What is wrong with it.
        reason: String,
    },
    /// The guest did not end in time.
    #[error("the guest gave no verdict within {} s; its last lines:\n{log}", limit.as_secs())]
    Timeout {
        /// The bound.
        limit: Duration,
        /// The end of its console.
        log: String,
    },
    /// QEMU ended without a verdict of the guest.
    #[error("QEMU ended with {status}, without a verdict of the guest; its last lines:\n{log}")]
    NoVerdict {
        /// How it ended.
        status: String,
        /// The end of its console.
        log: String,
    },
}

impl GuestError {
    /// For `map_err`: a file cannot be used.
    pub(crate) fn file<'p>(
        doing: &'static str,
        path: &'p Path,
    ) -> impl FnOnce(io::Error) -> Self + use<'p> {
        move |source| Self::File { doing, path: path.to_owned(), source }
    }
}

/// The last lines of an output, for an error message.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
