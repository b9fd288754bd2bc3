//! The state as plain data: to compare engines bit by bit, to print, to keep as JSON.
//!
//! A dump holds what is architectural and nothing of how an engine stores it: two engines
//! are in the same state exactly when their dumps are equal. Absent keys, free ways and
//! array elements that are zero are left out.

use rmt_isa::arithmetic::crc32c;
use rmt_isa::card::read_back::{MapContent, MapKey};
use rmt_isa::limits::WAYS;
use rmt_isa::program::{ActionCall, Entry, Forest, MapKind, Matcher, Scale, Tensor};
use serde::{Deserialize, Serialize};

use super::sets::Set;
use super::table::BoundAction;
use super::{ContextStore, EntryHandle, FieldValue, MapStore, State};

/// A whole state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDump {
    /// Tables, in the program's order.
    pub tables: Vec<TableDump>,
    /// Context stores, in the program's order.
    pub contexts: Vec<ContextDump>,
    /// Maps, in the program's order.
    pub maps: Vec<MapDump>,
    /// Models, in the program's order.
    pub models: Vec<ModelDump>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDump {
    /// Name.
    pub name: String,
    /// What runs when no entry matches.
    pub default: Option<ActionCall>,
    /// Entries in the order in which they were added.
    pub entries: Vec<EntryDump>,
}

/// An entry of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryDump {
    /// Its handle.
    pub handle: EntryHandle,
    /// What it matches, see [`matcher_text`].
    pub matcher: String,
    /// Its priority.
    pub priority: u32,
    /// What it runs.
    pub call: ActionCall,
}

/// A context store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextDump {
    /// Name.
    pub name: String,
    /// Names of the fields.
    pub fields: Vec<String>,
    /// Sets that hold a record, by number.
    pub sets: Vec<SetDump<Vec<FieldValue>>>,
}

/// One set of four ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetDump<T> {
    /// Number of the set.
    pub set: u32,
    /// The occupied ways, by number.
    pub ways: Vec<WayDump<T>>,
    /// The occupied ways, the most recently used first; empty in hash maps without eviction,
    /// which keep no order.
    pub order: Vec<u8>,
}

/// One way of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WayDump<T> {
    /// Number of the way, 0 to 3.
    pub way: u8,
    /// Its key.
    pub key: u64,
    /// What it holds.
    pub value: T,
}

/// A map. Values are extended to 64 bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapDump {
    /// Name.
    pub name: String,
    /// What it holds.
    pub values: MapValues,
}

/// What a map holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapValues {
    /// Elements of an array or counts of a histogram that are not zero: index and value.
    Indexed(Vec<(u32, u64)>),
    /// Sets of a hash map that hold a key.
    Hashed(Vec<SetDump<u64>>),
    /// A ring buffer.
    Ring {
        /// Values ever pushed.
        pushed: u64,
        /// The values that are left, the newest first.
        values: Vec<u64>,
    },
}

/// A model. Events cannot change it, so that a digest tells enough.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDump {
    /// Name.
    pub name: String,
    /// CRC-32C over the values of its tensors, scales and forests, in the program's order.
    pub digest: u32,
}

/// Where two dumps differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The place, such as `contexts.pages.sets[3].ways[1].value[0].scalar`.
    pub place: String,
    /// What the first dump has there.
    pub left: String,
    /// What the second dump has there.
    pub right: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} against {}", self.place, self.left, self.right)
    }
}

impl State {
    /// The state as plain data.
    pub fn dump(&self) -> StateDump {
        let program = self.program();
        StateDump {
            tables: self.tables.iter().map(dump_table).collect(),
            contexts: self
                .contexts
                .iter()
                .zip(&program.contexts)
                .map(|(store, declaration)| ContextDump {
                    name: declaration.name.clone(),
                    fields: declaration.fields.iter().map(|field| field.name.clone()).collect(),
                    sets: dump_context(store),
                })
                .collect(),
            maps: self
                .maps
                .iter()
                .zip(&program.maps)
                .map(|(map, declaration)| MapDump {
                    name: declaration.name.clone(),
                    values: dump_map(map),
                })
                .collect(),
            models: program
                .models
                .iter()
                .enumerate()
                .map(|(number, name)| ModelDump { name: name.clone(), digest: self.digest(number) })
                .collect(),
        }
    }

