//! Convolutions and pooling: the cycles that docs/engine.md states, and turns with products.

use super::bench::Bench;
use crate::engine::product::ProductUnit;
use rmt_isa::Instruction;
use rmt_isa::card::engine::{ARRAY_WAVES, EngineRegion, EngineShape, WINDOW_COMMANDS};
use rmt_isa::card::models::lower_models;
use rmt_isa::event::Event;
use rmt_isa::operand::*;
use rmt_isa::program::{Action, Program, Tensor, Window};

/// Outputs of the convolution.
const OUTPUTS: u64 = 5;

fn v(number: u16) -> Vector {
    Vector::new(number).unwrap()
}

fn tensor(element: Element, shape: &[u32]) -> Tensor {
    let values = (0..shape.iter().product::<u32>() as i32).map(|i| i % 90 - 40).collect();
    Tensor { name: "t".into(), model: 0, element, shape: shape.to_vec(), values }
}

/// 3 × 2 on 4 × 8 with one channel, padded by one row: 4 × 1 places, 5 outputs. On N = 4 two tiles
/// down and three across.
fn window() -> Window {
    Window {
        name: "win".into(),
        in_height: 4,
        in_width: 8,
        channels: 1,
        height: 3,
        width: 2,
        stride_y: 1,
        stride_x: 7,
        pad_top: 1,
        pad_left: 0,
        out_height: 3,
        out_width: 2,
    }
}

/// A convolution, both poolings, and a product of 4 × 4.
fn code() -> [Instruction; 4] {
    let (d, a, window) = (v(1), v(0), WindowId::new(0).unwrap());
    let [weights, bias, other] = [0, 1, 2].map(|number| TensorId::new(number).unwrap());
    [
        Instruction::Conv2d { d, a, window, weights, bias: Bias(Some(bias)) },
        Instruction::PoolMax { d, a, window },
        Instruction::PoolSum { d, a, window },
        Instruction::MatMul { d: v(2), a: v(3), weights: other, bias: Bias(None) },
    ]
}

/// An engine with the program, and a vector of 32 lanes (v0) and one of 4 (v3) on each thread.
fn bench(shape: &EngineShape) -> Bench {
    let code = code().to_vec();
    let lines = vec![0; code.len()];
    let action = Action { name: "a".into(), parameters: vec![], arguments: 0, code, lines };
    let program = Program {
        models: vec!["m".into()],
        tensors: vec![
            tensor(Element::I8, &[OUTPUTS as u32, 3, 2, 1]),
            tensor(Element::I32, &[OUTPUTS as u32]),
            tensor(Element::I8, &[4, 4]),
        ],
        windows: vec![window()],
        actions: vec![action],
        ..Program::default()
    };
    let mut bench = Bench::new(shape.clone());
    bench.write(&lower_models(&program, shape).unwrap());
    for thread in 0..u64::from(shape.threads) {
        bench.start(thread, &Event::new(0, 0, 0));
        for (d, lanes) in [(v(0), 32), (v(3), 4)] {
            let lanes = Lanes::new(lanes).unwrap();
            let fill = Instruction::VectorFill { d, lanes, element: Element::I16, imm: 7 };
            bench.run(thread, fill, 0, 0);
        }
    }
    bench.drain();
    bench
}

/// Cycles from the issue to the first cycle in which the thread's next operation can be issued.
fn occupation(bench: &mut Bench, instruction: Instruction) -> u64 {
    let (answer, cycles) = bench.run(0, instruction, 0, 0);
    assert_eq!((answer.status, cycles), (0, 3), "{instruction}");
    let mut busy = 0;
    while bench.sim.peek("busy_t0") == 1 {
        busy += 1;
        bench.sim.step();
    }
    busy + 1
}

#[test]
fn convolutions_and_pooling_take_the_cycles_that_the_documentation_gives() {
    let shape = EngineShape::tiny();
    let n = u64::from(shape.array);
    let mut bench = bench(&shape);
    let [convolution, largest, sum, _] = code();
    let words = 32 / n;
    // 6 places: a chunk of 4, as many as there are partial sums, and one of 2. Six tiles, each of which takes
    // the N cycles of its load, but for the last one, whose 2 waves are all that counts.
    assert_eq!(shape.partial_sums(), 4);
    let waves_end = words + 11 * n + 2;
    let pipeline = u64::from(ProductUnit::latency(&shape)) + 2;
    assert_eq!(occupation(&mut bench, convolution), waves_end + pipeline);
    let counter = |bench: &mut Bench, number: usize| {
        bench.read(shape.host_address(EngineRegion::Counters, number as u32, 0))
    };
    assert_eq!(counter(&mut bench, ARRAY_WAVES), 6 * 6);
    // A step for each place, word of channels, row and column of the window.
    let steps = 6 * 3 * 2;
    assert_eq!(occupation(&mut bench, largest), words + steps + 7);
    assert_eq!(occupation(&mut bench, sum), words + steps + 7);
    assert_eq!(counter(&mut bench, WINDOW_COMMANDS), 3);
}

#[test]
fn products_and_convolutions_take_turns() {
    let mut bench = bench(&EngineShape::tiny());
    let [convolution, .., product] = code();
    // A convolution that is under way, then a product of the other thread, and both again.
    for (first, second) in [(convolution, product), (product, convolution)] {
        for (thread, instruction) in [(0, first), (1, second)] {
            bench.offer(thread, instruction.encode(), 0, 0);
            bench.sim.step();
        }
        bench.withdraw();
        // Decoded and issued after two more cycles.
        bench.sim.step_n(3);
        bench.drain();
    }
    // Fills are 7: a row of the product is 7 × (sum of four weights).
    let expected: Vec<i32> =
        (0..4).map(|row| (0..4).map(|i| 7 * ((row * 4 + i) % 90 - 40)).sum()).collect();
    for thread in [0, 1] {
        assert_eq!(bench.lanes(thread, 2, 4), expected);
    }
    // The middle place of the first output sees all six weights, the bias is that of output 0.
    let all: i32 = (0..6).map(|i| 7 * (i - 40)).sum::<i32>() - 40;
    assert_eq!(bench.lanes(0, 1, 30)[2 * OUTPUTS as usize], all);
}
