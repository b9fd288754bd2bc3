//! Layers of networks: products, convolutions, pooling, requantisation.

use cranelift_codegen::ir::types::{I32, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Value};
use rmt_isa::arithmetic;
use rmt_isa::operand::{Bias, Element, ScaleId, TensorId, Vector, WindowId};
use rmt_isa::program::{ChannelScale, Tensor};

use super::action::ActionCompiler;
use super::kernels::MatrixKernel;
use super::operation::{Operation, Pooling};
use super::vectors::{CHUNK_BYTES, SMALL_LANES, Small, chunk_lanes};
use super::window::WindowTaps;

/// Rows up to which each row is summed by itself; more rows stand side by side in lanes.
const FEW_ROWS: usize = 2;

impl ActionCompiler<'_, '_> {
    pub(super) fn tensor(&self, id: TensorId) -> Option<&Tensor> {
        self.objects.models.tensors().get(id.index())
    }

    /// One value for each output; zeros without a bias.
    pub(super) fn bias(&self, bias: Bias, outputs: usize) -> Vec<i32> {
        let tensor = bias.0.and_then(|id| self.tensor(id));
        tensor.map_or_else(|| vec![0; outputs], |tensor| tensor.values.clone())
    }

    pub(super) fn mat_mul(
        &mut self,
        pc: usize,
        d: Vector,
        a: Vector,
        weights: TensorId,
        bias: Bias,
    ) {
        let Some(tensor) = self.tensor(weights) else { return };
        let [rows, columns] = tensor.shape[..] else { return };
        let (rows, columns) = (rows as usize, columns as usize);
        let weights = tensor.values.clone();
        let bias = self.bias(bias, rows);
        match self.small(pc, a).filter(|_| rows <= SMALL_LANES) {
            Some(x) => {
                let x = self.convert(&x, Element::I16);
                let chunks = if rows <= FEW_ROWS {
                    vec![self.product_by_rows(&x, rows, &weights, &bias)]
                } else {
                    self.product_by_lanes(&x, rows, &weights, &bias)
                };
                self.set_vector(d, &Small { element: Element::I32, lanes: rows, chunks });
            }
            None => {
                let wide = self.type_before(pc, a).element != Element::I8;
                let kernel = MatrixKernel::new(rows, columns, &weights, &bias);
                let operation = Operation::MatMul { d: d.index(), a: a.index(), wide, kernel };
                self.operate(pc, operation, &[a], Some(d), None, None);
            }
        }
    }

    /// `x[2i] * y[2i] + x[2i + 1] * y[2i + 1]`, eight lanes of i16 to four of i32: one
    /// instruction on both machines, found by the code generator in this form.
    fn dot_pairs(&mut self, x: Value, y: Value) -> Value {
        let (x_low, y_low) = (self.builder.ins().swiden_low(x), self.builder.ins().swiden_low(y));
        let low = self.builder.ins().imul(x_low, y_low);
        let (x_high, y_high) =
            (self.builder.ins().swiden_high(x), self.builder.ins().swiden_high(y));
        let high = self.builder.ins().imul(x_high, y_high);
        self.builder.ins().iadd_pairwise(low, high)
    }

    /// Inputs side by side: each row's products, summed over the lanes at the end.
    fn product_by_rows(&mut self, x: &Small, rows: usize, weights: &[i32], bias: &[i32]) -> Value {
        let mut sums = Vec::new();
        for row in 0..rows {
            let row = &weights[row * x.lanes..][..x.lanes];
            let mut sum: Option<Value> = None;
            for (chunk, weights) in row.chunks(chunk_lanes(Element::I16)).enumerate() {
                // Lanes behind the last one meet zeros.
                let weights = self.chunk_constant(Element::I16, weights);
                let products = self.dot_pairs(x.chunks[chunk], weights);
                sum = Some(match sum {
                    None => products,
                    Some(sum) => self.builder.ins().iadd(sum, products),
                });
            }
            sums.extend(sum);
        }
        let (first, last) = (sums[0], sums[sums.len() - 1]);
        let pairs = self.builder.ins().iadd_pairwise(first, last);
        let rows = self.builder.ins().iadd_pairwise(pairs, pairs);
        let bias = self.chunk_constant(Element::I32, bias);
        self.builder.ins().iadd(rows, bias)
    }

