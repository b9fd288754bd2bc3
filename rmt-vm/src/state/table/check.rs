//! Whether an entry fits its table: each rule a small function, each error with its remedy.

use rmt_isa::operand::IntType;
use rmt_isa::program::{ActionCall, Entry, MatchKind, Matcher, Program, Table};

use super::has_priority;
use super::search::{in_order, prefix_mask};

/// Why a table refuses an entry or a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The program has no such table.
    #[error("there is no table {table}: the program has {tables}; tables are numbered from 0")]
    NoSuchTable {
        /// The number that was asked for.
        table: usize,
        /// How many tables there are.
        tables: usize,
    },
    /// The handle names no entry.
    #[error(
        "table `{table}` has no entry {handle}: it was removed or never added; use the handle that adding returned"
    )]
    NoSuchEntry {
        /// Name of the table.
        table: String,
        /// The handle.
        handle: u64,
    },
    /// The table holds as many entries as it may.
    #[error(
        "table `{table}` is full: it holds {capacity} entries; remove some, or declare a larger capacity"
    )]
    Full {
        /// Name of the table.
        table: String,
        /// Most entries that it holds.
        capacity: usize,
    },
    /// An entry with this matcher and this priority is there.
    #[error(
        "table `{table}` has the same matcher with the same priority already, as entry {handle}; change that entry, or give another priority where the kind has one"
    )]
    Duplicate {
        /// Name of the table.
        table: String,
        /// The entry that is there.
        handle: u64,
    },
    /// The table has no key to match.
    #[error(
        "table `{table}` has no key, only its default action ever runs; set the default action instead of adding an entry"
    )]
    NoKey {
        /// Name of the table.
        table: String,
    },
    /// The matcher is of another kind.
    #[error(
        "table `{table}` matches by {expected:?}, the entry by {found:?}; write the entry for {expected:?}"
    )]
    Kind {
        /// Name of the table.
        table: String,
        /// The table's kind.
        expected: MatchKind,
        /// The entry's kind.
        found: MatchKind,
    },
    /// Bits above the key are set.
    #[error(
        "table `{table}`: {value:#x} does not fit the key of {bits} bits; cut it to the key's width"
    )]
    TooWide {
        /// Name of the table.
        table: String,
        /// The offending value.
        value: u128,
        /// Width of the key.
        bits: u32,
    },
    /// The prefix is longer than the key.
    #[error(
        "table `{table}`: a prefix of {length} bits is longer than the key of {bits} bits; give 0 to {bits}"
    )]
    PrefixLength {
        /// Name of the table.
        table: String,
        /// The prefix.
        length: u8,
        /// Width of the key.
        bits: u32,
    },
    /// Bits that are not compared are set in the value.
    #[error(
        "table `{table}`: {value:#x} has bits set outside its mask {mask:#x}; clear them, or compare them too"
    )]
    OutsideMask {
        /// Name of the table.
        table: String,
        /// The value.
        value: u128,
        /// The bits that are compared.
        mask: u128,
    },
    /// Not one pair of bounds for each field.
    #[error(
        "table `{table}` has {fields} key fields, the range gives {low} lower and {high} upper bounds; give one pair for each field"
    )]
    BoundCount {
        /// Name of the table.
        table: String,
        /// Fields of the key.
        fields: usize,
        /// Lower bounds given.
        low: usize,
        /// Upper bounds given.
        high: usize,
    },
    /// A bound or parameter is no value of its type.
    #[error(
        "table `{table}`: {what} `{name}`: {value:#x} is no {kind}, extended to 64 bits; give a value in its range"
    )]
    NotOfType {
        /// Name of the table.
        table: String,
        /// Lower bound, upper bound or parameter.
        what: &'static str,
        /// Name of the field or parameter.
        name: String,
        /// The value.
        value: u64,
        /// The type.
        kind: IntType,
    },
    /// A range that holds nothing.
    #[error(
        "table `{table}`: field `{field}`: the lower bound is above the upper one; exchange them"
    )]
    EmptyRange {
        /// Name of the table.
        table: String,
        /// The field.
        field: String,
    },
    /// A priority where the kind has none.
    #[error(
        "table `{table}` matches by {kind:?}, which has no priorities, but the entry has {priority}; give 0"
    )]
    Priority {
        /// Name of the table.
        table: String,
        /// The table's kind.
        kind: MatchKind,
        /// The priority.
        priority: u32,
    },
    /// The table may not run the action.
    #[error(
        "table `{table}` does not list action {action}; list it in the table's actions, or use one of {allowed:?}"
    )]
    Action {
        /// Name of the table.
        table: String,
        /// Index of the action.
        action: u16,
        /// The actions that the table lists.
        allowed: Vec<u16>,
    },
    /// Not one value for each parameter.
    #[error(
        "table `{table}`: action `{action}` has {expected} parameters, {found} were given; give one value for each"
    )]
    ParameterCount {
        /// Name of the table.
        table: String,
        /// Name of the action.
        action: String,
        /// Parameters of the action.
        expected: usize,
        /// Values given.
        found: usize,
    },
}

