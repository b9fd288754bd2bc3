//! Bits of frames.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Words of a frame.
const WORDS: usize = 101;
const WORD_BITS: u32 = 32;

/// A frame: which bits are one, and which were given a value.
#[derive(Clone, Debug)]
struct Frame {
    ones: [u32; WORDS],
    given: [u32; WORDS],
}

/// The frames of a design that are not all zeros, by address.
#[derive(Clone, Debug, Default)]
pub struct Frames(BTreeMap<u32, Frame>);

impl Frames {
    /// Gives a bit its value; whether it had none or the same before. `bit` counts from the frame's first word.
    pub(super) fn give(&mut self, address: u32, bit: u32, value: bool) -> Result<(), Outside> {
        let word = (bit / WORD_BITS) as usize;
        if word >= WORDS {
            return Err(Outside::Frame);
        }
        let zeros = Frame { ones: [0; WORDS], given: [0; WORDS] };
        let frame = self.0.entry(address).or_insert(zeros);
        let mask = 1 << (bit % WORD_BITS);
        if frame.given[word] & mask != 0 && (frame.ones[word] & mask != 0) != value {
            return Err(Outside::Agreement);
        }
        frame.given[word] |= mask;
        frame.ones[word] |= if value { mask } else { 0 };
        Ok(())
    }

    /// Bits that are one.
    pub fn ones(&self) -> u64 {
        let words = self.0.values().flat_map(|frame| frame.ones);
        words.map(|word| u64::from(word.count_ones())).sum()
    }

    /// A word of a frame.
    pub fn word(&self, address: u32, word: usize) -> u32 {
        self.0.get(&address).and_then(|frame| frame.ones.get(word)).copied().unwrap_or(0)
    }

    /// As xc7frames2bit reads them: a line for each, with its address and its words.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (address, frame) in &self.0 {
            let _ = write!(text, "0x{address:08X} ");
            for (index, word) in frame.ones.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}0x{word:08X}");
            }
            text.push('\n');
        }
        text
    }
}

/// Why a bit cannot have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// A frame does not have it.
    Frame,
    /// It has another value already.
    Agreement,
}
