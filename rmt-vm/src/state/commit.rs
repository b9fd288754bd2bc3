//! Commits: lists of changes by the control plane, of which all happen or none.
//!
//! Changes are applied in order. Each one leaves behind how to undo it; when one is refused,
//! those before it are undone in reverse order. An engine commits between two events, so
//! that no event sees half of a list.

use rmt_isa::program::{ActionCall, Entry};
use serde::{Deserialize, Serialize};

use super::context::SavedSet;
use super::map::SavedKey;
use super::{
    EntryHandle, FieldValue, MapStore, ModelError, ModelObjects, State, TableError, table,
};

/// One change by the control plane. Objects are named by their numbers in the program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Add an entry to a table.
    AddEntry {
        /// The table.
        table: u16,
        /// The entry.
        entry: Entry,
    },
    /// Change what an entry runs.
    ChangeEntry {
        /// The table.
        table: u16,
        /// The entry.
        handle: EntryHandle,
        /// What it runs from now on.
        call: ActionCall,
    },
    /// Remove an entry.
    RemoveEntry {
        /// The table.
        table: u16,
        /// The entry.
        handle: EntryHandle,
    },
    /// Set what runs when no entry matches.
    SetDefault {
        /// The table.
        table: u16,
        /// What runs; `None` ends such events as missed.
        call: Option<ActionCall>,
    },
    /// Put new objects in place of a model.
    SwapModel {
        /// Name of the model.
        model: String,
        /// All its objects.
        objects: ModelObjects,
    },
    /// Write the whole record of a key, which becomes the most recently matched of its set.
    PutRecord {
        /// The context store.
        context: u16,
        /// The key.
        key: u64,
        /// One value for each field.
        fields: Vec<FieldValue>,
    },
    /// Forget the record of a key; an absent key is no error.
    RemoveRecord {
        /// The context store.
        context: u16,
        /// The key.
        key: u64,
    },
    /// Set the value of a key of a map, as `map_st` does.
    StoreMap {
        /// The map.
        map: u16,
        /// The key.
        key: u64,
        /// The value.
        value: u64,
    },
    /// Remove a key from a hash map; an absent key is no error.
    RemoveMapKey {
        /// The map.
        map: u16,
        /// The key.
        key: u64,
    },
    /// Make a map as it was at the start.
    ClearMap {
        /// The map.
        map: u16,
    },
}

impl Change {
    /// Whether it is to what events write, the contents of contexts and maps; else it is to what
    /// decides: tables and models.
    pub fn is_to_contents(&self) -> bool {
        match self {
            Self::AddEntry { .. }
            | Self::ChangeEntry { .. }
            | Self::RemoveEntry { .. }
            | Self::SetDefault { .. }
            | Self::SwapModel { .. } => false,
            Self::PutRecord { .. }
            | Self::RemoveRecord { .. }
            | Self::StoreMap { .. }
            | Self::RemoveMapKey { .. }
            | Self::ClearMap { .. } => true,
        }
    }
}

/// What a change answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// The handle of the entry that was added.
    Added(EntryHandle),
    /// Done; for removals: whether there was something to remove.
    Done(bool),
}

/// Why a commit was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("change {} of {total}: {reason}; nothing was changed", place + 1)]
pub struct CommitError {
    /// The change, counted from 0.
    pub place: usize,
    /// Changes in the list.
    pub total: usize,
    /// What is wrong with it.
    pub reason: ChangeError,
}

/// Why one change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// A table refused.
    #[error(transparent)]
    Table(Box<TableError>),
    /// A model was refused.
    #[error(transparent)]
    Model(Box<ModelError>),
    /// There is no such context store or map.
    #[error("there is no {what} {number}: the program has {count}, numbered from 0")]
    NoSuchObject {
        /// Context or map.
        what: &'static str,
        /// The number that was asked for.
        number: u16,
        /// How many there are.
        count: usize,
    },
    /// The fields are not those of the record.
    #[error("context `{context}`: {reason}")]
    Record {
        /// Name of the context store.
        context: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The map took no such value.
    #[error("map `{map}` does not store key {key}: {reason}")]
    MapKey {
        /// Name of the map.
        map: String,
        /// The key.
        key: u64,
        /// Why, and what would be right.
        reason: &'static str,
    },
}

