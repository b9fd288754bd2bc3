//! Where model files come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Reads the files that a program names.
pub trait FileLoader {
    /// The text of the file at `path`, as written in the program.
    ///
    /// # Errors
    /// One line that says why there is none.
    fn load(&self, path: &str) -> Result<String, String>;
}

/// Reads files relative to a directory.
#[derive(Clone, Debug)]
pub struct DirectoryLoader {
    directory: PathBuf,
}

impl DirectoryLoader {
    /// Files relative to the directory that the program at `source` is in.
    pub fn beside(source: &Path) -> Self {
        Self { directory: source.parent().map(Path::to_path_buf).unwrap_or_default() }
    }
}

impl FileLoader for DirectoryLoader {
    fn load(&self, path: &str) -> Result<String, String> {
        let path = self.directory.join(path);
        std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// Files in memory, by path; empty by default.
#[derive(Clone, Debug, Default)]
pub struct MemoryLoader {
    /// The texts.
    pub files: BTreeMap<String, String>,
}

impl FileLoader for MemoryLoader {
    fn load(&self, path: &str) -> Result<String, String> {
        self.files.get(path).cloned().ok_or_else(|| "there is no such file".to_owned())
    }
}
