//! Case study 1: every policy on one stream, with accuracy, coverage and completion time.

use serde::Serialize;

use super::device::SwapDevice;
use super::leap::{AddressSpace, Leap, LeapVariant};
use super::learned::{LearnedPrefetch, MAX_OFFSETS};
use super::linux::{DEFAULT_PAGE_CLUSTER, LinuxClusterReadahead};
use super::online::{OnlinePrefetch, OnlinePrefetchConfig};
use super::policy::{NoPrefetch, Oracle, PrefetchPolicy};
use super::score::{ScoreConfig, Trigger};
use super::simulate::{Timing, simulate};
use super::trace::PageAccess;
use crate::error::Result;
use crate::tree::DecisionTree;

/// Time taken for a decision of the baselines, in nanoseconds: a few dozen instructions.
pub const BASELINE_DECISION_NS: u64 = 50;
/// Time taken for a decision of the program `page_prefetch.rmt`, in nanoseconds: above what the
/// JIT needs, below the interpreter.
pub const PROGRAM_DECISION_NS: u64 = 500;

/// One policy on one stream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StudyRow {
    /// Name of the policy, and when it decides.
    pub policy: String,
    /// Prefetched pages.
    pub prefetched: u64,
    /// Share of prefetched pages that a fault used; `None` if nothing was prefetched.
    pub accuracy: Option<f64>,
    /// Share of faults that prefetching served.
    pub coverage: f64,
    /// Completion time for each of [`SwapDevice::all`], as a share of the time without prefetching.
    pub time_share: Vec<f64>,
}

/// Runs all policies over a stream: none, Linux, Leap, a tree trained before (if given), the tree
/// learnt on line, and the oracle with as many pages for each decision as the tree has.
///
/// # Errors
/// As [`simulate`].
pub fn run_study(stream: &[PageAccess], trained: Option<&DecisionTree>) -> Result<Vec<StudyRow>> {
    type Make<'a> = Box<dyn Fn() -> Result<Box<dyn PrefetchPolicy>> + 'a>;
    let leap = |variant, space| -> Make<'_> {
        Box::new(move || Ok(Box::new(Leap::new(variant, space)) as Box<dyn PrefetchPolicy>))
    };
    let online = || {
        Ok(Box::new(OnlinePrefetch::new(OnlinePrefetchConfig::default())?)
            as Box<dyn PrefetchPolicy>)
    };
    let linux = || {
        Ok(Box::new(LinuxClusterReadahead::new(DEFAULT_PAGE_CLUSTER)) as Box<dyn PrefetchPolicy>)
    };
    let mut policies: Vec<(Make<'_>, Trigger, u64)> = vec![
        (Box::new(|| Ok(Box::new(NoPrefetch))), Trigger::Miss, 0),
        (Box::new(linux), Trigger::Miss, BASELINE_DECISION_NS),
        (leap(LeapVariant::Paper, AddressSpace::VirtualPage), Trigger::Miss, BASELINE_DECISION_NS),
        (leap(LeapVariant::Code, AddressSpace::SwapSlot), Trigger::Miss, BASELINE_DECISION_NS),
        (leap(LeapVariant::Code, AddressSpace::VirtualPage), Trigger::Miss, BASELINE_DECISION_NS),
    ];
    for trigger in [Trigger::Miss, Trigger::EveryFault] {
        if let Some(tree) = trained {
            policies.push((
                Box::new(|| Ok(Box::new(LearnedPrefetch::new(tree.clone())?))),
                trigger,
                PROGRAM_DECISION_NS,
            ));
        }
        policies.push((Box::new(online), trigger, PROGRAM_DECISION_NS));
    }
    policies.push((Box::new(|| Ok(Box::new(Oracle::new(stream, MAX_OFFSETS)))), Trigger::Miss, 0));

    let mut rows: Vec<StudyRow> = Vec::new();
    let mut unaided: Vec<u64> = Vec::new();
    for (make, trigger, decision_ns) in policies {
        let mut policy = make()?;
        let timings = SwapDevice::all().map(|device| Timing { device, decision_ns });
        let config = ScoreConfig { trigger, ..ScoreConfig::default() };
        let outcome = simulate(stream, policy.as_mut(), &config, &timings)?;
        let times: Vec<u64> = outcome.run_times.iter().map(|time| time.total_ns).collect();
        if unaided.is_empty() {
            unaided.clone_from(&times);
        }
        let when = if trigger == Trigger::EveryFault { ", every fault" } else { "" };
        rows.push(StudyRow {
            policy: format!("{}{when}", policy.name()),
            prefetched: outcome.score.prefetched,
            accuracy: outcome.score.accuracy(),
            coverage: outcome.score.coverage(),
            time_share: times.iter().zip(&unaided).map(|(t, u)| *t as f64 / *u as f64).collect(),
        });
    }
    Ok(rows)
}
