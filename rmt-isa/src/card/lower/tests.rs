//! Tests of installing a program: writes are played into a plain model of the memories.

use std::collections::HashMap;

use super::*;
use crate::assembly::assemble;
use crate::card::fields::{
    context_field, context_store, control_commit, control_slot, map_descriptor, match_slot,
    table_default,
};
use crate::card::matching::MatchKey;
use crate::card::regions::{
    CONTEXTS, MAP_RINGS, MAP_SETS, MAP_VALUES, MAPS, MATCH, PARAMETERS, TABLES,
};
use crate::operand::IntType;
use crate::program::*;

fn action(name: &str, text: &str) -> Action {
    let code = assemble(text).unwrap();
    Action { name: name.into(), parameters: vec![], arguments: 0, lines: vec![0; code.len()], code }
}

fn program() -> Program {
    let call = |action, value| ActionCall { action, parameters: vec![value] };
    let entry =
        |key, value| Entry { matcher: Matcher::Exact { key }, priority: 0, call: call(1, value) };
    Program {
        name: "p".into(),
        hook: Hook { name: "h".into(), number: 7, fields: vec![] },
        tables: vec![Table {
            name: "t".into(),
            kind: MatchKind::Exact,
            key: vec![KeyField {
                name: "pid".into(),
                kind: IntType::U32,
                source: KeySource::Event { offset: 8 },
            }],
            capacity: 8,
            actions: vec![0, 1],
            default: Some(ActionCall { action: 0, parameters: vec![] }),
            entries: vec![entry(5, 100), entry(6, 100), entry(7, 101)],
        }],
        actions: vec![
            action("miss", "exit abstain"),
            action("hit", "ld_param r1, param0\nout out0, r1\nexit decided"),
        ],
        contexts: vec![Context {
            name: "c".into(),
            capacity: 64,
            fields: vec![
                ContextField {
                    name: "last".into(),
                    kind: IntType::U64,
                    ring: None,
                    writable: true,
                    label: Label::Public,
                },
                ContextField {
                    name: "deltas".into(),
                    kind: IntType::I16,
                    ring: Some(5),
                    writable: false,
                    label: Label::Public,
                },
            ],
        }],
        ..Program::default()
    }
}

fn memory(image: &CardImage) -> HashMap<u32, u64> {
    image.writes.iter().map(|write| (write.address, write.value)).collect()
}

#[test]
fn an_entry_leads_to_its_action_and_parameters() {
    let image = lower(&program(), Ordering::PerKey, &CardShape::tiny()).unwrap();
    let memory = memory(&image);
    assert_eq!(image.action_starts, [0, 1]);
    for (key, parameter) in [(5, 100), (6, 100), (7, 101)] {
        let slot = image.entries.exact.find(MatchKey { table: 0, key }).unwrap() as u32;
        let word = memory[&MATCH.word(4 * slot + 2)];
        assert_eq!(memory[&MATCH.word(4 * slot)], key as u64);
        assert_eq!(match_slot::PRESENT.extract(word), 1);
        assert_eq!(match_slot::START.extract(word), 1);
        let row = match_slot::PARAMETERS.extract(word) as u32;
        assert_eq!(memory[&PARAMETERS.word(4 * row)], parameter);
    }
    let rows = image.writes.iter().filter(|write| write.address >> 16 == PARAMETERS.slot).count();
    assert_eq!(rows, 3 * 4, "equal rows are shared: none, 100 and 101 remain");
    assert_eq!(table_default::START.extract(memory[&TABLES.word(1)]), 0);
    assert_eq!(memory[&TABLES.word(3)], 0, "tables of an earlier program are cleared");
}

#[test]
fn events_are_held_while_a_program_is_installed() {
    let image = lower(&program(), Ordering::Total, &CardShape::tiny()).unwrap();
    let control: Vec<_> =
        image.writes.iter().filter(|write| write.address == CONTROL.word(0)).collect();
    assert_eq!(control.len(), 2);
    let word = |value| HostWrite { address: CONTROL.word(0), value };
    assert_eq!(image.writes.first(), Some(&word(control_commit::HOLD.insert(1))));
    assert_eq!(image.writes.last(), Some(&word(control_commit::COMMIT.insert(1))));
    let memory = memory(&image);
    let slot = memory[&CONTROL.word(FIRST_SLOT_WORD)];
    assert_eq!(control_slot::ENABLE.extract(slot), 1);
    assert_eq!(control_slot::ORDERING.extract(slot), 2);
    assert_eq!(control_slot::HOOK.extract(slot), 7);
    assert_eq!(control_slot::LOCK_MASK.extract(slot), 15);
    for other in 1..SLOTS {
        assert_eq!(memory[&CONTROL.word(FIRST_SLOT_WORD + other)], 0);
    }
}

