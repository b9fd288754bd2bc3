//! Tables, their entries and the parameters of both.

use std::collections::HashMap;

use super::{LowerError, Lowering};
use crate::card::HostWrite;
use crate::card::fields::{key_field, match_slot, table_default};
use crate::card::matching::{MatchKey, MatchStore};
use crate::card::ordered::{OrderedEntry, OrderedStore, words_of};
use crate::card::regions::{MATCH, PARAMETERS, RANGE, Region, TABLES, TERNARY};
use crate::card::shape::{KEY_FIELD_BITS, ORDERED_SLOT_WORD, ORDERED_SLOT_WORDS};
use crate::limits::MAX_PARAMETERS;
use crate::program::{ActionCall, Entry, KeySource, MatchKind, Matcher, Table};

/// What an entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotValue {
    /// First instruction of the action.
    pub start: u16,
    /// Row of its parameters.
    pub parameters: u16,
}

/// Where the entries of all tables stand.
#[derive(Clone, Debug)]
pub struct EntryStores {
    /// Those of exact tables.
    pub exact: MatchStore<SlotValue>,
    /// Those of longest prefix and ternary tables.
    pub ternary: OrderedStore<SlotValue>,
    /// Those of range tables.
    pub ranges: OrderedStore<SlotValue>,
}

impl SlotValue {
    /// The word that stores a slot with an entry of a table.
    fn slot_word(self, table: u8) -> u64 {
        match_slot::PRESENT.insert(1)
            | match_slot::TABLE.insert(table.into())
            | match_slot::START.insert(self.start.into())
            | match_slot::PARAMETERS.insert(self.parameters.into())
    }
}

/// Rows of parameters that are in use; equal rows are shared.
struct Rows {
    places: HashMap<[u64; MAX_PARAMETERS], u16>,
    capacity: u32,
}

impl Lowering<'_> {
    /// Writes descriptors, entries and parameters of all tables.
    pub(super) fn tables(&mut self, starts: &[u16]) -> Result<EntryStores, LowerError> {
        let (program, shape) = (self.program, self.shape);
        if program.tables.len() > shape.tables as usize {
            return Err(LowerError::Memory {
                object: "the tables".into(),
                needed: program.tables.len(),
                unit: "descriptors",
                has: shape.tables,
                parameter: "tables",
            });
        }
        let mut rows = Rows { places: HashMap::new(), capacity: shape.parameter_rows };
        let mut stores = EntryStores {
            exact: MatchStore::new(shape.match_key_bits, shape.match_buckets),
            ternary: OrderedStore::new(shape.ternary_slots),
            ranges: OrderedStore::new(shape.range_slots),
        };
        for (number, table) in program.tables.iter().enumerate() {
            self.check_table(table)?;
            self.write(TABLES.word(2 * number as u32), key_word(table));
            let default = match &table.default {
                None => table_default::PRESENT.insert(1),
                Some(call) => {
                    let value = self.call(table, call, starts, &mut rows)?;
                    table_default::PRESENT.insert(1)
                        | table_default::HAS_DEFAULT.insert(1)
                        | table_default::START.insert(value.start.into())
                        | table_default::PARAMETERS.insert(value.parameters.into())
                }
            };
            self.write(TABLES.word(2 * number as u32 + 1), default);
            for (place, entry) in table.entries.iter().enumerate() {
                let value = self.call(table, &entry.call, starts, &mut rows)?;
                stores.insert(table, number as u8, (place, entry), value)?;
            }
        }
        for number in program.tables.len() as u32..shape.tables {
            self.write(TABLES.word(2 * number + 1), 0);
        }
        self.exact_slots(&stores.exact);
        self.ordered_slots(TERNARY, &stores.ternary);
        self.ordered_slots(RANGE, &stores.ranges);
        Ok(stores)
    }

    fn check_table(&self, table: &Table) -> Result<(), LowerError> {
        let (bits, has) = (table.key_bits(), self.shape.match_key_bits);
        if bits > has {
            return Err(LowerError::KeyWidth { table: table.name.clone(), bits, has });
        }
        Ok(())
    }

    fn call(
        &mut self,
        table: &Table,
        call: &ActionCall,
        starts: &[u16],
        rows: &mut Rows,
    ) -> Result<SlotValue, LowerError> {
        let number = usize::from(call.action);
        let start = *starts.get(number).ok_or_else(|| LowerError::NoSuchObject {
            object: format!("table `{}`", table.name),
            what: "action",
            number,
        })?;
        let mut row = [0; MAX_PARAMETERS];
        for (place, &value) in row.iter_mut().zip(&call.parameters) {
            *place = value;
        }
        if let Some(&parameters) = rows.places.get(&row) {
            return Ok(SlotValue { start, parameters });
        }
        let parameters = rows.places.len() as u32;
        if parameters >= rows.capacity {
            return Err(LowerError::Memory {
                object: format!("the entries up to table `{}`", table.name),
                needed: parameters as usize + 1,
                unit: "rows of parameters",
                has: rows.capacity,
                parameter: "parameter_rows",
            });
        }
        rows.places.insert(row, parameters as u16);
        for (index, value) in row.into_iter().enumerate() {
            self.write(PARAMETERS.word(4 * parameters + index as u32), value);
        }
        Ok(SlotValue { start, parameters: parameters as u16 })
    }

    /// Writes every slot, the free ones too: an earlier program may have filled them.
    fn exact_slots(&mut self, store: &MatchStore<SlotValue>) {
        for (number, occupant) in store.slots().iter().enumerate() {
            let slot = MATCH.word(4 * number as u32);
            let word = match occupant {
                None => 0,
                Some(occupant) => {
                    self.write(slot, occupant.key.key as u64);
                    self.write(slot + 1, (occupant.key.key >> 64) as u64);
                    occupant.value.slot_word(occupant.key.table)
                }
            };
            self.write(slot + 2, word);
        }
    }

    /// The same for an ordered store.
    fn ordered_slots(&mut self, region: Region, store: &OrderedStore<SlotValue>) {
        for (number, slot) in store.slots().iter().enumerate() {
            self.writes.extend(ordered_slot_writes(region, number, slot.as_ref()));
        }
    }
}

