//! The whole state as data that a state can be made of again: to keep it over a restart, and to
//! carry it from one engine to another.
//!
//! A [`Snapshot`] holds what decides how a state behaves from now on, entry handles among it. It
//! may come from a file or from a card, so everything in it is checked. [`Contents`] is the part
//! that events write.

use std::sync::Arc;

use rmt_isa::Program;
use rmt_isa::limits::WAYS;
use rmt_isa::program::{ActionCall, Entry, MapKind};
use serde::{Deserialize, Serialize};

use super::dump::{MapValues, SetDump, dump_call, dump_context, dump_map};
use super::sets::{Set, Sets};
use super::{
    ContextStore, EntryHandle, FieldValue, LoadError, MapStore, ModelError, ModelObjects, State,
    Table, TableError,
};

/// A state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Tables, by number.
    pub tables: Vec<TableSnapshot>,
    /// Objects of each model, by number.
    pub models: Vec<ModelObjects>,
    /// What events write.
    pub contents: Contents,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSnapshot {
    /// What runs when no entry matches.
    pub default: Option<ActionCall>,
    /// Entries in the order in which they were added.
    pub entries: Vec<(EntryHandle, Entry)>,
    /// The handle of the next entry that is added.
    pub next_handle: u64,
}

/// Records of all context stores and values of all maps, as a [`super::StateDump`] has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Sets that hold a record, for each context store.
    pub contexts: Vec<Vec<SetDump<Vec<FieldValue>>>>,
    /// Values of each map.
    pub maps: Vec<MapValues>,
}

/// Why a snapshot is none of this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The program itself cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A table does not take its entries.
    #[error("the snapshot does not fit the program: {0}")]
    Table(#[from] TableError),
    /// A model does not fit.
    #[error("the snapshot does not fit the program: {0}")]
    Model(#[from] ModelError),
    /// Something else.
    #[error(
        "the snapshot does not fit the program: {what}: {reason}; use the one that was taken of this program"
    )]
    Content {
        /// Which object.
        what: String,
        /// What is wrong.
        reason: String,
    },
}

fn content(what: impl Into<String>, reason: impl Into<String>) -> SnapshotError {
    SnapshotError::Content { what: what.into(), reason: reason.into() }
}

impl State {
    /// The state as data.
    pub fn snapshot(&self) -> Snapshot {
        let names = &self.program().models;
        let now = Program {
            models: names.clone(),
            tensors: self.models.tensors().to_vec(),
            scales: self.models.scales().to_vec(),
            forests: self.models.forests().to_vec(),
            ..Program::default()
        };
        Snapshot {
            tables: self.tables.iter().map(Table::snapshot).collect(),
            models: names.iter().map(|name| ModelObjects::of_program(&now, name)).collect(),
            contents: self.contents(),
        }
    }

    /// What events have written.
    pub fn contents(&self) -> Contents {
        Contents {
            contexts: self.contexts.iter().map(dump_context).collect(),
            maps: self.maps.iter().map(dump_map).collect(),
        }
    }

    /// The state of a snapshot, which behaves as the one that it was taken of.
    ///
    /// # Errors
    /// [`SnapshotError`] when it does not fit the program.
    pub fn of_snapshot(program: Arc<Program>, snapshot: &Snapshot) -> Result<Self, SnapshotError> {
        let mut state = Self::new(program.clone())?;
        same_count("tables", program.tables.len(), snapshot.tables.len())?;
        same_count("models", program.models.len(), snapshot.models.len())?;
        for (number, table) in snapshot.tables.iter().enumerate() {
            state.tables[number] = Table::of_snapshot(&program, number, table)?;
        }
        for (name, objects) in program.models.iter().zip(&snapshot.models) {
            state.models.swap(&program.models, name, objects.clone())?;
        }
        state.replace_contents(&snapshot.contents)?;
        Ok(state)
    }

    /// Puts other contents in place of those that are there: all of them, or none.
    ///
    /// # Errors
    /// [`SnapshotError::Content`]; nothing is changed then.
    pub fn replace_contents(&mut self, contents: &Contents) -> Result<(), SnapshotError> {
        let (contexts, maps) = self.contents_of(contents)?;
        // In place: engines keep pointers to stores and their records.
        for (store, new) in self.contexts.iter_mut().zip(&contexts) {
            store.copy_from(new);
        }
        for (map, new) in self.maps.iter_mut().zip(maps) {
            *map = new;
        }
        Ok(())
    }

    fn contents_of(
        &self,
        contents: &Contents,
    ) -> Result<(Vec<ContextStore>, Vec<MapStore>), SnapshotError> {
        let program = self.program();
        same_count("contexts", program.contexts.len(), contents.contexts.len())?;
        same_count("maps", program.maps.len(), contents.maps.len())?;
        let mut contexts = Vec::new();
        for (number, (declared, dump)) in
            program.contexts.iter().zip(&contents.contexts).enumerate()
        {
            let what = || format!("context `{}`", declared.name);
            let mut store = ContextStore::new(declared);
            for set in dump {
                let slots = place_set(store.sets_mut(), set, true)
                    .map_err(|reason| content(what(), reason))?;
                for (slot, way) in slots.into_iter().zip(&set.ways) {
                    self.check_record(number, &way.value)
                        .map_err(|error| content(what(), error.to_string()))?;
                    store.write_record(slot, &way.value);
                }
            }
            contexts.push(store);
        }
        let maps = program.maps.iter().zip(&contents.maps).map(|(declared, values)| {
            let mut map = MapStore::new(declared);
            map.restore_values(values)
                .map_err(|reason| content(format!("map `{}`", declared.name), reason))?;
            Ok(map)
        });
        Ok((contexts, maps.collect::<Result<_, SnapshotError>>()?))
    }
}

