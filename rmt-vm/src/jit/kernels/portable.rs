//! The product in plain Rust.

use super::pack::{BLOCK_ROWS, Shape};

/// `out[n] = bias + weights · inputs[n]`, all packed in pairs of i16.
pub(super) fn multiply_pairs(
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
            let mut sums = [0; BLOCK_ROWS];
            sums.copy_from_slice(bias);
            for (weights, &pair) in block.chunks_exact(BLOCK_ROWS * 2).zip(input) {
                let (low, high) = (i32::from(pair as i16), i32::from((pair >> 16) as i16));
                for (sum, weights) in sums.iter_mut().zip(weights.chunks_exact(2)) {
                    let (x, y) = (i32::from(weights[0]) * low, i32::from(weights[1]) * high);
                    *sum = sum.wrapping_add(x).wrapping_add(y);
                }
            }
            out.copy_from_slice(&sums[..out.len()]);
        }
    }
}
