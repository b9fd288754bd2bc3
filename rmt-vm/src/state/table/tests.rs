//! Tables against a linear scan that follows the words of the definition.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::operand::IntType;
use rmt_isa::program::{Action, KeyField, KeySource, Matcher, Parameter};

use super::*;

/// A program with one table whose key is `fields` from the event, and one action with one
/// `u32` parameter.
fn program(kind: MatchKind, fields: &[IntType], capacity: u32) -> Program {
    let key = fields.iter().enumerate().map(|(index, &kind)| KeyField {
        name: format!("f{index}"),
        kind,
        source: KeySource::Event { offset: 16 + 8 * index as u8 },
    });
    let table = program::Table {
        name: "t".into(),
        kind,
        key: key.collect(),
        capacity,
        actions: vec![0],
        default: None,
        entries: vec![],
    };
    let action = Action {
        name: "act".into(),
        parameters: vec![Parameter { name: "p".into(), kind: IntType::U32 }],
        arguments: 0,
        code: vec![],
        lines: vec![],
    };
    Program { tables: vec![table], actions: vec![action], ..Program::default() }
}

fn call(parameter: u64) -> ActionCall {
    ActionCall { action: 0, parameters: vec![parameter] }
}

fn entry(matcher: Matcher, priority: u32, parameter: u64) -> Entry {
    Entry { matcher, priority, call: call(parameter) }
}

/// Whether an entry matches, word by word as the definition has it.
fn naive_match(table: &program::Table, matcher: &Matcher, key: &Key) -> bool {
    match matcher {
        Matcher::Exact { key: wanted } => key.packed == *wanted,
        Matcher::LongestPrefix { key: wanted, length } => (0..u32::from(*length)).all(|bit| {
            let place = table.key_bits() - 1 - bit;
            key.packed >> place & 1 == wanted >> place & 1
        }),
        Matcher::Ternary { value, mask } => key.packed & mask == *value,
        Matcher::Range { low, high } => table.key.iter().enumerate().all(|(index, field)| {
            let wide = |v: u64| if field.kind.signed() { i128::from(v as i64) } else { v.into() };
            (wide(low[index])..=wide(high[index])).contains(&wide(key.fields[index]))
        }),
    }
}

/// The winner by linear scan: the longest prefix or highest priority, then the first added.
fn naive_find(
    table: &program::Table,
    list: &[(EntryHandle, Entry)],
    key: &Key,
) -> Option<EntryHandle> {
    let strength = |entry: &Entry| match entry.matcher {
        Matcher::LongestPrefix { length, .. } => u32::from(length),
        _ => entry.priority,
    };
    let mut best: Option<(u32, EntryHandle)> = None;
    for (handle, entry) in list.iter().filter(|(_, e)| naive_match(table, &e.matcher, key)) {
        if best.is_none_or(|(found, _)| strength(entry) > found) {
            best = Some((strength(entry), *handle));
        }
    }
    best.map(|(_, handle)| handle)
}

/// A random matcher over a small space, so that entries overlap and meet keys often.
///
/// `bits` is 8 for a key of one i8, 72 for one with a u64 in front of it: the bits in use are
/// then the highest and the lowest.
fn random_matcher(kind: MatchKind, bits: u32, random: u64) -> Matcher {
    let byte = |shift: u32| random >> shift & 0xff;
    let low = u128::from(byte(0) & 0x0f | (byte(8) & 3) << 6);
    let high = if bits > 64 { u128::from(byte(24) & 1) << (bits - 1) } else { 0 };
    let key = low | high;
    match kind {
        MatchKind::Exact => Matcher::Exact { key },
        MatchKind::LongestPrefix => {
            let length = (byte(16) % 9) as u8 + if byte(32) & 1 == 0 { 0 } else { bits as u8 - 8 };
            Matcher::LongestPrefix { key: key & search::prefix_mask(length, bits), length }
        }
        MatchKind::Ternary => {
            let mask = u128::from([0xff, 0xf0, 0x0f, 0xc3, 0x00][byte(16) as usize % 5] as u8);
            let mask = if byte(32) & 1 == 0 { mask } else { mask | 1 << (bits - 1) };
            Matcher::Ternary { value: key & mask, mask }
        }
        MatchKind::Range => {
            let kind = IntType::I8;
            let (a, b) = (kind.wrap(byte(0)) as i64, kind.wrap(byte(8)) as i64);
            let (mut low, mut high) = (vec![a.min(b) as u64], vec![a.max(b) as u64]);
            if bits > 64 {
                low.insert(0, byte(24) & 1);
                high.insert(0, u64::MAX);
            }
            Matcher::Range { low, high }
        }
    }
}

