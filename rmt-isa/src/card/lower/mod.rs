//! A program becomes the host writes that install it on a card.
//!
//! `lower` checks that the card has what the program needs, gives every object its place,
//! and writes: hold events, code, parameters, tables, entries, contexts, maps, models, the
//! slot, commit. Whatever an earlier program left in the tables is cleared.

mod context;
mod error;
mod maps;
mod tables;

pub use context::{FieldPlan, StorePlan};
pub use error::LowerError;
pub use maps::MapPlan;
pub use tables::{EntryStores, SlotValue, ordered_slot_writes};

use super::HostWrite;
use super::fields::{control_commit, control_slot, control_watchdog};
use super::models::lower_models;
use super::regions::{CONTROL, ENGINE_BASE, PROGRAM};
use super::shape::{CardShape, FIRST_SLOT_WORD, SLOTS};
use crate::instruction::Instruction;
use crate::operand::Operand;
use crate::program::{Ordering, Program};

/// Cycles after which an event is ended, until the host writes another limit.
pub const DEFAULT_WATCHDOG_CYCLES: u32 = 1 << 20;

/// A program as it stands on a card.
#[derive(Clone, Debug)]
pub struct CardImage {
    /// The writes that install it, in order. The first one holds events back: before the second
    /// one, those that run must have ended. The last one is the commit.
    pub writes: Vec<HostWrite>,
    /// First instruction of each action.
    pub action_starts: Vec<u16>,
    /// Where the entries of tables stand.
    pub entries: EntryStores,
    /// Where the records of context stores stand.
    pub contexts: Vec<StorePlan>,
    /// Where maps stand.
    pub maps: Vec<MapPlan>,
}

/// What [`lower`] works on.
struct Lowering<'a> {
    program: &'a Program,
    shape: &'a CardShape,
    writes: Vec<HostWrite>,
}

impl Lowering<'_> {
    fn write(&mut self, address: u32, value: u64) {
        self.writes.push(HostWrite { address, value });
    }
}

/// The writes that install a program.
///
/// `program` has passed the verifier, which also computed `ordering`.
///
/// # Errors
/// [`LowerError`] when the card lacks something that the program needs; it names the object,
/// what the card has, what is needed, and what would help.
pub fn lower(
    program: &Program,
    ordering: Ordering,
    shape: &CardShape,
) -> Result<CardImage, LowerError> {
    shape.check()?;
    let mut lowering = Lowering { program, shape, writes: Vec::new() };
    lowering.write(CONTROL.word(0), control_commit::HOLD.insert(1));
    let action_starts = lowering.code()?;
    let entries = lowering.tables(&action_starts)?;
    let contexts = lowering.contexts()?;
    let maps = lowering.maps()?;
    for write in lower_models(program, &shape.engine)? {
        lowering.write(ENGINE_BASE + write.address, write.value);
    }
    let limit = control_watchdog::LIMIT.insert(DEFAULT_WATCHDOG_CYCLES.into());
    lowering.write(CONTROL.word(1), limit);
    lowering.write(CONTROL.word(FIRST_SLOT_WORD), slot_word(program, ordering));
    for slot in 1..SLOTS {
        lowering.write(CONTROL.word(FIRST_SLOT_WORD + slot), 0);
    }
    lowering.write(CONTROL.word(0), control_commit::COMMIT.insert(1));
    Ok(CardImage { writes: lowering.writes, action_starts, entries, contexts, maps })
}

/// The slot of a program whose tables begin at 0.
fn slot_word(program: &Program, ordering: Ordering) -> u64 {
    let sets = program.contexts.iter().map(|context| context.capacity / 4).min().unwrap_or(1);
    let number = match ordering {
        Ordering::Pure => 0,
        Ordering::PerKey => 1,
        Ordering::Total => 2,
    };
    control_slot::ENABLE.insert(1)
        | control_slot::ORDERING.insert(number)
        | control_slot::HOOK.insert(program.hook.number.into())
        | control_slot::LOCK_MASK.insert(u64::from(sets.max(1)) - 1)
}

impl Lowering<'_> {
    /// Writes all actions one behind the other; the result is where each begins.
    fn code(&mut self) -> Result<Vec<u16>, LowerError> {
        let needed: usize = self.program.actions.iter().map(|action| action.code.len()).sum();
        let has = self.shape.program_words;
        if needed > has as usize {
            return Err(LowerError::Memory {
                object: "the actions".into(),
                needed,
                unit: "instructions",
                has,
                parameter: "program_words",
            });
        }
        let mut starts = Vec::new();
        let mut place = 0;
        for action in &self.program.actions {
            starts.push(place as u16);
            for (index, &instruction) in action.code.iter().enumerate() {
                self.check_instruction(&action.name, index, instruction)?;
                self.write(PROGRAM.word(place), instruction.encode());
                place += 1;
            }
        }
        Ok(starts)
    }

    fn check_instruction(
        &self,
        action: &str,
        index: usize,
        instruction: Instruction,
    ) -> Result<(), LowerError> {
        let unsupported = |what: String| LowerError::Instruction {
            action: action.to_owned(),
            index,
            instruction: instruction.to_string(),
            what,
        };
        if !self.shape.executes_opcode(instruction.opcode()) {
            return Err(unsupported(format!("`{}`", instruction.info().mnemonic)));
        }
        for operand in instruction.operands() {
            match operand.value {
                Operand::Helper(helper) if !self.shape.executes_helper(helper) => {
                    return Err(unsupported(format!("the helper `{helper}`")));
                }
                Operand::Lanes(lanes)
                    if lanes.count() > self.shape.engine.vector_lanes as usize =>
                {
                    return Err(LowerError::Memory {
                        object: format!("`{instruction}` of action `{action}`"),
                        needed: lanes.count(),
                        unit: "vector lanes",
                        has: self.shape.engine.vector_lanes,
                        parameter: "engine.vector_lanes",
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
