//! The scorer: one demand stream, one bounded prefetch cache, one policy.
//!
//! What is counted: *accuracy* = prefetched pages that a fault used before they were evicted /
//! pages prefetched; *coverage* = faults served by the prefetch cache / all faults.

use std::collections::{HashMap, VecDeque};

use super::policy::{PageRequest, PrefetchPolicy};
use super::trace::PageAccess;
use crate::error::{LearnError, Result};

/// On which faults a policy's requests are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// Only on faults that go to the disk, as in stock Linux, Leap and the HotOS'21 study.
    Miss,
    /// On every fault, also those that the prefetch cache serves.
    EveryFault,
}

/// The scorer's fixed conditions, equal for every policy of a comparison.
///
/// The default holds 128 pages: with that, Linux's read-ahead covers in this simulator what the
/// recorded machine measured when it ran the same programs with read-ahead on (`docs/learning.md`
/// has the table).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreConfig {
    /// Prefetched, not yet used pages that fit; the oldest is evicted first. At least 1.
    pub cache_pages: usize,
    /// A page that faulted within this many faults counts as mapped: a request for it reads nothing
    /// and costs nothing.
    pub resident_faults: usize,
    /// When requests are carried out.
    pub trigger: Trigger,
}

impl Default for ScoreConfig {
    fn default() -> Self {
        Self { cache_pages: 128, resident_faults: 1024, trigger: Trigger::Miss }
    }
}

/// What one policy did on one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Faults in the stream.
    pub faults: u64,
    /// Faults served by the prefetch cache.
    pub hits: u64,
    /// Pages read ahead (requests for mapped or already cached pages read nothing and are left
    /// out).
    pub prefetched: u64,
}

impl Score {
    /// Prefetched pages used before eviction / prefetched pages; `None` if nothing was prefetched.
    pub fn accuracy(&self) -> Option<f64> {
        (self.prefetched > 0).then(|| self.hits as f64 / self.prefetched as f64)
    }

    /// Faults served by prefetching / all faults; 0 for an empty stream.
    pub fn coverage(&self) -> f64 {
        if self.faults == 0 { 0.0 } else { self.hits as f64 / self.faults as f64 }
    }
}

/// Identity of a page in the prefetch cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum CachedPage {
    Virtual {
        pid: u32,
        vpn: u64,
    },
    /// A slot whose page no later fault of the stream wants.
    UnwantedSlot(u64),
}

/// Prefetched pages in order of arrival, oldest first.
#[derive(Debug)]
struct PrefetchCache {
    capacity: usize,
    next_ticket: u64,
    tickets: HashMap<CachedPage, u64>,
    arrivals: VecDeque<(CachedPage, u64)>,
}

impl PrefetchCache {
    fn new(capacity: usize) -> Self {
        Self { capacity, next_ticket: 0, tickets: HashMap::new(), arrivals: VecDeque::new() }
    }

    /// Returns whether the page was absent and is now read.
    fn insert(&mut self, page: CachedPage) -> bool {
        if self.tickets.contains_key(&page) {
            return false;
        }
        while self.tickets.len() >= self.capacity {
            let Some((oldest, ticket)) = self.arrivals.pop_front() else { break };
            // A page that was used and fetched again has a newer ticket than this stale arrival.
            if self.tickets.get(&oldest) == Some(&ticket) {
                self.tickets.remove(&oldest);
            }
        }
        self.tickets.insert(page, self.next_ticket);
        self.arrivals.push_back((page, self.next_ticket));
        self.next_ticket += 1;
        true
    }

    fn take(&mut self, page: CachedPage) -> bool {
        self.tickets.remove(&page).is_some()
    }
}

/// Where each page and each slot of the stream is next faulted on.
struct FaultIndex {
    by_page: HashMap<(u32, u64), Vec<usize>>,
    by_slot: HashMap<u64, Vec<usize>>,
}

