//! The interface that all engines share: interpreter, JIT, RTL in simulation, card.
//!
//! Tests, differential runs and co-simulation are written against [`Engine`] and compare any
//! engine with the interpreter.

use rmt_isa::{Decision, Event, Program};

use crate::interpreter::Machine;
use crate::state::{Applied, Change, CommitError, LoadError, StateDump};

/// Something that runs a program.
pub trait Engine {
    /// Why the engine could not do its work: it refused a program or a commit, or it is out
    /// of order (a simulation that stopped, a card that does not answer).
    type Error: std::error::Error;

    /// Takes a program, verified before, in its initial state. The program before it is gone.
    ///
    /// # Errors
    /// When the engine cannot run the program; no program is loaded then.
    fn load(&mut self, program: &Program) -> Result<(), Self::Error>;

    /// Runs one event to its decision.
    ///
    /// # Errors
    /// When no program is loaded, or the engine does not answer.
    fn run(&mut self, event: &Event) -> Result<Decision, Self::Error>;

    /// Applies all changes between two events, or none.
    ///
    /// # Errors
    /// When a change is refused; nothing is changed then.
    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Applied>, Self::Error>;

    /// The state as it is between two events.
    ///
    /// # Errors
    /// When no program is loaded, or the engine does not answer.
    fn state(&mut self) -> Result<StateDump, Self::Error>;

    /// Instructions that the last event executed, where the engine counts them.
    fn steps(&self) -> Option<u64>;
}

/// The interpreter as an engine.
#[derive(Debug, Default)]
pub struct InterpreterEngine {
    machine: Option<Machine>,
}

/// Why the interpreter refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InterpreterError {
    /// The program's declarations are outside the limits.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A change was refused.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// There is no program.
    #[error("no program is loaded; load one before events, commits and dumps")]
    NoProgram,
}

impl InterpreterEngine {
    fn machine(&mut self) -> Result<&mut Machine, InterpreterError> {
        self.machine.as_mut().ok_or(InterpreterError::NoProgram)
    }
}

impl Engine for InterpreterEngine {
    type Error = InterpreterError;

    fn load(&mut self, program: &Program) -> Result<(), InterpreterError> {
        self.machine = None;
        self.machine = Some(Machine::new(program)?);
        Ok(())
    }

    fn run(&mut self, event: &Event) -> Result<Decision, InterpreterError> {
        Ok(self.machine()?.run(event))
    }

    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Applied>, InterpreterError> {
        Ok(self.machine()?.state_mut().commit(changes)?)
    }

    fn state(&mut self) -> Result<StateDump, InterpreterError> {
        Ok(self.machine()?.state().dump())
    }

    fn steps(&self) -> Option<u64> {
        self.machine.as_ref().map(Machine::steps)
    }
}
