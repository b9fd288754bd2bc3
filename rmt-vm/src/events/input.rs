//! The text of a trace: plain, or decompressed; its lines have a bounded length.

use std::io::{self, BufRead, BufReader, Read};

use ruzstd::decoding::StreamingDecoder;

/// Longest line of a trace.
pub const MAX_LINE_BYTES: usize = 1 << 20;

/// First bytes of a zstd frame (RFC 8878, section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The text of a stream, which is compressed exactly when it begins with a zstd frame.
pub(super) fn text(mut source: impl BufRead + 'static) -> io::Result<Box<dyn BufRead>> {
    let compressed = source.fill_buf()?.starts_with(&ZSTD_MAGIC);
    let text: Box<dyn Read> = if compressed {
        Box::new(Frames { state: FrameState::Between(source) })
    } else {
        Box::new(source)
    };
    Ok(Box::new(BufReader::new(BoundedLines { text, line_bytes: 0 })))
}

/// A sequence of zstd frames.
struct Frames<R: BufRead> {
    state: FrameState<R>,
}

enum FrameState<R: BufRead> {
    Between(R),
    Inside(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Ended,
}

fn damaged(reason: impl std::fmt::Display) -> io::Error {
    let message =
        format!("the zstd stream is damaged or cut short ({reason}); fetch the file again");
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.state, FrameState::Ended) {
                FrameState::Ended => return Ok(0),
                FrameState::Between(mut source) => {
                    if source.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    let frame = StreamingDecoder::new(source).map_err(damaged)?;
                    self.state = FrameState::Inside(Box::new(frame));
                }
                FrameState::Inside(mut frame) => {
                    let bytes = frame.read(buffer).map_err(damaged)?;
                    if bytes > 0 || buffer.is_empty() {
                        self.state = FrameState::Inside(frame);
                        return Ok(bytes);
                    }
                    let (source, decoder) = frame.into_parts();
                    let stored = decoder.get_checksum_from_data();
                    if stored.is_some() && stored != decoder.get_calculated_checksum() {
                        return Err(damaged("its checksum is wrong"));
                    }
                    self.state = FrameState::Between(source);
                }
            }
        }
    }
}

/// Ends a text whose line is longer than [`MAX_LINE_BYTES`] with an error.
struct BoundedLines {
    text: Box<dyn Read>,
    line_bytes: usize,
}

impl Read for BoundedLines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.text.read(buffer)?;
        for line in buffer[..bytes].split_inclusive(|&byte| byte == b'\n') {
            self.line_bytes += line.len();
            if self.line_bytes > MAX_LINE_BYTES {
                let message =
                    format!("a line is longer than {MAX_LINE_BYTES} bytes; is this a CSV file?");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            if line.ends_with(b"\n") {
                self.line_bytes = 0;
            }
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    fn read(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut result = Vec::new();
        text(io::Cursor::new(bytes))?.read_to_end(&mut result)?;
        Ok(result)
    }

    fn sample() -> Vec<u8> {
        (0..20_000_u32)
            .flat_map(|n| format!("{n},{}\n", n.wrapping_mul(2654435761)).into_bytes())
            .collect()
    }

    fn compressed() -> Vec<u8> {
        compress_to_vec(sample().as_slice(), CompressionLevel::Fastest)
    }

    #[test]
    fn plain_and_compressed_texts_are_the_same() {
        assert_eq!(read(sample()).unwrap(), sample());
        assert!(compressed().starts_with(&ZSTD_MAGIC));
        assert_eq!(read(compressed()).unwrap(), sample());
        assert_eq!(read([compressed(), compressed()].concat()).unwrap(), sample().repeat(2));
    }

    #[test]
    fn a_truncated_stream_is_an_error_wherever_it_is_cut() {
        let whole = compressed();
        for kept in (4..whole.len()).step_by(whole.len() / 97) {
            let error = read(whole[..kept].to_vec()).unwrap_err().to_string();
            assert!(error.contains("cut short"), "{kept}: {error}");
        }
    }

    #[test]
    fn a_flipped_bit_is_an_error() {
        let whole = compressed();
        for place in (10..whole.len()).step_by(whole.len() / 53) {
            let mut broken = whole.clone();
            broken[place] ^= 0x10;
            assert!(read(broken).is_err(), "bit at {place}");
        }
    }

    #[test]
    fn a_line_without_end_is_an_error() {
        let error = read(vec![b'1'; MAX_LINE_BYTES + 1]).unwrap_err().to_string();
        assert!(error.contains("longer than"), "{error}");
    }
}
