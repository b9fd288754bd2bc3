//! [`Chain`]s on AVX-512 VNNI.

use std::arch::x86_64::*;

use rmt_isa::operand::Element;

use super::chain::{CHAIN_LANES, Chain, Dot, End, Layer, LongWords, Product, Scales, Words};

/// Runs all layers. The lanes come packed in their own type, in as many of the registers as
/// they take, and leave with 32 bits each: the first four in a register, all of them in `out`.
///
/// It is one function, as functions of its own with vectors as operands would hand them over in
/// memory.
///
/// # Safety
/// The machine has AVX-512 F, BW and VNNI (`Chain::is_possible`), `chain` leads to a chain and
/// `out` to room for 16 lanes, aligned to 64 bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[expect(improper_ctypes_definitions, reason = "the convention hands vectors over in registers")]
pub(in crate::jit) unsafe extern "C" fn run_chain(
    chain: *const Chain,
    out: *mut [i32; CHAIN_LANES],
    x0: __m128i,
    x1: __m128i,
    x2: __m128i,
    x3: __m128i,
) -> __m128i {
    // SAFETY: the caller's promise.
    let chain = unsafe { &*chain };
    let mut x = match chain.input {
        Element::I8 => _mm512_cvtepi8_epi32(x0),
        Element::I16 => _mm512_cvtepi16_epi32(_mm256_set_m128i(x1, x0)),
        Element::I32 => {
            let low = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(x0), x1);
            let high = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(x2), x3);
            _mm512_shuffle_i64x2::<0b01_00_01_00>(low, high)
        }
    };
    for layer in &chain.layers {
        x = match layer {
            Layer::Clamp { least, most } => clamp(x, *least, *most),
            Layer::Requantise(scales) => requantise(x, scales),
            Layer::Product(product) => multiply(pairs(x), product),
            Layer::Dot(dot) => multiply_row(pairs(x), dot),
            Layer::ScaledProduct(layers) => multiply(scaled_pairs(x, &layers.0), &layers.1),
            Layer::ScaledDot(layers) => multiply_row(scaled_pairs(x, &layers.0), &layers.1),
        };
    }
    // SAFETY: the caller's promise.
    unsafe { _mm512_store_si512(out.cast(), x) };
    _mm512_castsi512_si128(x)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn words(words: &Words) -> __m512i {
    // SAFETY: the type has the size and alignment of the register.
    unsafe { _mm512_load_si512((&raw const *words).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn long_words(words: &LongWords) -> __m512i {
    // SAFETY: as above.
    unsafe { _mm512_load_si512((&raw const *words).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn clamp(x: __m512i, least: i32, most: i32) -> __m512i {
    _mm512_max_epi32(_mm512_min_epi32(x, _mm512_set1_epi32(most)), _mm512_set1_epi32(least))
}

/// See [`rmt_isa::arithmetic::requantise`].
#[inline]
#[target_feature(enable = "avx512f")]
fn requantise(x: __m512i, scales: &Scales) -> __m512i {
    const ODD: u16 = 0xaaaa;
    let [even, odd] = scaled(cut(x, scales), scales);
    let x = _mm512_mask_blend_epi32(ODD, even, _mm512_slli_epi64::<32>(odd));
    match &scales.end {
        End::Corrected(correction) => {
            let x = _mm512_add_epi32(x, _mm512_set1_epi32(correction.zero_point));
            clamp(x, correction.least, correction.most)
        }
        End::Exact | End::Packed => x,
    }
}

/// Requantisation, then [`pairs`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn scaled_pairs(x: __m512i, scales: &Scales) -> __m512i {
    match scales.end {
        End::Packed => {
            // In each 128 bits: two even lanes, each with what is above it, then two odd ones.
            let [even, odd] = scaled(x, scales);
            let order = _mm_set_epi8(-1, -1, -1, -1, 13, 12, 5, 4, -1, -1, -1, -1, 9, 8, 1, 0);
            let order = _mm512_broadcast_i32x4(order);
            _mm512_shuffle_epi8(_mm512_packs_epi32(even, odd), order)
        }
        End::Exact | End::Corrected(_) => {
            let [even, odd] = scaled(cut(x, scales), scales);
            _mm512_mask_blend_epi16(SECOND_OF_FOUR, even, _mm512_slli_epi64::<16>(odd))
        }
    }
}

/// Accumulators cut to the range whose results fit 32 bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn cut(x: __m512i, scales: &Scales) -> __m512i {
    let x = _mm512_min_epi32(x, words(&scales.relevant_most));
    _mm512_max_epi32(x, words(&scales.relevant_least))
}

/// Even and odd lanes, scaled and rounded.
#[inline]
#[target_feature(enable = "avx512f")]
fn scaled(x: __m512i, scales: &Scales) -> [__m512i; 2] {
    [scale(x, scales, 0), scale(_mm512_srli_epi64::<32>(x), scales, 1)]
}

/// The low 32 bits of each word of 64, scaled and rounded; `odd`: by the scales of odd lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn scale(x: __m512i, scales: &Scales, odd: usize) -> __m512i {
    let product = _mm512_mul_epi32(x, long_words(&scales.multipliers[odd]));
    let rounded = _mm512_add_epi64(product, long_words(&scales.halves[odd]));
    _mm512_srav_epi64(rounded, long_words(&scales.shifts[odd]))
}

/// The second 16 bits of each word of 64.
const SECOND_OF_FOUR: u32 = 0x2222_2222;

/// Neighbouring lanes, of which 16 bits matter, as pairs in the even lanes; the odd lanes hold
/// what is left over.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn pairs(x: __m512i) -> __m512i {
    _mm512_mask_blend_epi16(SECOND_OF_FOUR, x, _mm512_srli_epi64::<16>(x))
}

/// Four sums, one for each turn of the blocks of four lanes, hide the latency of the additions.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply(inputs: __m512i, product: &Product) -> __m512i {
    // The two pairs of each block, in all its lanes.
    let even = _mm512_shuffle_epi32::<0b00_00_00_00>(inputs);
    let odd = _mm512_shuffle_epi32::<0b10_10_10_10>(inputs);
    let [a0, b0, a1, b1, a2, b2, a3, b3] = &product.pairs;
    let sum = |start: __m512i, even: __m512i, odd: __m512i, a: &Words, b: &Words| {
        _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(start, even, words(a)), odd, words(b))
    };
    macro_rules! turned {
        ($order:literal, $a:ident, $b:ident) => {
            sum(
                _mm512_setzero_si512(),
                _mm512_shuffle_i32x4::<$order>(even, even),
                _mm512_shuffle_i32x4::<$order>(odd, odd),
                $a,
                $b,
            )
        };
    }
    let first = sum(words(&product.bias), even, odd, a0, b0);
    let second = turned!(0b00_11_10_01, a1, b1);
    let third = turned!(0b01_00_11_10, a2, b2);
    let fourth = turned!(0b10_01_00_11, a3, b3);
    _mm512_add_epi32(_mm512_add_epi32(first, second), _mm512_add_epi32(third, fourth))
}

/// One row: its products are added up across the lanes, to lane 0.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn multiply_row(inputs: __m512i, dot: &Dot) -> __m512i {
    let products = _mm512_dpwssd_epi32(words(&dot.bias), inputs, words(&dot.pairs));
    let high = _mm512_extracti64x4_epi64::<1>(products);
    let sums = _mm256_add_epi32(_mm512_castsi512_si256(products), high);
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    // Odd lanes are zero.
    let sum = _mm_add_epi32(sums, _mm_shuffle_epi32::<0b10>(sums));
    _mm512_castsi128_si512(sum)
}
