//! The scorer: one demand stream, one bounded prefetch cache, one policy.
//!
//! What is counted: *accuracy* = prefetched pages that a fault used before they were evicted /
//! pages prefetched; *coverage* = faults served by the prefetch cache / all faults.

use super::policy::PrefetchPolicy;
use super::simulate::simulate;
use super::trace::PageAccess;
use crate::error::Result;

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

/// Runs one policy over one stream of faults.
///
/// # Errors
/// [`LearnError::Setting`](crate::LearnError::Setting) if the cache holds no page,
/// [`LearnError::Data`](crate::LearnError::Data) if the stream is empty.
pub fn score_policy(
    stream: &[PageAccess],
    policy: &mut dyn PrefetchPolicy,
    config: &ScoreConfig,
) -> Result<Score> {
    simulate(stream, policy, config, &[]).map(|outcome| outcome.score)
}
