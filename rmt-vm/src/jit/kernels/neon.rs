//! NEON.

use std::arch::aarch64::*;

use super::pack::{BLOCK_ROWS, Shape};

/// # Safety
/// The machine has the CRC instructions.
#[target_feature(enable = "crc")]
pub(super) unsafe fn crc32c(state: u32, data: u64) -> u32 {
    __crc32cd(state, data)
}

/// `out[n] = bias + weights · inputs[n]`, all packed in pairs of i16.
///
/// # Safety
/// The machine has NEON; `weights` has `shape.groups * 32` values for each block of 16 rows,
/// `bias` 16.
#[target_feature(enable = "neon")]
pub(super) unsafe fn multiply_pairs(
    weights: &[i16],
    bias: &[i32],
    shape: Shape,
    inputs: &[u32],
    out: &mut [i32],
) {
    let Shape { rows, groups } = shape;
    for (input, out) in inputs.chunks_exact(groups).zip(out.chunks_exact_mut(rows)) {
        let blocks = weights.chunks_exact(groups * BLOCK_ROWS * 2);
        for ((block, bias), out) in
            blocks.zip(bias.chunks_exact(BLOCK_ROWS)).zip(out.chunks_mut(BLOCK_ROWS))
        {
            let mut lanes = [0_i32; BLOCK_ROWS];
            // SAFETY: a block has 32 weights for each word of the input, 16 biases.
            unsafe {
                let mut sums: [int32x4_t; 4] =
                    std::array::from_fn(|i| vld1q_s32(bias.as_ptr().add(4 * i)));
                let mut place = block.as_ptr();
                for &pair in input {
                    let (low, high) = (pair as i16, (pair >> 16) as i16);
                    for sum in &mut sums {
                        // De-interleaves the pairs of four rows.
                        let weights = vld2_s16(place);
                        place = place.add(8);
                        *sum = vmlal_n_s16(*sum, weights.0, low);
                        *sum = vmlal_n_s16(*sum, weights.1, high);
                    }
                }
                for (i, &sum) in sums.iter().enumerate() {
                    vst1q_s32(lanes.as_mut_ptr().add(4 * i), sum);
                }
            }
            out.copy_from_slice(&lanes[..out.len()]);
        }
    }
}
