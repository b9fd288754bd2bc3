//! From key to entry: one structure for each match kind.
//!
//! | kind | structure | look-up |
//! | --- | --- | --- |
//! | exact, up to 64 bits | groups of keys of one cache line each (`exact`) | mostly one group |
//! | exact, wider | one hash map | one probe |
//! | longest prefix | a hash map for each prefix length in use | a probe for each, longest first |
//! | ternary | a hash map for each mask in use (tuple space search; Srinivasan, Suri, Varghese, SIGCOMM 1999) | a probe for each, until no mask can win |
//! | range | a list, strongest first | scan to the first match |
//!
//! The hash maps are those of crate `hashbrown`, with its seeded hash.

use std::cmp::Reverse;

use hashbrown::HashMap;
use rmt_isa::operand::IntType;
use rmt_isa::program::{Entry, MatchKind, Matcher};

use super::exact::ExactMap;
use super::pool::ActionNumber;
use super::{EntryHandle, Key};

/// What a structure finds: the entry and what it runs.
type Found = (EntryHandle, ActionNumber);

/// Order among matching entries: the least wins, that is the highest priority, then the
/// entry that was added first.
type Rank = (Reverse<u32>, EntryHandle);

/// The search structure of one table.
#[derive(Clone, Debug)]
pub(super) enum Search {
    /// Keys of at most 64 bits, which most are.
    ExactNarrow(ExactMap),
    ExactWide(HashMap<u128, Found>),
    Prefix(PrefixSearch),
    Ternary(TernarySearch),
    Range(RangeSearch),
}

impl Search {
    pub(super) fn new(kind: MatchKind, key: &[IntType]) -> Self {
        let key_bits = key.iter().map(|kind| kind.bits()).sum();
        match kind {
            MatchKind::Exact if key_bits <= 64 => Self::ExactNarrow(ExactMap::default()),
            MatchKind::Exact => Self::ExactWide(HashMap::new()),
            MatchKind::LongestPrefix => {
                Self::Prefix(PrefixSearch { key_bits, lengths: Vec::new() })
            }
            MatchKind::Ternary => Self::Ternary(TernarySearch::default()),
            MatchKind::Range => Self::Range(RangeSearch { key: key.to_vec(), entries: Vec::new() }),
        }
    }

    /// Makes room for so many entries, to load a large table at once.
    pub(super) fn reserve(&mut self, entries: usize) {
        match self {
            Self::ExactNarrow(map) => map.reserve(entries),
            Self::ExactWide(map) => map.reserve(entries),
            Self::Prefix(_) | Self::Ternary(_) | Self::Range(_) => {}
        }
    }

    /// What the entry that wins runs. Small, so that it is inlined: many look-ups are then
    /// under way in the processor at once, each waiting for its own memory.
    #[inline]
    pub(super) fn action(&self, key: &Key) -> Option<ActionNumber> {
        match self {
            Self::ExactNarrow(entries) => entries.find(key.packed as u64),
            _ => self.find(key).map(|(_, action)| action),
        }
    }

    /// The entry that wins, and what it runs.
    #[inline(never)]
    pub(super) fn find(&self, key: &Key) -> Option<Found> {
        match self {
            Self::ExactNarrow(entries) => {
                entries.handle(key.packed as u64).zip(entries.find(key.packed as u64))
            }
            Self::ExactWide(entries) => entries.get(&key.packed).copied(),
            Self::Prefix(search) => search.find(key.packed).copied(),
            Self::Ternary(search) => search.find(key.packed).copied(),
            Self::Range(search) => search.find(key).copied(),
        }
    }

