//! The worst path through an action, and through all tables that an event visits.
//!
//! Jumps and tail calls go forward only, so one backward pass gives the worst cost from each
//! instruction to the end. Every figure is maximised on its own: the path with most MACs
//! need not be the one with most instructions. Cycles of the card overlap, so they come from
//! a pass of their own, see [`super::cycles`]; here each instruction counts as if it were alone,
//! which tells the dear ones.

use std::collections::HashMap;

use rmt_isa::Program;
use rmt_isa::card::CardShape;
use rmt_isa::card::cycles::LoneThread;

use super::cycles::{timing, worst_cycles};
use super::work::{Cost, Work, instruction_work};
use crate::verifier::control::{CallGraph, FlowGraph, Node};
use crate::verifier::types::Typing;

/// Worst costs of a program's reachable parts.
pub(in crate::verifier) struct WorstPaths {
    /// Of each action by itself, without the tables that it calls; `None` when unreachable.
    pub(in crate::verifier) actions: Vec<Option<Cost>>,
    /// Of a whole event.
    pub(in crate::verifier) event: Cost,
    /// From each instruction of each action to the end of the event.
    ahead: Vec<Vec<Cost>>,
    /// From a table's look-up to the end of the event.
    tables: Vec<Cost>,
}

/// One step of a worst path.
pub(super) struct Step {
    pub(super) action: usize,
    pub(super) index: usize,
    pub(super) work: Work,
}

/// What the costs are computed from.
pub(in crate::verifier) struct Costing<'a> {
    pub(in crate::verifier) program: &'a Program,
    pub(in crate::verifier) card: &'a CardShape,
    pub(in crate::verifier) graphs: &'a [FlowGraph<'a>],
    pub(in crate::verifier) calls: &'a CallGraph,
    pub(in crate::verifier) types: &'a [Vec<Typing>],
    /// For each action the most bits that dividends can have, by instruction.
    pub(in crate::verifier) dividends: &'a [HashMap<usize, u32>],
}

impl Costing<'_> {
    pub(super) fn work(&self, action: usize, index: usize) -> Work {
        let instruction = self.graphs[action].code[index];
        let mut work = instruction_work(self.program, instruction, &self.types[action][index]);
        let alone = LoneThread::at(0).after(timing(self, action, index, true));
        work.cost.card_cycles = alone.idle_cycle();
        work
    }

    /// The table that the instruction calls.
    pub(super) fn callee(&self, action: usize, index: usize) -> Option<usize> {
        let calls = &self.calls.calls[action];
        let place = calls.binary_search_by_key(&index, |&(at, _)| at).ok()?;
        Some(calls[place].1)
    }
}

/// Worst costs of everything that an event can reach.
pub(in crate::verifier) fn worst_paths(costing: &Costing<'_>) -> WorstPaths {
    let &Costing { program, graphs, calls, .. } = costing;
    let mut paths = WorstPaths {
        actions: vec![None; graphs.len()],
        event: Cost::default(),
        ahead: graphs.iter().map(|graph| vec![Cost::default(); graph.len()]).collect(),
        tables: vec![Cost::default(); program.tables.len()],
    };
    // Callers stand before what they call: go backwards.
    for &node in calls.order.iter().rev() {
        match node {
            Node::Table(table) => {
                let actions = calls.runs[table].iter().map(|&action| paths.ahead[action][0]);
                paths.tables[table] = actions.fold(Cost::default(), Cost::or);
            }
            Node::Action(action) => {
                let own = walk_action(costing, &mut paths, action);
                paths.actions[action] = Some(own);
            }
        }
    }
    paths.event = paths.tables.first().copied().unwrap_or_default();
    let cycles = worst_cycles(costing);
    paths.event.card_cycles = cycles.event;
    for (cost, cycles) in paths.actions.iter_mut().zip(cycles.actions) {
        if let (Some(cost), Some(cycles)) = (cost, cycles) {
            cost.card_cycles = cycles;
        }
    }
    paths
}

/// Fills `ahead` of one action; gives its worst cost without the tables that it calls.
fn walk_action(costing: &Costing<'_>, paths: &mut WorstPaths, action: usize) -> Cost {
    let graph = &costing.graphs[action];
    let mut own = vec![Cost::default(); graph.len()];
    for (index, _) in graph.instructions().rev() {
        let here = costing.work(action, index).cost;
        let worst = |ahead: &[Cost]| {
            graph.edges(index).iter().map(|next| ahead[next]).fold(Cost::default(), Cost::or)
        };
        own[index] = here.then(worst(&own));
        let called = costing.callee(action, index).map(|table| paths.tables[table]);
        let rest = called.unwrap_or_else(|| worst(&paths.ahead[action]));
        paths.ahead[action][index] = here.then(rest);
    }
    own[0]
}

impl WorstPaths {
    /// The path that is worst in one figure.
    pub(super) fn steps(&self, costing: &Costing<'_>, figure: impl Fn(&Cost) -> u64) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut table = Some(0);
        while let Some(at) = table.take() {
            let runs = costing.calls.runs.get(at).into_iter().flatten();
            let worst = runs.copied().max_by_key(|&action| figure(&self.ahead[action][0]));
            let Some(action) = worst else { break };
            let mut next = Some(0);
            while let Some(index) = next {
                steps.push(Step { action, index, work: costing.work(action, index) });
                table = costing.callee(action, index);
                let edges = costing.graphs[action].edges(index);
                next = edges.iter().max_by_key(|&next| figure(&self.ahead[action][next]));
            }
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use crate::verifier::testing::Fixture;

    #[test]
    fn the_longer_way_counts() {
        let code = "ld_event r1, event+24, u32\njeqi r1, 0, end\nmuli r1, r1, 3\nmuli r1, r1, 3\n\
                    end: exit decided";
        let report = Fixture::new(code).accepted();
        assert_eq!(report.actions[0].cost.unwrap().instructions, 5);
        assert_eq!(report.event.instructions, 5);
    }

    #[test]
    fn tail_calls_count_for_the_event_only() {
        let mut fixture = Fixture::new("movi r1, 1\nmovi r2, 1\nTAIL_CALL table1");
        fixture.set_code(1, "movi r1, 1\nexit decided");
        let report = fixture.accepted();
        assert_eq!(report.actions[0].cost.unwrap().instructions, 3);
        assert_eq!(report.actions[1].cost.unwrap().instructions, 2);
        assert_eq!(report.event.instructions, 5);
        // Two look-ups, four instructions of one cycle, two cycles of the tail call in registers.
        assert_eq!(report.event.card_cycles, 2 * 7 + 6);
    }

    #[test]
    fn figures_are_worst_on_their_own() {
        let code = "ld_event r1, event+24, u32\nRMT_VECTOR_FILL v0, x8, i8, 1\njeqi r1, 0, heavy\n\
                    movi r2, 1\nmovi r2, 1\nmovi r2, 1\nexit decided\n\
                    heavy: RMT_MAT_MUL v1, v0, tensor0, none\nexit decided";
        let cost = Fixture::new(code).accepted().event;
        assert_eq!((cost.instructions, cost.macs), (7, 32));
    }

    #[test]
    fn unreachable_actions_cost_nothing() {
        let report = Fixture::new("exit decided").accepted();
        assert_eq!(report.actions[1].cost, None);
    }
}
