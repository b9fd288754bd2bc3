//! Policies and scorer on streams whose result can be worked out by hand.

use std::collections::HashSet;

use super::leap::{AddressSpace, Leap, LeapVariant, strict_majority};
use super::learned::{
    FaultHistory, LearnedPrefetch, MAX_OFFSETS, Walk, pack_offsets, unpack_offsets, walk_offsets,
};
use super::linux::LinuxClusterReadahead;
use super::policy::{NoPrefetch, Oracle, PageRequest, PrefetchPolicy};
use super::score::{Score, ScoreConfig, Trigger, score_policy};
use super::trace::{PageAccess, parse_page_trace};
use super::train::{CLASSES, TrainConfig, collect_samples, train, walk_of_class};
use crate::error::LearnError;
use crate::tree::{Dataset, DecisionTree, Node};

fn stream(pages: impl IntoIterator<Item = u64>) -> Vec<PageAccess> {
    pages
        .into_iter()
        .enumerate()
        .map(|(time, vpn)| PageAccess { time_us: time as u64, pid: 1, vpn, swap_offset: vpn })
        .collect()
}

/// Misses with a cache that never evicts: the setting of the published conformance counts.
fn misses_of(policy: &mut dyn PrefetchPolicy, pages: impl IntoIterator<Item = u64>) -> usize {
    let mut cached = HashSet::new();
    let mut misses = 0;
    for access in stream(pages) {
        let hit = cached.contains(&access.vpn);
        let mut requests = Vec::new();
        policy.observe(&access, hit, &mut requests);
        cached.insert(access.vpn);
        cached.extend(requests.iter().map(|request| match request {
            PageRequest::VirtualPage { vpn, .. } => *vpn,
            PageRequest::SwapSlot { swap_offset } => *swap_offset,
        }));
        misses += usize::from(!hit);
    }
    misses
}

fn paper_leap() -> Leap {
    Leap::new(LeapVariant::Paper, AddressSpace::VirtualPage)
}

/// Counts that another implementation of the paper states for these patterns.
#[test]
fn leap_meets_the_published_conformance_counts() {
    let random = [1, 56, 12, 100, 124, 15550, 51, 10, 7, 4101, 23, 1, 154, 1856, 15];
    let interrupted =
        (1..=100u64).map(|page| if (page - 1) % 15 == 0 { page + 116_589 } else { page });
    assert_eq!(misses_of(&mut paper_leap(), 1..=100), 15, "sequential");
    assert_eq!(misses_of(&mut paper_leap(), (1..=200).step_by(2)), 15, "stride of two");
    assert_eq!(misses_of(&mut paper_leap(), (1..=100).rev()), 15, "backwards");
    assert_eq!(misses_of(&mut paper_leap(), interrupted), 25, "interrupted scan");
    assert_eq!(misses_of(&mut paper_leap(), random), 14, "random, one page twice");
    let first = (1..=100).chain((101..=300).step_by(2));
    let patterns = first.clone().chain((301..=500).rev().step_by(2)).chain((501..=600).rev());
    assert_eq!(misses_of(&mut paper_leap(), patterns), 59, "several patterns");
    let with_random =
        first.chain(random).chain((301..=700).rev().step_by(4)).chain((701..=800).rev());
    assert_eq!(misses_of(&mut paper_leap(), with_random), 68, "random in the middle");
}

#[test]
fn majority_is_strict() {
    assert_eq!(strict_majority([].into_iter()), None);
    assert_eq!(strict_majority([4].into_iter()), Some(4));
    assert_eq!(strict_majority([1, 2].into_iter()), None);
    assert_eq!(strict_majority([3, 3, 1, 1].into_iter()), None);
    assert_eq!(strict_majority([1, 3, 3, 1, 3].into_iter()), Some(3));
    assert_eq!(
        strict_majority([9, 8, 7, 7].into_iter()),
        None,
        "the vote's last candidate is recounted"
    );
}

