//! The same scalar work twice: as an RMT program and as eBPF for crate `rbpf`.
//!
//! Both are written from one list of operations that both instruction sets have. Ten
//! registers are set from two words of input, worked on, and folded into the result.

use rmt_isa::operand::{EventOffset, IntType, Jump, OutputIndex, Scalar, Verdict};
use rmt_isa::program::{Action, ActionCall, Hook, MatchKind, Output, Table};
use rmt_isa::{Event, Instruction, Program};

/// One operation on registers 0 to 9; `d` is the left operand and the result.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Add(u8, u8),
    Sub(u8, u8),
    Mul(u8, u8),
    Xor(u8, u8),
    Or(u8, u8),
    And(u8, u8),
    AddConstant(u8, i32),
    XorConstant(u8, i32),
    ShiftLeft(u8, i32),
    ShiftRight(u8, i32),
    Move(u8, u8),
    /// Skips the next operation when the registers are equal.
    SkipIfEqual(u8, u8),
    /// Skips the next operation when the register is above the constant, unsigned.
    SkipIfAbove(u8, i32),
}

const REGISTERS: u8 = 10;
const OPERATIONS: usize = 400;

fn operations() -> Vec<Operation> {
    use Operation::*;
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state = state.wrapping_add(1);
        rmt_isa::arithmetic::split_mix_64(state) % below
    };
    let mut operations = Vec::new();
    for place in 0..OPERATIONS {
        let (d, a) = (next(REGISTERS.into()) as u8, next(REGISTERS.into()) as u8);
        let constant = next(1 << 31) as i32;
        let last = place + 1 == OPERATIONS;
        operations.push(match next(13) {
            0 | 1 => Add(d, a),
            2 => Sub(d, a),
            3 => Mul(d, a),
            4 => Xor(d, a),
            5 => Or(d, a),
            6 => And(d, a),
            7 => AddConstant(d, constant),
            8 => XorConstant(d, constant),
            9 => ShiftLeft(d, constant % 64),
            10 => ShiftRight(d, constant % 64),
            11 if !last => SkipIfEqual(d, a),
            12 if !last => SkipIfAbove(d, constant),
            _ => Move(d, a),
        });
    }
    operations
}

fn register(number: u8) -> Scalar {
    Scalar::new(number.into()).unwrap()
}

/// The work as an RMT program with one action.
pub fn rmt_program() -> Program {
    use Instruction as I;
    let mut code = Vec::new();
    let load = |d, offset| I::LoadEvent {
        d: register(d),
        offset: EventOffset::new(offset).unwrap(),
        kind: IntType::U64,
    };
    code.extend([load(0, 16), load(1, 24)]);
    for d in 2..REGISTERS {
        code.push(I::AddImm { d: register(d), a: register(d % 2), imm: i32::from(d) * 77 });
    }
    let skip = Jump::new(1).unwrap();
    for operation in operations() {
        let of = |d: u8, a: u8| (register(d), register(d), register(a));
        code.push(match operation {
            Operation::Add(d, a) => {
                let (d, a, b) = of(d, a);
                I::Add { d, a, b }
            }
            Operation::Sub(d, a) => {
                let (d, a, b) = of(d, a);
                I::Sub { d, a, b }
            }
            Operation::Mul(d, a) => {
                let (d, a, b) = of(d, a);
                I::Mul { d, a, b }
            }
            Operation::Xor(d, a) => {
                let (d, a, b) = of(d, a);
                I::Xor { d, a, b }
            }
            Operation::Or(d, a) => {
                let (d, a, b) = of(d, a);
                I::Or { d, a, b }
            }
            Operation::And(d, a) => {
                let (d, a, b) = of(d, a);
                I::And { d, a, b }
            }
            Operation::AddConstant(d, imm) => I::AddImm { d: register(d), a: register(d), imm },
            Operation::XorConstant(d, imm) => I::XorImm { d: register(d), a: register(d), imm },
            Operation::ShiftLeft(d, imm) => I::ShlImm { d: register(d), a: register(d), imm },
            Operation::ShiftRight(d, imm) => I::ShrUImm { d: register(d), a: register(d), imm },
            Operation::Move(d, a) => I::Move { d: register(d), a: register(a) },
            Operation::SkipIfEqual(a, b) => {
                I::JumpEq { a: register(a), b: register(b), target: skip }
            }
            Operation::SkipIfAbove(a, imm) => I::JumpGtUImm { a: register(a), imm, target: skip },
        });
    }
    for a in 1..REGISTERS {
        code.push(I::Xor { d: register(0), a: register(0), b: register(a) });
    }
    code.push(I::Out { index: OutputIndex::new(0).unwrap(), a: register(0) });
    code.push(I::Exit { verdict: Verdict::Decided });
    let lines = vec![0; code.len()];
    let action = Action { name: "work".into(), parameters: vec![], arguments: 0, code, lines };
    let table = Table {
        name: "work".into(),
        kind: MatchKind::Exact,
        key: vec![],
        capacity: 0,
        actions: vec![0],
        default: Some(ActionCall { action: 0, parameters: vec![] }),
        entries: vec![],
    };
    let field = |name: &str, offset| rmt_isa::program::EventField {
        name: name.into(),
        kind: IntType::U64,
        offset,
        label: Default::default(),
    };
    let output = Output { name: "result".into(), kind: IntType::U64, label: Default::default() };
    Program {
        name: "scalar".into(),
        hook: Hook { name: "work".into(), number: 1, fields: vec![field("a", 16), field("b", 24)] },
        outputs: vec![output],
        tables: vec![table],
        actions: vec![action],
        ..Program::default()
    }
}

