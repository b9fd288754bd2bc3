//! The archive that a kernel unpacks as its first file system: cpio, format "newc".

use std::io::{self, Write};

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
        self.entry("TRAILER!!!", 0, &[])?;
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
        let fields = [
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
        self.out.write_all(b"070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(110 + name_bytes as usize)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    /// Names and contents end on a multiple of four bytes.
    fn pad(&mut self, length: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..length.wrapping_neg() % 4])
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
