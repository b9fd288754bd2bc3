//! Maps: monitoring data that actions write and both sides read.

use rmt_isa::arithmetic::histogram_bucket;
use rmt_isa::operand::IntType;
use rmt_isa::program::{Map, MapKind};

use super::sets::{Set, Sets, Slot};

/// The values of one map, extended to 64 bits.
///
/// The operations are total: where a kind has no such operation or no such key, the answer
/// is `None` or `false` and nothing changes.
#[derive(Clone, Debug, PartialEq)]
pub struct MapStore {
    kind: MapKind,
    value: IntType,
    values: Vec<u64>,
    /// Keys of hash maps; empty for other kinds.
    sets: Sets,
    /// Values ever pushed into a ring buffer.
    pushed: u64,
}

impl MapStore {
    /// A map as the program declares it; hash maps have a power of two of values, at least 4.
    pub fn new(map: &Map) -> Self {
        let keys = if is_hash(map.kind) { map.capacity } else { 0 };
        Self {
            kind: map.kind,
            value: map.value,
            values: vec![0; map.capacity as usize],
            sets: Sets::new(keys),
            pushed: 0,
        }
    }

    /// What it is.
    pub fn kind(&self) -> MapKind {
        self.kind
    }

    /// Whether keys can be written: not in a ring buffer.
    pub fn stores_keys(&self) -> bool {
        self.kind != MapKind::RingBuffer
    }

    /// Whether keys can be removed: only from hash maps.
    pub fn removes_keys(&self) -> bool {
        is_hash(self.kind)
    }

    /// Width and sign of its values.
    pub fn value_type(&self) -> IntType {
        self.value
    }

    /// The sets of a hash map's keys; none for other kinds.
    pub fn sets(&self) -> &Sets {
        &self.sets
    }

    pub(super) fn sets_mut(&mut self) -> &mut Sets {
        &mut self.sets
    }

    /// Writes a stored value, see [`Self::stored_values`].
    pub(super) fn restore_value(&mut self, place: usize, value: u64) -> Result<(), String> {
        let (kind, capacity) = (self.value, self.values.len());
        match self.values.get_mut(place).filter(|_| kind.wrap(value) == value) {
            Some(stored) => {
                *stored = value;
                Ok(())
            }
            None => Err(format!("{value:#x} at place {place} of {capacity} is no {kind}")),
        }
    }

    pub(super) fn set_pushed(&mut self, pushed: u64) {
        self.pushed = pushed;
    }

    /// Values ever pushed into a ring buffer.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// The values as they are stored: by index (array, histogram), by slot (hash maps), by
    /// sequence number modulo capacity (ring buffer).
    pub fn stored_values(&self) -> &[u64] {
        &self.values
    }

    /// The slot of a key that is there.
    fn slot(&self, key: u64) -> Option<Slot> {
        match self.kind {
            MapKind::Array | MapKind::Histogram => {
                usize::try_from(key).ok().filter(|&index| index < self.values.len())
            }
            MapKind::Hash | MapKind::LruHash => self.sets.find(key),
            MapKind::RingBuffer => {
                let capacity = self.values.len() as u64;
                (key < self.pushed.min(capacity))
                    .then(|| ((self.pushed - 1 - key) % capacity) as usize)
            }
        }
    }

    /// Notes the use of a key, from which an LRU map knows what to evict.
    fn touch(&mut self, slot: Slot) {
        if self.kind == MapKind::LruHash {
            self.sets.touch(slot);
        }
    }

    /// The value of a key; a use of the key.
    pub fn load(&mut self, key: u64) -> Option<u64> {
        let slot = self.slot(key)?;
        self.touch(slot);
        Some(self.values[slot])
    }

    /// The value of a key; not a use of the key.
    pub fn peek(&self, key: u64) -> Option<u64> {
        self.slot(key).map(|slot| self.values[slot])
    }

