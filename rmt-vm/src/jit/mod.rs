//! The JIT: verified programs as machine code.
//!
//! [`Jit`] is an [`Engine`] over the same [`State`] as the interpreter, and equals it bit for
//! bit: decisions, state, number of instructions. `docs/jit.md` says how fast it is.
//!
//! - `compile`: a program to [Cranelift](https://cranelift.dev) functions, one for each
//!   action; `flow` finds the blocks, `action` walks the instructions, `scalars`, `records`,
//!   `vectors`, `rings`, `layers`, `chains` and `trees` translate them by class.
//! - `operation`, `window`: what code calls for vectors too long for machine registers.
//! - [`kernels`]: large integer products on the widest vector unit.
//! - [`differential`]: compares it with the interpreter.
//! - `runtime`: the frame that code works on and the functions that it calls. `runtime` and
//!   `kernels` hold all unsafe code.
//!
//! An event enters [`Jit::run`]: the table is looked up (at no cost when it has no entries),
//! the code of the action runs, and a tail call comes back here with the next table.
//!
//! Weights, scales and trees are constants of the code. A commit that swaps a model compiles
//! first, with the new objects, and commits after; when one of both fails, nothing happened.
//! [`ReadyModels`] is such code, made before, by another thread.

mod action;
mod chains;
mod compile;
pub mod differential;
mod flow;
pub mod kernels;
mod layers;
mod operation;
mod records;
mod rings;
mod runtime;
mod scalars;
mod trees;
mod vectors;
mod window;

use std::sync::Arc;

use cranelift_codegen::isa::OwnedTargetIsa;
use rmt_isa::event::event_layout;
use rmt_isa::limits::{MAX_ARGUMENTS, MAX_OUTPUTS, MAX_PARAMETERS, MAX_TABLE_VISITS};
use rmt_isa::{Decision, Event, Program, Status};

use crate::Engine;
use crate::state::table::BoundAction;
use crate::state::{
    Applied, Change, CommitError, Contents, LoadError, Models, SnapshotError, State, StateDump,
};
use crate::verifier::{self, Limits, Violation};
use action::{End, Verb};
use compile::Objects;
use runtime::{ActionCode, Code, Runtime};

/// Why the JIT refuses.
#[derive(Debug, thiserror::Error)]
pub enum JitError {
    /// The verifier refuses the program; only verified programs are compiled.
    #[error("the program is not verified: {}{}", first(.0), more(.0))]
    Unverified(Vec<Violation>),
    /// The program's declarations are outside the limits.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A change was refused.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Contents do not fit the program.
    #[error(transparent)]
    Contents(#[from] Box<SnapshotError>),
    /// There is no program.
    #[error("no program is loaded; load one before events, commits and dumps")]
    NoProgram,
    /// The code generator failed, or does not know this machine.
    #[error(
        "there is no machine code for the program: {reason}; run it in the interpreter \
         (--engine interpreter)"
    )]
    Backend {
        /// What it said.
        reason: String,
    },
}

fn first(violations: &[Violation]) -> String {
    violations.first().map_or_else(String::new, ToString::to_string)
}

fn more(violations: &[Violation]) -> String {
    match violations.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    }
}

/// The JIT as an engine.
#[derive(Debug)]
pub struct Jit {
    limits: Limits,
    loaded: Option<Loaded>,
}

/// Machine code for models that a commit is going to swap, made before it: events wait for the
/// swap then, and not for the code generator.
pub struct ReadyModels {
    code: Code,
    models: Models,
}

impl ReadyModels {
    /// Compiles a program as it will be when the models are swapped.
    ///
    /// # Errors
    /// When the verifier refuses the program or the code generator fails.
    pub fn new(program: &Program, limits: &Limits) -> Result<Self, JitError> {
        verifier::verify(program, limits).map_err(JitError::Unverified)?;
        let Loaded { code, runtime, .. } = Loaded::new(program)?;
        Ok(Self { code, models: runtime.state().models().clone() })
    }

    fn is_for(&self, models: &Models) -> bool {
        self.models.tensors() == models.tensors()
            && self.models.scales() == models.scales()
            && self.models.forests() == models.forests()
    }
}

impl Default for Jit {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Jit {
    /// A JIT that verifies programs with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, loaded: None }
    }

    /// A JIT for a program in a state that it has reached elsewhere.
    ///
    /// # Errors
    /// When the verifier refuses the program with the entries and models of the state, or the
    /// code generator fails.
    pub fn of_state(state: State, limits: Limits) -> Result<Self, JitError> {
        verifier::verify(&state.current_program(), &limits).map_err(JitError::Unverified)?;
        let loaded = Some(Loaded::of_state(state)?);
        Ok(Self { limits, loaded })
    }

    /// The state between two events, when a program is loaded.
    pub fn current_state(&self) -> Option<&State> {
        self.loaded.as_ref().map(|loaded| loaded.runtime.state())
    }

