//! Where entries of longest prefix, ternary and range tables stand on the card.
//!
//! Such entries stand in an ordered store: the card compares all slots at once, and of those
//! that match the one with the lowest number wins. All tables share a store. The host keeps
//! the order: inside a table stronger entries (longer prefix, higher priority) stand before
//! weaker ones, and among equals the older ones first.
//!
//! Entries are moved so that events may run meanwhile: an entry is copied to its new slot
//! before its old one is reused, and each slot is written at once, so that after every
//! single write each key finds what it found before, or what it is to find from then on.
//!
//! [`ternary_words`], [`prefix_words`] and [`range_words`] make the two numbers that a slot
//! compares with the key.

use std::cmp::Reverse;

use crate::program::{KeyField, Matcher, Table};

/// An entry of an ordered store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderedEntry<T> {
    /// Number of the table.
    pub table: u8,
    /// Length of the prefix or priority: inside a table the higher goes first.
    pub strength: u32,
    /// What it compares with the key.
    pub words: MatchWords,
    /// What it leads to.
    pub value: T,
}

/// The two numbers that a slot compares with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MatchWords {
    /// Value, or lower bounds.
    pub first: u128,
    /// Mask, or upper bounds.
    pub second: u128,
}

/// The slots of an ordered store, as the host keeps them.
#[derive(Clone, Debug)]
pub struct OrderedStore<T> {
    slots: Vec<Option<OrderedEntry<T>>>,
}

impl<T: Copy> OrderedStore<T> {
    /// No entries, in so many slots.
    pub fn new(slots: u32) -> Self {
        Self { slots: vec![None; slots as usize] }
    }

    /// All slots, the strongest first.
    pub fn slots(&self) -> &[Option<OrderedEntry<T>>] {
        &self.slots
    }

    /// The slot of the entry with these words and this strength.
    pub fn find(&self, table: u8, words: MatchWords, strength: u32) -> Option<usize> {
        self.slots.iter().position(|slot| {
            slot.as_ref().is_some_and(|entry| {
                (entry.table, entry.words, entry.strength) == (table, words, strength)
            })
        })
    }

    /// Puts an entry behind all of its table that are as strong or stronger. The result is
    /// the slots that changed, in the order in which they must be written; `None` when no
    /// slot is free.
    pub fn insert(&mut self, entry: OrderedEntry<T>) -> Option<Vec<usize>> {
        // It must stand at `first` or behind, and before `end`.
        let rivals = self.slots.iter().enumerate().filter_map(|(number, slot)| {
            let rival = slot.as_ref().filter(|rival| rival.table == entry.table)?;
            Some((number, Reverse(rival.strength) <= Reverse(entry.strength)))
        });
        let (mut first, mut end) = (0, self.slots.len());
        for (number, goes_before) in rivals {
            if goes_before {
                first = number + 1;
            } else {
                end = end.min(number);
            }
        }
        let is_free = |number: &usize| self.slots[*number].is_none();
        if let Some(free) = (first..end).find(is_free) {
            self.slots[free] = Some(entry);
            return Some(vec![free]);
        }
        // Make room at `end` by moving what follows down, or before `first` by moving up.
        let below = (end..self.slots.len()).find(is_free);
        let above = (0..first).rev().find(is_free);
        let down = below.map_or(usize::MAX, |free| free - end);
        let up = above.map_or(usize::MAX, |free| first - 1 - free);
        let (changed, place): (Vec<usize>, usize) = match (above, below) {
            (_, Some(free)) if down <= up => ((end..=free).rev().collect(), end),
            (Some(free), _) => ((free..first).collect(), first - 1),
            _ => return None,
        };
        for pair in changed.windows(2) {
            self.slots[pair[0]] = self.slots[pair[1]];
        }
        self.slots[place] = Some(entry);
        Some(changed)
    }

    /// Changes what the entry of a slot leads to; whether there is one.
    pub fn change(&mut self, slot: usize, value: T) -> bool {
        let entry = self.slots.get_mut(slot).and_then(Option::as_mut);
        entry.map(|entry| entry.value = value).is_some()
    }

    /// Takes the entry of a slot out.
    pub fn remove(&mut self, slot: usize) -> Option<OrderedEntry<T>> {
        self.slots.get_mut(slot)?.take()
    }
}

/// Value and mask of an entry: `key AND mask` equals the value.
pub fn ternary_words(value: u128, mask: u128) -> MatchWords {
    MatchWords { first: value, second: mask }
}

/// The same for a prefix of `length` of the key's `bits` bits.
pub fn prefix_words(key: u128, length: u8, bits: u32) -> MatchWords {
    let all = u128::MAX.unbounded_shr(128 - bits.min(128));
    ternary_words(key, all & !all.unbounded_shr(length.into()))
}

