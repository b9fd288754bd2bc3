//! Cutting features into bins, so that a split is searched over bins and not over rows.

use super::dataset::Dataset;

/// Bins of all features of a data set. Its memory is kept from one window to the next.
#[derive(Debug, Default)]
pub(super) struct Bins {
    /// For each feature the largest value of each bin but the last.
    cuts: Vec<Vec<i32>>,
    /// Column-major bin numbers, `rows` for each feature.
    numbers: Vec<u8>,
    rows: usize,
    sorted: Vec<i32>,
}

impl Bins {
    /// Cuts every feature at values that occur.
    pub(super) fn fill(&mut self, data: &Dataset, max_bins: usize) {
        self.rows = data.len();
        self.numbers.clear();
        self.cuts.resize_with(data.feature_count(), Vec::new);
        for (feature, cuts) in self.cuts.iter_mut().enumerate() {
            let column = || (0..data.len()).map(|row| data.features(row)[feature]);
            self.sorted.clear();
            self.sorted.extend(column());
            self.sorted.sort_unstable();
            choose_cuts(&self.sorted, max_bins, cuts);
            // At most 255 cuts, so that a bin's number is a u8.
            self.numbers
                .extend(column().map(|value| cuts.partition_point(|cut| *cut < value) as u8));
        }
    }

    /// The largest value of each bin of a feature but the last.
    pub(super) fn cuts(&self, feature: usize) -> &[i32] {
        &self.cuts[feature]
    }

    /// The bin of each row.
    pub(super) fn column(&self, feature: usize) -> &[u8] {
        &self.numbers[feature * self.rows..][..self.rows]
    }
}

/// Chooses at most `max_bins - 1` cut values: all distinct values if they are few, else quantiles.
fn choose_cuts(sorted: &[i32], max_bins: usize, cuts: &mut Vec<i32>) {
    cuts.clear();
    let mut previous = None;
    for value in sorted {
        if previous != Some(value) {
            cuts.push(*value);
            previous = Some(value);
        }
        if cuts.len() > max_bins {
            break;
        }
    }
    let largest = sorted.last();
    if cuts.len() > max_bins {
        cuts.clear();
        cuts.extend((1..max_bins).map(|part| sorted[part * sorted.len() / max_bins]));
        cuts.dedup();
    }
    // A cut at the largest value would separate nothing.
    if cuts.last() == largest {
        cuts.pop();
    }
}
