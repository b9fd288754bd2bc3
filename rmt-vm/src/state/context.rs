//! Context stores: per-key records of integers and history rings.

use rmt_isa::arithmetic::hash_key;
use rmt_isa::limits::WAYS;
use rmt_isa::operand::IntType;
use rmt_isa::program::Context;

use super::sets::{Set, Sets, Slot};

/// Where a field stands in the words of a record.
///
/// A scalar takes one word. A ring takes two words of bookkeeping, its length and the place
/// of its newest value, and one word for each value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldLayout {
    /// Width and sign of a value.
    pub kind: IntType,
    /// `None`: one value. `Some(depth)`: a ring of that many.
    pub ring: Option<usize>,
    /// Whether actions may write it.
    pub writable: bool,
    /// First word in the record.
    pub word: usize,
}

const RING_LENGTH: usize = 0;
const RING_NEWEST: usize = 1;
const RING_VALUES: usize = 2;

/// The records of one context store. Values are kept extended to 64 bits.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextStore {
    fields: Vec<FieldLayout>,
    record_words: usize,
    sets: Sets,
    words: Vec<u64>,
}

/// One field of a record, for dumps and for the control plane.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    /// The value, extended to 64 bits.
    Scalar(u64),
    /// The values of a history ring, the newest first.
    Ring(Vec<u64>),
}

impl ContextStore {
    /// An empty store as the program declares it; its capacity is a power of two, at least 4.
    pub fn new(context: &Context) -> Self {
        let mut record_words = 0;
        let fields = context
            .fields
            .iter()
            .map(|field| {
                let ring = field.ring.map(usize::from);
                let word = record_words;
                record_words += Self::field_words(ring);
                FieldLayout { kind: field.kind, ring, writable: field.writable, word }
            })
            .collect();
        let words = vec![0; record_words * context.capacity as usize];
        Self { fields, record_words, sets: Sets::new(context.capacity), words }
    }

    /// Words that a field takes in each record.
    pub fn field_words(ring: Option<usize>) -> usize {
        ring.map_or(1, |depth| RING_VALUES + depth)
    }

    /// Layout of a field; `None` when there is no such field.
    pub fn field(&self, field: u8) -> Option<FieldLayout> {
        self.fields.get(usize::from(field)).copied()
    }

    /// The sets with their keys and order of matching.
    pub fn sets(&self) -> &Sets {
        &self.sets
    }

    pub(super) fn sets_mut(&mut self) -> &mut Sets {
        &mut self.sets
    }