    /// Whether a key is there; not a use of the key.
    pub fn contains(&self, key: u64) -> bool {
        self.slot(key).is_some()
    }

    /// The slot to write a key's value to: a new key of a hash map begins with 0.
    fn entry(&mut self, key: u64) -> Option<Slot> {
        if !self.stores_keys() {
            return None;
        }
        if let Some(slot) = self.slot(key) {
            self.touch(slot);
            return Some(slot);
        }
        if !is_hash(self.kind) {
            return None;
        }
        let slot = self.sets.insert(key, self.kind == MapKind::LruHash)?.slot;
        self.values[slot] = 0;
        Some(slot)
    }

    /// Sets the value of a key, cut to the map's type; `false` if there is no room or no
    /// such key.
    pub fn store(&mut self, key: u64, value: u64) -> bool {
        let Some(slot) = self.entry(key) else { return false };
        self.values[slot] = self.value.wrap(value);
        true
    }

    /// Adds to the value of a key, from 0 when absent, and gives the sum cut to the map's
    /// type; `None` if there is no room or no such key. In a histogram `key` is the sample.
    pub fn add(&mut self, key: u64, value: u64) -> Option<u64> {
        let slot = match self.kind {
            MapKind::Histogram => histogram_bucket(key, self.values.len()),
            _ => self.entry(key)?,
        };
        let sum = self.value.wrap(self.values[slot].wrapping_add(value));
        self.values[slot] = sum;
        Some(sum)
    }

    /// Removes a key from a hash map; whether it was there. The keys of other kinds stay.
    pub fn remove(&mut self, key: u64) -> bool {
        self.removes_keys() && self.sets.remove(key).is_some()
    }

    /// Appends to a ring buffer, whose oldest value leaves when it is full; `false` for
    /// other kinds.
    pub fn push(&mut self, value: u64) -> bool {
        if self.kind != MapKind::RingBuffer {
            return false;
        }
        let place = self.pushed % self.values.len() as u64;
        self.values[place as usize] = self.value.wrap(value);
        self.pushed += 1;
        true
    }

    /// What undoes a change to a key: the values and keys that it can reach.
    pub(crate) fn save(&self, key: u64) -> SavedKey {
        if is_hash(self.kind) {
            let number = self.sets.set_of(key);
            let first = number * rmt_isa::limits::WAYS;
            let values = self.values[first..first + rmt_isa::limits::WAYS].to_vec();
            SavedKey { first, values, set: Some((number, self.sets.sets()[number])) }
        } else {
            let first = self.slot(key).unwrap_or(0);
            SavedKey { first, values: self.values[first..first + 1].to_vec(), set: None }
        }
    }

    /// Undoes what was done to a key since it was saved.
    pub(crate) fn restore(&mut self, saved: &SavedKey) {
        self.values[saved.first..saved.first + saved.values.len()].copy_from_slice(&saved.values);
        if let Some((number, set)) = saved.set {
            self.sets.restore(number, set);
        }
    }
}

/// Whether keys of the kind come and go.
pub(crate) fn is_hash(kind: MapKind) -> bool {
    matches!(kind, MapKind::Hash | MapKind::LruHash)
}

/// A copy of all that a change to one key can touch.
#[derive(Clone, Debug)]
pub(crate) struct SavedKey {
    first: Slot,
    values: Vec<u64>,
    set: Option<(usize, Set)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::program::Label;

    fn map(kind: MapKind, capacity: u32, value: IntType) -> MapStore {
        MapStore::new(&Map { name: "m".into(), kind, capacity, value, label: Label::Public })
    }

    #[test]
    fn an_array_has_all_its_keys_and_no_others() {
        let mut array = map(MapKind::Array, 3, IntType::I8);
        assert!(array.store(2, 0x180));
        assert_eq!(array.load(2), Some(-128_i64 as u64));
        assert_eq!(array.add(2, u64::MAX), Some(127));
        assert_eq!((array.load(0), array.load(3)), (Some(0), None));
        assert_eq!((array.store(3, 1), array.add(u64::MAX, 1)), (false, None));
        assert!(!array.remove(2), "elements of an array stay");
        assert!(!array.push(1));
    }

