//! Tables: their keys, capacities and actions.

use rmt_isa::event::EVENT_BYTES;
use rmt_isa::limits::{MAX_ARGUMENTS, MAX_CAPACITY, MAX_KEY_BITS, MAX_KEY_FIELDS};
use rmt_isa::program::{KeyField, KeySource, Table};

use crate::verifier::findings::{Findings, group_digits, plural, quote};
use crate::verifier::rules::Rule;

/// Keys, capacities, and the actions that entries and the default may name.
pub(super) fn check_tables(findings: &mut Findings<'_>) {
    for (index, table) in findings.program.tables.iter().enumerate() {
        if findings.full() {
            return;
        }
        check_key(findings, index, table);
        check_table_capacity(findings, index, table);
        check_actions(findings, index, table);
    }
    check_first_table(findings);
}

fn check_key(findings: &mut Findings<'_>, index: usize, table: &Table) {
    if table.key.is_empty() && (table.default.is_none() || !table.entries.is_empty()) {
        let reason = match &table.default {
            None => "no entry can match, and there is no default action to run".into(),
            Some(_) => format!("{} entries have no key to match", table.entries.len()),
        };
        let remedy = "name a default action, or declare key fields";
        findings.refuse(Rule::KeylessTable, findings.table(index), reason, remedy);
    }
    if table.key.len() > MAX_KEY_FIELDS {
        let reason =
            format!("{} key fields, at most {MAX_KEY_FIELDS} are possible", table.key.len());
        let remedy = "join fields in a tail-calling action, or split the decision over two tables";
        findings.refuse(Rule::KeyTooWide, findings.table(index), reason, remedy);
    } else if table.key_bits() > MAX_KEY_BITS {
        let reason = format!(
            "the key fields have {} bits together, at most {MAX_KEY_BITS} are possible",
            table.key_bits()
        );
        let remedy = "use narrower fields, or split the decision over two tables";
        findings.refuse(Rule::KeyTooWide, findings.table(index), reason, remedy);
    }
    for (position, field) in table.key.iter().enumerate().take(MAX_KEY_FIELDS) {
        check_key_source(findings, index, position, field);
    }
}

fn check_key_source(findings: &mut Findings<'_>, index: usize, position: usize, field: &KeyField) {
    let place = |f: &Findings<'_>| {
        f.in_table(index, format!("key field {position} `{}`", quote(&field.name)))
    };
    match field.source {
        KeySource::Event { offset } => {
            let (start, bytes) = (usize::from(offset), field.kind.bytes());
            if start + bytes > EVENT_BYTES || start % bytes != 0 {
                let reason = format!(
                    "a {} at byte {start}: it must lie in bytes 0 to {} at a multiple of {bytes}",
                    field.kind,
                    EVENT_BYTES - 1
                );
                let fitting = (start / bytes * bytes).min(EVENT_BYTES - bytes);
                let remedy = format!("use another offset, such as {fitting}, or a narrower type");
                findings.refuse(Rule::KeySource, place(findings), reason, remedy);
            }
        }
        KeySource::Argument { register } => {
            if !(1..=MAX_ARGUMENTS).contains(&usize::from(register)) {
                let reason = format!("r{register} is no argument: tail calls hand over r1 to r4");
                findings.refuse(Rule::KeyArgument, place(findings), reason, "use r1, r2, r3 or r4");
            } else if index == 0 {
                let reason = "an event begins at this table: no tail call leads here";
                let remedy = "take the key from the event, or put another table first";
                findings.refuse(Rule::KeyArgument, place(findings), reason, remedy);
            }
        }
    }
}

fn check_table_capacity(findings: &mut Findings<'_>, index: usize, table: &Table) {
    if table.capacity as usize > MAX_CAPACITY {
        let reason = format!("the capacity is {}", group_digits(table.capacity));
        let remedy = format!("use at most {}", group_digits(MAX_CAPACITY as u32));
        findings.refuse(Rule::BadCapacity, findings.table(index), reason, remedy);
    } else if table.entries.len() > table.capacity as usize {
        let reason = format!(
            "{} entries, the capacity is {}",
            group_digits(table.entries.len() as u64),
            group_digits(table.capacity)
        );
        let remedy = format!("raise the capacity to {} or more", table.entries.len());
        findings.refuse(Rule::TooManyEntries, findings.table(index), reason, remedy);
    }
}

