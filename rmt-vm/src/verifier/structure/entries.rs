//! Entries of tables: what they compare, what they run, and with which parameters.
//!
//! The same checks serve entries that are added at run time, see [`check_entry`].

use std::collections::HashMap;

use rmt_isa::IntType;
use rmt_isa::program::{ActionCall, Entry, KeyField, MatchKind, Matcher, Table};

use crate::verifier::findings::{Findings, plural, quote};
use crate::verifier::rules::Rule;
use crate::verifier::violation::Place;

/// All entries and default actions.
pub(super) fn check_entries(findings: &mut Findings<'_>) {
    for (index, table) in findings.program.tables.iter().enumerate() {
        if let Some(default) = &table.default {
            let place = findings.in_table(index, "the default action".into());
            check_parameters(findings, &place, default);
        }
        // A table without key has no entries; that is reported once, for the table.
        if table.key.is_empty() {
            continue;
        }
        for (position, entry) in table.entries.iter().enumerate() {
            if findings.full() {
                return;
            }
            check_entry(findings, index, table, &format!("entry {position}"), entry);
        }
        check_duplicates(findings, index, table);
    }
}

/// One entry, described by `what`, for the table with this index.
pub(in crate::verifier) fn check_entry(
    findings: &mut Findings<'_>,
    index: usize,
    table: &Table,
    what: &str,
    entry: &Entry,
) {
    let place = findings.in_table(index, what.into());
    check_matcher(findings, &place, table, &entry.matcher);
    let has_priority = matches!(table.kind, MatchKind::Ternary | MatchKind::Range);
    if !has_priority && entry.priority != 0 {
        let reason = format!(
            "the priority is {}, but {} tables have none",
            entry.priority,
            kind_text(table.kind)
        );
        findings.refuse(Rule::EntryPriority, place.clone(), reason, "use priority 0");
    }
    if !table.actions.contains(&entry.call.action) {
        let reason = format!("action {} is not in the table's list of actions", entry.call.action);
        let allowed: Vec<_> = table.actions.iter().take(8).map(u16::to_string).collect();
        let remedy = format!("add it to the list, or use one of [{}]", allowed.join(", "));
        findings.refuse(Rule::EntryAction, place, reason, remedy);
    } else {
        check_parameters(findings, &place, &entry.call);
    }
}

fn kind_text(kind: MatchKind) -> &'static str {
    match kind {
        MatchKind::Exact => "exact",
        MatchKind::LongestPrefix => "longest-prefix",
        MatchKind::Ternary => "ternary",
        MatchKind::Range => "range",
    }
}

/// The matcher is of the table's kind and some key matches it.
fn check_matcher(findings: &mut Findings<'_>, place: &Place, table: &Table, matcher: &Matcher) {
    let kind = match matcher {
        Matcher::Exact { .. } => MatchKind::Exact,
        Matcher::LongestPrefix { .. } => MatchKind::LongestPrefix,
        Matcher::Ternary { .. } => MatchKind::Ternary,
        Matcher::Range { .. } => MatchKind::Range,
    };
    if kind != table.kind {
        let reason = format!("it is {}, the table is {}", kind_text(kind), kind_text(table.kind));
        let remedy = format!("write it as {} entry", kind_text(table.kind));
        findings.refuse(Rule::EntryKind, place.clone(), reason, remedy);
        return;
    }
    let fault = match matcher {
        Matcher::Exact { key } => fault_of_bits("key", *key, "key", low_mask(table.key_bits())),
        Matcher::LongestPrefix { key, length } => fault_of_prefix(table, *key, *length),
        Matcher::Ternary { value, mask } => {
            fault_of_bits("mask", *mask, "key", low_mask(table.key_bits()))
                .or_else(|| fault_of_bits("value", *value, "mask", *mask))
        }
        Matcher::Range { low, high } => fault_of_range(&table.key, low, high),
    };
    if let Some((reason, remedy)) = fault {
        findings.refuse(Rule::EntryRange, place.clone(), reason, remedy);
    }
}

type Fault = Option<(String, String)>;

/// The lowest `bits` bits.
fn low_mask(bits: u32) -> u128 {
    u128::MAX.checked_shr(128_u32.saturating_sub(bits)).unwrap_or(0)
}

fn fault_of_bits(what: &str, value: u128, frame_name: &str, frame: u128) -> Fault {
    let outside = value & !frame;
    (outside != 0).then(|| {
        (
            format!("the {what} {value:#x} has bits outside the {frame_name}: {outside:#x}"),
            format!("use {:#x}", value & frame),
        )
    })
}