/// The code variant: 4 initial hits give a window of 8 pages along the trend; without a trend
/// Linux's cluster.
#[test]
fn leap_code_variant_follows_the_kernel_window() {
    let mut leap = Leap::new(LeapVariant::Code, AddressSpace::SwapSlot);
    let mut requests = Vec::new();
    leap.observe(&stream([40])[0], false, &mut requests);
    // No delta yet, so no trend: the aligned cluster of 8 slots.
    let cluster =
        [41, 42, 43, 44, 45, 46, 47].map(|swap_offset| PageRequest::SwapSlot { swap_offset });
    assert_eq!(requests, cluster);
    requests.clear();
    leap.observe(&stream([43])[0], false, &mut requests);
    // One delta is its own majority; no hit and not adjacent: half of the last window, 4 steps of
    // 3.
    let steps: Vec<_> =
        (1..=4).map(|step| PageRequest::SwapSlot { swap_offset: 43 + 3 * step }).collect();
    assert_eq!(requests, steps);
}

fn score(
    policy: &mut dyn PrefetchPolicy,
    pages: impl IntoIterator<Item = u64>,
    config: ScoreConfig,
) -> Score {
    score_policy(&stream(pages), policy, &config).unwrap()
}

#[test]
fn no_policy_covers_nothing_and_the_oracle_all_it_may() {
    let config = ScoreConfig::default();
    let none = score(&mut NoPrefetch, 0..70, config);
    assert_eq!((none.hits, none.prefetched, none.accuracy()), (0, 0, None));
    // One miss, then six hits, ten times over.
    let oracle = score(&mut Oracle::new(&stream(0..70), 6), 0..70, config);
    assert_eq!(oracle, Score { faults: 70, hits: 60, prefetched: 60 });
    let every = score(
        &mut Oracle::new(&stream(0..70), 6),
        0..70,
        ScoreConfig { trigger: Trigger::EveryFault, ..config },
    );
    assert_eq!(every, Score { faults: 70, hits: 69, prefetched: 69 });
}

/// Asks for fixed pages on each fault.
struct Fixed(Vec<u64>);

impl PrefetchPolicy for Fixed {
    fn name(&self) -> String {
        "fixed".into()
    }

    fn observe(&mut self, access: &PageAccess, _hit: bool, requests: &mut Vec<PageRequest>) {
        requests.extend(
            self.0.iter().map(|vpn| PageRequest::VirtualPage { pid: access.pid, vpn: *vpn }),
        );
    }
}

#[test]
fn the_oldest_page_is_evicted_and_counts_as_wasted() {
    let config = ScoreConfig { cache_pages: 2, resident_faults: 0, trigger: Trigger::Miss };
    // The first fault asks for 10, 11, 12: 12 pushes 10 out, so the second fault misses. It asks
    // anew: 10 is mapped by now, 11 and 12 are cached, so nothing is read. The third and fourth
    // fault hit.
    let result = score(&mut Fixed(vec![10, 11, 12]), [1, 10, 11, 12], config);
    assert_eq!(result, Score { faults: 4, hits: 2, prefetched: 3 });
}

#[test]
fn cached_and_mapped_pages_are_not_read_again() {
    let config = ScoreConfig { cache_pages: 8, resident_faults: 100, trigger: Trigger::Miss };
    // 50 is read once; 1 and 2 have just faulted and are mapped when they are asked for.
    assert_eq!(
        score(&mut Fixed(vec![50, 1]), [1, 2, 3], config),
        Score { faults: 3, hits: 0, prefetched: 1 }
    );
}

#[test]
fn a_slot_is_the_page_that_next_faults_on_it() {
    let access = |vpn, swap_offset| PageAccess { time_us: 0, pid: 1, vpn, swap_offset };
    // Linux's first window is 8 slots: 16 to 23. Slot 17 holds page 900; slot 18 will hold page 700
    // only after that page has faulted from slot 40, so nothing of use is read from it now.
    let faults = [access(500, 16), access(900, 17), access(700, 40), access(700, 18)];
    let config = ScoreConfig { resident_faults: 0, ..ScoreConfig::default() };
    let result = score_policy(&faults, &mut LinuxClusterReadahead::new(3), &config).unwrap();
    assert_eq!(result.hits, 1);
    // Slots 17 and 19 to 23 on the first miss; on the miss at slot 40 the window is 4 (one hit):
    // 41, 42, 43; slot 18 misses with a window of 2: slot 19, which the cache still has.
    assert_eq!(result.prefetched, 6 + 3);
}