    /// Takes over all records of a store of the same declaration, in place.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.sets.clone_from(&other.sets);
        self.words.copy_from_slice(&other.words);
    }

    /// The record of `key` and whether it was there. An absent one is created with all
    /// fields zero, in place of the least recently matched of its set when that is full.
    /// The record becomes the most recently matched.
    pub fn match_key(&mut self, key: u64) -> (Slot, bool) {
        self.match_hashed(key, hash_key(key))
    }

    /// [`Self::match_key`] for callers that have computed `hash_key(key)`.
    #[inline]
    pub(crate) fn match_hashed(&mut self, key: u64, hash: u32) -> (Slot, bool) {
        if let Some(slot) = self.sets.find_hashed(key, hash) {
            self.sets.touch(slot);
            return (slot, true);
        }
        // With eviction a place is always found.
        let slot = self.sets.insert_hashed(key, hash, true).map_or(0, |inserted| inserted.slot);
        self.record_mut(slot).fill(0);
        (slot, false)
    }

    /// The record of `key`, if there; the order of matching does not change.
    pub fn find_key(&self, key: u64) -> Option<Slot> {
        self.sets.find(key)
    }

    /// Words that each record takes.
    #[cfg(feature = "jit")]
    pub(crate) fn record_words(&self) -> usize {
        self.record_words
    }

    /// The words of all records, by slot. They stay where they are as long as the store lives.
    #[cfg(feature = "jit")]
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Forgets a key; whether it was there.
    pub fn remove_key(&mut self, key: u64) -> bool {
        self.sets.remove(key).is_some()
    }

    fn record(&self, slot: Slot) -> &[u64] {
        &self.words[slot * self.record_words..][..self.record_words]
    }

    fn record_mut(&mut self, slot: Slot) -> &mut [u64] {
        &mut self.words[slot * self.record_words..][..self.record_words]
    }

    fn word(&mut self, slot: Slot, field: FieldLayout) -> &mut u64 {
        &mut self.words[slot * self.record_words + field.word]
    }

    /// The value of a scalar field, extended to 64 bits.
    pub fn load(&self, slot: Slot, field: FieldLayout) -> u64 {
        self.words[slot * self.record_words + field.word]
    }

    /// Writes a scalar field, cut to its type.
    pub fn store(&mut self, slot: Slot, field: FieldLayout, value: u64) {
        *self.word(slot, field) = field.kind.wrap(value);
    }

    fn ring(&self, slot: Slot, field: FieldLayout) -> &[u64] {
        let words = Self::field_words(field.ring);
        &self.words[slot * self.record_words + field.word..][..words]
    }

    /// Number of values in a ring field.
    pub fn history_length(&self, slot: Slot, field: FieldLayout) -> usize {
        self.ring(slot, field)[RING_LENGTH] as usize
    }

    /// Value `index` of a ring field, 0 = newest; `None` when the ring holds fewer.
    pub fn history(&self, slot: Slot, field: FieldLayout, index: u64) -> Option<u64> {
        let ring = self.ring(slot, field);
        let depth = (ring.len() - RING_VALUES) as u64;
        if index >= ring[RING_LENGTH] {
            return None;
        }
        let place = (ring[RING_NEWEST] + depth - index) % depth;
        Some(ring[RING_VALUES + place as usize])
    }

    /// Pushes a value, cut to the field's type, into a ring field; a full ring loses its
    /// oldest value.
    pub fn push(&mut self, slot: Slot, field: FieldLayout, value: u64) {
        let Some(depth) = field.ring else { return };
        let start = slot * self.record_words + field.word;
        let ring = &mut self.words[start..start + RING_VALUES + depth];
        let place = (ring[RING_NEWEST] as usize + 1) % depth;
        ring[RING_VALUES + place] = field.kind.wrap(value);
        ring[RING_NEWEST] = place as u64;
        ring[RING_LENGTH] = (ring[RING_LENGTH] + 1).min(depth as u64);
    }

    /// Replaces all values of a ring field, the newest first, each cut to the field's type.
    pub fn replace_history(
        &mut self,
        slot: Slot,
        field: FieldLayout,
        newest_first: impl DoubleEndedIterator<Item = u64>,
    ) {
        *self.word(slot, field) = 0;
        newest_first.rev().for_each(|value| self.push(slot, field, value));
    }

    /// One field of a record.
    pub fn field_value(&self, slot: Slot, field: FieldLayout) -> FieldValue {
        match field.ring {
            None => FieldValue::Scalar(self.load(slot, field)),
            Some(_) => FieldValue::Ring(
                (0..).map_while(|index| self.history(slot, field, index)).collect(),
            ),
        }
    }

    /// All fields of a record.
    pub fn record_values(&self, slot: Slot) -> Vec<FieldValue> {
        self.fields.iter().map(|&field| self.field_value(slot, field)).collect()
    }

    /// Writes all fields of a record; the values must be of the fields' forms.
    pub(crate) fn write_record(&mut self, slot: Slot, values: &[FieldValue]) {
        for (index, value) in values.iter().enumerate() {
            let field = self.fields[index];
            match value {
                FieldValue::Scalar(value) => self.store(slot, field, *value),
                FieldValue::Ring(values) => {
                    self.replace_history(slot, field, values.iter().copied());
                }
            }
        }
    }

    /// A copy of a whole set, to undo a change.
    pub(crate) fn save_set(&self, number: usize) -> SavedSet {
        let first = number * WAYS;
        let words = (first..first + WAYS).flat_map(|slot| self.record(slot)).copied().collect();
        SavedSet { number, set: self.sets.sets()[number], words }
    }

    /// Undoes all changes to a set since it was saved.
    pub(crate) fn restore_set(&mut self, saved: &SavedSet) {
        self.sets.restore(saved.number, saved.set);
        let start = saved.number * WAYS * self.record_words;
        self.words[start..start + saved.words.len()].copy_from_slice(&saved.words);
    }
}