fn fault_of_prefix(table: &Table, key: u128, length: u8) -> Fault {
    let width = table.key_bits();
    if u32::from(length) > width {
        return Some((
            format!("a prefix of {length} bits, the key has {width}"),
            format!("use a length from 0 to {width}"),
        ));
    }
    let prefix = low_mask(width) & !low_mask(width - u32::from(length));
    fault_of_bits("key", key, "prefix", prefix)
}

fn fault_of_range(fields: &[KeyField], low: &[u64], high: &[u64]) -> Fault {
    if low.len() != fields.len() || high.len() != fields.len() {
        return Some((
            format!(
                "{} lower and {} upper bounds for {}",
                low.len(),
                high.len(),
                plural(fields.len() as u64, "key field")
            ),
            "give each field one lower and one upper bound".into(),
        ));
    }
    for ((field, &low), &high) in fields.iter().zip(low).zip(high) {
        let name = quote(&field.name);
        if let Some(bound) = [low, high].into_iter().find(|&bound| !fits(field.kind, bound)) {
            let reason =
                format!("bound {} of `{name}` is no {}", decimal(field.kind, bound), field.kind);
            return Some((reason, format!("use {}, extended to 64 bits", range_text(field.kind))));
        }
        let empty = if field.kind.signed() { (low as i64) > high as i64 } else { low > high };
        if empty {
            let reason = {
                let show = |bound| decimal(field.kind, bound);
                format!("`{name}` from {} to {} holds no value", show(low), show(high))
            };
            return Some((reason, "swap the bounds; both are included".into()));
        }
    }
    None
}

/// A value as its type writes it.
fn decimal(kind: IntType, value: u64) -> String {
    if kind.signed() { (value as i64).to_string() } else { value.to_string() }
}

/// The values of a type: `0 to 255`.
fn range_text(kind: IntType) -> String {
    let (most, bits) = (u64::MAX >> (64 - kind.bits()), kind.bits());
    match kind.signed() {
        true => format!("{} to {}", -1_i128 << (bits - 1), most >> 1),
        false => format!("0 to {most}"),
    }
}

/// Whether a 64-bit value is one of the type, extended.
fn fits(kind: IntType, value: u64) -> bool {
    kind.wrap(value) == value
}

/// As many parameters as the action has, each in the range of its type.
fn check_parameters(findings: &mut Findings<'_>, place: &Place, call: &ActionCall) {
    // An unknown action is reported for the table.
    let Some(action) = findings.program.actions.get(usize::from(call.action)) else { return };
    let name = quote(&action.name);
    if call.parameters.len() != action.parameters.len() {
        let reason = format!(
            "{} for `{name}`, which has {}",
            plural(call.parameters.len() as u64, "value"),
            plural(action.parameters.len() as u64, "parameter")
        );
        let names: Vec<_> = action.parameters.iter().take(8).map(|p| quote(&p.name)).collect();
        let remedy = match names.is_empty() {
            true => "give no values".into(),
            false => format!("give one value each for {}", names.join(", ")),
        };
        findings.refuse(Rule::EntryParameters, place.clone(), reason, remedy);
        return;
    }
    for (parameter, &value) in action.parameters.iter().zip(&call.parameters) {
        if !fits(parameter.kind, value) {
            let reason = format!(
                "{} for parameter `{}` of `{name}` is no {}",
                decimal(parameter.kind, value),
                quote(&parameter.name),
                parameter.kind
            );
            let remedy = format!("use {}", range_text(parameter.kind));
            findings.refuse(Rule::EntryParameters, place.clone(), reason, remedy);
        }
    }
}

