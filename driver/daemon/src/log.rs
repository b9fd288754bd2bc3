//! What the daemon says to its operator.

use std::fmt::Display;
use std::io::Write as _;

/// Writes a line to standard error. A daemon goes on when nobody reads it any more, where
/// `eprintln!` would panic.
pub fn say(message: impl Display) {
    _ = writeln!(std::io::stderr(), "{message}");
}
