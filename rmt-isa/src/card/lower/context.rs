//! Context stores: sets, records and rings get their places.
//!
//! Fields stand one behind the other, each with the values of all records side by side: the
//! card finds a value with one shift and one sum. Rings take a power of two of words.

use super::gaps::Gaps;
use super::{LowerError, StateUnit};
use crate::card::HostWrite;
use crate::card::fields::{context_field, context_store};
use crate::card::regions::{CONTEXT_SETS, CONTEXTS};
use crate::card::shape::{CONTEXT_FIELD_BASE, CardShape};
use crate::limits::{MAX_CONTEXT_FIELDS, MAX_CONTEXTS, WAYS};
use crate::operand::IntType;
use crate::program::Context;

/// Where a context store stands on the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlan {
    /// Its number on the card.
    pub number: u32,
    /// First set.
    pub first_set: u32,
    /// Sets.
    pub sets: u32,
    /// Fields in order of declaration.
    pub fields: Vec<FieldPlan>,
}

/// Where a field of all records of a store stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldPlan {
    /// Type of a value.
    pub kind: IntType,
    /// `Some(depth)` for a history ring.
    pub ring: Option<u16>,
    /// Whether actions may write it.
    pub writable: bool,
    /// First word in the context data.
    pub data: u32,
    /// Binary logarithm of the words that one record takes.
    pub shift: u32,
    /// First ring head.
    pub head: u32,
}

/// How much of the card's context memories is taken.
pub(super) struct ContextGaps {
    numbers: Gaps,
    sets: Gaps,
    words: Gaps,
    heads: Gaps,
}

impl ContextGaps {
    pub(super) fn new(shape: &CardShape) -> Self {
        Self {
            numbers: Gaps::new(MAX_CONTEXTS as u32),
            sets: Gaps::new(shape.context_sets),
            words: Gaps::new(shape.context_words),
            heads: Gaps::new(shape.ring_heads),
        }
    }

    /// Marks what a store takes.
    pub(super) fn reserve(&mut self, plan: &StorePlan) {
        self.numbers.reserve(plan.number, 1);
        self.sets.reserve(plan.first_set, plan.sets);
        let records = plan.sets * WAYS as u32;
        for field in &plan.fields {
            self.words.reserve(field.data, records << field.shift);
            if field.ring.is_some() {
                self.heads.reserve(field.head, records);
            }
        }
    }

    /// Gives a store its places.
    pub(super) fn place(&mut self, context: &Context) -> Result<StorePlan, LowerError> {
        let memory = |unit, parameter, has| {
            move |needed| LowerError::Memory {
                object: format!("the context stores up to `{}`", context.name),
                needed,
                unit,
                has,
                parameter,
            }
        };
        let number = self.numbers.take(1).map_err(|needed| LowerError::Stores {
            store: context.name.clone(),
            needed,
            has: MAX_CONTEXTS,
        })?;
        let records = u64::from(context.capacity);
        let sets = context.capacity / WAYS as u32;
        let (has, parameter) = (self.sets.size(), "context_sets");
        let first_set =
            self.sets.take(sets.into()).map_err(memory("sets of four records", parameter, has))?;
        let mut fields = Vec::new();
        for field in &context.fields {
            let shift = field.ring.map_or(0, |depth| u32::from(depth).next_power_of_two().ilog2());
            let has = self.words.size();
            let data = (self.words.take(records << shift)).map_err(memory(
                "words of fields",
                "context_words",
                has,
            ))?;
            let has = self.heads.size();
            let heads = if field.ring.is_some() { records } else { 0 };
            let head = self.heads.take(heads).map_err(memory("ring heads", "ring_heads", has))?;
            let (kind, ring, writable) = (field.kind, field.ring, field.writable);
            // A field that is no ring has no head.
            let head = if ring.is_some() { head } else { 0 };
            fields.push(FieldPlan { kind, ring, writable, data, shift, head });
        }
        Ok(StorePlan { number, first_set, sets, fields })
    }
}

/// The descriptors of a store, or of none, and the writes that empty it.
pub(super) fn store_unit(number: u32, plan: Option<&StorePlan>) -> StateUnit {
    let write = |address, value| HostWrite { address, value };
    let store = plan.map_or(0, |plan| {
        context_store::PRESENT.insert(1)
            | context_store::FIRST_SET.insert(plan.first_set.into())
            | context_store::SET_MASK.insert(u64::from(plan.sets) - 1)
    });
    let mut descriptors = vec![write(CONTEXTS.word(number), store)];
    let first = CONTEXT_FIELD_BASE + number * MAX_CONTEXT_FIELDS as u32;
    for index in 0..MAX_CONTEXT_FIELDS {
        let field = plan.and_then(|plan| plan.fields.get(index));
        let word = field.map_or(0, |field| field.to_word());
        descriptors.push(write(CONTEXTS.word(first + index as u32), word));
    }
    let sets = plan.map_or(0..0, |plan| plan.first_set..plan.first_set + plan.sets);
    StateUnit { descriptors, clears: sets.map(|set| write(CONTEXT_SETS.word(set), 0)).collect() }
}

impl FieldPlan {
    /// The field's descriptor.
    fn to_word(self) -> u64 {
        let depth = self.ring.unwrap_or(1).max(1);
        context_field::PRESENT.insert(1)
            | context_field::RING.insert(self.ring.is_some().into())
            | context_field::WRITABLE.insert(self.writable.into())
            | context_field::KIND.insert(self.kind as u64)
            | context_field::SHIFT.insert(self.shift.into())
            | context_field::LAST_PLACE.insert(u64::from(depth) - 1)
            | context_field::DATA.insert(self.data.into())
            | context_field::HEAD.insert(self.head.into())
    }
}