impl From<TableError> for ChangeError {
    fn from(error: TableError) -> Self {
        Self::Table(Box::new(error))
    }
}

impl From<ModelError> for ChangeError {
    fn from(error: ModelError) -> Self {
        Self::Model(Box::new(error))
    }
}

/// How to undo one change.
enum Undo {
    Add { table: usize, handle: EntryHandle },
    Change { table: usize, handle: EntryHandle, call: ActionCall },
    Remove { table: usize, handle: EntryHandle, entry: Entry },
    Default { table: usize, default: Option<table::BoundAction> },
    Swap { model: String, objects: ModelObjects },
    Set { context: usize, saved: SavedSet },
    Key { map: usize, saved: SavedKey },
    Map { map: usize, old: MapStore },
}

impl State {
    /// Applies all changes, or none.
    ///
    /// # Errors
    /// [`CommitError`] with the first change that is refused; the state is as it was.
    pub fn commit(&mut self, changes: &[Change]) -> Result<Vec<Applied>, CommitError> {
        let mut undo = Vec::with_capacity(changes.len());
        let mut applied = Vec::with_capacity(changes.len());
        for (place, change) in changes.iter().enumerate() {
            match self.apply(change) {
                Ok((answer, inverse)) => {
                    applied.push(answer);
                    undo.push(inverse);
                }
                Err(reason) => {
                    undo.into_iter().rev().for_each(|inverse| self.undo(inverse));
                    return Err(CommitError { place, total: changes.len(), reason });
                }
            }
        }
        Ok(applied)
    }

    fn apply(&mut self, change: &Change) -> Result<(Applied, Undo), ChangeError> {
        const DONE: Applied = Applied::Done(true);
        Ok(match change {
            Change::AddEntry { table, entry } => {
                let (program, number) = (self.program().clone(), self.table_number(*table)?);
                let declaration = &program.tables[number];
                let handle = self.tables[number].add(&program, declaration, entry.clone())?;
                (Applied::Added(handle), Undo::Add { table: number, handle })
            }
            Change::ChangeEntry { table, handle, call } => {
                let (program, number) = (self.program().clone(), self.table_number(*table)?);
                let (declaration, handle) = (&program.tables[number], *handle);
                let old =
                    self.tables[number].change(&program, declaration, handle, call.clone())?;
                (DONE, Undo::Change { table: number, handle, call: old })
            }
            Change::RemoveEntry { table, handle } => {
                let (number, handle) = (self.table_number(*table)?, *handle);
                let entry = self.tables[number].remove(handle)?;
                (DONE, Undo::Remove { table: number, handle, entry })
            }
            Change::SetDefault { table, call } => {
                let (program, number) = (self.program().clone(), self.table_number(*table)?);
                let declaration = &program.tables[number];
                let default = self.tables[number].default_action().copied();
                self.tables[number].set_default(&program, declaration, call.clone())?;
                (DONE, Undo::Default { table: number, default })
            }
            Change::SwapModel { model, objects } => {
                let names = &self.program().clone().models;
                let old = self.models.swap(names, model, objects.clone())?;
                (DONE, Undo::Swap { model: model.clone(), objects: old })
            }
            Change::PutRecord { context, key, fields } => {
                let number = self.context_number(*context)?;
                self.check_record(number, fields)?;
                let store = &mut self.contexts[number];
                let saved = store.save_set(store.sets().set_of(*key));
                let (slot, _) = store.match_key(*key);
                store.write_record(slot, fields);
                (DONE, Undo::Set { context: number, saved })
            }
            Change::RemoveRecord { context, key } => {
                let number = self.context_number(*context)?;
                let store = &mut self.contexts[number];
                let saved = store.save_set(store.sets().set_of(*key));
                let there = store.remove_key(*key);
                (Applied::Done(there), Undo::Set { context: number, saved })
            }
            Change::StoreMap { map, key, value } => {
                let number = self.map_number(*map)?;
                let saved = self.maps[number].save(*key);
                if !self.maps[number].store(*key, *value) {
                    return Err(self.map_refusal(number, *key));
                }
                (DONE, Undo::Key { map: number, saved })
            }
            Change::RemoveMapKey { map, key } => {
                let number = self.map_number(*map)?;
                let saved = self.maps[number].save(*key);
                let there = self.maps[number].remove(*key);
                (Applied::Done(there), Undo::Key { map: number, saved })
            }
            Change::ClearMap { map } => {
                let number = self.map_number(*map)?;
                let empty = MapStore::new(&self.program().maps[number]);
                let old = std::mem::replace(&mut self.maps[number], empty);
                (DONE, Undo::Map { map: number, old })
            }
        })
    }

    fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Add { table, handle } => self.tables[table].undo_add(handle),
            Undo::Change { table, handle, call } => self.tables[table].undo_change(handle, call),
            Undo::Remove { table, handle, entry } => self.tables[table].undo_remove(handle, entry),
            Undo::Default { table, default } => self.tables[table].undo_default(default),
            Undo::Swap { model, objects } => {
                self.models.undo_swap(&self.program.models, &model, objects);
            }
            Undo::Set { context, saved } => self.contexts[context].restore_set(&saved),
            Undo::Key { map, saved } => self.maps[map].restore(&saved),
            Undo::Map { map, old } => self.maps[map] = old,
        }
    }

    fn table_number(&self, number: u16) -> Result<usize, ChangeError> {
        let (table, tables) = (usize::from(number), self.tables.len());
        if table < tables {
            Ok(table)
        } else {
            Err(TableError::NoSuchTable { table, tables }.into())
        }
    }

    fn context_number(&self, number: u16) -> Result<usize, ChangeError> {
        object_number("context", number, self.contexts.len())
    }

    fn map_number(&self, number: u16) -> Result<usize, ChangeError> {
        object_number("map", number, self.maps.len())
    }

    pub(super) fn check_record(
        &self,
        context: usize,
        values: &[FieldValue],
    ) -> Result<(), ChangeError> {
        let declaration = &self.program().contexts[context];
        let refuse =
            |reason: String| Err(ChangeError::Record { context: declaration.name.clone(), reason });
        if values.len() != declaration.fields.len() {
            return refuse(format!(
                "{} values were given; give one for each of its {} fields",
                values.len(),
                declaration.fields.len()
            ));
        }
        for (field, value) in declaration.fields.iter().zip(values) {
            let name = &field.name;
            let values = match (field.ring, value) {
                (None, FieldValue::Scalar(value)) => std::slice::from_ref(value),
                (Some(depth), FieldValue::Ring(values)) if values.len() <= depth.into() => values,
                (Some(depth), _) => {
                    return refuse(format!("field `{name}` is a ring; give up to {depth} values"));
                }
                (None, _) => return refuse(format!("field `{name}` is no ring; give one value")),
            };
            if let Some(value) = values.iter().find(|&&value| field.kind.wrap(value) != value) {
                return refuse(format!(
                    "field `{name}`: {value:#x} is no {}, extended to 64 bits",
                    field.kind
                ));
            }
        }
        Ok(())
    }

    fn map_refusal(&self, map: usize, key: u64) -> ChangeError {
        use rmt_isa::program::MapKind;
        let declaration = &self.program().maps[map];
        let reason = match declaration.kind {
            MapKind::Hash => "its set of four is full; remove a key or declare a larger capacity",
            MapKind::RingBuffer => "a ring buffer has no keys; only actions push to it",
            MapKind::Array | MapKind::Histogram | MapKind::LruHash => {
                "keys are 0 to its capacity - 1"
            }
        };
        ChangeError::MapKey { map: declaration.name.clone(), key, reason }
    }
}

