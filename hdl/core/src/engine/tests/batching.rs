//! Products of several threads through the same weights: results, use of the multipliers, and how
//! long a product of another layer waits.

use super::bench::{Bench, Random};
use crate::engine::product::ProductUnit;
use rmt_isa::Instruction;
use rmt_isa::card::engine::{
    ARRAY_CYCLES, ARRAY_WAVES, EngineRegion, EngineShape, JOINED_PRODUCTS, WEIGHT_LOADS,
};
use rmt_isa::card::models::lower_models;
use rmt_isa::event::Event;
use rmt_isa::operand::*;
use rmt_isa::program::{Action, Program, Tensor};

/// Rows of inputs that the events take in turn.
const ROWS: u32 = 5;

fn v(number: u16) -> Vector {
    Vector::new(number).unwrap()
}

fn tensor(random: &mut Random, element: Element, shape: &[u32]) -> Tensor {
    let bits = 8 * element.bytes() as u32;
    // Small enough that no sum of 256 products overflows an i32.
    let values = (0..shape.iter().product()).map(|_| random.value(bits).clamp(-9999, 9999));
    Tensor { name: "t".into(), model: 0, element, shape: shape.to_vec(), values: values.collect() }
}

/// Square layers with their biases (tensors 2i and 2i + 1), and rows of inputs behind them.
struct Layers {
    program: Program,
    size: u32,
    count: u16,
}

impl Layers {
    fn new(size: u32, count: u16) -> Self {
        let random = &mut Random::new(11);
        let mut layers = Self {
            program: Program { models: vec!["m".into()], ..Program::default() },
            size,
            count,
        };
        for _ in 0..count {
            layers.program.tensors.push(tensor(random, Element::I8, &[size, size]));
            layers.program.tensors.push(tensor(random, Element::I32, &[size]));
        }
        layers.program.tensors.push(tensor(random, Element::I16, &[ROWS, size]));
        let code: Vec<_> = (0..count).flat_map(|layer| layers.code(layer)).collect();
        let lines = vec![0; code.len()];
        let action = Action { name: "a".into(), parameters: vec![], arguments: 0, code, lines };
        layers.program.actions.push(action);
        layers
    }

    /// A row of inputs, the product, and a check of its lanes.
    fn code(&self, layer: u16) -> [Instruction; 3] {
        let id = |number| TensorId::new(number).unwrap();
        let (s, bias) = (Scalar::new(1).unwrap(), Bias(Some(id(2 * layer + 1))));
        [
            Instruction::VectorLoadTensor { d: v(0), a: s, tensor: id(2 * self.count) },
            Instruction::MatMul { d: v(1), a: v(0), weights: id(2 * layer), bias },
            Instruction::VectorSum { d: s, a: v(1) },
        ]
    }

    /// The sum of all lanes of the product.
    fn expected(&self, layer: u16, row: u32) -> i64 {
        let size = self.size as usize;
        let tensors = &self.program.tensors;
        let inputs = &tensors[usize::from(2 * self.count)].values[row as usize * size..][..size];
        let (weights, bias) =
            (&tensors[usize::from(2 * layer)], &tensors[usize::from(2 * layer + 1)]);
        let outputs = weights.values.chunks_exact(size).zip(&bias.values);
        outputs
            .map(|(row, bias)| {
                let products = row.iter().zip(inputs).map(|(w, x)| w.wrapping_mul(*x));
                i64::from(products.fold(*bias, i32::wrapping_add))
            })
            .sum()
    }
}

/// An event on a thread: its layer and row, and how far it is.
#[derive(Clone, Copy)]
struct Work {
    layer: u16,
    row: u32,
    next: usize,
    /// Cycle from which the thread can give its next command; nothing while it waits.
    ready: Option<u64>,
}

/// What a run took.
struct Run {
    cycles: u64,
    waves: u64,
    array_cycles: u64,
    loads: u64,
    joined: u64,
}