    /// Rows side by side: each pair of inputs goes to all lanes and meets its weights.
    fn product_by_lanes(
        &mut self,
        x: &Small,
        rows: usize,
        weights: &[i32],
        bias: &[i32],
    ) -> Vec<Value> {
        let columns = x.lanes;
        let weight = |row: usize, column: usize| {
            if row < rows && column < columns { weights[row * columns + column] } else { 0 }
        };
        let mut sums: Vec<Value> =
            bias.chunks(4).map(|bias| self.chunk_constant(Element::I32, bias)).collect();
        for pair in 0..columns.div_ceil(2) {
            let byte = 4 * (pair % 4);
            let order = std::array::from_fn(|i| (byte + i % 4) as u8);
            let chunk = x.chunks[pair / 4];
            let inputs = self.shuffle(chunk, chunk, order);
            for (block, sum) in sums.iter_mut().enumerate() {
                let lanes: Vec<i32> = (0..chunk_lanes(Element::I16))
                    .map(|i| weight(4 * block + i / 2, 2 * pair + i % 2))
                    .collect();
                if lanes.iter().all(|&weight| weight == 0) {
                    continue;
                }
                let weights = self.chunk_constant(Element::I16, &lanes);
                let products = self.dot_pairs(inputs, weights);
                *sum = self.builder.ins().iadd(*sum, products);
            }
        }
        sums
    }

    pub(super) fn convolve(
        &mut self,
        pc: usize,
        d: Vector,
        a: Vector,
        window: WindowId,
        weights: TensorId,
        bias: Bias,
    ) {
        let Some(window) = self.objects.program.windows.get(window.index()) else { return };
        let Some(weights) = self.tensor(weights) else { return };
        let outputs = weights.shape.first().map_or(0, |&outputs| outputs as usize);
        let (taps, bias) = (WindowTaps::new(window), self.bias(bias, outputs).into());
        let weights = weights.values.clone().into();
        let operation = Operation::Conv2d { d: d.index(), a: a.index(), taps, weights, bias };
        self.operate(pc, operation, &[a], Some(d), None, None);
    }

    pub(super) fn pool(&mut self, pc: usize, d: Vector, a: Vector, window: WindowId, max: bool) {
        let Some(window) = self.objects.program.windows.get(window.index()) else { return };
        let (taps, kind) = (WindowTaps::new(window), if max { Pooling::Max } else { Pooling::Sum });
        let least = self.type_before(pc, a).element.min();
        let operation = Operation::Pool { d: d.index(), a: a.index(), taps, kind, least };
        self.operate(pc, operation, &[a], Some(d), None, None);
    }

    pub(super) fn requantise(
        &mut self,
        pc: usize,
        d: Vector,
        a: Vector,
        element: Element,
        scale: ScaleId,
    ) {
        let Some(scale) = self.objects.models.scales().get(scale.index()) else { return };
        let (channels, zero_point) = (scale.channels.clone(), scale.zero_point);
        // Results of 32 bits saturate where 64 are needed to see it.
        let small = self.small(pc, a).filter(|_| element != Element::I32);
        let Some(x) = small else {
            let lanes = usize::from(self.type_before(pc, a).lanes);
            let (d_index, a_index, scale) = (d.index(), a.index(), channels.into());
            let operation =
                Operation::Requantise { d: d_index, a: a_index, lanes, element, scale, zero_point };
            self.operate(pc, operation, &[a], Some(d), None, None);
            return;
        };
        let chunks = x.chunks.iter().enumerate().map(|(chunk, &value)| {
            let scales = std::array::from_fn(|i| channels[(4 * chunk + i) % channels.len()]);
            self.requantise_chunk(value, scales, zero_point, element)
        });
        let wide = Small { element: Element::I32, lanes: x.lanes, chunks: chunks.collect() };
        // Narrowing saturates: that is the last step of the equation.
        let narrow = self.convert(&wide, element);
        self.set_vector(d, &narrow);
    }

    /// Four lanes, before saturation.
    ///
    /// The equation needs 64 bits only for accumulators whose results saturate anyway. It is
    /// monotonic, so accumulators are first cut to the range that matters; then all results
    /// fit 32 bits, and arithmetic modulo 2^32 gives them.
    fn requantise_chunk(
        &mut self,
        value: Value,
        scales: [ChannelScale; 4],
        zero_point: i32,
        element: Element,
    ) -> Value {
        let (least, most): (Vec<i32>, Vec<i32>) = scales
            .iter()
            .map(|&scale| relevant(scale, zero_point, element.min(), element.max()))
            .unzip();
        let mut value = value;
        if most.iter().any(|&most| most != i32::MAX) {
            let most = self.chunk_constant(Element::I32, &most);
            value = self.builder.ins().smin(value, most);
        }
        if least.iter().any(|&least| least != i32::MIN) {
            let least = self.chunk_constant(Element::I32, &least);
            value = self.builder.ins().smax(value, least);
        }
        let multipliers = self.chunk_constant(Element::I32, &scales.map(|scale| scale.multiplier));
        let halves = scales.map(|scale| 1_i64 << (scale.shift - 1));
        let low = {
            let x = self.builder.ins().swiden_low(value);
            let multiplier = self.builder.ins().swiden_low(multipliers);
            self.builder.ins().imul(x, multiplier)
        };
        let high = {
            let x = self.builder.ins().swiden_high(value);
            let multiplier = self.builder.ins().swiden_high(multipliers);
            self.builder.ins().imul(x, multiplier)
        };
        let [low_halves, high_halves] = [[halves[0], halves[1]], [halves[2], halves[3]]];
        let low = self.add_pair(low, low_halves);
        let high = self.add_pair(high, high_halves);
        let mut result: Option<Value> = None;
        let mut shifts = scales.map(|scale| scale.shift).to_vec();
        shifts.sort_unstable();
        shifts.dedup();
        for shift in shifts {
            let shifted = self.shift_right(low, high, shift);
            result = Some(match result {
                None => shifted,
                Some(result) => {
                    let mask = scales.map(|scale| -i32::from(scale.shift == shift));
                    let mask = self.chunk_constant(Element::I32, &mask);
                    self.builder.ins().bitselect(mask, shifted, result)
                }
            });
        }
        let result = result.unwrap_or(value);
        if zero_point == 0 {
            return result;
        }
        let zero_point = self.chunk_constant(Element::I32, &[zero_point; 4]);
        self.builder.ins().iadd(result, zero_point)
    }