    /// The entry with the same matcher and the same priority.
    pub(super) fn same(&self, entry: &Entry) -> Option<EntryHandle> {
        match (self, &entry.matcher) {
            (Self::ExactNarrow(entries), Matcher::Exact { key }) => entries.handle(*key as u64),
            (Self::ExactWide(entries), Matcher::Exact { key }) => Some(entries.get(key)?.0),
            (Self::Prefix(search), Matcher::LongestPrefix { key, length }) => {
                let (_, group) = search.lengths.iter().find(|(found, _)| found == length)?;
                Some(group.get(key)?.0)
            }
            (Self::Ternary(search), Matcher::Ternary { value, mask }) => {
                let group = search.groups.iter().find(|group| group.mask == *mask)?;
                let rivals = group.values.get(value)?;
                let rival = rivals.iter().find(|rival| rival.rank.0.0 == entry.priority)?;
                Some(rival.rank.1)
            }
            (Self::Range(search), matcher) => {
                let same = |ranked: &&RangeEntry| {
                    ranked.rank.0.0 == entry.priority && ranked.matcher == *matcher
                };
                Some(search.entries.iter().find(same)?.rank.1)
            }
            _ => None,
        }
    }

    pub(super) fn add(&mut self, handle: EntryHandle, entry: &Entry, action: ActionNumber) {
        let rank = (Reverse(entry.priority), handle);
        match (self, &entry.matcher) {
            (Self::ExactNarrow(entries), Matcher::Exact { key }) => {
                entries.insert(*key as u64, handle, action);
            }
            (Self::ExactWide(entries), Matcher::Exact { key }) => {
                entries.insert(*key, (handle, action));
            }
            (Self::Prefix(search), Matcher::LongestPrefix { key, length }) => {
                search.add(*key, *length, (handle, action));
            }
            (Self::Ternary(search), Matcher::Ternary { value, mask }) => {
                search.add(*value, *mask, rank, action);
            }
            (Self::Range(search), matcher) => {
                let place = search.entries.partition_point(|other| other.rank < rank);
                let matcher = matcher.clone();
                search.entries.insert(place, RangeEntry { rank, matcher, found: (handle, action) });
            }
            // The check of entries lets no other matcher in.
            _ => {}
        }
    }

    pub(super) fn remove(&mut self, handle: EntryHandle, entry: &Entry) {
        match (self, &entry.matcher) {
            (Self::ExactNarrow(entries), Matcher::Exact { key }) => {
                entries.remove(*key as u64);
            }
            (Self::ExactWide(entries), Matcher::Exact { key }) => {
                entries.remove(key);
            }
            (Self::Prefix(search), Matcher::LongestPrefix { key, length }) => {
                search.remove(*key, *length);
            }
            (Self::Ternary(search), Matcher::Ternary { value, mask }) => {
                search.remove(*value, *mask, (Reverse(entry.priority), handle));
            }
            (Self::Range(search), _) => {
                let rank = (Reverse(entry.priority), handle);
                if let Ok(place) = search.entries.binary_search_by_key(&rank, |other| other.rank) {
                    search.entries.remove(place);
                }
            }
            _ => {}
        }
    }
}

/// The mask of the first `length` of `bits` bits.
pub(super) fn prefix_mask(length: u8, bits: u32) -> u128 {
    let all = u128::MAX.unbounded_shr(128 - bits.min(128));
    all & !all.unbounded_shr(length.into())
}

#[derive(Clone, Debug)]
pub(super) struct PrefixSearch {
    key_bits: u32,
    /// Prefixes by their length, the longest first; no length without a prefix.
    lengths: Vec<(u8, HashMap<u128, Found>)>,
}

impl PrefixSearch {
    fn find(&self, key: u128) -> Option<&Found> {
        self.lengths
            .iter()
            .find_map(|(length, group)| group.get(&(key & prefix_mask(*length, self.key_bits))))
    }

    fn add(&mut self, key: u128, length: u8, found: Found) {
        let place = self.lengths.partition_point(|(other, _)| *other > length);
        if self.lengths.get(place).is_none_or(|(other, _)| *other != length) {
            self.lengths.insert(place, (length, HashMap::new()));
        }
        self.lengths[place].1.insert(key, found);
    }

