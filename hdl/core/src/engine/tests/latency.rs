//! The cycles that docs/engine.md states, counted on the evaluator.

use super::bench::{Bench, Random};
use super::models::forest;
use crate::engine::product::ProductUnit;
use rmt_isa::card::engine::{
    ARRAY_WAVES, ENGINE_COUNTERS, EngineRegion, EngineShape, WEIGHT_LOADS,
};
use rmt_isa::card::models::lower_models;
use rmt_isa::operand::*;
use rmt_isa::program::{Action, ChannelScale, ForestMode, Program, Scale, Tensor, TreeNode};
use rmt_isa::{Event, Instruction};

fn v(number: u16) -> Vector {
    Vector::new(number).unwrap()
}

fn r(number: u16) -> Scalar {
    Scalar::new(number).unwrap()
}

fn tensor(element: Element, shape: &[u32]) -> Tensor {
    let count = shape.iter().product::<u32>() as i32;
    let values = (0..count).map(|i| i % 100 - 50).collect();
    Tensor { name: "t".into(), model: 0, element, shape: shape.to_vec(), values }
}

/// The code of a 15-10-1 network, as the firmware runs it after its features are loaded.
fn network() -> (Program, Vec<Instruction>) {
    let scale = Scale {
        name: "s".into(),
        model: 0,
        channels: vec![ChannelScale { multiplier: 1 << 30, shift: 33 }],
        zero_point: 0,
    };
    let [w1, b1, w2, b2] = [0, 1, 2, 3].map(|n| TensorId::new(n).unwrap());
    let (lanes, i16) = (Lanes::new(15).unwrap(), Element::I16);
    let scale_id = ScaleId::new(0).unwrap();
    let code = vec![
        Instruction::VectorLoadEvent {
            d: v(0),
            lanes,
            element: i16,
            offset: EventOffset::new(16).unwrap(),
        },
        Instruction::MatMul { d: v(1), a: v(0), weights: w1, bias: Bias(Some(b1)) },
        Instruction::Requantise { d: v(1), a: v(1), element: i16, scale: scale_id },
        Instruction::VectorRelu { d: v(1), a: v(1) },
        Instruction::MatMul { d: v(2), a: v(1), weights: w2, bias: Bias(Some(b2)) },
        Instruction::ScalarValue { d: r(1), a: v(2), lane: Lane::new(0).unwrap() },
    ];
    let tensors = vec![
        tensor(Element::I8, &[10, 15]),
        tensor(Element::I32, &[10]),
        tensor(Element::I8, &[1, 10]),
        tensor(Element::I32, &[1]),
    ];
    let lines = vec![0; code.len()];
    let action =
        Action { name: "a".into(), parameters: vec![], arguments: 0, code: code.clone(), lines };
    let program = Program {
        models: vec!["m".into()],
        tensors,
        scales: vec![scale],
        actions: vec![action],
        ..Program::default()
    };
    (program, code)
}

/// Cycles of a lone thread that gives its next command two cycles after each answer.
fn cycles_of(bench: &mut Bench, code: &[Instruction]) -> u64 {
    let begin = bench.sim.cycles();
    for (place, &instruction) in code.iter().enumerate() {
        let (answer, _) = bench.run(0, instruction, 0, 0);
        assert_eq!(answer.status, 0, "{instruction}");
        // `run` ends one cycle behind the answer; the core needs one more.
        if place + 1 < code.len() {
            bench.sim.step();
        }
    }
    bench.sim.cycles() - begin
}