impl FaultIndex {
    fn new(stream: &[PageAccess]) -> Self {
        let mut by_page: HashMap<_, Vec<usize>> = HashMap::new();
        let mut by_slot: HashMap<_, Vec<usize>> = HashMap::new();
        for (position, access) in stream.iter().enumerate() {
            by_page.entry((access.pid, access.vpn)).or_default().push(position);
            by_slot.entry(access.swap_offset).or_default().push(position);
        }
        Self { by_page, by_slot }
    }

    /// Last position at or before `now`, and first position after it.
    fn around(positions: Option<&Vec<usize>>, now: usize) -> (Option<usize>, Option<usize>) {
        let Some(positions) = positions else { return (None, None) };
        let later = positions.partition_point(|position| *position <= now);
        (later.checked_sub(1).map(|index| positions[index]), positions.get(later).copied())
    }
}

/// Runs one policy over one stream of faults.
///
/// # Errors
/// [`LearnError::Setting`] if the cache holds no page, [`LearnError::Data`] if the stream is empty.
pub fn score_policy(
    stream: &[PageAccess],
    policy: &mut dyn PrefetchPolicy,
    config: &ScoreConfig,
) -> Result<Score> {
    if config.cache_pages == 0 {
        return Err(LearnError::Setting {
            name: "cache_pages",
            reason: "at least 1 page is needed, 0 was given".into(),
        });
    }
    if stream.is_empty() {
        return Err(LearnError::Data("the stream to score holds no fault".into()));
    }
    let index = FaultIndex::new(stream);
    let mut cache = PrefetchCache::new(config.cache_pages);
    let mut score = Score::default();
    let mut requests = Vec::new();
    for (now, access) in stream.iter().enumerate() {
        let hit = cache.take(CachedPage::Virtual { pid: access.pid, vpn: access.vpn });
        score.faults += 1;
        score.hits += u64::from(hit);
        requests.clear();
        policy.observe(access, hit, &mut requests);
        if hit && config.trigger == Trigger::Miss {
            continue;
        }
        for request in &requests {
            if let Some(page) = page_read_for(request, now, stream, &index, config) {
                score.prefetched += u64::from(cache.insert(page));
            }
        }
    }
    Ok(score)
}

/// Decides what a request at `now` really reads; `None` if the kernel would read nothing.
///
/// A stream of faults does not show evictions, so two things are taken from hindsight, in favour of
/// the policy that asks: which page a slot holds is known from the next fault on it, and a slot
/// whose page had to be mapped at `now` is skipped, as the kernel skips free slots and pages in the
/// swap cache.
fn page_read_for(
    request: &PageRequest,
    now: usize,
    stream: &[PageAccess],
    index: &FaultIndex,
    config: &ScoreConfig,
) -> Option<CachedPage> {
    let is_resident = |last_fault: Option<usize>| {
        last_fault.is_some_and(|last| now - last <= config.resident_faults)
    };
    match *request {
        PageRequest::VirtualPage { pid, vpn } => {
            let (last, _) = FaultIndex::around(index.by_page.get(&(pid, vpn)), now);
            (!is_resident(last)).then_some(CachedPage::Virtual { pid, vpn })
        }
        PageRequest::SwapSlot { swap_offset } => {
            let (last_on_slot, next_on_slot) =
                FaultIndex::around(index.by_slot.get(&swap_offset), now);
            if let Some(next) = next_on_slot {
                let PageAccess { pid, vpn, .. } = stream[next];
                let (last, next_of_page) = FaultIndex::around(index.by_page.get(&(pid, vpn)), now);
                // If the page faults earlier from another slot, this slot does not hold it yet.
                let holds_page = next_of_page == Some(next);
                return (holds_page && !is_resident(last))
                    .then_some(CachedPage::Virtual { pid, vpn });
            }
            if let Some(last) = last_on_slot {
                let PageAccess { pid, vpn, .. } = stream[last];
                let (last_of_page, next_of_page) =
                    FaultIndex::around(index.by_page.get(&(pid, vpn)), now);
                // The slot's last page is mapped, or has moved to another slot: this one is free.
                if is_resident(last_of_page) || next_of_page.is_some() {
                    return None;
                }
            }
            Some(CachedPage::UnwantedSlot(swap_offset))
        }
    }
}
