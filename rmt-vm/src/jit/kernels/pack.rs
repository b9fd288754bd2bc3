//! Weights of one product, laid out for one vector unit.

#[cfg(target_arch = "aarch64")]
use super::neon;
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::x86;

/// Rows of a block: all units compute so many sums side by side.
pub(super) const BLOCK_ROWS: usize = 16;

/// A vector unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// AVX-512 with VNNI: four i8 products to a lane.
    Avx512Vnni,
    /// AVX2: two i16 products to a lane.
    Avx2,
    /// NEON: one i16 product to a lane.
    Neon,
    /// What the compiler makes of plain Rust.
    Portable,
}

impl Unit {
    /// All units, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512Vnni, Self::Avx2, Self::Neon, Self::Portable];

    /// Whether this machine has the unit.
    pub fn is_present(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => {
                std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512vnni")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => std::arch::is_x86_feature_detected!("avx2"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Portable => true,
            #[allow(unreachable_patterns, reason = "which units are left depends on the target")]
            _ => false,
        }
    }

    /// The fastest unit of this machine.
    pub fn widest() -> Self {
        Self::ALL.into_iter().find(|unit| unit.is_present()).unwrap_or(Self::Portable)
    }
}

/// Four weights for each row of a block: one machine register, and one line of the cache.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct QuadLine([[i8; 4]; BLOCK_ROWS]);

/// The i8 weights and i32 biases of one product `y = bias + weights · x`.
///
/// Rows are grouped in blocks of 16; the last block is filled up with zeros. Inside a block
/// the inputs that one lane multiplies at once stand side by side: pairs of i16, and for VNNI
/// quads of i8 as well.
#[derive(Clone, Debug)]
pub struct MatrixKernel {
    unit: Unit,
    rows: usize,
    columns: usize,
    /// Bias, for whole blocks.
    bias: Vec<i32>,
    /// `[block][pair of columns][row of block][2]`.
    pub(super) pairs: Vec<i16>,
    /// `[block][four columns]`; only for VNNI.
    pub(super) quads: Vec<QuadLine>,
    /// Bias less 128 times the sum of the row, since VNNI wants inputs without sign.
    quad_bias: Vec<i32>,
}

impl MatrixKernel {
    /// Packs weights of `[rows, columns]`, row-major, each in the range of i8, for the widest
    /// unit. `bias` has one value for each row.
    ///
    /// # Panics
    /// When the lengths do not fit the shape.
    pub fn new(rows: usize, columns: usize, weights: &[i32], bias: &[i32]) -> Self {
        Self::on(Unit::widest(), rows, columns, weights, bias)
    }

