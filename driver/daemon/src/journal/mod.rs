//! The journal: what the control plane has done, so that a restarted daemon does it again.
//!
//! A transaction is written and synced before it takes effect, and taken back when the engine
//! refuses it; what was acknowledged is on the disk. When the file has grown, all programs with
//! their state are written to a new one, which takes its place by a rename. [`record`] is the form
//! of the records.

mod record;

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use record::{End, decode, encode};
pub use record::{Record, SavedProgram};

/// First line of the file.
const HEADER: &[u8] = b"rmt journal 1\n";
/// The file is not written anew before it has this size.
const LEAST_COMPACTED_BYTES: u64 = 1 << 20;
/// Nor before it is so many times as large as when it was written last.
const GROWTH: u64 = 4;

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The system refused.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another daemon has it.
    #[error("another daemon uses {}; stop it, or give another folder with --state", .0.display())]
    InUse(PathBuf),
    /// It is no journal.
    #[error("{} does not begin as a journal of this version; move it away, or give another folder with --state", .0.display())]
    NoJournal(PathBuf),
    /// A record in the middle cannot be read.
    #[error(
        "{}: the record at byte {place} is damaged, and records that may rest on it follow at byte {next}; restore the file from a backup, or keep what is before the damage: truncate -s {place} {0}", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damage begins.
        place: usize,
        /// Where the next record begins.
        next: usize,
    },
    /// A record is of another version.
    #[error(
        "{}: the record at byte {place} was written by another version of the daemon; use that one, or start anew: mv {0} {0}.old", path.display()
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Where it begins.
        place: usize,
    },
    /// A record is too large.
    #[error("the record cannot be written: {0}")]
    Record(#[from] postcard::Error),
}

/// The journal, open for appending.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Bytes after the last rewriting.
    compacted_bytes: u64,
    /// Set when a record could not be taken back: nothing may follow it.
    broken: bool,
    _lock: File,
}

/// What was found when the journal was opened.
#[derive(Debug)]
pub struct Opened {
    /// The journal.
    pub journal: Journal,
    /// What is to be done again, in order.
    pub records: Vec<Record>,
    /// What the operator should know.
    pub warning: Option<String>,
}

impl Journal {
    /// Opens the journal of a folder, or begins one.
    ///
    /// # Errors
    /// [`JournalError`]; a file that is refused is left as it is.
    pub fn open(folder: &Path) -> Result<Opened, JournalError> {
        fs::create_dir_all(folder).map_err(file_error("cannot make the folder", folder))?;
        let lock = lock(folder)?;
        let path = folder.join("journal");
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(&path).map_err(file_error("cannot open", &path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(file_error("cannot read", &path))?;
        // A file shorter than its first line was torn before anything was acknowledged.
        if bytes.len() < HEADER.len() && HEADER.starts_with(&bytes) {
            write_header(&mut file, folder).map_err(file_error("cannot write", &path))?;
            bytes = HEADER.to_vec();
        }
        if !bytes.starts_with(HEADER) {
            return Err(JournalError::NoJournal(path));
        }
        let found = decode(&bytes, HEADER.len());
        let place = found.whole;
        let warning = match found.end {
            End::Clean => None,
            End::Torn => {
                let lost = bytes.len() - place;
                let cut = file.set_len(place as u64).and_then(|()| file.sync_all());
                cut.map_err(file_error("cannot cut", &path))?;
                let path = path.display();
                Some(format!("{path}: the last {lost} bytes are no whole record and were cut off"))
            }
            End::Damaged { next } => return Err(JournalError::Damaged { path, place, next }),
            End::Unknown => return Err(JournalError::Unknown { path, place }),
        };
        let bytes = place as u64;
        let end = file.seek(SeekFrom::Start(bytes));
        end.map_err(file_error("cannot read", &path))?;
        let compacted_bytes = HEADER.len() as u64;
        let folder = folder.to_owned();
        let journal =
            Self { folder, path, file, bytes, compacted_bytes, broken: false, _lock: lock };
        Ok(Opened { journal, records: found.records, warning })
    }

    /// Bytes of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a record; with `sync` it is on the disk when this returns.
    ///
    /// # Errors
    /// [`JournalError`]; the record is not in the file then.
    pub fn append(&mut self, record: &Record, sync: bool) -> Result<Mark, JournalError> {
        self.check()?;
        let mark = Mark(self.bytes);
        let bytes = encode(record)?;
        let written = self.file.write_all(&bytes);
        let synced = written.and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        if let Err(source) = synced {
            self.take_back(mark)?;
            return Err(file_error("cannot write", &self.path)(source));
        }
        self.bytes += bytes.len() as u64;
        Ok(mark)
    }

    /// Takes back a record and all behind it.
    ///
    /// # Errors
    /// When the system does not; nothing can be appended then.
    pub fn take_back(&mut self, Mark(bytes): Mark) -> Result<(), JournalError> {
        let cut = self.file.set_len(bytes).and_then(|()| self.file.seek(SeekFrom::Start(bytes)));
        match cut.and_then(|_| self.file.sync_data()) {
            Ok(()) => {
                self.bytes = bytes;
                Ok(())
            }
            Err(source) => {
                self.broken = true;
                Err(file_error("cannot cut", &self.path)(source))
            }
        }
    }

    /// Whether it is time to write the file anew.
    pub fn has_grown(&self) -> bool {
        self.bytes > LEAST_COMPACTED_BYTES.max(GROWTH * self.compacted_bytes)
    }

    /// Writes the file anew: one record with all programs.
    ///
    /// # Errors
    /// [`JournalError`]; the old file stays in use then.
    pub fn rewrite(&mut self, programs: Vec<SavedProgram>) -> Result<(), JournalError> {
        let bytes = encode(&Record::Programs(programs))?;
        let new = self.path.with_extension("new");
        let write = || -> io::Result<File> {
            let mut options = File::options();
            options.read(true).write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&new)?;
            file.write_all(HEADER)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            File::open(&self.folder)?.sync_all()?;
            Ok(file)
        };
        self.file = write().map_err(file_error("cannot write", &new))?;
        self.bytes = (HEADER.len() + bytes.len()) as u64;
        self.compacted_bytes = self.bytes;
        self.broken = false;
        Ok(())
    }

    fn check(&self) -> Result<(), JournalError> {
        if !self.broken {
            return Ok(());
        }
        let source = io::Error::other(
            "a record could not be taken back; nothing is written behind it until a restart",
        );
        Err(file_error("cannot write", &self.path)(source))
    }
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

fn write_header(file: &mut File, folder: &Path) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(HEADER)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()
}

fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join("lock");
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = options.open(&path).map_err(file_error("cannot open", &path))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(JournalError::InUse(folder.to_owned())),
    }
}

