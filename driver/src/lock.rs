//! One owner for each card: a lock file that says who.
//!
//! The kernel lets one process open a VFIO group, but says only "busy" to the next. The lock says
//! the owner's number, and also works for what is no VFIO device.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::DriverError;

/// Where lock files stand.
const FOLDERS: &[&str] = &["/run/lock", "/run", "/tmp"];

/// A card owned by this process, until it is dropped or the process ends.
#[derive(Debug)]
pub struct CardLock {
    _file: File,
}

impl CardLock {
    /// Takes the lock of a card.
    ///
    /// # Errors
    /// [`DriverError::InUse`] names the process that has it.
    pub fn take(address: &str) -> Result<Self, DriverError> {
        let folder = FOLDERS.iter().map(Path::new).find(|folder| folder.is_dir());
        Self::take_in(folder.unwrap_or(Path::new(".")), address)
    }

    /// The same in another folder.
    ///
    /// # Errors
    /// As for [`CardLock::take`].
    pub fn take_in(folder: &Path, address: &str) -> Result<Self, DriverError> {
        let path: PathBuf = folder.join(format!("rmt-card-{address}.lock"));
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|source| cannot_open(&path, source))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let pid = fs::read_to_string(&path).unwrap_or_default().trim().to_owned();
            return Err(in_use(address, &pid));
        }
        let write = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        write.map_err(DriverError::file("cannot write", &path))?;
        Ok(Self { _file: file })
    }
}

/// Another user's lock is left behind when its process ends, and only that user may take it.
fn cannot_open(path: &Path, source: io::Error) -> DriverError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => DriverError::NoPermission { path: path.to_owned() },
        _ => DriverError::file("cannot open", path)(source),
    }
}

/// Who has the card, in words.
fn in_use(address: &str, pid: &str) -> DriverError {
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let owner = match program.trim() {
        "" => format!("process {pid}"),
        program => format!("process {pid} ({program})"),
    };
    DriverError::InUse { address: address.to_owned(), owner, hint: format!(": kill {pid}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_owner_is_told_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = CardLock::take_in(folder.path(), "0000:01:00.0").unwrap();
        let message = CardLock::take_in(folder.path(), "0000:01:00.0").unwrap_err().to_string();
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        assert!(message.contains("kill"), "{message}");
        CardLock::take_in(folder.path(), "0000:02:00.0").unwrap();
        drop(first);
        CardLock::take_in(folder.path(), "0000:01:00.0").unwrap();
    }

    #[test]
    fn a_lock_of_another_user_names_the_command_that_gives_it() {
        let refused = io::ErrorKind::PermissionDenied.into();
        let message = cannot_open(Path::new("/run/lock/x.lock"), refused).to_string();
        assert!(message.contains("chown $USER /run/lock/x.lock"), "{message}");
        let missing = CardLock::take_in(Path::new("/nonexistent"), "x").unwrap_err().to_string();
        assert!(missing.contains("/nonexistent/rmt-card-x.lock"), "{missing}");
    }
}