/// Runs events on all threads, as many at once as there are threads: layer `layer_of(event)` on row
/// `event % ROWS`. The core gives a command a cycle, and begins a thread's next event after six.
fn run(shape: &EngineShape, layers: &Layers, events: u32, layer_of: fn(u32) -> u16) -> Run {
    let mut bench = Bench::new(shape.clone());
    bench.write(&lower_models(&layers.program, shape).unwrap());
    let threads = shape.threads as usize;
    (0..threads).for_each(|thread| bench.start(thread as u64, &Event::new(0, 0, 0)));
    let mut begun = 0;
    let mut next_event = |cycle| {
        let event = begun;
        begun += 1;
        (event < events).then(|| Work {
            layer: layer_of(event),
            row: event % ROWS,
            next: 0,
            ready: Some(cycle),
        })
    };
    let mut work: Vec<Option<Work>> = (0..threads).map(|_| next_event(0)).collect();
    let (mut turn, mut cycle) = (0, 0);
    while work.iter().any(Option::is_some) {
        bench.withdraw();
        let able =
            |&t: &usize| work[t].is_some_and(|work| work.ready.is_some_and(|ready| ready <= cycle));
        if let Some(thread) = (0..threads).map(|i| (turn + i) % threads).find(able) {
            turn = thread + 1;
            let work = work[thread].as_mut().unwrap();
            work.ready = None;
            let instruction = layers.code(work.layer)[work.next];
            bench.offer(thread as u64, instruction.encode(), work.row.into(), 0);
        }
        if let Some(answer) = bench.answer() {
            let place = &mut work[answer.thread as usize];
            let done = place.as_mut().unwrap();
            assert_eq!(answer.status, 0);
            done.next += 1;
            done.ready = Some(cycle + 2);
            if done.next == 3 {
                assert_eq!(answer.value as i64, layers.expected(done.layer, done.row));
                *place = next_event(cycle + 6);
            }
        }
        bench.sim.step();
        cycle += 1;
        assert!(cycle < 400_000, "the events do not come to their end");
    }
    let mut counter =
        |number: usize| bench.read(shape.host_address(EngineRegion::Counters, number as u32, 0));
    Run {
        cycles: cycle,
        waves: counter(ARRAY_WAVES),
        array_cycles: counter(ARRAY_CYCLES),
        loads: counter(WEIGHT_LOADS),
        joined: counter(JOINED_PRODUCTS),
    }
}

/// Use of the multipliers over all cycles of a run, in thousandths.
fn use_of(run: &Run) -> u64 {
    run.waves * 1000 / run.cycles
}

fn report(what: &str, run: &Run) {
    println!(
        "{what}: {} waves in {} cycles ({} per mille), {} rows of weights, {} products joined",
        run.waves,
        run.cycles,
        use_of(run),
        run.loads,
        run.joined
    );
}

#[test]
fn events_of_one_layer_keep_the_multipliers_busy() {
    // Twice as many threads as rows: some load their inputs and leave while others multiply.
    let shape = EngineShape { threads: 8, ..EngineShape::tiny() };
    let layers = Layers::new(32, 1);
    let all = run(&shape, &layers, 128, |_| 0);
    report("128 events of 32 x 32 on N = 4, 8 threads", &all);
    assert_eq!(all.waves, 128 * 64);
    assert!(all.joined > 100, "{} products joined others", all.joined);
    assert!(use_of(&all) >= 970, "{} per mille", use_of(&all));
    assert!(all.array_cycles <= all.cycles && all.array_cycles >= all.waves);
}

