//! Makes the intermediate code of an action shorter, changing nothing that can be seen.
//!
//! - [`narrow`]: a value is not cut to its width where the cut bits are never looked at;
//! - [`coalesce`]: a result is computed where it is wanted, not copied there;
//! - [`thread_jumps`]: no jump leads to a jump, to the next step or over another jump;
//! - [`remove_dead`]: no value is computed that nobody reads, no step stands where none runs.

use std::collections::HashMap;

use rmt_isa::instruction::Class;
use rmt_isa::operand::FieldRef;
use rmt_isa::program::MapKind;
use rmt_isa::{Instruction, Program};

use crate::ir::{Code, Label, Operation, R, Reg, Step, StepKind};

/// Rounds at most; each round enables little that the one before did not.
const MAX_ROUNDS: usize = 6;
/// How far a copy looks back for the computation of its value.
const COALESCE_REACH: usize = 64;

/// Improves `code`; `program` tells the widths of fields and the kinds of maps.
pub(crate) fn optimise(code: &mut Code, program: &Program) {
    for _ in 0..MAX_ROUNDS {
        let before = code.steps.len();
        narrow(code, program);
        coalesce(code);
        propagate_copies(code);
        thread_jumps(code);
        remove_dead(code, program);
        if code.steps.len() == before {
            break;
        }
    }
}

fn operation(step: &Step) -> Option<&Operation> {
    match &step.kind {
        StepKind::Instruction(operation) => Some(operation),
        _ => None,
    }
}

fn field_bits(program: &Program, field: FieldRef) -> u32 {
    let context = program.contexts.get(field.context.index());
    let field = context.and_then(|context| context.fields.get(usize::from(field.field)));
    field.map_or(64, |field| field.kind.bits())
}

/// Walks backwards with the number of low bits of each register that matter.
fn narrow(code: &mut Code, program: &Program) {
    let mut demand = vec![0_u32; code.registers.len()];
    for step in code.steps.iter_mut().rev() {
        let reads = step.reads();
        let StepKind::Instruction(operation) = &mut step.kind else {
            for register in reads {
                demand[register.0 as usize] = 64;
            }
            continue;
        };
        let result = operation.d.map_or(64, |d| demand[d.0 as usize]);
        use Instruction as I;
        let wanted = match operation.template {
            I::Extend { kind, .. } if result <= kind.bits() => {
                operation.template = I::Move { d: R, a: R };
                operation.is_copy = true;
                result
            }
            I::Extend { kind, .. } => kind.bits(),
            I::ShlImm { imm, .. } => result.saturating_sub(imm as u32 % 64),
            I::AndImm { imm, .. } if imm >= 0 => result.min(32 - imm.leading_zeros()),
            I::Add { .. }
            | I::Sub { .. }
            | I::Mul { .. }
            | I::And { .. }
            | I::Or { .. }
            | I::Xor { .. }
            | I::AddImm { .. }
            | I::SubImm { .. }
            | I::MulImm { .. }
            | I::AndImm { .. }
            | I::OrImm { .. }
            | I::XorImm { .. }
            | I::Not { .. }
            | I::Neg { .. }
            | I::Move { .. } => result,
            I::StoreContext { field, .. } | I::PushContext { field, .. } => {
                field_bits(program, field)
            }
            _ => 64,
        };
        for register in reads {
            let place = &mut demand[register.0 as usize];
            *place = (*place).max(wanted);
        }
    }
}

/// `t = a + b; x = t` becomes `x = a + b` when nobody else reads `t`.
fn coalesce(code: &mut Code) {
    let mut reads = vec![0_u32; code.registers.len()];
    for register in code.steps.iter().flat_map(Step::reads) {
        reads[register.0 as usize] += 1;
    }
    for index in 0..code.steps.len() {
        let Some(&Operation { d: Some(d), a: Some(source), is_copy: true, .. }) =
            operation(&code.steps[index])
        else {
            continue;
        };
        if d == source || code.info(source).is_variable || reads[source.0 as usize] != 1 {
            continue;
        }
        let Some(origin) = find_origin(code, index, source, d) else { continue };
        if let StepKind::Instruction(operation) = &mut code.steps[origin].kind {
            operation.d = Some(d);
        }
        // `d` has one more writer, and it may be read by steps that saw the copy only.
        code.registers[d.0 as usize].is_variable = true;
        if let StepKind::Instruction(operation) = &mut code.steps[index].kind {
            operation.a = Some(d);
        }
    }
    code.steps.retain(|step| {
        operation(step).is_none_or(|operation| !(operation.is_copy && operation.d == operation.a))
    });
}

