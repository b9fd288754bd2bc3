//! Tries single instructions, to learn which operands fit each other and what type the
//! result has. Types do not depend on values, so one trial tells.

use std::sync::Arc;

use rmt_isa::limits::VECTOR_REGISTERS;
use rmt_isa::operand::{Element, Operand, Role};
use rmt_isa::{Instruction, Program, Status};

use super::execute::execute;
use super::thread::Thread;
use crate::state::{LoadError, State};

/// Element type and lanes of a vector register; `None` when it was not written.
pub type VectorShape = Option<(Element, usize)>;

/// A scratch machine that runs one instruction at a time.
#[derive(Clone, Debug)]
pub struct Probe {
    program: Arc<Program>,
    state: State,
    thread: Thread,
}

impl Probe {
    /// A probe for instructions on the objects of a program; its code is not looked at.
    ///
    /// # Errors
    /// [`LoadError`] when the declarations are outside the limits.
    pub fn new(program: &Program) -> Result<Self, LoadError> {
        let program = Arc::new(program.clone());
        let state = State::new(program.clone())?;
        Ok(Self { program, state, thread: Thread::new() })
    }

    /// What becomes of the vector registers when `instruction` runs.
    ///
    /// # Errors
    /// The status with which the event would end.
    pub fn run(
        &mut self,
        shapes: &mut [VectorShape; VECTOR_REGISTERS],
        instruction: Instruction,
    ) -> Result<(), Status> {
        self.thread.shape_vectors(shapes)?;
        execute(&mut self.thread, &self.program, &mut self.state, instruction, &mut 0)?;
        for operand in instruction.operands() {
            if let (Operand::Vector(register), Role::Write | Role::Modify) =
                (operand.value, operand.info.role)
            {
                let vector = self.thread.vector(register);
                shapes[register.index()] = Some((vector.element(), vector.lanes().len()));
            }
        }
        Ok(())
    }
}
