//! QEMU, a stock kernel and the guest's tools, unpacked once into a folder of the cache.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::GuestError;
use crate::error::last_lines;
use crate::mirror::mirror;

const RECIPE: &str = include_str!("../setup.sh");

/// An unpacked system.
#[derive(Clone, Debug)]
pub struct System {
    folder: PathBuf,
    release: String,
}

impl System {
    /// The folder of the present recipe in a cache: another recipe has another name.
    pub fn folder_in(cache: &Path) -> PathBuf {
        let hash = Sha256::digest(RECIPE.as_bytes());
        let name: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        cache.join(name)
    }

    /// The system in a cache, unpacked now if it is not there. A second caller waits for the first.
    ///
    /// # Errors
    /// When apt knows no mirror, `mmdebstrap` is missing, or the script fails.
    pub fn set_up(cache: &Path, say: impl Fn(&str)) -> Result<Self, GuestError> {
        fs::create_dir_all(cache).map_err(GuestError::file("cannot make", cache))?;
        let lock_path = cache.join("lock");
        let lock = File::create(&lock_path).map_err(GuestError::file("cannot make", &lock_path))?;
        flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| GuestError::file("cannot lock", &lock_path)(error.into()))?;
        let folder = Self::folder_in(cache);
        if !folder.exists() {
            say(
                "unpacking QEMU, a kernel and its compiler from Debian's archive (650 MB, a minute)",
            );
            unpack(cache, &folder)?;
        }
        Self::open(&folder)
    }

    /// The system in a folder.
    ///
    /// # Errors
    /// [`GuestError::Incomplete`] when it has no kernel.
    pub fn open(folder: &Path) -> Result<Self, GuestError> {
        // The loader's lists tell libraries by paths from the root on.
        let folder = &folder.canonicalize().map_err(GuestError::file("cannot find", folder))?;
        let modules = folder.join("usr/lib/modules");
        let entries = fs::read_dir(&modules).map_err(GuestError::file("cannot read", &modules))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
            .collect();
        names.sort();
        match names.pop() {
            Some(release) => Ok(Self { folder: folder.to_owned(), release }),
            None => Err(GuestError::Incomplete {
                folder: folder.to_owned(),
                what: "kernel under usr/lib/modules".to_owned(),
            }),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The kernel's release, for example `6.12.117+deb13-amd64`.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The kernel's image.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join(format!("boot/vmlinuz-{}", self.release))
    }

    /// The folder of kernel modules, `modules.dep` in it.
    pub fn modules(&self) -> PathBuf {
        self.folder.join("usr/lib/modules").join(&self.release)
    }

    /// The folder of libraries.
    pub fn libraries(&self) -> PathBuf {
        self.folder.join("usr/lib/x86_64-linux-gnu")
    }

    /// The dynamic loader.
    pub fn loader(&self) -> PathBuf {
        self.folder.join("lib64/ld-linux-x86-64.so.2")
    }

    /// QEMU, run with the folder's own libraries and firmware.
    pub fn qemu(&self) -> Command {
        let libraries = self.libraries();
        let mut command = Command::new(self.loader());
        command
            .arg("--library-path")
            .arg(format!("{0}:{0}/pulseaudio", libraries.display()))
            .arg(self.folder.join("usr/bin/qemu-system-x86_64"));
        for firmware in ["qemu", "seabios"] {
            command.arg("-L").arg(self.folder.join("usr/share").join(firmware));
        }
        command
    }
}

/// Runs the recipe beside the final folder, which appears whole or not at all.
fn unpack(cache: &Path, folder: &Path) -> Result<(), GuestError> {
    let have = Command::new("mmdebstrap").arg("--version").output();
    have.map_err(|source| GuestError::Program {
        program: "mmdebstrap",
        package: "mmdebstrap debian-archive-keyring",
        source,
    })?;
    let mirror = mirror()?;
    let work = tempfile::tempdir_in(cache).map_err(GuestError::file("cannot make", cache))?;
    let script = work.path().join("setup.sh");
    fs::write(&script, RECIPE).map_err(GuestError::file("cannot write", &script))?;
    let unpacked = work.path().join("system");
    let output = Command::new("bash")
        .arg(&script)
        .arg(&unpacked)
        .arg(&mirror)
        .output()
        .map_err(|source| GuestError::Program { program: "bash", package: "bash", source })?;
    if !output.status.success() {
        let log = String::from_utf8_lossy(&output.stderr);
        return Err(GuestError::Setup { log: last_lines(&log, 20) });
    }
    fs::rename(&unpacked, folder).map_err(GuestError::file("cannot make", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_kernel_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("usr/lib/modules/extra")).unwrap();
        let error = System::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("no kernel"), "{error}");
        fs::create_dir_all(folder.path().join("usr/lib/modules/6.12.1-amd64")).unwrap();
        assert_eq!(System::open(folder.path()).unwrap().release(), "6.12.1-amd64");
    }
}
