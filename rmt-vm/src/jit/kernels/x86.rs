//! AVX2 and AVX-512 VNNI.
//!
//! Blocks of 16 rows, with AVX-512 up to four, meet several inputs at once: so each load of
//! weights serves several multiplications, each load of an input as well, and the sums are enough
//! to hide the latency of the additions. Inputs are taken in tiles that stay in the first cache
//! while all blocks of rows pass over them.

use std::arch::x86_64::*;

use super::pack::{BLOCK_ROWS, QuadLine, Shape};

/// Words of a tile of inputs: a quarter of a first cache of 32 KiB, so that weights fit as well.
const TILE_WORDS: usize = 2048;

/// A product of blocks of rows with several inputs: weights and biases of the blocks, inputs,
/// results of these inputs, the number of rows in all and the first block.
type Block<W> = unsafe fn(&[W], &[i32], &[u32], &mut [i32], (usize, usize));

/// The function for each number of blocks, and of inputs, from 1 on.
macro_rules! by_size {
    ($block:ident, $inputs:tt, [$($blocks:tt),*]) => {
        [$(by_size!($block of $blocks, $inputs)),*]
    };
    ($block:ident of $blocks:tt, [$($inputs:tt),*]) => { [$($block::<$inputs, $blocks>),*] };
}

/// With two registers for the 16 rows: 12 sums in 16 registers.
const PAIRS_AVX2: [[Block<i16>; 6]; 1] = by_size!(block_pairs_avx2, [1, 2, 3, 4, 5, 6], [1]);
/// With one: 20 sums, 4 registers of weights and 5 of inputs, of 32.
const PAIRS_AVX512: [[Block<i16>; 5]; MOST_BLOCKS] =
    by_size!(block_pairs_avx512, [1, 2, 3, 4, 5], [1, 2, 3, 4]);
const QUADS_AVX512: [[Block<QuadLine>; 5]; MOST_BLOCKS] =
    by_size!(block_quads_avx512, [1, 2, 3, 4, 5], [1, 2, 3, 4]);

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

/// Multiplies all blocks of rows with all inputs, as many at once as there are functions for.
/// `per_block`: weights of a block for each word of an input.
///
/// # Safety
/// The machine can run the functions.
unsafe fn for_blocks<W, const INPUTS: usize, const BLOCKS: usize>(
    functions: &[[Block<W>; INPUTS]; BLOCKS],
    per_block: usize,
    (weights, bias): (&[W], &[i32]),
    Shape { rows, groups }: Shape,
    inputs: &[u32],
    out: &mut [i32],
) {
    let batch = inputs.len().checked_div(groups).unwrap_or(0);
    let all_blocks = rows.div_ceil(BLOCK_ROWS);
    let tile = (TILE_WORDS / groups.max(1)).max(INPUTS);
    for tile in (0..batch).step_by(tile).map(|first| first..batch.min(first + tile)) {
        for block in (0..all_blocks).step_by(BLOCKS) {
            let blocks = BLOCKS.min(all_blocks - block);
            let length = groups * per_block;
            let weights = &weights[block * length..][..blocks * length];
            let bias = &bias[block * BLOCK_ROWS..][..blocks * BLOCK_ROWS];
            let mut first = tile.start;
            while first < tile.end {
                // What is left in equal parts: few sums at the end would wait for each other.
                let left = tile.end - first;
                let count = left.div_ceil(left.div_ceil(INPUTS));
                let inputs = &inputs[first * groups..][..count * groups];
                let out = &mut out[first * rows..][..count * rows];
                // SAFETY: the caller's promise; the slices have the lengths that the function
                // asks for.
                unsafe {
                    functions[blocks - 1][count - 1](weights, bias, inputs, out, (rows, block))
                };
                first += count;
            }
        }
    }
}

/// # Safety
/// The machine has AVX2.
pub(super) unsafe fn multiply_pairs_avx2(
    weights: &[i16],
    bias: &[i32],
    shape: Shape,
    inputs: &[u32],
    out: &mut [i32],
) {
    // SAFETY: the caller's promise.
    unsafe { for_blocks(&PAIRS_AVX2, BLOCK_ROWS * 2, (weights, bias), shape, inputs, out) };
}

