//! The cycles that docs/engine.md states, counted on the evaluator.

use super::bench::{Answer, Bench, Random};
use super::models::forest;
use crate::counters::SETTLE_CYCLES;
use crate::engine::product::ProductUnit;
use rmt_isa::card::HostWrite;
use rmt_isa::card::engine::{
    ARRAY_WAVES, EngineRegion, EngineShape, REFUSED_COMMANDS, VECTOR_COMMANDS, WEIGHT_LOADS,
};
use rmt_isa::card::models::lower_models;
use rmt_isa::operand::*;
use rmt_isa::program::{
    Action, ChannelScale, Forest, ForestMode, Program, Scale, Tensor, TreeNode,
};
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

    for _ in 0..SETTLE_CYCLES {
        bench.sim.step();
    }
    let counter = |bench: &mut Bench, number: usize| {
        bench.read(shape.host_address(EngineRegion::Counters, number as u32, 0))
    };
    assert_eq!(counter(&mut bench, ARRAY_WAVES), 4);
    assert_eq!(counter(&mut bench, WEIGHT_LOADS), 32, "two tiles of 16 rows, once");
    let commands: u64 = (VECTOR_COMMANDS..=REFUSED_COMMANDS).map(|n| counter(&mut bench, n)).sum();
    assert_eq!(commands, 12, "every command is counted once");
}

/// Evaluates the forest on features of 1, with some nodes overwritten: the answer, and its cycles after the command.
fn evaluated(
    bench: &mut Bench,
    shape: &EngineShape,
    forest: Forest,
    nodes: &[HostWrite],
) -> (Answer, u64) {
    let lanes = Lanes::new(forest.features).unwrap();
    let fill = Instruction::VectorFill { d: v(0), lanes, element: Element::I16, imm: 1 };
    let eval = Instruction::ForestEval { d: r(0), a: v(0), forest: ForestId::new(0).unwrap() };
    let action = Action {
        name: "a".into(),
        parameters: vec![],
        arguments: 0,
        code: vec![eval],
        lines: vec![0],
    };
    let program = Program {
        models: vec!["m".into()],
        forests: vec![forest],
        actions: vec![action],
        ..Program::default()
    };
    bench.write(&lower_models(&program, shape).unwrap());
    bench.write(nodes);
    bench.start(0, &Event::new(0, 0, 0));
    bench.run(0, fill, 0, 0);
    bench.drain();
    bench.run(0, eval, 0, 0)
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
        let mut chain = forest(&mut Random::new(0), ForestMode::Sum, 8, 1, 0);
        chain.nodes = nodes;
        let (answer, cycles) = evaluated(&mut bench, &shape, chain, &[]);
        assert_eq!(answer.value as i64, -7);
        println!("tree of depth {depth}: answer {cycles} cycles after the command");
        // Two words of features, three cycles to decode and choose, two to begin.
        assert_eq!(cycles, u64::from(depth) + 7);
    }
}

/// Trees that are leaves vote in consecutive cycles, often for the class of the vote before or of the one before that.
#[test]
fn votes_of_every_cycle_are_counted_and_take_two_more() {
    let shape = EngineShape::tiny();
    let mut bench = Bench::new(shape.clone());
    let mut random = Random::new(7);
    for trees in [2, 3, 40, 200] {
        let mut vote = forest(&mut random, ForestMode::Vote, 8, trees, 0);
        // Two classes share a word of what is known to have votes, two the place in their words.
        let classes = [0, 17, 18, 34, 255];
        let few = 2 + random.below(4) as usize;
        let votes: Vec<usize> = (0..trees).map(|_| random.pick(&classes[..few])).collect();
        vote.nodes = votes.iter().map(|&class| TreeNode::Leaf { value: class as i32 }).collect();
        let count = |class: &usize| votes.iter().filter(|&vote| vote == class).count();
        let most = *classes.iter().rev().max_by_key(|&class| count(class)).unwrap();

        let (answer, cycles) = evaluated(&mut bench, &shape, vote, &[]);
        assert_eq!(answer.value, most as u64, "{votes:?}");
        assert_eq!(cycles, trees as u64 + 8);
    }
}

#[test]
fn nodes_that_never_end_are_ended_with_a_status() {
    let shape = EngineShape::tiny();
    let mut bench = Bench::new(shape.clone());
    let tree = forest(&mut Random::new(0), ForestMode::Sum, 4, 1, 0);
    // Node 0 becomes its own child.
    let nodes = [0, 1].map(|part| HostWrite {
        address: shape.host_address(EngineRegion::TreePairs, 0, part),
        value: 0,
    });
    let (answer, cycles) = evaluated(&mut bench, &shape, tree, &nodes);
    assert_eq!((answer.status, answer.value), (rmt_isa::Status::OutOfRange as u8, 0));
    assert!(cycles < 50);
}

