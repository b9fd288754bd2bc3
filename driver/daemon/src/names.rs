//! From names to numbers: what clients write, against what a program declares.
//!
//! Matchers as people write them, one field after the other, in the order of the key or not:
//!
//! | table | text |
//! | --- | --- |
//! | exact | `pid=42, cpu=0x1` |
//! | longest prefix | `address=0xc0a80000/16` |
//! | ternary | `pid=*, flags=0x10&0xf0` |
//! | range | `load=10..=20, cpu=3, node=*` |

use rmt_isa::Program;
use rmt_isa::program::{ActionCall, Entry, KeyField, MatchKind, Matcher, Table};
use rmt_vm::State;
use rmt_vm::state::{Change, EntryHandle};

use crate::protocol::{Call, EntryName, Match, NamedChange, Refusal, RefusalKind};

/// The number of the object with a name.
///
/// # Errors
/// A refusal that lists the names that there are.
pub fn find<'n>(
    what: &str,
    name: &str,
    mut names: impl Iterator<Item = &'n str> + Clone,
) -> Result<usize, Refusal> {
    names.clone().position(|known| known == name).ok_or_else(|| {
        let known = names.by_ref().collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "there is none".to_owned() } else { known };
        let reason = format!("there is no {what} `{name}`");
        Refusal::new(RefusalKind::NotFound, reason, format!("those that there are: {known}"))
    })
}

/// The number of a table of a program.
///
/// # Errors
/// [`find`]'s.
pub fn find_table(program: &Program, name: &str) -> Result<usize, Refusal> {
    find("table", name, program.tables.iter().map(|table| table.name.as_str()))
}

/// The number of a context store of a program.
///
/// # Errors
/// [`find`]'s.
pub fn find_context(program: &Program, name: &str) -> Result<usize, Refusal> {
    find("context", name, program.contexts.iter().map(|context| context.name.as_str()))
}

/// The number of a map of a program.
///
/// # Errors
/// [`find`]'s.
pub fn find_map(program: &Program, name: &str) -> Result<usize, Refusal> {
    find("map", name, program.maps.iter().map(|map| map.name.as_str()))
}

/// Changes by numbers, as the machine takes them.
///
/// # Errors
/// A refusal that says which change it is and what is wrong.
pub fn resolve(state: &State, changes: Vec<NamedChange>) -> Result<Vec<Change>, Refusal> {
    let total = changes.len();
    let numbered = changes.into_iter().enumerate().map(|(place, change)| {
        resolve_one(state, change).map_err(|refusal| Refusal {
            reason: format!("change {} of {total}: {}", place + 1, refusal.reason),
            ..refusal
        })
    });
    numbered.collect()
}

fn resolve_one(state: &State, change: NamedChange) -> Result<Change, Refusal> {
    let program = state.program();
    let entry_of = |table: &str, entry: EntryName| {
        let number = find_table(program, table)?;
        Ok::<_, Refusal>((number as u16, find_entry(state, number, entry)?))
    };
    Ok(match change {
        NamedChange::AddEntry { table, matcher, priority, call } => {
            let number = find_table(program, &table)?;
            let matcher = matcher_of(&program.tables[number], matcher)?;
            let entry = Entry { matcher, priority, call: call_of(program, &call)? };
            if let Err(violations) = rmt_vm::verifier::verify_entry(program, number, &entry) {
                let list: Vec<_> = violations.iter().map(ToString::to_string).collect();
                return Err(Refusal::does_not_fit(list.join("; ")));
            }
            Change::AddEntry { table: number as u16, entry }
        }
        NamedChange::ChangeEntry { table, entry, call } => {
            let (table, handle) = entry_of(&table, entry)?;
            Change::ChangeEntry { table, handle, call: call_of(program, &call)? }
        }
        NamedChange::RemoveEntry { table, entry } => {
            let (table, handle) = entry_of(&table, entry)?;
            Change::RemoveEntry { table, handle }
        }
        NamedChange::SetDefault { table, call } => Change::SetDefault {
            table: find_table(program, &table)? as u16,
            call: call.map(|call| call_of(program, &call)).transpose()?,
        },
        NamedChange::PushModel { model, objects } => {
            find("model", &model, program.models.iter().map(String::as_str))?;
            Change::SwapModel { model, objects }
        }
        NamedChange::PutRecord { context, key, fields } => {
            Change::PutRecord { context: find_context(program, &context)? as u16, key, fields }
        }
        NamedChange::RemoveRecord { context, key } => {
            Change::RemoveRecord { context: find_context(program, &context)? as u16, key }
        }
        NamedChange::StoreMap { map, key, value } => {
            Change::StoreMap { map: find_map(program, &map)? as u16, key, value }
        }
        NamedChange::RemoveMapKey { map, key } => {
            Change::RemoveMapKey { map: find_map(program, &map)? as u16, key }
        }
        NamedChange::ClearMap { map } => Change::ClearMap { map: find_map(program, &map)? as u16 },
    })
}

