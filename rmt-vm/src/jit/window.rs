//! Geometry of convolutions and pooling, unrolled once when a program is compiled.

use rmt_isa::program::Window;

use super::operation::Pooling;

/// For each output place, which lanes of the input lie under the window.
#[derive(Clone, Debug)]
pub(super) struct WindowTaps {
    channels: usize,
    taps_per_kernel: usize,
    /// For each output place the range of its taps in `taps`.
    places: Box<[std::ops::Range<usize>]>,
    /// Number of the tap in the kernel, and lane of channel 0 of the input.
    taps: Box<[(usize, usize)]>,
}

impl WindowTaps {
    pub(super) fn new(window: &Window) -> Self {
        let [in_height, in_width, channels, height, width] =
            [window.in_height, window.in_width, window.channels, window.height, window.width]
                .map(usize::from);
        let mut taps = Vec::new();
        let mut places = Vec::new();
        for y in 0..usize::from(window.out_height) {
            for x in 0..usize::from(window.out_width) {
                let start = taps.len();
                for tap in 0..height * width {
                    let row = (y * usize::from(window.stride_y) + tap / width)
                        .checked_sub(window.pad_top.into())
                        .filter(|&row| row < in_height);
                    let column = (x * usize::from(window.stride_x) + tap % width)
                        .checked_sub(window.pad_left.into())
                        .filter(|&column| column < in_width);
                    if let (Some(row), Some(column)) = (row, column) {
                        taps.push((tap, (row * in_width + column) * channels));
                    }
                }
                places.push(start..taps.len());
            }
        }
        Self { channels, taps_per_kernel: height * width, places: places.into(), taps: taps.into() }
    }

    /// Channels of the input.
    pub(super) fn channels(&self) -> usize {
        self.channels
    }

    /// Lanes of a result with so many channels.
    pub(super) fn results(&self, channels: usize) -> usize {
        self.places.len() * channels
    }

    /// out[place][m] = bias[m] + Σ weights[m][tap][c] * input[tap of place][c].
    pub(super) fn convolve(&self, input: &[i32], weights: &[i32], bias: &[i32], out: &mut [i32]) {
        let kernel_size = self.taps_per_kernel * self.channels;
        for (place, out) in self.places.iter().zip(out.chunks_exact_mut(bias.len())) {
            for ((m, sum), &bias) in out.iter_mut().enumerate().zip(bias) {
                let kernel = &weights[m * kernel_size..][..kernel_size];
                *sum = self.taps[place.clone()].iter().fold(bias, |sum, &(tap, lane)| {
                    let weights = &kernel[tap * self.channels..][..self.channels];
                    let inputs = &input[lane..lane + self.channels];
                    let products = weights.iter().zip(inputs).map(|(w, x)| w.wrapping_mul(*x));
                    products.fold(sum, i32::wrapping_add)
                });
            }
        }
    }

    /// out[place][c] = largest (at least `least`) or sum of input[tap of place][c].
    pub(super) fn pool(&self, input: &[i32], kind: Pooling, least: i32, out: &mut [i32]) {
        for (place, out) in self.places.iter().zip(out.chunks_exact_mut(self.channels)) {
            out.fill(if kind == Pooling::Max { least } else { 0 });
            for &(_, lane) in &self.taps[place.clone()] {
                for (sum, &x) in out.iter_mut().zip(&input[lane..lane + self.channels]) {
                    *sum = match kind {
                        Pooling::Max => x.max(*sum),
                        Pooling::Sum => sum.wrapping_add(x),
                    };
                }
            }
        }
    }
}
