//! What the simulator takes for memory: the prefetch cache, and which page a request would read.

use std::collections::{HashMap, VecDeque};

use super::policy::PageRequest;
use super::score::ScoreConfig;
use super::trace::PageAccess;

/// Identity of a page in the prefetch cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CachedPage {
    /// A page of a process.
    Virtual {
        /// The process.
        pid: u32,
        /// Its page.
        vpn: u64,
    },
    /// A slot whose page no later fault of the stream wants.
    UnwantedSlot(u64),
}

/// A page's place in the order of requests, and when its data is there.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    number: u64,
    ready_ns: u64,
}

/// Prefetched pages in order of request, oldest first.
#[derive(Debug)]
pub(super) struct PrefetchCache {
    capacity: usize,
    next_ticket: u64,
    tickets: HashMap<CachedPage, Ticket>,
    arrivals: VecDeque<(CachedPage, u64)>,
}

impl PrefetchCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, next_ticket: 0, tickets: HashMap::new(), arrivals: VecDeque::new() }
    }

    pub(super) fn holds(&self, page: CachedPage) -> bool {
        self.tickets.contains_key(&page)
    }

    /// Takes in a page that is not there, the oldest ones making room.
    pub(super) fn insert(&mut self, page: CachedPage) {
        while self.tickets.len() >= self.capacity {
            let Some((oldest, ticket)) = self.arrivals.pop_front() else { break };
            // A page that was used and fetched again has a newer ticket than this stale arrival.
            if self.tickets.get(&oldest).map(|held| held.number) == Some(ticket) {
                self.tickets.remove(&oldest);
            }
        }
        self.tickets.insert(page, Ticket { number: self.next_ticket, ready_ns: 0 });
        self.arrivals.push_back((page, self.next_ticket));
        self.next_ticket += 1;
    }

    /// Says when a page's data will be there, if the page still is.
    pub(super) fn set_ready(&mut self, page: CachedPage, ready_ns: u64) {
        if let Some(ticket) = self.tickets.get_mut(&page) {
            ticket.ready_ns = ready_ns;
        }
    }

    /// Takes a page out, if it is there; gives the time when its data is.
    pub(super) fn take(&mut self, page: CachedPage) -> Option<u64> {
        self.tickets.remove(&page).map(|ticket| ticket.ready_ns)
    }
}

/// Where each page and each slot of the stream is next faulted on.
pub(super) struct FaultIndex {
    by_page: HashMap<(u32, u64), Vec<usize>>,
    by_slot: HashMap<u64, Vec<usize>>,
}

impl FaultIndex {
    pub(super) fn new(stream: &[PageAccess]) -> Self {
        let mut by_page: HashMap<_, Vec<usize>> = HashMap::new();
        let mut by_slot: HashMap<_, Vec<usize>> = HashMap::new();
        for (position, access) in stream.iter().enumerate() {
            by_page.entry((access.pid, access.vpn)).or_default().push(position);
            by_slot.entry(access.swap_offset).or_default().push(position);
        }
        Self { by_page, by_slot }
    }

    /// Slot that a page is read from at `now`, known from its next fault.
    pub(super) fn slot_of(
        &self,
        page: CachedPage,
        now: usize,
        stream: &[PageAccess],
    ) -> Option<u64> {
        match page {
            CachedPage::UnwantedSlot(slot) => Some(slot),
            CachedPage::Virtual { pid, vpn } => {
                let (_, next) = Self::around(self.by_page.get(&(pid, vpn)), now);
                next.map(|next| stream[next].swap_offset)
            }
        }
    }

    /// Last position at or before `now`, and first position after it.
    fn around(positions: Option<&Vec<usize>>, now: usize) -> (Option<usize>, Option<usize>) {
        let Some(positions) = positions else { return (None, None) };
        let later = positions.partition_point(|position| *position <= now);
        (later.checked_sub(1).map(|index| positions[index]), positions.get(later).copied())
    }
}

/// Decides what a request at `now` really reads; `None` if the kernel would read nothing.
///
/// A stream of faults does not show evictions, so two things are taken from hindsight, in favour of
/// the policy that asks: which page a slot holds is known from the next fault on it, and a slot
/// whose page had to be mapped at `now` is skipped, as the kernel skips free slots and pages in the
/// swap cache.
pub(super) fn page_read_for(
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
