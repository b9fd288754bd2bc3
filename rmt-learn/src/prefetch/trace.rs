//! Recorded page faults: `time_us,pid,vpn,swap_offset` as CSV, plain or zstd-compressed.

use std::path::Path;

use crate::error::Result;
use crate::table::{read_bytes, read_rows};

/// Virtual page numbers and swap slots stay below this: 64-bit addresses of 4096-byte pages.
const MAX_PAGE_NUMBER: i64 = (1 << 52) - 1;

/// One demand fault on a swapped-out page, as the kernel's `do_swap_page` saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageAccess {
    /// Microseconds since the start of the recording.
    pub time_us: u64,
    /// Process that faulted.
    pub pid: u32,
    /// Virtual page number: virtual address divided by 4096, below 2^52.
    pub vpn: u64,
    /// Slot of the page in the swap area, below 2^52.
    pub swap_offset: u64,
}

/// Reads a whole page trace from a file.
///
/// # Errors
/// [`LearnError::Io`](crate::LearnError::Io) if the file cannot be read,
/// [`LearnError::Trace`](crate::LearnError::Trace) with the line if a column is missing, a value is
/// not an integer in range, or there is no access at all.
pub fn read_page_trace(path: &Path) -> Result<Vec<PageAccess>> {
    parse_page_trace(&path.display().to_string(), &read_bytes(path)?)
}

/// Parses a page trace from memory; `name` stands in error messages.
///
/// # Errors
/// As [`read_page_trace`], without the file errors.
pub fn parse_page_trace(name: &str, bytes: &[u8]) -> Result<Vec<PageAccess>> {
    read_rows(name, bytes, &["time_us", "pid", "vpn", "swap_offset"], |row| {
        Ok(PageAccess {
            time_us: row.integer(0, 0..=i64::MAX)? as u64,
            pid: row.integer(1, 0..=i64::from(u32::MAX))? as u32,
            vpn: row.integer(2, 0..=MAX_PAGE_NUMBER)? as u64,
            swap_offset: row.integer(3, 0..=MAX_PAGE_NUMBER)? as u64,
        })
    })
}
