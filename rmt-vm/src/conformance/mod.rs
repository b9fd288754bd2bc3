//! Test vectors that every engine runs: program text with the expected results beside it.
//!
//! A file holds tests. Each is a small program in assembly with its objects, and events with
//! the decisions that must come back:
//!
//! ```text
//! fields a:i64@16 b:i64@24       ; fields of the event, for the tests that follow
//! before                         ; code put before the main action of the tests that follow
//!     ld_event r1, event+16, i64
//!     ld_event r2, event+24, i64
//! after                          ; ... and behind it
//!     out out0, r3
//!     exit decided
//!
//! test add
//!     add r3, r1, r2
//! run a=2 b=3 => decided 5
//! run a=-1 b=1 => decided 0
//! ```
//!
//! | line | meaning |
//! | --- | --- |
//! | `test NAME` | begins a test; indented lines and labels behind it are its main action |
//! | `action NAME [PARAMETER:TYPE ...] [arguments=N]` | a further action; its code is indented |
//! | `table`, `context`, `map`, `tensor`, `scale`, `window`, `forest` + JSON | an object; fields left out have defaults, see `parse`; without a table there is one that always runs the main action |
//! | `entry TABLE MATCHER [priority N] => ACTION [VALUE ...]` | an entry; the matcher as [`crate::state::dump::matcher_text`] writes it |
//! | `unverified` | the program is wrong on purpose: only engines that run such programs take the test |
//! | `run FIELD=VALUE ... => STATUS [OUTPUT ...] [steps=N]` | an event and its decision; `-`: output not written; also `hook=`, `flags=`, `tag=` |
//! | `commit JSON` [`=> refused`] | a list of changes |
//! | `state POINTER JSON` | the state's dump holds this at the JSON pointer |
//!
//! [`parse`] reads a file, [`parse_folder`] all of a folder; [`run`] runs one test on any [`Engine`](crate::Engine).

mod parse;
mod runner;

pub use parse::{ParseError, parse, parse_folder};
pub use runner::{Failure, run};

use rmt_isa::{Event, Program, Status};

use crate::state::Change;

/// One test.
#[derive(Clone, Debug)]
pub struct Case {
    /// File that it stands in.
    pub file: String,
    /// Its name.
    pub name: String,
    /// The program.
    pub program: Program,
    /// Whether the program is wrong on purpose: the verifier refuses it.
    pub unverified: bool,
    /// What is done with it, in order.
    pub steps: Vec<Step>,
}

/// One step of a test.
#[derive(Clone, Debug)]
pub struct Step {
    /// Line of the file.
    pub line: usize,
    /// What is done.
    pub action: StepAction,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepAction {
    /// Runs an event.
    Run {
        /// The event.
        event: Box<Event>,
        /// The status that it must end with.
        status: Status,
        /// The outputs that must be written with these values, and no others.
        outputs: [Option<u64>; 3],
        /// The instructions that it must execute.
        steps: Option<u64>,
    },
    /// Commits changes.
    Commit {
        /// The changes.
        changes: Vec<Change>,
        /// Whether they must be refused.
        refused: bool,
    },
    /// Looks at the state.
    State {
        /// JSON pointer into the dump (RFC 6901).
        pointer: String,
        /// What must be there.
        expected: serde_json::Value,
    },
}
