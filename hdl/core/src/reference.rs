//! What tests compare with: one instruction on the interpreter.

use rmt_isa::assembly::assemble;
use rmt_isa::program::*;
use rmt_isa::{Event, Instruction};
use rmt_vm::Machine;

/// A program whose only table runs one action always.
pub fn program_of(code: Vec<Instruction>) -> Program {
    let mut program = Program::of_action("one", 3, code);
    program.tables[0].capacity = 4;
    program
}

/// An event with three arguments of 64 bits.
pub fn event_of(key: u64, arguments: &[u64]) -> Event {
    let mut event = Event::new(3, 0x1234_5678, key);
    for (index, &value) in arguments.iter().enumerate() {
        event.store(16 + 8 * index, 8, value);
    }
    event
}

/// Scalar result of `instruction` with destination r3 and sources r1 and r2; for a jump that
/// skips one instruction: 1 if it is taken.
pub fn scalar_result(instruction: Instruction, a: u64, b: u64, d: u64) -> u64 {
    let mut code = assemble(
        "ld_event r1, event+16, u64\nld_event r2, event+24, u64\nld_event r3, event+32, u64",
    )
    .unwrap();
    if instruction.jump_target().is_some() {
        code.extend(assemble("movi r3, 1").unwrap());
        code.push(instruction);
        code.extend(assemble("movi r3, 0").unwrap());
    } else {
        code.push(instruction);
    }
    code.extend(assemble("out out0, r3\nexit decided").unwrap());
    let mut machine = Machine::new(&program_of(code)).unwrap();
    machine.run(&event_of(0, &[a, b, d])).outputs[0]
}

/// Values at which arithmetic goes wrong first, then random ones.
pub fn operands(count: u64) -> impl Iterator<Item = u64> {
    let edges = [0, 1, 2, 7, 63, 64, u64::MAX, 1 << 63, (1 << 63) - 1, 0x8000_0000, 0xffff_ffff];
    edges.into_iter().chain((0..count).map(|n| {
        let random = rmt_isa::arithmetic::split_mix_64(n);
        random >> (rmt_isa::arithmetic::split_mix_64(!n) % 64)
    }))
}