    fn add_pair(&mut self, value: Value, constants: [i64; 2]) -> Value {
        let mut bytes = [0; CHUNK_BYTES];
        bytes[..8].copy_from_slice(&constants[0].to_le_bytes());
        bytes[8..].copy_from_slice(&constants[1].to_le_bytes());
        let constants = self.bytes_constant(I64X2, bytes);
        self.builder.ins().iadd(value, constants)
    }

    /// The low 32 bits of four lanes of 64 bits shifted right, where these hold the result.
    fn shift_right(&mut self, low: Value, high: Value, shift: u8) -> Value {
        let halves = |odd: u8| {
            move |i: usize| {
                let (lane, byte) = (i / 4, (i % 4) as u8);
                8 * lane as u8 + 4 * odd + byte
            }
        };
        if shift > 32 {
            let (low, high) = (self.bitcast(I32X4, low), self.bitcast(I32X4, high));
            let tops = self.shuffle(low, high, std::array::from_fn(halves(1)));
            let amount = self.builder.ins().iconst(I32, i64::from(shift) - 32);
            self.builder.ins().sshr(tops, amount)
        } else {
            let amount = self.builder.ins().iconst(I32, i64::from(shift));
            let low = self.builder.ins().ushr(low, amount);
            let high = self.builder.ins().ushr(high, amount);
            let (low, high) = (self.bitcast(I32X4, low), self.bitcast(I32X4, high));
            self.shuffle(low, high, std::array::from_fn(halves(0)))
        }
    }
}

/// The accumulators below which all results saturate to the same `least`, and above which all
/// saturate to `most`.
pub(super) fn relevant(scale: ChannelScale, zero_point: i32, least: i32, most: i32) -> (i32, i32) {
    let result = |accumulator: i32| {
        let (multiplier, shift) = (scale.multiplier, scale.shift);
        arithmetic::requantise(accumulator, multiplier, shift, zero_point, Element::I32)
    };
    (
        last_where(|x| result(x) <= least).unwrap_or(i32::MIN),
        last_where(|x| result(x) < most).map_or(i32::MIN, |x| x.saturating_add(1)),
    )
}

/// The largest integer for which a condition holds that holds up to some point only.
fn last_where(condition: impl Fn(i32) -> bool) -> Option<i32> {
    if !condition(i32::MIN) {
        return None;
    }
    let (mut holds, mut fails) = (i64::from(i32::MIN), i64::from(i32::MAX) + 1);
    while fails - holds > 1 {
        let middle = (holds + fails) / 2;
        if condition(middle as i32) { holds = middle } else { fails = middle }
    }
    Some(holds as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relevant_accumulators_are_those_whose_results_do_not_saturate() {
        let relevant = |scale, zero_point, element: Element| {
            super::relevant(scale, zero_point, element.min(), element.max())
        };
        let scale = ChannelScale { multiplier: 1 << 20, shift: 20 };
        assert_eq!(relevant(scale, 0, Element::I8), (-128, 127));
        assert_eq!(relevant(scale, 3, Element::I16), (-32771, 32764));
        let tiny = ChannelScale { multiplier: 1, shift: 62 };
        assert_eq!(relevant(tiny, 0, Element::I8), (i32::MIN, i32::MAX));
        // All results are the largest, or the smallest.
        assert_eq!(relevant(tiny, 200, Element::I8), (i32::MIN, i32::MIN));
        assert_eq!(relevant(tiny, -200, Element::I8), (i32::MAX, i32::MAX));
    }
}
