//! Random instructions on all threads at once, against the interpreter: scalar results,
//! statuses and all vector registers must be equal.

use super::bench::{Bench, Random};
use super::models::program_with_models;
use rmt_isa::card::engine::{EngineShape, OPCODES};
use rmt_isa::card::models::lower_models;
use rmt_isa::operand::*;
use rmt_isa::program::{Action, ActionCall, Program, Table};
use rmt_isa::{Class, Event, Instruction, Status};
use rmt_vm::generate::EngineCorners;
use rmt_vm::interpreter::{Machine, Observer, Probe, Thread, VectorShape};

/// One instruction, with what the interpreter knew before it.
struct Before {
    instruction: Instruction,
    thread: Thread,
}

#[derive(Default)]
struct Trace(Vec<Before>);

impl Observer for Trace {
    fn instruction(&mut self, _: usize, _: usize, instruction: Instruction, thread: &Thread) {
        self.0.push(Before { instruction, thread: thread.clone() });
    }
}

fn vector(random: &mut Random) -> Vector {
    Vector::new(random.below(8) as u16).unwrap()
}

fn scalar(random: &mut Random) -> Scalar {
    Scalar::new(random.below(16) as u16).unwrap()
}

/// A random instruction with this opcode whose operands exist, though they need not fit.
fn instruction(
    random: &mut Random,
    opcode: u8,
    program: &Program,
    shape: &EngineShape,
) -> Instruction {
    let objects = |count: usize, random: &mut Random| random.below(count as u64) as u16;
    let element = random.pick(&[Element::I8, Element::I16, Element::I32]);
    let most = u64::from(shape.vector_lanes);
    let lanes = match random.below(4) {
        0 => 1 + random.below(most),
        1 => random.pick(&[1, u64::from(shape.array), u64::from(shape.array) + 1, most]).min(most),
        _ => random.pick(&[8, 9, 10, 15, 30]).min(most),
    };
    let lanes = Lanes::new(lanes as u16).unwrap();
    let (d, a, b) = (vector(random), vector(random), vector(random));
    let (s, t) = (scalar(random), scalar(random));
    let first_kernel = program.tensors.iter().position(|tensor| tensor.shape.len() == 4);
    let flat = first_kernel.unwrap_or(program.tensors.len());
    let tensor = TensorId::new(objects(flat, random)).unwrap();
    let lane_end = random.pick(&[12, 12, 256]);
    let lane = Lane::new(random.below(lane_end) as u16).unwrap();
    match opcode {
        0xa0 => Instruction::VectorFill { d, lanes, element, imm: random.value(32) },
        0xa1 => {
            let offset =
                EventOffset::new(random.below(64) as u16 & !(element.bytes() as u16 - 1)).unwrap();
            Instruction::VectorLoadEvent { d, lanes, element, offset }
        }
        0xa4 => Instruction::VectorLoadTensor { d, a: s, tensor },
        0xa5 => Instruction::VectorSet { d, lane, a: s },
        0xa6 => Instruction::ScalarValue { d: s, a, lane },
        0xa7 => Instruction::ScalarValueAt { d: s, a, b: t },
        0xa8 => Instruction::VectorAdd { d, a, b },
        0xa9 => Instruction::VectorSub { d, a, b },
        0xaa => Instruction::VectorMul { d, a, b },
        0xab => Instruction::VectorMin { d, a, b },
        0xac => Instruction::VectorMax { d, a, b },
        0xad => Instruction::VectorRelu { d, a },
        0xae => Instruction::VectorConvert { d, a, element },
        0xaf => Instruction::VectorSum { d: s, a },
        0xb0 => Instruction::ArgMax { d: s, a },
        0xc0 => {
            let bias = objects(flat + 1, random);
            let bias = TensorId::new(bias).filter(|b| b.index() < flat);
            Instruction::MatMul { d, a, weights: tensor, bias: Bias(bias) }
        }
        0xc1 => {
            let window = WindowId::new(objects(program.windows.len(), random)).unwrap();
            let bias = TensorId::new(objects(program.tensors.len() + 1, random)).unwrap();
            let kernels = program.tensors.iter().enumerate();
            let kernels: Vec<usize> =
                kernels.filter(|(_, t)| t.shape.len() == 4).map(|(number, _)| number).collect();
            // The kernel of the window, and its bias, more often than any other.
            let weights = match random.below(3) {
                0 => random.pick(&kernels),
                _ => kernels[window.index()],
            };
            let bias = match random.below(3) {
                0 => Some(bias).filter(|b| b.index() < program.tensors.len()),
                _ => TensorId::new(weights as u16 + 1),
            };
            let bias = bias.filter(|b| program.tensors[b.index()].shape.len() < 4);
            let weights = TensorId::new(weights as u16).unwrap();
            Instruction::Conv2d { d, a, window, weights, bias: Bias(bias) }
        }
        0xc2 | 0xc3 => {
            let window = WindowId::new(objects(program.windows.len(), random)).unwrap();
            match opcode {
                0xc2 => Instruction::PoolMax { d, a, window },
                _ => Instruction::PoolSum { d, a, window },
            }
        }
        0xc4 => {
            let scale = ScaleId::new(objects(program.scales.len(), random)).unwrap();
            Instruction::Requantise { d, a, element, scale }
        }
        _ => {
            let forest = ForestId::new(objects(program.forests.len(), random)).unwrap();
            Instruction::ForestEval { d: s, a, forest }
        }
    }
}