fn find_entry(state: &State, table: usize, entry: EntryName) -> Result<EntryHandle, Refusal> {
    let (matcher, priority) = match entry {
        EntryName::Handle(handle) => return Ok(handle),
        EntryName::Match(matcher, priority) => {
            (matcher_of(&state.program().tables[table], matcher)?, priority)
        }
    };
    let entries = state.tables()[table].entries();
    let same = |(_, entry): &&(EntryHandle, &Entry)| {
        entry.matcher == matcher && entry.priority == priority
    };
    entries.iter().find(same).map(|(handle, _)| *handle).ok_or_else(|| {
        let declared = &state.program().tables[table];
        let text = matcher_text(declared, &matcher);
        Refusal::new(
            RefusalKind::NotFound,
            format!("table `{}` has no entry `{text}` of priority {priority}", declared.name),
            format!(
                "`rmt ctl table {} {}` lists those that it has",
                state.program().name,
                declared.name
            ),
        )
    })
}

fn matcher_of(table: &Table, matcher: Match) -> Result<Matcher, Refusal> {
    match matcher {
        Match::Key(matcher) => Ok(matcher),
        Match::Text(text) => parse_matcher(table, &text).map_err(Refusal::does_not_fit),
    }
}

/// A call by the number of its action.
///
/// # Errors
/// When there is no such action.
pub fn call_of(program: &Program, call: &Call) -> Result<ActionCall, Refusal> {
    let names = program.actions.iter().map(|action| action.name.as_str());
    let action = find("action", &call.action, names)? as u16;
    Ok(ActionCall { action, parameters: call.parameters.clone() })
}

/// A call by name.
pub fn name_call(program: &Program, call: &ActionCall) -> Call {
    let action = program.actions.get(usize::from(call.action));
    Call {
        action: action.map_or_else(|| call.action.to_string(), |action| action.name.clone()),
        parameters: call.parameters.clone(),
    }
}

impl std::str::FromStr for Call {
    type Err = String;

    /// `predict` or `predict(3, -1, 0x10)`.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (action, parameters) = match text.split_once('(') {
            None => (text, ""),
            Some((action, rest)) => match rest.strip_suffix(')') {
                Some(parameters) => (action.trim_end(), parameters),
                None => return Err(format!("`{text}` has no closing bracket")),
            },
        };
        let named = |c: char| c.is_alphanumeric() || c == '_';
        if action.is_empty() || !action.chars().all(named) {
            return Err(format!("`{text}` is no call; write it as `action` or `action(1, 2)`"));
        }
        let parameters = match parameters.trim() {
            "" => Vec::new(),
            list => list.split(',').map(parse_number).collect::<Result<_, _>>()?,
        };
        Ok(Self { action: action.to_owned(), parameters })
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parameters: Vec<_> = self.parameters.iter().map(|&p| (p as i64).to_string()).collect();
        write!(f, "{}({})", self.action, parameters.join(", "))
    }
}

/// A number in decimal or with `0x`, negative ones extended to 64 bits.
///
/// # Errors
/// What it is and what would be right.
pub fn parse_number(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    let fits = |value: &u64| !negative || *value <= 1 << 63;
    match value.ok().filter(fits).filter(|_| !digits.starts_with('+')) {
        Some(value) if negative => Ok(value.wrapping_neg()),
        Some(value) => Ok(value),
        None => Err(format!("`{text}` is no number of 64 bits")),
    }
}

/// What is compared with one field.
enum Part {
    Any,
    Masked { value: u64, mask: u64 },
    Prefix { value: u64, length: u32 },
    Between { low: u64, high: u64 },
}

/// A matcher from text, see the module.
///
/// # Errors
/// What is wrong and what would be right.
pub fn parse_matcher(table: &Table, text: &str) -> Result<Matcher, String> {
    if table.key.is_empty() {
        return Err(format!("table `{}` has no key; set its default action instead", table.name));
    }
    let mut parts: Vec<Option<Part>> = table.key.iter().map(|_| None).collect();
    for item in text.split(',') {
        let (name, value) = item
            .split_once('=')
            .ok_or_else(|| format!("`{item}` is no `field=value`; {}", form(table)))?;
        let name = name.trim();
        let place = table.key.iter().position(|field| field.name == name).ok_or_else(|| {
            format!("table `{}` has no key field `{name}`; {}", table.name, form(table))
        })?;
        let part = parse_part(table.kind, &table.key[place], value.trim())?;
        if parts[place].replace(part).is_some() {
            return Err(format!("field `{name}` is given twice; {}", form(table)));
        }
    }
    let open = matches!(table.kind, MatchKind::Ternary | MatchKind::Range);
    let mut full = Vec::new();
    for (field, part) in table.key.iter().zip(parts) {
        match part {
            Some(part) => full.push(part),
            None if open => full.push(Part::Any),
            None if table.kind == MatchKind::LongestPrefix => {
                full.push(Part::Prefix { value: 0, length: 0 });
            }
            None => return Err(format!("field `{}` is missing; {}", field.name, form(table))),
        }
    }
    assemble(table, &full)
}

