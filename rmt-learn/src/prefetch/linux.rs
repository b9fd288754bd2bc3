//! Linux's swap read-ahead for rotating disks, rewritten from its description.
//!
//! `swap_cluster_readahead` reads the aligned cluster of slots around the faulting one. The
//! cluster's size follows the number of read-ahead pages that were used since the last miss
//! (`swapin_nr_pages` in `mm/swap_state.c`): hits + 2,
//! rounded up to a power of two of at least 4, at most `1 << page_cluster`, at least half of the
//! last size; with no hit at all, 2 if the slot is next to the previous one, else 1.

use super::policy::{PageRequest, PrefetchPolicy};
use super::trace::PageAccess;

/// `vm.page-cluster` of a stock kernel.
pub const DEFAULT_PAGE_CLUSTER: u32 = 3;

/// The hit count that the kernel starts from (`swapin_readahead_hits`), so that the first faults
/// read ahead.
const INITIAL_HITS: u64 = 4;

/// Read-ahead of an aligned cluster in swap-slot space.
///
/// State is global over processes, as in the kernel. It observes the slot of each miss, and of each
/// hit only that a read-ahead page was used.
#[derive(Debug)]
pub struct LinuxClusterReadahead {
    max_pages: u64,
    hits: u64,
    previous_offset: u64,
    previous_window_pages: u64,
}

impl LinuxClusterReadahead {
    /// Read-ahead of up to `1 << page_cluster` slots; values above 6 are taken as 6, as no kernel
    /// is run with more.
    pub fn new(page_cluster: u32) -> Self {
        Self {
            max_pages: 1 << page_cluster.min(6),
            hits: INITIAL_HITS,
            previous_offset: 0,
            previous_window_pages: 0,
        }
    }

    /// Size of the cluster to read for a miss at `offset`, in pages, the missed page included.
    fn window_pages(&mut self, offset: u64) -> u64 {
        if self.max_pages <= 1 {
            return 1;
        }
        let hits = std::mem::take(&mut self.hits);
        let wanted = if hits == 0 {
            let adjacent = offset == self.previous_offset + 1 || offset + 1 == self.previous_offset;
            self.previous_offset = offset;
            if adjacent { 2 } else { 1 }
        } else {
            (hits + 2).next_power_of_two().max(4)
        };
        let window = wanted.min(self.max_pages).max(self.previous_window_pages / 2);
        self.previous_window_pages = window;
        window
    }

    /// Decides for a miss: appends the cluster's other slots and returns the window in pages.
    pub(super) fn decide(&mut self, access: &PageAccess, requests: &mut Vec<PageRequest>) -> u64 {
        let window = self.window_pages(access.swap_offset);
        let mask = window - 1;
        // Slot 0 is the swap area's header and never holds a page.
        let first = (access.swap_offset & !mask).max(1);
        for swap_offset in first..=(access.swap_offset | mask) {
            if swap_offset != access.swap_offset {
                requests.push(PageRequest::SwapSlot { swap_offset });
            }
        }
        window
    }
}

impl PrefetchPolicy for LinuxClusterReadahead {
    fn name(&self) -> String {
        "Linux cluster read-ahead".into()
    }

    fn observe(&mut self, access: &PageAccess, hit: bool, requests: &mut Vec<PageRequest>) {
        if hit {
            self.hits += 1;
            return;
        }
        self.decide(access, requests);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requested_slots(
        policy: &mut LinuxClusterReadahead,
        swap_offset: u64,
        hit: bool,
    ) -> Vec<u64> {
        let mut requests = Vec::new();
        let access = PageAccess { time_us: 0, pid: 1, vpn: 0, swap_offset };
        policy.observe(&access, hit, &mut requests);
        requests
            .into_iter()
            .map(|request| match request {
                PageRequest::SwapSlot { swap_offset } => swap_offset,
                PageRequest::VirtualPage { .. } => panic!("the kernel's read-ahead asks by slot"),
            })
            .collect()
    }

    /// The window by hand: 4 initial hits give 8; then 0 hits, not adjacent: 1, held at half of 8,
    /// then 2, then 1.
    #[test]
    fn window_shrinks_by_halves_without_hits() {
        let mut policy = LinuxClusterReadahead::new(DEFAULT_PAGE_CLUSTER);
        assert_eq!(requested_slots(&mut policy, 20, false), [16, 17, 18, 19, 21, 22, 23]);
        assert_eq!(requested_slots(&mut policy, 101, false), [100, 102, 103]);
        assert_eq!(requested_slots(&mut policy, 207, false), [206]);
        assert!(requested_slots(&mut policy, 301, false).is_empty());
        assert_eq!(
            requested_slots(&mut policy, 302, false),
            [303],
            "the slot next to the last one opens a window of 2"
        );
    }

    #[test]
    fn window_follows_hits() {
        let mut policy = LinuxClusterReadahead::new(DEFAULT_PAGE_CLUSTER);
        for offset in [9, 100, 200, 300] {
            requested_slots(&mut policy, offset, false);
        }
        assert!(requested_slots(&mut policy, 8, true).is_empty());
        // One hit: 1 + 2 rounds up to 4.
        assert_eq!(requested_slots(&mut policy, 50, false), [48, 49, 51]);
        for _ in 0..5 {
            requested_slots(&mut policy, 49, true);
        }
        assert_eq!(requested_slots(&mut policy, 64, false), [65, 66, 67, 68, 69, 70, 71]);
    }

    #[test]
    fn header_slot_is_never_read() {
        let mut policy = LinuxClusterReadahead::new(DEFAULT_PAGE_CLUSTER);
        assert_eq!(requested_slots(&mut policy, 3, false), [1, 2, 4, 5, 6, 7]);
    }

    #[test]
    fn page_cluster_zero_turns_it_off() {
        let mut policy = LinuxClusterReadahead::new(0);
        for offset in 1..50 {
            assert!(requested_slots(&mut policy, offset, false).is_empty());
        }
    }
}
