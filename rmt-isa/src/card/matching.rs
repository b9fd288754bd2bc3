//! Where entries of exact tables stand on the card.
//!
//! All exact tables share one store. A key may stand in two buckets, one under each choice,
//! and in two places of each: four slots, which the card compares in one cycle. When all
//! four are taken, others move to their second bucket (Pagh and Rodler, "Cuckoo hashing",
//! ESA 2001; buckets as in Dietzfelbinger and Weidling, 2007). The host does that; the card
//! only looks up.

use std::collections::VecDeque;

use super::shape::{MATCH_CHOICES, MATCH_PLACES};
use crate::arithmetic::crc32c;

/// Slots of one bucket number under both choices.
const SLOTS: u32 = MATCH_CHOICES * MATCH_PLACES;
/// Slots that a search for a free one looks at before it gives up.
const SEARCH_LIMIT: usize = 4096;

/// Hash of a key of `key_bits` (64 or 128) in a table: CRC-32C over the key, little-endian,
/// and the table's number as one byte. Its low half chooses the first bucket, its high half
/// the second one.
pub fn match_hash(key_bits: u32, table: u8, key: u128) -> u32 {
    let bytes = (key_bits / 8) as usize;
    crc32c(crc32c(u32::MAX, &key.to_le_bytes()[..bytes]), &[table])
}

/// What an entry is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchKey {
    /// Number of the table.
    pub table: u8,
    /// The key.
    pub key: u128,
}

/// A slot with its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupant<T> {
    /// What it is found by.
    pub key: MatchKey,
    /// What it leads to.
    pub value: T,
}

/// The slots of a card, as the host keeps them.
#[derive(Clone, Debug)]
pub struct MatchStore<T> {
    key_bits: u32,
    buckets: u32,
    slots: Vec<Option<Occupant<T>>>,
}

impl<T: Copy> MatchStore<T> {
    /// No entries; `buckets` is a power of two up to 65536.
    pub fn new(key_bits: u32, buckets: u32) -> Self {
        Self { key_bits, buckets, slots: vec![None; (buckets * SLOTS) as usize] }
    }

    /// All slots: slot 4 b + 2 c + i is place i of bucket b under choice c.
    pub fn slots(&self) -> &[Option<Occupant<T>>] {
        &self.slots
    }

    /// The four slots where a key may stand, in the order in which the card prefers them.
    pub fn candidates(&self, key: MatchKey) -> [usize; SLOTS as usize] {
        let hash = match_hash(self.key_bits, key.table, key.key);
        std::array::from_fn(|index| {
            let (choice, place) = (index as u32 / MATCH_PLACES, index as u32 % MATCH_PLACES);
            let bucket = (hash >> (16 * choice)) & (self.buckets - 1);
            (bucket * SLOTS + choice * MATCH_PLACES + place) as usize
        })
    }

    /// The slot of a key that is there.
    pub fn find(&self, key: MatchKey) -> Option<usize> {
        self.candidates(key)
            .into_iter()
            .find(|&slot| self.slots[slot].is_some_and(|occupant| occupant.key == key))
    }

    /// Puts an entry into a slot, or changes the one of the same key. The result is the
    /// slots that changed, in an order in which each write leaves all older entries to be
    /// found; `None` when no place could be made.
    pub fn insert(&mut self, key: MatchKey, value: T) -> Option<Vec<usize>> {
        if let Some(slot) = self.find(key) {
            self.slots[slot] = Some(Occupant { key, value });
            return Some(vec![slot]);
        }
        let path = self.path_to_free_slot(key)?;
        // From the free end backwards: an entry is copied before its old place is reused.
        for pair in path.windows(2).rev() {
            self.slots[pair[1]] = self.slots[pair[0]];
        }
        self.slots[path[0]] = Some(Occupant { key, value });
        Some(path.into_iter().rev().collect())
    }

    /// Takes a key out; the slot that it had.
    pub fn remove(&mut self, key: MatchKey) -> Option<usize> {
        let slot = self.find(key)?;
        self.slots[slot] = None;
        Some(slot)
    }

    /// The shortest chain of slots from a candidate of `key` to a free slot, in which each
    /// slot's entry may also stand in the next one.
    fn path_to_free_slot(&self, key: MatchKey) -> Option<Vec<usize>> {
        // Each step: the slot, and the step that led to it.
        let mut steps: Vec<(usize, Option<usize>)> = Vec::new();
        let mut waiting = VecDeque::new();
        let mut seen = std::collections::HashSet::new();
        for slot in self.candidates(key) {
            seen.insert(slot);
            waiting.push_back(steps.len());
            steps.push((slot, None));
        }
        while let Some(step) = waiting.pop_front() {
            let Some(occupant) = self.slots[steps[step].0] else {
                let mut path = vec![steps[step].0];
                let mut from = steps[step].1;
                while let Some(step) = from {
                    path.push(steps[step].0);
                    from = steps[step].1;
                }
                path.reverse();
                return Some(path);
            };
            if steps.len() > SEARCH_LIMIT {
                return None;
            }
            for slot in self.candidates(occupant.key) {
                if seen.insert(slot) {
                    waiting.push_back(steps.len());
                    steps.push((slot, Some(step)));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::split_mix_64;

    #[test]
    fn nine_tenths_of_the_slots_can_be_filled_and_all_are_found() {
        let mut store = MatchStore::new(64, 256);
        let keys: Vec<_> = (0..921_u64)
            .map(|n| MatchKey { table: (n % 3) as u8, key: split_mix_64(n).into() })
            .collect();
        for (value, &key) in keys.iter().enumerate() {
            let before = store.clone();
            let changed = store.insert(key, value).unwrap();
            for slot in 0..store.slots().len() {
                let same = store.slots()[slot] == before.slots()[slot];
                assert!(same || changed.contains(&slot), "slot {slot} changed unsaid");
            }
        }
        for (value, &key) in keys.iter().enumerate() {
            let slot = store.find(key).unwrap();
            assert_eq!(store.slots()[slot].unwrap().value, value);
        }
        assert_eq!(store.find(MatchKey { table: 3, key: keys[0].key }), None);
    }

    #[test]
    fn every_write_of_an_insertion_keeps_older_entries_findable() {
        let mut store = MatchStore::new(128, 16);
        let mut keys = Vec::new();
        for n in 0.. {
            let key = MatchKey { table: 0, key: u128::from(split_mix_64(n)) << 64 | 5 };
            let before = store.clone();
            let Some(changed) = store.insert(key, n) else { break };
            let mut card = before.clone();
            for slot in changed {
                card.slots[slot] = store.slots[slot];
                assert!(keys.iter().all(|&key| card.find(key).is_some()), "lost at {slot}");
            }
            keys.push(key);
        }
        assert!(keys.len() > 50, "only {} of 64 slots were filled", keys.len());
    }

    #[test]
    fn a_key_that_is_there_is_changed_in_place() {
        let mut store = MatchStore::new(64, 16);
        let key = MatchKey { table: 1, key: 7 };
        let first = store.insert(key, 1).unwrap();
        assert_eq!(store.insert(key, 2), Some(first.clone()));
        assert_eq!(store.remove(key), Some(first[0]));
        assert_eq!(store.remove(key), None);
    }
}
