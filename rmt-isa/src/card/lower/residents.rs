//! The programs that stand on a card together, each in a slot.

use super::context::ContextGaps;
use super::link::Part;
use super::maps::MapGaps;
use super::{CardImage, LowerError, MapPlan, Placed, StorePlan, image_of};
use crate::card::shape::{CardShape, SLOTS};
use crate::program::{Ordering, Program};

/// The programs of a card, by slot.
///
/// Contexts and maps of a program keep their places as long as it stays, whatever comes and
/// goes beside it. So another program can be put on the card by a commit
/// ([`BankMirror::update`](crate::card::update::BankMirror::update)) while events of the first
/// one run, and the records of the first one survive.
#[derive(Clone, Debug)]
pub struct Residents {
    shape: CardShape,
    slots: Vec<Option<Resident>>,
}

#[derive(Clone, Debug)]
struct Resident {
    program: Program,
    ordering: Ordering,
    contexts: Vec<StorePlan>,
    maps: Vec<MapPlan>,
}

impl Residents {
    /// A card without programs.
    ///
    /// # Errors
    /// [`LowerError::Shape`] when there is no such card.
    pub fn new(shape: &CardShape) -> Result<Self, LowerError> {
        shape.check()?;
        Ok(Self { shape: shape.clone(), slots: vec![None; SLOTS as usize] })
    }

    /// Puts a program into a slot, in place of the one that is there. When that one declares the
    /// same contexts and maps, their places are kept, and with them all records; else the new
    /// ones stand beside the old ones, which are free from the next call on.
    ///
    /// `program` has passed the verifier, which also computed `ordering`.
    ///
    /// # Errors
    /// [`LowerError`] when its state finds no place, its hook is served by another slot, or
    /// there is no such slot. Nothing has changed then. Whether code, entries and models fit is
    /// found by [`Self::image`].
    pub fn put(
        &mut self,
        slot: u32,
        program: Program,
        ordering: Ordering,
    ) -> Result<(), LowerError> {
        let index = slot as usize;
        if index >= self.slots.len() {
            return Err(LowerError::Slot { slot, has: SLOTS });
        }
        let hook = program.hook.number;
        let other = self.programs().find(|(n, other)| *n != slot && other.hook.number == hook);
        if let Some((slot, _)) = other {
            return Err(LowerError::HookTaken { hook, slot });
        }
        let kept = self.slots[index].take_if(|old| {
            old.program.contexts == program.contexts && old.program.maps == program.maps
        });
        let (contexts, maps) = match kept {
            Some(old) => (old.contexts, old.maps),
            None => self.place(&program)?,
        };
        self.slots[index] = Some(Resident { program, ordering, contexts, maps });
        Ok(())
    }

    /// Takes the program out of a slot.
    pub fn remove(&mut self, slot: u32) -> Option<Program> {
        let resident = self.slots.get_mut(slot as usize)?.take()?;
        Some(resident.program)
    }

    /// The lowest slot without a program.
    pub fn free_slot(&self) -> Option<u32> {
        self.slots.iter().position(Option::is_none).map(|slot| slot as u32)
    }

    /// All programs with their slots.
    pub fn programs(&self) -> impl Iterator<Item = (u32, &Program)> {
        let slots = (0..).zip(&self.slots);
        slots.filter_map(|(slot, resident)| Some((slot, &resident.as_ref()?.program)))
    }

    /// The words of all programs together.
    ///
    /// # Errors
    /// [`LowerError`] when they do not fit the card.
    pub fn image(&self) -> Result<CardImage, LowerError> {
        let placed = (0..).zip(&self.slots).filter_map(|(slot, resident)| {
            let Resident { program, ordering, contexts, maps } = resident.as_ref()?;
            Some(Placed { slot, ordering: *ordering, part: Part { program, contexts, maps } })
        });
        image_of(&placed.collect::<Vec<_>>(), &self.shape)
    }

    /// Places for the state of a program, beside those that are taken.
    fn place(&self, program: &Program) -> Result<(Vec<StorePlan>, Vec<MapPlan>), LowerError> {
        let (mut contexts, mut maps) = (ContextGaps::new(&self.shape), MapGaps::new(&self.shape));
        for resident in self.slots.iter().flatten() {
            resident.contexts.iter().for_each(|plan| contexts.reserve(plan));
            resident.maps.iter().for_each(|plan| maps.reserve(*plan));
        }
        let stores = program.contexts.iter().map(|context| contexts.place(context));
        Ok((stores.collect::<Result<_, _>>()?, maps.place(&program.maps)?))
    }
}
