//! The steps of the last cycles, delayed until their results come.

use super::operation::{Function, Unit, WordTag};
use super::sequencer::Step;
use rtl_builder::prelude::*;

/// What is left of a step once its operands are on their way.
#[derive(Clone, Copy, Bundle)]
pub struct Pending {
    /// Number of the unit
    pub unit: UInt,
    /// Vector unit: number of the function
    pub function: UInt,
    /// Number of the element type of the result
    pub element: UInt,
    /// Only one lane is written or read
    pub one_lane: Bool,
    /// That lane
    pub lane: UInt,
    /// Last lane in use of the last word
    pub last_lane: UInt,
    /// Requantiser: what is added after scaling
    pub zero_point: SInt,
    /// Requantiser: group of lanes in the word
    pub group: UInt,
    /// Thread of the operation
    pub thread: UInt,
    /// Destination register
    pub register: UInt,
    /// Word of the register
    pub word: UInt,
    /// Last step of the operation
    pub last: Bool,
}

impl Pending {
    fn of(step: &Step) -> Self {
        let operation = &step.operation;
        Self {
            unit: operation.unit,
            function: operation.function,
            element: operation.element,
            one_lane: operation.one_lane,
            lane: operation.lane,
            last_lane: operation.last_lane,
            zero_point: operation.value,
            group: step.group,
            thread: step.thread,
            register: operation.d,
            word: step.word,
            last: step.last,
        }
    }
}

/// The steps of the last five cycles: entry i is the step of i cycles before.
pub struct Steps {
    /// The step of this cycle, in full.
    pub now: Step,
    /// The step of one cycle before, in full.
    pub operands: Step,
    stages: Vec<(Bool, Pending)>,
}

impl Steps {
    /// Delays the steps of the sequencer.
    pub fn new(step: Step) -> Self {
        let operands = delayed("operands", step);
        let mut stages = vec![(step.valid, Pending::of(&step))];
        for cycle in 1..=5 {
            let (before_valid, before) = stages[cycle - 1];
            stages.push(scope(format!("cycle{cycle}"), || {
                let valid = reg("valid", boolean(), false);
                valid.next(before_valid);
                let pending = match cycle {
                    1 => Pending::of(&operands),
                    _ => delayed("step", before),
                };
                (valid.value(), pending)
            }));
        }
        Self { now: step, operands, stages }
    }

    /// The step of `cycle` cycles before, valid or not.
    pub fn at(&self, cycle: usize) -> &Pending {
        &self.stages[cycle].1
    }

    /// There was a step of a unit.
    pub fn is_unit(&self, cycle: usize, unit: Unit) -> Bool {
        self.stages[cycle].0 & self.at(cycle).unit.eq(unit as u64)
    }

    /// There was a step of a function of the vector unit.
    pub fn is_function(&self, cycle: usize, function: Function) -> Bool {
        self.is_unit(cycle, Unit::Vector) & self.at(cycle).function.eq(function as u64)
    }

    /// Where the result of a step goes.
    pub fn tag(&self, cycle: usize, valid: Bool) -> WordTag {
        let Pending { thread, register, word, last, .. } = *self.at(cycle);
        WordTag { valid, thread, register, word, last }
    }
}
