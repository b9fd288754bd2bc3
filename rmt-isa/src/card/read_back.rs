//! Context records and maps from a card, as plain values that co-simulation compares with
//! the interpreter's.

use super::fields::{context_set, ring_head};
use super::lower::{FieldPlan, MapPlan, StorePlan};
use super::regions::{
    CONTEXT_DATA, CONTEXT_KEYS, CONTEXT_SETS, CONTEXT_WRITTEN, MAP_KEYS, MAP_RINGS, MAP_SETS,
    MAP_VALUES, RING_HEADS,
};
use crate::limits::WAYS;
use crate::program::MapKind;

/// One record of a context store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its set, counted from the store's first.
    pub set: u32,
    /// Its way in the set.
    pub way: u32,
    /// Its key.
    pub key: u64,
    /// Its fields, in order of declaration.
    pub fields: Vec<FieldContent>,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldContent {
    /// The value, extended to 64 bits.
    Scalar(u64),
    /// The values of a history ring, the newest first.
    Ring(Vec<u64>),
}

/// The records of one store, set by set, the most recently matched of each set first.
///
/// `read` gives the card's word at an address.
///
/// # Errors
/// Those of `read`.
pub fn read_store<E>(
    plan: &StorePlan,
    mut read: impl FnMut(u32) -> Result<u64, E>,
) -> Result<Vec<Record>, E> {
    let mut records = Vec::new();
    for set in 0..plan.sets {
        let state = read(CONTEXT_SETS.word(plan.first_set + set))?;
        for way in ways_by_use(state) {
            let slot = set * WAYS as u32 + way;
            let card_slot = plan.first_set * WAYS as u32 + slot;
            let key = read(CONTEXT_KEYS.word(card_slot))?;
            let written = read(CONTEXT_WRITTEN.word(card_slot))?;
            let mut fields = Vec::new();
            for (index, field) in plan.fields.iter().enumerate() {
                let written = written >> index & 1 == 1;
                fields.push(read_field(field, slot, written, &mut read)?);
            }
            records.push(Record { set, way, key, fields });
        }
    }
    Ok(records)
}

/// The occupied ways of a set, the most recently matched first.
fn ways_by_use(state: u64) -> Vec<u32> {
    let occupied = context_set::OCCUPIED.extract(state);
    let ranks = context_set::RANKS.extract(state);
    let mut ways: Vec<_> = (0..WAYS as u32).filter(|way| occupied >> way & 1 == 1).collect();
    ways.sort_by_key(|way| ranks >> (2 * way) & 3);
    ways
}

fn read_field<E>(
    field: &FieldPlan,
    slot: u32,
    written: bool,
    read: &mut impl FnMut(u32) -> Result<u64, E>,
) -> Result<FieldContent, E> {
    let data = CONTEXT_DATA.word(field.data + (slot << field.shift));
    let Some(depth) = field.ring.map(u64::from) else {
        return Ok(FieldContent::Scalar(if written { read(data)? } else { 0 }));
    };
    let mut values = Vec::new();
    if written {
        let head = read(RING_HEADS.word(field.head + slot))?;
        let newest = ring_head::NEWEST.extract(head);
        for age in 0..ring_head::LENGTH.extract(head).min(depth) {
            let place = (newest + depth - age) % depth;
            values.push(read(data + place as u32)?);
        }
    }
    Ok(FieldContent::Ring(values))
}

/// What a map holds; values are extended to 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapContent {
    /// All values of an array or histogram.
    Indexed(Vec<u64>),
    /// The keys of a hash map, set by set; in an LRU map the most recently used of each set
    /// first, else by way.
    Hashed(Vec<MapKey>),
    /// A ring buffer.
    Ring {
        /// Values ever pushed.
        pushed: u64,
        /// The values that are left, the newest first.
        values: Vec<u64>,
    },
}

/// One key of a hash map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapKey {
    /// Its set, counted from the map's first.
    pub set: u32,
    /// Its way in the set.
    pub way: u32,
    /// The key.
    pub key: u64,
    /// Its value.
    pub value: u64,
}

