//! Where this machine gets Debian's packages from: apt knows, and nothing here does.

use std::process::Command;

use crate::GuestError;

/// The mirror of Debian's archive in apt's configuration, or in `RMT_DEBIAN_MIRROR`.
///
/// # Errors
/// [`GuestError::NoMirror`] when apt has none, for instance on another distribution.
pub fn mirror() -> Result<String, GuestError> {
    if let Ok(given) = std::env::var("RMT_DEBIAN_MIRROR") {
        return Ok(given);
    }
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI)"])
        // The archive itself: security and third parties have other labels.
        .args(["Created-By: Packages", "Origin: Debian", "Label: Debian"])
        .output()
        .map_err(|source| GuestError::NoMirror { reason: source.to_string() })?;
    first_line(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| GuestError::NoMirror {
        reason: match String::from_utf8_lossy(&output.stderr).trim() {
            "" => "it has no package list of Debian's archive".to_owned(),
            message => message.to_owned(),
        },
    })
}

fn first_line(output: &str) -> Option<String> {
    output.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::first_line;

    #[test]
    fn the_first_answer_counts_and_none_is_none() {
        assert_eq!(first_line("\nmirror:/a/\nmirror:/b/\n").as_deref(), Some("mirror:/a/"));
        assert_eq!(first_line("\n  \n"), None);
    }
}