    #[test]
    fn a_hash_map_refuses_a_new_key_when_its_set_is_full() {
        let mut hash = map(MapKind::Hash, 4, IntType::U64);
        assert!((10..14).all(|key| hash.store(key, key)));
        assert!(!hash.store(14, 1));
        assert_eq!(hash.add(14, 1), None);
        assert!(hash.store(12, 5));
        assert!(hash.remove(10) && !hash.remove(10));
        assert_eq!(hash.add(14, 3), Some(3), "a place that is taken again begins with 0");
        assert_eq!([12, 13, 14].map(|key| hash.load(key)), [Some(5), Some(13), Some(3)]);
        assert!(!hash.contains(10));
    }

    #[test]
    fn an_lru_map_evicts_what_was_not_loaded_stored_or_added_to() {
        let mut lru = map(MapKind::LruHash, 4, IntType::U32);
        (0..4).for_each(|key| assert!(lru.store(key, key)));
        lru.load(0);
        lru.add(1, 1);
        lru.store(2, 9);
        assert!(lru.contains(3) && lru.peek(3) == Some(3), "neither is a use");
        assert!(lru.store(4, 4));
        assert!(!lru.contains(3));
        assert!(lru.store(5, 5));
        assert!(!lru.contains(0));
    }

    #[test]
    fn a_ring_buffer_keeps_the_last_values_and_counts_all() {
        let mut ring = map(MapKind::RingBuffer, 3, IntType::U16);
        assert_eq!(ring.load(0), None);
        (1..=5).for_each(|value| assert!(ring.push(value)));
        assert_eq!([0, 1, 2, 3].map(|age| ring.load(age)), [Some(5), Some(4), Some(3), None]);
        assert_eq!(ring.pushed(), 5);
        assert!(!ring.store(0, 1) && !ring.remove(0));
        assert_eq!(ring.add(0, 1), None);
    }

    #[test]
    fn a_histogram_counts_by_power_of_two() {
        let mut histogram = map(MapKind::Histogram, 4, IntType::U8);
        for sample in [0, 1, 2, 3, 4, 1000] {
            histogram.add(sample, 1);
        }
        assert_eq!(histogram.stored_values(), [1, 1, 2, 2]);
        assert_eq!(histogram.add(u64::MAX, 254), Some(0), "counts wrap at their type");
        assert_eq!((histogram.load(2), histogram.load(4)), (Some(2), None));
    }

    /// Hash maps agree with a plain list on which keys and values are there.
    #[test]
    fn hash_maps_equal_a_naive_list() {
        let mut hash = map(MapKind::Hash, 16, IntType::I16);
        let mut list = std::collections::BTreeMap::<u64, u64>::new();
        for step in 0..20_000_u64 {
            let random = rmt_isa::arithmetic::split_mix_64(step);
            let (key, value) = (random >> 8 & 31, random >> 16);
            let set = hash.sets().set_of(key);
            let mates = list.keys().filter(|&&k| hash.sets().set_of(k) == set).count();
            let room = list.contains_key(&key) || mates < 4;
            match random % 4 {
                0 => {
                    assert_eq!(hash.store(key, value), room);
                    if room {
                        list.insert(key, IntType::I16.wrap(value));
                    }
                }
                1 => {
                    let sum = room.then(|| {
                        let sum = list.entry(key).or_default();
                        *sum = IntType::I16.wrap(sum.wrapping_add(value));
                        *sum
                    });
                    assert_eq!(hash.add(key, value), sum);
                }
                2 => assert_eq!(hash.remove(key), list.remove(&key).is_some()),
                _ => assert_eq!(hash.load(key), list.get(&key).copied()),
            }
        }
    }
}