/// What a map holds. `read` gives the card's word at an address.
///
/// # Errors
/// Those of `read`.
pub fn read_map<E>(
    plan: &MapPlan,
    mut read: impl FnMut(u32) -> Result<u64, E>,
) -> Result<MapContent, E> {
    let value_word = |place: u32| MAP_VALUES.word(plan.values + place);
    match plan.kind {
        MapKind::Array | MapKind::Histogram => {
            let values = (0..plan.capacity).map(|place| read(value_word(place)));
            Ok(MapContent::Indexed(values.collect::<Result<_, E>>()?))
        }
        MapKind::RingBuffer => {
            let pushed = read(MAP_RINGS.word(2 * plan.number))?;
            let next = read(MAP_RINGS.word(2 * plan.number + 1))? as u32;
            let mut values = Vec::new();
            for age in 0..pushed.min(plan.capacity.into()) as u32 {
                let place = (next + plan.capacity - 1 - age) % plan.capacity;
                values.push(read(value_word(place))?);
            }
            Ok(MapContent::Ring { pushed, values })
        }
        MapKind::Hash | MapKind::LruHash => {
            let mut keys = Vec::new();
            for set in 0..plan.sets() {
                let mut ways = ways_by_use(read(MAP_SETS.word(plan.first_set + set))?);
                if plan.kind == MapKind::Hash {
                    ways.sort_unstable();
                }
                for way in ways {
                    let slot = set * WAYS as u32 + way;
                    let key = read(MAP_KEYS.word(plan.first_set * WAYS as u32 + slot))?;
                    keys.push(MapKey { set, way, key, value: read(value_word(slot))? });
                }
            }
            Ok(MapContent::Hashed(keys))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operand::IntType;
    use std::collections::HashMap;

    #[test]
    fn records_come_in_order_of_use_and_unwritten_fields_are_empty() {
        let field = |ring: Option<u16>, data, shift, head| FieldPlan {
            kind: IntType::I64,
            ring,
            writable: true,
            data,
            shift,
            head,
        };
        let plan = StorePlan {
            number: 0,
            first_set: 2,
            sets: 1,
            fields: vec![field(None, 0, 0, 0), field(Some(3), 4, 2, 0)],
        };
        let state = context_set::OCCUPIED.insert(0b101) | context_set::RANKS.insert(0b01);
        let words = HashMap::from([
            (CONTEXT_SETS.word(2), state),
            (CONTEXT_KEYS.word(8), 70),
            (CONTEXT_KEYS.word(10), 72),
            (CONTEXT_WRITTEN.word(8), 0b11),
            (CONTEXT_WRITTEN.word(10), 0),
            (CONTEXT_DATA.word(0), 5),
            (RING_HEADS.word(0), ring_head::LENGTH.insert(2) | ring_head::NEWEST.insert(0)),
            (CONTEXT_DATA.word(4), 100),
            (CONTEXT_DATA.word(6), 99),
        ]);
        let records = read_store(&plan, |address| words.get(&address).copied().ok_or(address));
        assert_eq!(
            records,
            Ok(vec![
                Record {
                    set: 0,
                    way: 2,
                    key: 72,
                    fields: vec![FieldContent::Scalar(0), FieldContent::Ring(vec![])]
                },
                Record {
                    set: 0,
                    way: 0,
                    key: 70,
                    fields: vec![FieldContent::Scalar(5), FieldContent::Ring(vec![100, 99])]
                },
            ])
        );
    }

    #[test]
    fn maps_are_read_by_their_kind() {
        let plan = |kind, capacity| MapPlan {
            number: 1,
            kind,
            value: IntType::U64,
            capacity,
            values: 8,
            first_set: 2,
        };
        let state = context_set::OCCUPIED.insert(0b1001) | context_set::RANKS.insert(0b01);
        let words = HashMap::from([
            (MAP_SETS.word(2), state),
            (MAP_KEYS.word(8), 70),
            (MAP_KEYS.word(11), 73),
            (MAP_RINGS.word(2), 7),
            (MAP_RINGS.word(3), 1),
            (MAP_VALUES.word(8), 10),
            (MAP_VALUES.word(9), 11),
            (MAP_VALUES.word(10), 12),
            (MAP_VALUES.word(11), 13),
        ]);
        let read = |kind, capacity| {
            read_map(&plan(kind, capacity), |word| words.get(&word).copied().ok_or(word)).unwrap()
        };
        assert_eq!(read(MapKind::Array, 3), MapContent::Indexed(vec![10, 11, 12]));
        let values = vec![10, 12, 11];
        assert_eq!(read(MapKind::RingBuffer, 3), MapContent::Ring { pushed: 7, values });
        let first = MapKey { set: 0, way: 0, key: 70, value: 10 };
        let last = MapKey { set: 0, way: 3, key: 73, value: 13 };
        assert_eq!(read(MapKind::LruHash, 4), MapContent::Hashed(vec![last, first]));
        assert_eq!(read(MapKind::Hash, 4), MapContent::Hashed(vec![first, last]));
    }
}