/// `lower_models` refuses it: the result has more lanes than a register of the engine, or it multiplies lanes of i16, which
/// an array of pairs does not take.
fn refused(
    instruction: &Instruction,
    program: &Program,
    shape: &EngineShape,
    shapes: &[VectorShape; 8],
) -> bool {
    let wide = match instruction {
        Instruction::MatMul { a, .. } | Instruction::Conv2d { a, .. } => {
            shapes[a.index()].is_some_and(|(element, _)| element == Element::I16)
        }
        _ => false,
    };
    (wide && shape.activation_bits() == 8) || too_long(instruction, program, shape)
}

/// The result has more lanes than a register of the engine.
fn too_long(instruction: &Instruction, program: &Program, shape: &EngineShape) -> bool {
    let lanes = |window: WindowId, of_place: u32| {
        let window = &program.windows[window.index()];
        u32::from(window.out_height) * u32::from(window.out_width) * of_place
    };
    let lanes = match *instruction {
        Instruction::Conv2d { window, weights, .. } => {
            lanes(window, program.tensors[weights.index()].shape[0])
        }
        Instruction::PoolMax { window, .. } | Instruction::PoolSum { window, .. } => {
            lanes(window, program.windows[window.index()].channels.into())
        }
        _ => 0,
    };
    lanes > shape.vector_lanes
}

/// Instructions that fit each other; once in a while one that does not is the last.
fn code(
    random: &mut Random,
    program: &Program,
    shape: &EngineShape,
    length: usize,
) -> Vec<Instruction> {
    let mut probe = Probe::new(program).unwrap();
    let mut shapes: [VectorShape; 8] = [None; 8];
    let mut code = Vec::new();
    while code.len() < length {
        if random.one_in(4) {
            let d = scalar(random);
            let imm = if random.one_in(2) { random.below(40) as i32 } else { random.value(32) };
            code.push(Instruction::MoveImm { d, imm });
            continue;
        }
        // Products and trees fit rarely: each opcode gets many tries.
        let opcode = random.pick(OPCODES);
        let known = shapes;
        let mut tries = (0..300)
            .map(|_| instruction(random, opcode, program, shape))
            .filter(|next| !refused(next, program, shape, &known));
        match tries.find(|next| probe.run(&mut shapes, *next).is_ok()) {
            Some(next) => code.push(next),
            None if random.one_in(100) => {
                let wrong = instruction(random, opcode, program, shape);
                if !refused(&wrong, program, shape, &shapes) {
                    code.push(wrong);
                    break;
                }
            }
            None => {}
        }
    }
    code.push(Instruction::Exit { verdict: Verdict::Decided });
    code
}

fn event(random: &mut Random) -> Event {
    let mut event = Event::new(0, 7, random.bits());
    (16..64).step_by(8).for_each(|offset| event.store(offset, 8, random.bits()));
    event
}

/// What one thread has still to do.
struct Work {
    trace: Vec<Before>,
    status: Status,
    next: usize,
    /// Waits for an answer.
    waits: bool,
    /// Cycles before the next command.
    pause: u64,
    finished: bool,
}

impl Work {
    /// Skips what the core executes itself; whether a command of the engine is next.
    fn seek(&mut self) -> bool {
        while let Some(before) = self.trace.get(self.next) {
            if matches!(before.instruction.info().class, Class::Vector | Class::Model) {
                return true;
            }
            self.next += 1;
        }
        false
    }