#[test]
fn every_kind_equals_a_linear_scan_under_random_changes() {
    let kinds = [MatchKind::Exact, MatchKind::LongestPrefix, MatchKind::Ternary, MatchKind::Range];
    let keys: [&[IntType]; 2] = [&[IntType::I8], &[IntType::U64, IntType::I8]];
    for (kind, fields) in kinds.into_iter().flat_map(|kind| keys.map(|fields| (kind, fields))) {
        let program = program(kind, fields, 24);
        let bits = program.tables[0].key_bits();
        let declaration = &program.tables[0];
        let mut table = Table::new(&program, 0).unwrap();
        let mut list: Vec<(EntryHandle, Entry)> = vec![];
        let mut hits = 0;
        for step in 0..6_000_u64 {
            let random = split_mix_64(step);
            let priority = if has_priority(kind) { (random >> 40 & 3) as u32 } else { 0 };
            let new = entry(random_matcher(kind, bits, random), priority, random >> 50);
            let same = |(_, e): &(EntryHandle, Entry)| {
                e.matcher == new.matcher && e.priority == new.priority
            };
            match random >> 60 {
                0..8 => match table.add(&program, declaration, new.clone()) {
                    Ok(handle) => {
                        assert!(list.len() < 24 && !list.iter().any(same));
                        list.push((handle, new));
                    }
                    Err(TableError::Duplicate { handle, .. }) => {
                        assert_eq!(list.iter().find(|e| same(e)).unwrap().0.0, handle);
                    }
                    Err(TableError::Full { .. }) => assert_eq!(list.len(), 24),
                    Err(other) => panic!("{other}"),
                },
                8..12 if !list.is_empty() => {
                    let (handle, removed) = list.remove(random as usize % list.len());
                    assert_eq!(table.remove(handle), Ok(removed));
                }
                12..14 if !list.is_empty() => {
                    let place = random as usize % list.len();
                    let (handle, changed) = &mut list[place];
                    changed.call = call(step);
                    table.change(&program, declaration, *handle, call(step)).unwrap();
                }
                _ => {}
            }
            let mut event = Event::new(0, 0, 0);
            let low_place = 16 + 8 * (fields.len() - 1);
            event.store(low_place, 1, random >> 3 & 0x0f | (random >> 9 & 3) << 6);
            if fields.len() > 1 {
                event.store(16, 8, (random >> 20) << 63);
            }
            let key = table.key(&event, &[0; 4]);
            let found = table.find(&key);
            assert_eq!(
                found.map(|(h, _)| h),
                naive_find(declaration, &list, &key),
                "{kind:?} {step}"
            );
            if let Some((handle, bound)) = found {
                hits += 1;
                assert_eq!(BoundAction::new(&table.entry(handle).unwrap().call), *bound);
            }
        }
        assert!(hits > 100, "{kind:?}: only {hits} keys matched, the test shows little");
    }
}

#[test]
fn key_fields_are_packed_with_the_first_on_top() {
    let program = program(MatchKind::Exact, &[IntType::U16, IntType::I8, IntType::U64], 4);
    let table = Table::new(&program, 0).unwrap();
    let mut event = Event::new(0, 0, 0);
    event.store(16, 8, 0xffff_1234);
    event.store(24, 8, 0x80);
    event.store(32, 8, u64::MAX);
    let key = table.key(&event, &[0; 4]);
    assert_eq!(key.packed, 0x0012_3480_ffff_ffff_ffff_ffff);
    assert_eq!(key.fields, [0x1234, -128_i64 as u64, u64::MAX, 0]);
}

#[test]
fn keys_come_from_the_arguments_of_a_tail_call_too() {
    let mut program = program(MatchKind::Exact, &[IntType::I16], 4);
    program.tables[0].key[0].source = KeySource::Argument { register: 2 };
    let table = Table::new(&program, 0).unwrap();
    let key = table.key(&Event::new(0, 0, 0), &[1, 0xffff_8001, 3, 4]);
    assert_eq!((key.packed, key.fields[0]), (0x8001, 0xffff_ffff_ffff_8001));
}