fn file_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    move |source| JournalError::File { doing, path, source }
}

#[cfg(test)]
mod tests {
    use super::record::tests::{bytes_of, sample};
    use super::*;

    fn written(folder: &Path) -> Vec<u8> {
        let mut journal = Journal::open(folder).unwrap().journal;
        for record in &sample() {
            journal.append(record, true).unwrap();
        }
        fs::read(folder.join("journal")).unwrap()
    }

    #[test]
    fn every_truncation_of_the_file_is_opened_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = written(folder.path());
        let (_, ends) = bytes_of(&sample());
        for length in 0..bytes.len() {
            fs::write(folder.path().join("journal"), &bytes[..length]).unwrap();
            let Opened { mut journal, records, warning } = Journal::open(folder.path()).unwrap();
            let whole = ends.iter().filter(|end| **end + HEADER.len() <= length).count();
            let expected = whole.saturating_sub(1);
            assert_eq!(records, sample()[..expected], "{length} bytes");
            let torn = length > HEADER.len() && !ends.contains(&(length - HEADER.len()));
            assert_eq!(warning.is_some(), torn, "{length} bytes");
            // What is appended now is found at the next start.
            let record = Record::Remove { program: "next".into() };
            journal.append(&record, true).unwrap();
            drop(journal);
            let opened = Journal::open(folder.path()).unwrap();
            assert_eq!(opened.records.last(), Some(&record));
            assert_eq!((opened.records.len(), opened.warning), (expected + 1, None));
        }
    }

    #[test]
    fn a_damaged_middle_is_refused_with_its_place_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut bytes = written(folder.path());
        bytes[HEADER.len() + 20] ^= 1;
        fs::write(folder.path().join("journal"), &bytes).unwrap();
        let message = Journal::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("byte {}", HEADER.len())), "{message}");
        assert!(message.contains("truncate -s 14"), "{message}");
        assert_eq!(fs::read(folder.path().join("journal")).unwrap(), bytes);
        fs::write(folder.path().join("journal"), b"#!/bin/sh\necho\n").unwrap();
        let message = Journal::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("does not begin as a journal"), "{message}");
    }

    #[test]
    fn what_is_taken_back_is_gone_and_a_rewritten_file_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path()).unwrap().journal;
        let [first, second] = ["a", "b"].map(|name| Record::Remove { program: name.into() });
        journal.append(&first, true).unwrap();
        let mark = journal.append(&second, true).unwrap();
        journal.take_back(mark).unwrap();
        journal.append(&first, false).unwrap();
        drop(journal);
        let Opened { mut journal, records, .. } = Journal::open(folder.path()).unwrap();
        assert_eq!(records, [first.clone(), first.clone()]);
        journal.rewrite(Vec::new()).unwrap();
        journal.append(&second, true).unwrap();
        drop(journal);
        let opened = Journal::open(folder.path()).unwrap();
        assert_eq!(opened.records, [Record::Programs(Vec::new()), second]);
    }

    #[test]
    fn a_folder_has_one_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Journal::open(folder.path()).unwrap();
        let message = Journal::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("another daemon uses"), "{message}");
    }
}
