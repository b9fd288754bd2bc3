//! Context records and maps onto a card: the inverse of [`read_back`](super::read_back), by which a
//! program brings along what it learnt elsewhere.
//!
//! The words go in behind those that install the program, which empty all sets, and before the
//! commit; no event runs meanwhile.

use super::HostWrite;
use super::fields::{context_set, ring_head};
use super::lower::{MapPlan, StorePlan};
use super::read_back::{FieldContent, MapContent, Record};
use super::regions::{
    CONTEXT_DATA, CONTEXT_KEYS, CONTEXT_SETS, CONTEXT_WRITTEN, MAP_KEYS, MAP_RINGS, MAP_SETS,
    MAP_VALUES, RING_HEADS, Region,
};
use crate::limits::WAYS;

/// The words of all records of a store, which come set by set, the most recently matched of each
/// set first.
pub fn write_store(plan: &StorePlan, records: &[Record]) -> Vec<HostWrite> {
    let mut writes = Vec::new();
    let mut write = |region: Region, index: u32, value: u64| {
        writes.push(HostWrite { address: region.word(index), value });
    };
    for records in records.chunk_by(|a, b| a.set == b.set) {
        for record in records {
            let slot = record.set * WAYS as u32 + record.way;
            let card_slot = plan.first_set * WAYS as u32 + slot;
            write(CONTEXT_KEYS, card_slot, record.key);
            write(CONTEXT_WRITTEN, card_slot, (1 << plan.fields.len()) - 1);
            for (field, content) in plan.fields.iter().zip(&record.fields) {
                let data = field.data + (slot << field.shift);
                match content {
                    FieldContent::Scalar(value) => write(CONTEXT_DATA, data, *value),
                    FieldContent::Ring(values) => {
                        // The oldest value stands in place 0.
                        for (place, value) in (0..).zip(values.iter().rev()) {
                            write(CONTEXT_DATA, data + place, *value);
                        }
                        let length = values.len() as u64;
                        let newest = length.saturating_sub(1);
                        let head =
                            ring_head::LENGTH.insert(length) | ring_head::NEWEST.insert(newest);
                        write(RING_HEADS, field.head + slot, head);
                    }
                }
            }
        }
        let ways = records.iter().map(|record| record.way);
        write(CONTEXT_SETS, plan.first_set + records[0].set, set_word(ways));
    }
    writes
}

/// The words of what a map holds.
pub fn write_map(plan: &MapPlan, content: &MapContent) -> Vec<HostWrite> {
    let mut writes = Vec::new();
    let mut write = |region: Region, index: u32, value: u64| {
        writes.push(HostWrite { address: region.word(index), value });
    };
    match content {
        MapContent::Indexed(values) => {
            for (place, value) in (plan.values..).zip(values) {
                write(MAP_VALUES, place, *value);
            }
        }
        MapContent::Ring { pushed, values } => {
            let capacity = u64::from(plan.capacity.max(1));
            for (age, value) in (0..).zip(values) {
                let place = pushed.wrapping_sub(1 + age) % capacity;
                write(MAP_VALUES, plan.values + place as u32, *value);
            }
            write(MAP_RINGS, 2 * plan.number, *pushed);
            write(MAP_RINGS, 2 * plan.number + 1, pushed % capacity);
        }
        MapContent::Hashed(keys) => {
            for keys in keys.chunk_by(|a, b| a.set == b.set) {
                for key in keys {
                    let slot = key.set * WAYS as u32 + key.way;
                    write(MAP_KEYS, plan.first_set * WAYS as u32 + slot, key.key);
                    write(MAP_VALUES, plan.values + slot, key.value);
                }
                let ways = keys.iter().map(|key| key.way);
                write(MAP_SETS, plan.first_set + keys[0].set, set_word(ways));
            }
        }
    }
    writes
}

/// The state of a set whose occupied ways come in order of use.
fn set_word(ways: impl Iterator<Item = u32>) -> u64 {
    let (mut occupied, mut ranks) = (0, 0);
    for (rank, way) in (0_u64..).zip(ways) {
        occupied |= 1 << way;
        ranks |= rank << (2 * way);
    }
    context_set::OCCUPIED.insert(occupied) | context_set::RANKS.insert(ranks)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::card::lower::FieldPlan;
    use crate::card::read_back::{MapKey, read_map, read_store};
    use crate::operand::IntType;
    use crate::program::MapKind;

    fn memory(writes: Vec<HostWrite>) -> impl FnMut(u32) -> Result<u64, u32> {
        let words: HashMap<u32, u64> = writes.iter().map(|w| (w.address, w.value)).collect();
        move |address| Ok(words.get(&address).copied().unwrap_or(0))
    }

    #[test]
    fn records_are_read_back_as_they_were_written() {
        let field = |ring, data, shift, head| FieldPlan {
            kind: IntType::I64,
            ring,
            writable: true,
            data,
            shift,
            head,
        };
        let fields = vec![field(None, 0, 0, 0), field(Some(3), 16, 2, 8)];
        let plan = StorePlan { number: 0, first_set: 3, sets: 2, fields };
        let record = |set, way, key, ring: &[u64]| Record {
            set,
            way,
            key,
            fields: vec![FieldContent::Scalar(key + 5), FieldContent::Ring(ring.to_vec())],
        };
        let records = vec![
            record(0, 2, 10, &[3, 2, 1]),
            record(0, 0, 11, &[]),
            record(1, 1, 12, &[9]),
            record(1, 3, 13, &[8, 7]),
            record(1, 0, 14, &[6]),
        ];
        let read = read_store(&plan, memory(write_store(&plan, &records)));
        assert_eq!(read, Ok(records));
    }

    #[test]
    fn maps_are_read_back_as_they_were_written() {
        let key = |set, way, key| MapKey { set, way, key, value: key + 1 };
        let cases = [
            (MapKind::Array, 5, MapContent::Indexed(vec![4, 0, 6, 7, 8])),
            (MapKind::RingBuffer, 3, MapContent::Ring { pushed: 7, values: vec![7, 6, 5] }),
            (MapKind::RingBuffer, 3, MapContent::Ring { pushed: 2, values: vec![2, 1] }),
            (
                MapKind::LruHash,
                8,
                MapContent::Hashed(vec![key(0, 3, 9), key(0, 1, 2), key(1, 0, 4)]),
            ),
            (MapKind::Hash, 8, MapContent::Hashed(vec![key(1, 0, 4), key(1, 2, 5)])),
        ];
        for (kind, capacity, content) in cases {
            let value = IntType::U64;
            let plan = MapPlan { number: 1, kind, value, capacity, values: 12, first_set: 2 };
            let read = read_map(&plan, memory(write_map(&plan, &content)));
            assert_eq!(read, Ok(content), "{kind:?}");
        }
    }
}
