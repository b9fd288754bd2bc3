//! Leap's majority-vote prefetcher (Al Maruf and Chowdhury, "Effectively Prefetching Remote Memory
//! with Leap", USENIX ATC 2020), rewritten from its description.
//!
//! A ring keeps the differences between successive page addresses of a process. A trend is a strict
//! majority among the newest differences: the window starts at a quarter of the ring and doubles
//! until one is found (Boyer-Moore vote, then a recount). Two variants differ in what they do with
//! it; see [`LeapVariant`].

use std::collections::{HashMap, HashSet, VecDeque};

use super::linux::{DEFAULT_PAGE_CLUSTER, LinuxClusterReadahead};
use super::policy::{PageRequest, PrefetchPolicy};
use super::trace::PageAccess;

/// Differences kept for each process.
pub const HISTORY_DELTAS: usize = 32;
/// The first window is the history divided by this.
const FIRST_WINDOW_DIVISOR: usize = 4;
/// Most pages for one decision (the paper's `PWsize_max`).
pub const MAX_WINDOW_PAGES: u64 = 8;

/// Which address the differences are taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSpace {
    /// Slots of the swap area: what the published code logs.
    SwapSlot,
    /// Virtual page numbers of the process.
    VirtualPage,
}

/// The two published forms of the algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeapVariant {
    /// As the paper describes it: window = next power of two of hits + 1, at most 8, at least half
    /// of the last; with no hit 1 page if the fault follows the trend, else 0; without a trend,
    /// pages on both sides.
    Paper,
    /// As the published code does it: `find_trend` over windows of 8, 16 and 32; with a trend, as
    /// many pages as Linux's window holds, in steps of the trend; without one, Linux's aligned
    /// cluster.
    Code,
}

/// Finds the value that makes up more than half of `values`, if any.
///
/// Boyer and Moore's vote names the only possible candidate in one pass; the second pass counts it.
pub fn strict_majority(values: impl Iterator<Item = i64> + Clone) -> Option<i64> {
    let mut candidate = 0;
    let mut lead = 0usize;
    let mut total = 0usize;
    for value in values.clone() {
        total += 1;
        if lead == 0 {
            candidate = value;
            lead = 1;
        } else if value == candidate {
            lead += 1;
        } else {
            lead -= 1;
        }
    }
    let occurrences = values.filter(|value| *value == candidate).count();
    (occurrences > total / 2).then_some(candidate)
}

/// What is remembered about one process.
#[derive(Debug, Default)]
struct ProcessHistory {
    /// `None` before the first fault, which therefore has no delta.
    last_address: Option<i64>,
    /// Newest first.
    deltas: VecDeque<i64>,
    /// Addresses of the last decision, to count the hits that its window follows.
    predicted: HashSet<i64>,
    predicted_count: u64,
    hits: u64,
}

impl ProcessHistory {
    fn record(&mut self, address: i64) {
        if let Some(last) = self.last_address.replace(address) {
            self.deltas.truncate(HISTORY_DELTAS - 1);
            self.deltas.push_front(address - last);
        }
    }

    fn trend(&self) -> Option<i64> {
        let mut window = (self.deltas.len() / FIRST_WINDOW_DIVISOR).max(1);
        while window <= self.deltas.len() {
            let newest = self.deltas.iter().take(window).copied();
            if let Some(delta) = strict_majority(newest) {
                return Some(delta);
            }
            window *= 2;
        }
        None
    }
}

/// Leap with one history for each process.
///
/// It observes the address of every fault, hit or miss, and decides on misses only.
#[derive(Debug)]
pub struct Leap {
    variant: LeapVariant,
    space: AddressSpace,
    histories: HashMap<u32, ProcessHistory>,
    /// The code variant borrows the kernel's window and its fall-back.
    kernel: LinuxClusterReadahead,
}

impl Leap {
    /// A new prefetcher with empty histories.
    pub fn new(variant: LeapVariant, space: AddressSpace) -> Self {
        Self {
            variant,
            space,
            histories: HashMap::new(),
            kernel: LinuxClusterReadahead::new(DEFAULT_PAGE_CLUSTER),
        }
    }

    fn request(&self, pid: u32, address: i64) -> Option<PageRequest> {
        let address = u64::try_from(address).ok()?;
        Some(match self.space {
            AddressSpace::SwapSlot => PageRequest::SwapSlot { swap_offset: address },
            AddressSpace::VirtualPage => PageRequest::VirtualPage { pid, vpn: address },
        })
    }

    /// The paper's decision: the addresses to read ahead, nearest first.
    fn paper_decision(history: &mut ProcessHistory, address: i64) -> Vec<i64> {
        let trend = history.trend();
        let by_hits = if history.hits == 0 {
            u64::from(history.last_address.is_some_and(|last| last + trend.unwrap_or(1) == address))
        } else {
            (history.hits + 1).next_power_of_two()
        };
        let window = by_hits.min(MAX_WINDOW_PAGES).max(history.predicted_count / 2);
        match trend {
            Some(delta) => (1..=window as i64).map(|step| address + delta * step).collect(),
            None => (1..=(window / 2) as i64)
                .flat_map(|step| [address + step, address - step])
                .collect(),
        }
    }
}

impl PrefetchPolicy for Leap {
    fn name(&self) -> String {
        let variant = match self.variant {
            LeapVariant::Paper => "paper",
            LeapVariant::Code => "code",
        };
        let space = match self.space {
            AddressSpace::SwapSlot => "slots",
            AddressSpace::VirtualPage => "virtual pages",
        };
        format!("Leap ({variant}, {space})")
    }

    fn observe(&mut self, access: &PageAccess, hit: bool, requests: &mut Vec<PageRequest>) {
        let address = match self.space {
            AddressSpace::SwapSlot => access.swap_offset,
            AddressSpace::VirtualPage => access.vpn,
        } as i64;
        let variant = self.variant;
        let history = self.histories.entry(access.pid).or_default();
        if hit {
            if variant == LeapVariant::Code {
                self.kernel.observe(access, true, requests);
            }
            if Some(address) != history.last_address {
                history.hits += u64::from(history.predicted.contains(&address));
                history.record(address);
            }
            return;
        }
        let addresses = match variant {
            LeapVariant::Paper => {
                let addresses = Self::paper_decision(history, address);
                history.record(address);
                addresses
            }
            LeapVariant::Code => {
                history.record(address);
                let mut cluster = Vec::new();
                let window = self.kernel.decide(access, &mut cluster);
                match history.trend() {
                    Some(delta) => (1..=window as i64).map(|step| address + delta * step).collect(),
                    None => {
                        requests.extend(cluster);
                        Vec::new()
                    }
                }
            }
        };
        history.hits = 0;
        history.predicted_count = addresses.len() as u64;
        history.predicted = addresses.iter().copied().collect();
        requests.extend(addresses.into_iter().filter_map(|page| self.request(access.pid, page)));
    }
}
