//! One forward pass over the paths of an action.
//!
//! Jumps go forward only, so when an instruction is reached in order, all its predecessors
//! are done: their states merge, the instruction acts on the result once, and no iteration is
//! needed. The analyses (registers, ranges, labels) are [`Domain`]s of this pass.

use rmt_isa::Instruction;

use super::control::FlowGraph;

/// An analysis: what is known before an instruction, and what the instruction makes of it.
pub(super) trait Domain {
    /// What is known at one point.
    type State: Clone;

    /// Lets the instruction act on `state`, and reports what it must not do.
    fn step(&mut self, index: usize, instruction: Instruction, state: &mut Self::State);

    /// What is known besides when the branch at `index` is `taken` or falls through.
    fn refine(&self, _instruction: Instruction, _taken: bool, _state: &mut Self::State) {}

    /// Keeps in `state` what holds in `other` too. `meeting` says which paths meet where.
    fn merge(&mut self, state: &mut Self::State, other: &Self::State, meeting: Meeting);
}

/// Two edges that lead to the same instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meeting {
    /// The instruction where they meet.
    pub(super) at: usize,
    /// Where the earlier edge comes from.
    pub(super) from: usize,
    /// Where the edge that is added comes from.
    pub(super) other_from: usize,
}

/// What is known on arrival, and one edge by which it came.
struct Pending<S> {
    state: S,
    from: usize,
}

/// Runs the analysis from `entry` at instruction 0.
pub(super) fn run<D: Domain>(graph: &FlowGraph<'_>, domain: &mut D, entry: D::State) {
    let mut pending: Vec<Option<Pending<D::State>>> = Vec::new();
    pending.resize_with(graph.len(), || None);
    let Some(first) = pending.first_mut() else { return };
    *first = Some(Pending { state: entry, from: 0 });
    for index in 0..graph.len() {
        let Some(Pending { mut state, .. }) = pending[index].take() else { continue };
        let instruction = graph.code[index];
        domain.step(index, instruction, &mut state);
        let edges = graph.edges(index);
        if let Some(target) = edges.jump {
            let mut taken = state.clone();
            domain.refine(instruction, true, &mut taken);
            arrive(domain, &mut pending[target], taken, target, index);
        }
        if let Some(target) = edges.next {
            domain.refine(instruction, false, &mut state);
            arrive(domain, &mut pending[target], state, target, index);
        }
    }
}

fn arrive<D: Domain>(
    domain: &mut D,
    place: &mut Option<Pending<D::State>>,
    state: D::State,
    at: usize,
    from: usize,
) {
    match place {
        None => *place = Some(Pending { state, from }),
        Some(pending) => {
            let meeting = Meeting { at, from: pending.from, other_from: from };
            domain.merge(&mut pending.state, &state, meeting);
        }
    }
}
