//! Tables: keys, who runs what, and entries.

use rmt_isa::event::event_layout;
use rmt_isa::operand::IntType;
use rmt_isa::program::{
    ActionCall, Entry, KeyField, KeySource, MatchKind, Matcher, Program, Table,
};

use super::{Options, Random, objects};

/// Declares tables and their actions, without entries and code.
///
/// The result is, for each action, the last table that may run it: its tail calls lead only
/// to tables behind that one, so that no event comes back to a table.
pub(super) fn declare(random: &mut Random, options: &Options, program: &mut Program) -> Vec<usize> {
    let cascades = options.instructions().iter().any(|info| info.mnemonic == "TAIL_CALL");
    let most = if cascades { *options.tables.end() } else { 1 };
    let count = random.between((*options.tables.start()).min(most), most).max(1);
    let mut levels: Vec<usize> = Vec::new();
    for number in 0..count {
        let mut actions = Vec::new();
        for _ in 0..random.between(1, 3) {
            let arguments = if number == 0 { 0 } else { random.between(0, options.arguments) };
            actions.push(levels.len() as u16);
            let action = objects::action(random, options, levels.len(), arguments as u8);
            program.actions.push(action);
            levels.push(number);
        }
        // An action of an earlier table may serve this one, too.
        if random.one_in(4)
            && let Some(shared) = random.choose(0..levels.len())
            && !actions.contains(&(shared as u16))
        {
            actions.push(shared as u16);
            levels[shared] = number;
        }
        let kind = *random.pick(&options.match_kinds);
        let key = key(random, options, number);
        let capacity = random.between(*options.entries.end(), options.entries.end() + 4) as u32;
        program.tables.push(Table {
            name: format!("table{number}"),
            kind,
            key,
            capacity,
            actions,
            default: None,
            entries: Vec::new(),
        });
    }
    levels
}

fn key(random: &mut Random, options: &Options, table: usize) -> Vec<KeyField> {
    let count = random.between(*options.key_fields.start(), *options.key_fields.end());
    let mut fields: Vec<KeyField> = Vec::new();
    let mut bits = 0;
    for number in 0..count {
        let kind = *random.pick(IntType::ALL);
        if bits + kind.bits() > options.key_bits {
            break;
        }
        bits += kind.bits();
        let source = if table > 0 && options.arguments > 0 && random.one_in(3) {
            KeySource::Argument { register: random.between(1, options.arguments) as u8 }
        } else {
            let width = kind.bytes();
            let places = (64 - event_layout::KEY.offset) / width;
            // Often the key, of which there are few.
            let place = if random.one_in(2) { 0 } else { random.below(places) };
            KeySource::Event { offset: (event_layout::KEY.offset + place * width) as u8 }
        };
        fields.push(KeyField { name: format!("key{number}"), kind, source });
    }
    fields
}

/// Gives the tables entries and default actions.
pub(super) fn fill(random: &mut Random, options: &Options, program: &mut Program) {
    for number in 0..program.tables.len() {
        let table = &program.tables[number];
        let default =
            (table.key.is_empty() || !random.one_in(4)).then(|| call(random, program, table));
        let count = random.between(*options.entries.start(), *options.entries.end());
        let mut entries: Vec<Entry> = Vec::new();
        for _ in 0..if table.key.is_empty() { 0 } else { count } {
            let new = entry(random, program, table);
            let same = |e: &Entry| e.matcher == new.matcher && e.priority == new.priority;
            if !entries.iter().any(same) {
                entries.push(new);
            }
        }
        let table = &mut program.tables[number];
        (table.default, table.entries) = (default, entries);
    }
}

/// A random entry that fits a table.
pub(super) fn entry(random: &mut Random, program: &Program, table: &Table) -> Entry {
    let priority = match table.kind {
        MatchKind::Ternary | MatchKind::Range => random.below(4) as u32,
        MatchKind::Exact | MatchKind::LongestPrefix => 0,
    };
    Entry { matcher: matcher(random, table), priority, call: call(random, program, table) }
}

/// A random call of one of the table's actions.
pub(super) fn call(random: &mut Random, program: &Program, table: &Table) -> ActionCall {
    let action = *random.pick(&table.actions);
    let parameters = &program.actions[usize::from(action)].parameters;
    let value = |kind: IntType| kind.wrap(random.value());
    ActionCall { action, parameters: parameters.iter().map(|p| p.kind).map(value).collect() }
}

fn ones(bits: u32) -> u128 {
    1_u128.unbounded_shl(bits).wrapping_sub(1)
}

/// Fields with few different values, so that events hit.
fn likely_key(random: &mut Random, table: &Table) -> u128 {
    table.key.iter().fold(0, |key, field| {
        let value = likely_value(random) & ones(field.kind.bits()) as u64;
        key.unbounded_shl(field.kind.bits()) | u128::from(value)
    })
}

/// A value of which there are few.
pub(super) fn likely_value(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.value(),
        1 => (random.below(3) as u64).wrapping_neg(),
        _ => random.below(6) as u64,
    }
}

fn matcher(random: &mut Random, table: &Table) -> Matcher {
    let bits = table.key_bits();
    let key = likely_key(random, table);
    match table.kind {
        MatchKind::Exact => Matcher::Exact { key },
        MatchKind::LongestPrefix => {
            let length = match random.below(4) {
                0 => 0,
                1 => bits,
                _ => random.between(0, bits as usize) as u32,
            };
            let mask = ones(bits) & !ones(bits - length);
            Matcher::LongestPrefix { key: key & mask, length: length as u8 }
        }
        MatchKind::Ternary => {
            let wide = u128::from(random.bits()) << 64 | u128::from(random.bits());
            let mask = match random.below(4) {
                0 => 0,
                1 => u128::MAX,
                2 => wide,
                _ => 0xff,
            } & ones(bits);
            Matcher::Ternary { value: key & mask, mask }
        }
        MatchKind::Range => {
            let bounds = table.key.iter().map(|field| {
                let mut bound = || field.kind.wrap(likely_value(random));
                let (a, b) = (bound(), bound());
                let in_order = if field.kind.signed() { a as i64 <= b as i64 } else { a <= b };
                if in_order { (a, b) } else { (b, a) }
            });
            let (low, high) = bounds.unzip();
            Matcher::Range { low, high }
        }
    }
}