#[test]
fn bad_streams_and_settings_are_refused() {
    let config = ScoreConfig::default();
    assert!(matches!(score_policy(&[], &mut NoPrefetch, &config), Err(LearnError::Data(_))));
    let no_cache = ScoreConfig { cache_pages: 0, ..config };
    assert!(matches!(
        score_policy(&stream(0..3), &mut NoPrefetch, &no_cache),
        Err(LearnError::Setting { .. })
    ));
}

#[test]
fn malformed_trace_lines_are_named() {
    let line_of = |text: &str| match parse_page_trace("t.csv", text.as_bytes()) {
        Err(LearnError::Trace { line, reason, .. }) => (line, reason),
        other => panic!("expected a trace error, found {other:?}"),
    };
    let header = "time_us,pid,vpn,swap_offset\n";
    assert_eq!(line_of("time_us,pid,vpn\n1,2,3\n").0, 1);
    assert_eq!(line_of(header).0, 1);
    let (line, reason) = line_of(&format!("{header}1,2,3,4\n1,2,-3,4\n"));
    assert!(line == 3 && reason.contains("'vpn'") && reason.contains("'-3'"), "{reason}");
    assert_eq!(line_of(&format!("{header}1,2,3\n")).0, 2);
    assert_eq!(line_of(&format!("{header}1,99999999999,3,4\n")).0, 2);
    let cut_short = [&[0x28, 0xb5, 0x2f, 0xfd, 0x04][..], b"xx"].concat();
    assert!(parse_page_trace("t.zst", &cut_short).is_err());
    // Columns may stand in any order.
    let read =
        parse_page_trace("t.csv", b"vpn,extra,pid,swap_offset,time_us\n7,x,3,9,1\n").unwrap();
    assert_eq!(read, [PageAccess { time_us: 1, pid: 3, vpn: 7, swap_offset: 9 }]);
}

#[test]
fn walks_repeat_the_last_deltas() {
    // Newest first: the process moved +7, then +1, then -3.
    let deltas = [-3, 1, 7, 0];
    let walk = |period, count| walk_offsets(&deltas, Walk { period, count });
    assert_eq!(walk(1, 4), [-3, -6, -9, -12, 0, 0]);
    assert_eq!(walk(3, 6), [7, 8, 5, 12, 13, 10]);
    assert_eq!(walk(2, 3), [1, -2, -1, 0, 0, 0]);
}

#[test]
fn offsets_survive_the_output_words() {
    let offsets = [1, -1, i32::MIN, i32::MAX, 0, 4096];
    assert_eq!(unpack_offsets(&pack_offsets(&offsets)), offsets);
    assert_eq!(pack_offsets(&[1, -1, 0, 0, 0, 0]), [0xffff_ffff_0000_0001, 0, 0]);
}

/// Every field of the record after each fault, worked out by hand.
#[test]
fn history_follows_its_definition() {
    let mut history = FaultHistory::default();
    // Far from both empty streams (last page 0): takes stream 1, as stream 0 is "recent".
    let view = history.record(1_000_000);
    assert_eq!(
        (history.recent, history.streams[1].last_vpn, view.features),
        (1, 1_000_000, [0; 5])
    );
    // Near: +4. No lag equals it (all 0). One local delta: 256 / 8 = 32.
    let view = history.record(1_000_004);
    assert_eq!((view.features, view.deltas), ([0, 0, 0, 0, 32], [4, 0, 0, 0]));
    // +4 again: lag 1 gains trust. (256 - 32) / 8 = 28.
    let view = history.record(1_000_008);
    assert_eq!((view.features, view.deltas), ([1, 0, 0, 0, 60], [4, 4, 0, 0]));
    // Far: the other stream starts anew; locality falls by ceil(60 / 8).
    let view = history.record(9_000_000);
    assert_eq!((history.recent, view.features, view.deltas), (0, [0, 0, 0, 0, 52], [0; 4]));
    // Back: the first stream goes on as if nothing had been between.
    let view = history.record(1_000_012);
    assert_eq!(
        (history.recent, view.features[..4].to_vec(), view.deltas),
        (1, vec![2, 1, 0, 0], [4, 4, 4, 0])
    );
    // A near jump breaks lag 1 and 2: max(0, 2 - 4), max(0, 1 - 4).
    let view = history.record(1_000_112);
    assert_eq!((view.features[..4].to_vec(), view.deltas), (vec![0, 0, 0, 0], [100, 4, 4, 4]));
}

