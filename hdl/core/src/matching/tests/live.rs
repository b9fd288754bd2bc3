//! Entries of ordered stores come and go while look-ups run.

use std::collections::VecDeque;

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::lower::{SlotValue, ordered_slot_writes};
use rmt_isa::card::ordered::{OrderedEntry, OrderedStore, words_of};
use rmt_isa::card::regions::{RANGE, TERNARY};
use rmt_isa::card::{CardShape, HostWrite, lower};
use rmt_isa::program::*;
use rtl_builder::prelude::*;

use super::program;
use crate::matching::MatchUnit;

/// A table of one kind on a field of 16 bits, and an entry for it from a random number.
fn ordered_table(kind: MatchKind, random: u64) -> (Table, Entry) {
    let mut table = program().tables.remove(0);
    table.kind = kind;
    table.key.truncate(1);
    table.entries.clear();
    let field = table.key[0].kind;
    let value = |shift: u64| field.wrap(random >> shift & 0x3f | (random >> shift & 0x40) << 9);
    let (a, b) = (value(8), value(24));
    let matcher = match kind {
        MatchKind::Range => {
            let (low, high) = if a as i64 <= b as i64 { (a, b) } else { (b, a) };
            Matcher::Range { low: vec![low], high: vec![high] }
        }
        _ => {
            let mask = u128::from(b as u16);
            Matcher::Ternary { value: u128::from(a as u16) & mask, mask }
        }
    };
    let call = ActionCall { action: 1, parameters: vec![random >> 40] };
    (table, Entry { matcher, priority: (random & 3) as u32, call })
}

/// Entries come and go while a key is looked up each cycle: each look-up finds what was to
/// be found before the change, or what is to be found after it.
fn live_changes(kind: MatchKind) {
    let shape = CardShape { match_fields: 4, ..CardShape::tiny() };
    let mut program = program();
    program.tables[0] = ordered_table(kind, 0).0;
    let image = lower(&program, Ordering::Pure, &shape).unwrap();
    let mut sim = elaborate(MatchUnit { shape }).unwrap().simulator();
    for write in &image.writes {
        poke_address(&mut sim, write);
        // An access begins a cycle after its address is there.
        for now in [0, 1] {
            sim.poke("host_write", now);
            sim.step();
        }
    }
    let region = if kind == MatchKind::Range { RANGE } else { TERNARY };
    let mut store =
        if kind == MatchKind::Range { image.entries.ranges } else { image.entries.ternary };
    let mut before = store.clone();
    let mut pending: VecDeque<HostWrite> = VecDeque::new();
    let mut addressed: Option<HostWrite> = None;
    let mut expected: VecDeque<[Option<u64>; 2]> = VecDeque::new();
    sim.poke("beat_last", 1);
    let (mut changes, mut different) = (0, 0);
    for cycle in 0..6000_u64 {
        let random = split_mix_64(cycle);
        if pending.is_empty() && addressed.is_none() {
            before = store.clone();
            let (table, entry) = ordered_table(kind, random);
            let occupied: Vec<_> =
                (0..store.slots().len()).filter(|&slot| store.slots()[slot].is_some()).collect();
            let (words, strength) = words_of(&table, &entry.matcher, entry.priority).unwrap();
            let value = SlotValue { start: (cycle % 500) as u16, parameters: 1 };
            let entry = OrderedEntry { table: 0, strength, words, value };
            let changed = match store.insert(entry) {
                Some(changed) if random >> 62 != 0 || occupied.is_empty() => changed,
                _ => {
                    store = before.clone();
                    let slot = occupied[(random >> 32) as usize % occupied.len()];
                    if random >> 61 & 1 == 1 {
                        store.remove(slot);
                    } else {
                        store.change(slot, value);
                    }
                    vec![slot]
                }
            };
            changes += 1;
            for slot in changed {
                pending.extend(ordered_slot_writes(region, slot, store.slots()[slot].as_ref()));
            }
        }
        // One write in two cycles, at most: its address is there a cycle before.
        let writes = addressed.take().is_some();
        sim.poke("host_write", writes.into());
        if !writes {
            addressed = pending.pop_front();
            addressed.iter().for_each(|write| poke_address(&mut sim, write));
        }
        let value = (random >> 16 & 0x3f | (random >> 16 & 0x40) << 9) as u16;
        sim.poke("first_valid", 1);
        sim.poke("beat_valid", 1);
        sim.poke("first_thread", cycle % 2);
        sim.poke("beat_thread", cycle % 2);
        sim.poke_bits("beat_data", &Bits::from_words(512, &[0, 0, u64::from(value) << 16]));
        let both = [&before, &store].map(|store| winner(store, kind, value));
        different += usize::from(both[0] != both[1]);
        expected.push_back(both);
        if cycle >= 3 {
            let found = (sim.peek("start_pc"), sim.peek("start_valid"));
            let default = u64::from(image.action_starts[0]);
            assert_eq!(found.1, 1, "the table has a default");
            let allowed = expected.pop_front().unwrap().map(|start| start.unwrap_or(default));
            assert!(
                allowed.contains(&found.0),
                "cycle {cycle}: {} is none of {allowed:?}",
                found.0
            );
        }
        sim.step();
    }
    assert!(
        changes > 200 && different > 200,
        "{changes} changes, {different} look-ups that differ"
    );
}

fn poke_address(sim: &mut Simulator, write: &HostWrite) {
    sim.poke("host_address", write.address.into());
    sim.poke("host_data", write.value);
}

/// What the definition of a store finds for a key of 16 bits with sign.
fn winner(store: &OrderedStore<SlotValue>, kind: MatchKind, value: u16) -> Option<u64> {
    let matches = |entry: &&OrderedEntry<SlotValue>| {
        let (first, second) = (entry.words.first as u16, entry.words.second as u16);
        match kind {
            MatchKind::Range => (first..=second).contains(&(value ^ 0x8000)),
            _ => value & second == first,
        }
    };
    store.slots().iter().flatten().find(matches).map(|entry| entry.value.start.into())
}

#[test]
fn ternary_entries_change_under_load() {
    live_changes(MatchKind::Ternary);
}

#[test]
fn range_entries_change_under_load() {
    live_changes(MatchKind::Range);
}
