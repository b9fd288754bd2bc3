//! One stream of faults, one policy, and time: who waits how long for which read.
//!
//! What is prefetched, used and evicted does not depend on the device, so one pass serves several
//! devices: the score comes out once, and for each device how long the program would have run.
//! A page that is still on its way when its fault comes stalls the program for the rest of the
//! way.
//!
//! What a stream of faults cannot show is left out: pages that prefetching pushes out of memory
//! before their next use (the cache is apart from the mapped pages, and small), and writes of
//! evicted pages to the device.

use super::device::{Running, SwapDevice};
use super::memory::{CachedPage, FaultIndex, PrefetchCache, page_read_for};
use super::policy::PrefetchPolicy;
use super::score::{Score, ScoreConfig, Trigger};
use super::trace::PageAccess;
use crate::error::{LearnError, Result};

/// A device, and what a decision of the policy costs on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The device.
    pub device: SwapDevice,
    /// Time of one decision, in nanoseconds; the program waits for it.
    pub decision_ns: u64,
}

/// How long the program ran on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTime {
    /// The whole run, in nanoseconds.
    pub total_ns: u64,
    /// Of it, waiting for reads.
    pub stalled_ns: u64,
    /// Of it, decisions.
    pub decision_ns: u64,
}

/// What one policy did, and how long the program took on each device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Accuracy and coverage.
    pub score: Score,
    /// One for each timing that was given.
    pub run_times: Vec<RunTime>,
}

/// Runs one policy over one stream of faults.
///
/// # Errors
/// [`LearnError::Setting`] if the cache holds no page, [`LearnError::Data`] if the stream is empty.
pub fn simulate(
    stream: &[PageAccess],
    policy: &mut dyn PrefetchPolicy,
    config: &ScoreConfig,
    timings: &[Timing],
) -> Result<Outcome> {
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
    // Each device has its own clock, so its own times of arrival; contents are the same in all.
    let mut caches: Vec<PrefetchCache> =
        (0..timings.len().max(1)).map(|_| PrefetchCache::new(config.cache_pages)).collect();
    let mut running: Vec<Running> =
        timings.iter().map(|timing| Running::new(&timing.device)).collect();
    let mut score = Score::default();
    let mut requests = Vec::new();
    let mut pages = Vec::new();
    for (now, access) in stream.iter().enumerate() {
        let page = CachedPage::Virtual { pid: access.pid, vpn: access.vpn };
        let ready: Vec<Option<u64>> = caches.iter_mut().map(|cache| cache.take(page)).collect();
        let hit = ready[0].is_some();
        score.faults += 1;
        score.hits += u64::from(hit);
        requests.clear();
        policy.observe(access, hit, &mut requests);
        let decides = !hit || config.trigger == Trigger::EveryFault;
        pages.clear();
        for request in requests.iter().filter(|_| decides) {
            let Some(page) = page_read_for(request, now, stream, &index, config) else { continue };
            if !caches[0].holds(page) {
                score.prefetched += 1;
                caches.iter_mut().for_each(|cache| cache.insert(page));
                pages.push((index.slot_of(page, now, stream), Some(page)));
            }
        }
        if !hit {
            pages.push((Some(access.swap_offset), None));
        }
        pages.sort_unstable_by_key(|(slot, _)| *slot);
        for ((run, cache), (timing, ready)) in
            running.iter_mut().zip(&mut caches).zip(timings.iter().zip(&ready))
        {
            run.now_ns += run.device.compute_ns + run.device.minor_fault_ns * u64::from(hit);
            if decides {
                run.now_ns += timing.decision_ns;
                run.decision_ns += timing.decision_ns;
            }
            let demanded = read_all(&pages, run, cache);
            if let Some(ready_ns) = (*ready).or(demanded) {
                run.wait_until(ready_ns);
            }
        }
    }
    let run_times = running.iter().map(|run| RunTime {
        total_ns: run.now_ns,
        stalled_ns: run.stalled_ns,
        decision_ns: run.decision_ns,
    });
    Ok(Outcome { score, run_times: run_times.collect() })
}

