//! Reading recorded page faults: CSV, plain or zstd-compressed.
//!
//! Columns, by name and in any order: `time_us,pid,vpn,swap_offset`. The `csv` crate splits the
//! lines and `ruzstd` (pure Rust) decompresses; both are told apart from plain text by the frame's
//! magic number, not by the file's name.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::error::{LearnError, Result};

/// First bytes of every zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// One demand fault on a swapped-out page, as the kernel's `do_swap_page` saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageAccess {
    /// Microseconds since the start of the recording.
    pub time_us: u64,
    /// Process that faulted.
    pub pid: u32,
    /// Virtual page number: virtual address divided by 4096, below 2^52.
    pub vpn: u64,
    /// Slot of the page in the swap area.
    pub swap_offset: u64,
}

/// Reads a whole page trace from a file.
///
/// # Errors
/// [`LearnError::Io`] if the file cannot be read, [`LearnError::Trace`] with the line if a column is
/// missing or a value is not a number in range, or if there is no access at all.
pub fn read_page_trace(path: &Path) -> Result<Vec<PageAccess>> {
    let mut file_bytes = Vec::new();
    File::open(path)
        .and_then(|file| BufReader::new(file).read_to_end(&mut file_bytes))
        .map_err(|source| LearnError::Io { path: path.to_owned(), source })?;
    parse_page_trace(&path.display().to_string(), &file_bytes)
}

/// Parses a page trace from memory; `name` stands in error messages.
///
/// # Errors
/// As [`read_page_trace`], without the file errors.
pub fn parse_page_trace(name: &str, bytes: &[u8]) -> Result<Vec<PageAccess>> {
    let text = decompress_if_zstd(name, bytes)?;
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let columns = column_positions(name, &mut reader, &["time_us", "pid", "vpn", "swap_offset"])?;
    let mut accesses = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| csv_error(name, &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let number = |column: usize, limit: u64| parse_unsigned(name, line, &record, columns[column], limit);
        accesses.push(PageAccess {
            time_us: number(0, u64::MAX)?,
            pid: number(1, u64::from(u32::MAX))? as u32,
            vpn: number(2, (1 << 52) - 1)?,
            swap_offset: number(3, (1 << 52) - 1)?,
        });
    }
    if accesses.is_empty() {
        return Err(LearnError::Trace {
            file: name.to_owned(),
            line: 1,
            reason: "the trace holds a header and no access; record again or give another file".into(),
        });
    }
    Ok(accesses)
}

/// Gives the text of a trace: unchanged, or decompressed when it starts with a zstd frame.
pub(crate) fn decompress_if_zstd(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    if !bytes.starts_with(&ZSTD_MAGIC) {
        return Ok(bytes.to_vec());
    }
    let broken = |reason: String| LearnError::Trace {
        file: name.to_owned(),
        line: 0,
        reason: format!("zstd stream is damaged or cut short ({reason}); fetch the file again"),
    };
    let mut text = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(bytes)
        .map_err(|error| broken(error.to_string()))?
        .read_to_end(&mut text)
        .map_err(|error| broken(error.to_string()))?;
    Ok(text)
}

/// Finds each wanted column in the header.
pub(crate) fn column_positions(
    name: &str,
    reader: &mut csv::Reader<&[u8]>,
    wanted: &[&str],
) -> Result<Vec<usize>> {
    let header = reader.headers().map_err(|error| csv_error(name, &error))?.clone();
    wanted
        .iter()
        .map(|column| {
            header.iter().position(|found| found == *column).ok_or_else(|| LearnError::Trace {
                file: name.to_owned(),
                line: 1,
                reason: format!("column '{column}' is missing; the header is '{}'", header.iter().collect::<Vec<_>>().join(",")),
            })
        })
        .collect()
}

/// Turns the `csv` crate's error into one with file and line.
pub(crate) fn csv_error(name: &str, error: &csv::Error) -> LearnError {
    LearnError::Trace {
        file: name.to_owned(),
        line: error.position().map_or(0, csv::Position::line),
        reason: error.to_string(),
    }
}

fn parse_unsigned(name: &str, line: u64, record: &csv::StringRecord, column: usize, limit: u64) -> Result<u64> {
    let text = record.get(column).unwrap_or("");
    text.parse::<u64>().ok().filter(|value| *value <= limit).ok_or_else(|| LearnError::Trace {
        file: name.to_owned(),
        line,
        reason: format!("column {}: expected an unsigned integer up to {limit}, found '{text}'", column + 1),
    })
}
