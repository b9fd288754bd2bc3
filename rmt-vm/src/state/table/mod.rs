//! Tables: decision points whose entries the control plane adds, changes and removes while
//! events run.
//!
//! - [`Table`] holds the entries by handle and answers look-ups.
//! - `key` reads keys from events.
//! - `search` has one structure for each match kind, from key to entry (`exact` is that of
//!   most tables); `pool` keeps what entries run.
//! - [`check`] says whether an entry fits its table.
//!
//! A look-up builds the [`Key`] from the event (or from the arguments of the tail call),
//! asks the structure, and falls back to the default action.

pub mod check;
mod exact;
mod key;
mod pool;
mod search;
#[cfg(test)]
mod tests;

use hashbrown::HashMap;
use rmt_isa::Event;
use rmt_isa::limits::{MAX_ARGUMENTS, MAX_PARAMETERS};
use rmt_isa::program::{self, ActionCall, Entry, MatchKind, Program};

use super::snapshot::TableSnapshot;
pub use check::TableError;
pub use key::Key;
use key::KeyReader;
use pool::ActionPool;
use search::Search;

/// Names an entry for as long as it is in its table: entries are numbered from 0 in the
/// order in which they are added, and no number is used again.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct EntryHandle(pub u64);

/// An action and its parameters, ready to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BoundAction {
    parameters: [u64; MAX_PARAMETERS],
    action: u16,
    parameter_count: u8,
}

impl BoundAction {
    fn new(call: &ActionCall) -> Self {
        let mut parameters = [0; MAX_PARAMETERS];
        for (place, value) in parameters.iter_mut().zip(&call.parameters) {
            *place = *value;
        }
        let parameter_count = call.parameters.len().min(MAX_PARAMETERS) as u8;
        Self { parameters, action: call.action, parameter_count }
    }

    /// Index of the action in the program.
    pub fn action(&self) -> usize {
        self.action.into()
    }

    /// The parameters.
    pub fn parameters(&self) -> &[u64] {
        &self.parameters[..usize::from(self.parameter_count)]
    }
}

/// A table and its entries.
#[derive(Clone, Debug)]
pub struct Table {
    name: String,
    key: KeyReader,
    capacity: usize,
    default: Option<BoundAction>,
    entries: HashMap<EntryHandle, Entry>,
    search: Search,
    /// What the entries run, by the numbers in `search`.
    actions: ActionPool,
    next_handle: u64,
}

impl Table {
    /// The table `number` of a program, with the entries that it starts with.
    ///
    /// # Errors
    /// [`TableError`] when one of these entries, or the default action, does not fit.
    pub fn new(program: &Program, number: usize) -> Result<Self, TableError> {
        let declaration = program
            .tables
            .get(number)
            .ok_or(TableError::NoSuchTable { table: number, tables: program.tables.len() })?;
        let mut table = Self::empty(declaration);
        table.entries.reserve(declaration.entries.len());
        table.search.reserve(declaration.entries.len());
        table.set_default(program, declaration, declaration.default.clone())?;
        for entry in &declaration.entries {
            table.add(program, declaration, entry.clone())?;
        }
        Ok(table)
    }

    fn empty(declaration: &program::Table) -> Self {
        let kinds: Vec<_> = declaration.key.iter().map(|field| field.kind).collect();
        Self {
            name: declaration.name.clone(),
            key: KeyReader::new(&declaration.key),
            capacity: declaration.capacity as usize,
            default: None,
            entries: HashMap::new(),
            search: Search::new(declaration.kind, &kinds),
            actions: ActionPool::default(),
            next_handle: 0,
        }
    }

    /// The table `number` of a program as a snapshot says.
    pub(super) fn of_snapshot(
        program: &Program,
        number: usize,
        snapshot: &TableSnapshot,
    ) -> Result<Self, TableError> {
        let tables = program.tables.len();
        let declaration =
            program.tables.get(number).ok_or(TableError::NoSuchTable { table: number, tables })?;
        let mut table = Self::empty(declaration);
        table.set_default(program, declaration, snapshot.default.clone())?;
        for (handle, entry) in &snapshot.entries {
            if handle.0 < table.next_handle || handle.0 >= snapshot.next_handle {
                let (table, handle) = (table.name.clone(), handle.0);
                return Err(TableError::NoSuchEntry { table, handle });
            }
            table.next_handle = handle.0;
            table.add(program, declaration, entry.clone())?;
        }
        table.next_handle = snapshot.next_handle;
        Ok(table)
    }

