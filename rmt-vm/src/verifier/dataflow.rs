//! One forward pass over the paths of an action.
//!
//! Jumps go forward only, so when an instruction is reached in order, all its predecessors
//! are done: their states merge, the instruction acts on the result once, and no iteration is
//! needed. The analyses (registers, ranges, labels) are [`Domain`]s of this pass.

use rmt_isa::Instruction;
use rmt_isa::instruction::OperandUse;

use super::control::FlowGraph;

/// An analysis: what is known before an instruction, and what the instruction makes of it.
pub(super) trait Domain {
    /// What is known at one point.
    type State: Clone;

    /// Lets the instruction act on `state`, and reports what it must not do.
    fn step(&mut self, at: &Step<'_>, state: &mut Self::State);

    /// What is known besides when the branch at `index` is `taken` or falls through.
    fn refine(&self, _instruction: Instruction, _taken: bool, _state: &mut Self::State) {}

    /// Keeps in `state` what holds in `other` too. `meeting` says which paths meet where.
    fn merge(&mut self, state: &mut Self::State, other: &Self::State, meeting: Meeting);
}

/// The instruction that acts.
pub(super) struct Step<'a> {
    /// Its index in the action.
    pub(super) index: usize,
    /// The instruction.
    pub(super) instruction: Instruction,
    /// Its operands, which would be costly to list anew in each pass.
    pub(super) operands: &'a [OperandUse],
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
struct Arrived<S> {
    state: S,
    from: usize,
}

/// Runs the analysis from `entry` at instruction 0.
pub(super) fn run<D: Domain>(graph: &FlowGraph<'_>, domain: &mut D, entry: D::State) {
    // Most code falls through, so only what jumps bring is kept for later.
    let mut jumped: Vec<Option<Box<Arrived<D::State>>>> = Vec::new();
    jumped.resize_with(graph.len(), || None);
    let mut falling = Some(Arrived { state: entry, from: 0 });
    for index in 0..graph.len() {
        let arrived = match (jumped[index].take(), falling.take()) {
            (Some(first), Some(second)) => Some(meet(domain, *first, second, index)),
            (first, second) => first.map(|arrived| *arrived).or(second),
        };
        let Some(Arrived { mut state, .. }) = arrived else { continue };
        let instruction = graph.code[index];
        domain.step(&Step { index, instruction, operands: graph.operands(index) }, &mut state);
        let edges = graph.edges(index);
        if let Some(target) = edges.jump {
            let mut state = state.clone();
            domain.refine(instruction, true, &mut state);
            let arrived = Arrived { state, from: index };
            jumped[target] = Some(Box::new(match jumped[target].take() {
                Some(first) => meet(domain, *first, arrived, target),
                None => arrived,
            }));
        }
        if edges.next.is_some() {
            domain.refine(instruction, false, &mut state);
            falling = Some(Arrived { state, from: index });
        }
    }
}

fn meet<D: Domain>(
    domain: &mut D,
    mut first: Arrived<D::State>,
    second: Arrived<D::State>,
    at: usize,
) -> Arrived<D::State> {
    let meeting = Meeting { at, from: first.from, other_from: second.from };
    domain.merge(&mut first.state, &second.state, meeting);
    first
}
