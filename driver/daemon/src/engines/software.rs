//! The engines of this process, interpreter and JIT, which take over each other's state.

use std::sync::Arc;

use rmt_isa::{Decision, Event, Program};
use rmt_vm::jit::{Jit, JitError, ReadyModels};
use rmt_vm::state::{Applied, Change, CommitError, Contents, LoadError, Snapshot, SnapshotError};
use rmt_vm::verifier::Limits;
use rmt_vm::{Engine as _, Machine, State};

use crate::protocol::EngineName;

/// A program with its state, on the interpreter or as machine code.
pub enum Software {
    /// One instruction at a time.
    Interpreter(Box<Machine>),
    /// Machine code.
    Jit(Box<Jit>),
}

/// Why software does not run a program or take a change.
#[derive(Debug, thiserror::Error)]
pub enum SoftwareError {
    /// The program cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A change is refused.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The state does not fit.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The JIT's.
    #[error(transparent)]
    Jit(#[from] JitError),
}

impl Software {
    /// A program in a state, on the JIT where it has a code generator, else on the interpreter.
    ///
    /// # Errors
    /// When the program cannot be loaded, or the state is not one of it.
    pub fn new(
        program: Arc<Program>,
        snapshot: Option<&Snapshot>,
        limits: &Limits,
    ) -> Result<Self, SoftwareError> {
        let state = match snapshot {
            Some(snapshot) => State::of_snapshot(program, snapshot)?,
            None => State::new(program)?,
        };
        match Jit::of_state(state.clone(), limits.clone()) {
            Ok(jit) => Ok(Self::Jit(Box::new(jit))),
            Err(JitError::Backend { .. }) => {
                Ok(Self::Interpreter(Box::new(Machine::of_state(state))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Which one it is.
    pub fn name(&self) -> EngineName {
        match self {
            Self::Interpreter(_) => EngineName::Interpreter,
            Self::Jit(_) => EngineName::Jit,
        }
    }

    /// Runs one event.
    #[inline]
    pub fn run(&mut self, event: &Event) -> Decision {
        match self {
            Self::Interpreter(machine) => machine.run(event),
            // An error says that no program is loaded, and one always is.
            Self::Jit(jit) => jit.run(event).unwrap_or_else(|_| no_program(event)),
        }
    }

    /// The state between two events.
    pub fn state(&self) -> &State {
        match self {
            Self::Interpreter(machine) => machine.state(),
            Self::Jit(jit) => match jit.current_state() {
                Some(state) => state,
                None => unreachable!("a program is loaded when the engine is made"),
            },
        }
    }

    /// Applies all changes, or none; `ready` is code for the models that they swap.
    ///
    /// # Errors
    /// Why they are refused.
    pub fn commit(
        &mut self,
        changes: &[Change],
        ready: Option<ReadyModels>,
    ) -> Result<Vec<Applied>, SoftwareError> {
        match self {
            Self::Interpreter(machine) => Ok(machine.state_mut().commit(changes)?),
            Self::Jit(jit) => {
                let applied = match ready {
                    Some(ready) => jit.commit_ready(changes, ready),
                    None => jit.commit(changes),
                };
                match applied {
                    Err(JitError::Commit(error)) => Err(error.into()),
                    result => Ok(result?),
                }
            }
        }
    }

    /// Puts other contents in place of those of contexts and maps.
    ///
    /// # Errors
    /// When they do not fit the program; nothing is changed then.
    pub fn replace_contents(&mut self, contents: &Contents) -> Result<(), SoftwareError> {
        match self {
            Self::Interpreter(machine) => Ok(machine.state_mut().replace_contents(contents)?),
            Self::Jit(jit) => Ok(jit.replace_contents(contents)?),
        }
    }

    /// Goes on as another engine, in the same state. On an error it stays what it is.
    ///
    /// # Errors
    /// When the code generator fails.
    pub fn become_engine(
        &mut self,
        engine: EngineName,
        limits: &Limits,
    ) -> Result<(), SoftwareError> {
        if self.name() == engine {
            return Ok(());
        }
        let state = self.state().clone();
        *self = match engine {
            EngineName::Interpreter => Self::Interpreter(Box::new(Machine::of_state(state))),
            EngineName::Jit | EngineName::Card => {
                Self::Jit(Box::new(Jit::of_state(state, limits.clone())?))
            }
        };
        Ok(())
    }
}

/// The decision for an event that no program serves.
pub fn no_program(event: &Event) -> Decision {
    Decision {
        tag: event.tag(),
        status: rmt_isa::Status::NoProgram,
        written: 0,
        cycles: 0,
        outputs: [0; rmt_isa::limits::MAX_OUTPUTS],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_vm::generate::{Options, Step, verified_case};

    /// The engine changes every few steps, and nobody can tell.
    #[test]
    fn a_program_that_moves_decides_as_one_that_stays() {
        let limits = Limits::default();
        for seed in 0..12 {
            let case = verified_case(seed, &Options::default());
            let mut stays = Machine::new(&case.program).unwrap();
            let mut moves = Software::new(Arc::new(case.program), None, &limits).unwrap();
            for (number, step) in case.steps.iter().enumerate() {
                match step {
                    Step::Event(event) => assert_eq!(moves.run(event), stays.run(event)),
                    Step::Commit(changes) => {
                        let expected = stays.state_mut().commit(changes).ok();
                        assert_eq!(moves.commit(changes, None).ok(), expected);
                    }
                }
                if number % 40 == 39 {
                    let next = match moves.name() {
                        EngineName::Jit => EngineName::Interpreter,
                        _ => EngineName::Jit,
                    };
                    moves.become_engine(next, &limits).unwrap();
                }
            }
            assert_eq!(moves.state().dump().first_difference(&stays.state().dump()), None);
        }
    }
}
