//! Which random programs a card gets: those that it can run, steered so that every bin of the
//! coverage is met.

use std::ops::Range;

use rmt_isa::card::{CardImage, CardShape, LowerError, lower};
use rmt_isa::instruction::Class;
use rmt_isa::program::Ordering;
use rmt_isa::{INSTRUCTIONS, InstructionInfo};
use rmt_vm::Machine;
use rmt_vm::generate::{Case, Options, Step, verified_case};
use rmt_vm::state::Change;
use rmt_vm::verifier::{Limits, verify};

use super::CosimError;
use super::coverage::Coverage;

/// Most lanes that vectors of most programs have; those of larger arrays have three words of N.
const FEW_LANES: usize = 40;
/// One program in so many runs events of one key in order.
const KEYED_EVERY: u64 = 4;
/// Of so many programs, without the keyed ones, one is of vectors alone, and one of long ones.
const VECTORS_EVERY: u64 = 5;

/// The programs for a card of some shape, by seed.
pub(super) struct Programs {
    shape: CardShape,
    options: Options,
    /// What is not generated, because no card of this shape has it.
    pub left_out: Vec<String>,
}

/// A program that the card can run.
pub(super) struct Loadable {
    pub case: Case,
    pub ordering: Ordering,
    pub image: CardImage,
}

impl Programs {
    /// Those for a card of a shape.
    pub fn new(shape: &CardShape) -> Self {
        let mut left_out = Vec::new();
        let edge = shape.engine.array as usize;
        let mut options = Options::default();
        options.key_bits = shape.match_key_bits;
        options.lanes = (shape.engine.vector_lanes as usize).min(FEW_LANES.max(3 * edge));
        options.ring_depth = options.ring_depth.max(3 * edge);
        // To install a program and to compare the state takes thousands of cycles.
        options.events = 40..=120;
        options.commit_every = 30;
        options.zero_immediate_every = 10;
        for info in INSTRUCTIONS.iter().filter(|info| !shape.executes_opcode(info.opcode)) {
            left_out.push(format!("instruction `{}`", info.mnemonic));
        }
        let mut maps = INSTRUCTIONS.iter().filter(|info| info.class == Class::Map);
        if !maps.any(|info| shape.executes_opcode(info.opcode)) {
            options.map_kinds = vec![];
            options.maps = 0..=0;
            left_out.push("maps".to_owned());
        }
        if shape.match_key_bits < rmt_isa::limits::MAX_KEY_BITS {
            left_out.push(format!("keys of more than {} bits", shape.match_key_bits));
        }
        let options = options.with_instructions(|info| shape.executes_opcode(info.opcode));
        Self { shape: shape.clone(), options, left_out }
    }

    /// The options of a seed.
    fn options_of(&self, seed: u64) -> Options {
        let edge = self.shape.engine.array as usize;
        let mut options = self.options.clone();
        // All ways in which vectors fit an array of N take turns.
        let likely = [
            [edge / 2 + 1, edge],
            [edge, edge + 3],
            [2 * edge, edge - 1],
            [edge + 2, 2 * edge],
            [edge, 2 * edge + 4],
            [4, 6],
        ];
        options.likely_lanes = likely[(seed % likely.len() as u64) as usize];
        if seed % KEYED_EVERY == 1 {
            // Events of one key in order, those of others overlapping: maps would order all of them.
            (options.keyed, options.maps, options.contexts) = (true, 0..=0, 1..=2);
        } else if seed % VECTORS_EVERY >= VECTORS_EVERY - 2 {
            // Chains of vector instructions are rare among all the others, and so are windows
            // that fill the engine's memory of partial sums.
            let most = 3 * self.shape.engine.partial_sums() as usize;
            options.lanes = (self.shape.engine.vector_lanes as usize).min(most.max(options.lanes));
            options.likely_lanes[0] = options.lanes / 2;
            if seed % VECTORS_EVERY == VECTORS_EVERY - 1 {
                options.likely_lanes[1] = options.lanes / 2;
            }
            options.models = 1..=2;
            options = options.with_instructions(of_vectors);
        }
        options
    }

    /// The program of a seed, or why the card cannot run it.
    pub fn of_seed(&self, seed: u64) -> Result<Loadable, String> {
        let case = verified_case(seed, &self.options_of(seed));
        let checked = verify(&case.program, &Limits::default())
            .map_err(|_| "the verifier refuses it".to_owned())?;
        let ordering = checked.ordering.class;
        let image = lower(&case.program, ordering, &self.shape).map_err(|error| reason(&error))?;
        Ok(Loadable { case, ordering, image })
    }
}

/// What programs of vectors and models are made of.
fn of_vectors(info: &InstructionInfo) -> bool {
    let classes = [Class::Vector, Class::Model, Class::Event, Class::Context, Class::Control];
    classes.contains(&info.class) || ["xor", "muli", "movi"].contains(&info.mnemonic)
}

/// Why a program does not go onto the card, without the names of the program.
pub(super) fn reason(error: &LowerError) -> String {
    match error {
        LowerError::Memory { parameter, .. } => format!("`{parameter}` is too small"),
        LowerError::KeyWidth { .. } => "`match_key_bits` is too small".to_owned(),
        LowerError::NoSlot { .. } => "`match_buckets` is too small".to_owned(),
        LowerError::Instruction { what, .. } => format!("the card does not execute {what}"),
        LowerError::Models(_) => "a model does not fit the engine".to_owned(),
        other => other.to_string(),
    }
}

/// Whether a change can be committed while events run: records and maps are not written then.
pub(super) fn is_to_program(change: &Change) -> bool {
    use Change::*;
    matches!(
        change,
        AddEntry { .. }
            | ChangeEntry { .. }
            | RemoveEntry { .. }
            | SetDefault { .. }
            | SwapModel { .. }
    )
}

/// What the first steps of the programs that [`cosimulate_random`](super::cosimulate_random) runs
/// make the interpreter do, without any card: all bins but those of the card's counters. So it
/// takes seconds to see whether the programs of some seeds reach what they should.
///
/// # Errors
/// [`CosimError::Refused`] when the interpreter does not take a program.
pub fn coverage_of_programs(
    shape: &CardShape,
    seeds: Range<u64>,
    steps_of_each: usize,
) -> Result<Coverage, CosimError> {
    let programs = Programs::new(shape);
    let mut coverage = Coverage::without_counters(shape);
    for seed in seeds {
        let Ok(Loadable { case, ordering, .. }) = programs.of_seed(seed) else { continue };
        let refused = |reason| CosimError::Refused { seed, reason };
        coverage.program(&case.program, ordering);
        let mut machine =
            Machine::new(&case.program).map_err(|error| refused(error.to_string()))?;
        for step in case.steps.into_iter().take(steps_of_each) {
            match step {
                Step::Event(event) => {
                    coverage.event(machine.state(), &event);
                    let decision = machine.run_observed(&event, &mut coverage);
                    coverage.decision(&decision);
                }
                Step::Commit(mut changes) => {
                    changes.retain(is_to_program);
                    if machine.state_mut().commit(&changes).is_ok() {
                        coverage.commit(&changes);
                    }
                }
            }
        }
    }
    Ok(coverage)
}
