//! One table: all policies on one stream under equal conditions.

use super::leap::{AddressSpace, Leap, LeapVariant};
use super::linux::{DEFAULT_PAGE_CLUSTER, LinuxClusterReadahead};
use super::policy::{NoPrefetch, Oracle, PrefetchPolicy};
use super::score::{Score, ScoreConfig, Trigger, score_policy};
use super::trace::PageAccess;
use crate::error::Result;

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Name of the policy.
    pub policy: String,
    /// When its requests were carried out.
    pub trigger: Trigger,
    /// What it did.
    pub score: Score,
}

/// The policies to be measured against: none, Linux, Leap in its four forms, and the oracle with as
/// many pages for each decision as the learned policy has.
pub fn baselines(stream: &[PageAccess]) -> Vec<Box<dyn PrefetchPolicy>> {
    let mut policies: Vec<Box<dyn PrefetchPolicy>> =
        vec![Box::new(NoPrefetch), Box::new(LinuxClusterReadahead::new(DEFAULT_PAGE_CLUSTER))];
    for variant in [LeapVariant::Paper, LeapVariant::Code] {
        for space in [AddressSpace::SwapSlot, AddressSpace::VirtualPage] {
            policies.push(Box::new(Leap::new(variant, space)));
        }
    }
    policies.push(Box::new(Oracle::new(stream, super::learned::MAX_OFFSETS)));
    policies
}

/// Scores the baselines on misses, then each candidate on misses and on every fault.
///
/// `candidates` makes a policy anew for each run, so that none starts with another run's history.
/// Linux and Leap decide on misses by definition, hence only one line each.
///
/// # Errors
/// As [`score_policy`].
pub fn compare(
    stream: &[PageAccess],
    candidates: &[&dyn Fn() -> Box<dyn PrefetchPolicy>],
    config: &ScoreConfig,
) -> Result<Vec<Comparison>> {
    let mut table = Vec::new();
    let mut run = |policy: &mut dyn PrefetchPolicy, trigger| -> Result<()> {
        let score = score_policy(stream, policy, &ScoreConfig { trigger, ..*config })?;
        table.push(Comparison { policy: policy.name(), trigger, score });
        Ok(())
    };
    for mut policy in baselines(stream) {
        run(policy.as_mut(), Trigger::Miss)?;
    }
    for candidate in candidates {
        for trigger in [Trigger::Miss, Trigger::EveryFault] {
            run(candidate().as_mut(), trigger)?;
        }
    }
    Ok(table)
}
