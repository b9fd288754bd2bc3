//! AVX2 and AVX-512 VNNI.
//!
//! A block of 16 rows meets several inputs at once: so each load of weights serves several
//! multiplications, and the sums are enough to hide the latency of the additions.

use std::arch::x86_64::*;

use super::pack::{BLOCK_ROWS, Shape};

/// Inputs that a block of rows meets at once: with two registers for the 16 rows this makes
/// 12 sums in 16 registers of AVX2.
const INPUTS_AVX2: usize = 6;
/// The same for 32 registers, one for the 16 rows.
const INPUTS_AVX512: usize = 14;

/// # Safety
/// The machine has SSE4.2.
#[target_feature(enable = "sse4.2")]
pub(super) unsafe fn crc32c(state: u32, data: u64) -> u32 {
    _mm_crc32_u64(state.into(), data) as u32
}

/// The low byte of each input plus 128, four to a word. Plain Rust: the compiler finds the
/// instructions that narrow whole registers.
///
/// # Safety
/// The machine has AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn pack_quads_avx512(input: &[i32], place: &mut [u32]) {
    let quads = input.chunks_exact(4);
    let rest = quads.remainder();
    if let (false, Some(place)) = (rest.is_empty(), place.last_mut()) {
        let mut bytes = [0; 4];
        for (byte, x) in bytes.iter_mut().zip(rest) {
            *byte = *x as u8 ^ 0x80;
        }
        *place = u32::from_le_bytes(bytes);
    }
    for (place, quad) in place.iter_mut().zip(quads) {
        *place = u32::from_le_bytes([0, 1, 2, 3].map(|i| quad[i] as u8 ^ 0x80));
    }
}

/// Calls `$block` for all blocks of rows and all inputs, as many at once as fit.
macro_rules! for_blocks {
    ($block:ident, $most:ident, [$($count:literal),*], $per_block:expr, $weights:ident, $bias:ident, $shape:ident, $inputs:ident, $out:ident) => {
        let Shape { rows, groups } = $shape;
        let batch = if groups == 0 { 0 } else { $inputs.len() / groups };
        assert!($out.len() >= batch * rows);
        for block in 0..rows.div_ceil(BLOCK_ROWS) {
            let weights = &$weights[block * groups * $per_block..][..groups * $per_block];
            let bias = &$bias[block * BLOCK_ROWS..][..BLOCK_ROWS];
            let mut first = 0;
            while first < batch {
                let count = $most.min(batch - first);
                let inputs = &$inputs[first * groups..][..count * groups];
                let out = &mut $out[first * rows..][..count * rows];
                match count {
                    // SAFETY: the features are those of this function, and the slices have the
                    // lengths that the block asks for.
                    $($count => unsafe { $block::<$count>(weights, bias, inputs, out, (rows, block)) },)*
                    _ => {}
                }
                first += count;
            }
        }
    };
}

/// # Safety
/// The machine has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn multiply_pairs_avx2(
    weights: &[i16],
    bias: &[i32],
    shape: Shape,
    inputs: &[u32],
    out: &mut [i32],
) {
    for_blocks!(
        block_pairs_avx2,
        INPUTS_AVX2,
        [1, 2, 3, 4, 5, 6],
        BLOCK_ROWS * 2,
        weights,
        bias,
        shape,
        inputs,
        out
    );
}

