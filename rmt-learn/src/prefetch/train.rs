//! From recorded faults to a tree: which decision would have paid at each fault, and the learner
//! run on it.

use std::collections::HashMap;

use super::learned::{
    FEATURE_NAMES, FEATURES, FaultHistory, FaultView, MAX_OFFSETS, MAX_PERIOD, Walk, walk_offsets,
};
use super::trace::PageAccess;
use crate::error::{LearnError, Result};
use crate::model_file::ModelFile;
use crate::tree::{Dataset, DecisionTree, GrowConfig, grow};

/// Numbers of pages that a leaf may ask for.
pub const COUNTS: [usize; 3] = [2, 4, 6];
/// Classes of the tree: prefetch nothing, or one of the periods with one of the counts.
pub const CLASSES: usize = 1 + MAX_PERIOD * COUNTS.len();

/// What counts as a useful page and what a page is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrainConfig {
    /// A prefetched page is useful if it faults within this many faults.
    pub horizon_faults: usize,
    /// A page that faulted within this many faults is taken as mapped: asking for it is neither
    /// good nor bad.
    pub resident_faults: usize,
    /// Gain of a useful page.
    pub useful_gain: i32,
    /// Loss of a useless page. A decision pays if more than loss / (gain + loss) of its pages are
    /// useful.
    pub useless_loss: i32,
    /// Bounds of the tree.
    pub grow: GrowConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            horizon_faults: 512,
            resident_faults: 1024,
            useful_gain: 4,
            useless_loss: 6,
            grow: GrowConfig { max_depth: 8, max_leaves: 48, min_leaf_rows: 40, max_bins: 64 },
        }
    }
}

/// The decision of a class; class 0 is "prefetch nothing".
pub fn walk_of_class(class: usize) -> Option<Walk> {
    let index = class.checked_sub(1)?;
    Some(Walk { period: index / COUNTS.len() + 1, count: COUNTS[index % COUNTS.len()] })
}

/// The leaf's value for a class, as [`Walk::to_leaf`] has it.
pub fn leaf_of_class(class: i32) -> i32 {
    usize::try_from(class).ok().and_then(walk_of_class).map_or(0, Walk::to_leaf)
}

impl TrainConfig {
    /// What asking for a page at fault `now` would have gained, from the page's last fault at or
    /// before `now` and the next one after it.
    pub(super) fn page_gain(&self, now: usize, last: Option<usize>, next: Option<usize>) -> i32 {
        if last.is_some_and(|last| now - last <= self.resident_faults) {
            return 0;
        }
        match next {
            Some(next) if next - now <= self.horizon_faults => self.useful_gain,
            _ => -self.useless_loss,
        }
    }
}

/// The gain of each class at one fault; `page_gain` judges a page of the process.
pub(super) fn walk_gains(
    view: &FaultView,
    access: &PageAccess,
    page_gain: impl Fn((u32, u64)) -> i32,
) -> [i32; CLASSES] {
    let mut gains = [0; CLASSES];
    for period in 1..=MAX_PERIOD {
        let offsets = walk_offsets(&view.deltas, Walk { period, count: MAX_OFFSETS });
        let offset_gain = |offset: &i32| match access.vpn.checked_add_signed(i64::from(*offset)) {
            Some(vpn) if *offset != 0 => page_gain((access.pid, vpn)),
            _ => 0,
        };
        for (index, count) in COUNTS.iter().enumerate() {
            gains[1 + (period - 1) * COUNTS.len() + index] =
                offsets[..*count].iter().map(offset_gain).sum();
        }
    }
    gains
}

/// Adds a row for each fault of a trace whose future is long enough to judge.
///
/// # Errors
/// [`LearnError::Data`] if the trace is not longer than the horizon, or the data set is full.
pub fn collect_samples(
    trace: &[PageAccess],
    config: &TrainConfig,
    data: &mut Dataset,
) -> Result<()> {
    if trace.len() <= config.horizon_faults {
        return Err(LearnError::Data(format!(
            "a trace of {} faults is not longer than the horizon of {}; record more or shorten the horizon",
            trace.len(),
            config.horizon_faults
        )));
    }
    let mut by_page: HashMap<_, Vec<usize>> = HashMap::new();
    for (time, access) in trace.iter().enumerate() {
        by_page.entry((access.pid, access.vpn)).or_default().push(time);
    }
    let mut histories: HashMap<u32, FaultHistory> = HashMap::new();
    for (now, access) in trace.iter().enumerate().take(trace.len() - config.horizon_faults) {
        let view = histories.entry(access.pid).or_default().record(access.vpn);
        let gains = walk_gains(&view, access, |page| {
            let times = by_page.get(&page).map_or(&[][..], Vec::as_slice);
            let later = times.partition_point(|time| *time <= now);
            let last = later.checked_sub(1).map(|index| times[index]);
            config.page_gain(now, last, times.get(later).copied())
        });
        data.push_gains(&view.features, &gains)?;
    }
    Ok(())
}

/// The model file of a trained tree: one forest, `walk`.
pub fn export(tree: &DecisionTree) -> ModelFile {
    let note = |name: &str, text: String| (name.to_owned(), text);
    ModelFile {
        notes: vec![
            note("about", "Which pattern of a process's page faults to walk, and how far.".into()),
            note("made_by", "cargo run --release -p rmt-learn --example train_page_prefetch".into()),
            note("trained_on", "firmware/traces/pages/*.train.csv.zst".into()),
            note("inputs", format!("One i32 lane each: {}; docs/learning.md says how they are computed.", FEATURE_NAMES.join(", "))),
            note("leaves", "0: prefetch nothing; else period * 16 + count: walk the last `period` deltas for `count` pages.".into()),
        ],
        forests: vec![tree.to_forest("walk")],
        ..ModelFile::default()
    }
}

/// Learns one tree from several traces; each is replayed with empty histories.
///
/// # Errors
/// As [`collect_samples`] and [`grow`].
pub fn train(traces: &[&[PageAccess]], config: &TrainConfig) -> Result<DecisionTree> {
    let mut data = Dataset::new(FEATURES, CLASSES)?;
    for trace in traces {
        collect_samples(trace, config, &mut data)?;
    }
    let tree = grow(&data, &config.grow)?;
    Ok(tree.map_leaves(leaf_of_class))
}
