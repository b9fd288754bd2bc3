//! The learned policy with a tree learnt on line: it never sees a fault before it decides on it.
//!
//! A sample waits until the horizon of its labels has passed; then it is known which pages would
//! have been worth prefetching, and the sample goes into the window of an [`OnlineTree`]. Every
//! period a new tree takes the place of the old one. Before the first tree the policy asks for
//! nothing. Memory is bounded by the horizon, the resident span and the window.

use std::collections::{HashMap, VecDeque};

use super::learned::{FEATURES, FaultView, LearnedPrefetch, MAX_OFFSETS, requests_for};
use super::policy::{PageRequest, PrefetchPolicy};
use super::trace::PageAccess;
use super::train::{CLASSES, TrainConfig, leaf_of_class, walk_gains};
use crate::error::{LearnError, Result};
use crate::tree::{DecisionTree, GrowConfig, Node, OnlineConfig, OnlineTree};

/// Leaves of the shipped model's tree: a tree that is learnt on line takes its place, and a swap
/// may not need more nodes than the program came with.
pub const SWAP_LEAVES: usize = 29;

/// How the policy learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnlinePrefetchConfig {
    /// What counts as useful. Its `grow` is not used.
    pub labels: TrainConfig,
    /// Window and bounds of the trees.
    pub tree: OnlineConfig,
}

impl Default for OnlinePrefetchConfig {
    fn default() -> Self {
        let grow =
            GrowConfig { max_depth: 8, max_leaves: SWAP_LEAVES, min_leaf_rows: 20, max_bins: 64 };
        Self {
            // A tree from few samples is bold; chosen on the training windows, see docs/learning.md.
            labels: TrainConfig { useless_loss: 12, ..TrainConfig::default() },
            tree: OnlineConfig { window_samples: 4096, period_samples: 512, grow },
        }
    }
}

/// A fault whose labels are not known yet.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    access: PageAccess,
    view: FaultView,
}

/// The newest faults, by page.
#[derive(Debug)]
struct RecentFaults {
    /// Number of the next fault.
    next: usize,
    span: usize,
    order: VecDeque<(u32, u64)>,
    times: HashMap<(u32, u64), VecDeque<usize>>,
}

impl RecentFaults {
    fn record(&mut self, access: &PageAccess) {
        let page = (access.pid, access.vpn);
        self.order.push_back(page);
        self.times.entry(page).or_default().push_back(self.next);
        self.next += 1;
        if self.order.len() > self.span
            && let Some(oldest) = self.order.pop_front()
            && let Some(times) = self.times.get_mut(&oldest)
        {
            times.pop_front();
            if times.is_empty() {
                self.times.remove(&oldest);
            }
        }
    }
}

/// The policy.
#[derive(Debug)]
pub struct OnlinePrefetch {
    config: OnlinePrefetchConfig,
    policy: LearnedPrefetch,
    learner: OnlineTree,
    waiting: VecDeque<Waiting>,
    faults: RecentFaults,
    trees: usize,
    newest: Option<DecisionTree>,
}

impl OnlinePrefetch {
    /// A policy that knows nothing.
    ///
    /// # Errors
    /// [`LearnError::Setting`] for a setting out of range.
    pub fn new(config: OnlinePrefetchConfig) -> Result<Self> {
        if config.labels.horizon_faults == 0 {
            return Err(LearnError::Setting {
                name: "horizon_faults",
                reason: "at least 1 is needed, 0 was given".into(),
            });
        }
        let nothing = DecisionTree::new(FEATURES, vec![Node::Leaf { value: 0 }])?;
        Ok(Self {
            config,
            policy: LearnedPrefetch::new(nothing)?,
            learner: OnlineTree::new(FEATURES, CLASSES, config.tree)?,
            waiting: VecDeque::new(),
            faults: RecentFaults {
                next: 0,
                span: config.labels.horizon_faults + config.labels.resident_faults + 1,
                order: VecDeque::new(),
                times: HashMap::new(),
            },
            trees: 0,
            newest: None,
        })
    }

