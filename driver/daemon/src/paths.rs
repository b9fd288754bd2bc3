//! Where the daemon's files are unless it is told otherwise.

use std::path::PathBuf;

use rustix::process::geteuid;

fn home(variable: &str, below_home: &str, root: &str) -> PathBuf {
    if geteuid().is_root() {
        return root.into();
    }
    let named = std::env::var_os(variable).filter(|folder| !folder.is_empty()).map(PathBuf::from);
    let folder = named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(below_home)));
    folder.unwrap_or_else(std::env::temp_dir).join("rmt")
}

/// The control socket: `/run/rmt/control` for root, else in the user's own runtime folder.
pub fn socket() -> PathBuf {
    home("XDG_RUNTIME_DIR", ".cache", "/run/rmt").join("control")
}

/// The folder of the journal: `/var/lib/rmt` for root, else in the user's own state folder.
pub fn state() -> PathBuf {
    home("XDG_STATE_HOME", ".local/state", "/var/lib/rmt")
}