#[test]
fn fields_of_records_do_not_overlap() {
    let image = lower(&program(), Ordering::PerKey, &CardShape::tiny()).unwrap();
    let fields = &image.contexts[0].fields;
    assert_eq!((fields[0].data, fields[0].shift), (0, 0));
    assert_eq!((fields[1].data, fields[1].shift), (64, 3));
    let memory = memory(&image);
    let ring = memory[&CONTEXTS.word(256 + 1)];
    assert_eq!(context_field::LAST_PLACE.extract(ring), 4);
    assert_eq!(context_field::WRITABLE.extract(ring), 0);
    assert_eq!(context_store::SET_MASK.extract(memory[&CONTEXTS.word(0)]), 15);
    assert_eq!(memory[&CONTEXTS.word(1)], 0);
}

fn map(kind: MapKind, capacity: u32) -> Map {
    Map { name: "m".into(), kind, capacity, value: IntType::U32, label: Label::Public }
}

#[test]
fn maps_stand_side_by_side_and_are_emptied() {
    let mut program = program();
    program.maps = vec![
        map(MapKind::Array, 5),
        map(MapKind::Hash, 16),
        map(MapKind::RingBuffer, 3),
        map(MapKind::LruHash, 4),
    ];
    let image = lower(&program, Ordering::Total, &CardShape::tiny()).unwrap();
    let places: Vec<_> = image.maps.iter().map(|plan| (plan.values, plan.first_set)).collect();
    assert_eq!(places, [(0, 0), (8, 0), (24, 0), (28, 4)]);
    let memory = memory(&image);
    let word = memory[&MAPS.word(3)];
    assert_eq!(map_descriptor::KIND.extract(word), 2);
    assert_eq!(map_descriptor::LAST_PLACE.extract(word), 3);
    assert_eq!(map_descriptor::FIRST_ROW.extract(word), 7);
    assert_eq!(map_descriptor::FIRST_SET.extract(word), 4);
    assert!((0..5).chain(24..27).all(|value| memory[&MAP_VALUES.word(value)] == 0));
    assert!((0..5).all(|set| memory[&MAP_SETS.word(set)] == 0));
    assert_eq!(memory[&MAP_RINGS.word(4)], 0);
}

#[test]
fn what_the_card_lacks_is_named_with_its_remedy() {
    let error_on = |shape: &CardShape, change: fn(&mut Program)| {
        let mut program = program();
        change(&mut program);
        lower(&program, Ordering::Pure, shape).unwrap_err().to_string()
    };
    let error = |change| error_on(&CardShape::tiny(), change);
    assert_eq!(
        error(|p| {
            let table = &mut p.tables[0];
            table.kind = MatchKind::Ternary;
            let entry = table.entries[0].clone();
            let matcher = |n| Matcher::Ternary { value: n, mask: 0xff };
            table.entries =
                (0..17).map(|n| Entry { matcher: matcher(n), ..entry.clone() }).collect();
        }),
        "the tables up to entry 16 of `t` need 17 slots of prefix and ternary entries, the card has 16; generate the card with a larger `ternary_slots`, or make the program smaller"
    );
    assert_eq!(
        error(|p| p.maps = vec![map(MapKind::Array, 900), map(MapKind::RingBuffer, 125)]),
        "the maps up to `m` need 1028 values, the card has 1024; generate the card with a larger `map_words`, or make the program smaller"
    );
    assert_eq!(
        error(|p| p.maps = vec![map(MapKind::Hash, 128), map(MapKind::LruHash, 4)]),
        "the maps up to `m` need 33 sets of four keys, the card has 32; generate the card with a larger `map_sets`, or make the program smaller"
    );
    assert_eq!(
        error(|p| p.maps = vec![map(MapKind::Array, 1); 5]),
        "the maps need 5 descriptors, the card has 4; generate the card with a larger `maps`, or make the program smaller"
    );
    let without = CardShape { maps: 0, ..CardShape::tiny() };
    assert_eq!(
        error_on(&without, |p| p.maps = vec![map(MapKind::Array, 1)]),
        "the maps need 1 descriptors, the card has 0; generate the card with a larger `maps`, or make the program smaller"
    );
    assert_eq!(
        error(|p| p.contexts[0].capacity = 1024),
        "the context stores up to `c` need 256 sets of four records, the card has 64; generate the card with a larger `context_sets`, or make the program smaller"
    );
    assert_eq!(
        error(|p| p.contexts[0].fields[1].ring = Some(200)),
        "the context stores up to `c` need 16448 words of fields, the card has 4096; generate the card with a larger `context_words`, or make the program smaller"
    );
    assert_eq!(
        error(|p| p.tables[0].key = vec![p.tables[0].key[0].clone(); 3]),
        "the key of table `t` has 96 bits, the card compares 64; generate the card with a larger `match_key_bits`, or use narrower fields"
    );
    assert_eq!(
        error(|p| {
            let entry = p.tables[0].entries[0].clone();
            p.tables[0].entries = (0..300)
                .map(|key| Entry { matcher: Matcher::Exact { key }, ..entry.clone() })
                .collect();
        })
        .split(':')
        .next(),
        Some("table `t` does not fit")
    );
}

