//! Integer products on the widest vector unit that the machine has, and CRC-32C.
//!
//! [`MatrixKernel`] packs the i8 weights of one product for the unit found at run time:
//! AVX-512 VNNI, AVX2, NEON, else portable code. All of them give the same integers: sums of
//! 32 bits that wrap, in whatever order.
//!
//! `pack` lays weights out, `portable` is the definition, the others are one unit each.
//! `chain` runs consecutive layers of a small network as one call.

#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86-64 runs chains"))]
pub(super) mod chain;
#[cfg(target_arch = "x86_64")]
pub(super) mod chain_x86;
#[cfg(target_arch = "aarch64")]
mod neon;
mod pack;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use pack::{MatrixKernel, Unit};

/// [`rmt_isa::arithmetic::hash_key`] with the machine's own instruction, where it has one.
#[inline]
pub(super) fn hash_key(key: u64) -> u32 {
    crc32c(u32::MAX, key)
}

/// CRC-32C of the 8 bytes of `data`, little-endian, as [`rmt_isa::arithmetic::crc32c`].
#[inline]
pub(super) fn crc32c(state: u32, data: u64) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the instruction is there.
        return unsafe { x86::crc32c(state, data) };
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("crc") {
        // SAFETY: the instruction is there.
        return unsafe { neon::crc32c(state, data) };
    }
    rmt_isa::arithmetic::crc32c(state, &data.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use rmt_isa::arithmetic::split_mix_64;

    use super::*;

    #[test]
    fn crc32c_equals_its_definition() {
        for seed in 0..1000 {
            let data = split_mix_64(seed);
            let state = split_mix_64(data) as u32;
            assert_eq!(
                crc32c(state, data),
                rmt_isa::arithmetic::crc32c(state, &data.to_le_bytes())
            );
            assert_eq!(hash_key(data), rmt_isa::arithmetic::hash_key(data));
        }
    }

    /// All units of this machine against the plain sum, with i8 and i16 inputs, shapes that
    /// fill no vector, and sums that wrap.
    #[test]
    fn every_unit_gives_the_plain_sum() {
        let units: Vec<_> = Unit::ALL.into_iter().filter(|unit| unit.is_present()).collect();
        assert!(units.contains(&Unit::Portable));
        for unit in Unit::ALL {
            if !unit.is_present() {
                println!("skipped {unit:?}: this machine does not have it");
            }
        }
        let mut seed = 0;
        let mut next = |range: i32| {
            seed += 1;
            (split_mix_64(seed) % (2 * range as u64)) as i32 - range
        };
        for (rows, columns) in [(1, 1), (3, 5), (16, 16), (17, 31), (40, 33), (64, 256), (256, 7)] {
            let weights: Vec<i32> = (0..rows * columns).map(|_| next(128)).collect();
            let bias: Vec<i32> = (0..rows).map(|_| next(1 << 30).wrapping_mul(2)).collect();
            for range in [128, 32768] {
                for batch in [1, 2, 7] {
                    let inputs: Vec<i32> = (0..batch * columns).map(|_| next(range)).collect();
                    let expected: Vec<i32> = inputs
                        .chunks_exact(columns)
                        .flat_map(|x| {
                            let row = |(w, &b): (&[i32], &i32)| {
                                let products = w.iter().zip(x).map(|(w, x)| w * x);
                                products.fold(b, i32::wrapping_add)
                            };
                            weights.chunks_exact(columns).zip(&bias).map(row).collect::<Vec<_>>()
                        })
                        .collect();
                    for &unit in &units {
                        let kernel = MatrixKernel::on(unit, rows, columns, &weights, &bias);
                        let mut found = vec![0; batch * rows];
                        kernel.multiply(&inputs, range > 128, &mut found);
                        assert_eq!(found, expected, "{unit:?} {rows}x{columns} batch {batch}");
                    }
                }
            }
        }
    }
}
