//! Context stores: sets, records and rings get their places.
//!
//! Fields stand one behind the other, each with the values of all records side by side: the
//! card finds a value with one shift and one sum. Rings take a power of two of words.

use super::{LowerError, Lowering};
use crate::card::fields::{context_field, context_store};
use crate::card::regions::{CONTEXT_SETS, CONTEXTS};
use crate::card::shape::CONTEXT_FIELD_BASE;
use crate::limits::{MAX_CONTEXT_FIELDS, MAX_CONTEXTS, WAYS};
use crate::operand::IntType;
use crate::program::Context;

/// Where a context store stands on the card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlan {
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
#[derive(Default)]
struct Taken {
    sets: u32,
    words: u32,
    heads: u32,
}

impl Lowering<'_> {
    /// Writes the descriptors of all stores and empties their sets.
    pub(super) fn contexts(&mut self) -> Result<Vec<StorePlan>, LowerError> {
        let program = self.program;
        let mut taken = Taken::default();
        let mut plans = Vec::new();
        for context in &program.contexts {
            let plan = self.store(context, &mut taken)?;
            self.write_store(plans.len() as u32, &plan);
            plans.push(plan);
        }
        for number in plans.len()..MAX_CONTEXTS {
            self.write(CONTEXTS.word(number as u32), 0);
        }
        Ok(plans)
    }

    fn store(&self, context: &Context, taken: &mut Taken) -> Result<StorePlan, LowerError> {
        let memory = |needed, unit, has, parameter| LowerError::Memory {
            object: format!("the context stores up to `{}`", context.name),
            needed,
            unit,
            has,
            parameter,
        };
        let (shape, records) = (self.shape, u64::from(context.capacity));
        let sets = context.capacity / WAYS as u32;
        let needed = taken.sets as usize + sets as usize;
        if needed > shape.context_sets as usize {
            return Err(memory(needed, "sets of four records", shape.context_sets, "context_sets"));
        }
        let first_set = taken.sets;
        taken.sets += sets;
        let mut fields = Vec::new();
        for field in &context.fields {
            let shift = field.ring.map_or(0, |depth| u32::from(depth).next_power_of_two().ilog2());
            let words = u64::from(taken.words) + (records << shift);
            if words > shape.context_words.into() {
                return Err(memory(
                    words as usize,
                    "words of fields",
                    shape.context_words,
                    "context_words",
                ));
            }
            let heads = u64::from(taken.heads) + if field.ring.is_some() { records } else { 0 };
            if heads > shape.ring_heads.into() {
                return Err(memory(heads as usize, "ring heads", shape.ring_heads, "ring_heads"));
            }
            fields.push(FieldPlan {
                kind: field.kind,
                ring: field.ring,
                writable: field.writable,
                data: taken.words,
                shift,
                head: taken.heads,
            });
            (taken.words, taken.heads) = (words as u32, heads as u32);
        }
        Ok(StorePlan { first_set, sets, fields })
    }

    fn write_store(&mut self, number: u32, plan: &StorePlan) {
        self.write(
            CONTEXTS.word(number),
            context_store::PRESENT.insert(1)
                | context_store::FIRST_SET.insert(plan.first_set.into())
                | context_store::SET_MASK.insert(u64::from(plan.sets) - 1),
        );
        let fields = CONTEXT_FIELD_BASE + number * MAX_CONTEXT_FIELDS as u32;
        for index in 0..MAX_CONTEXT_FIELDS {
            let word = plan.fields.get(index).map_or(0, |field| field.to_word());
            self.write(CONTEXTS.word(fields + index as u32), word);
        }
        for set in plan.first_set..plan.first_set + plan.sets {
            self.write(CONTEXT_SETS.word(set), 0);
        }
    }
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
