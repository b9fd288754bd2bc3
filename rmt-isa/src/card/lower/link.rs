//! Several programs as one: their objects one behind the other, numbers in code and tables
//! moved accordingly.
//!
//! Tables, actions, models, tensors, scales, windows and forests are banked: with each commit
//! they may stand elsewhere, so they follow each other without gaps. Context stores and maps
//! keep their places while a program stays, see [`super::Residents`]: code names them by the
//! number in their plan.

use super::{LowerError, StorePlan};
use crate::card::lower::MapPlan;
use crate::instruction::Instruction;
use crate::operand::OperandKind;
use crate::program::{ActionCall, Program, Table};

/// A program and where its state stands.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) program: &'a Program,
    pub(super) contexts: &'a [StorePlan],
    pub(super) maps: &'a [MapPlan],
}

/// Numbers of the first objects of a program among those of all.
struct Bases {
    table: usize,
    action: usize,
    model: usize,
    tensor: usize,
    scale: usize,
    window: usize,
    forest: usize,
}

/// One program of all parts, as far as `lower` reads it: tables, actions and models.
pub(super) fn link(parts: &[Part<'_>]) -> Result<Program, LowerError> {
    let mut all = Program::default();
    for part in parts {
        let bases = Bases {
            table: all.tables.len(),
            action: all.actions.len(),
            model: all.models.len(),
            tensor: all.tensors.len(),
            scale: all.scales.len(),
            window: all.windows.len(),
            forest: all.forests.len(),
        };
        let program = part.program;
        all.tables.extend(program.tables.iter().map(|table| moved_table(table, &bases)));
        for action in &program.actions {
            let mut action = action.clone();
            for instruction in &mut action.code {
                *instruction = moved(*instruction, part, &bases).map_err(|(what, number)| {
                    let object = format!("action `{}`", action.name);
                    LowerError::NoSuchObject { object, what, number }
                })?;
            }
            all.actions.push(action);
        }
        let model = |number: u16| number + bases.model as u16;
        all.models.extend(program.models.iter().cloned());
        all.tensors.extend(program.tensors.iter().cloned().map(|mut tensor| {
            tensor.model = model(tensor.model);
            tensor
        }));
        all.scales.extend(program.scales.iter().cloned().map(|mut scale| {
            scale.model = model(scale.model);
            scale
        }));
        all.windows.extend(program.windows.iter().cloned());
        all.forests.extend(program.forests.iter().cloned().map(|mut forest| {
            forest.model = model(forest.model);
            forest
        }));
    }
    Ok(all)
}

fn moved_table(table: &Table, bases: &Bases) -> Table {
    let mut table = table.clone();
    let action = |number: &mut u16| *number = number.saturating_add(bases.action as u16);
    table.actions.iter_mut().for_each(action);
    let call = |call: &mut ActionCall| action(&mut call.action);
    table.default.iter_mut().for_each(call);
    table.entries.iter_mut().for_each(|entry| call(&mut entry.call));
    table
}

/// An instruction with the numbers that its objects have on the card; what does not exist as
/// error.
fn moved(
    instruction: Instruction,
    part: &Part<'_>,
    bases: &Bases,
) -> Result<Instruction, (&'static str, usize)> {
    let mut word = instruction.encode();
    for operand in instruction.info().operands {
        let bits = operand.slot.extract(word);
        let number = bits as usize;
        let context = |number: usize| {
            part.contexts.get(number).map(|plan| plan.number as usize).ok_or(("context", number))
        };
        let new = match operand.kind {
            OperandKind::TableId => number + bases.table,
            OperandKind::ContextId => context(number)?,
            // The store stands above the eight bits of the field.
            OperandKind::FieldRef => context(number >> 8)? << 8 | number & 0xff,
            OperandKind::MapId => part.maps.get(number).ok_or(("map", number))?.number as usize,
            OperandKind::TensorId => number + bases.tensor,
            // All ones stand for no bias.
            OperandKind::Bias if operand.slot.insert(bits) != operand.slot.insert(u64::MAX) => {
                number + bases.tensor
            }
            OperandKind::ScaleId => number + bases.scale,
            OperandKind::ForestId => number + bases.forest,
            OperandKind::WindowId => number + bases.window,
            _ => continue,
        };
        let moved = operand.slot.insert(new as u64);
        if operand.slot.extract(moved) != new as u64 {
            return Err(("object", new));
        }
        word = word & !operand.slot.insert(u64::MAX) | moved;
    }
    // Only numbers changed, each within its slot.
    Instruction::decode(word).map_err(|_| ("object", 0))
}
