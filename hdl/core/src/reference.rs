//! What tests compare with: one instruction on the interpreter.

use rmt_isa::assembly::assemble;
use rmt_isa::operand::IntType;
use rmt_isa::program::*;
use rmt_isa::{Event, Instruction};
use rmt_vm::Machine;

/// A program whose only table runs one action always.
pub fn program_of(code: Vec<Instruction>) -> Program {
    Program {
        name: "one".into(),
        hook: Hook { name: "hook".into(), number: 3, fields: vec![] },
        outputs: (0..3)
            .map(|n| Output { name: format!("o{n}"), kind: IntType::U64, label: Label::Public })
            .collect(),
        tables: vec![Table {
            name: "always".into(),
            kind: MatchKind::Exact,
            key: vec![],
            capacity: 4,
            actions: vec![0],
            default: Some(ActionCall { action: 0, parameters: vec![] }),
            entries: vec![],
        }],
        actions: vec![Action {
            name: "act".into(),
            parameters: vec![],
            arguments: 0,
            lines: vec![0; code.len()],
            code,
        }],
        ..Program::default()
    }
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