    /// Packs weights for a unit; one that is not present is replaced by portable code.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn on(unit: Unit, rows: usize, columns: usize, weights: &[i32], bias: &[i32]) -> Self {
        assert_eq!((weights.len(), bias.len()), (rows * columns, rows), "lengths and shape");
        let unit = if unit.is_present() { unit } else { Unit::Portable };
        let blocks = rows.div_ceil(BLOCK_ROWS);
        let weight = |row: usize, column: usize| {
            if row < rows && column < columns { weights[row * columns + column] } else { 0 }
        };
        let padded = |bias: &dyn Fn(usize) -> i32| {
            (0..blocks * BLOCK_ROWS).map(|row| if row < rows { bias(row) } else { 0 }).collect()
        };
        // Where the weights of a group of columns for a block of rows begin.
        let lines = |group: usize| {
            (0..blocks).flat_map(move |block| {
                (0..columns.div_ceil(group)).map(move |first| (block * BLOCK_ROWS, first * group))
            })
        };
        let pair = |(first_row, first): (usize, usize)| {
            (0..BLOCK_ROWS)
                .flat_map(move |row| (0..2).map(move |i| weight(first_row + row, first + i) as i16))
        };
        let quad = |(first_row, first): (usize, usize)| {
            QuadLine(std::array::from_fn(|row| {
                std::array::from_fn(|i| weight(first_row + row, first + i) as i8)
            }))
        };
        let pairs = lines(2).flat_map(pair).collect();
        let (quads, quad_bias) = if unit == Unit::Avx512Vnni {
            let sum = |row: usize| (0..columns).map(|column| weight(row, column)).sum::<i32>();
            (lines(4).map(quad).collect(), padded(&|row| bias[row].wrapping_sub(128 * sum(row))))
        } else {
            (Vec::new(), Vec::new())
        };
        Self { unit, rows, columns, bias: padded(&|row| bias[row]), pairs, quads, quad_bias }
    }

    /// Rows: lanes of a result.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: lanes of an input.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The unit that it runs on.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// `out = bias + weights · input` for one vector. `wide`: inputs are i16, else i8.
    pub(in crate::jit) fn multiply_vector(&self, input: &[i32], wide: bool, out: &mut [i32]) {
        self.multiply(input, wide, out);
    }

    /// `out[n] = bias + weights · inputs[n]` for all vectors of a batch, which stand one after
    /// the other: `[batch, columns]` in, `[batch, rows]` out. Values are in the range of i16
    /// if `wide`, else of i8; sums wrap.
    pub fn multiply(&self, inputs: &[i32], wide: bool, out: &mut [i32]) {
        if self.unit == Unit::Avx512Vnni && !wide {
            let groups = self.columns.div_ceil(4);
            // Inputs are moved to 0..=255; lanes that are not there meet zero weights.
            let mut packed = vec![0_u32; inputs.len() / self.columns.max(1) * groups];
            let vectors = inputs.chunks_exact(self.columns);
            for (place, input) in packed.chunks_exact_mut(groups).zip(vectors) {
                pack_quads(input, place);
            }
            self.multiply_quads(&packed, out);
        } else {
            let groups = self.columns.div_ceil(2);
            let mut few = [0_u32; 128];
            let mut many = Vec::new();
            let length = inputs.len() / self.columns.max(1) * groups;
            let packed = match few.get_mut(..length) {
                Some(packed) => packed,
                None => {
                    many.resize(length, 0);
                    &mut many[..]
                }
            };
            let vectors = inputs.chunks_exact(self.columns);
            for (place, input) in packed.chunks_exact_mut(groups).zip(vectors) {
                pack_pairs(input, place);
            }
            self.multiply_pairs(packed, out);
        }
    }

    /// [`Self::multiply`] of inputs that are packed in pairs of i16, `[batch, columns / 2]`.
    fn multiply_pairs(&self, inputs: &[u32], out: &mut [i32]) {
        let shape = Shape { rows: self.rows, groups: self.columns.div_ceil(2) };
        match self.unit {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `unit` is present (`on`), and the lengths fit the shape (`on`).
            Unit::Avx512Vnni => unsafe {
                x86::multiply_pairs_avx512(&self.pairs, &self.bias, shape, inputs, out);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Unit::Avx2 => unsafe {
                x86::multiply_pairs_avx2(&self.pairs, &self.bias, shape, inputs, out);
            },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: as above.
            Unit::Neon => unsafe {
                neon::multiply_pairs(&self.pairs, &self.bias, shape, inputs, out);
            },
            _ => portable::multiply_pairs(&self.pairs, &self.bias, shape, inputs, out),
        }
    }

    /// [`Self::multiply`] of inputs that are packed in quads of bytes, each 128 too large.
    fn multiply_quads(&self, inputs: &[u32], out: &mut [i32]) {
        let _shape = Shape { rows: self.rows, groups: self.columns.div_ceil(4) };
        #[cfg(target_arch = "x86_64")]
        // SAFETY: quads exist only where the unit is present (`on`); lengths fit the shape.
        unsafe {
            x86::multiply_quads_avx512(&self.quads, &self.quad_bias, _shape, inputs, out);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (inputs, out, &self.quads, &self.quad_bias);
    }
}

/// Two i16 to a word, the last one with 0 when the number is odd.
fn pack_pairs(input: &[i32], place: &mut [u32]) {
    let pairs = input.chunks_exact(2);
    if let ([last], Some(place)) = (pairs.remainder(), place.last_mut()) {
        *place = u32::from(*last as u16);
    }
    for (place, pair) in place.iter_mut().zip(pairs) {
        *place = u32::from(pair[0] as u16) | u32::from(pair[1] as u16) << 16;
    }
}

/// Four i8 to a word, each 128 too large.
fn pack_quads(input: &[i32], place: &mut [u32]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: quads are packed for VNNI only, where it is present (`MatrixKernel::on`).
    unsafe {
        x86::pack_quads_avx512(input, place);
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (input, place);
}

/// Shape of a packed product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Rows of the result.
    pub(super) rows: usize,
    /// Words of one packed input.
    pub(super) groups: usize,
}