#[test]
fn a_lone_network_leaves_time_for_the_core_within_100_cycles() {
    let shape = EngineShape::default_card();
    let layer = u64::from(ProductUnit::latency(&shape)) + 1;
    let mut bench = Bench::new(shape.clone());
    let (program, code) = network();
    bench.write(&lower_models(&program, &shape).unwrap());
    bench.start(0, &Event::new(0, 0, 0));
    let cold = cycles_of(&mut bench, &code);
    let warm = cycles_of(&mut bench, &code);
    println!(
        "15-10-1 network: {cold} cycles with cold weights, {warm} with loaded ones, {layer} a layer"
    );
    assert_eq!(cold, warm, "loading follows the wave and costs nothing");
    assert!(warm <= 80, "{warm}");
    // The array's own bound: 16 rows, a multiplier of three cycles, one hop.
    let bound = 16 - 1 + 3 + 1;
    assert!(layer * 100 <= bound * 125, "{layer} cycles are more than 1.25 × {bound}");

    let counter = |bench: &mut Bench, number: usize| {
        bench.read(shape.host_address(EngineRegion::Counters, number as u32, 0))
    };
    assert_eq!(counter(&mut bench, ARRAY_WAVES), 4);
    assert_eq!(counter(&mut bench, WEIGHT_LOADS), 32, "two tiles of 16 rows, once");
    let others: u64 = (2..ENGINE_COUNTERS.len() - 1).map(|n| counter(&mut bench, n)).sum();
    assert_eq!(others, 12, "every command is counted once");
}

#[test]
fn a_tree_takes_a_cycle_a_level() {
    let shape = EngineShape::tiny();
    let mut bench = Bench::new(shape.clone());
    for depth in [1, 8, 20_u16] {
        // A chain: node 2i-1 is the branch of level i, its sibling a leaf.
        let mut nodes = vec![TreeNode::Branch { feature: 0, threshold: 5, left: 1 }];
        for level in 1..=depth {
            let left = 2 * level + 1;
            nodes.push(match level < depth {
                true => TreeNode::Branch { feature: (level % 8) as u8, threshold: 5, left },
                false => TreeNode::Leaf { value: -7 },
            });
            nodes.push(TreeNode::Leaf { value: 9 });
        }
        let mut program = Program { models: vec!["m".into()], ..Program::default() };
        let mut chain = forest(&mut Random::new(0), ForestMode::Sum, 8, 1, 0);
        chain.nodes = nodes;
        program.forests.push(chain);
        let eval = Instruction::ForestEval { d: r(0), a: v(0), forest: ForestId::new(0).unwrap() };
        let action = Action {
            name: "a".into(),
            parameters: vec![],
            arguments: 0,
            code: vec![eval],
            lines: vec![0],
        };
        program.actions.push(action);
        bench.write(&lower_models(&program, &shape).unwrap());
        bench.start(0, &Event::new(0, 0, 0));
        let lanes = Lanes::new(8).unwrap();
        let fill = Instruction::VectorFill { d: v(0), lanes, element: Element::I16, imm: 1 };
        bench.run(0, fill, 0, 0);
        bench.drain();
        let (answer, cycles) = bench.run(0, eval, 0, 0);
        assert_eq!(answer.value as i64, -7);
        println!("tree of depth {depth}: answer {cycles} cycles after the command");
        // Two words of features, two cycles to decode, two to begin.
        assert_eq!(cycles, u64::from(depth) + 6);
    }
}

#[test]
fn nodes_that_never_end_are_ended_with_a_status() {
    let shape = EngineShape::tiny();
    let mut bench = Bench::new(shape.clone());
    let mut program = Program { models: vec!["m".into()], ..Program::default() };
    program.forests.push(forest(&mut Random::new(0), ForestMode::Sum, 4, 1, 0));
    let eval = Instruction::ForestEval { d: r(0), a: v(0), forest: ForestId::new(0).unwrap() };
    let action = Action {
        name: "a".into(),
        parameters: vec![],
        arguments: 0,
        code: vec![eval],
        lines: vec![0],
    };
    program.actions.push(action);
    bench.write(&lower_models(&program, &shape).unwrap());
    // Node 0 becomes its own child.
    for part in [0, 1] {
        let address = shape.host_address(EngineRegion::TreePairs, 0, part);
        bench.write(&[rmt_isa::card::HostWrite { address, value: 0 }]);
    }
    bench.start(0, &Event::new(0, 0, 0));
    let lanes = Lanes::new(4).unwrap();
    bench.run(0, Instruction::VectorFill { d: v(0), lanes, element: Element::I16, imm: 1 }, 0, 0);
    let (answer, cycles) = bench.run(0, eval, 0, 0);
    assert_eq!((answer.status, answer.value), (rmt_isa::Status::OutOfRange as u8, 0));
    assert!(cycles < 50);
}
