//! Builds a kernel module with the unpacked system's own compiler and headers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::last_lines;
use crate::{GuestError, System};

/// Kinds of files that a build needs of a module's folder.
const SOURCES: &[&str] = &["c", "h"];

impl System {
    /// Builds the module of a folder with a `Kbuild` file, out of tree, with all warnings as
    /// errors; returns the module's content. The folder itself is left alone.
    ///
    /// # Errors
    /// [`GuestError::Module`] with the compiler's words.
    pub fn build_module(&self, sources: &Path, name: &str) -> Result<Vec<u8>, GuestError> {
        let work =
            tempfile::tempdir().map_err(GuestError::file("cannot make", Path::new("/tmp")))?;
        copy_sources(sources, work.path())?;
        let folder = self.folder().display().to_string();
        let release = self.release();
        // The build runs with the unpacked folder as its root, in a mount namespace of its own:
        // nothing stays mounted, whatever happens.
        let script = format!(
            "mkdir -p '{folder}/proc' '{folder}/mod'\n\
             mount -t proc proc '{folder}/proc'\n\
             mount --bind '{}' '{folder}/mod'\n\
             exec chroot '{folder}' /usr/bin/make -s -C /usr/src/linux-headers-{release} M=/mod \
             KCFLAGS=-Werror modules",
            work.path().display()
        );
        let output = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-ec", &script])
            .output()
            .map_err(|source| GuestError::Program {
                program: "unshare",
                package: "util-linux",
                source,
            })?;
        if !output.status.success() {
            let text = [output.stdout, output.stderr].concat();
            let log = last_lines(&String::from_utf8_lossy(&text), 40);
            return Err(GuestError::Module { folder: sources.to_owned(), log });
        }
        let built = work.path().join(format!("{name}.ko"));
        fs::read(&built).map_err(GuestError::file("cannot read", &built))
    }
}

fn copy_sources(from: &Path, to: &Path) -> Result<(), GuestError> {
    let entries = fs::read_dir(from).map_err(GuestError::file("cannot read", from))?;
    for entry in entries {
        let path: PathBuf = entry.map_err(GuestError::file("cannot read", from))?.path();
        let Some(name) = path.file_name() else { continue };
        let wanted = name == "Kbuild"
            || path.extension().is_some_and(|kind| SOURCES.iter().any(|source| kind == *source));
        if wanted {
            fs::copy(&path, to.join(name)).map_err(GuestError::file("cannot copy", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_are_taken() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["Kbuild", "one.c", "one.h", "one.ko", "Makefile"] {
            fs::write(from.path().join(name), name).unwrap();
        }
        copy_sources(from.path(), to.path()).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(to.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["Kbuild", "one.c", "one.h"]);
    }
}