    /// Puts other contents of contexts and maps in place of those that are there.
    ///
    /// # Errors
    /// When no program is loaded or the contents do not fit it; nothing is changed then.
    pub fn replace_contents(&mut self, contents: &Contents) -> Result<(), JitError> {
        Ok(self.loaded()?.runtime.replace_contents(contents).map_err(Box::new)?)
    }

    /// Commits, with code for the models that the changes swap; code for others is not used.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn commit_ready(
        &mut self,
        changes: &[Change],
        ready: ReadyModels,
    ) -> Result<Vec<Applied>, JitError> {
        self.loaded()?.commit(changes, Some(ready))
    }

    #[inline]
    fn loaded(&mut self) -> Result<&mut Loaded, JitError> {
        // No `ok_or`: it would make an error, and drop it, for each event.
        match &mut self.loaded {
            Some(loaded) => Ok(loaded),
            None => Err(JitError::NoProgram),
        }
    }
}

impl Engine for Jit {
    type Error = JitError;

    fn load(&mut self, program: &Program) -> Result<(), JitError> {
        self.loaded = None;
        verifier::verify(program, &self.limits).map_err(JitError::Unverified)?;
        self.loaded = Some(Loaded::new(program)?);
        Ok(())
    }

    #[inline]
    fn run(&mut self, event: &Event) -> Result<Decision, JitError> {
        Ok(self.loaded()?.run(event))
    }

    fn commit(&mut self, changes: &[Change]) -> Result<Vec<Applied>, JitError> {
        self.loaded()?.commit(changes, None)
    }

    fn state(&mut self) -> Result<StateDump, JitError> {
        Ok(self.loaded()?.runtime.state().dump())
    }

    fn steps(&self) -> Option<u64> {
        self.loaded.as_ref().map(|loaded| loaded.steps)
    }
}

/// Machine code of each action of a verified program for a named machine, such as
/// `aarch64-unknown-linux-gnu`: to look at, not to run here.
///
/// # Errors
/// [`JitError`] when the program is refused or the machine is unknown.
pub fn machine_code(program: &Program, triple: &str) -> Result<Vec<Vec<u8>>, JitError> {
    verifier::verify(program, &Limits::default()).map_err(JitError::Unverified)?;
    let isa = compile::foreign(triple, program)?;
    let state = State::new(Arc::new(program.clone()))?;
    let objects = Objects { program, contexts: state.contexts(), models: state.models() };
    compile::compile_bytes(objects, &*isa)
}

/// An action with its data, ready to run.
#[derive(Clone, Copy)]
struct Call {
    code: ActionCode,
    /// Whether there is action data.
    has_parameters: bool,
    parameters: [u64; MAX_PARAMETERS],
}

/// How a table is looked up.
#[derive(Clone, Copy)]
enum Lookup {
    /// It has no entries: the default action always runs, or there is none.
    Default(Option<Call>),
    /// Ask the table.
    Search,
}

/// How an event ended.
struct Walk {
    status: Status,
    /// The mask of outputs written.
    written: u8,
    /// Instructions executed.
    steps: u64,
}

/// A program that runs.
struct Loaded {
    hook: u32,
    runtime: Runtime,
    code: Code,
    /// By table; made anew after each commit.
    lookups: Vec<Lookup>,
    /// The code that every event runs first: the first table has no entries, and its default
    /// action no data.
    direct: Option<ActionCode>,
    steps: u64,
    isa: OwnedTargetIsa,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = &self.runtime.state().program().name;
        f.debug_struct("Loaded").field("program", name).finish_non_exhaustive()
    }
}

impl Loaded {
    fn new(program: &Program) -> Result<Self, JitError> {
        Self::of_state(State::new(Arc::new(program.clone()))?)
    }

    /// The state's program must be verified.
    fn of_state(state: State) -> Result<Self, JitError> {
        let program = state.program();
        let isa = compile::native(program)?;
        let hook = u32::from(program.hook.number);
        let objects = Objects { program, contexts: state.contexts(), models: state.models() };
        let code = compile::compile(objects, &isa)?;
        let runtime = Runtime::new(state);
        let mut loaded =
            Self { hook, runtime, code, lookups: Vec::new(), direct: None, steps: 0, isa };
        loaded.make_lookups();
        Ok(loaded)
    }

    fn make_lookups(&mut self) {
        let Self { runtime, code, .. } = self;
        let lookup = |table: &crate::state::Table| match table.is_empty() {
            true => Lookup::Default(table.default_action().and_then(|call| bind(code, call))),
            false => Lookup::Search,
        };
        self.lookups = runtime.state().tables().iter().map(lookup).collect();
        self.direct = match self.lookups.first() {
            Some(Lookup::Default(Some(call))) if !call.has_parameters => Some(call.code),
            _ => None,
        };
    }