fn same_count(what: &str, expected: usize, found: usize) -> Result<(), SnapshotError> {
    match expected == found {
        true => Ok(()),
        false => Err(content(what, format!("{found} are given, the program has {expected}"))),
    }
}

/// Fills one set; the slots of its ways, in the order given.
fn place_set<T>(sets: &mut Sets, dump: &SetDump<T>, ordered: bool) -> Result<Vec<usize>, String> {
    let number = dump.set as usize;
    let mut set = Set::default();
    let by_way: Vec<u8> = dump.ways.iter().map(|way| way.way).collect();
    // The last one that is placed is the most recently used.
    let order = if ordered { &dump.order } else { &by_way };
    if order.len() != dump.ways.len() {
        return Err(format!("set {number} orders other ways than it has"));
    }
    for way in order.iter().rev() {
        let named = dump.ways.iter().find(|named| named.way == *way);
        let named = named.ok_or_else(|| format!("set {number} orders way {way}, which is free"))?;
        let free = usize::from(*way) < WAYS && set.key(usize::from(*way)).is_none();
        let new = set.order().iter().all(|&used| set.key(used.into()) != Some(named.key));
        if !free || !new || number >= sets.sets().len() || sets.set_of(named.key) != number {
            return Err(format!("key {} cannot stand in way {way} of set {number}", named.key));
        }
        set.occupy(usize::from(*way), named.key);
    }
    sets.restore(number, set);
    Ok(dump.ways.iter().map(|way| number * WAYS + usize::from(way.way)).collect())
}

impl MapStore {
    /// Fills an empty map with what a dump of one like it holds.
    fn restore_values(&mut self, dump: &MapValues) -> Result<(), String> {
        let kind = self.kind();
        let capacity = self.stored_values().len();
        match (kind, dump) {
            (MapKind::Array | MapKind::Histogram, MapValues::Indexed(values)) => {
                for &(index, value) in values {
                    self.restore_value(index as usize, value)?;
                }
            }
            (MapKind::Hash | MapKind::LruHash, MapValues::Hashed(sets)) => {
                for set in sets {
                    let slots = place_set(self.sets_mut(), set, kind == MapKind::LruHash)?;
                    for (slot, way) in slots.into_iter().zip(&set.ways) {
                        self.restore_value(slot, way.value)?;
                    }
                }
            }
            (MapKind::RingBuffer, MapValues::Ring { pushed, values }) => {
                let left = (*pushed).min(capacity as u64);
                if values.len() as u64 != left {
                    return Err(format!("{} values are given of {left}", values.len()));
                }
                for (age, &value) in (0..).zip(values) {
                    let place = (pushed - 1 - age) % capacity as u64;
                    self.restore_value(place as usize, value)?;
                }
                self.set_pushed(*pushed);
            }
            _ => return Err(format!("the values are not those of a {kind:?}")),
        }
        Ok(())
    }
}

impl Table {
    fn snapshot(&self) -> TableSnapshot {
        let entries = self.entries().into_iter();
        TableSnapshot {
            default: self.default_action().map(dump_call),
            entries: entries.map(|(handle, entry)| (handle, entry.clone())).collect(),
            next_handle: self.next_handle(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Options, Step, verified_case};
    use crate::interpreter::Machine;

    /// Half of a case's steps on a machine, the other half on it and on one of its snapshot.
    #[test]
    fn a_state_of_a_snapshot_behaves_as_the_one_it_was_taken_of() {
        for seed in 0..60 {
            let case = verified_case(seed, &Options::default());
            let mut machine = Machine::new(&case.program).unwrap();
            let step = |machine: &mut Machine, step: &Step| match step {
                Step::Event(event) => format!("{:?}", machine.run(event)),
                Step::Commit(changes) => format!("{:?}", machine.state_mut().commit(changes)),
            };
            let (first, second) = case.steps.split_at(case.steps.len() / 2);
            first.iter().for_each(|s| _ = step(&mut machine, s));
            let text = serde_json::to_string(&machine.state().snapshot()).unwrap();
            let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
            let program = machine.state().program().clone();
            let mut other = Machine::of_state(State::of_snapshot(program, &snapshot).unwrap());
            for s in second {
                assert_eq!(step(&mut machine, s), step(&mut other, s), "seed {seed}");
            }
            assert_eq!(machine.state().dump().first_difference(&other.state().dump()), None);
            // The contents alone, into a state that held others.
            other.state_mut().replace_contents(&snapshot.contents).unwrap();
            assert_eq!(other.state().contents(), snapshot.contents);
        }
    }

    #[test]
    fn a_snapshot_of_something_else_is_refused_and_changes_nothing() {
        let mut refused = 0;
        for seed in 0..40 {
            let case = verified_case(seed, &Options::default());
            let mut machine = Machine::new(&case.program).unwrap();
            for step in &case.steps {
                if let Step::Event(event) = step {
                    machine.run(event);
                }
            }
            let before = machine.state().snapshot();
            let mut bad = before.contents.clone();
            let broken = match (bad.contexts.iter_mut().flatten().next(), bad.maps.pop()) {
                (Some(set), map) => {
                    bad.maps.extend(map);
                    set.ways[0].key ^= 1 << 40;
                    set.ways[0].way = 7;
                    true
                }
                (None, map) => map.is_some(),
            };
            if broken {
                refused += 1;
                machine.state_mut().replace_contents(&bad).unwrap_err();
                assert_eq!(machine.state().snapshot(), before);
            }
        }
        assert!(refused > 10, "{refused}");
    }
}