#[test]
fn a_table_falls_back_to_its_default_action() {
    let mut program = program(MatchKind::Exact, &[IntType::U8], 4);
    program.tables[0].default = Some(call(77));
    program.tables[0].entries = vec![entry(Matcher::Exact { key: 5 }, 0, 1)];
    let table = Table::new(&program, 0).unwrap();
    let look_up = |byte| {
        let key = Key { packed: byte, fields: [byte as u64, 0, 0, 0] };
        table.look_up(&key).unwrap().parameters().to_vec()
    };
    assert_eq!((look_up(5), look_up(6)), (vec![1], vec![77]));
}

#[test]
fn removed_handles_are_not_used_again_and_undo_leaves_no_trace() {
    let program = program(MatchKind::Ternary, &[IntType::U8], 4);
    let declaration = &program.tables[0];
    let mut table = Table::new(&program, 0).unwrap();
    let matcher = |value| Matcher::Ternary { value, mask: 0xff };
    let first = table.add(&program, declaration, entry(matcher(1), 0, 1)).unwrap();
    table.remove(first).unwrap();
    let second = table.add(&program, declaration, entry(matcher(1), 0, 2)).unwrap();
    assert_ne!(first, second);
    let before = table.clone();
    let third = table.add(&program, declaration, entry(matcher(2), 9, 3)).unwrap();
    let old = table.change(&program, declaration, second, call(8)).unwrap();
    let removed = table.remove(second).unwrap();
    assert_ne!(table, before);
    table.undo_remove(second, removed);
    table.undo_change(second, old);
    table.undo_add(third);
    assert_eq!(table, before);
}

#[test]
fn unfit_entries_are_refused_with_table_reason_and_remedy() {
    let check = |kind, fields: &[IntType], entry: Entry| {
        let program = program(kind, fields, 4);
        check::entry(&program, &program.tables[0], &entry).unwrap_err().to_string()
    };
    let exact = |key| Matcher::Exact { key };
    let u8_key = [IntType::U8];
    let cases = [
        (check(MatchKind::Exact, &[], entry(exact(0), 0, 0)), "has no key"),
        (check(MatchKind::Ternary, &u8_key, entry(exact(0), 0, 0)), "matches by Ternary"),
        (
            check(MatchKind::Exact, &u8_key, entry(exact(256), 0, 0)),
            "0x100 does not fit the key of 8",
        ),
        (check(MatchKind::Exact, &u8_key, entry(exact(1), 3, 0)), "which has no priorities"),
        (check(MatchKind::Exact, &u8_key, entry(exact(1), 0, 1 << 32)), "parameter `p`"),
        (
            check(
                MatchKind::LongestPrefix,
                &u8_key,
                entry(Matcher::LongestPrefix { key: 0, length: 9 }, 0, 0),
            ),
            "a prefix of 9 bits is longer",
        ),
        (
            check(
                MatchKind::LongestPrefix,
                &u8_key,
                entry(Matcher::LongestPrefix { key: 1, length: 4 }, 0, 0),
            ),
            "outside its mask 0xf0",
        ),
        (
            check(MatchKind::Ternary, &u8_key, entry(Matcher::Ternary { value: 3, mask: 2 }, 0, 0)),
            "outside its mask",
        ),
        (
            check(
                MatchKind::Range,
                &u8_key,
                entry(Matcher::Range { low: vec![], high: vec![1] }, 0, 0),
            ),
            "one pair for each field",
        ),
        (
            check(
                MatchKind::Range,
                &[IntType::I8],
                entry(Matcher::Range { low: vec![0], high: vec![128] }, 0, 0),
            ),
            "upper bound `f0`",
        ),
        (
            check(
                MatchKind::Range,
                &[IntType::I8],
                entry(Matcher::Range { low: vec![1], high: vec![u64::MAX] }, 0, 0),
            ),
            "exchange them",
        ),
    ];
    for (message, part) in cases {
        assert!(message.contains("table `t`") && message.contains(part), "{message}");
    }
    let program = program(MatchKind::Exact, &[IntType::U8], 4);
    let declaration = &program.tables[0];
    let refuse = |call: ActionCall| check::call(&program, declaration, &call).unwrap_err();
    let wrong_action = ActionCall { action: 3, parameters: vec![] };
    assert!(matches!(refuse(wrong_action), TableError::Action { action: 3, .. }));
    let too_many = ActionCall { action: 0, parameters: vec![1, 2] };
    assert!(matches!(refuse(too_many), TableError::ParameterCount { expected: 1, found: 2, .. }));
}
