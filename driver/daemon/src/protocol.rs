//! What clients ask of the daemon and what it answers.
//!
//! One request is one transaction: all of it happens, at one instant for the events of the program,
//! or nothing does. Objects are named, as in the program's source; entries are named by their
//! handle or by what they match.

use std::collections::BTreeMap;

use rmt_isa::program::Matcher;
use rmt_vm::state::dump::{ContextDump, MapDump};
use rmt_vm::state::{EntryHandle, FieldValue, ModelObjects, StateDump};
use serde::{Deserialize, Serialize};

use crate::counters::Counters;
use crate::placement::Platform;

/// Version of the protocol; each frame carries it.
pub const PROTOCOL_VERSION: u16 = 1;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// The programs that run.
    List,
    /// What a program declares.
    Show {
        /// Its name.
        program: String,
    },
    /// Run a program.
    Install {
        /// Its image, as `rmt build` writes it.
        image: Vec<u8>,
        /// Where it shall run.
        place: Wish,
        /// Whether it takes the place of the program of the same hook. Contexts and maps that are
        /// declared alike keep their contents.
        replace: bool,
    },
    /// Run a program no longer.
    Remove {
        /// Its name.
        program: String,
    },
    /// Change entries, models, records, maps.
    Commit {
        /// Its name.
        program: String,
        /// All of them, in order.
        changes: Vec<NamedChange>,
    },
    /// Say where a program shall run.
    Place {
        /// Its name.
        program: String,
        /// Where.
        place: Wish,
    },
    /// The entries of a table.
    Table {
        /// The program's name.
        program: String,
        /// The table's name.
        table: String,
    },
    /// The records of a context store.
    Context {
        /// The program's name.
        program: String,
        /// The store's name.
        context: String,
        /// Only that of this key.
        key: Option<u64>,
    },
    /// What a map holds.
    Map {
        /// The program's name.
        program: String,
        /// The map's name.
        map: String,
    },
    /// The whole state of a program.
    State {
        /// Its name.
        program: String,
    },
    /// Counters of all programs and of the daemon.
    Counters,
    /// What placement reckons with.
    Platform,
}

impl Request {
    /// Whether it changes anything, for which a client needs the right to.
    pub fn changes(&self) -> bool {
        match self {
            Self::Install { .. }
            | Self::Remove { .. }
            | Self::Commit { .. }
            | Self::Place { .. } => true,
            Self::List
            | Self::Show { .. }
            | Self::Table { .. }
            | Self::Context { .. }
            | Self::Map { .. }
            | Self::State { .. }
            | Self::Counters
            | Self::Platform => false,
        }
    }
}

/// Where a program shall run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wish {
    /// Where it costs least, as measured.
    #[default]
    Auto,
    /// On the interpreter.
    Interpreter,
    /// As machine code.
    Jit,
    /// On the card.
    Card,
}

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// On the interpreter.
    Interpreter,
    /// As machine code.
    Jit,
    /// On the card.
    Card,
}

impl std::fmt::Display for EngineName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Interpreter => "interpreter",
            Self::Jit => "jit",
            Self::Card => "card",
        })
    }
}

/// One change, by names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum NamedChange {
    /// Add an entry.
    AddEntry {
        /// The table.
        table: String,
        /// What it matches.
        matcher: Match,
        /// Its priority; 0 where the table's kind has none.
        priority: u32,
        /// What it runs.
        call: Call,
    },
    /// Change what an entry runs.
    ChangeEntry {
        /// The table.
        table: String,
        /// Which one.
        entry: EntryName,
        /// What it runs from now on.
        call: Call,
    },
    /// Remove an entry.
    RemoveEntry {
        /// The table.
        table: String,
        /// Which one.
        entry: EntryName,
    },
    /// Set what runs when no entry matches; `None` ends such events as missed.
    SetDefault {
        /// The table.
        table: String,
        /// What.
        call: Option<Call>,
    },
    /// Put a new model in place of the one that runs.
    PushModel {
        /// Its name.
        model: String,
        /// All its objects.
        objects: ModelObjects,
    },
    /// Write the record of a key.
    PutRecord {
        /// The context store.
        context: String,
        /// The key.
        key: u64,
        /// One value for each field.
        fields: Vec<FieldValue>,
    },
    /// Forget the record of a key.
    RemoveRecord {
        /// The context store.
        context: String,
        /// The key.
        key: u64,
    },
    /// Set the value of a key of a map.
    StoreMap {
        /// The map.
        map: String,
        /// The key.
        key: u64,
        /// The value.
        value: u64,
    },
    /// Remove a key from a hash map.
    RemoveMapKey {
        /// The map.
        map: String,
        /// The key.
        key: u64,
    },
    /// Make a map as it was at the start.
    ClearMap {
        /// The map.
        map: String,
    },
}

/// What an entry matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Match {
    /// As the machine has it.
    Key(Matcher),
    /// As people write it: `pid=42`, see [`crate::names::parse_matcher`].
    Text(String),
}

/// Which entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryName {
    /// By the handle that adding returned.
    Handle(EntryHandle),
    /// By what it matches, and its priority.
    Match(Match, u32),
}

