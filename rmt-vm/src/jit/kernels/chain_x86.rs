//! [`Chain`]s on AVX-512 VNNI.

use std::arch::x86_64::*;

use rmt_isa::operand::Element;

use super::chain::{CHAIN_LANES, Chain, Layer, LongWords, PAIRS, Product, SUMS, Scales, Words};

/// Runs all layers. The lanes come packed in their own type, in as many of the registers as
/// they take, and leave with 32 bits each.
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
) {
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
            Layer::Product(product) => multiply(x, product),
        };
    }
    // SAFETY: the caller's promise.
    unsafe { _mm512_store_si512(out.cast(), x) };
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

/// See [`rmt_isa::arithmetic::requantise`]: accumulators are cut to the range whose results
/// fit 32 bits.
#[inline]
#[target_feature(enable = "avx512f")]
fn requantise(x: __m512i, scales: &Scales) -> __m512i {
    const ODD: u16 = 0xaaaa;
    let x = _mm512_min_epi32(x, words(&scales.relevant_most));
    let x = _mm512_max_epi32(x, words(&scales.relevant_least));
    let even = scale(x, scales, 0);
    let odd = scale(_mm512_srli_epi64::<32>(x), scales, 1);
    let x = _mm512_mask_blend_epi32(ODD, even, _mm512_slli_epi64::<32>(odd));
    let x = _mm512_add_epi32(x, _mm512_set1_epi32(scales.zero_point));
    clamp(x, scales.least, scales.most)
}

/// The low 32 bits of each word of 64, scaled and rounded; `odd`: by the scales of odd lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn scale(x: __m512i, scales: &Scales, odd: usize) -> __m512i {
    let product = _mm512_mul_epi32(x, long_words(&scales.multipliers[odd]));
    let rounded = _mm512_add_epi64(product, long_words(&scales.halves[odd]));
    _mm512_srav_epi64(rounded, long_words(&scales.shifts[odd]))
}

/// For each pair of inputs the order that brings it to all lanes.
static PLACES: [Words; PAIRS] = {
    let mut places = [Words([0; CHAIN_LANES]); PAIRS];
    let mut pair = 0;
    while pair < PAIRS {
        places[pair] = Words([pair as i32; CHAIN_LANES]);
        pair += 1;
    }
    places
};

/// Lanes have 16 bits that matter; four sums hide the latency of the additions.
#[inline]
#[target_feature(enable = "avx512f,avx512vnni")]
fn multiply(x: __m512i, product: &Product) -> __m512i {
    let inputs = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(x));
    let zero = _mm512_setzero_si512();
    let mut sums = [words(&product.bias), zero, zero, zero];
    let blocks = product.pairs.chunks_exact(SUMS).zip(PLACES.chunks_exact(SUMS));
    for (pairs, places) in blocks {
        for ((sum, pair), place) in sums.iter_mut().zip(pairs).zip(places) {
            let input = _mm512_permutexvar_epi32(words(place), inputs);
            *sum = _mm512_dpwssd_epi32(*sum, input, words(pair));
        }
    }
    let [a, b, c, d] = sums;
    _mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d))
}