    fn digest(&self, model: usize) -> u32 {
        let mine = |owner: u16| usize::from(owner) == model;
        let tensors = self.models.tensors().iter().filter(|t| mine(t.model)).map(tensor_words);
        let scales = self.models.scales().iter().filter(|s| mine(s.model)).map(scale_words);
        let forests = self.models.forests().iter().filter(|f| mine(f.model)).map(forest_words);
        tensors
            .chain(scales)
            .chain(forests)
            .flatten()
            .fold(u32::MAX, |digest, word| crc32c(digest, &word.to_le_bytes()))
    }
}

fn tensor_words(tensor: &Tensor) -> Vec<u64> {
    tensor.values.iter().map(|&value| value as u64).collect()
}

fn scale_words(scale: &Scale) -> Vec<u64> {
    let channels = scale.channels.iter().flat_map(|c| [c.multiplier as u64, c.shift.into()]);
    channels.chain([scale.zero_point as u64]).collect()
}

fn forest_words(forest: &Forest) -> Vec<u64> {
    let roots = forest.roots.iter().map(|&root| root.into());
    roots.chain(forest.nodes.iter().map(|node| node.to_word())).collect()
}

/// A matcher in one line: `exact 0x1f`, `prefix 0x80/1`, `ternary 0x1 mask 0xf`,
/// `range 0x0..=0x7, 0x1..=0x1`. Keys may have 128 bits, which JSON numbers have not.
pub fn matcher_text(matcher: &Matcher) -> String {
    match matcher {
        Matcher::Exact { key } => format!("exact {key:#x}"),
        Matcher::LongestPrefix { key, length } => format!("prefix {key:#x}/{length}"),
        Matcher::Ternary { value, mask } => format!("ternary {value:#x} mask {mask:#x}"),
        Matcher::Range { low, high } => {
            let bounds = low.iter().zip(high).map(|(low, high)| format!("{low:#x}..={high:#x}"));
            format!("range {}", bounds.collect::<Vec<_>>().join(", "))
        }
    }
}

pub(super) fn dump_call(bound: &BoundAction) -> ActionCall {
    ActionCall { action: bound.action() as u16, parameters: bound.parameters().to_vec() }
}

fn dump_table(table: &super::Table) -> TableDump {
    let entry = |(handle, entry): (EntryHandle, &Entry)| {
        let Entry { matcher, priority, call } = entry.clone();
        EntryDump { handle, matcher: matcher_text(&matcher), priority, call }
    };
    TableDump {
        name: table.name().to_owned(),
        default: table.default_action().map(dump_call),
        entries: table.entries().into_iter().map(entry).collect(),
    }
}

pub(super) fn dump_context(store: &ContextStore) -> Vec<SetDump<Vec<FieldValue>>> {
    dump_sets(store.sets().sets(), true, |slot| store.record_values(slot))
}

fn dump_sets<T>(sets: &[Set], ordered: bool, value: impl Fn(usize) -> T) -> Vec<SetDump<T>> {
    let occupied = sets.iter().enumerate().filter(|(_, set)| !set.order().is_empty());
    occupied
        .map(|(number, set)| {
            let way = |way: usize| {
                let key = set.key(way)?;
                Some(WayDump { way: way as u8, key, value: value(number * WAYS + way) })
            };
            let order = if ordered { set.order().to_vec() } else { vec![] };
            SetDump { set: number as u32, ways: (0..WAYS).filter_map(way).collect(), order }
        })
        .collect()
}

/// What a map holds.
pub fn dump_map(map: &MapStore) -> MapValues {
    let values = map.stored_values();
    match map.kind() {
        MapKind::Array | MapKind::Histogram => {
            let indexed = values.iter().enumerate().filter(|(_, value)| **value != 0);
            MapValues::Indexed(indexed.map(|(index, &value)| (index as u32, value)).collect())
        }
        MapKind::Hash | MapKind::LruHash => {
            let ordered = map.kind() == MapKind::LruHash;
            MapValues::Hashed(dump_sets(map.sets().sets(), ordered, |slot| values[slot]))
        }
        MapKind::RingBuffer => MapValues::Ring {
            pushed: map.pushed(),
            values: (0..).map_while(|age| map.peek(age)).collect(),
        },
    }
}

/// What a map of the card holds, see [`rmt_isa::card::read_back::read_map`].
pub fn map_of_card(kind: MapKind, content: MapContent) -> MapValues {
    let keys = match content {
        MapContent::Indexed(values) => {
            let indexed = (0..).zip(values).filter(|(_, value)| *value != 0);
            return MapValues::Indexed(indexed.collect());
        }
        MapContent::Ring { pushed, values } => return MapValues::Ring { pushed, values },
        MapContent::Hashed(keys) => keys,
    };
    let sets = keys.chunk_by(|a, b| a.set == b.set).map(|keys| {
        let way = |key: &MapKey| WayDump { way: key.way as u8, key: key.key, value: key.value };
        let mut ways: Vec<_> = keys.iter().map(way).collect();
        let order = ways.iter().map(|way| way.way).filter(|_| kind == MapKind::LruHash).collect();
        ways.sort_by_key(|way| way.way);
        SetDump { set: keys[0].set, ways, order }
    });
    MapValues::Hashed(sets.collect())
}