/// An action and its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Name of the action.
    pub action: String,
    /// Its parameters, extended to 64 bits.
    pub parameters: Vec<u64>,
}

/// What the daemon answers when it did what was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::List`].
    Programs(Vec<ProgramLine>),
    /// To [`Request::Show`].
    Program(Box<ProgramView>),
    /// To [`Request::Install`].
    Installed {
        /// Its name.
        program: String,
        /// Where it runs now.
        engine: EngineName,
        /// What cannot be as wished, and why.
        note: Option<String>,
    },
    /// To [`Request::Commit`]: the handles of added entries, in order.
    Committed {
        /// One for each entry that was added.
        added: Vec<EntryHandle>,
        /// Time that events of the program waited for it, nanoseconds.
        nanoseconds: u64,
    },
    /// To [`Request::Remove`].
    Removed,
    /// To [`Request::Place`].
    Placed {
        /// Where it runs now.
        engine: EngineName,
        /// What cannot be as wished, and why.
        note: Option<String>,
    },
    /// To [`Request::Table`].
    Table(TableView),
    /// To [`Request::Context`].
    Context(ContextDump),
    /// To [`Request::Map`].
    Map(MapDump),
    /// To [`Request::State`].
    State(StateDump),
    /// To [`Request::Counters`].
    Counters(CountersView),
    /// To [`Request::Platform`].
    Platform(Platform),
}

/// A program in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramLine {
    /// Its name.
    pub name: String,
    /// Name of its hook.
    pub hook: String,
    /// Number of its hook.
    pub hook_number: u16,
    /// Where it shall run.
    pub wish: Wish,
    /// Where it runs.
    pub engine: EngineName,
    /// Entries of all its tables.
    pub entries: u64,
    /// Events so far.
    pub events: u64,
}

/// What a program declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramView {
    /// As in the list.
    pub line: ProgramLine,
    /// In which order its events run.
    pub ordering: String,
    /// Names of its outputs.
    pub outputs: Vec<String>,
    /// Tables: name, kind with key, entries of capacity.
    pub tables: Vec<String>,
    /// Actions with their parameters.
    pub actions: Vec<String>,
    /// Context stores with their fields.
    pub contexts: Vec<String>,
    /// Maps with their kinds.
    pub maps: Vec<String>,
    /// Models.
    pub models: Vec<String>,
    /// Instructions, multiply-accumulates and card cycles of one event at worst.
    pub cost: (u64, u64, u64),
}

/// The entries of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableView {
    /// Its name.
    pub name: String,
    /// What runs when no entry matches.
    pub default: Option<Call>,
    /// Entries in the order in which they were added.
    pub entries: Vec<EntryView>,
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryView {
    /// Its handle.
    pub handle: EntryHandle,
    /// What it matches, in words that [`Match::Text`] takes.
    pub matcher: String,
    /// Its priority.
    pub priority: u32,
    /// What it runs.
    pub call: Call,
}

/// All counters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CountersView {
    /// Seconds since the daemon began.
    pub uptime_seconds: f64,
    /// By program.
    pub programs: BTreeMap<String, ProgramCounters>,
    /// By event source.
    pub sources: BTreeMap<String, BTreeMap<String, u64>>,
    /// The card's own.
    pub card: BTreeMap<String, u64>,
    /// Whether there is a card and it works.
    pub card_works: bool,
    /// Events of hooks that no program serves.
    pub events_without_program: u64,
    /// Requests that were done, and that were refused.
    pub requests: (u64, u64),
    /// Bytes of the journal.
    pub journal_bytes: u64,
}

/// Counters of one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramCounters {
    /// Where it runs.
    pub engine: EngineName,
    /// What happened.
    pub counters: Counters,
    /// Time of one event, nanoseconds: 50 %, 99 %, 99.9 % and the longest.
    pub nanoseconds: [u64; 4],
    /// Share of predicted pages that were asked for, of the last window; none when nothing is
    /// measured.
    pub accuracy: Option<f64>,
}

/// Why something was not done. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}; {remedy}")]
pub struct Refusal {
    /// Of which kind.
    pub kind: RefusalKind,
    /// What is wrong.
    pub reason: String,
    /// What helps.
    pub remedy: String,
}

/// Kinds of refusals, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    /// The frame or the request in it is none.
    BadRequest,
    /// The client has no right to.
    NotAllowed,
    /// There is no such program or object.
    NotFound,
    /// What was given does not fit.
    DoesNotFit,
    /// The program cannot be verified.
    NotVerified,
    /// The hook or the name is taken.
    Taken,
    /// The daemon is at a limit, or could not write its journal.
    Unavailable,
}

impl Refusal {
    /// A refusal.
    pub fn new(kind: RefusalKind, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), remedy: remedy.into() }
    }

    /// One whose reason says already what helps.
    pub(crate) fn does_not_fit(reason: impl std::fmt::Display) -> Self {
        Self::new(RefusalKind::DoesNotFit, reason.to_string(), "`rmt ctl show` lists what there is")
    }
}

/// What comes back.
pub type Reply = Result<Answer, Refusal>;
