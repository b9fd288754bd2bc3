//! What is counted of each program.

use rmt_isa::Status;
use serde::{Deserialize, Serialize};

use crate::protocol::EngineName;

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Counters of one program since it was installed.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct Counters {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Counters {
            /// Name, meaning and value of each.
            pub fn list(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), concat!($($doc),*).trim_ascii(), self.$name),)*]
            }
        }
    };
}

counters! {
    /// Events that came.
    events,
    /// Events that an action decided.
    decided,
    /// Events that an action left to the kernel.
    abstained,
    /// Events that no entry matched.
    missed,
    /// Events that ended with an error.
    faults,
    /// Events decided by the interpreter.
    on_interpreter,
    /// Events decided by machine code.
    on_jit,
    /// Events decided by the card.
    on_card,
    /// Events whose decision was remembered.
    from_cache,
    /// Events that the card did not decide in time, decided by software.
    card_late,
    /// Events that the card did not take or refused, decided by software.
    card_refused,
    /// Transactions.
    commits,
    /// Moves to another engine.
    moves,
    /// Losses of the card while the program was on it.
    card_losses,
}

impl Counters {
    /// Counts one event that ended.
    #[inline]
    pub fn count(&mut self, status: Status) {
        self.events += 1;
        match status {
            Status::Decided => self.decided += 1,
            Status::Abstained => self.abstained += 1,
            Status::Missed => self.missed += 1,
            _ => self.faults += 1,
        }
    }

    /// Counts events of an engine.
    pub fn count_engine(&mut self, engine: EngineName, events: u64) {
        match engine {
            EngineName::Interpreter => self.on_interpreter += events,
            EngineName::Jit => self.on_jit += events,
            EngineName::Card => self.on_card += events,
        }
    }
}