/// The cycles in which some products end, from the command of the first one; product i comes `delays[i]`
/// cycles after it, on thread i, with all inputs in place.
fn ends_of(bench: &mut Bench, product: Instruction, delays: &[u64]) -> Vec<u64> {
    let mut began = vec![false; delays.len()];
    let mut ends = vec![None; delays.len()];
    for cycle in 0..2000 {
        bench.withdraw();
        if let Some(thread) = delays.iter().position(|delay| *delay == cycle) {
            bench.offer(thread as u64, product.encode(), 0, 0);
        }
        bench.sim.step();
        for thread in 0..delays.len() {
            let busy = bench.sim.peek(&format!("busy_t{thread}")) == 1;
            if began[thread] && !busy && ends[thread].is_none() {
                ends[thread] = Some(cycle);
            }
            began[thread] |= busy;
        }
        if ends.iter().all(Option::is_some) {
            return ends.into_iter().flatten().collect();
        }
    }
    panic!("a product does not end");
}

#[test]
fn products_that_join_cost_the_others_nothing_until_the_array_is_full() {
    let shape = EngineShape { threads: 8, ..EngineShape::tiny() };
    let n = u64::from(shape.array);
    let layers = Layers::new(16, 1);
    let mut bench = Bench::new(shape.clone());
    bench.write(&lower_models(&layers.program, &shape).unwrap());
    let [load, product, _] = layers.code(0);
    for thread in 0..u64::from(shape.threads) {
        bench.start(thread, &Event::new(0, 0, 0));
        bench.run(thread, load, 0, 0);
    }
    bench.drain();
    // 4 words of outputs of 4 tiles each, the pipeline behind the last one, three cycles to decode and choose.
    let word = 4 * n;
    let lone = 4 * word - n + u64::from(ProductUnit::latency(&shape)) + 3;
    assert_eq!(ends_of(&mut bench, product, &[0]), [lone]);
    // Up to N products loads alone set the pace. What comes while a word of outputs is under way joins
    // at the next one and goes round.
    assert_eq!(ends_of(&mut bench, product, &[0, 1]), [lone, lone + word]);
    assert_eq!(ends_of(&mut bench, product, &[0, 2 * word - 3]), [lone, lone + 2 * word]);
    assert_eq!(
        ends_of(&mut bench, product, &[0, 1, 2, 3]),
        [lone, lone + word, lone + word + 1, lone + word + 2]
    );
    // Beyond, a tile takes as many cycles as there are products. Their vectors come every 4 cycles, so the
    // words of outputs begin with 1, 5, 8 and 8 of them: 16, 20, 32 and 32 cycles.
    let eight = ends_of(&mut bench, product, &[0, 1, 2, 3, 4, 5, 6, 7]);
    println!("16 x 16 on N = 4: one product ends after {lone} cycles, eight after {eight:?}");
    assert_eq!(eight[0], lone - (4 * word - n) + 16 + 20 + 32 + 3 * 8);
    assert_eq!(eight, [103, 132, 133, 134, 135, 151, 152, 153]);
}

#[test]
#[ignore = "a minute on the evaluator; `./x test --all` runs it"]
fn a_product_of_256_by_256_by_256_uses_95_per_cent_of_the_multipliers() {
    let shape = EngineShape { threads: 32, weight_tiles: 256, ..EngineShape::default_card() };
    let layers = Layers::new(256, 1);
    let all = run(&shape, &layers, 256, |_| 0);
    report("256 events of 256 x 256 on N = 16, 32 threads", &all);
    assert_eq!(all.waves, 256 * 256);
    assert!(use_of(&all) >= 950, "{} per mille", use_of(&all));
}

#[test]
fn products_of_two_layers_wait_for_each_other_and_end() {
    let shape = EngineShape { threads: 8, weight_tiles: 128, ..EngineShape::tiny() };
    let layers = Layers::new(32, 2);
    let all = run(&shape, &layers, 96, |event| (event % 3 / 2) as u16);
    report("96 events of two layers of 32 x 32 on N = 4, 8 threads", &all);
    assert_eq!(all.waves, 96 * 64);
    assert!(use_of(&all) >= 700, "{} per mille", use_of(&all));
}