    #[inline]
    fn run(&mut self, event: &Event) -> Decision {
        self.runtime.frame_mut().outputs = [0; MAX_OUTPUTS];
        let Walk { status, written, steps } = self.decide(event);
        self.steps = steps;
        Decision { tag: event.tag(), status, written, cycles: 0, outputs: self.runtime.outputs() }
    }

    /// Runs actions until one exits.
    #[inline]
    fn decide(&mut self, event: &Event) -> Walk {
        const HOOK_AND_FLAGS: usize = event_layout::HOOK.bytes + event_layout::FLAGS.bytes;
        // Hook and reserved flags side by side: one comparison for both.
        if event.load(event_layout::HOOK.offset, HOOK_AND_FLAGS) != u64::from(self.hook) {
            let flags = event.load(event_layout::FLAGS.offset, event_layout::FLAGS.bytes);
            let status = if flags != 0 { Status::BadEvent } else { Status::NoProgram };
            return Walk { status, written: 0, steps: 0 };
        }
        let Some(code) = self.direct else { return self.walk(event, 0, 0) };
        // SAFETY: the code is that of this runtime's program, verified before it was compiled
        // (`Jit::load`).
        let end = End(unsafe { self.runtime.run(code, event) });
        let status = match end.verb() {
            Verb::Decided => Status::Decided,
            Verb::Abstained => Status::Abstained,
            Verb::TailCall { table } => {
                let rest = self.walk(event, table, 1);
                let (written, steps) = (rest.written | end.written(), rest.steps + end.steps());
                return Walk { status: rest.status, written, steps };
            }
        };
        Walk { status, written: end.written(), steps: end.steps() }
    }

    /// Walks from table to table, from table `number` on, after so many visits.
    #[inline(never)]
    fn walk(&mut self, event: &Event, mut number: usize, visits: usize) -> Walk {
        let Self { lookups, runtime, code, .. } = self;
        let (mut written, mut steps) = (0, 0);
        for visit in visits..MAX_TABLE_VISITS {
            let found;
            let call = match lookups.get(number) {
                Some(Lookup::Default(call)) => call.as_ref(),
                Some(Lookup::Search) => {
                    found = search(runtime, code, number, event, visit == 0);
                    found.as_ref()
                }
                None => return Walk { status: Status::OutOfRange, written, steps },
            };
            let Some(call) = call else { return Walk { status: Status::Missed, written, steps } };
            if call.has_parameters {
                runtime.frame_mut().parameters = call.parameters;
            }
            // SAFETY: as in `decide`.
            let end = End(unsafe { runtime.run(call.code, event) });
            written |= end.written();
            steps += end.steps();
            match end.verb() {
                Verb::Decided => return Walk { status: Status::Decided, written, steps },
                Verb::Abstained => return Walk { status: Status::Abstained, written, steps },
                Verb::TailCall { table } => number = table,
            }
        }
        Walk { status: Status::Watchdog, written, steps }
    }

    fn commit(
        &mut self,
        changes: &[Change],
        ready: Option<ReadyModels>,
    ) -> Result<Vec<Applied>, JitError> {
        let code = self.code_for(changes, ready)?;
        let applied = self.runtime.commit(changes)?;
        if let Some(code) = code {
            self.code = code;
        }
        self.make_lookups();
        Ok(applied)
    }

    /// Code for the models as they will be when the changes are done, if they swap any.
    fn code_for(
        &self,
        changes: &[Change],
        ready: Option<ReadyModels>,
    ) -> Result<Option<Code>, JitError> {
        let state = self.runtime.state();
        let program = state.program();
        let mut models: Option<Models> = None;
        for change in changes {
            if let Change::SwapModel { model, objects } = change {
                let models = models.get_or_insert_with(|| state.models().clone());
                if models.swap(&program.models, model, objects.clone()).is_err() {
                    // The commit will say why.
                    return Ok(None);
                }
            }
        }
        let Some(models) = models else { return Ok(None) };
        if let Some(ready) = ready.filter(|ready| ready.is_for(&models)) {
            return Ok(Some(ready.code));
        }
        let objects = Objects { program, contexts: state.contexts(), models: &models };
        compile::compile(objects, &self.isa).map(Some)
    }
}

/// What runs for an event at a table. At the first table there are no arguments.
fn search(
    runtime: &Runtime,
    code: &Code,
    number: usize,
    event: &Event,
    first: bool,
) -> Option<Call> {
    let table = runtime.state().tables().get(number)?;
    let none = [0; MAX_ARGUMENTS];
    let arguments = if first { &none } else { &runtime.frame().arguments };
    bind(code, table.look_up_event(event, arguments)?)
}

fn bind(code: &Code, call: &BoundAction) -> Option<Call> {
    let mut parameters = [0; MAX_PARAMETERS];
    let given = call.parameters();
    parameters[..given.len()].copy_from_slice(given);
    let code = code.action(call.action())?;
    Some(Call { code, has_parameters: !given.is_empty(), parameters })
}
