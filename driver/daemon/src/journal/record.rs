//! Records as bytes, and what is found in a file of them.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0-3 | `RMTJ` |
//! | 4-7 | length of the content, little-endian |
//! | 8-11 | CRC-32C of the content |
//! | 12-15 | CRC-32C of bytes 0-11 |
//! | 16- | the content, a [`Record`] in postcard's format |
//!
//! Where a record cannot be read, it is asked what comes behind it. Nothing readable: the end of
//! the file was torn when the machine stopped, and is cut off; such a record was never
//! acknowledged. Another record: the file was damaged later, and is refused, because what is
//! behind may rest on what is lost.

use rmt_isa::arithmetic::crc32c;
use rmt_vm::state::{Change, Snapshot};
use serde::{Deserialize, Serialize};

use crate::protocol::Wish;

const MAGIC: [u8; 4] = *b"RMTJ";
const HEADER_BYTES: usize = 16;

/// One transaction, or all that the transactions before it have left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Record {
    /// All programs with their state; the first record of a file that was written anew.
    Programs(Vec<SavedProgram>),
    /// A program was installed.
    Install {
        /// Its image.
        image: Vec<u8>,
        /// Where it shall run.
        place: Wish,
        /// Whether it took another's place.
        replace: bool,
    },
    /// A program was removed.
    Remove {
        /// Its name.
        program: String,
    },
    /// Changes to a program.
    Commit {
        /// Its name.
        program: String,
        /// All of them.
        changes: Vec<Change>,
    },
    /// A program shall run elsewhere.
    Place {
        /// Its name.
        program: String,
        /// Where.
        place: Wish,
    },
}

/// A program as it stands in [`Record::Programs`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedProgram {
    /// Its image.
    pub image: Vec<u8>,
    /// Where it shall run.
    pub place: Wish,
    /// Its state.
    pub snapshot: Snapshot,
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    (!crc32c(u32::MAX, bytes)).to_le_bytes()
}

/// A record as bytes.
pub(super) fn encode(record: &Record) -> Result<Vec<u8>, postcard::Error> {
    let mut bytes = postcard::to_extend(record, vec![0; HEADER_BYTES])?;
    let (header, content) = bytes.split_at_mut(HEADER_BYTES);
    let length = u32::try_from(content.len()).map_err(|_| postcard::Error::SerializeBufferFull)?;
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&length.to_le_bytes());
    header[8..12].copy_from_slice(&checksum(content));
    let own = checksum(&header[..12]);
    header[12..].copy_from_slice(&own);
    Ok(bytes)
}

/// The content of the record that begins these bytes, if it is whole and undamaged.
fn content(bytes: &[u8]) -> Option<&[u8]> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    if header[..4] != MAGIC || checksum(&header[..12]) != header[12..] {
        return None;
    }
    let length = u32::from_le_bytes(header[4..8].try_into().ok()?) as usize;
    rest.get(..length).filter(|content| checksum(content) == header[8..12])
}

/// What is in a file.
pub(super) struct Found {
    /// Records from the first on.
    pub records: Vec<Record>,
    /// Bytes that they take, with what stands before them.
    pub whole: usize,
    /// What is behind.
    pub end: End,
}

/// What is behind the last record that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing.
    Clean,
    /// Bytes that are no record, and no record behind them.
    Torn,
    /// A record that cannot be read, with another one behind it at this place.
    Damaged {
        /// Where the next record begins.
        next: usize,
    },
    /// An undamaged record of another version of this program.
    Unknown,
}

/// Reads records from `begin` on.
pub(super) fn decode(bytes: &[u8], begin: usize) -> Found {
    let (mut records, mut whole) = (Vec::new(), begin);
    while let Some(found) = bytes.get(whole..).and_then(content) {
        match postcard::from_bytes(found) {
            Ok(record) => records.push(record),
            Err(_) => return Found { records, whole, end: End::Unknown },
        }
        whole += HEADER_BYTES + found.len();
    }
    let behind = bytes.get(whole..).unwrap_or(&[]);
    let next = || {
        let starts = (1..behind.len()).filter(|&place| behind[place..].starts_with(&MAGIC));
        starts.into_iter().find(|&place| content(&behind[place..]).is_some())
    };
    let end = match behind {
        [] => End::Clean,
        _ => next().map_or(End::Torn, |place| End::Damaged { next: whole + place }),
    };
    Found { records, whole, end }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Records of different lengths.
    pub fn sample() -> Vec<Record> {
        let program = || "page_prefetch".to_owned();
        vec![
            Record::Install { image: vec![7; 40], place: Wish::Auto, replace: false },
            Record::Commit {
                program: program(),
                changes: vec![
                    Change::StoreMap { map: 0, key: 1, value: 2 },
                    Change::RemoveRecord { context: 0, key: u64::MAX },
                ],
            },
            Record::Place { program: program(), place: Wish::Card },
            Record::Remove { program: program() },
        ]
    }

    pub fn bytes_of(records: &[Record]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for record in records {
            bytes.extend(encode(record).unwrap());
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn every_truncation_gives_the_whole_records_before_it() {
        let records = sample();
        let (bytes, ends) = bytes_of(&records);
        for length in 0..=bytes.len() {
            let found = decode(&bytes[..length], 0);
            let whole = ends.iter().filter(|end| **end <= length).count() - 1;
            assert_eq!(found.records, records[..whole], "{length} bytes");
            assert_eq!(found.whole, ends[whole]);
            let clean = ends.contains(&length);
            assert_eq!(found.end, if clean { End::Clean } else { End::Torn }, "{length} bytes");
        }
    }

    #[test]
    fn every_damaged_byte_is_seen_and_told_from_a_torn_end() {
        let records = sample();
        let (bytes, ends) = bytes_of(&records);
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 0x10;
            let found = decode(&bytes, 0);
            let damaged = ends.iter().filter(|end| **end <= place).count() - 1;
            assert_eq!(found.records, records[..damaged], "byte {place}");
            let expected = match damaged + 1 == records.len() {
                true => End::Torn,
                false => End::Damaged { next: ends[damaged + 1] },
            };
            assert_eq!(found.end, expected, "byte {place}");
        }
    }

    #[test]
    fn zeros_behind_the_last_record_are_a_torn_end() {
        let (mut bytes, ends) = bytes_of(&sample());
        bytes.extend([0; 4096]);
        let found = decode(&bytes, 0);
        assert_eq!((found.end, found.whole), (End::Torn, *ends.last().unwrap()));
    }
}
