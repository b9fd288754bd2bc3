//! The state of a running program: all that events and the control plane change.
//!
//! - [`table`]: entries by match kind; [`sets`]: four-way sets, under [`context`] (per-key
//!   records) and the hash kinds of [`map`]; [`model`]: tensors, scales, forests.
//! - [`commit`]: changes by the control plane, all of a list or none.
//! - [`dump`]: the state as plain data, to compare engines bit by bit and to print;
//!   [`snapshot`]: the same to make a state of again; [`card_form`]: to and from a card.
//!
//! A [`State`] is made from a program, read and written by an engine while events run, and
//! changed by commits between two events.

pub mod card_form;
pub mod commit;
pub mod context;
pub mod dump;
pub mod map;
pub mod model;
pub mod sets;
pub mod snapshot;
pub mod table;

use std::sync::Arc;

use rmt_isa::Program;
use rmt_isa::limits::{MAX_CAPACITY, MAX_CONTEXTS, MAX_OBJECTS, MAX_RING_DEPTH, WAYS};
use rmt_isa::program::{Context, KeySource, Map};

pub use commit::{Applied, Change, CommitError};
pub use context::{ContextStore, FieldValue};
pub use dump::StateDump;
pub use map::MapStore;
pub use model::{ModelError, ModelObjects, Models};
pub use snapshot::{Contents, Snapshot, SnapshotError};
pub use table::{EntryHandle, Table, TableError};

/// Most bytes that the records of all context stores and the values of all maps may take.
pub const MAX_STATE_BYTES: u64 = 1 << 32;

/// Why a program cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// A declaration is outside the architectural limits.
    #[error("program `{program}`: {what} `{name}`: {reason}")]
    Declaration {
        /// Name of the program.
        program: String,
        /// Table, context, map or program.
        what: &'static str,
        /// Name of the object.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// An initial entry or default action does not fit its table.
    #[error("program `{program}`: {source}")]
    Table {
        /// Name of the program.
        program: String,
        /// The reason.
        source: Box<TableError>,
    },
    /// An object of a model is malformed.
    #[error("program `{program}`: {source}")]
    Model {
        /// Name of the program.
        program: String,
        /// The reason.
        source: Box<ModelError>,
    },
}

/// Everything that a running program changes.
#[derive(Clone, Debug)]
pub struct State {
    program: Arc<Program>,
    /// Tables, by number.
    pub(crate) tables: Vec<Table>,
    /// Context stores, by number.
    pub(crate) contexts: Vec<ContextStore>,
    /// Maps, by number.
    pub(crate) maps: Vec<MapStore>,
    /// Models.
    pub(crate) models: Models,
}

impl State {
    /// The state with which a program begins.
    ///
    /// The program need not be verified: what is checked here is only what keeps every
    /// engine inside its memory.
    ///
    /// # Errors
    /// [`LoadError`] when a declaration is outside the limits or contradicts itself.
    pub fn new(program: Arc<Program>) -> Result<Self, LoadError> {
        check_limits(&program)?;
        let name = || program.name.clone();
        let tables = (0..program.tables.len())
            .map(|number| Table::new(&program, number))
            .collect::<Result<_, _>>()
            .map_err(|source| LoadError::Table { program: name(), source: source.into() })?;
        let models = Models::new(&program)
            .map_err(|source| LoadError::Model { program: name(), source: source.into() })?;
        Ok(Self {
            tables,
            contexts: program.contexts.iter().map(ContextStore::new).collect(),
            maps: program.maps.iter().map(MapStore::new).collect(),
            models,
            program,
        })
    }

    /// The program that this is the state of.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// The program as commits have left it: with the entries, default actions and models of
    /// now. It begins with no record in contexts and maps.
    pub fn current_program(&self) -> Program {
        let mut program = Program::clone(&self.program);
        for (declared, table) in program.tables.iter_mut().zip(&self.tables) {
            declared.default = table.default_action().map(dump::dump_call);
            declared.entries =
                table.entries().into_iter().map(|(_, entry)| entry.clone()).collect();
        }
        self.models.put_into(&mut program);
        program
    }

    /// The program as it will be when changes are committed; none if they are refused. Contexts and
    /// maps, which are large, are not copied for it.
    pub fn program_after(&self, changes: &[Change]) -> Option<Program> {
        let mut decides = Self {
            program: self.program.clone(),
            tables: self.tables.clone(),
            contexts: Vec::new(),
            maps: Vec::new(),
            models: self.models.clone(),
        };
        let changes: Vec<_> =
            changes.iter().filter(|change| !change.is_to_contents()).cloned().collect();
        decides.commit(&changes).ok()?;
        Some(decides.current_program())
    }

    /// Tables, by number.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Context stores, by number.
    pub fn contexts(&self) -> &[ContextStore] {
        &self.contexts
    }

    /// Maps, by number.
    pub fn maps(&self) -> &[MapStore] {
        &self.maps
    }

    /// Models.
    pub fn models(&self) -> &Models {
        &self.models
    }
}

/// States are equal when they hold the same and behave alike from now on.
impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.tables == other.tables
            && self.contexts == other.contexts
            && self.maps == other.maps
            && self.models == other.models
    }
}

