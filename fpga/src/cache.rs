//! Results of steps, kept under the hash of all that they depend on.
//!
//! An entry appears by one rename, so it is there as a whole or not at all.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::FpgaError;

/// What a step depends on, hashed.
#[derive(Clone, Default)]
pub struct Key(Sha256);

impl Key {
    /// With a part more; its length is hashed too, so that parts cannot run into each other.
    #[must_use]
    pub fn with(mut self, part: impl AsRef<[u8]>) -> Self {
        self.0.update((part.as_ref().len() as u64).to_le_bytes());
        self.0.update(part.as_ref());
        self
    }

    /// 32 hexadecimal digits.
    pub fn finish(self) -> String {
        self.0.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A folder of results.
#[derive(Clone, Debug)]
pub struct Cache {
    /// Where it is.
    pub folder: PathBuf,
}

impl Cache {
    /// The folder that all share: `$RMT_CACHE/fpga`, else `fpga` in the folder of built things of the
    /// checkout.
    pub fn shared() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = match (variable("RMT_CACHE"), variable("CARGO_TARGET_DIR")) {
            (Some(cache), _) => PathBuf::from(cache),
            (None, Some(target)) => PathBuf::from(target),
            (None, None) => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        };
        Self { folder: folder.join("fpga") }
    }

    /// The folder of a step's result; `build` makes it, in the folder that it gets, if it is not there.
    ///
    /// # Errors
    /// What `build` gives, or a folder that cannot be made.
    pub fn step(
        &self,
        name: &str,
        key: Key,
        build: impl FnOnce(&Path) -> Result<(), FpgaError>,
    ) -> Result<(PathBuf, bool), FpgaError> {
        let place = self.folder.join(format!("{name}-{}", key.finish()));
        if place.is_dir() {
            return Ok((place, true));
        }
        std::fs::create_dir_all(&self.folder).map_err(FpgaError::file("make", &self.folder))?;
        let work = tempfile::Builder::new()
            .prefix(&format!("{name}-work-"))
            .tempdir_in(&self.folder)
            .map_err(FpgaError::file("make a folder in", &self.folder))?;
        if let Err(error) = build(work.path()) {
            // The log of a failure is worth keeping, until the next one.
            if matches!(error, FpgaError::ToolFailed { .. }) {
                let failed = self.folder.join(format!("{name}-failed"));
                let _ = std::fs::remove_dir_all(&failed);
                if std::fs::rename(work.path(), &failed).is_ok() {
                    return Err(moved(error, &failed));
                }
            }
            return Err(error);
        }
        let finished = work.keep();
        match std::fs::rename(&finished, &place) {
            Ok(()) => Ok((place, false)),
            // Somebody else was faster.
            Err(_) if place.is_dir() => {
                let _ = std::fs::remove_dir_all(&finished);
                Ok((place, false))
            }
            Err(source) => Err(FpgaError::file("make", &place)(source)),
        }
    }
}

/// The error with its log where it is now.
fn moved(error: FpgaError, folder: &Path) -> FpgaError {
    match error {
        FpgaError::ToolFailed { tool, status, output, log } => {
            let log = log.file_name().map_or_else(|| folder.to_owned(), |name| folder.join(name));
            FpgaError::ToolFailed { tool, status, output, log }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_runs_once_for_each_content_and_a_failed_one_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache { folder: folder.path().join("cache") };
        let key = |text: &str| Key::default().with("tool 1").with(text);
        let write = |text: &'static str| {
            move |folder: &Path| {
                let file = folder.join("result");
                std::fs::write(&file, text).map_err(FpgaError::file("write", &file))
            }
        };
        let (place, hit) = cache.step("step", key("a"), write("first")).unwrap();
        assert!(!hit);
        let (again, hit) = cache.step("step", key("a"), write("second")).unwrap();
        assert!(hit && again == place);
        assert_eq!(std::fs::read_to_string(again.join("result")).unwrap(), "first");
        let (other, _) = cache.step("step", key("b"), write("third")).unwrap();
        assert_ne!(other, place);
        let fail = |_: &Path| {
            Err(FpgaError::BadOutput { what: "a result", problem: "it is none".to_owned() })
        };
        assert!(cache.step("step", key("c"), fail).is_err());
        assert!(!cache.step("step", key("c"), write("now")).unwrap().1);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let hash =
            |parts: &[&str]| parts.iter().fold(Key::default(), |key, part| key.with(part)).finish();
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }
}