/// Whether an entry fits its table, capacity and other entries aside.
///
/// # Errors
/// [`TableError`] with the first rule that is broken.
pub fn entry(program: &Program, table: &Table, entry: &Entry) -> Result<(), TableError> {
    if table.key.is_empty() {
        return Err(TableError::NoKey { table: table.name.clone() });
    }
    matcher(table, &entry.matcher)?;
    if entry.priority != 0 && !has_priority(table.kind) {
        return Err(TableError::Priority {
            table: table.name.clone(),
            kind: table.kind,
            priority: entry.priority,
        });
    }
    call(program, table, &entry.call)
}

/// Whether entries of a table may run an action with these parameters.
///
/// # Errors
/// [`TableError`] with the first rule that is broken.
pub fn call(program: &Program, table: &Table, call: &ActionCall) -> Result<(), TableError> {
    check_call(program, table, call, table.actions.contains(&call.action))
}

/// Whether a table may run an action by default: one that entries may run, or the one that
/// the program declares as the default.
///
/// # Errors
/// [`TableError`] with the first rule that is broken.
pub fn default_call(program: &Program, table: &Table, call: &ActionCall) -> Result<(), TableError> {
    let declared = table.default.as_ref().map(|default| default.action);
    let allowed = declared == Some(call.action) || table.actions.contains(&call.action);
    check_call(program, table, call, allowed)
}

fn check_call(
    program: &Program,
    table: &Table,
    call: &ActionCall,
    allowed: bool,
) -> Result<(), TableError> {
    let action = program.actions.get(usize::from(call.action));
    let (Some(action), true) = (action, allowed) else {
        return Err(TableError::Action {
            table: table.name.clone(),
            action: call.action,
            allowed: table.actions.clone(),
        });
    };
    if action.parameters.len() != call.parameters.len() {
        return Err(TableError::ParameterCount {
            table: table.name.clone(),
            action: action.name.clone(),
            expected: action.parameters.len(),
            found: call.parameters.len(),
        });
    }
    action.parameters.iter().zip(&call.parameters).try_for_each(|(parameter, &value)| {
        of_type(table, "parameter", &parameter.name, parameter.kind, value)
    })
}

fn matcher(table: &Table, matcher: &Matcher) -> Result<(), TableError> {
    let found = kind_of(matcher);
    if found != table.kind {
        return Err(TableError::Kind { table: table.name.clone(), expected: table.kind, found });
    }
    match matcher {
        Matcher::Exact { key } => fits_key(table, *key),
        Matcher::LongestPrefix { key, length } => {
            let bits = table.key_bits();
            if u32::from(*length) > bits {
                let (table, length) = (table.name.clone(), *length);
                return Err(TableError::PrefixLength { table, length, bits });
            }
            fits_key(table, *key)?;
            inside_mask(table, *key, prefix_mask(*length, bits))
        }
        Matcher::Ternary { value, mask } => {
            fits_key(table, *mask)?;
            inside_mask(table, *value, *mask)
        }
        Matcher::Range { low, high } => bounds(table, low, high),
    }
}

fn kind_of(matcher: &Matcher) -> MatchKind {
    match matcher {
        Matcher::Exact { .. } => MatchKind::Exact,
        Matcher::LongestPrefix { .. } => MatchKind::LongestPrefix,
        Matcher::Ternary { .. } => MatchKind::Ternary,
        Matcher::Range { .. } => MatchKind::Range,
    }
}

fn fits_key(table: &Table, value: u128) -> Result<(), TableError> {
    let bits = table.key_bits();
    if value.unbounded_shr(bits) != 0 {
        return Err(TableError::TooWide { table: table.name.clone(), value, bits });
    }
    Ok(())
}

fn inside_mask(table: &Table, value: u128, mask: u128) -> Result<(), TableError> {
    if value & !mask != 0 {
        return Err(TableError::OutsideMask { table: table.name.clone(), value, mask });
    }
    Ok(())
}

fn bounds(table: &Table, low: &[u64], high: &[u64]) -> Result<(), TableError> {
    let fields = table.key.len();
    if low.len() != fields || high.len() != fields {
        let (table, low, high) = (table.name.clone(), low.len(), high.len());
        return Err(TableError::BoundCount { table, fields, low, high });
    }
    for (field, (&low, &high)) in table.key.iter().zip(low.iter().zip(high)) {
        of_type(table, "lower bound", &field.name, field.kind, low)?;
        of_type(table, "upper bound", &field.name, field.kind, high)?;
        if !in_order(field.kind, low, high) {
            let (table, field) = (table.name.clone(), field.name.clone());
            return Err(TableError::EmptyRange { table, field });
        }
    }
    Ok(())
}

fn of_type(
    table: &Table,
    what: &'static str,
    name: &str,
    kind: IntType,
    value: u64,
) -> Result<(), TableError> {
    if kind.wrap(value) != value {
        let (table, name) = (table.name.clone(), name.to_owned());
        return Err(TableError::NotOfType { table, what, name, value, kind });
    }
    Ok(())
}