/// One block of rows with `N` inputs.
///
/// # Safety
/// The machine has AVX2; `bias` has 16 values, `weights` 32 for each word of an input,
/// `inputs` `N` inputs of the same length.
#[target_feature(enable = "avx2")]
unsafe fn block_pairs_avx2<const N: usize>(
    weights: &[i16],
    bias: &[i32],
    inputs: &[u32],
    out: &mut [i32],
    (rows, block): (usize, usize),
) {
    let groups = inputs.len() / N;
    // SAFETY: all offsets stay within the lengths that the caller promises.
    unsafe {
        let start = bias.as_ptr().cast::<__m256i>();
        let start = [_mm256_loadu_si256(start), _mm256_loadu_si256(start.add(1))];
        let mut sums = [start; N];
        let mut weights = weights.as_ptr().cast::<__m256i>();
        let inputs = inputs.as_ptr();
        for group in 0..groups {
            let low = _mm256_loadu_si256(weights);
            let high = _mm256_loadu_si256(weights.add(1));
            weights = weights.add(2);
            for (n, sums) in sums.iter_mut().enumerate() {
                let pair = _mm256_set1_epi32(*inputs.add(n * groups + group) as i32);
                sums[0] = _mm256_add_epi32(sums[0], _mm256_madd_epi16(low, pair));
                sums[1] = _mm256_add_epi32(sums[1], _mm256_madd_epi16(high, pair));
            }
        }
        for (n, sums) in sums.iter().enumerate() {
            let mut lanes = [0_i32; BLOCK_ROWS];
            _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sums[0]);
            _mm256_storeu_si256(lanes.as_mut_ptr().cast::<__m256i>().add(1), sums[1]);
            store(&lanes, &mut out[n * rows..][..rows], block);
        }
    }
}

/// The rows of a block that exist.
#[inline(always)]
fn store(lanes: &[i32; BLOCK_ROWS], out: &mut [i32], block: usize) {
    let out = &mut out[block * BLOCK_ROWS..];
    let count = out.len().min(BLOCK_ROWS);
    out[..count].copy_from_slice(&lanes[..count]);
}

/// # Safety
/// The machine has AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn multiply_pairs_avx512(
    weights: &[i16],
    bias: &[i32],
    shape: Shape,
    inputs: &[u32],
    out: &mut [i32],
) {
    for_blocks!(
        block_pairs_avx512,
        INPUTS_AVX512,
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
        BLOCK_ROWS * 2,
        weights,
        bias,
        shape,
        inputs,
        out
    );
}

/// # Safety
/// The machine has AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) unsafe fn multiply_quads_avx512(
    weights: &[i8],
    bias: &[i32],
    shape: Shape,
    inputs: &[u32],
    out: &mut [i32],
) {
    for_blocks!(
        block_quads_avx512,
        INPUTS_AVX512,
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
        BLOCK_ROWS * 4,
        weights,
        bias,
        shape,
        inputs,
        out
    );
}

macro_rules! block_avx512 {
    ($name:ident, $weight:ty, |$sum:ident, $weights:ident, $input:ident| $accumulate:expr) => {
        /// One block of rows with `N` inputs.
        ///
        /// # Safety
        /// The machine has AVX-512 F, BW and VNNI; `bias` has 16 values, `weights` 64 bytes for
        /// each word of an input, `inputs` `N` inputs of the same length.
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        unsafe fn $name<const N: usize>(
            weights: &[$weight],
            bias: &[i32],
            inputs: &[u32],
            out: &mut [i32],
            (rows, block): (usize, usize),
        ) {
            let groups = inputs.len() / N;
            // SAFETY: all offsets stay within the lengths that the caller promises.
            unsafe {
                let mut sums = [_mm512_loadu_si512(bias.as_ptr().cast()); N];
                let mut place = weights.as_ptr().cast::<__m512i>();
                let inputs = inputs.as_ptr();
                for group in 0..groups {
                    let $weights = _mm512_loadu_si512(place);
                    place = place.add(1);
                    for (n, sum) in sums.iter_mut().enumerate() {
                        let $input = _mm512_set1_epi32(*inputs.add(n * groups + group) as i32);
                        let $sum = *sum;
                        *sum = $accumulate;
                    }
                }
                for (n, &sum) in sums.iter().enumerate() {
                    let out = &mut out[n * rows..][..rows][block * BLOCK_ROWS..];
                    let lanes = out.len().min(BLOCK_ROWS);
                    let there = ((1_u32 << lanes) - 1) as u16;
                    _mm512_mask_storeu_epi32(out.as_mut_ptr(), there, sum);
                }
            }
        }
    };
}

block_avx512!(block_pairs_avx512, i16, |sum, weights, input| _mm512_dpwssd_epi32(
    sum, weights, input
));
block_avx512!(block_quads_avx512, i8, |sum, weights, input| _mm512_dpbusd_epi32(
    sum, input, weights
));