/// One block of rows with `N` inputs.
///
/// # Safety
/// The machine has AVX2; `BLOCKS` is 1, `bias` has 16 values, `weights` 32 for each word of an
/// input, `inputs` `N` inputs of the same length.
#[target_feature(enable = "avx2")]
unsafe fn block_pairs_avx2<const N: usize, const BLOCKS: usize>(
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
pub(super) unsafe fn multiply_pairs_avx512(
    weights: &[i16],
    bias: &[i32],
    shape: Shape,
    inputs: &[u32],
    out: &mut [i32],
) {
    // SAFETY: the caller's promise.
    unsafe { for_blocks(&PAIRS_AVX512, BLOCK_ROWS * 2, (weights, bias), shape, inputs, out) };
}

/// # Safety
/// The machine has AVX-512 F, BW and VNNI.
pub(super) unsafe fn multiply_quads_avx512(
    weights: &[QuadLine],
    bias: &[i32],
    shape: Shape,
    inputs: &[u32],
    out: &mut [i32],
) {
    // SAFETY: the caller's promise.
    unsafe { for_blocks(&QUADS_AVX512, 1, (weights, bias), shape, inputs, out) };
}

/// Most blocks of rows that meet inputs at once.
const MOST_BLOCKS: usize = 4;

/// The same for each block, written out: the compiler keeps arrays in registers only where it
/// sees all their indices early.
macro_rules! each_block {
    ($blocks:ident, $block:ident => $body:expr) => {
        each_block!($blocks, $block => $body, 0, 1, 2, 3)
    };
    ($blocks:ident, $block:ident => $body:expr, $($number:literal),*) => {
        $(if $number < $blocks {
            const $block: usize = $number;
            $body
        })*
    };
}

macro_rules! block_avx512 {
    ($name:ident, $weight:ty, |$sum:ident, $weights:ident, $input:ident| $accumulate:expr) => {
        /// `BLOCKS` blocks of rows with `N` inputs.
        ///
        /// # Safety
        /// The machine has AVX-512 F, BW and VNNI; for each block `bias` has 16 values and
        /// `weights` 64 bytes for each word of an input; `inputs` are `N` of the same length.
        #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
        unsafe fn $name<const N: usize, const BLOCKS: usize>(
            weights: &[$weight],
            bias: &[i32],
            inputs: &[u32],
            out: &mut [i32],
            (rows, block): (usize, usize),
        ) {
            let groups = inputs.len() / N;
            // SAFETY: all offsets stay within the lengths that the caller promises.
            unsafe {
                let mut sums = [[_mm512_setzero_si512(); N]; MOST_BLOCKS];
                each_block!(BLOCKS, BLOCK => {
                    let start = bias.as_ptr().cast::<__m512i>().add(BLOCK);
                    sums[BLOCK] = [_mm512_loadu_si512(start); N];
                });
                let mut place = weights.as_ptr().cast::<__m512i>();
                let inputs = inputs.as_ptr();
                for group in 0..groups {
                    let mut all_weights = [_mm512_setzero_si512(); MOST_BLOCKS];
                    each_block!(BLOCKS, BLOCK => {
                        all_weights[BLOCK] = _mm512_loadu_si512(place.add(BLOCK * groups));
                    });
                    place = place.add(1);
                    for n in 0..N {
                        let $input = _mm512_set1_epi32(*inputs.add(n * groups + group) as i32);
                        each_block!(BLOCKS, BLOCK => {
                            let ($sum, $weights) = (sums[BLOCK][n], all_weights[BLOCK]);
                            sums[BLOCK][n] = $accumulate;
                        });
                    }
                }
                for n in 0..N {
                    let out = &mut out[n * rows..][..rows][block * BLOCK_ROWS..];
                    each_block!(BLOCKS, BLOCK => {
                        let out = &mut out[BLOCK * BLOCK_ROWS..];
                        let there = ((1_u32 << out.len().min(BLOCK_ROWS)) - 1) as u16;
                        _mm512_mask_storeu_epi32(out.as_mut_ptr(), there, sums[BLOCK][n]);
                    });
                }
            }
        }
    };
}

block_avx512!(block_pairs_avx512, i16, |sum, weights, input| _mm512_dpwssd_epi32(
    sum, weights, input
));
block_avx512!(block_quads_avx512, QuadLine, |sum, weights, input| _mm512_dpbusd_epi32(
    sum, input, weights
));
