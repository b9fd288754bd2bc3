//! Runs one test on one engine.

use rmt_isa::Decision;

use super::{Case, StepAction};
use crate::Engine;

/// Why a test failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: line {line}: test `{test}`: {reason}")]
pub struct Failure {
    /// The file.
    pub file: String,
    /// Line of the step that failed; 0: the program was not loaded.
    pub line: usize,
    /// Name of the test.
    pub test: String,
    /// What was expected and what was found.
    pub reason: String,
}

/// Runs all steps of a test; the number of events that ran.
///
/// # Errors
/// [`Failure`] at the first step that does not give what the test says.
pub fn run<E: Engine>(case: &Case, engine: &mut E) -> Result<usize, Failure> {
    let failure =
        |line, reason| Failure { file: case.file.clone(), line, test: case.name.clone(), reason };
    engine.load(&case.program).map_err(|error| failure(0, format!("not loaded: {error}")))?;
    let mut events = 0;
    for step in &case.steps {
        step_result(engine, &step.action).map_err(|reason| failure(step.line, reason))?;
        events += usize::from(matches!(step.action, StepAction::Run { .. }));
    }
    Ok(events)
}

fn step_result<E: Engine>(engine: &mut E, action: &StepAction) -> Result<(), String> {
    let text = |error: E::Error| error.to_string();
    match action {
        StepAction::Run { event, status, outputs, steps } => {
            let decision = engine.run(event).map_err(text)?;
            let expected = Decision {
                tag: event.tag(),
                status: *status,
                written: (0..3).map(|i| u8::from(outputs[i].is_some()) << i).sum(),
                cycles: decision.cycles,
                outputs: outputs.map(Option::unwrap_or_default),
            };
            same("decision", &expected, &decision)?;
            match (steps, engine.steps()) {
                (Some(expected), Some(found)) => same("instructions executed", expected, &found),
                _ => Ok(()),
            }
        }
        StepAction::Commit { changes, refused } => match (engine.commit(changes), refused) {
            (Ok(_), false) | (Err(_), true) => Ok(()),
            (Ok(_), true) => Err("the commit was done, expected a refusal".into()),
            (Err(error), false) => Err(error.to_string()),
        },
        StepAction::State { pointer, expected } => {
            let dump = engine.state().map_err(text)?.to_json();
            let nothing = serde_json::Value::Null;
            same(pointer, expected, dump.pointer(pointer).unwrap_or(&nothing))
        }
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}