/// A copy of one set of a store.
#[derive(Clone, Debug)]
pub(crate) struct SavedSet {
    number: usize,
    set: Set,
    words: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::program::{ContextField, Label};

    fn store() -> ContextStore {
        let field = |name: &str, kind, ring| ContextField {
            name: name.into(),
            kind,
            ring,
            writable: true,
            label: Label::Public,
        };
        ContextStore::new(&Context {
            name: "pages".into(),
            capacity: 4,
            fields: vec![
                field("last", IntType::U8, None),
                field("deltas", IntType::I16, Some(3)),
                field("count", IntType::I64, None),
            ],
        })
    }

    #[test]
    fn fields_do_not_touch_each_other_and_are_cut_to_their_type() {
        let mut store = store();
        let [last, deltas, count] = [0, 1, 2].map(|field| store.field(field).unwrap());
        let (slot, there) = store.match_key(7);
        assert!(!there);
        store.store(slot, last, 0x1ff);
        store.store(slot, count, u64::MAX);
        store.push(slot, deltas, 0x1_8000);
        assert_eq!(store.load(slot, last), 0xff);
        assert_eq!(store.load(slot, count), u64::MAX);
        assert_eq!(store.history(slot, deltas, 0), Some(-32768_i64 as u64));
        assert_eq!(store.match_key(7), (slot, true));
    }

    #[test]
    fn a_full_ring_loses_its_oldest_value() {
        let mut store = store();
        let deltas = store.field(1).unwrap();
        let (slot, _) = store.match_key(1);
        for value in 1..=5 {
            store.push(slot, deltas, value);
        }
        assert_eq!(store.field_value(slot, deltas), FieldValue::Ring(vec![5, 4, 3]));
        assert_eq!(store.history_length(slot, deltas), 3);
        assert_eq!(store.history(slot, deltas, 3), None);
        store.replace_history(slot, deltas, [9, 8].into_iter());
        assert_eq!(store.field_value(slot, deltas), FieldValue::Ring(vec![9, 8]));
    }

    #[test]
    fn an_evicted_record_comes_back_empty() {
        let mut store = store();
        let count = store.field(2).unwrap();
        for key in 0..5 {
            let (slot, _) = store.match_key(key);
            assert_eq!(store.load(slot, count), 0);
            store.store(slot, count, 100 + key);
        }
        assert_eq!(store.find_key(0), None);
        let (slot, there) = store.match_key(0);
        assert!(!there);
        assert_eq!(store.record_values(slot)[1], FieldValue::Ring(vec![]));
        assert_eq!(store.load(slot, count), 0);
        assert_eq!(store.find_key(1), None, "key 1 was the next to leave");
    }

    #[test]
    fn a_saved_set_undoes_everything() {
        let mut store = store();
        let (slot, _) = store.match_key(3);
        store.push(slot, store.field(1).unwrap(), 4);
        let before = store.clone();
        let saved = store.save_set(0);
        (0..6).for_each(|key| {
            let (slot, _) = store.match_key(key);
            store.store(slot, store.field(0).unwrap(), 9);
        });
        assert_ne!(store, before);
        store.restore_set(&saved);
        assert_eq!(store, before);
    }
}
