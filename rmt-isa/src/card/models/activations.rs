//! Which products have activations of i16, for engines whose array takes i8 alone.

use crate::instruction::Instruction;
use crate::operand::{Element, Operand, Role};
use crate::program::Program;

/// The first product or convolution of an action whose activations are a vector of i16: its index.
///
/// In a verified program a vector register has the same type on all ways to an instruction, and jumps go forward: one pass
/// in the order of the instructions finds all types.
pub(super) fn wide_product(program: &Program, code: &[Instruction]) -> Option<usize> {
    // For each instruction that is reached, which registers are i16 before it, a bit each.
    let mut before: Vec<Option<u64>> = vec![None; code.len()];
    before.first_mut()?.replace(0);
    for (index, &instruction) in code.iter().enumerate() {
        let Some(wide) = before[index] else { continue };
        if let Instruction::MatMul { a, .. } | Instruction::Conv2d { a, .. } = instruction
            && wide >> a.index() & 1 == 1
        {
            return Some(index);
        }
        let after = after(program, instruction, wide);
        let falls = !instruction.ends_action() && !matches!(instruction, Instruction::Jump { .. });
        let jumps = instruction.jump_target().map(|skipped| index + 1 + usize::from(skipped));
        for next in [falls.then_some(index + 1), jumps].into_iter().flatten() {
            if let Some(known) = before.get_mut(next) {
                known.get_or_insert(after);
            }
        }
    }
    None
}

/// Which registers are i16 behind an instruction.
fn after(program: &Program, instruction: Instruction, wide: u64) -> u64 {
    let is_wide = |element: Element| element == Element::I16;
    let result = match instruction {
        // Sums have 32 bits.
        Instruction::VectorMul { .. }
        | Instruction::MatMul { .. }
        | Instruction::Conv2d { .. }
        | Instruction::PoolSum { .. } => false,
        Instruction::VectorLoadTensor { tensor, .. } => {
            program.tensors.get(tensor.index()).is_some_and(|tensor| is_wide(tensor.element))
        }
        Instruction::VectorAdd { a, .. }
        | Instruction::VectorSub { a, .. }
        | Instruction::VectorMin { a, .. }
        | Instruction::VectorMax { a, .. }
        | Instruction::VectorRelu { a, .. }
        | Instruction::PoolMax { a, .. } => wide >> a.index() & 1 == 1,
        _ => instruction
            .operands()
            .iter()
            .any(|operand| matches!(operand.value, Operand::Element(element) if is_wide(element))),
    };
    instruction.operands().iter().fold(wide, |wide, operand| match operand.value {
        // A lane that is set leaves the type of the others.
        Operand::Vector(d) if operand.info.role == Role::Write => {
            wide & !(1 << d.index()) | u64::from(result) << d.index()
        }
        _ => wide,
    })
}
