//! What one event carries through its actions: registers, open records, outputs.

use rmt_isa::limits::{
    MAX_ARGUMENTS, MAX_CONTEXTS, MAX_OUTPUTS, MAX_PARAMETERS, SCALAR_REGISTERS, VECTOR_LANES,
    VECTOR_REGISTERS,
};
use rmt_isa::operand::{Element, OutputIndex, ParameterIndex, Scalar, Vector};
use rmt_isa::{Event, Status};

use crate::state::sets::Slot;
use crate::state::table::BoundAction;

/// The first scalar that a tail call hands over.
const FIRST_ARGUMENT: usize = 1;

/// A vector register.
///
/// Each lane holds a value of the element type. A register that was not written in this
/// action has no lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorRegister {
    element: Element,
    count: usize,
    values: [i32; VECTOR_LANES],
}

impl VectorRegister {
    fn empty() -> Self {
        Self { element: Element::I8, count: 0, values: [0; VECTOR_LANES] }
    }

    /// The type of the lanes.
    pub fn element(&self) -> Element {
        self.element
    }

    /// The lanes.
    pub fn lanes(&self) -> &[i32] {
        &self.values[..self.count]
    }

    pub(super) fn lanes_mut(&mut self) -> &mut [i32] {
        &mut self.values[..self.count]
    }

    /// Gives the register its type and length; the lanes keep what they held.
    ///
    /// # Errors
    /// [`Status::OutOfRange`] for no lanes and for more than a register has.
    pub(super) fn shape(&mut self, element: Element, count: usize) -> Result<(), Status> {
        if count == 0 || count > VECTOR_LANES {
            return Err(Status::OutOfRange);
        }
        (self.element, self.count) = (element, count);
        Ok(())
    }
}

/// The thread of one event.
#[derive(Clone, Debug)]
pub struct Thread {
    pub(super) event: Event,
    pub(super) scalars: [u64; SCALAR_REGISTERS],
    pub(super) vectors: [VectorRegister; VECTOR_REGISTERS],
    /// The open record of each context store: not opened, or opened with a record or none.
    records: [Option<Slot>; MAX_CONTEXTS],
    parameters: [u64; MAX_PARAMETERS],
    parameter_count: usize,
    pub(super) outputs: [u64; MAX_OUTPUTS],
    pub(super) written: u8,
    /// Results whose operands are still needed while they are computed.
    pub(super) scratch: [i32; VECTOR_LANES],
}

impl Thread {
    pub(super) fn new() -> Self {
        Self {
            event: Event::new(0, 0, 0),
            scalars: [0; SCALAR_REGISTERS],
            vectors: std::array::from_fn(|_| VectorRegister::empty()),
            records: [None; MAX_CONTEXTS],
            parameters: [0; MAX_PARAMETERS],
            parameter_count: 0,
            outputs: [0; MAX_OUTPUTS],
            written: 0,
            scratch: [0; VECTOR_LANES],
        }
    }

    /// Begins an event: no output is written, no argument is there.
    pub(super) fn begin(&mut self, event: &Event) {
        self.event = *event;
        self.scalars = [0; SCALAR_REGISTERS];
        self.outputs = [0; MAX_OUTPUTS];
        self.written = 0;
    }

    /// Begins an action: only event, outputs and `r1` to `r4` live on.
    pub(super) fn enter(&mut self, call: &BoundAction) {
        let arguments = self.arguments();
        self.scalars = [0; SCALAR_REGISTERS];
        self.scalars[FIRST_ARGUMENT..=MAX_ARGUMENTS].copy_from_slice(&arguments);
        self.vectors.iter_mut().for_each(|vector| vector.count = 0);
        self.records = [None; MAX_CONTEXTS];
        let parameters = call.parameters();
        self.parameters[..parameters.len()].copy_from_slice(parameters);
        self.parameter_count = parameters.len();
    }

    /// Gives the vector registers types, with zeros or old values in their lanes.
    pub(super) fn shape_vectors(
        &mut self,
        shapes: &[Option<(Element, usize)>; VECTOR_REGISTERS],
    ) -> Result<(), Status> {
        self.parameter_count = MAX_PARAMETERS;
        for (vector, shape) in self.vectors.iter_mut().zip(shapes) {
            match *shape {
                Some((element, count)) => {
                    vector.shape(element, count)?;
                    // What an earlier trial left may be no values of this type.
                    vector.values[..count].fill(0);
                }
                None => vector.count = 0,
            }
        }
        Ok(())
    }

    /// `r1` to `r4`, which a tail call hands over.
    pub(super) fn arguments(&self) -> [u64; MAX_ARGUMENTS] {
        std::array::from_fn(|index| self.scalars[FIRST_ARGUMENT + index])
    }

    /// The value of a scalar register; zero when it was not written.
    #[inline(always)]
    pub fn scalar(&self, register: Scalar) -> u64 {
        self.scalars[register.index() % SCALAR_REGISTERS]
    }

    #[inline(always)]
    pub(super) fn set(&mut self, register: Scalar, value: u64) {
        self.scalars[register.index() % SCALAR_REGISTERS] = value;
    }

    /// A vector register.
    pub fn vector(&self, register: Vector) -> &VectorRegister {
        &self.vectors[register.index()]
    }

    /// A vector register as operand, see [`operand`].
    pub(super) fn operand(&self, register: Vector) -> Result<&VectorRegister, Status> {
        operand(&self.vectors, register)
    }

    /// Writes the first `count` values of the scratch into a vector register.
    pub(super) fn set_from_scratch(
        &mut self,
        register: Vector,
        element: Element,
        count: usize,
    ) -> Result<(), Status> {
        let vector = &mut self.vectors[register.index()];
        vector.shape(element, count)?;
        vector.values[..count].copy_from_slice(&self.scratch[..count]);
        Ok(())
    }

    /// The open record of a context store; `None` when none was opened or none was found.
    pub fn record(&self, context: usize) -> Option<Slot> {
        self.records.get(context).copied().flatten()
    }

    pub(super) fn open(&mut self, context: usize, record: Option<Slot>) {
        if let Some(place) = self.records.get_mut(context) {
            *place = record;
        }
    }

    pub(super) fn parameter(&self, index: ParameterIndex) -> Result<u64, Status> {
        let parameters = &self.parameters[..self.parameter_count];
        parameters.get(index.index()).copied().ok_or(Status::OutOfRange)
    }

    pub(super) fn output(&mut self, index: OutputIndex, value: u64) {
        self.outputs[index.index()] = value;
        self.written |= 1 << index.index();
    }
}

/// A vector register as operand.
///
/// # Errors
/// [`Status::OutOfRange`] when it was not written in this action.
pub(super) fn operand(
    vectors: &[VectorRegister],
    register: Vector,
) -> Result<&VectorRegister, Status> {
    let vector = &vectors[register.index()];
    if vector.count == 0 { Err(Status::OutOfRange) } else { Ok(vector) }
}
