//! Reading recorded tables: CSV with a header, plain or zstd-compressed.
//!
//! The `csv` crate splits lines, `ruzstd` (pure Rust, so no C compiler is needed) decompresses.
//! Both kinds are told apart by the zstd frame's magic number, not by the file's name.

use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;

use crate::error::{LearnError, Result};

/// First bytes of every zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// One line of a table, cut to the wanted columns.
pub(crate) struct Row<'a> {
    file: &'a str,
    line: u64,
    record: &'a csv::StringRecord,
    columns: &'a [(usize, &'a str)],
}

impl Row<'_> {
    /// The text of the wanted column number `column`.
    pub(crate) fn text(&self, column: usize) -> &str {
        self.record.get(self.columns[column].0).unwrap_or("")
    }

    /// The integer in a column, which must lie in `range`.
    pub(crate) fn integer(&self, column: usize, range: RangeInclusive<i64>) -> Result<i64> {
        let text = self.text(column);
        text.parse().ok().filter(|value| range.contains(value)).ok_or_else(|| LearnError::Trace {
            file: self.file.to_owned(),
            line: self.line,
            reason: format!(
                "column '{}': expected an integer from {} to {}, found '{text}'",
                self.columns[column].1,
                range.start(),
                range.end()
            ),
        })
    }
}

/// Reads the bytes of a file.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(|source| LearnError::Io { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// Reads all rows of a table; `wanted` names the columns, which may stand in any order among
/// others.
pub(crate) fn read_rows<T>(
    file: &str,
    bytes: &[u8],
    wanted: &[&str],
    mut convert: impl FnMut(&Row) -> Result<T>,
) -> Result<Vec<T>> {
    let text = decompress_if_zstd(file, bytes)?;
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let header = reader.headers().map_err(|error| csv_error(file, &error))?.clone();
    let mut columns = Vec::new();
    for name in wanted {
        let position =
            header.iter().position(|found| found == *name).ok_or_else(|| LearnError::Trace {
                file: file.to_owned(),
                line: 1,
                reason: format!(
                    "column '{name}' is missing; the header is '{}'",
                    header.iter().collect::<Vec<_>>().join(",")
                ),
            })?;
        columns.push((position, *name));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| csv_error(file, &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        rows.push(convert(&Row { file, line, record: &record, columns: &columns })?);
    }
    if rows.is_empty() {
        return Err(LearnError::Trace {
            file: file.to_owned(),
            line: 1,
            reason: "there is a header and no row; record again or give another file".into(),
        });
    }
    Ok(rows)
}

/// Gives the text of a table: unchanged, or decompressed when it starts with a zstd frame.
fn decompress_if_zstd(file: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    if !bytes.starts_with(&ZSTD_MAGIC) {
        return Ok(bytes.to_vec());
    }
    let broken = |reason: String| LearnError::Trace {
        file: file.to_owned(),
        line: 0,
        reason: format!("the zstd stream is damaged or cut short ({reason}); fetch the file again"),
    };
    let mut text = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(bytes)
        .map_err(|error| broken(error.to_string()))?
        .read_to_end(&mut text)
        .map_err(|error| broken(error.to_string()))?;
    Ok(text)
}

fn csv_error(file: &str, error: &csv::Error) -> LearnError {
    LearnError::Trace {
        file: file.to_owned(),
        line: error.position().map_or(0, csv::Position::line),
        reason: error.to_string(),
    }
}
