//! Four-way sets: where a 64-bit key lives in a context store or a hash map.
//!
//! The set of a key is `hash_key(key)` modulo the number of sets. Inside the set a new key
//! takes the free way with the smallest number; when all four are taken, the caller may
//! evict the way that was used least recently.

use rmt_isa::arithmetic::hash_key;
use rmt_isa::limits::WAYS;

/// The place of a key: `set * 4 + way`.
pub type Slot = usize;

/// One set: its keys, and its occupied ways in order of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set {
    keys: [u64; WAYS],
    /// The first `occupied` elements are the occupied ways, the most recently used first.
    order: [u8; WAYS],
    occupied: u8,
}

impl Set {
    /// The occupied ways, the most recently used first.
    pub fn order(&self) -> &[u8] {
        &self.order[..usize::from(self.occupied)]
    }

    /// The key in a way; `None` when the way is free.
    pub fn key(&self, way: usize) -> Option<u64> {
        self.order().iter().any(|&used| usize::from(used) == way).then(|| self.keys[way])
    }

    fn way_of(&self, key: u64) -> Option<usize> {
        self.order().iter().map(|&way| usize::from(way)).find(|&way| self.keys[way] == key)
    }

    #[inline]
    fn touch(&mut self, way: usize) {
        // Most often it is the first one already.
        if self.order().first().is_some_and(|&first| usize::from(first) == way) {
            return;
        }
        if let Some(rank) = self.order().iter().position(|&used| usize::from(used) == way) {
            self.order.copy_within(..rank, 1);
            self.order[0] = way as u8;
        }
    }

    pub(super) fn occupy(&mut self, way: usize, key: u64) {
        self.keys[way] = key;
        self.order[usize::from(self.occupied)] = way as u8;
        self.occupied += 1;
        self.touch(way);
    }

    fn free(&mut self, way: usize) {
        if let Some(rank) = self.order().iter().position(|&used| usize::from(used) == way) {
            self.order[rank..usize::from(self.occupied)].rotate_left(1);
            self.occupied -= 1;
        }
    }

    fn free_way(&self) -> Option<usize> {
        (0..WAYS).find(|&way| self.key(way).is_none())
    }
}

/// The sets of one store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sets {
    sets: Vec<Set>,
}

/// Where [`Sets::insert`] put a new key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inserted {
    /// The place.
    pub slot: Slot,
    /// The key that had to leave it.
    pub evicted: Option<u64>,
}

impl Sets {
    /// Empty sets for `capacity` keys, a power of two and at least 4.
    pub fn new(capacity: u32) -> Self {
        Self { sets: vec![Set::default(); capacity as usize / WAYS] }
    }

    /// All sets.
    pub fn sets(&self) -> &[Set] {
        &self.sets
    }

    /// The number of the key's set.
    pub fn set_of(&self, key: u64) -> usize {
        self.set_of_hash(hash_key(key))
    }

    fn set_of_hash(&self, hash: u32) -> usize {
        hash as usize & (self.sets.len() - 1)
    }

    /// The place of a key; the order of use does not change.
    pub fn find(&self, key: u64) -> Option<Slot> {
        self.find_hashed(key, hash_key(key))
    }

    /// [`Self::find`] for callers that have computed `hash_key(key)`.
    #[inline]
    pub(crate) fn find_hashed(&self, key: u64, hash: u32) -> Option<Slot> {
        let set = self.set_of_hash(hash);
        Some(set * WAYS + self.sets[set].way_of(key)?)
    }

    /// Makes the key at `slot` the most recently used of its set.
    pub fn touch(&mut self, slot: Slot) {
        self.sets[slot / WAYS].touch(slot % WAYS);
    }

    /// Gives an absent key a place and makes it the most recently used. When its set is
    /// full, the least recently used key leaves if `evict`, else the result is `None`.
    pub fn insert(&mut self, key: u64, evict: bool) -> Option<Inserted> {
        self.insert_hashed(key, hash_key(key), evict)
    }

