//! Blocks of an action, and how the number of executed instructions is counted at least cost.
//!
//! Most ways through an action differ by few instructions. So the instructions of one way to a
//! block are a constant of the block, and code adds the difference where another way comes in.
//! The one way is the shortest of those that are likely: a branch over a few instructions then
//! costs one addition where it is not taken, and none where it is. Two numbers that a program
//! compares are seldom equal, so a branch where they are is not likely.

use rmt_isa::Instruction;
use rmt_isa::operand::Operand;

/// Control flow of an action; all vectors by instruction.
pub(super) struct Flow {
    /// Whether any way leads there.
    pub(super) reached: Vec<bool>,
    /// For the first instruction of a block: the instructions of the way there that counts.
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
        let mut ways: Vec<Option<Way>> = vec![None; places];
        ways[0] = Some(Way { unlikely: false, count: 0 });
        for (pc, &instruction) in code.iter().enumerate() {
            let Some(before) = ways[pc] else { continue };
            let mut leads_to = |place: usize, unlikely: bool| {
                let way = Way { unlikely: before.unlikely || unlikely, count: before.count + 1 };
                if let Some(known) = ways.get_mut(place) {
                    *known = Some(known.map_or(way, |known| known.min(way)));
                }
            };
            let [taken, passed] = unlikely(instruction);
            if let Some(target) = jump_target(pc, instruction) {
                leads_to(target, taken);
            }
            if !ends(instruction) {
                leads_to(pc + 1, passed);
            }
        }
        let reached = ways.iter().map(Option::is_some).collect();
        let counted = ways.into_iter().map(|way| way.map_or(0, |way| way.count)).collect();
        Self { reached, counted, leader }
    }

    /// Whether a block that can be reached begins at `pc`.
    pub(super) fn starts_block(&self, pc: usize) -> bool {
        self.reached[pc] && self.leader[pc]
    }

    /// The instructions of the way that counts to the end of the block that begins at `pc`.
    pub(super) fn counted_after(&self, pc: usize) -> u32 {
        let length = self.leader[pc + 1..].iter().take_while(|&&leader| !leader).count() + 1;
        self.counted[pc] + length as u32
    }
}

/// A way to an instruction; the smallest is the one that counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    unlikely: bool,
    count: u32,
}

/// Whether it is unlikely that an instruction jumps, and that it does not. Comparisons with 0
/// and 1 ask for a truth value, which says nothing.
fn unlikely(instruction: Instruction) -> [bool; 2] {
    match instruction {
        Instruction::JumpEq { .. } => [true, false],
        Instruction::JumpNe { .. } => [false, true],
        Instruction::JumpEqImm { imm, .. } => [imm & !1 != 0, false],
        Instruction::JumpNeImm { imm, .. } => [false, imm & !1 != 0],
        _ => [false, false],
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
    fn the_way_that_counts_is_a_constant_of_each_block() {
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

    #[test]
    fn equality_of_two_numbers_is_unlikely() {
        let counted = |branch: &str| {
            let code = assemble(&format!("movi r1, 1\n{branch}\nmovi r2, 2\nexit decided"));
            Flow::new(&code.unwrap()).counted[3]
        };
        assert_eq!(counted("jeq r1, r1, +1"), 3);
        assert_eq!(counted("jeqi r1, 7, +1"), 3);
        assert_eq!(counted("jne r1, r1, +1"), 2);
        assert_eq!(counted("jeqi r1, 1, +1"), 2);
        assert_eq!(counted("jlt r1, r1, +1"), 2);
    }
}