    /// Decides for one fault with the tree as it is, then learns from the faults whose horizon this
    /// fault closes.
    ///
    /// # Errors
    /// [`LearnError`] if a sample is refused, which the bounds of gains exclude.
    pub fn decide(&mut self, access: &PageAccess) -> Result<[i32; MAX_OFFSETS]> {
        let (view, offsets) = self.policy.view_and_decide(access);
        self.faults.record(access);
        self.waiting.push_back(Waiting { access: *access, view });
        if self.waiting.len() > self.config.labels.horizon_faults
            && let Some(oldest) = self.waiting.pop_front()
        {
            let made = self.faults.next - 1 - self.config.labels.horizon_faults;
            let gains = walk_gains(&oldest.view, &oldest.access, |page| {
                let times = self.faults.times.get(&page);
                let last = times.and_then(|t| t.iter().rev().find(|time| **time <= made));
                let next = times.and_then(|t| t.iter().find(|time| **time > made));
                self.config.labels.page_gain(made, last.copied(), next.copied())
            });
            self.learner.push_gains(&oldest.view.features, &gains)?;
            if self.learner.is_due() {
                let tree = self.learner.learn()?.map_leaves(leaf_of_class);
                self.policy.swap_tree(tree.clone())?;
                self.newest = Some(tree);
                self.trees += 1;
            }
        }
        Ok(offsets)
    }

    /// The tree that was learnt since the last call, if any: what a control plane commits as a
    /// model swap before the next event.
    pub fn take_new_tree(&mut self) -> Option<DecisionTree> {
        self.newest.take()
    }

    /// Trees learnt so far.
    pub fn trees_learnt(&self) -> usize {
        self.trees
    }

    /// Samples in the window.
    pub fn window(&self) -> &crate::tree::Dataset {
        self.learner.window()
    }
}

impl PrefetchPolicy for OnlinePrefetch {
    fn name(&self) -> String {
        "RMT tree, on line".into()
    }

    fn observe(&mut self, access: &PageAccess, _hit: bool, requests: &mut Vec<PageRequest>) {
        // Gains are within the learner's bounds, so there is no error to lose.
        let offsets = self.decide(access).unwrap_or_default();
        requests.extend(requests_for(access, &offsets));
    }
}

#[cfg(test)]
mod tests {
    use super::super::train::collect_samples;
    use super::*;
    use crate::tree::Dataset;

    fn faults(pages: impl Iterator<Item = u64>) -> Vec<PageAccess> {
        pages.map(|vpn| PageAccess { time_us: 0, pid: 7, vpn, swap_offset: vpn }).collect()
    }

    /// The window holds exactly the rows that training on the same faults collects.
    #[test]
    fn samples_are_those_of_training_with_hindsight() {
        let pages = (0..900u64).map(|step| match step % 5 {
            0 => 5_000_000 + rmt_isa::arithmetic::split_mix_64(step) % 300,
            _ => 1_000_000 + step * 3 % 700,
        });
        let trace = faults(pages);
        let labels =
            TrainConfig { horizon_faults: 40, resident_faults: 70, ..TrainConfig::default() };
        let config = OnlinePrefetchConfig { labels, ..OnlinePrefetchConfig::default() };
        let mut policy = OnlinePrefetch::new(config).unwrap();
        for access in &trace {
            policy.decide(access).unwrap();
        }
        let mut expected = Dataset::new(FEATURES, CLASSES).unwrap();
        collect_samples(&trace, &labels, &mut expected).unwrap();
        assert_eq!(policy.window().len(), expected.len());
        for row in 0..expected.len() {
            assert_eq!(policy.window().features(row), expected.features(row), "row {row}");
            assert_eq!(policy.window().gains(row), expected.gains(row), "row {row}");
        }
        assert!((0..expected.len()).any(|row| expected.gains(row).iter().any(|gain| *gain > 0)));
        assert!(policy.faults.order.len() <= 111 && policy.waiting.len() <= 40);
    }

    #[test]
    fn a_scan_is_learnt_and_nothing_is_asked_before_the_first_tree() {
        let mut policy = OnlinePrefetch::new(OnlinePrefetchConfig::default()).unwrap();
        let mut first = None;
        for (index, access) in faults(1_000_000..1_004_000).iter().enumerate() {
            if policy.decide(access).unwrap() != [0; MAX_OFFSETS] {
                first.get_or_insert(index);
            }
        }
        // The horizon, then the samples of one period, then the first tree.
        assert_eq!(first, Some(512 + 512));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let good = OnlinePrefetchConfig::default();
        let labels = TrainConfig { horizon_faults: 0, ..good.labels };
        assert!(OnlinePrefetch::new(OnlinePrefetchConfig { labels, ..good }).is_err());
        for tree in [
            OnlineConfig { window_samples: 0, ..good.tree },
            OnlineConfig { period_samples: 0, ..good.tree },
        ] {
            assert!(OnlinePrefetch::new(OnlinePrefetchConfig { tree, ..good }).is_err());
        }
    }
}
