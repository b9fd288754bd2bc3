//! The bring-up link: transactions on a serial line, for boards without PCIe.
//!
//! A frame is a kind, its content, two bytes of check sum and [`END`]. Inside a frame [`END`] and
//! [`ESCAPE`] are sent as [`ESCAPE`] and the byte exclusive-or [`FLIP`], so an [`END`] always ends a
//! frame, and a receiver that lost its place finds it again with the next one. Empty frames are
//! ignored.
//!
//! | kind | from | content |
//! | --- | --- | --- |
//! | 0 to 0x7f | host | a transaction; the kind has a bit for each BAR that it hits |
//! | [`KIND_TRANSACTION`] | card | a transaction |
//! | [`KIND_LINK`] | host | one DW, [`super::fields::serial_link`]: what configuration space holds on PCIe |
//! | [`KIND_LINK`] | card | the answer, one DW, [`super::fields::serial_status`] |
//!
//! DWs are those of [`super::packet`], the low byte first. The check sum is the CRC-16 with polynomial
//! [`CRC_POLYNOMIAL`], started with [`CRC_START`], high bits and high byte first, over kind and content.

/// Ends a frame.
pub const END: u8 = 0xc0;
/// Announces a byte that was changed.
pub const ESCAPE: u8 = 0xdb;
/// What changes a byte behind [`ESCAPE`].
pub const FLIP: u8 = 0x20;
/// A transaction of the card.
pub const KIND_TRANSACTION: u8 = 0;
/// State of the link.
pub const KIND_LINK: u8 = 0x80;
/// Polynomial of the check sum.
pub const CRC_POLYNOMIAL: u16 = 0x1021;
/// The check sum of nothing.
pub const CRC_START: u16 = 0xffff;
/// DWs of the longest frame: a header of 4 and 128 bytes.
pub const MAX_DWS: usize = 36;
/// Bytes that a host may write or give as an answer in one transaction.
pub const MAX_PAYLOAD_BYTES: usize = 128;
/// Version of the framing.
pub const VERSION: u32 = 1;
/// Bits a second unless another rate is asked for.
pub const DEFAULT_BAUD: u32 = 1_000_000;

/// The check sum continued with a byte.
pub const fn crc(sum: u16, byte: u8) -> u16 {
    let mut sum = sum ^ (byte as u16) << 8;
    let mut bit = 0;
    while bit < 8 {
        sum = sum << 1 ^ if sum & 0x8000 != 0 { CRC_POLYNOMIAL } else { 0 };
        bit += 1;
    }
    sum
}

/// A frame as it goes onto the line.
pub fn encode(kind: u8, dws: &[u32]) -> Vec<u8> {
    let mut plain = vec![kind];
    plain.extend(dws.iter().flat_map(|dw| dw.to_le_bytes()));
    let sum = plain.iter().fold(CRC_START, |sum, &byte| crc(sum, byte));
    plain.extend(sum.to_be_bytes());
    let mut line = Vec::with_capacity(plain.len() + 8);
    for byte in plain {
        if byte == END || byte == ESCAPE {
            line.extend([ESCAPE, byte ^ FLIP]);
        } else {
            line.push(byte);
        }
    }
    line.push(END);
    line
}

/// Finds frames in the bytes of a line.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    frame: Vec<u8>,
    escaped: bool,
    /// Frames that were dropped because they were damaged.
    pub damaged: u64,
}

impl Decoder {
    /// Takes a byte; a frame that it ends, as kind and DWs.
    pub fn take(&mut self, byte: u8) -> Option<(u8, Vec<u32>)> {
        match byte {
            END => {
                let frame = std::mem::take(&mut self.frame);
                let broken = std::mem::take(&mut self.escaped);
                if frame.is_empty() && !broken {
                    return None;
                }
                let found = if broken { None } else { Self::check(&frame) };
                self.damaged += u64::from(found.is_none());
                found
            }
            ESCAPE => {
                self.escaped = true;
                None
            }
            byte => {
                let flip = if std::mem::take(&mut self.escaped) { FLIP } else { 0 };
                // What is longer than any frame is damaged; one byte more than that shows it.
                if self.frame.len() <= 3 + 4 * MAX_DWS {
                    self.frame.push(byte ^ flip);
                }
                None
            }
        }
    }

    fn check(frame: &[u8]) -> Option<(u8, Vec<u32>)> {
        let (&kind, rest) = frame.split_first()?;
        let content = rest.len().checked_sub(2)?;
        let sum = frame.iter().fold(CRC_START, |sum, &byte| crc(sum, byte));
        if sum != 0 || !content.is_multiple_of(4) || content > 4 * MAX_DWS {
            return None;
        }
        let (words, _) = rest[..content].as_chunks::<4>();
        Some((kind, words.iter().map(|word| u32::from_le_bytes(*word)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(decoder: &mut Decoder, line: &[u8]) -> Vec<(u8, Vec<u32>)> {
        line.iter().filter_map(|&byte| decoder.take(byte)).collect()
    }

    #[test]
    fn the_check_sum_is_the_published_one() {
        let sum = b"123456789".iter().fold(CRC_START, |sum, &byte| crc(sum, byte));
        assert_eq!(sum, 0x29b1, "CRC-16 with this polynomial and start");
    }

    #[test]
    fn frames_survive_the_line_whatever_they_hold() {
        let mut decoder = Decoder::default();
        for dws in [vec![], vec![0xc0db_c0db; MAX_DWS], vec![1, 0xdbdc_ddc0, u32::MAX]] {
            for kind in [KIND_TRANSACTION, END, ESCAPE, KIND_LINK] {
                let line = encode(kind, &dws);
                assert_eq!(line.iter().filter(|&&byte| byte == END).count(), 1);
                assert_eq!(decode(&mut decoder, &line), [(kind, dws.clone())]);
            }
        }
        assert_eq!(decoder.damaged, 0);
    }

    #[test]
    fn every_damaged_bit_is_found_and_the_next_frame_passes() {
        let line = encode(1, &[0x1234_5678, 0xc0ff_eedb]);
        let good = decode(&mut Decoder::default(), &line);
        for bit in 0..8 * line.len() {
            let mut broken = line.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let mut decoder = Decoder::default();
            assert!(!decode(&mut decoder, &broken).contains(&good[0]), "bit {bit}");
            let behind = [&[END][..], &line].concat();
            assert_eq!(decode(&mut decoder, &behind), good, "bit {bit}");
            assert!(decoder.damaged > 0, "bit {bit}");
        }
        // A line that never ends a frame takes no memory.
        let mut decoder = Decoder::default();
        assert!(decode(&mut decoder, &[7; 10_000]).is_empty());
        assert!(decoder.frame.len() < 200);
    }
}