    /// Compares an answer with what the interpreter did.
    fn check(&mut self, value: u64, status: u8) {
        let instruction = self.trace[self.next].instruction;
        let context = format!("{instruction} (instruction {})", self.next);
        match self.trace.get(self.next + 1) {
            Some(after) => {
                assert_eq!(status, 0, "{context}");
                let d =
                    instruction.operands().into_iter().find_map(|o| match (o.value, o.info.role) {
                        (Operand::Scalar(d), Role::Write) => Some(after.thread.scalar(d)),
                        _ => None,
                    });
                assert_eq!(value, d.unwrap_or(0), "{context}");
            }
            None => assert_eq!(status, self.status as u8, "{context}"),
        }
        self.next += 1;
        self.waits = false;
    }
}

/// How often each opcode ran to its end without fault, how many commands were refused, and the
/// corners of the engine.
struct Coverage {
    done: [usize; 256],
    refused: usize,
    corners: EngineCorners,
}

impl Coverage {
    /// Nothing has run.
    fn new() -> Self {
        Self { done: [0; 256], refused: 0, corners: EngineCorners::default() }
    }

    /// A command was answered; `thread` is as the interpreter had it before.
    fn answered(
        &mut self,
        status: u8,
        instruction: Instruction,
        thread: &Thread,
        program: &Program,
        shape: &EngineShape,
    ) {
        if status != Status::Decided as u8 {
            self.refused += 1;
            return;
        }
        self.done[usize::from(instruction.opcode())] += 1;
        self.corners.count(instruction, thread, program, shape);
    }

    /// Fails when an instruction ran less often than `least` times.
    fn expect_each_opcode(&self, least: usize) {
        for &opcode in OPCODES {
            let (name, count) =
                (Instruction::info_of_opcode(opcode).unwrap().name, self.done[usize::from(opcode)]);
            assert!(count >= least, "{name} ran {count} times only");
        }
    }

    /// Prints all corners; fails when one was not gone through.
    fn expect_all_corners(&self) {
        self.corners.bins().for_each(|(bin, count)| println!("{count:6} {bin}"));
        let empty: Vec<_> = self.corners.bins().filter(|(_, count)| *count == 0).collect();
        assert!(empty.is_empty(), "nothing ran through {empty:?}");
    }
}

/// Runs rounds with these seeds on one engine.
fn rounds(shape: EngineShape, seeds: std::ops::Range<u64>, length: usize) -> Coverage {
    let mut bench = Bench::new(shape);
    let mut coverage = Coverage::new();
    seeds.for_each(|seed| run_round(&mut bench, seed, length, &mut coverage));
    coverage
}

/// Room for the random models.
fn roomy(shape: EngineShape) -> EngineShape {
    EngineShape { constant_words: 512, weight_tiles: 2048, tensors: 32, ..shape }
}

