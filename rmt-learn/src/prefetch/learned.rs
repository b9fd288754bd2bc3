//! The learned policy: two fault streams for each process, four repetition counters, one tree.
//!
//! This is the reference of `firmware/page_prefetch.rmt`, in the same integer steps. A process
//! reads memory in a few places at once, so faults are first parted into two streams by nearness.
//! Within a stream the policy keeps the last four differences of page numbers ("deltas") and, for
//! each lag 1 to 4, a counter of trust that "the next delta equals the one `lag` back". A decision
//! tree maps the four counters and a measure of locality to one of its leaves: prefetch nothing, or
//! walk the pattern of the last `period` deltas for `count` pages. So one rule covers sequential
//! scans, strides, and repeating patterns.

use std::collections::HashMap;

use super::policy::{PageRequest, PrefetchPolicy};
use super::trace::PageAccess;
use crate::error::{LearnError, Result};
use crate::tree::DecisionTree;

/// Fault streams kept apart in one process.
pub const STREAMS: usize = 2;
/// Deltas kept for each stream, and the longest period that is recognised.
pub const MAX_PERIOD: usize = 4;
/// A fault further than this from both streams, in pages, starts a stream anew.
pub const NEAR_PAGES: i64 = 4096;
/// Trust gained when a delta repeats.
pub const TRUST_GAIN: i32 = 1;
/// Trust lost when it does not.
pub const TRUST_LOSS: i32 = 4;
/// Most trust. The least is 0.
pub const TRUST_MAX: i32 = 15;
/// A delta of at most this many pages counts as local.
pub const LOCAL_PAGES: i64 = 8;
/// Full scale of the locality average.
pub const LOCALITY_ONE: i32 = 256;
/// The locality average moves by 1 / 2^this of the difference.
pub const LOCALITY_SHIFT: u32 = 3;
/// Features of the tree: trust for lag 1 to 4, then locality.
pub const FEATURES: usize = MAX_PERIOD + 1;
/// Names of the features, in order.
pub const FEATURE_NAMES: [&str; FEATURES] =
    ["trust_lag_1", "trust_lag_2", "trust_lag_3", "trust_lag_4", "locality"];
/// Most pages for one decision: three output words of two offsets.
pub const MAX_OFFSETS: usize = 6;

/// What a leaf decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Walk {
    /// Deltas in the pattern, 1 to [`MAX_PERIOD`].
    pub period: usize,
    /// Pages to prefetch, 1 to [`MAX_OFFSETS`].
    pub count: usize,
}

impl Walk {
    /// The leaf's value: `period * 16 + count`. The value 0 stands for "prefetch nothing".
    pub fn to_leaf(self) -> i32 {
        (self.period * 16 + self.count) as i32
    }

    /// Reads a leaf's value.
    ///
    /// # Errors
    /// [`LearnError::Model`] if it is neither 0 nor a period and count in range.
    pub fn from_leaf(value: i32) -> Result<Option<Self>> {
        if value == 0 {
            return Ok(None);
        }
        let (period, count) = ((value >> 4) as usize, (value & 15) as usize);
        if value < 0 || !(1..=MAX_PERIOD).contains(&period) || !(1..=MAX_OFFSETS).contains(&count) {
            return Err(LearnError::model(
                "page prefetch",
                format!(
                    "leaf value {value} is neither 0 nor period * 16 + count with period 1 to {MAX_PERIOD} and count 1 to {MAX_OFFSETS}"
                ),
            ));
        }
        Ok(Some(Self { period, count }))
    }
}

/// One stream of neighbouring faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultStream {
    /// Page of the stream's last fault.
    pub last_vpn: u64,
    /// The last deltas, newest first; 0 where there is none yet.
    pub deltas: [i32; MAX_PERIOD],
    /// `trust[lag - 1]`, 0 to [`TRUST_MAX`].
    pub trust: [i32; MAX_PERIOD],
}

/// The context record of one process. A new record is all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultHistory {
    /// The streams.
    pub streams: [FaultStream; STREAMS],
    /// Index of the stream that the last fault fell into.
    pub recent: usize,
    /// Moving average of "the delta was local", 0 to [`LOCALITY_ONE`].
    pub locality: i32,
}

/// What the history says after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultView {
    /// The tree's features, see [`FEATURE_NAMES`].
    pub features: [i32; FEATURES],
    /// Deltas of the fault's stream, newest first, this fault's included.
    pub deltas: [i32; MAX_PERIOD],
}

