//! Frames on a stream: a header of 12 bytes, then the message in postcard's format.
//!
//! | bytes | what |
//! | --- | --- |
//! | 0-3 | `RMTC` |
//! | 4-5 | version of the protocol, little-endian |
//! | 6-7 | zero |
//! | 8-11 | length of the message, at most [`MAX_FRAME_BYTES`] |
//!
//! Reading is bounded in time and memory: a whole frame must come within the limit once its first
//! byte has, and memory is taken as bytes arrive, not as the header promises.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::PROTOCOL_VERSION;

/// Longest message.
pub const MAX_FRAME_BYTES: u32 = 16 << 20;
/// Time for a whole frame.
pub const FRAME_TIME: Duration = Duration::from_secs(5);

const MAGIC: [u8; 4] = *b"RMTC";
const HEADER_BYTES: usize = 12;
/// Memory is taken in steps of this size.
const STEP_BYTES: usize = 64 << 10;

/// Why there is no message.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer has closed the stream between two frames.
    #[error("the peer has closed the connection")]
    Closed,
    /// It came to an end inside a frame.
    #[error("the connection ended inside a message")]
    Torn,
    /// The peer is too slow.
    #[error("the message did not come within {} ms", .0.as_millis())]
    Slow(Duration),
    /// The first bytes are no header.
    #[error(
        "this is no message of the RMT control plane; connect with `rmt ctl` or the crate rmt-daemon"
    )]
    NoFrame,
    /// Another version.
    #[error(
        "the peer speaks version {0} of the protocol, this side version {PROTOCOL_VERSION}; use client and daemon of one build"
    )]
    Version(u16),
    /// Too long.
    #[error("the message has {0} bytes, at most {MAX_FRAME_BYTES} are taken; send it in parts")]
    TooLong(u64),
    /// The bytes are no message.
    #[error("the message cannot be read: {0}; use client and daemon of one build")]
    Garbled(#[from] postcard::Error),
    /// The system's.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes a message.
///
/// # Errors
/// [`FrameError::TooLong`], and those of the system; a peer that does not read is one after
/// [`FRAME_TIME`].
pub fn send<T: Serialize>(stream: &mut UnixStream, message: &T) -> Result<(), FrameError> {
    let mut bytes = vec![0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&PROTOCOL_VERSION.to_le_bytes());
    let mut bytes = postcard::to_extend(message, bytes)?;
    let length = bytes.len() - HEADER_BYTES;
    let length = u32::try_from(length).ok().filter(|length| *length <= MAX_FRAME_BYTES);
    let length = length.ok_or(FrameError::TooLong(bytes.len() as u64))?;
    bytes[8..HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
    let deadline = Instant::now() + FRAME_TIME;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match stream.write(rest) {
            Ok(0) => return Err(FrameError::Torn),
            Ok(count) => rest = &rest[count..],
            Err(error) => again(error)?,
        }
    }
    Ok(())
}

/// Reads a message: its first byte within `patience`, the whole within [`FRAME_TIME`] from then.
///
/// # Errors
/// [`FrameError`]; the stream is of no use any more.
pub fn receive<T: DeserializeOwned>(
    stream: &mut UnixStream,
    patience: Duration,
) -> Result<T, FrameError> {
    let mut header = [0; HEADER_BYTES];
    let mut first = 0;
    let deadline = Instant::now() + patience;
    while first == 0 {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut header[..1]) {
            Ok(0) => return Err(FrameError::Closed),
            Ok(count) => first = count,
            Err(error) => again(error)?,
        }
    }
    let deadline = Instant::now() + FRAME_TIME;
    fill(stream, &mut header[1..], deadline)?;
    if header[..4] != MAGIC || header[6..8] != [0, 0] {
        return Err(FrameError::NoFrame);
    }
    let version = u16::from_le_bytes([header[4], header[5]]);
    if version != PROTOCOL_VERSION {
        return Err(FrameError::Version(version));
    }
    let length = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    if length > MAX_FRAME_BYTES {
        return Err(FrameError::TooLong(length.into()));
    }
    let length = length as usize;
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let begun = bytes.len();
        bytes.resize(length.min(begun + STEP_BYTES), 0);
        fill(stream, &mut bytes[begun..], deadline)?;
    }
    let (message, rest) = postcard::take_from_bytes(&bytes)?;
    match rest {
        [] => Ok(message),
        _ => Err(FrameError::Garbled(postcard::Error::DeserializeBadEncoding)),
    }
}

fn fill(
    stream: &mut UnixStream,
    mut place: &mut [u8],
    deadline: Instant,
) -> Result<(), FrameError> {
    while !place.is_empty() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(place) {
            Ok(0) => return Err(FrameError::Torn),
            Ok(count) => place = &mut place[count..],
            Err(error) => again(error)?,
        }
    }
    Ok(())
}

/// Time that is left, never zero.
fn left(deadline: Instant) -> Result<Duration, FrameError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(FrameError::Slow(FRAME_TIME)) } else { Ok(left) }
}

/// Errors after which it is worth to try again: the next look at the deadline ends it.
fn again(error: io::Error) -> Result<(), FrameError> {
    match error.kind() {
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(()),
        _ => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Request;

    const NOW: Duration = Duration::from_millis(300);

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().unwrap()
    }

    fn received(bytes: &[u8]) -> Result<Request, FrameError> {
        let (mut ours, mut theirs) = pair();
        theirs.write_all(bytes).unwrap();
        drop(theirs);
        receive(&mut ours, NOW)
    }

    fn framed(request: &Request) -> Vec<u8> {
        let (mut ours, mut theirs) = pair();
        send(&mut theirs, request).unwrap();
        drop(theirs);
        let mut bytes = Vec::new();
        ours.read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_message_survives_and_every_shorter_one_is_torn() {
        let request = Request::Show { program: "page_prefetch".into() };
        let bytes = framed(&request);
        assert_eq!(received(&bytes).unwrap(), request);
        assert!(matches!(received(&[]), Err(FrameError::Closed)));
        for length in 1..bytes.len() {
            let result = received(&bytes[..length]);
            assert!(matches!(result, Err(FrameError::Torn)), "{length}: {result:?}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_with_its_reason() {
        let good = framed(&Request::List);
        let with = |place: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[place] = byte;
            received(&bytes).unwrap_err().to_string()
        };
        assert!(with(0, b'G').contains("no message of the RMT control plane"));
        assert!(with(4, 9).contains("speaks version 9"));
        assert!(with(6, 1).contains("no message"));
        assert!(with(11, 0xff).contains("at most"));
        assert!(with(12, 0x7f).contains("cannot be read"));
        // Bytes behind the message, inside the frame.
        let mut longer = good.clone();
        longer[8] += 1;
        longer.push(0);
        assert!(matches!(received(&longer), Err(FrameError::Garbled(_))));
    }

    #[test]
    fn a_silent_peer_costs_a_bounded_time() {
        let (mut ours, _theirs) = pair();
        let begun = Instant::now();
        let result = receive::<Request>(&mut ours, Duration::from_millis(50));
        assert!(matches!(result, Err(FrameError::Slow(_))));
        assert!(begun.elapsed() < Duration::from_secs(2));
    }
}
