//! Compares the JIT with the interpreter on generated cases.
//!
//! [`compare`] runs one case on both and looks at every decision, every number of executed
//! instructions, every answer of the control plane and the state at the end.

use rmt_isa::{Decision, Event};

use super::{Jit, JitError};
use crate::Engine;
use crate::engine::{InterpreterEngine, InterpreterError};
use crate::generate::{Case, Step};
use crate::state::StateDump;

/// Where two engines differ.
#[derive(Debug, thiserror::Error)]
pub enum Difference {
    /// An engine refused to load the program or to run at all.
    #[error("the interpreter refuses what the JIT was given: {0}")]
    Interpreter(#[from] InterpreterError),
    /// The JIT refused to load the program or to run at all.
    #[error("the JIT refuses: {0}")]
    Jit(#[from] JitError),
    /// The decisions are not the same.
    #[error(
        "step {step}, event {event:?}: the interpreter decides {expected:?} in {expected_steps:?} instructions, the JIT {found:?} in {found_steps:?}"
    )]
    Decision {
        /// Number of the step.
        step: usize,
        /// The event.
        event: Box<Event>,
        /// By the interpreter.
        expected: Decision,
        /// Instructions executed by the interpreter.
        expected_steps: Option<u64>,
        /// By the JIT.
        found: Decision,
        /// Instructions executed by the JIT.
        found_steps: Option<u64>,
    },
    /// One engine took a commit that the other one refused, or answered otherwise.
    #[error("step {step}: the interpreter answers a commit with {expected}, the JIT with {found}")]
    Commit {
        /// Number of the step.
        step: usize,
        /// By the interpreter.
        expected: String,
        /// By the JIT.
        found: String,
    },
    /// The states are not the same.
    #[error("after step {step} the states differ: {reason}")]
    State {
        /// Number of the step.
        step: usize,
        /// Both states.
        reason: String,
    },
}

/// Runs a case on interpreter and JIT; the number of events that ran.
///
/// The JIT is given, so that many cases need one only.
///
/// # Errors
/// The first [`Difference`].
pub fn compare(case: &Case, jit: &mut Jit) -> Result<usize, Difference> {
    let mut interpreter = InterpreterEngine::default();
    jit.load(&case.program)?;
    interpreter.load(&case.program)?;
    let mut events = 0;
    for (step, action) in case.steps.iter().enumerate() {
        match action {
            Step::Event(event) => {
                events += 1;
                let (expected, found) = (interpreter.run(event)?, jit.run(event)?);
                let (expected_steps, found_steps) = (interpreter.steps(), jit.steps());
                if (expected, expected_steps) != (found, found_steps) {
                    let event = Box::new(*event);
                    return Err(Difference::Decision {
                        step,
                        event,
                        expected,
                        expected_steps,
                        found,
                        found_steps,
                    });
                }
            }
            Step::Commit(changes) => {
                let expected = interpreter.commit(changes).map_err(|e| e.to_string());
                let found = jit.commit(changes).map_err(|e| e.to_string());
                if expected != found {
                    let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
                    return Err(Difference::Commit { step, expected, found });
                }
                // What the control plane reads between events is part of the contract.
                same_state(step, &interpreter.state()?, &jit.state()?)?;
            }
        }
    }
    same_state(case.steps.len(), &interpreter.state()?, &jit.state()?)?;
    Ok(events)
}

fn same_state(step: usize, expected: &StateDump, found: &StateDump) -> Result<(), Difference> {
    if expected == found {
        return Ok(());
    }
    let reason = format!("interpreter {}, JIT {}", expected.to_json(), found.to_json());
    Err(Difference::State { step, reason })
}