impl FaultHistory {
    /// Records a fault on page `vpn` (below 2^52) and returns what the tree may look at.
    pub fn record(&mut self, vpn: u64) -> FaultView {
        let deltas = self.streams.map(|stream| vpn as i64 - stream.last_vpn as i64);
        let nearest = usize::from(deltas[1].abs() < deltas[0].abs());
        let delta = deltas[nearest];
        let is_near = delta.abs() <= NEAR_PAGES;
        // A far fault takes over the stream that was not used last.
        let chosen = if is_near { nearest } else { 1 - self.recent };
        let stream = &mut self.streams[chosen];
        if is_near {
            let delta = delta as i32;
            for (trust, old_delta) in stream.trust.iter_mut().zip(stream.deltas) {
                *trust = if old_delta == delta {
                    (*trust + TRUST_GAIN).min(TRUST_MAX)
                } else {
                    (*trust - TRUST_LOSS).max(0)
                };
            }
            stream.deltas.rotate_right(1);
            stream.deltas[0] = delta;
        } else {
            *stream = FaultStream::default();
        }
        stream.last_vpn = vpn;
        self.recent = chosen;
        let sample = if delta.abs() <= LOCAL_PAGES { LOCALITY_ONE } else { 0 };
        // An arithmetic shift: rounds toward minus infinity.
        self.locality += (sample - self.locality) >> LOCALITY_SHIFT;
        let mut features = [0; FEATURES];
        features[..MAX_PERIOD].copy_from_slice(&stream.trust);
        features[MAX_PERIOD] = self.locality;
        FaultView { features, deltas: stream.deltas }
    }
}

/// Walks the pattern of the last `walk.period` deltas, as if it began anew: offset `j` is the sum
/// of the first `j` deltas, the oldest of the pattern first. Unused places are 0, which means no
/// page.
pub fn walk_offsets(deltas: &[i32; MAX_PERIOD], walk: Walk) -> [i32; MAX_OFFSETS] {
    let mut offsets = [0; MAX_OFFSETS];
    let mut offset = 0;
    let mut lane = walk.period;
    for place in offsets.iter_mut().take(walk.count) {
        lane = if lane == 0 { walk.period - 1 } else { lane - 1 };
        offset += deltas[lane];
        *place = offset;
    }
    offsets
}

/// Packs offsets into the decision's output words, the first of each pair in bits 31..0.
pub fn pack_offsets(offsets: &[i32; MAX_OFFSETS]) -> [u64; 3] {
    std::array::from_fn(|word| {
        u64::from(offsets[2 * word] as u32) | u64::from(offsets[2 * word + 1] as u32) << 32
    })
}

/// Unpacks the decision's output words.
pub fn unpack_offsets(words: &[u64; 3]) -> [i32; MAX_OFFSETS] {
    std::array::from_fn(|place| (words[place / 2] >> (32 * (place % 2))) as i32)
}

/// Turns offsets into requests for pages of the process; zeros and pages below 0 are left out.
pub fn requests_for(
    access: &PageAccess,
    offsets: &[i32; MAX_OFFSETS],
) -> impl Iterator<Item = PageRequest> {
    offsets.iter().filter(|offset| **offset != 0).filter_map(|offset| {
        let vpn = access.vpn.checked_add_signed(i64::from(*offset))?;
        Some(PageRequest::VirtualPage { pid: access.pid, vpn })
    })
}

/// The policy: a history for each process and a tree.
///
/// It observes process and virtual page of every fault, hit or miss, and decides on every fault.
#[derive(Clone, Debug)]
pub struct LearnedPrefetch {
    tree: DecisionTree,
    histories: HashMap<u32, FaultHistory>,
}

impl LearnedPrefetch {
    /// A policy with empty histories.
    ///
    /// # Errors
    /// [`LearnError::Model`] if the tree does not take [`FEATURES`] features or a leaf is no
    /// decision.
    pub fn new(tree: DecisionTree) -> Result<Self> {
        check_tree(&tree)?;
        Ok(Self { tree, histories: HashMap::new() })
    }

    /// Puts another tree in the place of this one; histories stay.
    ///
    /// # Errors
    /// As [`new`](Self::new); the old tree stays then.
    pub fn swap_tree(&mut self, tree: DecisionTree) -> Result<()> {
        check_tree(&tree)?;
        self.tree = tree;
        Ok(())
    }

    /// Decides for one fault: up to six offsets relative to the faulting page, 0 = none.
    pub fn decide(&mut self, access: &PageAccess) -> [i32; MAX_OFFSETS] {
        self.view_and_decide(access).1
    }

    /// Decides, and shows what the decision was taken from.
    pub(super) fn view_and_decide(
        &mut self,
        access: &PageAccess,
    ) -> (FaultView, [i32; MAX_OFFSETS]) {
        let view = self.histories.entry(access.pid).or_default().record(access.vpn);
        // Leaves were checked when the tree came, so the only other case is "nothing".
        let offsets = match Walk::from_leaf(self.tree.evaluate(&view.features)) {
            Ok(Some(walk)) => walk_offsets(&view.deltas, walk),
            _ => [0; MAX_OFFSETS],
        };
        (view, offsets)
    }
}

fn check_tree(tree: &DecisionTree) -> Result<()> {
    if tree.feature_count() != FEATURES {
        return Err(LearnError::model(
            "page prefetch",
            format!(
                "the tree takes {} features; this policy computes {FEATURES}",
                tree.feature_count()
            ),
        ));
    }
    tree.leaf_values().try_for_each(|value| Walk::from_leaf(value).map(|_| ()))
}

impl PrefetchPolicy for LearnedPrefetch {
    fn name(&self) -> String {
        "RMT tree".into()
    }

    fn observe(&mut self, access: &PageAccess, _hit: bool, requests: &mut Vec<PageRequest>) {
        let offsets = self.decide(access);
        requests.extend(requests_for(access, &offsets));
    }
}
