//! The archive that a kernel unpacks as its first file system: cpio, format "newc". The guest hands
//! its results back in the same format.

use std::io::{self, Write};
use std::path::{Component, Path};

/// First bytes of an entry.
const MAGIC: &[u8] = b"070701";
/// Fields of an entry behind the magic, of eight hexadecimal digits each.
const FIELDS: usize = 13;
/// Bytes of an entry before its name.
const HEADER_BYTES: usize = MAGIC.len() + 8 * FIELDS;
/// Name of the entry behind the last one.
const END: &str = "TRAILER!!!";
/// The bits of the mode that tell the kind of an entry.
const KIND: u32 = 0o170_000;

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// Writes an archive entry by entry. A folder must come before what stands in it.
pub struct Archive<W> {
    out: W,
    entries: u32,
}

impl<W: Write> Archive<W> {
    /// An archive without entries.
    pub fn new(out: W) -> Self {
        Self { out, entries: 0 }
    }

    /// Adds a folder.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn directory(&mut self, path: &str) -> io::Result<()> {
        self.entry(path, DIRECTORY, &[])
    }

    /// Adds a file that everybody may read and run.
    ///
    /// # Errors
    /// Those of the writer; `InvalidInput` when the file is too long for the format (4 GiB).
    pub fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        self.entry(path, FILE, content)
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.entry(path, LINK, target.as_bytes())
    }

    /// Writes the end mark and gives the writer back.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn finish(mut self) -> io::Result<W> {
        self.entry(END, 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        let bytes = u32::try_from(content.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "file of 4 GiB or more"))?;
        self.entries += 1;
        let path = path.trim_start_matches('/');
        let name_bytes = path.len() as u32 + 1;
        // Magic, then 13 fields of eight hexadecimal digits.
        let [owner, group, links, time] = [0, 0, 1, 0];
        let [major, minor, device_major, device_minor, checksum] = [0; 5];
        let fields: [u32; FIELDS] = [
            self.entries,
            mode,
            owner,
            group,
            links,
            time,
            bytes,
            major,
            minor,
            device_major,
            device_minor,
            name_bytes,
            checksum,
        ];
        self.out.write_all(MAGIC)?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(HEADER_BYTES + name_bytes as usize)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    /// Names and contents end on a multiple of four bytes.
    fn pad(&mut self, length: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..length.wrapping_neg() % 4])
    }
}

/// The files of an archive: path and content. Folders, links and what stands behind the end mark
/// are left out.
///
/// # Errors
/// What is no archive, is cut short, or has a path that leads out of the folder that it is unpacked
/// in: it comes from a guest, which may be broken.
pub fn files(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut files = Vec::new();
    let mut at = 0_usize;
    loop {
        let cut_short = || format!("the archive is cut short at byte {at}");
        let header = archive.get(at..).and_then(|rest| rest.get(..HEADER_BYTES));
        let header = header.ok_or_else(cut_short)?;
        if !header.starts_with(MAGIC) {
            return Err(format!("byte {at} begins no entry of a cpio archive (newc)"));
        }
        let field = |number: usize| {
            let digits = &header[MAGIC.len() + 8 * number..][..8];
            let digits = std::str::from_utf8(digits).ok();
            let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
            value.ok_or_else(|| format!("field {number} of the entry at byte {at} is no number"))
        };
        let (mode, bytes, name_bytes) = (field(1)?, field(6)? as usize, field(11)? as usize);
        let name_at = at + HEADER_BYTES;
        let content_at = (name_at + name_bytes).next_multiple_of(4);
        let name = archive.get(name_at..name_at + name_bytes).ok_or_else(cut_short)?;
        let content = archive.get(content_at..content_at + bytes).ok_or_else(cut_short)?;
        let name = String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned();
        if name == END {
            return Ok(files);
        }
        let leads_out = |part| !matches!(part, Component::Normal(_) | Component::CurDir);
        if Path::new(&name).components().any(leads_out) {
            return Err(format!("the path `{name}` leads out of the folder"));
        }
        if mode & KIND == FILE & KIND {
            files.push((name.trim_start_matches("./").to_owned(), content.to_vec()));
        }
        at = (content_at + bytes).next_multiple_of(4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sample() -> Vec<u8> {
        let mut archive = Archive::new(Vec::new());
        archive.directory("bin").unwrap();
        archive.file("/bin/one", b"12345").unwrap();
        archive.link("bin/two", "one").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn entries_are_aligned_and_end_with_the_mark() {
        let bytes = sample();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(bytes.windows(6).filter(|window| window == b"070701").count(), 4);
        assert!(bytes.windows(11).any(|window| window == b"TRAILER!!!\0"));
    }

    #[test]
    fn files_are_read_back_and_damage_is_said() {
        let bytes = sample();
        let expected = vec![("bin/one".to_owned(), b"12345".to_vec())];
        assert_eq!(files(&bytes).unwrap(), expected);
        // Behind the mark stands what the disk held before.
        assert_eq!(files(&[&bytes[..], &[7; 600]].concat()).unwrap(), expected);
        for end in 0..bytes.len() - 15 {
            assert!(files(&bytes[..end]).unwrap_err().contains("cut short"), "{end}");
        }
        let message = files(&[0; 512]).unwrap_err();
        assert!(message.contains("byte 0 begins no entry"), "{message}");
        let mut archive = Archive::new(Vec::new());
        archive.file("bin/../../one", b"1").unwrap();
        let message = files(&archive.finish().unwrap()).unwrap_err();
        assert!(message.contains("leads out"), "{message}");
        // Any changed byte: files or a message.
        for at in 0..bytes.len() {
            for change in [0, b'f', 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = change;
                _ = files(&damaged);
            }
        }
    }

    #[test]
    fn gnu_cpio_reads_it() {
        let child = Command::new("cpio")
            .args(["-t", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: there is no cpio on this machine");
            return;
        };
        child.stdin.take().unwrap().write_all(&sample()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(output.stdout, b"bin\nbin/one\nbin/two\n");
    }
}
