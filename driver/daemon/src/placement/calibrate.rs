//! Measures what events cost: small programs whose difference is what is asked for.

use std::time::{Duration, Instant};

use rmt_isa::assembly::assemble;
use rmt_isa::operand::Element;
use rmt_isa::program::{Forest, ForestMode, Ordering, Tensor, TreeNode};
use rmt_isa::{Event, Program};
use rmt_vm::Engine;
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::jit::Jit;
use rmt_vm::state::Contents;

use super::{CardCost, Platform, SoftwareCost, processor};
use crate::engines::{CardEngine, CardError};

/// Hook of the programs.
const HOOK: u16 = 1;
/// Time for each figure.
const TIME: Duration = Duration::from_millis(10);
/// Measurements of which the least counts: on a shared machine everything else adds to it.
const REPEATS: usize = 5;
const INSTRUCTIONS: usize = 64;
/// Inputs and outputs of the product.
const EDGE: u32 = 64;
const DEPTH: u16 = 16;
/// Events of a batch on the card.
const BATCH: usize = 32;
/// Lone events on the card; half of them cost less than the figure.
const LONE: usize = 33;

fn program(text: &str) -> Program {
    // The texts stand in this file and are run by its tests.
    let code = assemble(text).unwrap_or_else(|error| unreachable!("{error}"));
    Program { models: vec!["m".into()], ..Program::of_action("calibration", HOOK, code) }
}

/// The program that does nothing.
pub fn no_op() -> Program {
    program("exit decided")
}

fn scalar() -> Program {
    let step = "addi r1, r1, 3\nxor r2, r2, r1\n".repeat(INSTRUCTIONS / 2);
    program(&format!("ld_event r1, event+8, u64\nmovi r2, 1\n{step}out out0, r2\nexit decided"))
}

fn vector(work: &str) -> Program {
    program(&format!(
        "RMT_VECTOR_FILL v0, x{EDGE}, i8, 3\n{work}RMT_SCALAR_VAL r1, v0, lane0\nout out0, r1\nexit decided"
    ))
}

fn product() -> Program {
    let mut program = vector("RMT_MAT_MUL v1, v0, tensor0, none\n");
    let values = (0..EDGE * EDGE).map(|n| (n % 15) as i32 - 7).collect();
    let (name, shape) = ("w".into(), vec![EDGE, EDGE]);
    program.tensors.push(Tensor { name, model: 0, element: Element::I8, shape, values });
    program
}

fn tree() -> Program {
    let mut program = vector("RMT_TREE_EVAL r2, v0, forest0\n");
    let mut nodes = Vec::new();
    for level in 0..DEPTH {
        let (feature, left) = (level as u8, 2 * level + 1);
        nodes.push(TreeNode::Branch { feature, threshold: 100, left });
        if level > 0 {
            nodes.push(TreeNode::Leaf { value: 1 });
        }
    }
    nodes.extend([TreeNode::Leaf { value: 7 }, TreeNode::Leaf { value: 1 }]);
    let (name, mode) = ("f".into(), ForestMode::Sum);
    let forest = Forest { name, model: 0, mode, features: EDGE as u16, roots: vec![0], nodes };
    program.forests.push(forest);
    program
}

/// Measures this machine, and the card if there is one.
///
/// # Errors
/// When the card does not work; without it nothing fails.
pub fn measure(card: Option<&mut CardEngine>) -> Result<Platform, CardError> {
    Ok(Platform {
        processor: processor(),
        interpreter: software(&mut InterpreterEngine::default()),
        jit: software(&mut Jit::default()),
        card: card.map(measure_card).transpose()?,
    })
}

fn software<E: Engine>(engine: &mut E) -> SoftwareCost {
    costs(|program| event_ns(engine, program))
}

/// What each thing costs, by what an event of a program takes.
fn costs(mut time: impl FnMut(&Program) -> f64) -> SoftwareCost {
    let (nothing, scalar, plain) = (time(&no_op()), time(&scalar()), time(&vector("")));
    let (product, tree) = (time(&product()), time(&tree()));
    let each = |more: f64, less: f64, count: f64| ((more - less) / count).max(0.001);
    SoftwareCost {
        event_ns: nothing,
        instruction_ns: each(scalar, nothing, INSTRUCTIONS as f64 + 3.0),
        mac_ns: each(product, plain, f64::from(EDGE * EDGE)),
        comparison_ns: each(tree, plain, DEPTH.into()),
    }
}