#[test]
fn trust_is_bounded() {
    let mut history = FaultHistory::default();
    for page in 0..50 {
        history.record(1_000_000 + 3 * page);
    }
    assert_eq!(history.streams[history.recent].trust, [15; 4]);
    history.record(1_000_000 + 150);
    history.record(1_000_000 + 151);
    assert_eq!(history.streams[history.recent].trust, [11; 4]);
}

fn lone_leaf(features: usize, value: i32) -> DecisionTree {
    DecisionTree::new(features, vec![Node::Leaf { value }]).unwrap()
}

#[test]
fn only_trees_of_this_policy_are_accepted() {
    assert!(LearnedPrefetch::new(lone_leaf(5, 0x16)).is_ok());
    assert!(LearnedPrefetch::new(lone_leaf(4, 0x16)).is_err(), "too few features");
    for value in [-1, 1, 0x17, 0x56, 0x10, i32::MIN, i32::MAX] {
        assert!(LearnedPrefetch::new(lone_leaf(5, value)).is_err(), "leaf {value}");
    }
    for class in 0..CLASSES {
        let leaf = walk_of_class(class).map_or(0, Walk::to_leaf);
        assert_eq!(Walk::from_leaf(leaf).unwrap(), walk_of_class(class));
    }
}

/// Two scans far apart, taking turns, the second with a period of 2: Leap sees no majority, the
/// streams do.
#[test]
fn training_finds_two_interleaved_patterns() {
    let pages =
        (0..6000u64).flat_map(|step| [1_000_000 + step, 90_000_000 + 3 * (step / 2) + step % 2]);
    let faults = stream(pages);
    let (first, second) = faults.split_at(8000);
    let mut policy =
        LearnedPrefetch::new(train(&[first], &TrainConfig::default()).unwrap()).unwrap();
    let learned = score_policy(second, &mut policy, &ScoreConfig::default()).unwrap();
    assert!(learned.accuracy().unwrap() > 0.98 && learned.coverage() > 0.84, "{learned:?}");
    let leap = score_policy(second, &mut paper_leap(), &ScoreConfig::default()).unwrap();
    assert!(leap.coverage() < 0.2, "{leap:?}");
}

/// Where nothing repeats, the tree learns to ask for nothing.
#[test]
fn training_on_noise_prefetches_nothing() {
    let noise = stream((0..4000).map(|step| rmt_isa::arithmetic::split_mix_64(step) % (1 << 40)));
    let tree = train(&[&noise], &TrainConfig::default()).unwrap();
    assert_eq!(tree.leaf_values().collect::<Vec<_>>(), [0]);
}

#[test]
fn empty_and_constant_traces_do_not_panic() {
    let config = TrainConfig::default();
    assert!(matches!(train(&[], &config), Err(LearnError::Data(_))));
    assert!(matches!(train(&[&[]], &config), Err(LearnError::Data(_))));
    assert!(
        matches!(train(&[&stream(0..512)], &config), Err(LearnError::Data(_))),
        "no longer than the horizon"
    );
    // One page over and over: always mapped, nothing to gain.
    let constant = stream(std::iter::repeat_n(77, 2000));
    assert_eq!(train(&[&constant], &config).unwrap().leaf_values().collect::<Vec<_>>(), [0]);
}

/// By hand: a scan's last judged fault has its next six pages within the horizon, so period 1 gains
/// 4 for each page.
#[test]
fn gains_count_useful_pages() {
    let config = TrainConfig { horizon_faults: 10, resident_faults: 4, ..TrainConfig::default() };
    let mut data = Dataset::new(5, CLASSES).unwrap();
    collect_samples(&stream(5000..5030), &config, &mut data).unwrap();
    assert_eq!(data.len(), 20);
    let last = data.gains(19);
    assert_eq!(&last[..4], [0, 8, 16, 24], "period 1 with 2, 4 and 6 pages");
    assert_eq!(last[1 + 3 * 3 + 2], 24, "period 4 walks the same pages");
    // The first fault has no delta yet: every walk stands still and asks for nothing.
    assert!(data.gains(0).iter().all(|gain| *gain == 0));
    assert_eq!(MAX_OFFSETS, 6);
}