/// A page to read: its slot where it is known; no identity for the page that faulted.
type PageToRead = (Option<u64>, Option<CachedPage>);

/// Reads pages in the order of their slots, neighbours as one request, the request with the faulting
/// page first; gives the time when that page is there.
fn read_all(pages: &[PageToRead], run: &mut Running, cache: &mut PrefetchCache) -> Option<u64> {
    let follow = |a: &PageToRead, b: &PageToRead| {
        a.0.zip(b.0).is_some_and(|(a, b)| a == b || a.checked_add(1) == Some(b))
    };
    let is_demanded = |request: &[PageToRead]| request.iter().any(|(_, page)| page.is_none());
    let mut demanded = None;
    for first in [true, false] {
        for request in pages.chunk_by(follow).filter(|request| is_demanded(request) == first) {
            let ready_ns = run.read(request.len() as u64);
            for (_, page) in request {
                match page {
                    Some(page) => cache.set_ready(*page, ready_ns),
                    None => demanded = Some(ready_ns),
                }
            }
        }
    }
    demanded
}

#[cfg(test)]
mod tests {
    use super::super::policy::{NoPrefetch, Oracle};
    use super::*;

    fn scan(pages: std::ops::Range<u64>) -> Vec<PageAccess> {
        pages.map(|vpn| PageAccess { time_us: 0, pid: 1, vpn, swap_offset: vpn }).collect()
    }

    fn timing(channels: usize) -> Timing {
        let device = SwapDevice {
            name: "by hand",
            read_ns: 100,
            next_page_ns: 10,
            channels,
            compute_ns: 7,
            minor_fault_ns: 1,
            source: "",
        };
        Timing { device, decision_ns: 2 }
    }

    fn run(policy: &mut dyn PrefetchPolicy, stream: &[PageAccess], channels: usize) -> RunTime {
        let config = ScoreConfig::default();
        simulate(stream, policy, &config, &[timing(channels)]).unwrap().run_times[0]
    }

    /// Each fault: 7 of work, 2 for the decision, 100 for the read.
    #[test]
    fn without_prefetching_every_fault_waits() {
        let time = run(&mut NoPrefetch, &scan(10..20), 4);
        assert_eq!(time, RunTime { total_ns: 1090, stalled_ns: 1000, decision_ns: 20 });
    }

    /// The first fault reads slots 10 to 12 as one request of 120; the next two faults find their
    /// pages there and cost 7 + 1 each; the fourth reads again.
    #[test]
    fn neighbours_are_one_request() {
        let stream = scan(10..16);
        let time = run(&mut Oracle::new(&stream, 2), &stream, 1);
        let round = 7 + 2 + 120 + 2 * 8;
        assert_eq!(time.total_ns, 2 * round);
    }

    /// Two pages far apart on one channel: the demanded page comes first, the other one is late by
    /// what is left of its read.
    #[test]
    fn a_late_page_stalls_for_the_rest_of_its_way() {
        let stream: Vec<_> = [10, 50].map(|page| scan(page..page + 1)[0]).to_vec();
        let oracle = || Oracle::new(&stream, 1);
        // Fault 1 at 9, demanded read done at 109, the other one at 209. Fault 2 at 117.
        assert_eq!(run(&mut oracle(), &stream, 1).total_ns, 209);
        // With two channels both are done at 109.
        assert_eq!(run(&mut oracle(), &stream, 2).total_ns, 117);
    }

    #[test]
    fn time_does_not_change_the_score() {
        let stream = scan(0..500);
        let config = ScoreConfig::default();
        let without = simulate(&stream, &mut Oracle::new(&stream, 6), &config, &[]).unwrap();
        let with = simulate(&stream, &mut Oracle::new(&stream, 6), &config, &[timing(1)]).unwrap();
        assert_eq!(with.score, without.score);
        assert!(without.run_times.is_empty());
    }
}