/// Nanoseconds of an event of a program on an engine.
fn event_ns<E: Engine>(engine: &mut E, program: &Program) -> f64 {
    if engine.load(program).is_err() {
        // Only a machine without code generator: it never wins.
        return f64::MAX;
    }
    let event = Event::new(HOOK, 0, 12345);
    let mut least = f64::INFINITY;
    for _ in 0..REPEATS {
        let (begun, mut events) = (Instant::now(), 0_u32);
        while begun.elapsed() < TIME / REPEATS as u32 {
            for _ in 0..32 {
                _ = std::hint::black_box(engine.run(std::hint::black_box(&event)));
            }
            events += 32;
        }
        least = least.min(begun.elapsed().as_nanos() as f64 / f64::from(events));
    }
    least
}

/// Measures the card, by its own clock: that of a simulated card is exact.
fn measure_card(card: &mut CardEngine) -> Result<CardCost, CardError> {
    let slot = card.install(&no_op(), Ordering::Pure, &Contents::default())?;
    let event = Event::new(HOOK, 0, 1);
    let device = card.device().clone();
    let time = |card: &mut CardEngine, count: usize| {
        let begun = device.now();
        card.decide(slot, &vec![event; count], |_, _| {});
        (device.now() - begun).as_nanos() as f64
    };
    let mut times: Vec<f64> = (0..LONE).map(|_| time(card, 1)).collect();
    times.sort_by(f64::total_cmp);
    let round_trip_ns = times[LONE / 2];
    let batch = (0..REPEATS).map(|_| time(card, BATCH)).fold(f64::INFINITY, f64::min);
    let cycles_then = (device.now(), card.cycles()?);
    time(card, BATCH * 8);
    let cycles_now = (device.now(), card.cycles()?);
    card.remove(slot);
    let cycles = cycles_now.1.saturating_sub(cycles_then.1).max(1);
    Ok(CardCost {
        name: card.name(),
        round_trip_ns,
        interval_ns: ((batch - round_trip_ns) / (BATCH - 1) as f64).max(1.0),
        cycle_ns: (cycles_now.0 - cycles_then.0).as_nanos() as f64 / cycles as f64,
        threads: card.shape().threads().into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_vm::verifier::{Limits, verify};

    #[test]
    fn the_programs_are_verified_and_engines_agree_on_them() {
        let event = Event::new(HOOK, 0, 12345);
        for program in [no_op(), scalar(), vector(""), product(), tree()] {
            verify(&program, &Limits::default()).unwrap();
            let (mut interpreter, mut jit) = (InterpreterEngine::default(), Jit::default());
            interpreter.load(&program).unwrap();
            if jit.load(&program).is_ok() {
                assert_eq!(interpreter.run(&event).unwrap(), jit.run(&event).unwrap());
            }
        }
    }

    /// Costs by the times of the five programs, in the order in which they are measured.
    fn costs_of(times: [f64; 5]) -> [f64; 4] {
        let mut times = times.into_iter();
        let costs = costs(|_| times.next().unwrap());
        [costs.event_ns, costs.instruction_ns, costs.mac_ns, costs.comparison_ns]
    }

    #[test]
    fn a_cost_is_the_difference_of_two_programs_by_what_one_has_more() {
        let (macs, comparisons) = (4096.0 * 2.0, 16.0 * 5.0);
        let times = [100.0, 167.0, 300.0, 300.0 + macs, 300.0 + comparisons];
        assert_eq!(costs_of(times), [100.0, 1.0, 2.0, 5.0]);
        // Where others use the machine as well, the longer program may be measured as the shorter one: no cost is negative.
        assert_eq!(costs_of([100.0, 90.0, 300.0, 290.0, 280.0]), [100.0, 0.001, 0.001, 0.001]);
    }

    #[test]
    fn a_machine_without_a_card_is_measured() {
        let platform = measure(None).unwrap();
        assert_eq!(platform.card, None);
        for costs in [&platform.interpreter, &platform.jit] {
            let all = [costs.event_ns, costs.instruction_ns, costs.mac_ns, costs.comparison_ns];
            assert!(all.iter().all(|cost| *cost > 0.0 && cost.is_finite()), "{platform:?}");
        }
    }
}