#[test]
fn networks_of_all_threads_overlap() {
    let shape = EngineShape::default_card();
    let mut bench = Bench::new(shape.clone());
    let (program, code) = network();
    bench.write(&lower_models(&program, &shape).unwrap());
    let threads = u64::from(shape.threads);
    (0..threads).for_each(|thread| bench.start(thread, &Event::new(0, 0, 0)));

    // For each thread: commands answered, and the cycle from which it may give the next one.
    let rounds = 5;
    let all = rounds * code.len();
    let mut state = vec![(0, Some(0)); threads as usize];
    let mut turn = 0;
    let mut cycle = 0_u64;
    while state.iter().any(|(answered, _)| *answered < all) {
        bench.withdraw();
        let able = |&thread: &u64| {
            let (answered, from) = state[thread as usize];
            answered < all && from.is_some_and(|from| from <= cycle)
        };
        if let Some(thread) = (0..threads).map(|i| (turn + i) % threads).find(able) {
            turn = thread + 1;
            let (answered, from) = &mut state[thread as usize];
            *from = None;
            bench.offer(thread, code[*answered % code.len()].encode(), 0, 0);
        }
        if let Some(answer) = bench.answer() {
            assert_eq!(answer.status, 0);
            let thread = &mut state[answer.thread as usize];
            *thread = (thread.0 + 1, Some(cycle + 2));
        }
        bench.sim.step();
        cycle += 1;
        assert!(cycle < 5000, "the threads do not come to their end");
    }
    let networks = threads * rounds as u64;
    println!(
        "{networks} networks on {threads} threads: {cycle} cycles, {:.1} each",
        cycle as f64 / networks as f64
    );
    assert!(cycle < networks * 20, "a network of six commands took more than 20 cycles");
}

/// Cycles from the issue of an operation to the first cycle in which the thread's next one can
/// be issued.
fn occupation(bench: &mut Bench, instruction: Instruction) -> u64 {
    let (answer, _) = bench.run(0, instruction, 0, 0);
    assert_eq!(answer.status, 0, "{instruction}");
    // `run` has stepped behind the answer, which came in the cycle of the issue.
    let mut busy = 0;
    while bench.sim.peek("busy_t0") == 1 {
        busy += 1;
        bench.sim.step();
    }
    busy + 1
}

#[test]
fn operations_take_the_cycles_that_the_documentation_gives() {
    let shape = EngineShape::tiny();
    let n = u64::from(shape.array);
    let groups = n / u64::from(shape.requantise_lanes);
    let mut bench = Bench::new(shape.clone());
    let (mut program, _) = network();
    let weights = |number| Instruction::MatMul {
        d: v(3),
        a: v(1),
        weights: TensorId::new(number).unwrap(),
        bias: Bias(None),
    };
    program.tensors = vec![
        tensor(Element::I8, &[4, 4]),
        tensor(Element::I8, &[8, 4]),
        tensor(Element::I8, &[12, 8]),
    ];
    program.actions[0].code = vec![weights(0), weights(1), weights(2)];
    let requantise = Instruction::Requantise {
        d: v(4),
        a: v(2),
        element: Element::I16,
        scale: ScaleId::new(0).unwrap(),
    };
    program.actions[0].code.push(requantise);
    bench.write(&lower_models(&program, &shape).unwrap());
    for words in 1..=shape.words_per_register() {
        bench.start(0, &Event::new(0, 0, 0));
        let lanes = Lanes::new((words * shape.array) as u16).unwrap();
        let words = u64::from(words);
        let fill = |d, element| Instruction::VectorFill { d, lanes, element, imm: 3 };
        assert_eq!(occupation(&mut bench, fill(v(0), Element::I16)), words + 2);
        assert_eq!(occupation(&mut bench, fill(v(2), Element::I32)), words + 2);
        assert_eq!(occupation(&mut bench, requantise), words * groups + 5);
        let (_, cycles) = bench.run(0, Instruction::VectorSum { d: r(0), a: v(0) }, 0, 0);
        assert_eq!(cycles, words + 6);
        let lane = Lane::new(0).unwrap();
        let (_, cycles) = bench.run(0, Instruction::ScalarValue { d: r(0), a: v(0), lane }, 0, 0);
        assert_eq!(cycles, 5);
    }

    let pipeline = n + 3 + u64::from(shape.array / shape.hop_columns);
    let fill = |lanes| Instruction::VectorFill {
        d: v(1),
        lanes: Lanes::new(lanes).unwrap(),
        element: Element::I16,
        imm: 3,
    };
    bench.run(0, fill(4), 0, 0);
    bench.drain();
    assert_eq!(occupation(&mut bench, weights(0)), pipeline + 1, "one tile");
    assert_eq!(occupation(&mut bench, weights(1)), pipeline + 1 + n, "two tiles, both loaded now");
    assert_eq!(occupation(&mut bench, weights(1)), pipeline + 2, "two tiles that are there");
    bench.run(0, fill(8), 0, 0);
    bench.drain();
    assert_eq!(occupation(&mut bench, weights(2)), pipeline + 1 + 5 * n, "six tiles, all loaded");
}