fn run_round(bench: &mut Bench, seed: u64, length: usize, coverage: &mut Coverage) {
    let shape = bench.shape.clone();
    let random = &mut Random::new(seed);
    let mut program = program_with_models(random, &shape);
    for _ in 0..shape.threads {
        let code = code(random, &program, &shape, length);
        let lines = vec![0; code.len()];
        let action = Action { name: "a".into(), parameters: vec![], arguments: 0, code, lines };
        program.actions.push(action);
    }
    bench.write(&lower_models(&program, &shape).unwrap());

    let mut work = Vec::new();
    for thread in 0..shape.threads as u16 {
        let table = Table {
            name: "t".into(),
            kind: rmt_isa::program::MatchKind::Exact,
            key: vec![],
            capacity: 1,
            actions: vec![thread],
            default: Some(ActionCall { action: thread, parameters: vec![] }),
            entries: vec![],
        };
        let one = Program { tables: vec![table], ..program.clone() };
        let event = event(random);
        let mut trace = Trace::default();
        let decision = Machine::new(&one).unwrap().run_observed(&event, &mut trace);
        bench.start(thread.into(), &event);
        let (status, trace) = (decision.status, trace.0);
        work.push(Work { trace, status, next: 0, waits: false, pause: 0, finished: false });
    }

    let busy_core = random.one_in(2);
    for _ in 0..400_000 {
        if work.iter().all(|w| w.finished) {
            break;
        }
        let able: Vec<usize> = (0..work.len())
            .filter(|&t| !work[t].finished && !work[t].waits && work[t].pause == 0)
            .collect();
        work.iter_mut().for_each(|w| w.pause = w.pause.saturating_sub(1));
        bench.withdraw();
        if !able.is_empty() && (busy_core || !random.one_in(3)) {
            let thread = random.pick(&able);
            if work[thread].seek() {
                let before = &work[thread].trace[work[thread].next];
                let (mut a, mut b) = (random.bits(), random.bits());
                for operand in before.instruction.operands() {
                    match (operand.info.name, operand.value) {
                        ("a", Operand::Scalar(s)) => a = before.thread.scalar(s),
                        ("b", Operand::Scalar(s)) => b = before.thread.scalar(s),
                        _ => {}
                    }
                }
                bench.offer(thread as u64, before.instruction.encode(), a, b);
                work[thread].waits = true;
            } else {
                work[thread].finished = true;
            }
        }
        if let Some(answer) = bench.answer() {
            let work = &mut work[answer.thread as usize];
            assert!(work.waits, "an answer that nobody waits for");
            let before = &work.trace[work.next];
            let instruction = before.instruction;
            coverage.answered(answer.status, instruction, &before.thread, &program, &shape);
            work.check(answer.value, answer.status);
            work.pause = if busy_core { 1 } else { 1 + random.below(6) };
        }
        bench.sim.step();
    }
    assert!(work.iter().all(|w| w.finished), "a command was never answered");
    bench.drain();
    for (thread, work) in work.iter().enumerate() {
        let last = &work.trace[work.trace.len() - 1].thread;
        for register in 0..8 {
            let expected = last.vector(Vector::new(register).unwrap()).lanes();
            let found = bench.lanes(thread as u64, register.into(), expected.len());
            assert_eq!(found, expected, "seed {seed}, thread {thread}, v{register}");
        }
    }
}

#[test]
fn random_instructions_on_a_4_by_4_engine_equal_the_interpreter() {
    let coverage = rounds(roomy(EngineShape::tiny()), 0..40, 60);
    coverage.expect_each_opcode(10);
    coverage.expect_all_corners();
    assert!(coverage.refused >= 3, "{} commands were refused", coverage.refused);
}

#[test]
fn random_instructions_equal_the_interpreter_when_columns_hop_and_vectors_are_one_word() {
    let hopping = EngineShape { hop_columns: 1, requantise_lanes: 1, ..EngineShape::tiny() };
    rounds(roomy(hopping), 100..115, 60).expect_each_opcode(2);
    let narrow = EngineShape { array: 8, hop_columns: 2, vector_lanes: 8, ..EngineShape::tiny() };
    rounds(roomy(narrow), 200..215, 60).expect_each_opcode(2);
}

#[test]
fn random_instructions_equal_the_interpreter_when_two_columns_share_a_multiplier() {
    let pairs = EngineShape { multiplier_products: 2, ..EngineShape::tiny() };
    rounds(roomy(pairs), 600..615, 60).expect_each_opcode(2);
    let hopping = EngineShape {
        multiplier_products: 2,
        array: 8,
        hop_columns: 2,
        vector_lanes: 8,
        ..EngineShape::tiny()
    };
    rounds(roomy(hopping), 700..715, 60).expect_each_opcode(2);
}

#[test]
fn random_instructions_equal_the_interpreter_when_columns_take_turns() {
    let twice = EngineShape { array_clock_ratio: 2, hop_columns: 2, ..EngineShape::tiny() };
    rounds(roomy(twice), 800..810, 60).expect_each_opcode(2);
    let four_times = EngineShape {
        array_clock_ratio: 4,
        array: 8,
        hop_columns: 4,
        vector_lanes: 8,
        ..EngineShape::tiny()
    };
    rounds(roomy(four_times), 900..910, 60).expect_each_opcode(2);
}

#[test]
fn random_instructions_on_an_8_by_8_engine_equal_the_interpreter() {
    rounds(roomy(EngineShape::small()), 300..310, 60).expect_each_opcode(5);
}

#[test]
#[ignore = "minutes on the evaluator; `./x test --all` runs it"]
fn random_instructions_on_larger_engines_equal_the_interpreter() {
    let default = EngineShape::default_card();
    let large = EngineShape { array: 32, threads: 4, requantise_lanes: 8, ..default.clone() };
    rounds(roomy(default), 400..403, 80).expect_each_opcode(1);
    rounds(roomy(large), 500..503, 80).expect_each_opcode(1);
}