/// The step before `index` that computes `source`, if nothing between touches `d`.
fn find_origin(code: &Code, index: usize, source: Reg, d: Reg) -> Option<usize> {
    for origin in (index.saturating_sub(COALESCE_REACH)..index).rev() {
        let step = &code.steps[origin];
        let candidate = operation(step)?;
        if candidate.d == Some(source) {
            return (!candidate.modifies()).then_some(origin);
        }
        let touches = step.reads().contains(&d) || step.writes().contains(&d);
        if touches || candidate.target.is_some() || !step.falls_through() {
            return None;
        }
    }
    None
}

/// Reads of a copy become reads of the original, up to where the original changes.
///
/// All jumps go forward: what is not written between two places of the list is not written on
/// any way from the one to the other.
fn propagate_copies(code: &mut Code) {
    let mut writes = vec![0_u32; code.registers.len()];
    for register in code.steps.iter().flat_map(Step::writes) {
        writes[register.0 as usize] += 1;
    }
    let mut original: HashMap<Reg, Reg> = HashMap::new();
    for step in &mut code.steps {
        let current = |register: &mut Reg| {
            *register = original.get(register).copied().unwrap_or(*register);
        };
        match &mut step.kind {
            StepKind::Instruction(operation) => {
                [&mut operation.a, &mut operation.b].into_iter().flatten().for_each(current);
            }
            StepKind::TailCall { values, .. } => values.iter_mut().for_each(current),
            StepKind::Label(_) | StepKind::Arguments(_) => {}
        }
        for written in step.writes() {
            original.retain(|_, source| *source != written);
        }
        if let Some(&Operation { d: Some(d), a: Some(source), is_copy: true, .. }) = operation(step)
            && writes[d.0 as usize] == 1
            && d != source
        {
            original.insert(d, source);
        }
    }
}

fn thread_jumps(code: &mut Code) {
    invert_over_jumps(code);
    // Where each label leads: the first step after it that is no label.
    let mut leads: HashMap<Label, usize> = HashMap::new();
    let mut next = code.steps.len();
    for (index, step) in code.steps.iter().enumerate().rev() {
        match step.kind {
            StepKind::Label(label) => {
                leads.insert(label, next);
            }
            _ => next = index,
        }
    }
    for index in (0..code.steps.len()).rev() {
        let Some(&Operation { template, target: Some(target), .. }) = operation(&code.steps[index])
        else {
            continue;
        };
        let Some(landing) = leads.get(&target).and_then(|&at| code.steps.get(at)) else { continue };
        let Some(&landing) = operation(landing) else { continue };
        let jumps = matches!(template, Instruction::Jump { .. });
        let StepKind::Instruction(operation) = &mut code.steps[index].kind else { continue };
        match landing.template {
            // Later steps were handled before, so one hop is enough.
            Instruction::Jump { .. } => operation.target = landing.target,
            Instruction::Exit { .. } if jumps => *operation = landing,
            _ => {}
        }
    }
    // A jump to the next step does nothing.
    let next_labels = |index: usize| {
        code.steps[index + 1..].iter().map_while(|step| match step.kind {
            StepKind::Label(label) => Some(label),
            _ => None,
        })
    };
    let leads_on = |index: usize| {
        let target = code.steps[index].target();
        target.is_some_and(|target| next_labels(index).any(|label| label == target))
    };
    let keep: Vec<bool> = (0..code.steps.len()).map(|index| !leads_on(index)).collect();
    let mut keep = keep.into_iter();
    code.steps.retain(|_| keep.next().unwrap_or(true));
}