/// The writes that put an entry into slot `number` of an ordered store (`region` is `TERNARY`
/// or `RANGE`), or empty it. The card stores the slot at the last one.
pub fn ordered_slot_writes(
    region: Region,
    number: usize,
    entry: Option<&OrderedEntry<SlotValue>>,
) -> Vec<HostWrite> {
    let first = region.word(ORDERED_SLOT_WORDS * number as u32);
    let mut writes = Vec::new();
    let mut write = |index, value| writes.push(HostWrite { address: first + index, value });
    if let Some(OrderedEntry { words, .. }) = entry {
        for (index, number) in [(0, words.first), (2, words.second)] {
            write(index, number as u64);
            write(index + 1, (number >> 64) as u64);
        }
    }
    let word = entry.map_or(0, |entry| entry.value.slot_word(entry.table));
    write(ORDERED_SLOT_WORD, word);
    writes
}

impl EntryStores {
    /// Gives an entry of a table a slot.
    fn insert(
        &mut self,
        table: &Table,
        number: u8,
        (place, entry): (usize, &Entry),
        value: SlotValue,
    ) -> Result<(), LowerError> {
        let Some((words, strength)) = words_of(table, &entry.matcher, entry.priority) else {
            let Matcher::Exact { key } = entry.matcher else { return Ok(()) };
            let key = MatchKey { table: number, key };
            return self.exact.insert(key, value).map(drop).ok_or_else(|| LowerError::NoSlot {
                table: table.name.clone(),
                entry: place,
                filled: self.exact.slots().iter().flatten().count(),
                slots: self.exact.slots().len(),
            });
        };
        let (store, unit, parameter) = match table.kind {
            MatchKind::Range => (&mut self.ranges, "slots of range entries", "range_slots"),
            _ => (&mut self.ternary, "slots of prefix and ternary entries", "ternary_slots"),
        };
        let entry = OrderedEntry { table: number, strength, words, value };
        store.insert(entry).map(drop).ok_or_else(|| LowerError::Memory {
            object: format!("the tables up to entry {place} of `{}`", table.name),
            needed: store.slots().len() + 1,
            unit,
            has: store.slots().len() as u32,
            parameter,
        })
    }
}

/// Word 0 of a table's descriptor.
fn key_word(table: &Table) -> u64 {
    table.key.iter().enumerate().fold(0, |word, (index, field)| {
        let (argument, place) = match field.source {
            KeySource::Event { offset } => (0, offset),
            KeySource::Argument { register } => (1, register),
        };
        let bits = key_field::PRESENT.insert(1)
            | key_field::ARGUMENT.insert(argument)
            | key_field::KIND.insert(field.kind as u64)
            | key_field::PLACE.insert(place.into());
        word | bits << (KEY_FIELD_BITS as usize * index)
    })
}
