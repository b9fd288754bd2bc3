//! A folder of built things, addressed by the hash of everything they were built from.
//!
//! ```text
//! cache/
//!   <key>/           a finished entry: its files and manifest.json with their hashes
//!   <key>.lock       held (flock) by whoever builds that entry
//!   <key>.<random>/  somebody's work, renamed into place when it is complete
//! ```
//! A reader needs no lock: an entry appears by one rename, and its manifest tells a damaged one
//! from a good one.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::Error;
use super::spec;

const MANIFEST: &str = "manifest.json";
const LOCK_POLL: Duration = Duration::from_millis(20);

/// The folder that programs share: `RMT_CACHE`, else `target/verilated` of the checkout, else a
/// folder in the user's cache.
pub fn default_cache_dir() -> PathBuf {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(explicit) = variable("RMT_CACHE") {
        return explicit;
    }
    let root = spec::workspace_root();
    if root.join("Cargo.toml").is_file() {
        return variable("CARGO_TARGET_DIR")
            .unwrap_or_else(|| root.join("target"))
            .join("verilated");
    }
    let user =
        variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    user.unwrap_or_else(std::env::temp_dir).join("rmt/verilated")
}

/// Collects what an entry depends on. Each part is hashed with its length, so that parts cannot run
/// into each other.
pub(super) struct KeyBuilder(Sha256);

impl KeyBuilder {
    /// Starts a key for entries of one `kind`.
    pub(super) fn new(kind: &str) -> Self {
        KeyBuilder(Sha256::new()).add(kind)
    }

    /// Adds a part.
    pub(super) fn add(mut self, part: impl AsRef<[u8]>) -> Self {
        self.0.update((part.as_ref().len() as u64).to_le_bytes());
        self.0.update(part.as_ref());
        self
    }

    /// Adds each part, and how many they are.
    pub(super) fn add_all(self, parts: impl ExactSizeIterator<Item = impl AsRef<[u8]>>) -> Self {
        let count = (parts.len() as u64).to_le_bytes();
        parts.fold(self.add(count), KeyBuilder::add)
    }

    /// The key: 32 hexadecimal digits, 128 bits of the hash.
    pub(super) fn finish(self) -> String {
        hexadecimal(&self.0.finalize()[..16])
    }
}

/// A finished entry.
pub(super) struct Entry {
    /// Its folder.
    pub(super) folder: PathBuf,
    /// True if it was there already.
    pub(super) from_cache: bool,
}

/// Written last into an entry: what belongs to it.
#[derive(Serialize, Deserialize)]
struct Manifest {
    /// For people: what this is, in the builder's words.
    title: String,
    /// File name to SHA-256, in hexadecimal.
    files: BTreeMap<String, String>,
}

/// The cache itself.
pub(super) struct Cache {
    root: PathBuf,
    lock_limit: Duration,
}

impl Cache {
    /// The cache in `root`, a folder that is made if it is not there. `lock_limit` bounds the wait
    /// for somebody else's build.
    pub(super) fn open(root: &Path, lock_limit: Duration) -> Result<Self, Error> {
        std::fs::create_dir_all(root).map_err(Error::io("create", root))?;
        // Tools run in other folders: a relative path would mean something else to them.
        let root = root.canonicalize().map_err(Error::io("find", root))?;
        Ok(Cache { root, lock_limit })
    }

    /// The entry `key`; if it is not there or damaged, `make` is called with the entry's empty
    /// folder, which it fills with files (no subfolders), and a scratch folder. Whatever it wrote
    /// is gone if it fails. Of several callers at once, one builds and the others wait.
    pub(super) fn entry(
        &self,
        key: &str,
        title: &str,
        make: impl FnOnce(&Path, &Path) -> Result<(), Error>,
    ) -> Result<Entry, Error> {
        let folder = self.root.join(key);
        if is_intact(&folder) {
            return Ok(Entry { folder, from_cache: true });
        }
        let _lock = self.lock(key)?;
        if is_intact(&folder) {
            return Ok(Entry { folder, from_cache: true });
        }
        self.remove_leftovers(key)?;

        // The folder is removed when `work` goes out of scope, on success and on failure alike.
        let work = tempfile::Builder::new()
            .prefix(&format!("{key}."))
            .tempdir_in(&self.root)
            .map_err(Error::io("create a folder in", &self.root))?;
        let (output, scratch) = (work.path().join("entry"), work.path().join("scratch"));
        for part in [&output, &scratch] {
            std::fs::create_dir(part).map_err(Error::io("create", part))?;
        }
        make(&output, &scratch)?;
        write_manifest(&output, title)?;
        std::fs::rename(&output, &folder)
            .map_err(Error::io("rename the finished build to", &folder))?;
        Ok(Entry { folder, from_cache: false })
    }