/// `if c jump 1; jump 2; 1:` becomes `if not c jump 2; 1:`.
fn invert_over_jumps(code: &mut Code) {
    for index in 0..code.steps.len().saturating_sub(2) {
        let [first, second, third] = &code.steps[index..index + 3] else { continue };
        let (Some(&branch), Some(&jump)) = (operation(first), operation(second)) else { continue };
        let StepKind::Label(label) = third.kind else { continue };
        let skips = branch.target == Some(label);
        if !skips || !matches!(jump.template, Instruction::Jump { .. }) {
            continue;
        }
        if let Some(mut inverted) = invert(&branch) {
            inverted.target = jump.target;
            code.steps[index].kind = StepKind::Instruction(inverted);
            // The jump now leads to the label behind it, which is removed as such.
            if let StepKind::Instruction(operation) = &mut code.steps[index + 1].kind {
                operation.target = Some(label);
            }
        }
    }
}

/// The branch that is taken when this one is not.
fn invert(branch: &Operation) -> Option<Operation> {
    use Instruction as I;
    let swapped = |template| Operation { template, a: branch.b, b: branch.a, ..*branch };
    let plain = |template| Operation { template, ..*branch };
    Some(match branch.template {
        I::JumpEq { a, b, target } => plain(I::JumpNe { a, b, target }),
        I::JumpNe { a, b, target } => plain(I::JumpEq { a, b, target }),
        I::JumpLt { a, b, target } => swapped(I::JumpLe { a, b, target }),
        I::JumpLe { a, b, target } => swapped(I::JumpLt { a, b, target }),
        I::JumpLtU { a, b, target } => swapped(I::JumpLeU { a, b, target }),
        I::JumpLeU { a, b, target } => swapped(I::JumpLtU { a, b, target }),
        I::JumpEqImm { a, imm, target } => plain(I::JumpNeImm { a, imm, target }),
        I::JumpNeImm { a, imm, target } => plain(I::JumpEqImm { a, imm, target }),
        I::JumpLtImm { a, imm, target } => plain(I::JumpGeImm { a, imm, target }),
        I::JumpLeImm { a, imm, target } => plain(I::JumpGtImm { a, imm, target }),
        I::JumpLtUImm { a, imm, target } => plain(I::JumpGeUImm { a, imm, target }),
        I::JumpLeUImm { a, imm, target } => plain(I::JumpGtUImm { a, imm, target }),
        I::JumpGtImm { a, imm, target } => plain(I::JumpLeImm { a, imm, target }),
        I::JumpGeImm { a, imm, target } => plain(I::JumpLtImm { a, imm, target }),
        I::JumpGtUImm { a, imm, target } => plain(I::JumpLeUImm { a, imm, target }),
        I::JumpGeUImm { a, imm, target } => plain(I::JumpLtUImm { a, imm, target }),
        _ => return None,
    })
}

/// Whether the step does nothing but write its result.
fn is_pure(operation: &Operation, program: &Program) -> bool {
    let Operation { template, d: Some(_), .. } = *operation else { return false };
    match template.info().class {
        Class::Alu
        | Class::Multiply
        | Class::Divide
        | Class::Event
        | Class::Vector
        | Class::Model => true,
        Class::Context => {
            !matches!(template, Instruction::MatchContext { .. } | Instruction::FindContext { .. })
        }
        Class::Map => match template {
            // A look-up in an LRU map makes the key the most recently used.
            Instruction::MapLoad { map, .. } => {
                program.maps.get(map.index()).is_some_and(|map| map.kind != MapKind::LruHash)
            }
            Instruction::MapContains { .. } => true,
            _ => false,
        },
        Class::Control => matches!(template, Instruction::Call { .. }),
        Class::Branch => false,
    }
}

fn remove_dead(code: &mut Code, program: &Program) {
    let mut keep = vec![true; code.steps.len()];
    let mut referenced = vec![false; code.labels as usize];
    code.walk_liveness(|index, step, live| {
        if let Some(target) = step.target() {
            referenced[target.0 as usize] = true;
        }
        if let Some(operation) = operation(step)
            && let Some(d) = operation.d
            && !live.contains(d)
            && is_pure(operation, program)
        {
            keep[index] = false;
        }
    });
    let mut reachable = true;
    for (index, step) in code.steps.iter().enumerate() {
        match step.kind {
            StepKind::Label(label) => {
                keep[index] = referenced[label.0 as usize];
                reachable |= keep[index];
            }
            _ => {
                keep[index] &= reachable;
                reachable &= step.falls_through();
            }
        }
    }
    let mut keep = keep.into_iter();
    code.steps.retain(|_| keep.next().unwrap_or(true));
}
