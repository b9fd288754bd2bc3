//! Costs against limits, and the model to blame.

use std::collections::HashMap;

use serde::Serialize;

use super::memory::Memory;
use super::paths::{Costing, Step, WorstPaths};
use super::work::Cost;
use crate::verifier::findings::{Findings, group_digits, quote};
use crate::verifier::limits::{Budget, Limits};
use crate::verifier::rules::Rule;

/// Something of which an event may use only so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Resource {
    /// Instructions.
    Instructions,
    /// Multiply-accumulates.
    Macs,
    /// Bytes of contexts and maps, read and written.
    StateBytes,
    /// Cycles of the card.
    CardCycles,
}

impl Resource {
    const ALL: [Self; 4] = [Self::Instructions, Self::Macs, Self::StateBytes, Self::CardCycles];

    /// In words, for many of them.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Macs => "multiply-accumulates",
            Self::StateBytes => "bytes of state",
            Self::CardCycles => "card cycles",
        }
    }

    pub(in crate::verifier) const fn rule(self) -> Rule {
        match self {
            Self::Instructions => Rule::InstructionBudget,
            Self::Macs => Rule::MacBudget,
            Self::StateBytes => Rule::ByteBudget,
            Self::CardCycles => Rule::CycleBudget,
        }
    }

    fn of(self, cost: &Cost) -> u64 {
        match self {
            Self::Instructions => cost.instructions,
            Self::Macs => cost.macs,
            Self::StateBytes => cost.bytes_read.saturating_add(cost.bytes_written),
            Self::CardCycles => cost.card_cycles,
        }
    }

    const fn limit(self, budget: &Budget) -> u64 {
        match self {
            Self::Instructions => budget.instructions,
            Self::Macs => budget.macs,
            Self::StateBytes => budget.state_bytes,
            Self::CardCycles => budget.card_cycles,
        }
    }
}

/// A budget that an event exceeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overrun {
    /// Of what.
    pub resource: Resource,
    /// What an event takes at worst.
    pub needed: u64,
    /// What it may take.
    pub budget: u64,
    /// The model that takes most of it on the worst path, as index into the program's models.
    pub model: Option<u16>,
    /// What that model takes.
    pub model_needs: u64,
    /// The dearest instruction on that path, the model's if one is to blame: action, index.
    pub dearest: (usize, usize),
}

impl Overrun {
    /// How much is too much.
    pub fn excess(&self) -> u64 {
        self.needed.saturating_sub(self.budget)
    }
}

/// All budgets that an event exceeds.
pub(in crate::verifier) fn overruns(
    limits: &Limits,
    costing: &Costing<'_>,
    paths: &WorstPaths,
) -> Vec<Overrun> {
    let exceeded = Resource::ALL.into_iter().filter_map(|resource| {
        let (needed, budget) = (resource.of(&paths.event), resource.limit(&limits.event));
        (needed > budget).then(|| {
            let steps = paths.steps(costing, |cost| resource.of(cost));
            blame(resource, needed, budget, &steps)
        })
    });
    exceeded.collect()
}

/// The model with the largest part in a path, and the dearest instruction.
fn blame(resource: Resource, needed: u64, budget: u64, steps: &[Step]) -> Overrun {
    let mut parts: HashMap<u16, u64> = HashMap::new();
    for step in steps {
        if let Some(model) = step.work.model {
            let part = parts.entry(model).or_default();
            *part = part.saturating_add(resource.of(&step.work.cost));
        }
    }
    // A model is to blame when it takes at least as much as is too much.
    let largest = parts.into_iter().max_by_key(|&(model, part)| (part, u16::MAX - model));
    let largest = largest.filter(|&(_, part)| part >= needed - budget);
    let model = largest.map(|(model, _)| model);
    let of_model = |step: &&Step| model.is_none() || step.work.model == model;
    let dearest = steps.iter().filter(of_model).max_by_key(|step| resource.of(&step.work.cost));
    Overrun {
        resource,
        needed,
        budget,
        model,
        // Card cycles of one instruction may pass while others execute: never more than all.
        model_needs: largest.map_or(0, |(_, part)| part.min(needed)),
        dearest: dearest.map_or((0, 0), |step| (step.action, step.index)),
    }
}