/// How a matcher of the table is written.
fn form(table: &Table) -> String {
    let value = match table.kind {
        MatchKind::Exact => "1",
        MatchKind::LongestPrefix => "0x10/4",
        MatchKind::Ternary => "0x10&0xf0",
        MatchKind::Range => "1..=9",
    };
    let fields: Vec<_> = table.key.iter().map(|field| format!("{}={value}", field.name)).collect();
    format!("write it as `{}`", fields.join(", "))
}

fn parse_part(kind: MatchKind, field: &KeyField, text: &str) -> Result<Part, String> {
    let number = |text: &str| {
        let value = parse_number(text)?;
        // Negative numbers are given extended, all others as they are.
        let fits = field.kind.wrap(value) == value || value & !mask_of(field) == 0;
        let text = text.trim();
        match fits {
            true => Ok(value),
            false => Err(format!("{text} is no {}, as field `{}` is", field.kind, field.name)),
        }
    };
    let wrong = || format!("`{text}` cannot be compared by {kind:?}");
    Ok(match kind {
        MatchKind::Exact => Part::Masked { value: number(text)?, mask: u64::MAX },
        MatchKind::Ternary if text == "*" => Part::Any,
        MatchKind::Ternary => match text.split_once('&') {
            Some((value, mask)) => Part::Masked { value: number(value)?, mask: number(mask)? },
            None => Part::Masked { value: number(text)?, mask: u64::MAX },
        },
        MatchKind::LongestPrefix => {
            let bits = field.kind.bits();
            let (value, length) = match text.split_once('/') {
                Some((value, length)) => (value, length.trim().parse().map_err(|_| wrong())?),
                None => (text, bits),
            };
            if length > bits {
                return Err(format!("a prefix of `{}` has at most {bits} bits", field.name));
            }
            Part::Prefix { value: number(value)?, length }
        }
        MatchKind::Range if text == "*" => Part::Any,
        MatchKind::Range => {
            let (low, high) = text.split_once("..=").unwrap_or((text, text));
            let extended = |text| Ok::<_, String>(field.kind.wrap(number(text)?));
            Part::Between { low: extended(low)?, high: extended(high)? }
        }
    })
}

fn mask_of(field: &KeyField) -> u64 {
    u64::MAX >> (64 - field.kind.bits())
}

fn assemble(table: &Table, parts: &[Part]) -> Result<Matcher, String> {
    let (mut value, mut mask, mut length) = (0_u128, 0_u128, 0);
    let (mut lows, mut highs) = (Vec::new(), Vec::new());
    let mut ended = false;
    for (field, part) in table.key.iter().zip(parts) {
        let (bits, all) = (field.kind.bits(), mask_of(field));
        let (field_value, field_mask) = match *part {
            Part::Any => (0, 0),
            Part::Masked { value, mask } => (value & all, mask & all),
            Part::Prefix { value, length: own } => {
                if ended && own > 0 {
                    return Err(format!(
                        "a prefix ends in one field: `{}` and all behind it must be left out",
                        field.name
                    ));
                }
                ended |= own < bits;
                length += own;
                (value & all, if own == 0 { 0 } else { all & (u64::MAX << (bits - own)) })
            }
            Part::Between { .. } => (0, 0),
        };
        value = value << bits | u128::from(field_value);
        mask = mask << bits | u128::from(field_mask);
        let (low, high) = match *part {
            Part::Between { low, high } => (low, high),
            _ if field.kind.signed() => {
                (field.kind.wrap(1 << (bits - 1)), field.kind.wrap(all >> 1))
            }
            _ => (0, all),
        };
        lows.push(low);
        highs.push(high);
    }
    Ok(match table.kind {
        MatchKind::Exact => Matcher::Exact { key: value },
        MatchKind::LongestPrefix => Matcher::LongestPrefix { key: value, length: length as u8 },
        MatchKind::Ternary => Matcher::Ternary { value, mask },
        MatchKind::Range => Matcher::Range { low: lows, high: highs },
    })
}

