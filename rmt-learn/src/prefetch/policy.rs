//! What a prefetch policy is, what it may observe, and the two bounds that need no learning.

use std::collections::HashSet;

use super::trace::PageAccess;

/// One page that a policy asks to have read ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageRequest {
    /// A page of a process, by virtual page number. The kernel finds its swap slot in the page
    /// table.
    VirtualPage {
        /// Process whose page table is meant.
        pid: u32,
        /// Virtual page number.
        vpn: u64,
    },
    /// Whatever page the swap slot holds, as `swap_cluster_readahead` asks.
    SwapSlot {
        /// Slot in the swap area.
        swap_offset: u64,
    },
}

/// A policy sits in the swap fault path and sees what the kernel sees there, nothing else.
///
/// The scorer calls [`observe`](Self::observe) once for each fault, in order. `hit` says that the
/// page was found in the swap cache, brought there by an earlier request of this policy
/// (`lookup_swap_cache`); otherwise the fault goes to the disk (`swap_cluster_readahead`). Accesses
/// to pages that are mapped do not fault and are never shown.
pub trait PrefetchPolicy {
    /// Short name for tables.
    fn name(&self) -> String;

    /// Learns of one fault and appends the pages to read ahead, most wanted first.
    ///
    /// Requests made on a hit count only under [`Trigger::EveryFault`](super::score::Trigger).
    fn observe(&mut self, access: &PageAccess, hit: bool, requests: &mut Vec<PageRequest>);
}

/// Never prefetches: the lower bound of coverage, and the setting in which the traces were
/// recorded.
#[derive(Debug, Default)]
pub struct NoPrefetch;

impl PrefetchPolicy for NoPrefetch {
    fn name(&self) -> String {
        "none".into()
    }

    fn observe(&mut self, _access: &PageAccess, _hit: bool, _requests: &mut Vec<PageRequest>) {}
}

/// Knows the future: asks for the next distinct pages of the trace. An upper bound for a given
/// number of requests for each decision, no policy.
#[derive(Debug)]
pub struct Oracle {
    future: Vec<(u32, u64)>,
    position: usize,
    requests_per_decision: usize,
}

impl Oracle {
    /// An oracle for exactly this trace, which asks for up to `requests_per_decision` pages at a
    /// time.
    pub fn new(trace: &[PageAccess], requests_per_decision: usize) -> Self {
        let future = trace.iter().map(|access| (access.pid, access.vpn)).collect();
        Self { future, position: 0, requests_per_decision }
    }
}

impl PrefetchPolicy for Oracle {
    fn name(&self) -> String {
        format!("oracle, {} pages", self.requests_per_decision)
    }

    fn observe(&mut self, _access: &PageAccess, _hit: bool, requests: &mut Vec<PageRequest>) {
        self.position += 1;
        let mut chosen = HashSet::new();
        for &(pid, vpn) in self.future.iter().skip(self.position) {
            if chosen.len() == self.requests_per_decision {
                break;
            }
            if chosen.insert((pid, vpn)) {
                requests.push(PageRequest::VirtualPage { pid, vpn });
            }
        }
    }
}
