//! The best cut of one leaf, found on histograms with exact fractions.

use std::cmp::Ordering;

use super::bins::Bins;
use super::dataset::Dataset;

/// A non-negative fraction; the bounds of [`Dataset`] keep the numerator below 2^104 and the
/// denominator below 2^60.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fraction {
    numerator: u128,
    denominator: u64,
}

impl Fraction {
    pub(super) fn compare(&self, other: &Self) -> Ordering {
        match (u64::try_from(self.numerator), u64::try_from(other.numerator)) {
            // Nearly always: one product of 64 bits each.
            (Ok(mine), Ok(theirs)) => (u128::from(mine) * u128::from(other.denominator))
                .cmp(&(u128::from(theirs) * u128::from(self.denominator))),
            _ => wide_product(self.numerator, other.denominator)
                .cmp(&wide_product(other.numerator, self.denominator)),
        }
    }
}

/// The 192-bit product of two numbers: bits 191 to 64, then bits 63 to 0.
fn wide_product(a: u128, b: u64) -> (u128, u64) {
    let low = u128::from(a as u64) * u128::from(b);
    let high = (a >> 64) * u128::from(b) + (low >> 64);
    (high, low as u64)
}

/// The best cut of one leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Split {
    pub(super) feature: usize,
    /// Rows whose bin is at most this go left.
    pub(super) bin: u8,
    /// Worth of the two children less the leaf's own.
    pub(super) improvement: Fraction,
}

/// Memory for sums, kept from one leaf to the next. A cell is the number of rows, then the summed
/// gain of each class.
#[derive(Debug, Default)]
pub(super) struct Sums {
    histogram: Vec<i64>,
    total: Vec<i64>,
    left: Vec<i64>,
}

impl Sums {
    /// The class with the largest summed gain over `rows`; the lowest of equals, so that class 0 is
    /// the default.
    pub(super) fn best_class(&mut self, data: &Dataset, rows: &[u32]) -> usize {
        self.sum_up(data, rows);
        let mut best = 0;
        for (class, gain) in self.total[1..].iter().enumerate() {
            if *gain > self.total[1 + best] {
                best = class;
            }
        }
        best
    }

    /// Best cut of a leaf over `features`; `None` if none improves it and leaves `least_rows` on
    /// both sides.
    pub(super) fn best_split(
        &mut self,
        data: &Dataset,
        bins: &Bins,
        rows: &[u32],
        features: &[usize],
        least_rows: usize,
    ) -> Option<Split> {
        self.sum_up(data, rows);
        let cell = 1 + data.class_count();
        let least_rows = least_rows as i64;
        let mut best: Option<Split> = None;
        for &feature in features {
            let cuts = bins.cuts(feature).len();
            if cuts == 0 {
                continue;
            }
            self.histogram.clear();
            self.histogram.resize((cuts + 1) * cell, 0);
            fill(&mut self.histogram, data, bins.column(feature), rows);
            self.left.clear();
            self.left.resize(cell, 0);
            for (bin, sums) in self.histogram.chunks_exact(cell).enumerate().take(cuts) {
                if sums[0] == 0 {
                    continue;
                }
                self.left.iter_mut().zip(sums).for_each(|(left, sum)| *left += sum);
                if self.left[0] < least_rows || self.total[0] - self.left[0] < least_rows {
                    continue;
                }
                let Some(improvement) = improvement(&self.total, &self.left) else { continue };
                if best.is_none_or(|other| {
                    improvement.compare(&other.improvement) == Ordering::Greater
                }) {
                    best = Some(Split { feature, bin: bin as u8, improvement });
                }
            }
        }
        best
    }

    fn sum_up(&mut self, data: &Dataset, rows: &[u32]) {
        self.total.clear();
        self.total.resize(1 + data.class_count(), 0);
        self.total[0] = rows.len() as i64;
        if let Some(labels) = data.labels() {
            rows.iter().for_each(|row| self.total[1 + usize::from(labels[*row as usize])] += 1);
            return;
        }
        for row in rows {
            for (sum, gain) in self.total[1..].iter_mut().zip(data.gains(*row as usize)) {
                *sum += i64::from(*gain);
            }
        }
    }
}

fn fill(histogram: &mut [i64], data: &Dataset, bins: &[u8], rows: &[u32]) {
    let cell = 1 + data.class_count();
    if let Some(labels) = data.labels() {
        for row in rows {
            let row = *row as usize;
            let at = usize::from(bins[row]) * cell;
            histogram[at] += 1;
            histogram[at + 1 + usize::from(labels[row])] += 1;
        }
        return;
    }
    for row in rows {
        let row = *row as usize;
        let sums = &mut histogram[usize::from(bins[row]) * cell..][..cell];
        sums[0] += 1;
        for (sum, gain) in sums[1..].iter_mut().zip(data.gains(row)) {
            *sum += i64::from(*gain);
        }
    }
}

/// Worth of left and right less the worth of both together; `None` unless positive.
///
/// By the identity a²/m + b²/n − (a+b)²/(m+n) = (a·n − b·m)² / (m·n·(m+n)), summed over the
/// classes, the difference is never negative and needs no subtraction of large fractions. Sums are
/// below 2^28 and rows at most 2^20, so a·n − b·m fits 64 bits.
fn improvement(total: &[i64], left: &[i64]) -> Option<Fraction> {
    let (m, n) = (left[0], total[0] - left[0]);
    let mut numerator = 0u128;
    for (whole, part) in total[1..].iter().zip(&left[1..]) {
        let difference = u128::from((part * n - (whole - part) * m).unsigned_abs());
        numerator += difference * difference;
    }
    (numerator > 0).then(|| Fraction { numerator, denominator: (m * n * (m + n)) as u64 })
}