fn object_number(what: &'static str, number: u16, count: usize) -> Result<usize, ChangeError> {
    if usize::from(number) < count {
        Ok(number.into())
    } else {
        Err(ChangeError::NoSuchObject { what, number, count })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use rmt_isa::Program;
    use rmt_isa::operand::IntType;
    use rmt_isa::program::{Context, ContextField, Label, Map, MapKind};

    fn state() -> State {
        let field = |name: &str, ring| ContextField {
            name: name.into(),
            kind: IntType::I8,
            ring,
            writable: true,
            label: Label::Public,
        };
        let map = |name: &str, kind| Map {
            name: name.into(),
            kind,
            capacity: 4,
            value: IntType::U16,
            label: Label::Public,
        };
        let program = Program {
            name: "p".into(),
            contexts: vec![Context {
                name: "c".into(),
                capacity: 4,
                fields: vec![field("x", None), field("r", Some(2))],
            }],
            maps: vec![
                map("array", MapKind::Array),
                map("hash", MapKind::Hash),
                map("ring", MapKind::RingBuffer),
            ],
            ..Program::default()
        };
        State::new(Arc::new(program)).unwrap()
    }

    fn record(key: u64, x: u64) -> Change {
        let fields = vec![FieldValue::Scalar(x), FieldValue::Ring(vec![x, 1])];
        Change::PutRecord { context: 0, key, fields }
    }

    #[test]
    fn a_refused_change_undoes_those_before_it() {
        let mut state = state();
        let first = [record(1, 5), Change::StoreMap { map: 1, key: 7, value: 9 }];
        state.commit(&first).unwrap();
        let before = state.clone();
        let list = [
            record(1, 6),
            record(2, 7),
            Change::RemoveRecord { context: 0, key: 1 },
            Change::StoreMap { map: 0, key: 3, value: 1 },
            Change::StoreMap { map: 1, key: 8, value: 1 },
            Change::RemoveMapKey { map: 1, key: 7 },
            Change::ClearMap { map: 1 },
            Change::StoreMap { map: 0, key: 4, value: 1 },
        ];
        let error = state.commit(&list).unwrap_err();
        assert_eq!((error.place, error.total), (7, 8));
        assert!(error.to_string().starts_with("change 8 of 8: map `array` does not store key 4"));
        assert!(state == before);
        // Without the last one all of them are done.
        assert_eq!(state.commit(&list[..7]).unwrap()[2], Applied::Done(true));
        assert!(state != before);
    }

    #[test]
    fn changes_that_do_not_fit_are_refused_with_a_reason() {
        let cases = [
            (record(1, 200), "0xc8 is no i8"),
            (Change::PutRecord { context: 0, key: 1, fields: vec![] }, "one for each of its 2"),
            (
                Change::PutRecord {
                    context: 0,
                    key: 1,
                    fields: vec![FieldValue::Scalar(0), FieldValue::Ring(vec![0; 3])],
                },
                "field `r` is a ring; give up to 2",
            ),
            (
                Change::PutRecord {
                    context: 0,
                    key: 1,
                    fields: vec![FieldValue::Ring(vec![]), FieldValue::Ring(vec![])],
                },
                "field `x` is no ring",
            ),
            (Change::RemoveRecord { context: 1, key: 1 }, "there is no context 1"),
            (Change::ClearMap { map: 3 }, "there is no map 3"),
            (Change::StoreMap { map: 2, key: 0, value: 0 }, "only actions push"),
            (Change::RemoveEntry { table: 0, handle: EntryHandle(0) }, "there is no table 0"),
        ];
        for (change, part) in cases {
            let message = state().commit(&[change]).unwrap_err().to_string();
            assert!(
                message.contains(part) && message.ends_with("nothing was changed"),
                "{message}"
            );
        }
    }

    #[test]
    fn changes_survive_json() {
        let changes = vec![
            record(1, 2),
            Change::AddEntry {
                table: 0,
                entry: Entry {
                    matcher: rmt_isa::program::Matcher::Exact { key: u128::MAX },
                    priority: 0,
                    call: ActionCall { action: 0, parameters: vec![u64::MAX] },
                },
            },
            Change::SwapModel { model: "m".into(), objects: ModelObjects::default() },
        ];
        let text = serde_json::to_string(&changes).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Change>>(&text).unwrap(), changes);
    }
}
