//! Random programs with the events to run them on, from a seed: to compare engines.
//!
//! Three grades:
//!
//! 1. [`word_case`]: actions of random 64-bit words ([`words`]), of which most are no
//!    instruction;
//! 2. [`decodable_case`]: instructions whose operands are random, so that most programs are
//!    refused by the verifier and the rest of them is odd;
//! 3. [`verified_case`]: programs that the verifier accepts, with tables, contexts, maps,
//!    models, events that hit them, and changes by the control plane in between.
//!
//! [`Grade`] names them, and [`Grade::case`] makes a case of a grade, of a mixture of options.
//! [`Options`] narrows all of it to what an engine implements. `objects` and `tables` make
//! what a program declares, `code` its actions, `operands` chooses one operand after the
//! other by its kind and role in the instruction table, and `traffic` makes events and
//! commits. Which operands fit each other is asked of the interpreter
//! ([`crate::interpreter::Probe`]): so there are no rules here that a new instruction would
//! have to be added to.
//!
//! [`EngineCorners`] counts what vectors and models of the cases came to.
//!
//! The same seed and options give the same case on every machine.

mod code;
mod corners;
mod grade;
mod objects;
mod operands;
mod options;
mod random;
mod tables;
#[cfg(test)]
mod tests;
mod traffic;

use rmt_isa::{Event, Program};

pub use corners::EngineCorners;
pub use grade::Grade;
pub use options::Options;
pub use random::Random;

use crate::state::Change;

/// A program and what happens to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The program.
    pub program: Program,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// An event comes.
    Event(Event),
    /// The control plane commits changes. Engines must agree on whether they are refused.
    Commit(Vec<Change>),
}

/// A program whose actions are random words: grade 1. Declarations are sound. `None` when a
/// word is no instruction: such a program cannot be written down, no engine ever sees it.
pub fn word_case(seed: u64, options: &Options) -> Option<Case> {
    let mut random = Random::new(seed);
    let words = words(random.bits(), random.between(1, 3));
    // What follows costs more than what is refused here most of the time.
    let code: Option<Vec<_>> =
        words.into_iter().map(|word| rmt_isa::Instruction::decode(word).ok()).collect();
    Some(code_case(random.bits(), options, &code?))
}

/// A program with random sound declarations whose actions are all this code and an exit.
pub fn code_case(seed: u64, options: &Options, code: &[rmt_isa::Instruction]) -> Case {
    let mut random = Random::new(seed);
    let mut program = objects::declare(&mut random, options);
    code::fill_with(&mut random, options, &mut program, code);
    tables::fill(&mut random, options, &mut program);
    let steps = traffic::steps(&mut random, options, &program);
    Case { program, steps }
}

/// Random words.
pub fn words(seed: u64, count: usize) -> Vec<u64> {
    let mut random = Random::new(seed);
    let word = |_| match random.below(4) {
        // Uniform words are hardly ever instructions; known opcodes with few other bits are
        // near to them.
        0 => random.bits(),
        _ => {
            let bits = random.bits() & random.bits() & random.bits();
            let info = random.pick(rmt_isa::INSTRUCTIONS);
            bits & !0xff | u64::from(info.opcode)
        }
    };
    (0..count).map(word).collect()
}

/// A program of decodable instructions with random operands: grade 2. Declarations are
/// sound, so that every engine loads it; the verifier refuses most of these programs.
pub fn decodable_case(seed: u64, options: &Options) -> Case {
    let mut random = Random::new(seed);
    let mut program = objects::declare(&mut random, options);
    code::fill_with_decodable(&mut random, options, &mut program);
    tables::fill(&mut random, options, &mut program);
    let steps = traffic::steps(&mut random, options, &program);
    Case { program, steps }
}

/// A program that the verifier accepts: grade 3.
pub fn verified_case(seed: u64, options: &Options) -> Case {
    let mut random = Random::new(seed);
    let mut program = objects::declare(&mut random, options);
    code::fill_with_verified(&mut random, options, &mut program);
    tables::fill(&mut random, options, &mut program);
    let steps = traffic::steps(&mut random, options, &program);
    Case { program, steps }
}