    /// Holds the entry's lock until the returned file is dropped. A process that dies loses its
    /// locks.
    fn lock(&self, key: &str) -> Result<File, Error> {
        let path = self.root.join(format!("{key}.lock"));
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let start = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Error::Io { action: "lock", path, source: errno.into() }),
            }
            let waited = start.elapsed();
            if waited >= self.lock_limit {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                let holder = if holder.is_empty() { "unknown".to_owned() } else { holder };
                return Err(Error::LockTimeout { lock: path, waited, holder });
            }
            std::thread::sleep(LOCK_POLL);
        }
        // The holder's number helps whoever waits; a build goes on without it.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(file)
    }

    /// Removes a damaged entry, and the work of a process that was killed. Nobody else builds this
    /// key: we hold its lock.
    fn remove_leftovers(&self, key: &str) -> Result<(), Error> {
        let listing = std::fs::read_dir(&self.root).map_err(Error::io("list", &self.root))?;
        for item in listing.flatten() {
            let name = item.file_name();
            let name = name.to_string_lossy();
            let is_work =
                name.strip_prefix(key).is_some_and(|rest| rest.starts_with('.') && rest != ".lock");
            if is_work || name == key {
                let path = item.path();
                let is_folder = item.file_type().is_ok_and(|kind| kind.is_dir());
                let removed = if is_folder {
                    std::fs::remove_dir_all(&path)
                } else {
                    std::fs::remove_file(&path)
                };
                removed.map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// True if the folder has a manifest and every file of it, unchanged.
fn is_intact(folder: &Path) -> bool {
    let Ok(text) = std::fs::read(folder.join(MANIFEST)) else { return false };
    let Ok(manifest) = serde_json::from_slice::<Manifest>(&text) else { return false };
    manifest
        .files
        .iter()
        .all(|(name, hash)| file_hash(&folder.join(name)).is_ok_and(|found| found == *hash))
}

fn write_manifest(folder: &Path, title: &str) -> Result<(), Error> {
    let mut files = BTreeMap::new();
    for item in std::fs::read_dir(folder).map_err(Error::io("list", folder))?.flatten() {
        let path = item.path();
        let hash = file_hash(&path).map_err(Error::io("read", &path))?;
        files.insert(item.file_name().to_string_lossy().into_owned(), hash);
    }
    let path = folder.join(MANIFEST);
    let manifest = Manifest { title: title.to_owned(), files };
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    serde_json::to_writer_pretty(file, &manifest)
        .map_err(|error| Error::io("write", &path)(error.into()))
}

fn file_hash(path: &Path) -> std::io::Result<String> {
    Ok(hexadecimal(&Sha256::digest(std::fs::read(path)?)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff";

    fn make(folder: &Path, _scratch: &Path) -> Result<(), Error> {
        std::fs::write(folder.join("data"), "payload").map_err(Error::io("write", folder))
    }

    fn names(root: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(root)
            .unwrap()
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_second_request_builds_nothing() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path(), Duration::from_secs(5)).unwrap();
        assert!(!cache.entry(KEY, "t", make).unwrap().from_cache);
        let again = cache.entry(KEY, "t", |_, _| panic!("must not build again")).unwrap();
        assert!(again.from_cache);
        assert_eq!(std::fs::read(again.folder.join("data")).unwrap(), b"payload");
        assert_eq!(names(root.path()), [KEY.to_owned(), format!("{KEY}.lock")]);
    }

    #[test]
    fn damage_of_any_kind_means_a_new_build() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path(), Duration::from_secs(5)).unwrap();
        let folder = cache.entry(KEY, "t", make).unwrap().folder;
        let damages: [&dyn Fn(); 5] = [
            &|| std::fs::write(folder.join("data"), "payloae").unwrap(),
            &|| std::fs::write(folder.join("data"), "").unwrap(),
            &|| std::fs::remove_file(folder.join("data")).unwrap(),
            &|| std::fs::write(folder.join(MANIFEST), "{").unwrap(),
            &|| std::fs::remove_file(folder.join(MANIFEST)).unwrap(),
        ];
        for (number, damage) in damages.iter().enumerate() {
            damage();
            assert!(
                !cache.entry(KEY, "t", make).unwrap().from_cache,
                "damage {number} was not seen"
            );
            assert_eq!(std::fs::read(folder.join("data")).unwrap(), b"payload");
        }
    }

    #[test]
    fn a_failed_build_leaves_only_its_lock_file() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path(), Duration::from_secs(5)).unwrap();
        let failing = |folder: &Path, scratch: &Path| {
            std::fs::write(scratch.join("half"), "x").unwrap();
            std::fs::write(folder.join("half"), "x").unwrap();
            Err(Error::InvalidSpec { field: "x".to_owned(), reason: "on purpose" })
        };
        assert!(cache.entry(KEY, "t", failing).is_err());
        assert_eq!(names(root.path()), [format!("{KEY}.lock")]);
        assert!(!cache.entry(KEY, "t", make).unwrap().from_cache);
    }

    #[test]
    fn work_of_a_killed_process_is_cleared_away() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path(), Duration::from_secs(5)).unwrap();
        std::fs::create_dir_all(root.path().join(format!("{KEY}.Ab12/entry"))).unwrap();
        cache.entry(KEY, "t", make).unwrap();
        assert_eq!(names(root.path()), [KEY.to_owned(), format!("{KEY}.lock")]);
    }

    #[test]
    fn of_several_at_once_one_builds() {
        let root = tempfile::tempdir().unwrap();
        let builds = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let cache = Cache::open(root.path(), Duration::from_secs(10)).unwrap();
                    let slow = |folder: &Path, scratch: &Path| {
                        builds.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(100));
                        make(folder, scratch)
                    };
                    cache.entry(KEY, "t", slow).unwrap();
                });
            }
        });
        assert_eq!(builds.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_lock_that_is_never_released_is_named() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path(), Duration::from_millis(50)).unwrap();
        let _held = cache.lock(KEY).unwrap();
        let message = cache.entry(KEY, "t", make).err().unwrap().to_string();
        assert!(message.contains(&format!("{KEY}.lock")), "{message}");
        assert!(message.contains(&std::process::id().to_string()), "{message}");
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let key = |a: &str, b: &str| KeyBuilder::new("k").add(a).add(b).finish();
        assert_ne!(key("ab", "c"), key("a", "bc"));
        assert_ne!(
            KeyBuilder::new("k").add_all([""; 0].iter()).finish(),
            KeyBuilder::new("k").add_all([""].iter()).finish()
        );
        assert_eq!(key("a", "b").len(), 32);
    }
}
