//! Exact keys of at most 64 bits in one cache line.
//!
//! A hash map that keeps its control bytes, its keys and what they lead to in different
//! places costs a cache miss for each. Here a group of five keys and of the numbers of what
//! they run is one cache line: a look-up of a large table waits for memory once. Handles,
//! which no look-up needs, lie apart.
//!
//! A key's group is chosen by its hash; when that is full the key goes to the next group that
//! has room. Each group counts the keys that found it full, so that a search knows when to
//! stop and nothing needs to be moved when a key is removed. Groups are doubled before more
//! than half of the places are taken: then hardly any key lies outside its own group.

use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

use super::EntryHandle;
use super::pool::ActionNumber;

/// Keys of a group: with their numbers as many as fit a cache line.
const PLACES: usize = 5;
/// Of so many places one may be taken.
const PLACES_FOR_A_KEY: usize = 2;

/// One cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
struct Group {
    keys: [u64; PLACES],
    actions: [ActionNumber; PLACES],
    /// Bit i is set when place i is taken.
    taken: u8,
    /// Keys that went past this group because it was full. When there are too many to count
    /// it stays at the most, and searches go on to the next group for ever.
    passed: u16,
}

const _: () = assert!(size_of::<Group>() == 64);

impl Group {
    #[inline]
    fn find(&self, key: u64) -> Option<usize> {
        let equal = (self.keys.iter().enumerate())
            .fold(0, |equal, (place, other)| equal | u8::from(*other == key) << place);
        let found = equal & self.taken;
        (found != 0).then_some(found.trailing_zeros() as usize)
    }

    fn free_place(&self) -> Option<usize> {
        (0..PLACES).find(|place| self.taken >> place & 1 == 0)
    }
}

/// From keys to entries.
#[derive(Clone, Debug, Default)]
pub(super) struct ExactMap {
    /// A power of two of them, or none.
    groups: Vec<Group>,
    handles: Vec<[EntryHandle; PLACES]>,
    len: usize,
    hasher: DefaultHashBuilder,
}

impl ExactMap {
    /// The number of what a key runs.
    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<ActionNumber> {
        let first = self.first_group(key);
        let group = self.groups.get(first)?;
        match group.find(key) {
            Some(place) => Some(group.actions[place]),
            None if group.passed == 0 => None,
            None => self.find_behind(first, key),
        }
    }

    /// [`Self::find`] of a key that is not in its own group.
    #[cold]
    fn find_behind(&self, first: usize, key: u64) -> Option<ActionNumber> {
        let (group, place) = self.locate_from(self.after(first), key)?;
        Some(self.groups[group].actions[place])
    }

    /// The entry of a key.
    pub(super) fn handle(&self, key: u64) -> Option<EntryHandle> {
        let (group, place) = self.locate(key)?;
        Some(self.handles[group][place])
    }

    /// Adds a key that is not there.
    pub(super) fn insert(&mut self, key: u64, handle: EntryHandle, action: ActionNumber) {
        if (self.len + 1) * PLACES_FOR_A_KEY > self.groups.len() * PLACES {
            self.resize((2 * self.groups.len()).max(1));
        }
        self.put(key, handle, action);
    }

    /// Removes a key.
    pub(super) fn remove(&mut self, key: u64) {
        let Some((found, place)) = self.locate(key) else { return };
        self.groups[found].taken &= !(1 << place);
        self.len -= 1;
        let mut number = self.first_group(key);
        while number != found {
            let group = &mut self.groups[number];
            if group.passed != u16::MAX {
                group.passed -= 1;
            }
            number = self.after(number);
        }
    }

    /// Makes room for so many more keys at once.
    pub(super) fn reserve(&mut self, more: usize) {
        let places = (self.len + more) * PLACES_FOR_A_KEY;
        let groups = places.div_ceil(PLACES).next_power_of_two();
        if groups > self.groups.len() {
            self.resize(groups);
        }
    }