    /// The handle of the next entry that is added.
    pub fn next_handle(&self) -> u64 {
        self.next_handle
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many entries it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The entry of a handle.
    pub fn entry(&self, handle: EntryHandle) -> Option<&Entry> {
        self.entries.get(&handle)
    }

    /// All entries in the order in which they were added.
    pub fn entries(&self) -> Vec<(EntryHandle, &Entry)> {
        let mut entries: Vec<_> =
            self.entries.iter().map(|(&handle, entry)| (handle, entry)).collect();
        entries.sort_unstable_by_key(|(handle, _)| *handle);
        entries
    }

    /// What runs when no entry matches.
    pub fn default_action(&self) -> Option<&BoundAction> {
        self.default.as_ref()
    }

    /// The key of an event, with `arguments` = `r1` to `r4` of the tail call that led here.
    pub fn key(&self, event: &Event, arguments: &[u64; MAX_ARGUMENTS]) -> Key {
        self.key.read(event, arguments)
    }

    /// The entry that wins for a key: its handle and what it runs.
    pub fn find(&self, key: &Key) -> Option<(EntryHandle, &BoundAction)> {
        self.search.find(key).map(|(handle, action)| (handle, self.actions.get(action)))
    }

    /// What runs for a key: the action of the entry that wins, else the default action.
    #[inline]
    pub fn look_up(&self, key: &Key) -> Option<&BoundAction> {
        match self.search.action(key) {
            Some(action) => Some(self.actions.get(action)),
            None => self.default.as_ref(),
        }
    }

    /// [`Self::look_up`] of the event's [`Self::key`].
    #[inline]
    pub fn look_up_event(
        &self,
        event: &Event,
        arguments: &[u64; MAX_ARGUMENTS],
    ) -> Option<&BoundAction> {
        let found = match (&self.search, self.key.one_field()) {
            // The most common table by far: nothing to put together.
            (Search::ExactNarrow(entries), Some(field)) => {
                entries.find(field.read_unsigned(event, arguments))
            }
            _ => self.search.action(&self.key.read(event, arguments)),
        };
        match found {
            Some(action) => Some(self.actions.get(action)),
            None => self.default.as_ref(),
        }
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// [`TableError`] when it does not fit the table, the table is full, or an entry with
    /// the same matcher and priority is there.
    pub fn add(
        &mut self,
        program: &Program,
        declaration: &program::Table,
        entry: Entry,
    ) -> Result<EntryHandle, TableError> {
        check::entry(program, declaration, &entry)?;
        if let Some(present) = self.search.same(&entry) {
            return Err(TableError::Duplicate { table: self.name.clone(), handle: present.0 });
        }
        if self.entries.len() >= self.capacity {
            return Err(TableError::Full { table: self.name.clone(), capacity: self.capacity });
        }
        let handle = EntryHandle(self.next_handle);
        self.next_handle += 1;
        self.put(handle, entry);
        Ok(handle)
    }

    /// Changes what an entry runs; its matcher, priority and age stay. The old action is
    /// returned.
    ///
    /// # Errors
    /// [`TableError`] when there is no such entry or the action does not fit.
    pub fn change(
        &mut self,
        program: &Program,
        declaration: &program::Table,
        handle: EntryHandle,
        call: ActionCall,
    ) -> Result<ActionCall, TableError> {
        check::call(program, declaration, &call)?;
        let mut entry = self.remove(handle)?;
        let old = std::mem::replace(&mut entry.call, call);
        self.put(handle, entry);
        Ok(old)
    }

    /// Removes an entry and returns it.
    ///
    /// # Errors
    /// [`TableError::NoSuchEntry`] when it is not there.
    pub fn remove(&mut self, handle: EntryHandle) -> Result<Entry, TableError> {
        let entry = self.entries.remove(&handle).ok_or_else(|| TableError::NoSuchEntry {
            table: self.name.clone(),
            handle: handle.0,
        })?;
        self.search.remove(handle, &entry);
        self.actions.release(&BoundAction::new(&entry.call));
        Ok(entry)
    }

    /// Sets what runs when no entry matches.
    ///
    /// # Errors
    /// [`TableError`] when the action does not fit.
    pub fn set_default(
        &mut self,
        program: &Program,
        declaration: &program::Table,
        call: Option<ActionCall>,
    ) -> Result<(), TableError> {
        if let Some(call) = &call {
            check::default_call(program, declaration, call)?;
        }
        self.default = call.as_ref().map(BoundAction::new);
        Ok(())
    }

    fn put(&mut self, handle: EntryHandle, entry: Entry) {
        let action = self.actions.acquire(BoundAction::new(&entry.call));
        self.search.add(handle, &entry, action);
        self.entries.insert(handle, entry);
    }

    /// Undoes [`Self::add`] of the youngest entry, as if it had never been there.
    pub(crate) fn undo_add(&mut self, handle: EntryHandle) {
        if self.remove(handle).is_ok() {
            self.next_handle = handle.0;
        }
    }

    /// Undoes [`Self::remove`].
    pub(crate) fn undo_remove(&mut self, handle: EntryHandle, entry: Entry) {
        self.put(handle, entry);
    }

    /// Undoes [`Self::change`] with the action that it returned.
    pub(crate) fn undo_change(&mut self, handle: EntryHandle, call: ActionCall) {
        if let Ok(mut entry) = self.remove(handle) {
            entry.call = call;
            self.put(handle, entry);
        }
    }

    /// Undoes [`Self::set_default`].
    pub(crate) fn undo_default(&mut self, default: Option<BoundAction>) {
        self.default = default;
    }
}

/// Tables are equal when they behave alike from now on.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
            && self.default == other.default
            && self.next_handle == other.next_handle
    }
}

/// Whether the program's tables of this kind order entries by priority.
pub(crate) fn has_priority(kind: MatchKind) -> bool {
    matches!(kind, MatchKind::Ternary | MatchKind::Range)
}