/// No two entries have the same matcher and priority: the second would never win, and the
/// control plane could not name it.
fn check_duplicates(findings: &mut Findings<'_>, index: usize, table: &Table) {
    let mut first = HashMap::new();
    for (position, entry) in table.entries.iter().enumerate() {
        if findings.full() {
            return;
        }
        if let Some(other) = first.insert((&entry.matcher, entry.priority), position) {
            let place = findings.in_table(index, format!("entry {position}"));
            let reason = format!("entry {other} has the same matcher and priority");
            findings.refuse(Rule::DuplicateEntry, place, reason, "remove one of the two");
        }
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::IntType;
    use rmt_isa::program::{ActionCall, Entry, KeyField, KeySource, MatchKind, Matcher};

    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    /// Table 1 of the given kind with one entry. Its key is `r1` as u32 and `r2` as i16.
    fn with_entry(kind: MatchKind, matcher: Matcher, priority: u32) -> Fixture {
        let mut fixture = Fixture::new("exit decided");
        let field = |name: &str, kind, register| KeyField {
            name: name.into(),
            kind,
            source: KeySource::Argument { register },
        };
        let table = &mut fixture.program.tables[1];
        table.kind = kind;
        table.key = vec![field("a", IntType::U32, 1), field("b", IntType::I16, 2)];
        let call = ActionCall { action: 1, parameters: vec![] };
        table.entries = vec![Entry { matcher, priority, call }];
        fixture
    }

    #[test]
    fn entries_that_can_match_are_accepted() {
        let top = (1 << 48) - 1;
        with_entry(MatchKind::Exact, Matcher::Exact { key: top }, 0).accepted();
        let matcher = Matcher::LongestPrefix { key: 0xff << 40, length: 8 };
        with_entry(MatchKind::LongestPrefix, matcher, 0).accepted();
        let matcher = Matcher::LongestPrefix { key: 0, length: 0 };
        with_entry(MatchKind::LongestPrefix, matcher, 0).accepted();
        let matcher = Matcher::Ternary { value: 5, mask: 7 };
        with_entry(MatchKind::Ternary, matcher, 9).accepted();
        let (low, high) = (vec![1, -5_i64 as u64], vec![1, 5]);
        with_entry(MatchKind::Range, Matcher::Range { low, high }, 1).accepted();
    }

    #[test]
    fn an_entry_of_another_kind_is_refused() {
        let fixture = with_entry(MatchKind::Ternary, Matcher::Exact { key: 1 }, 0);
        refused_by(&fixture, Rule::EntryKind, "it is exact, the table is ternary");
    }

    #[test]
    fn entries_that_cannot_match_are_refused() {
        let range = |low: &[u64], high: &[u64]| {
            let matcher = Matcher::Range { low: low.into(), high: high.into() };
            with_entry(MatchKind::Range, matcher, 0)
        };
        let cases = [
            (with_entry(MatchKind::Exact, Matcher::Exact { key: 1 << 48 }, 0), "outside the key"),
            (
                with_entry(
                    MatchKind::LongestPrefix,
                    Matcher::LongestPrefix { key: 0, length: 49 },
                    0,
                ),
                "a prefix of 49 bits, the key has 48",
            ),
            (
                with_entry(
                    MatchKind::LongestPrefix,
                    Matcher::LongestPrefix { key: 1, length: 47 },
                    0,
                ),
                "outside the prefix: 0x1",
            ),
            (
                with_entry(MatchKind::Ternary, Matcher::Ternary { value: 8, mask: 7 }, 0),
                "outside the mask: 0x8",
            ),
            (
                with_entry(MatchKind::Ternary, Matcher::Ternary { value: 0, mask: u128::MAX }, 0),
                "outside the key",
            ),
            (range(&[0], &[0, 0]), "1 lower and 2 upper bounds for 2 key fields"),
            (range(&[1 << 32, 0], &[1 << 32, 0]), "bound 4294967296 of `a` is no u32"),
            (range(&[0, 5], &[0, -5_i64 as u64]), "`b` from 5 to -5 holds no value"),
        ];
        for (fixture, reason) in cases {
            refused_by(&fixture, Rule::EntryRange, reason);
        }
    }

    #[test]
    fn priorities_exist_in_ternary_and_range_tables_only() {
        let fixture = with_entry(MatchKind::Exact, Matcher::Exact { key: 1 }, 3);
        refused_by(&fixture, Rule::EntryPriority, "the priority is 3, but exact tables");
    }

    #[test]
    fn entries_run_allowed_actions_only() {
        let mut fixture = with_entry(MatchKind::Exact, Matcher::Exact { key: 1 }, 0);
        fixture.program.tables[1].entries[0].call.action = 0;
        refused_by(&fixture, Rule::EntryAction, "action 0 is not in the table's list");
    }

    #[test]
    fn parameters_fit_their_action() {
        let mut fixture = Fixture::new("exit decided");
        let default = fixture.program.tables[0].default.as_mut().unwrap();
        default.parameters = vec![256];
        refused_by(&fixture, Rule::EntryParameters, "256 for parameter `level` of `act` is no u8");
        fixture.program.tables[0].default.as_mut().unwrap().parameters = vec![1, 2];
        refused_by(&fixture, Rule::EntryParameters, "2 values for `act`, which has 1 parameter");
    }

    #[test]
    fn entries_are_not_given_twice() {
        let mut fixture = with_entry(MatchKind::Ternary, Matcher::Ternary { value: 1, mask: 1 }, 0);
        let entry = fixture.program.tables[1].entries[0].clone();
        fixture.program.tables[1].entries.push(Entry { priority: 1, ..entry.clone() });
        fixture.accepted();
        fixture.program.tables[1].entries.push(entry);
        refused_by(&fixture, Rule::DuplicateEntry, "entry 0 has the same matcher and priority");
    }
}