    fn locate(&self, key: u64) -> Option<(usize, usize)> {
        self.locate_from(self.first_group(key), key)
    }

    fn locate_from(&self, first: usize, key: u64) -> Option<(usize, usize)> {
        let mut number = first;
        // A group that nobody went past ends the search; at the latest it comes round.
        for _ in 0..self.groups.len() {
            let group = &self.groups[number];
            if let Some(place) = group.find(key) {
                return Some((number, place));
            }
            if group.passed == 0 {
                return None;
            }
            number = self.after(number);
        }
        None
    }

    #[inline]
    fn first_group(&self, key: u64) -> usize {
        self.hasher.hash_one(key) as usize & self.groups.len().wrapping_sub(1)
    }

    #[inline]
    fn after(&self, number: usize) -> usize {
        (number + 1) & (self.groups.len() - 1)
    }

    fn put(&mut self, key: u64, handle: EntryHandle, action: ActionNumber) {
        let mut number = self.first_group(key);
        loop {
            let group = &mut self.groups[number];
            if let Some(place) = group.free_place() {
                group.taken |= 1 << place;
                (group.keys[place], group.actions[place]) = (key, action);
                self.handles[number][place] = handle;
                self.len += 1;
                return;
            }
            group.passed = group.passed.saturating_add(1);
            number = self.after(number);
        }
    }

    fn resize(&mut self, groups: usize) {
        let old = std::mem::replace(&mut self.groups, vec![Group::default(); groups]);
        let empty = [EntryHandle(0); PLACES];
        let handles = std::mem::replace(&mut self.handles, vec![empty; groups]);
        self.len = 0;
        for (group, handles) in old.iter().zip(&handles) {
            for place in (0..PLACES).filter(|place| group.taken >> place & 1 != 0) {
                self.put(group.keys[place], handles[place], group.actions[place]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::generate::Random;

    /// Against a map of the standard library, through growth and removal, with few keys (so
    /// that they come and go) and with many.
    #[test]
    fn it_is_a_map() {
        for (seed, keys) in [(1, 20), (2, 300), (3, 100_000)] {
            let mut random = Random::new(seed);
            let (mut map, mut expected) = (ExactMap::default(), BTreeMap::new());
            for step in 0..20_000 {
                let key = random.below(keys) as u64 * 0x1_0000_0001;
                if expected.remove(&key).is_some() {
                    map.remove(key);
                } else {
                    let entry = (EntryHandle(step), step as ActionNumber);
                    map.insert(key, entry.0, entry.1);
                    expected.insert(key, entry);
                }
                let key = random.below(keys) as u64 * 0x1_0000_0001;
                let found = map.handle(key).zip(map.find(key));
                assert_eq!(found, expected.get(&key).copied());
                assert_eq!(map.len, expected.len());
            }
            for (&key, &entry) in &expected {
                assert_eq!(map.handle(key).zip(map.find(key)), Some(entry));
            }
        }
    }

    /// All keys in one group and those behind it: the search goes on where it must.
    #[test]
    fn keys_of_one_group_overflow_into_the_next() {
        let mut map = ExactMap::default();
        map.reserve(100);
        let first = |map: &ExactMap, key: u64| map.first_group(key) == map.groups.len() - 1;
        let keys: Vec<u64> = (0..).filter(|&key| first(&map, key)).take(12).collect();
        for (number, &key) in keys.iter().enumerate() {
            map.insert(key, EntryHandle(number as u64), number as ActionNumber);
        }
        assert_eq!(map.groups.last().unwrap().passed, 7);
        for (number, &key) in keys.iter().enumerate() {
            assert_eq!(map.find(key), Some(number as ActionNumber));
        }
        map.remove(keys[0]);
        assert_eq!((map.find(keys[0]), map.find(keys[11])), (None, Some(11)));
        map.remove(keys[11]);
        assert_eq!(map.groups.last().unwrap().passed, 6);
        assert_eq!(map.find(keys[10]), Some(10));
    }
}
