//! A program becomes the host writes that install it on a card.
//!
//! `lower` checks that the card has what the program needs, gives every object its place,
//! and writes: hold events, code, parameters, tables, entries, contexts, maps, models, the
//! slot, commit. Whatever an earlier program left in the tables is cleared.
//!
//! [`Residents`] does so for several programs side by side: it keeps the places of their
//! state (found by `gaps`), and `link` makes one program of their code, tables and models.

mod context;
mod error;
mod gaps;
mod link;
mod maps;
mod residents;
mod tables;

pub use context::{FieldPlan, StorePlan};
pub use error::LowerError;
pub use maps::MapPlan;
pub use residents::Residents;
pub use tables::{EntryStores, SlotValue, ordered_slot_writes};

use std::ops::Range;

use super::HostWrite;
use super::fields::{control_commit, control_slot, control_watchdog};
use super::models::lower_models;
use super::regions::{CONTROL, ENGINE_BASE, PROGRAM};
use super::shape::{CardShape, FIRST_SLOT_WORD, SLOTS};
use crate::instruction::Instruction;
use crate::limits::MAX_CONTEXTS;
use crate::operand::Operand;
use crate::program::{Ordering, Program};

/// Cycles after which an event is ended, until the host writes another limit.
pub const DEFAULT_WATCHDOG_CYCLES: u32 = 1 << 20;

/// Programs as they stand on a card.
#[derive(Clone, Debug)]
pub struct CardImage {
    /// The writes that install them, in order. The first one holds events back: before the second
    /// one, those that run must have ended. The last one is the commit.
    pub writes: Vec<HostWrite>,
    /// First instruction of each action, program by program.
    pub action_starts: Vec<u16>,
    /// Where the entries of tables stand.
    pub entries: EntryStores,
    /// Where the records of context stores stand, program by program.
    pub contexts: Vec<StorePlan>,
    /// Where maps stand, program by program.
    pub maps: Vec<MapPlan>,
    /// Which of these belong to which program.
    pub programs: Vec<ProgramPlan>,
    /// Descriptors of all contexts and maps that a card has. They are no part of any bank.
    pub state: Vec<StateUnit>,
}

/// What of a [`CardImage`] belongs to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramPlan {
    /// Its slot.
    pub slot: u32,
    /// Its tables, by their numbers on the card.
    pub tables: Range<usize>,
    /// Its actions in [`CardImage::action_starts`].
    pub actions: Range<usize>,
    /// Its stores in [`CardImage::contexts`].
    pub contexts: Range<usize>,
    /// Its maps in [`CardImage::maps`].
    pub maps: Range<usize>,
}

impl CardImage {
    /// What belongs to the program of a slot.
    pub fn program(&self, slot: u32) -> Option<&ProgramPlan> {
        self.programs.iter().find(|plan| plan.slot == slot)
    }
}

/// A context store or map, present or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateUnit {
    /// The writes of its descriptors, all zero when there is none.
    pub descriptors: Vec<HostWrite>,
    /// The writes that empty it.
    pub clears: Vec<HostWrite>,
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

/// The writes that install a program in slot 0, alone.
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
    let mut residents = Residents::new(shape)?;
    residents.put(0, program.clone(), ordering)?;
    residents.image()
}

/// A program with its slot and the places of its state.
struct Placed<'a> {
    slot: u32,
    ordering: Ordering,
    part: link::Part<'a>,
}

/// The image of programs whose state has its places.
fn image_of(placed: &[Placed<'_>], shape: &CardShape) -> Result<CardImage, LowerError> {
    let parts: Vec<_> = placed.iter().map(|placed| placed.part).collect();
    let program = &link::link(&parts)?;
    let mut lowering = Lowering { program, shape, writes: Vec::new() };
    lowering.write(CONTROL.word(0), control_commit::HOLD.insert(1));
    let action_starts = lowering.code()?;
    let entries = lowering.tables(&action_starts)?;
    let contexts: Vec<_> = parts.iter().flat_map(|part| part.contexts).cloned().collect();
    let maps: Vec<_> = parts.iter().flat_map(|part| part.maps).copied().collect();
    let state = state_units(&contexts, &maps, shape);
    for StateUnit { descriptors, clears } in &state {
        lowering.writes.extend(descriptors.iter().chain(clears));
    }
    for write in lower_models(program, &shape.engine)? {
        lowering.write(ENGINE_BASE + write.address, write.value);
    }
    let limit = control_watchdog::LIMIT.insert(DEFAULT_WATCHDOG_CYCLES.into());
    lowering.write(CONTROL.word(1), limit);
    let programs = plans(placed);
    for slot in 0..SLOTS {
        let found = placed.iter().zip(&programs).find(|(placed, _)| placed.slot == slot);
        let word = found.map_or(0, |(placed, plan)| slot_word(placed, plan.tables.start));
        lowering.write(CONTROL.word(FIRST_SLOT_WORD + slot), word);
    }
    lowering.write(CONTROL.word(0), control_commit::COMMIT.insert(1));
    let writes = lowering.writes;
    Ok(CardImage { writes, action_starts, entries, contexts, maps, programs, state })
}

/// What belongs to which program, when they stand one behind the other.
fn plans(placed: &[Placed<'_>]) -> Vec<ProgramPlan> {
    let mut plans: Vec<ProgramPlan> = Vec::new();
    for Placed { slot, part, .. } in placed {
        let behind = |last: fn(&ProgramPlan) -> &Range<usize>, count: usize| {
            let first = plans.last().map_or(0, |plan| last(plan).end);
            first..first + count
        };
        let plan = ProgramPlan {
            slot: *slot,
            tables: behind(|plan| &plan.tables, part.program.tables.len()),
            actions: behind(|plan| &plan.actions, part.program.actions.len()),
            contexts: behind(|plan| &plan.contexts, part.contexts.len()),
            maps: behind(|plan| &plan.maps, part.maps.len()),
        };
        plans.push(plan);
    }
    plans
}

/// All stores and maps that a card can have, by number.
fn state_units(contexts: &[StorePlan], maps: &[MapPlan], shape: &CardShape) -> Vec<StateUnit> {
    let stores = (0..MAX_CONTEXTS as u32).map(|number| {
        context::store_unit(number, contexts.iter().find(|plan| plan.number == number))
    });
    let maps = (0..shape.maps).map(|number| {
        maps::map_unit(number, maps.iter().find(|plan| plan.number == number).copied())
    });
    stores.chain(maps).collect()
}

/// The slot word of a program whose first table has this number.
fn slot_word(placed: &Placed<'_>, first_table: usize) -> u64 {
    let program = placed.part.program;
    let sets = program.contexts.iter().map(|context| context.capacity / 4).min().unwrap_or(1);
    let number = match placed.ordering {
        Ordering::Pure => 0,
        Ordering::PerKey => 1,
        Ordering::Total => 2,
    };
    control_slot::ENABLE.insert(1)
        | control_slot::ORDERING.insert(number)
        | control_slot::FIRST_TABLE.insert(first_table as u64)
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