fn serving(hook: u16) -> Program {
    let mut program = program();
    program.hook.number = hook;
    program.maps = vec![map(MapKind::Array, 5)];
    program.actions[1].code = assemble(
        "RMT_MATCH_CTXT r1, ctxt0, r1\nRMT_ST_CTXT ctxt0.0, r1\nmap_ld r2, map0, r1\nexit decided",
    )
    .unwrap();
    program
}

#[test]
fn programs_stand_side_by_side() {
    let mut residents = Residents::new(&CardShape::small()).unwrap();
    residents.put(0, serving(7), Ordering::PerKey).unwrap();
    residents.put(3, serving(9), Ordering::Total).unwrap();
    let image = residents.image().unwrap();
    let memory = memory(&image);
    assert_eq!(image.programs[1].tables, 1..2);
    assert_eq!(image.programs[1].contexts, 1..2);
    let slot = memory[&CONTROL.word(FIRST_SLOT_WORD + 3)];
    assert_eq!(control_slot::FIRST_TABLE.extract(slot), 1);
    assert_eq!(control_slot::HOOK.extract(slot), 9);
    assert_eq!(memory[&CONTROL.word(FIRST_SLOT_WORD + 1)], 0);
    // The second program's code names its own store and map.
    let start = u32::from(image.action_starts[image.programs[1].actions.start + 1]);
    let line = |n: u32| Instruction::decode(memory[&PROGRAM.word(start + n)]).unwrap().to_string();
    assert_eq!(line(0), "RMT_MATCH_CTXT r1, ctxt1, r1");
    assert_eq!(line(1), "RMT_ST_CTXT ctxt1.0, r1");
    assert_eq!(line(2), "map_ld r2, map1, r1");
    let found = image.entries.exact.find(MatchKey { table: 1, key: 5 }).unwrap() as u32;
    assert_eq!(match_slot::START.extract(memory[&MATCH.word(4 * found + 2)]), u64::from(start));
    let [first, second] = [0, 1].map(|n: usize| &image.contexts[n]);
    assert_eq!(second.first_set, first.first_set + first.sets);
    assert_eq!(second.fields[0].data, first.fields[1].data + (64 << first.fields[1].shift));
}

#[test]
fn the_state_of_a_program_stays_where_it_is_while_others_come_and_go() {
    let mut residents = Residents::new(&CardShape::small()).unwrap();
    residents.put(0, serving(7), Ordering::PerKey).unwrap();
    residents.put(1, serving(9), Ordering::PerKey).unwrap();
    let before = residents.image().unwrap();
    assert!(residents.remove(0).is_some());
    assert_eq!(residents.free_slot(), Some(0));
    let after = residents.image().unwrap();
    assert_eq!(after.contexts[0], before.contexts[1]);
    assert_eq!(after.maps[0], before.maps[1]);
    // The same declarations keep the places, others stand beside them.
    residents.put(1, serving(9), Ordering::Total).unwrap();
    assert_eq!(residents.image().unwrap().contexts, after.contexts);
    let mut other = serving(9);
    other.contexts[0].capacity = 32;
    residents.put(1, other, Ordering::Total).unwrap();
    assert_eq!(residents.image().unwrap().contexts[0].number, 0);
    let taken = residents.put(2, serving(9), Ordering::Total).unwrap_err().to_string();
    assert!(taken.starts_with("hook 9 is served by the program in slot 1 already"), "{taken}");
    assert!(residents.put(8, serving(1), Ordering::Total).is_err());
}