impl StateDump {
    /// The dump as JSON, the same text for the same state.
    pub fn to_json(&self) -> serde_json::Value {
        // All keys are strings and all numbers integers: nothing here can fail to convert.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The first place where two dumps differ; `None` when they are equal.
    pub fn first_difference(&self, other: &Self) -> Option<Difference> {
        if self == other {
            return None;
        }
        difference(String::new(), &self.to_json(), &other.to_json())
    }
}

fn difference(
    place: String,
    left: &serde_json::Value,
    right: &serde_json::Value,
) -> Option<Difference> {
    use serde_json::Value;
    let text = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
    match (left, right) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().zip(b.values()).find_map(|((key, a), b)| {
                let dot = if place.is_empty() { "" } else { "." };
                difference(format!("{place}{dot}{key}"), a, b)
            })
        }
        (Value::Array(a), Value::Array(b)) => {
            let named = |index: usize| match a.get(index).and_then(|item| item.get("name")) {
                Some(Value::String(name)) => format!("{place}.{name}"),
                _ => format!("{place}[{index}]"),
            };
            (0..a.len().max(b.len())).find_map(|index| match (a.get(index), b.get(index)) {
                (Some(a), Some(b)) => difference(named(index), a, b),
                (a, b) => Some(Difference { place: named(index), left: text(a), right: text(b) }),
            })
        }
        (a, b) if a == b => None,
        (a, b) => Some(Difference { place, left: text(Some(a)), right: text(Some(b)) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Options, Step, verified_case};
    use crate::interpreter::Machine;

    /// Machines after some generated programs and events.
    fn machines() -> impl Iterator<Item = Machine> {
        (0..40).map(|seed| {
            let case = verified_case(seed, &Options::default());
            let mut machine = Machine::new(&case.program).unwrap();
            for step in &case.steps {
                match step {
                    Step::Event(event) => _ = machine.run(event),
                    Step::Commit(changes) => _ = machine.state_mut().commit(changes),
                }
            }
            machine
        })
    }

    #[test]
    fn dumps_survive_json_and_equal_states_have_equal_dumps() {
        for machine in machines() {
            let dump = machine.state().dump();
            let text = serde_json::to_string(&dump).unwrap();
            assert_eq!(serde_json::from_str::<StateDump>(&text).unwrap(), dump);
            assert_eq!(dump.first_difference(&machine.state().clone().dump()), None);
        }
    }

    #[test]
    fn any_change_shows_with_its_place() {
        for mut machine in machines() {
            for number in 0..machine.state().contexts.len() {
                let state = machine.state_mut();
                let before = state.dump();
                let (slot, _) = state.contexts[number].match_key(0xdead_beef);
                let difference = before.first_difference(&state.dump()).unwrap();
                assert!(difference.place.starts_with("contexts.context"), "{difference}");
                let before = state.dump();
                let store = &mut state.contexts[number];
                let field = store.field(0).unwrap();
                match field.ring {
                    None => store.store(slot, field, 77),
                    Some(_) => store.push(slot, field, 77),
                }
                let difference = before.first_difference(&state.dump()).unwrap();
                assert!(difference.place.contains(".value[0]."), "{difference}");
            }
            for number in 0..machine.state().maps.len() {
                let state = machine.state_mut();
                let before = state.dump();
                let changed = state.maps[number].add(1, 1).is_some() || state.maps[number].push(1);
                let difference = before.first_difference(&state.dump());
                if changed {
                    let difference = difference.unwrap();
                    assert!(difference.place.starts_with("maps.map"), "{difference}");
                }
            }
        }
    }

    #[test]
    fn a_difference_names_both_sides() {
        let dump = |value| StateDump {
            maps: vec![MapDump {
                name: "counts".into(),
                values: MapValues::Indexed(vec![(3, value)]),
            }],
            ..StateDump::default()
        };
        let difference = dump(5).first_difference(&dump(6)).unwrap();
        assert_eq!(difference.to_string(), "maps.counts.values.indexed[0][1]: 5 against 6");
        let longer = dump(5).first_difference(&StateDump::default()).unwrap();
        assert!(longer.to_string().ends_with("against nothing"), "{longer}");
    }
}