/// A matcher of a table in words that [`parse_matcher`] takes.
pub fn matcher_text(table: &Table, matcher: &Matcher) -> String {
    let mut shift = table.key_bits();
    let mut left = match matcher {
        Matcher::LongestPrefix { length, .. } => u32::from(*length),
        _ => 0,
    };
    let mut texts = Vec::new();
    for (place, field) in table.key.iter().enumerate() {
        let bits = field.kind.bits();
        shift = shift.saturating_sub(bits);
        let all = mask_of(field);
        let cut = |word: &u128| (word.checked_shr(shift).unwrap_or(0) as u64) & all;
        let number = |value: u64| match field.kind.signed() {
            true => (field.kind.wrap(value) as i64).to_string(),
            false => value.to_string(),
        };
        let text = match matcher {
            Matcher::Exact { key } => number(cut(key)),
            Matcher::LongestPrefix { key, .. } => {
                let own = left.min(bits);
                left -= own;
                if own == 0 && place > 0 {
                    continue;
                }
                format!("{:#x}/{own}", cut(key))
            }
            Matcher::Ternary { value, mask } => match cut(mask) {
                0 => "*".to_owned(),
                mask if mask == all => number(cut(value)),
                mask => format!("{:#x}&{mask:#x}", cut(value)),
            },
            Matcher::Range { low, high } => match (low.get(place), high.get(place)) {
                (Some(low), Some(high)) => format!("{}..={}", number(*low), number(*high)),
                _ => "*".to_owned(),
            },
        };
        texts.push(format!("{}={text}", field.name));
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::operand::IntType;
    use rmt_isa::program::KeySource;

    fn table(kind: MatchKind) -> Table {
        let field = |name: &str, kind| KeyField {
            name: name.into(),
            kind,
            source: KeySource::Event { offset: 8 },
        };
        Table {
            name: "t".into(),
            kind,
            key: vec![field("pid", IntType::U32), field("nice", IntType::I8)],
            capacity: 8,
            actions: vec![],
            default: None,
            entries: vec![],
        }
    }

    #[test]
    fn matchers_survive_text() {
        let cases = [
            (MatchKind::Exact, "pid=42, nice=-1", Matcher::Exact { key: 42 << 8 | 0xff }),
            (
                MatchKind::LongestPrefix,
                "pid=0xc0a80000/16",
                Matcher::LongestPrefix { key: 0xc0a8_0000 << 8, length: 16 },
            ),
            (
                MatchKind::LongestPrefix,
                "pid=0x1/32, nice=0x80/1",
                Matcher::LongestPrefix { key: 0x180, length: 33 },
            ),
            (
                MatchKind::Ternary,
                "pid=0x10&0xf0, nice=*",
                Matcher::Ternary { value: 0x1000, mask: 0xf000 },
            ),
            (
                MatchKind::Range,
                "pid=3..=9, nice=-20..=19",
                Matcher::Range { low: vec![3, -20_i64 as u64], high: vec![9, 19] },
            ),
        ];
        for (kind, text, matcher) in cases {
            let table = table(kind);
            assert_eq!(parse_matcher(&table, text).as_ref(), Ok(&matcher), "{text}");
            let again = matcher_text(&table, &matcher);
            assert_eq!(parse_matcher(&table, &again), Ok(matcher), "{again}");
        }
        // What is left out is not compared.
        let any = parse_matcher(&table(MatchKind::Range), "pid=5").unwrap();
        let Matcher::Range { low, high } = any else { panic!() };
        assert_eq!((low, high), (vec![5, -128_i64 as u64], vec![5, 127]));
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        for (kind, text, part) in [
            (MatchKind::Exact, "pid=1", "`nice` is missing; write it as `pid=1, nice=1`"),
            (MatchKind::Exact, "uid=1, nice=1", "no key field `uid`"),
            (MatchKind::Exact, "pid=1, pid=2", "given twice"),
            (MatchKind::Exact, "pid=1, nice=300", "300 is no i8"),
            (MatchKind::Exact, "pid=one, nice=0", "`one` is no number"),
            (MatchKind::Exact, "42", "no `field=value`"),
            (MatchKind::LongestPrefix, "pid=1/33", "at most 32 bits"),
            (MatchKind::LongestPrefix, "pid=1/3, nice=1/1", "must be left out"),
        ] {
            let message = parse_matcher(&table(kind), text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn calls_survive_text() {
        let call: Call = "predict( 3, -1,0x10 )".parse().unwrap();
        assert_eq!(call.parameters, [3, u64::MAX, 16]);
        assert_eq!(call.to_string().parse(), Ok(call));
        assert!("leave".parse::<Call>().unwrap().parameters.is_empty());
        for wrong in ["", "f(1", "f(x)", "f g(1)", "f(+1)"] {
            assert!(wrong.parse::<Call>().is_err(), "{wrong}");
        }
    }
}
