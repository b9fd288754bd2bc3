//! The formula of `rmt_isa::card::cycles` along the way that an event goes.

use rmt_isa::card::CardShape;
use rmt_isa::card::cycles::{Facts, LoneThread, Timing, dividend, magnitude_bits, vector_read};
use rmt_isa::operand::Vector;
use rmt_isa::program::Program;
use rmt_isa::{Event, Instruction};
use rmt_vm::Machine;
use rmt_vm::interpreter::{Observer, Thread};

/// Follows an event through the interpreter and adds its cycles up.
struct Estimate<'a> {
    shape: &'a CardShape,
    program: &'a Program,
    clock: LoneThread,
    /// The last instruction: whether a jump is taken shows with the next one.
    last: Option<(usize, Instruction, Facts)>,
}

impl Estimate<'_> {
    /// Counts the last instruction; the next one stands at `place` of its action.
    fn settle(&mut self, place: Option<usize>) {
        let Some((pc, instruction, facts)) = self.last.take() else { return };
        let taken = place.is_some_and(|place| place != pc + 1);
        let facts = Facts { taken, ..facts };
        self.clock = self.clock.after(Timing::of(self.shape, self.program, instruction, facts));
    }
}

impl Observer for Estimate<'_> {
    fn instruction(&mut self, _: usize, pc: usize, instruction: Instruction, thread: &Thread) {
        self.settle(Some(pc));
        let read = vector_read(instruction).and_then(|register| Vector::new(register as u16));
        let dividend = dividend(instruction);
        let facts = Facts {
            lanes: read.map_or(0, |register| thread.vector(register).lanes().len() as u32),
            dividend_bits: dividend
                .map_or(0, |(register, signed)| magnitude_bits(thread.scalar(register), signed)),
            taken: false,
        };
        self.last = Some((pc, instruction, facts));
    }
}

/// Cycles of an event that runs alone, by the formula. The machine goes on to the next event.
pub fn estimate(shape: &CardShape, program: &Program, machine: &mut Machine, event: &Event) -> u64 {
    let clock = LoneThread::at_first_instruction(shape, program);
    let mut observer = Estimate { shape, program, clock, last: None };
    machine.run_observed(event, &mut observer);
    // The last instruction is the one that ends the event.
    observer.clock.decision_cycle()
}
