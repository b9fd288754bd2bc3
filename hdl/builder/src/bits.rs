//! Constant bit vectors of any width: literals, memory contents and the values that the evaluator takes and returns.

use std::fmt;

/// A bit vector of a fixed width (0 to 2³² − 1 bits), least significant word first.
///
/// Bits above the width are always zero, so equality compares values of equal width.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Bits {
    width: u32,
    words: Vec<u64>,
}

/// Number of 64-bit words that hold `width` bits (at least one).
pub(crate) fn words_for(width: u32) -> usize {
    (width as usize).div_ceil(64).max(1)
}

/// A mask of the `width` low bits of one word; 64 or more gives all ones.
pub(crate) fn low_mask(width: u32) -> u64 {
    if width >= 64 { u64::MAX } else { (1u64 << width) - 1 }
}

impl Bits {
    /// The low `width` bits of `value`.
    pub fn new(width: u32, value: u64) -> Self {
        Self::from_words(width, &[value])
    }

    /// All zeros.
    pub fn zero(width: u32) -> Self {
        Self::from_words(width, &[])
    }

    /// All ones.
    pub fn ones(width: u32) -> Self {
        Self::from_words(width, &vec![u64::MAX; words_for(width)])
    }

    /// The low `width` bits of `value`.
    pub fn from_u128(width: u32, value: u128) -> Self {
        Self::from_words(width, &[value as u64, (value >> 64) as u64])
    }

    /// `value` in two's complement, sign-extended or cut to `width` bits.
    pub fn from_i128(width: u32, value: i128) -> Self {
        let fill = if value < 0 { u64::MAX } else { 0 };
        let mut words = vec![fill; words_for(width).max(2)];
        words[0] = value as u64;
        words[1] = (value >> 64) as u64;
        Self::from_words(width, &words)
    }

    /// The low `width` bits of a little-endian sequence of words; missing words are zero.
    pub fn from_words(width: u32, words: &[u64]) -> Self {
        let mut own = vec![0; words_for(width)];
        let count = own.len().min(words.len());
        own[..count].copy_from_slice(&words[..count]);
        if let Some(last) = own.last_mut() {
            let used = width - 64 * ((width.max(1) - 1) / 64);
            *last &= low_mask(used);
        }
        Self { width, words: own }
    }

    /// The width in bits.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// The value as little-endian 64-bit words.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The 64 low bits, as an unsigned number.
    pub fn to_u64(&self) -> u64 {
        self.words[0]
    }

    /// The 128 low bits, as an unsigned number.
    pub fn to_u128(&self) -> u128 {
        u128::from(self.words[0]) | u128::from(self.words.get(1).copied().unwrap_or(0)) << 64
    }

    /// The value read as two's complement of its own width; the 64 low bits of it if it is wider.
    pub fn to_i64(&self) -> i64 {
        match self.width {
            0 => 0,
            w if w >= 64 => self.words[0] as i64,
            w => ((self.words[0] << (64 - w)) as i64) >> (64 - w),
        }
    }

    /// The value read as two's complement of its own width; the 128 low bits of it if it is wider.
    pub fn to_i128(&self) -> i128 {
        match self.width {
            0 => 0,
            w if w >= 128 => self.to_u128() as i128,
            w => ((self.to_u128() << (128 - w)) as i128) >> (128 - w),
        }
    }

    /// Bit `index`; bits beyond the width read as zero.
    pub fn bit(&self, index: u32) -> bool {
        self.words.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// True if every bit is zero.
    pub fn is_zero(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// True if every bit is one.
    pub fn is_ones(&self) -> bool {
        *self == Self::ones(self.width)
    }

    /// Bits `low .. low + width`; bits beyond the end read as zero.
    #[must_use]
    pub fn slice(&self, low: u32, width: u32) -> Self {
        let (skip, shift) = ((low / 64) as usize, low % 64);
        let word = |i: usize| self.words.get(i).copied().unwrap_or(0);
        let words: Vec<u64> = (0..words_for(width))
            .map(|i| {
                let lower = word(skip + i) >> shift;
                let upper = if shift == 0 { 0 } else { word(skip + i + 1) << (64 - shift) };
                lower | upper
            })
            .collect();
        Self::from_words(width, &words)
    }

    /// `self` above `low`: the result is as wide as both together.
    #[must_use]
    pub fn concat(&self, low: &Bits) -> Self {
        let width = self.width + low.width;
        let mut words = vec![0; words_for(width) + 1];
        if low.width > 0 {
            words[..low.words.len()].copy_from_slice(&low.words);
        }
        let (skip, shift) = ((low.width / 64) as usize, low.width % 64);
        for (i, &word) in self.words.iter().enumerate() {
            if let Some(slot) = words.get_mut(skip + i) {
                *slot |= word << shift;
            }
            if shift != 0
                && let Some(slot) = words.get_mut(skip + i + 1)
            {
                *slot |= word >> (64 - shift);
            }
        }
        Self::from_words(width, &words)
    }

    /// Extended with zeros, or cut, to `width` bits.
    #[must_use]
    pub fn zext(&self, width: u32) -> Self {
        Self::from_words(width, &self.words)
    }

    /// Extended with the sign bit, or cut, to `width` bits.
    #[must_use]
    pub fn sext(&self, width: u32) -> Self {
        if width <= self.width || self.width == 0 || !self.bit(self.width - 1) {
            return self.zext(width);
        }
        Self::ones(width - self.width).concat(self)
    }

    /// Width of the shortest unsigned representation: 0 for zero, 3 for 5.
    pub fn significant_bits(&self) -> u32 {
        self.words
            .iter()
            .enumerate()
            .rev()
            .find(|(_, word)| **word != 0)
            .map_or(0, |(i, word)| i as u32 * 64 + (64 - word.leading_zeros()))
    }

    /// The digits in base 16 without prefix or leading zeros, at least one.
    pub fn to_hex(&self) -> String {
        let mut text: String = self.words.iter().rev().map(|word| format!("{word:016x}")).collect();
        let zeros = text.bytes().take_while(|&byte| byte == b'0').count().min(text.len() - 1);
        text.drain(..zeros);
        text
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}'h{}", self.width, self.to_hex())
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Bits;

    #[test]
    fn slices_and_concats_cross_word_boundaries() {
        let low = Bits::from_u128(100, 0xdead_beef_0123_4567_89ab_cdef);
        let both = Bits::new(60, 0xabc_def0_1234_5678).concat(&low);
        assert_eq!(both.width(), 160);
        assert_eq!(both.slice(0, 100), low);
        assert_eq!(both.slice(100, 60).to_u64(), 0xabc_def0_1234_5678);
        assert_eq!(both.slice(150, 20).to_u64(), 0xabc_def0_1234_5678 >> 50);
    }

    #[test]
    fn signed_values_round_trip() {
        for width in [3, 8, 63, 64, 65, 127, 128, 200] {
            let minus_three = Bits::from_i128(width, -3);
            assert_eq!((minus_three.to_i64(), minus_three.to_i128()), (-3, -3), "width {width}");
            assert_eq!(minus_three.sext(300).to_i128(), -3);
            assert!(minus_three.sext(300).bit(299));
        }
    }

    #[test]
    fn hexadecimal_text_has_no_leading_zeros() {
        assert_eq!(Bits::zero(70).to_string(), "70'h0");
        assert_eq!(Bits::from_u128(70, 1 << 65).to_string(), "70'h20000000000000000");
        assert_eq!(Bits::from_u128(70, 1 << 65).significant_bits(), 66);
    }
}
