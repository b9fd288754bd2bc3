//! A serial port of this machine.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::termios::{self, OptionalActions};

use super::Line;
use crate::error::DriverError;
use crate::memory::wait_readable;

/// How long one look at the port waits for bytes.
const MOMENT: Duration = Duration::from_millis(1);
/// Bytes taken at a time.
const CHUNK: usize = 4096;

/// A serial port, raw: 8 data bits, no parity, one stop bit, no flow control.
pub struct Tty {
    name: String,
    file: File,
    begun: Instant,
}

impl Tty {
    /// Opens a port at a rate, bits a second. What it received before is dropped.
    ///
    /// # Errors
    /// [`DriverError::File`]: the file is missing, may not be opened, is no serial port, or does not
    /// know the rate.
    pub fn open(path: &Path, baud: u32) -> Result<Self, DriverError> {
        let failed =
            |doing| move |source| DriverError::File { doing, path: path.to_owned(), source };
        let file = File::options().read(true).write(true).open(path).map_err(failed("opening"))?;
        let configure = || -> rustix::io::Result<()> {
            let mut settings = termios::tcgetattr(&file)?;
            settings.make_raw();
            settings.set_speed(baud)?;
            termios::tcsetattr(&file, OptionalActions::Now, &settings)?;
            termios::tcflush(&file, termios::QueueSelector::IOFlush)
        };
        configure().map_err(io::Error::from).map_err(failed("setting up the serial port"))?;
        Ok(Self { name: path.display().to_string(), file, begun: Instant::now() })
    }
}

impl Line for Tty {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn receive(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if !wait_readable(&self.file, MOMENT)? {
            return Ok(());
        }
        let mut chunk = [0; CHUNK];
        let count = self.file.read(&mut chunk)?;
        if count == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the port is gone"));
        }
        bytes.extend(&chunk[..count]);
        Ok(())
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    #[test]
    fn bytes_pass_a_port_unchanged() {
        let host = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&host).unwrap();
        unlockpt(&host).unwrap();
        let path = ptsname(&host, Vec::new()).unwrap().into_string().unwrap();
        let mut port = Tty::open(Path::new(&path), 115_200).unwrap();
        let mut host = File::from(host);
        // Among them all that a terminal would change or act upon.
        let all: Vec<u8> = (0..=255).collect();
        host.write_all(&all).unwrap();
        let mut received = Vec::new();
        let begun = Instant::now();
        while received.len() < all.len() && begun.elapsed() < Duration::from_secs(5) {
            port.receive(&mut received).unwrap();
        }
        assert_eq!(received, all);
        port.send(&all).unwrap();
        let mut back = vec![0; all.len()];
        host.read_exact(&mut back).unwrap();
        assert_eq!(back, all);
    }

    #[test]
    fn what_is_no_port_is_named() {
        let error = |path| Tty::open(Path::new(path), 115_200).err().unwrap().to_string();
        assert!(error("/dev/null").contains("serial port"), "{}", error("/dev/null"));
        assert!(error("/dev/no-such-port").contains("/dev/no-such-port"));
    }
}
