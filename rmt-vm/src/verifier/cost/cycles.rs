//! Cycles of the card along the worst path, by the formula of [`rmt_isa::card::cycles`].
//!
//! One pass in the order in which an event goes through tables, actions and instructions: a
//! [`LoneThread`] at each place, the later of all that lead there. It is exact for code without
//! branches, and a bound where paths meet, for a thread that is later in one figure is never
//! earlier in the end.

use rmt_isa::card::cycles::{Facts, LoneThread, Timing, vector_read};

use super::paths::Costing;
use crate::verifier::control::Node;

/// Cycles at worst.
pub(super) struct WorstCycles {
    /// Of each action by itself, from its first instruction; `None` when unreachable.
    pub(super) actions: Vec<Option<u64>>,
    /// Of a whole event.
    pub(super) event: u64,
}

/// The timing of an instruction in its place.
pub(super) fn timing(costing: &Costing<'_>, action: usize, index: usize, taken: bool) -> Timing {
    let instruction = costing.graphs[action].code[index];
    let typing = &costing.types[action][index];
    let read = vector_read(instruction).and_then(|register| typing.before[register]);
    let dividend_bits = costing.dividends[action].get(&index).copied().unwrap_or(64);
    let facts = Facts { lanes: read.map_or(0, |vector| vector.lanes.into()), dividend_bits, taken };
    Timing::of(costing.card, costing.program, instruction, facts)
}

/// Worst cycles of everything that an event can reach.
pub(super) fn worst_cycles(costing: &Costing<'_>) -> WorstCycles {
    let mut worst = WorstCycles { actions: vec![None; costing.graphs.len()], event: 0 };
    let mut at_table = vec![None; costing.program.tables.len()];
    let mut at_action = vec![None; costing.graphs.len()];
    if let Some(first) = at_table.first_mut() {
        *first = Some(LoneThread::at_first_instruction(costing.card, costing.program));
    }
    // Callers stand before what they call.
    for &node in &costing.calls.order {
        match node {
            Node::Table(table) => {
                let Some(thread) = at_table[table] else { continue };
                // A look-up that finds nothing ends the event.
                worst.event = worst.event.max(thread.decision_cycle());
                for &action in &costing.calls.runs[table] {
                    join(&mut at_action[action], thread);
                }
            }
            Node::Action(action) => {
                let alone = walk(costing, action, LoneThread::at(0), &mut |_, _| ());
                worst.actions[action] = Some(alone);
                let Some(thread) = at_action[action] else { continue };
                let end = walk(costing, action, thread, &mut |table, thread| {
                    join(&mut at_table[table], thread);
                });
                worst.event = worst.event.max(end);
            }
        }
    }
    worst
}

fn join(place: &mut Option<LoneThread>, thread: LoneThread) {
    *place = Some(place.map_or(thread, |other| other.or(thread)));
}

/// Goes through an action; gives the last cycle in which it ends, and each tail call to `calls`.
fn walk(
    costing: &Costing<'_>,
    action: usize,
    entry: LoneThread,
    calls: &mut impl FnMut(usize, LoneThread),
) -> u64 {
    let graph = &costing.graphs[action];
    let mut threads = vec![None; graph.len()];
    threads[0] = Some(entry);
    let mut end = 0;
    for (index, _) in graph.instructions() {
        let Some(thread) = threads[index] else { continue };
        let after = |taken| thread.after(timing(costing, action, index, taken));
        let edges = graph.edges(index);
        if let Some(next) = edges.next {
            join(&mut threads[next], after(false));
        }
        if let Some(jump) = edges.jump {
            join(&mut threads[jump], after(true));
        }
        if edges.iter().next().is_none() {
            end = end.max(after(false).next_cycle());
            if let Some(table) = costing.callee(action, index) {
                calls(table, after(false));
            }
        }
    }
    end
}
