//! The interpreter: the specification of what a program does.
//!
//! An event enters [`Machine::run`]. It begins at table 0: the table's key is built and
//! looked up, and the action found runs on the event's [`Thread`] until it exits, or a tail
//! call hands the event to another table. `execute` has one arm for each instruction, to be
//! read beside the instruction's equation in `rmt_isa`; what takes more than a line stands in
//! `context`, `map`, `vector` and [`model`], by class.
//!
//! Programs need not be verified: registers that were not written read as zero; an index
//! that leads nowhere, or operands that do not fit each other, end the event with
//! [`Status::OutOfRange`], code that does not end with [`Status::BadInstruction`], too many
//! tables with [`Status::Watchdog`]. Verified programs end with none of these.

mod context;
mod execute;
mod map;
pub mod model;
mod probe;
mod thread;
mod vector;

use std::sync::Arc;

use rmt_isa::event::event_layout;
use rmt_isa::limits::MAX_TABLE_VISITS;
use rmt_isa::operand::{TableId, Verdict};
use rmt_isa::{Decision, Event, Instruction, Program, Status};

use crate::state::{LoadError, State};
pub use probe::{Probe, VectorShape};
pub use thread::{Thread, VectorRegister};

/// A program and its state, ready for events.
#[derive(Clone, Debug)]
pub struct Machine {
    program: Arc<Program>,
    state: State,
    thread: Thread,
    steps: u64,
}

/// Watches a machine at work, for traces and for coverage.
pub trait Observer {
    /// `instruction` at place `pc` of `action` is about to run on `thread`.
    fn instruction(&mut self, action: usize, pc: usize, instruction: Instruction, thread: &Thread) {
        let _ = (action, pc, instruction, thread);
    }

    /// `table` was looked up and gave `action`, or nothing.
    fn table(&mut self, table: usize, action: Option<usize>) {
        let _ = (table, action);
    }
}

/// Watches nothing, at no cost.
impl Observer for () {}

/// How an action ended.
enum ActionEnd {
    Exit(Verdict),
    TailCall(TableId),
}

impl Machine {
    /// A program in its initial state.
    ///
    /// # Errors
    /// [`LoadError`] when its declarations are outside the limits.
    pub fn new(program: &Program) -> Result<Self, LoadError> {
        let program = Arc::new(program.clone());
        let state = State::new(program.clone())?;
        Ok(Self { program, state, thread: Thread::new(), steps: 0 })
    }

    /// A program in a state that it has reached elsewhere.
    pub fn of_state(state: State) -> Self {
        Self { program: state.program().clone(), state, thread: Thread::new(), steps: 0 }
    }

    /// The state between two events.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The state between two events, to commit changes.
    pub fn state_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// Instructions that the last event executed.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Runs one event to its decision.
    pub fn run(&mut self, event: &Event) -> Decision {
        self.run_observed(event, &mut ())
    }

    /// Runs one event under the eyes of an observer.
    pub fn run_observed(&mut self, event: &Event, observer: &mut impl Observer) -> Decision {
        self.steps = 0;
        self.thread.begin(event);
        let status = self.decide(event, observer).unwrap_or_else(|fault| fault);
        Decision {
            tag: event.tag(),
            status,
            written: self.thread.written,
            cycles: 0,
            outputs: self.thread.outputs,
        }
    }

    /// Walks from table to table until an action exits; a fault is the error.
    fn decide(&mut self, event: &Event, observer: &mut impl Observer) -> Result<Status, Status> {
        if event.load(event_layout::FLAGS.offset, event_layout::FLAGS.bytes) != 0 {
            return Err(Status::BadEvent);
        }
        if event.hook() != self.program.hook.number {
            return Err(Status::NoProgram);
        }
        let mut number = 0;
        for _ in 0..MAX_TABLE_VISITS {
            let table = self.state.tables.get(number).ok_or(Status::OutOfRange)?;
            let call = table.look_up_event(event, &self.thread.arguments());
            observer.table(number, call.map(|call| call.action()));
            let Some(call) = call else { return Ok(Status::Missed) };
            let action = call.action();
            self.thread.enter(call);
            match self.run_action(action, observer)? {
                ActionEnd::Exit(Verdict::Decided) => return Ok(Status::Decided),
                ActionEnd::Exit(Verdict::Abstain) => return Ok(Status::Abstained),
                ActionEnd::TailCall(next) => number = next.index(),
            }
        }
        Err(Status::Watchdog)
    }

    /// Runs an action from its first instruction. It ends, because jumps lead forwards.
    fn run_action(
        &mut self,
        number: usize,
        observer: &mut impl Observer,
    ) -> Result<ActionEnd, Status> {
        let Self { program, state, thread, steps } = self;
        let action = program.actions.get(number).ok_or(Status::OutOfRange)?;
        let mut pc = 0;
        loop {
            let instruction = *action.code.get(pc).ok_or(Status::BadInstruction)?;
            observer.instruction(number, pc, instruction, thread);
            pc += 1;
            *steps += 1;
            if let Some(end) = execute::execute(thread, program, state, instruction, &mut pc)? {
                return Ok(end);
            }
        }
    }
}