/// The work as eBPF. The input is a packet whose bytes 16 to 31 are the two words; rbpf gives
/// its address in register 1.
pub fn ebpf_code() -> Vec<u8> {
    let mut code = Vec::new();
    let mut push = |opcode: u8, d: u8, a: u8, offset: i16, constant: i32| {
        code.extend([opcode, a << 4 | d]);
        code.extend(offset.to_le_bytes());
        code.extend(constant.to_le_bytes());
    };
    const LOAD: u8 = 0x79;
    const MOVE: u8 = 0xbf;
    const ADD_CONSTANT: u8 = 0x07;
    push(LOAD, 0, 1, 16, 0);
    push(LOAD, 1, 1, 24, 0);
    for d in 2..REGISTERS {
        push(MOVE, d, d % 2, 0, 0);
        push(ADD_CONSTANT, d, 0, 0, i32::from(d) * 77);
    }
    for operation in operations() {
        match operation {
            Operation::Add(d, a) => push(0x0f, d, a, 0, 0),
            Operation::Sub(d, a) => push(0x1f, d, a, 0, 0),
            Operation::Mul(d, a) => push(0x2f, d, a, 0, 0),
            Operation::Or(d, a) => push(0x4f, d, a, 0, 0),
            Operation::And(d, a) => push(0x5f, d, a, 0, 0),
            Operation::Xor(d, a) => push(0xaf, d, a, 0, 0),
            Operation::AddConstant(d, constant) => push(ADD_CONSTANT, d, 0, 0, constant),
            Operation::XorConstant(d, constant) => push(0xa7, d, 0, 0, constant),
            Operation::ShiftLeft(d, constant) => push(0x67, d, 0, 0, constant),
            Operation::ShiftRight(d, constant) => push(0x77, d, 0, 0, constant),
            Operation::Move(d, a) => push(MOVE, d, a, 0, 0),
            Operation::SkipIfEqual(d, a) => push(0x1d, d, a, 1, 0),
            Operation::SkipIfAbove(d, constant) => push(0x25, d, 0, 1, constant),
        }
    }
    for a in 1..REGISTERS {
        push(0xaf, 0, a, 0, 0);
    }
    push(0x95, 0, 0, 0, 0);
    code
}

/// An event with these inputs; its bytes are the packet as well.
pub fn event(a: u64, b: u64) -> Event {
    let mut event = Event::new(1, 0, 0);
    event.store(16, 8, a);
    event.store(24, 8, b);
    event
}
