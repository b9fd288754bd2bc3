//! Blocks of an action, and how the number of executed instructions is counted at least cost.
//!
//! Most ways through an action differ by few instructions. So the instructions of the shortest
//! way to a block are a constant of the block, and code adds only what a longer way has
//! executed more, when it comes into a block that a shorter one leads to as well: a branch
//! over a few instructions costs one addition where it is not taken, and none where it is.

use rmt_isa::Instruction;
use rmt_isa::operand::Operand;

/// Control flow of an action; all vectors by instruction.
pub(super) struct Flow {
    /// Whether any way leads there.
    pub(super) reached: Vec<bool>,
    /// For the first instruction of a block: the instructions of the shortest way there.
    pub(super) counted: Vec<u32>,
    /// Whether a block begins there.
    leader: Vec<bool>,
}

impl Flow {
    /// Jumps lead forwards only: one pass sees all ways to an instruction before itself.
    pub(super) fn new(code: &[Instruction]) -> Self {
        // One more than the instructions, for what stands behind the last one.
        let places = code.len() + 1;
        let mut leader = vec![false; places];
        leader[0] = true;
        for (pc, &instruction) in code.iter().enumerate() {
            let target = jump_target(pc, instruction);
            if let Some(place) = target.and_then(|target| leader.get_mut(target)) {
                *place = true;
            }
            leader[pc + 1] |= target.is_some() || ends(instruction);
        }
        let mut shortest: Vec<Option<u32>> = vec![None; places];
        shortest[0] = Some(0);
        for (pc, &instruction) in code.iter().enumerate() {
            let Some(before) = shortest[pc] else { continue };
            let mut leads_to = |place: usize| {
                if let Some(shortest) = shortest.get_mut(place) {
                    *shortest = Some(shortest.map_or(before + 1, |other| other.min(before + 1)));
                }
            };
            if let Some(target) = jump_target(pc, instruction) {
                leads_to(target);
            }
            if !ends(instruction) {
                leads_to(pc + 1);
            }
        }
        let reached = shortest.iter().map(Option::is_some).collect();
        let counted = shortest.into_iter().map(|count| count.unwrap_or(0)).collect();
        Self { reached, counted, leader }
    }

    /// Whether a block that can be reached begins at `pc`.
    pub(super) fn starts_block(&self, pc: usize) -> bool {
        self.reached[pc] && self.leader[pc]
    }

    /// The instructions of the shortest way to the end of the block that begins at `pc`.
    pub(super) fn counted_after(&self, pc: usize) -> u32 {
        let length = self.leader[pc + 1..].iter().take_while(|&&leader| !leader).count() + 1;
        self.counted[pc] + length as u32
    }
}

/// The place that a jump at `pc` leads to, if the instruction can jump.
pub(super) fn jump_target(pc: usize, instruction: Instruction) -> Option<usize> {
    instruction.operands().iter().find_map(|operand| match operand.value {
        Operand::Jump(jump) => Some(pc + 1 + jump.index()),
        _ => None,
    })
}

/// Whether the next instruction never follows.
fn ends(instruction: Instruction) -> bool {
    matches!(
        instruction,
        Instruction::Exit { .. } | Instruction::Jump { .. } | Instruction::TailCall { .. }
    )
}

#[cfg(test)]
mod tests {
    use rmt_isa::assembly::assemble;

    use super::*;

    #[test]
    fn the_shortest_way_is_a_constant_of_each_block() {
        let code = assemble(
            "movi r1, 1\njeqi r1, 0, +2\nmovi r1, 2\nmovi r1, 3\nmovi r1, 4\nexit decided\n\
             movi r1, 5",
        )
        .unwrap();
        let flow = Flow::new(&code);
        assert_eq!(flow.reached[..7], [true, true, true, true, true, true, false]);
        let starts: Vec<_> = (0..7).filter(|&pc| flow.starts_block(pc)).collect();
        assert_eq!(starts, [0, 2, 4]);
        // The jump skips two instructions: they are what the other way executes more.
        assert_eq!(starts.iter().map(|&pc| flow.counted[pc]).collect::<Vec<_>>(), [0, 2, 2]);
        assert_eq!([0, 2, 4].map(|pc| flow.counted_after(pc)), [2, 4, 4]);
    }
}