    /// [`Self::insert`] for callers that have computed `hash_key(key)`.
    pub(crate) fn insert_hashed(&mut self, key: u64, hash: u32, evict: bool) -> Option<Inserted> {
        let number = self.set_of_hash(hash);
        let set = &mut self.sets[number];
        let (way, evicted) = match set.free_way() {
            Some(way) => (way, None),
            None if evict => {
                let way = usize::from(set.order[WAYS - 1]);
                set.free(way);
                (way, Some(set.keys[way]))
            }
            None => return None,
        };
        set.occupy(way, key);
        Some(Inserted { slot: number * WAYS + way, evicted })
    }

    /// Takes a key out; the place that it had.
    pub fn remove(&mut self, key: u64) -> Option<Slot> {
        let slot = self.find(key)?;
        self.sets[slot / WAYS].free(slot % WAYS);
        Some(slot)
    }

    /// Puts back a set that was copied before a change.
    pub(crate) fn restore(&mut self, number: usize, set: Set) {
        self.sets[number] = set;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first `count` keys that share the set of key 0.
    fn neighbours(sets: &Sets, count: usize) -> Vec<u64> {
        (0..).filter(|&key| sets.set_of(key) == sets.set_of(0)).take(count).collect()
    }

    #[test]
    fn a_full_set_evicts_its_least_recently_used_key() {
        let mut sets = Sets::new(16);
        let keys = neighbours(&sets, 5);
        for &key in &keys[..4] {
            assert_eq!(sets.insert(key, true).unwrap().evicted, None);
        }
        let first = sets.find(keys[0]).unwrap();
        sets.touch(first);
        assert_eq!(sets.insert(keys[4], false), None);
        let inserted = sets.insert(keys[4], true).unwrap();
        assert_eq!(inserted.evicted, Some(keys[1]));
        assert_eq!(sets.find(keys[1]), None);
        assert_eq!(sets.find(keys[0]), Some(first));
    }

    #[test]
    fn find_does_not_change_the_order() {
        let mut sets = Sets::new(4);
        for key in 0..4 {
            sets.insert(key, true);
        }
        let before = sets.clone();
        assert!(sets.find(0).is_some());
        assert_eq!(sets, before);
        assert_eq!(sets.insert(9, true).unwrap().evicted, Some(0));
    }

    #[test]
    fn a_removed_way_is_the_next_one_taken() {
        let mut sets = Sets::new(4);
        for key in 0..4 {
            sets.insert(key, true);
        }
        let slot = sets.remove(2).unwrap();
        assert_eq!(sets.sets()[0].order(), [3, 1, 0]);
        assert_eq!(sets.sets()[0].key(slot % WAYS), None);
        assert_eq!(sets.insert(7, false), Some(Inserted { slot, evicted: None }));
        assert_eq!(sets.sets()[0].order(), [2, 3, 1, 0]);
    }

    /// Keys are those of a plain list kept in order of use, four to a set.
    #[test]
    fn sets_equal_a_naive_list_in_order_of_use() {
        let mut sets = Sets::new(8);
        let mut lists = vec![Vec::<u64>::new(); 2];
        for step in 0..20_000_u64 {
            let random = rmt_isa::arithmetic::split_mix_64(step);
            let key = random >> 8 & 15;
            let list = &mut lists[sets.set_of(key)];
            let rank = list.iter().position(|&k| k == key);
            match random % 3 {
                0 => {
                    if let Some(slot) = sets.find(key) {
                        sets.touch(slot);
                    } else {
                        sets.insert(key, true);
                    }
                    rank.map(|rank| list.remove(rank));
                    list.insert(0, key);
                    list.truncate(WAYS);
                }
                1 => {
                    assert_eq!(sets.remove(key).is_some(), rank.is_some());
                    rank.map(|rank| list.remove(rank));
                }
                _ => assert_eq!(sets.find(key).is_some(), rank.is_some()),
            }
            for (set, list) in sets.sets().iter().zip(&lists) {
                let keys: Vec<_> =
                    set.order().iter().filter_map(|&way| set.key(usize::from(way))).collect();
                assert_eq!(&keys, list, "step {step}");
            }
        }
    }
}