fn check_actions(findings: &mut Findings<'_>, index: usize, table: &Table) {
    let count = findings.program.actions.len();
    let default = table.default.as_ref().map(|call| call.action);
    let unknown =
        table.actions.iter().copied().chain(default).find(|&action| usize::from(action) >= count);
    if let Some(action) = unknown {
        let reason =
            format!("action {action} is named, the program has {}", plural(count as u64, "action"));
        let remedy = "name an action that exists; indices count from 0";
        findings.refuse(Rule::UnknownIndex, findings.table(index), reason, remedy);
    }
}

/// Nobody hands arguments to the actions of table 0.
fn check_first_table(findings: &mut Findings<'_>) {
    let program = findings.program;
    let Some(table) = program.tables.first() else { return };
    let default = table.default.as_ref().map(|call| call.action);
    for action in table.actions.iter().copied().chain(default) {
        let Some(action) = program.actions.get(usize::from(action)) else { continue };
        if action.arguments != 0 {
            let reason = format!(
                "`{}` wants {} in r1 and up, but an event begins here and none are handed over",
                quote(&action.name),
                plural(action.arguments.into(), "argument")
            );
            let remedy = "reach this action by `TAIL_CALL` from another table, or load its inputs \
                          with `ld_event`";
            findings.refuse(Rule::FirstTableArguments, findings.table(0), reason, remedy);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::IntType;
    use rmt_isa::program::{KeyField, KeySource};

    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    fn with_key(fields: &[(IntType, KeySource)]) -> Fixture {
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tables[0].key = (fields.iter().enumerate())
            .map(|(n, &(kind, source))| KeyField { name: format!("k{n}"), kind, source })
            .collect();
        fixture
    }

    #[test]
    fn keys_within_the_limits_are_accepted() {
        let event = |offset| KeySource::Event { offset };
        with_key(&[(IntType::U64, event(8)), (IntType::U64, event(56))]).accepted();
        with_key(&[(IntType::U8, event(63)); 4]).accepted();
    }

    #[test]
    fn wide_keys_are_refused() {
        let event = |offset| KeySource::Event { offset };
        let wide = [(IntType::U64, event(8)), (IntType::U64, event(16)), (IntType::U8, event(24))];
        refused_by(&with_key(&wide), Rule::KeyTooWide, "136 bits");
        refused_by(&with_key(&[(IntType::U8, event(8)); 5]), Rule::KeyTooWide, "5 key fields");
    }

    #[test]
    fn keys_outside_the_event_are_refused() {
        for (kind, offset) in [(IntType::U32, 9), (IntType::U64, 60), (IntType::U8, 64)] {
            let fixture = with_key(&[(kind, KeySource::Event { offset })]);
            refused_by(&fixture, Rule::KeySource, &format!("a {kind} at byte {offset}"));
        }
    }

    #[test]
    fn arguments_as_key_need_a_tail_call() {
        let fixture = with_key(&[(IntType::U32, KeySource::Argument { register: 1 })]);
        refused_by(&fixture, Rule::KeyArgument, "no tail call leads here");

        let mut fixture = Fixture::new("exit decided");
        fixture.program.tables[1].key[0].source = KeySource::Argument { register: 5 };
        refused_by(&fixture, Rule::KeyArgument, "r5 is no argument");
    }

    #[test]
    fn a_table_without_key_needs_a_default() {
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tables[1].key.clear();
        fixture.program.tables[1].default = None;
        refused_by(&fixture, Rule::KeylessTable, "there is no default action");
    }

    #[test]
    fn capacities_are_checked() {
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tables[1].capacity = 1 << 25;
        refused_by(&fixture, Rule::BadCapacity, "33 554 432");
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tables[1].capacity = 0;
        refused_by(&fixture, Rule::TooManyEntries, "1 entries, the capacity is 0");
    }

    #[test]
    fn unknown_actions_are_refused() {
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tables[1].actions.push(9);
        refused_by(&fixture, Rule::UnknownIndex, "action 9 is named, the program has 2 actions");
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tables[0].default.as_mut().unwrap().action = u16::MAX;
        refused_by(&fixture, Rule::UnknownIndex, "action 65535 is named");
    }

    #[test]
    fn the_first_table_hands_over_no_arguments() {
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tables[0].actions.push(1);
        refused_by(&fixture, Rule::FirstTableArguments, "`next` wants 2 arguments");
    }
}