    fn remove(&mut self, key: u128, length: u8) {
        if let Some((_, group)) = self.lengths.iter_mut().find(|(other, _)| *other == length) {
            group.remove(&key);
        }
        self.lengths.retain(|(_, group)| !group.is_empty());
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct TernarySearch {
    /// Groups in order of the best rank in each; no group without an entry.
    groups: Vec<MaskGroup>,
}

/// The entries that share a mask.
#[derive(Clone, Debug)]
struct MaskGroup {
    mask: u128,
    best: Rank,
    /// Entries by value, the strongest first.
    values: HashMap<u128, Vec<TernaryEntry>>,
}

#[derive(Clone, Debug)]
struct TernaryEntry {
    rank: Rank,
    found: Found,
}

impl MaskGroup {
    fn update_best(&mut self) -> bool {
        let best = self.values.values().filter_map(|rivals| rivals.first()).map(|r| r.rank).min();
        self.best = best.unwrap_or(self.best);
        best.is_some()
    }
}

impl TernarySearch {
    fn find(&self, key: u128) -> Option<&Found> {
        let mut winner: Option<&TernaryEntry> = None;
        for group in &self.groups {
            if winner.is_some_and(|winner| winner.rank < group.best) {
                break;
            }
            let rival = group.values.get(&(key & group.mask)).and_then(|rivals| rivals.first());
            winner = match (winner, rival) {
                (Some(winner), Some(rival)) if winner.rank < rival.rank => Some(winner),
                (winner, rival) => rival.or(winner),
            };
        }
        winner.map(|entry| &entry.found)
    }

    fn add(&mut self, value: u128, mask: u128, rank: Rank, action: ActionNumber) {
        let entry = TernaryEntry { rank, found: (rank.1, action) };
        if !self.groups.iter().any(|group| group.mask == mask) {
            self.groups.push(MaskGroup { mask, best: rank, values: HashMap::new() });
        }
        for group in self.groups.iter_mut().filter(|group| group.mask == mask) {
            group.best = group.best.min(rank);
            let rivals = group.values.entry(value).or_default();
            let place = rivals.partition_point(|rival| rival.rank < rank);
            rivals.insert(place, entry.clone());
        }
        self.groups.sort_by_key(|group| group.best);
    }

    fn remove(&mut self, value: u128, mask: u128, rank: Rank) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.mask == mask) {
            if let Some(rivals) = group.values.get_mut(&value) {
                rivals.retain(|rival| rival.rank != rank);
                if rivals.is_empty() {
                    group.values.remove(&value);
                }
            }
            if group.best == rank && !group.update_best() {
                self.groups.retain(|group| !group.values.is_empty());
            }
        }
        self.groups.sort_by_key(|group| group.best);
    }
}

#[derive(Clone, Debug)]
pub(super) struct RangeSearch {
    key: Vec<IntType>,
    /// The strongest first.
    entries: Vec<RangeEntry>,
}

#[derive(Clone, Debug)]
struct RangeEntry {
    rank: Rank,
    matcher: Matcher,
    found: Found,
}

impl RangeSearch {
    fn find(&self, key: &Key) -> Option<&Found> {
        let entry = self.entries.iter().find(|entry| self.matches(&entry.matcher, key))?;
        Some(&entry.found)
    }

    fn matches(&self, matcher: &Matcher, key: &Key) -> bool {
        let Matcher::Range { low, high } = matcher else { return false };
        self.key.iter().zip(&key.fields).zip(low.iter().zip(high)).all(
            |((kind, value), (low, high))| {
                in_order(*kind, *low, *value) && in_order(*kind, *value, *high)
            },
        )
    }
}

/// Whether `a ≤ b` as numbers of this type.
pub(super) fn in_order(kind: IntType, a: u64, b: u64) -> bool {
    if kind.signed() { a as i64 <= b as i64 } else { a <= b }
}