fn check_limits(program: &Program) -> Result<(), LoadError> {
    let refuse = |what, name: &str, reason: String| {
        let (program, name) = (program.name.clone(), name.to_owned());
        Err(LoadError::Declaration { program, what, name, reason })
    };
    let lists = [
        ("tables", program.tables.len(), MAX_OBJECTS),
        ("actions", program.actions.len(), MAX_OBJECTS),
        ("contexts", program.contexts.len(), MAX_CONTEXTS),
        ("maps", program.maps.len(), MAX_OBJECTS),
        ("models", program.models.len(), MAX_OBJECTS),
        ("tensors", program.tensors.len(), MAX_OBJECTS),
        ("scales", program.scales.len(), MAX_OBJECTS),
        ("windows", program.windows.len(), MAX_OBJECTS),
        ("forests", program.forests.len(), MAX_OBJECTS),
    ];
    for (list, found, most) in lists {
        if found > most {
            return refuse("list", list, format!("it has {found}, at most {most} are allowed"));
        }
    }
    for table in &program.tables {
        if let Err(reason) = check_table(table) {
            return refuse("table", &table.name, reason);
        }
    }
    let mut bytes = 0;
    for context in &program.contexts {
        match check_context(context) {
            Ok(more) => bytes += more,
            Err(reason) => return refuse("context", &context.name, reason),
        }
    }
    for map in &program.maps {
        match check_map(map) {
            Ok(more) => bytes += more,
            Err(reason) => return refuse("map", &map.name, reason),
        }
    }
    if bytes > MAX_STATE_BYTES {
        let reason = format!(
            "contexts and maps take {bytes} bytes, at most {MAX_STATE_BYTES} are allowed; lower their capacities"
        );
        return refuse("program", &program.name, reason);
    }
    Ok(())
}

fn check_table(table: &rmt_isa::program::Table) -> Result<(), String> {
    use rmt_isa::limits::{MAX_KEY_BITS, MAX_KEY_FIELDS};
    if table.key.len() > MAX_KEY_FIELDS || table.key_bits() > MAX_KEY_BITS {
        return Err(format!(
            "its key has {} fields and {} bits; at most {MAX_KEY_FIELDS} fields and {MAX_KEY_BITS} bits are allowed",
            table.key.len(),
            table.key_bits()
        ));
    }
    if table.capacity as usize > MAX_CAPACITY {
        return Err(format!("its capacity {} is above {MAX_CAPACITY}", table.capacity));
    }
    for field in &table.key {
        let (outside, limits) = match field.source {
            KeySource::Event { offset } => (
                usize::from(offset) + field.kind.bytes() > rmt_isa::event::EVENT_BYTES,
                "it must end within the 64 bytes of the event",
            ),
            KeySource::Argument { register } => {
                (!(1..=4).contains(&register), "arguments are r1 to r4")
            }
        };
        if outside {
            return Err(format!(
                "key field `{}` comes from {:?}; {limits}",
                field.name, field.source
            ));
        }
    }
    Ok(())
}

/// Bytes that the store takes.
fn check_context(context: &Context) -> Result<u64, String> {
    check_set_capacity(context.capacity)?;
    let most = rmt_isa::limits::MAX_CONTEXT_FIELDS;
    if context.fields.len() > most {
        return Err(format!("it has {} fields, at most {most} are allowed", context.fields.len()));
    }
    let mut words = 0;
    for field in &context.fields {
        let ring = field.ring.map(usize::from);
        if ring.is_some_and(|depth| depth == 0 || depth > MAX_RING_DEPTH) {
            return Err(format!(
                "field `{}` keeps {} values; a ring keeps 1 to {MAX_RING_DEPTH}",
                field.name,
                ring.unwrap_or(0)
            ));
        }
        words += ContextStore::field_words(ring) as u64;
    }
    Ok((words + 2) * 8 * u64::from(context.capacity))
}

/// Bytes that the map takes.
fn check_map(map: &Map) -> Result<u64, String> {
    if map::is_hash(map.kind) {
        check_set_capacity(map.capacity)?;
    } else if map.capacity == 0 || map.capacity as usize > MAX_CAPACITY {
        return Err(format!("its capacity {} must be 1 to {MAX_CAPACITY}", map.capacity));
    }
    Ok(24 * u64::from(map.capacity))
}

fn check_set_capacity(capacity: u32) -> Result<(), String> {
    let size = capacity as usize;
    if !size.is_power_of_two() || !(WAYS..=MAX_CAPACITY).contains(&size) {
        return Err(format!(
            "its capacity {capacity} must be a power of two from {WAYS} to {MAX_CAPACITY}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::operand::IntType;
    use rmt_isa::program::{ContextField, Label, MapKind};

    fn context(capacity: u32, ring: Option<u16>) -> Context {
        let field = ContextField {
            name: "f".into(),
            kind: IntType::U8,
            ring,
            writable: true,
            label: Label::Public,
        };
        Context { name: "c".into(), capacity, fields: vec![field] }
    }

    fn map(kind: MapKind, capacity: u32) -> Map {
        Map { name: "m".into(), kind, capacity, value: IntType::U64, label: Label::Public }
    }

    fn error(program: Program) -> String {
        State::new(Arc::new(program)).unwrap_err().to_string()
    }

    #[test]
    fn declarations_outside_the_limits_are_refused_with_their_name() {
        let with_context = |context| Program { contexts: vec![context], ..Program::default() };
        let with_map = |map| Program { maps: vec![map], ..Program::default() };
        let cases = [
            (with_context(context(6, None)), "context `c`: its capacity 6 must be a power of two"),
            (with_context(context(2, None)), "power of two from 4"),
            (with_context(context(4, Some(0))), "a ring keeps 1 to 256"),
            (with_context(context(1 << 24, Some(256))), "lower their capacities"),
            (with_map(map(MapKind::LruHash, 5)), "map `m`"),
            (with_map(map(MapKind::RingBuffer, 0)), "must be 1 to"),
            (Program { contexts: vec![context(4, None); 5], ..Program::default() }, "at most 4"),
        ];
        for (program, part) in cases {
            let message = error(program);
            assert!(message.contains(part), "{message}");
        }
    }
}
