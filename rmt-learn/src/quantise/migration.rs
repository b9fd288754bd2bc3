//! Recorded decisions of `can_migrate_task` and the features of the APSys'20 load-balancing study.
//!
//! The study (Chen et al., "Machine Learning for Load Balancing in the Linux Kernel", APSys 2020)
//! feeds its network `src_len - 2`, loads / 1000 and `delta_faults / total_faults`. Here the float
//! form is the reference and the lane form is what a program computes in integers.

use std::path::Path;

use rmt_isa::arithmetic::split_mix_64;

use crate::error::{LearnError, Result};
use crate::table::{read_bytes, read_rows};

/// Features of the network.
pub const FEATURES: usize = 15;
/// Names of the features, in the order of the network's inputs.
pub const FEATURE_NAMES: [&str; FEATURES] = [
    "src_non_pref_nr",
    "delta_hot",
    "cpu_idle",
    "cpu_not_idle",
    "cpu_newly_idle",
    "same_node",
    "prefer_src",
    "prefer_dst",
    "src_len",
    "src_load",
    "dst_load",
    "dst_len",
    "delta_faults",
    "extra_fails",
    "buddy_hot",
];
/// Position of `src_len`.
pub const SRC_LEN: usize = 8;
/// Position of `delta_faults`.
pub const DELTA_FAULTS: usize = 12;
/// Lane units of the ratio `delta_faults / total_faults` = 1.
pub const RATIO_ONE: i64 = 4096;

/// Real value of one unit of each lane, before the network's input scaling.
pub const LANE_UNITS: [f64; FEATURES] = {
    let mut units = [1.0; FEATURES];
    units[9] = 0.001;
    units[10] = 0.001;
    units[DELTA_FAULTS] = 1.0 / RATIO_ONE as f64;
    units
};

/// The raw integers of one decision, as the kernel has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawFeatures {
    /// In the order of [`FEATURE_NAMES`].
    pub values: [i32; FEATURES],
    /// Divisor of `delta_faults`; 0 when there are no NUMA statistics.
    pub total_faults: i32,
}

impl RawFeatures {
    /// The study's preprocessing in floating point: the network's inputs.
    pub fn to_real(&self) -> [f64; FEATURES] {
        let mut inputs = self.values.map(f64::from);
        inputs[SRC_LEN] -= 2.0;
        inputs[9] /= 1000.0;
        inputs[10] /= 1000.0;
        if self.total_faults != 0 {
            inputs[DELTA_FAULTS] /= f64::from(self.total_faults);
        }
        inputs
    }

    /// The program's preprocessing: integers, each lane saturated to i16, in units of
    /// [`LANE_UNITS`].
    ///
    /// A total of 0 gives a ratio of 0, as the machine's division does.
    pub fn to_lanes(&self) -> [i16; FEATURES] {
        let mut lanes = self.values.map(i64::from);
        lanes[SRC_LEN] -= 2;
        lanes[DELTA_FAULTS] = (lanes[DELTA_FAULTS] * RATIO_ONE)
            .checked_div(i64::from(self.total_faults))
            .unwrap_or(0);
        lanes.map(|lane| lane.clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16)
    }
}

/// One recorded decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationDecision {
    /// Load that was running; train and test are split by it.
    pub phase: String,
    /// Process of the task.
    pub pid: u32,
    /// What the kernel saw.
    pub features: RawFeatures,
    /// Affinity, running and throttling do not forbid the move; no feature shows these.
    pub hard_pass: bool,
    /// What the kernel decided.
    pub can_migrate: bool,
}

/// Reads recorded decisions: CSV, plain or zstd, with the columns `phase`, `pid`, the features by
/// name, `total_faults`, `hard_pass` and `can_migrate`.
///
/// # Errors
/// [`LearnError::Io`] or [`LearnError::Trace`] with the line.
pub fn read_migrations(path: &Path) -> Result<Vec<MigrationDecision>> {
    parse_migrations(&path.display().to_string(), &read_bytes(path)?)
}

/// Parses recorded decisions from memory; `name` stands in error messages.
///
/// # Errors
/// As [`read_migrations`], without the file errors.
pub fn parse_migrations(name: &str, bytes: &[u8]) -> Result<Vec<MigrationDecision>> {
    let mut wanted = vec!["phase", "pid", "total_faults", "hard_pass", "can_migrate"];
    let first_feature = wanted.len();
    wanted.extend(FEATURE_NAMES);
    let any_i32 = i64::from(i32::MIN)..=i64::from(i32::MAX);
    read_rows(name, bytes, &wanted, |row| {
        let mut features = RawFeatures {
            total_faults: row.integer(2, any_i32.clone())? as i32,
            ..Default::default()
        };
        for (index, value) in features.values.iter_mut().enumerate() {
            *value = row.integer(first_feature + index, any_i32.clone())? as i32;
        }
        Ok(MigrationDecision {
            phase: row.text(0).to_owned(),
            pid: row.integer(1, 0..=i64::from(u32::MAX))? as u32,
            features,
            hard_pass: row.integer(3, 0..=1)? == 1,
            can_migrate: row.integer(4, 0..=1)? == 1,
        })
    })
}

/// Smallest and largest value of each raw integer, to draw synthetic decisions from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureRanges {
    /// Smallest value of each feature.
    pub low: [i32; FEATURES],
    /// Largest value of each feature.
    pub high: [i32; FEATURES],
    /// Largest `total_faults`.
    pub max_total_faults: i32,
}

impl FeatureRanges {
    /// The ranges of recorded decisions.
    ///
    /// # Errors
    /// [`LearnError::Data`] if there is none.
    pub fn of(decisions: &[MigrationDecision]) -> Result<Self> {
        let Some(first) = decisions.first() else {
            return Err(LearnError::Data(
                "no decision to take ranges from; give a recorded trace".into(),
            ));
        };
        let mut ranges =
            Self { low: first.features.values, high: first.features.values, max_total_faults: 0 };
        for MigrationDecision { features, .. } in decisions {
            for (index, value) in features.values.iter().enumerate() {
                ranges.low[index] = ranges.low[index].min(*value);
                ranges.high[index] = ranges.high[index].max(*value);
            }
            ranges.max_total_faults = ranges.max_total_faults.max(features.total_faults);
        }
        Ok(ranges)
    }

    /// Draws `count` synthetic decisions from a seed.
    ///
    /// Each feature is uniform over its range and independent of the others, except `delta_faults`,
    /// which is uniform from -`total_faults` to `total_faults`. So the whole box is covered, also
    /// corners that a kernel never shows.
    pub fn sample(&self, count: usize, seed: u64) -> Vec<RawFeatures> {
        let mut counter = 0u64;
        let mut uniform = |low: i32, high: i32| {
            counter += 1;
            let random = split_mix_64(split_mix_64(seed).wrapping_add(counter));
            let span = (i64::from(high) - i64::from(low) + 1) as u128;
            // The high bits of a 64 x 33 bit product: uniform to within 2^-31.
            (i64::from(low) + ((u128::from(random) * span) >> 64) as i64) as i32
        };
        (0..count)
            .map(|_| {
                let mut features = RawFeatures {
                    total_faults: uniform(0, self.max_total_faults),
                    ..Default::default()
                };
                for index in 0..FEATURES {
                    features.values[index] = if index == DELTA_FAULTS {
                        uniform(-features.total_faults, features.total_faults)
                    } else {
                        uniform(self.low[index], self.high[index])
                    };
                }
                features
            })
            .collect()
    }
}
