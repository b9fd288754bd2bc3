//! Intermediate code with registers to instructions with source lines.

use rmt_isa::Instruction;
use rmt_isa::limits::{MAX_ACTION_INSTRUCTIONS, SCALAR_REGISTERS};
use rmt_isa::operand::{A, B, D, Jump, OFF, OperandValue, Scalar, Slot};

use crate::allocate::Allocation;
use crate::ir::{Code, Label, Operation, R, Reg, StepKind};
use crate::source::LineIndex;

/// Why code cannot be emitted.
#[derive(Debug)]
pub(crate) enum EmitError {
    /// More instructions than an action may have.
    TooLong(usize),
    /// An instruction has no encoding: a defect of the compiler.
    Encoding(String),
}

/// The instructions of an action and the source line of each.
pub(crate) fn emit(
    code: &Code,
    allocation: &Allocation,
    lines: &LineIndex,
) -> Result<(Vec<Instruction>, Vec<u32>), EmitError> {
    let mut out: Vec<(Instruction, Option<Label>, u32)> = Vec::new();
    let mut places = vec![None; code.labels as usize];
    for step in &code.steps {
        let line = lines.line(step.span.start);
        match &step.kind {
            StepKind::Label(label) => places[label.0 as usize] = Some(out.len()),
            StepKind::Arguments(_) => {}
            StepKind::Instruction(operation) => {
                if !copies_itself(operation, allocation) {
                    out.push((assign(operation, allocation)?, operation.target, line));
                }
            }
            StepKind::TailCall { template, values } => {
                let sources = values.iter().map(|value| allocation.number(*value));
                for (d, a) in parallel_moves(sources.zip(1..).map(|(a, d)| (d, a)).collect()) {
                    let template = Instruction::Move { d: R, a: R };
                    out.push((patch(template, &[(D, d), (A, a)])?, None, line));
                }
                out.push((*template, None, line));
            }
        }
    }
    if out.len() > MAX_ACTION_INSTRUCTIONS {
        return Err(EmitError::TooLong(out.len()));
    }
    let mut instructions = Vec::with_capacity(out.len());
    let mut source_lines = Vec::with_capacity(out.len());
    for (index, (template, target, line)) in out.into_iter().enumerate() {
        let instruction = match target {
            None => template,
            Some(label) => {
                let place =
                    places[label.0 as usize].and_then(|place: usize| place.checked_sub(index + 1));
                let jump = place.and_then(|distance| Jump::new(u16::try_from(distance).ok()?));
                let jump =
                    jump.ok_or_else(|| EmitError::Encoding(format!("jump in {template}")))?;
                decode(template.encode() & !OFF.insert(u64::MAX) | OFF.insert(jump.to_bits()))?
            }
        };
        instructions.push(instruction);
        source_lines.push(line);
    }
    Ok((instructions, source_lines))
}

fn copies_itself(operation: &Operation, allocation: &Allocation) -> bool {
    match *operation {
        Operation { d: Some(d), a: Some(a), is_copy: true, .. } => {
            allocation.number(d) == allocation.number(a)
        }
        _ => false,
    }
}

/// The instruction with its machine registers.
fn assign(operation: &Operation, allocation: &Allocation) -> Result<Instruction, EmitError> {
    let registers: [(Slot, Option<Reg>); 3] =
        [(D, operation.d), (A, operation.a), (B, operation.b)];
    let slots: Vec<_> = registers
        .into_iter()
        .filter_map(|(slot, register)| Some((slot, allocation.number(register?))))
        .collect();
    patch(operation.template, &slots)
}

/// `template` with numbers in its register slots.
fn patch(template: Instruction, slots: &[(Slot, u8)]) -> Result<Instruction, EmitError> {
    let word = slots.iter().fold(template.encode(), |word, &(slot, number)| {
        word & !slot.insert(u64::MAX) | slot.insert(number.into())
    });
    decode(word)
}

fn decode(word: u64) -> Result<Instruction, EmitError> {
    Instruction::decode(word).map_err(|error| EmitError::Encoding(error.to_string()))
}

/// Moves, one after the other, that have the effect of all `moves` (to, from) at once.
fn parallel_moves(moves: Vec<(u8, u8)>) -> Vec<(u8, u8)> {
    let mut pending: Vec<_> = moves.into_iter().filter(|(to, from)| to != from).collect();
    let mut ordered = Vec::new();
    while let Some(&(first_to, first_from)) = pending.first() {
        let ready = pending.iter().position(|&(to, _)| pending.iter().all(|&(_, from)| from != to));
        match ready {
            Some(index) => ordered.push(pending.remove(index)),
            None => {
                // All that is left goes round in circles: one value steps aside. At most eight
                // registers are named, so one of the sixteen is free.
                let named = |r: u8| pending.iter().any(|&(to, from)| to == r || from == r);
                let aside = (0..SCALAR_REGISTERS as u8).find(|&r| !named(r)).unwrap_or(0);
                ordered.push((aside, first_from));
                for (_, from) in pending.iter_mut().filter(|(_, from)| *from == first_from) {
                    *from = aside;
                }
                debug_assert!(Scalar::new(first_to.into()).is_some());
            }
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_moves_keep_every_value() {
        // All ways to hand four of six registers over, circles included.
        for seed in 0..6_usize.pow(4) {
            let sources: Vec<u8> = (0..4).map(|i| (seed / 6_usize.pow(i) % 6) as u8).collect();
            let moves = sources.iter().zip(1..).map(|(&from, to)| (to, from)).collect();
            let mut registers: Vec<u8> = (0..16).collect();
            for (to, from) in parallel_moves(moves) {
                registers[usize::from(to)] = registers[usize::from(from)];
            }
            assert_eq!(registers[1..5], sources[..]);
        }
    }
}
