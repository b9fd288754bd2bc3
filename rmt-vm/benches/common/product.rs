//! The 256 x 256 x 256 product, and the peak of the instruction that it is made of.

use std::hint::black_box;

use rmt_vm::jit::kernels::{MatrixKernel, Unit};

/// Rows, columns and vectors of the product.
pub const SIZE: usize = 256;
/// Multiply-accumulates of the product.
pub const MACS: usize = SIZE * SIZE * SIZE;

fn values(seed: u64) -> Vec<i32> {
    let value = |i: usize| rmt_isa::arithmetic::split_mix_64(seed + i as u64) as i8;
    (0..SIZE * SIZE).map(|i| value(i).into()).collect()
}

/// The packed weights, the inputs and room for the result.
pub fn product() -> (MatrixKernel, Vec<i32>, Vec<i32>) {
    let kernel = MatrixKernel::new(SIZE, SIZE, &values(1), &[0; SIZE]);
    (kernel, values(1 << 32), vec![0; SIZE * SIZE])
}

/// Multiply-accumulates of one call of [`peak`].
pub const PEAK_MACS: usize = LOOPS * CHAINS * LANES_OF_MACS;
const LOOPS: usize = 1 << 14;
/// Independent sums: enough to hide the latency.
const CHAINS: usize = 12;

#[cfg(target_arch = "x86_64")]
mod unit {
    use std::arch::x86_64::*;

    use super::{CHAINS, LOOPS};

    /// The instruction that multiplies, with the addition that it needs, on registers only.
    ///
    /// # Safety
    /// The machine has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn avx2(x: i16) -> i32 {
        let (a, b) = (_mm256_set1_epi16(x), _mm256_set1_epi16(x ^ 5));
        let mut factors = [a; CHAINS];
        for (i, factor) in factors.iter_mut().enumerate().take(2) {
            *factor = _mm256_add_epi16(a, _mm256_set1_epi16(i as i16));
        }
        let mut sums = [a; CHAINS];
        for _ in 0..LOOPS {
            for (i, sum) in sums.iter_mut().enumerate() {
                // Each sum changes the factor of the next round: nothing can be hoisted.
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(*sum, factors[i % 2]));
            }
        }
        let total = sums.into_iter().fold(b, |x, y| _mm256_add_epi32(x, y));
        _mm256_extract_epi32::<0>(total)
    }

    /// # Safety
    /// The machine has AVX-512 F and VNNI.
    #[target_feature(enable = "avx512f,avx512vnni")]
    pub unsafe fn avx512_vnni(x: i32) -> i32 {
        let a = _mm512_set1_epi32(x);
        let mut sums = [a; CHAINS];
        for _ in 0..LOOPS {
            for sum in &mut sums {
                *sum = _mm512_dpbusd_epi32(*sum, a, *sum);
            }
        }
        let total = sums.into_iter().fold(a, |x, y| _mm512_add_epi32(x, y));
        _mm512_reduce_add_epi32(total)
    }
}

#[cfg(target_arch = "x86_64")]
const LANES_OF_MACS: usize = 16;
#[cfg(not(target_arch = "x86_64"))]
const LANES_OF_MACS: usize = 1;

/// Runs the peak loop of the machine's unit; how many times [`PEAK_MACS`] it computed, or
/// `None` where there is no such loop.
pub fn peak() -> Option<usize> {
    #[cfg(target_arch = "x86_64")]
    match Unit::widest() {
        // SAFETY: the unit is there.
        Unit::Avx2 => unsafe {
            black_box(unit::avx2(black_box(3)));
            return Some(1);
        },
        // SAFETY: the unit is there.
        Unit::Avx512Vnni => unsafe {
            black_box(unit::avx512_vnni(black_box(3)));
            return Some(4);
        },
        _ => {}
    }
    black_box(Unit::widest());
    None
}