/// An event stays within its budgets.
pub(in crate::verifier) fn check_budgets(findings: &mut Findings<'_>, overruns: &[Overrun]) {
    for overrun in overruns {
        let Overrun { resource, needed, budget, .. } = *overrun;
        let what = resource.text();
        let (action, index) = overrun.dearest;
        let mut reason = format!(
            "one event takes up to {} {what}, the budget is {}: {} too many",
            group_digits(needed),
            group_digits(budget),
            group_digits(needed - budget)
        );
        let name = overrun
            .model
            .and_then(|model| findings.program.models.get(usize::from(model)))
            .map(|name| quote(name));
        let remedy = match name {
            Some(name) => {
                let percent = u128::from(overrun.model_needs) * 100 / u128::from(needed.max(1));
                reason += &format!(
                    "; model `{name}` takes {} of them ({percent} %), most in this instruction",
                    group_digits(overrun.model_needs)
                );
                format!("prune or shrink model `{name}`, or raise the budget of {what}")
            }
            None => {
                reason += "; this instruction is the dearest on that path";
                format!("shorten the worst path, or raise the budget of {what}")
            }
        };
        let place = findings.instruction(action, index);
        findings.refuse(resource.rule(), place, reason, remedy);
    }
}

/// The objects fit the memory that the program may take.
pub(in crate::verifier) fn check_memory(
    findings: &mut Findings<'_>,
    limits: &Limits,
    memory: &Memory,
) {
    let total = memory.total_bytes();
    if total <= limits.memory_bytes {
        return;
    }
    let parts = [
        ("tables", memory.table_bytes),
        ("context stores", memory.context_bytes),
        ("maps", memory.map_bytes),
        ("tensors", memory.tensor_bytes),
        ("trees", memory.tree_nodes.saturating_mul(8)),
        ("code", memory.code_bytes),
    ];
    let (what, most) = parts.into_iter().max_by_key(|&(_, bytes)| bytes).unwrap_or(("code", 0));
    let reason = format!(
        "{} bytes, the limit is {}; {what} take {}",
        group_digits(total),
        group_digits(limits.memory_bytes),
        group_digits(most)
    );
    let remedy = format!("lower the capacity of the {what}, or raise `Limits::memory_bytes`");
    findings.refuse(Rule::MemoryBudget, findings.whole(), reason, remedy);
}

#[cfg(test)]
mod tests {
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    const LAYER: &str =
        "RMT_VECTOR_FILL v0, x8, i8, 1\nRMT_MAT_MUL v1, v0, tensor0, none\nexit decided";

    #[test]
    fn a_budget_that_is_met_exactly_is_accepted() {
        let mut fixture = Fixture::new(LAYER);
        let cost = fixture.accepted().event;
        let event = &mut fixture.limits.event;
        (event.instructions, event.macs) = (cost.instructions, cost.macs);
        (event.state_bytes, event.card_cycles) = (0, cost.card_cycles);
        fixture.accepted();
    }

    #[test]
    fn too_many_macs_name_the_model() {
        let mut fixture = Fixture::new(LAYER);
        fixture.limits.event.macs = 31;
        let reason = "up to 32 multiply-accumulates, the budget is 31: 1 too many; model `net` \
                      takes 32 of them (100 %)";
        refused_by(&fixture, Rule::MacBudget, reason);
    }

    #[test]
    fn too_many_instructions_are_refused() {
        let mut fixture = Fixture::new(&("movi r1, 1\n".repeat(10) + "exit decided"));
        fixture.limits.event.instructions = 10;
        refused_by(&fixture, Rule::InstructionBudget, "the budget is 10: 1 too many");
    }

    #[test]
    fn too_many_bytes_are_refused() {
        let mut fixture = Fixture::new("movi r1, 1\nmap_add r1, map1, r1, r1\nexit decided");
        fixture.limits.event.state_bytes = 55;
        refused_by(&fixture, Rule::ByteBudget, "up to 56 bytes of state");
    }

    #[test]
    fn too_many_cycles_are_refused() {
        let mut fixture = Fixture::new("movi r1, 1\ndivi r1, r1, 3\nexit decided");
        fixture.limits.event.card_cycles = 15;
        refused_by(&fixture, Rule::CycleBudget, "instruction 1");
    }

    #[test]
    fn too_much_memory_is_refused() {
        let mut fixture = Fixture::new("exit decided");
        fixture.program.maps[0].capacity = 1 << 24;
        fixture.limits.memory_bytes = 1 << 20;
        refused_by(&fixture, Rule::MemoryBudget, "maps take 134 2");
    }
}
