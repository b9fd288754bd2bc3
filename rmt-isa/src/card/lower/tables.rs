//! Tables, their entries and the parameters of both.

use std::collections::HashMap;

use super::{LowerError, Lowering};
use crate::card::fields::{key_field, match_slot, table_default};
use crate::card::matching::{MatchKey, MatchStore};
use crate::card::regions::{MATCH, PARAMETERS, TABLES};
use crate::limits::MAX_PARAMETERS;
use crate::program::{ActionCall, KeySource, MatchKind, Matcher, Table};

/// What an entry leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotValue {
    /// First instruction of the action.
    pub start: u16,
    /// Row of its parameters.
    pub parameters: u16,
}

/// Rows of parameters that are in use; equal rows are shared.
struct Rows {
    places: HashMap<[u64; MAX_PARAMETERS], u16>,
    capacity: u32,
}

impl Lowering<'_> {
    /// Writes descriptors, entries and parameters of all tables.
    pub(super) fn tables(&mut self, starts: &[u16]) -> Result<MatchStore<SlotValue>, LowerError> {
        let (program, shape) = (self.program, self.shape);
        if let Some(map) = program.maps.first() {
            return Err(LowerError::Map { map: map.name.clone() });
        }
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
        let mut store = MatchStore::new(shape.match_key_bits, shape.match_buckets);
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
                let Matcher::Exact { key } = entry.matcher else {
                    return Err(LowerError::MatchKind {
                        table: table.name.clone(),
                        kind: table.kind,
                    });
                };
                let key = MatchKey { table: number as u8, key };
                if store.insert(key, value).is_none() {
                    return Err(LowerError::NoSlot {
                        table: table.name.clone(),
                        entry: place,
                        filled: store.slots().iter().flatten().count(),
                        slots: store.slots().len(),
                    });
                }
            }
        }
        for number in program.tables.len() as u32..shape.tables {
            self.write(TABLES.word(2 * number + 1), 0);
        }
        self.slots(&store);
        Ok(store)
    }

    fn check_table(&self, table: &Table) -> Result<(), LowerError> {
        // Without a key only the default action runs, whatever the kind.
        if !table.key.is_empty() && table.kind != MatchKind::Exact {
            return Err(LowerError::MatchKind { table: table.name.clone(), kind: table.kind });
        }
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
    fn slots(&mut self, store: &MatchStore<SlotValue>) {
        for (number, occupant) in store.slots().iter().enumerate() {
            let slot = MATCH.word(4 * number as u32);
            let word = match occupant {
                None => 0,
                Some(occupant) => {
                    self.write(slot, occupant.key.key as u64);
                    self.write(slot + 1, (occupant.key.key >> 64) as u64);
                    match_slot::PRESENT.insert(1)
                        | match_slot::TABLE.insert(occupant.key.table.into())
                        | match_slot::START.insert(occupant.value.start.into())
                        | match_slot::PARAMETERS.insert(occupant.value.parameters.into())
                }
            };
            self.write(slot + 2, word);
        }
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
        word | bits << (16 * index)
    })
}
