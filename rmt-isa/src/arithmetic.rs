//! The integer definitions that all engines share: tiny executable models, written to be
//! read, of what the RTL and the JIT must equal.

use crate::operand::Element;

/// Largest shift of a requantisation.
pub const MAX_REQUANTISE_SHIFT: u8 = 62;

/// Scales a 32-bit accumulator by `multiplier / 2^shift` and saturates it to `element`.
///
/// `y = sat(((accumulator * multiplier + 2^(shift-1)) >> shift) + zero_point)` with one
/// rounding, half up, in 64 bits. This is the single-rounding form of the published integer
/// inference scheme (Jacob et al., "Quantization and Training of Neural Networks for
/// Efficient Integer-Arithmetic-Only Inference", CVPR 2018).
///
/// `multiplier` is at least 0 and `shift` from 1 to 62 (the verifier refuses others), so the
/// product and the rounding constant always fit 64 bits.
pub fn requantise(
    accumulator: i32,
    multiplier: i32,
    shift: u8,
    zero_point: i32,
    element: Element,
) -> i32 {
    let product = i64::from(accumulator) * i64::from(multiplier);
    let half = 1_i64 << shift.saturating_sub(1).min(MAX_REQUANTISE_SHIFT - 1);
    let scaled = (product.wrapping_add(half)) >> shift.min(MAX_REQUANTISE_SHIFT);
    element.saturate(scaled.saturating_add(zero_point.into()))
}

/// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78) of `bytes`, started with `state`;
/// no inversion before or after. Same as the `crc32` instructions of x86 and the `crc32c`
/// instructions of Arm.
pub fn crc32c(state: u32, bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(state, |state, &byte| (state >> 8) ^ CRC32C_OF_BYTE[usize::from(state as u8 ^ byte)])
}

/// What one byte adds to a CRC-32C: the definition bit by bit, as a table since every context
/// match computes it.
const CRC32C_OF_BYTE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            state = (state >> 1) ^ (0x82f6_3b78 & (state & 1).wrapping_neg());
            bit += 1;
        }
        table[byte] = state;
        byte += 1;
    }
    table
};

/// Hash of a 64-bit key: places it in a set of a context store or hash map.
///
/// `crc32c(0xffff_ffff, key)`; the set is the hash modulo the number of sets, which is a
/// power of two.
pub fn hash_key(key: u64) -> u32 {
    crc32c(u32::MAX, &key.to_le_bytes())
}

/// One output of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) for the state `seed`.
pub fn split_mix_64(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Bucket of a histogram with `buckets` buckets: 0 for the sample 0, else one more than the
/// position of its highest one bit, and the last bucket for all that is larger.
pub fn histogram_bucket(sample: u64, buckets: usize) -> usize {
    let bucket = sample.checked_ilog2().map_or(0, |bit| bit as usize + 1);
    bucket.min(buckets.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_has_its_published_check_value() {
        // The catalogue of parametrised CRC algorithms: "123456789" gives 0xe3069283 after
        // the final inversion that this function leaves out.
        assert_eq!(!crc32c(u32::MAX, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn split_mix_64_gives_its_published_sequence() {
        // First output for the state 0, as in Java's SplittableRandom.
        assert_eq!(split_mix_64(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn requantise_rounds_half_up_and_saturates() {
        let half = |x| requantise(x, 1 << 30, 31, 0, Element::I16);
        assert_eq!([half(3), half(-3), half(1), half(-1)], [2, -1, 1, 0]);
        assert_eq!(requantise(1000, i32::MAX, 31, 0, Element::I8), 127);
        assert_eq!(requantise(i32::MIN, i32::MAX, 1, 0, Element::I16), -32768);
        assert_eq!(requantise(0, 1, 1, -5, Element::I8), -5);
    }

    #[test]
    fn histogram_buckets_are_powers_of_two() {
        let bucket = |sample| histogram_bucket(sample, 8);
        assert_eq!([0, 1, 2, 3, 4, 63, 64, u64::MAX].map(bucket), [0, 1, 2, 2, 3, 6, 7, 7]);
    }
}