/// Bounds of all fields side by side, as the card compares them: without sign, so that the
/// sign bit of signed fields is inverted, in the key too.
pub fn range_words(fields: &[KeyField], low: &[u64], high: &[u64]) -> MatchWords {
    let packed = |bounds: &[u64]| {
        fields.iter().zip(bounds).fold(0_u128, |packed, (field, &bound)| {
            let bits = field.kind.bits();
            let sign = u64::from(field.kind.signed()) << (bits - 1);
            let cut = (bound ^ sign) & u64::MAX >> (64 - bits);
            packed.unbounded_shl(bits) | u128::from(cut)
        })
    };
    MatchWords { first: packed(low), second: packed(high) }
}

/// Words and strength of an entry; `None` for exact ones, which stand elsewhere.
pub fn words_of(table: &Table, matcher: &Matcher, priority: u32) -> Option<(MatchWords, u32)> {
    match matcher {
        Matcher::Exact { .. } => None,
        Matcher::LongestPrefix { key, length } => {
            Some((prefix_words(*key, *length, table.key_bits()), (*length).into()))
        }
        Matcher::Ternary { value, mask } => Some((ternary_words(*value, *mask), priority)),
        Matcher::Range { low, high } => Some((range_words(&table.key, low, high), priority)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::split_mix_64;

    type Store = OrderedStore<u64>;

    /// What the card finds: the lowest slot that matches.
    fn look_up(store: &Store, table: u8, key: u128) -> Option<u64> {
        let matches = |entry: &&OrderedEntry<u64>| {
            entry.table == table && key & entry.words.second == entry.words.first
        };
        store.slots().iter().flatten().find(matches).map(|entry| entry.value)
    }

    /// The definition: the strongest, among equals the oldest.
    fn strongest(entries: &[OrderedEntry<u64>], table: u8, key: u128) -> Option<u64> {
        let matching = entries
            .iter()
            .filter(|entry| entry.table == table && key & entry.words.second == entry.words.first);
        // `max_by_key` gives the last of equals.
        matching.rev().max_by_key(|entry| entry.strength).map(|entry| entry.value)
    }

    fn entry(random: u64, value: u64) -> OrderedEntry<u64> {
        let mask = u128::from(random >> 16 & 7);
        OrderedEntry {
            table: (random & 1) as u8,
            strength: (random >> 8 & 3) as u32,
            words: ternary_words(u128::from(random >> 24) & mask, mask),
            value,
        }
    }

    /// Insertions, changes and removals at random: after each write of a slot, every key
    /// finds what it found before the change or what it finds after it.
    #[test]
    fn every_single_write_leaves_the_old_or_the_new_winner() {
        let (mut store, mut entries) = (Store::new(16), Vec::<OrderedEntry<u64>>::new());
        let (mut full, mut moved) = (0, 0);
        for step in 0..3000 {
            let random = split_mix_64(step);
            let (mut card, before) = (store.clone(), entries.clone());
            let changed = if random >> 60 < 9 {
                let new = entry(random, step);
                match store.insert(new) {
                    Some(changed) => {
                        entries.push(new);
                        moved += usize::from(changed.len() > 1);
                        changed
                    }
                    None => {
                        assert_eq!(entries.len(), 16);
                        full += 1;
                        continue;
                    }
                }
            } else if !entries.is_empty() {
                let number = (random >> 32) as usize % entries.len();
                let old = entries[number];
                let slot = store.slots().iter().position(|slot| *slot == Some(old)).unwrap();
                if random >> 60 < 11 {
                    entries[number].value = step;
                    assert!(store.change(slot, step));
                } else {
                    assert_eq!(store.remove(slot), Some(entries.remove(number)));
                }
                vec![slot]
            } else {
                continue;
            };
            for slot in changed {
                card.slots[slot] = store.slots[slot];
                for (table, key) in (0..2).flat_map(|table| (0..8).map(move |key| (table, key))) {
                    let found = look_up(&card, table, key);
                    let old_or_new =
                        [&before, &entries].map(|entries| strongest(entries, table, key));
                    assert!(old_or_new.contains(&found), "step {step}, slot {slot}, key {key}");
                }
            }
            assert_eq!(card.slots, store.slots, "step {step}: a slot changed unsaid");
        }
        assert!(full > 10 && moved > 100, "full {full} times, {moved} insertions moved others");
    }

    #[test]
    fn prefixes_are_masks_from_the_top_of_the_key() {
        assert_eq!(prefix_words(0x0a0b_0000, 16, 32).second, 0xffff_0000);
        assert_eq!(prefix_words(0, 0, 32).second, 0);
        assert_eq!(prefix_words(7, 128, 128).second, u128::MAX);
    }

    #[test]
    fn bounds_of_signed_fields_are_in_order_without_sign() {
        use crate::operand::IntType;
        use crate::program::KeySource;
        let field =
            |kind| KeyField { name: String::new(), kind, source: KeySource::Event { offset: 8 } };
        let fields = [field(IntType::I8), field(IntType::U16)];
        let minus_three = -3_i64 as u64;
        let words = range_words(&fields, &[minus_three, 5], &[2, 0xffff]);
        assert_eq!((words.first, words.second), (0x7d_0005, 0x82_ffff));
    }
}
