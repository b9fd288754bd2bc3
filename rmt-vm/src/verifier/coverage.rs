//! Every instruction of the table has programs that are accepted and programs that are
//! refused, made from the operand lists of the table: a new instruction is covered, or the
//! test fails. `list` prints what covers each of them.

#[cfg(feature = "jit")]
mod list;

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::assembly::assemble;
use rmt_isa::operand::{OPCODE, Operand, OperandKind, Role};
use rmt_isa::{Helper, INSTRUCTIONS, Instruction, InstructionInfo};

use super::testing::Fixture;
use super::{Rule, Violation, verify};

/// Writes r0 to r9 and v0 to v3, and opens the event's own records. Everything is public.
const START: &str = "ld_event r0, event+8, u64\nRMT_MATCH_CTXT r1, ctxt0, r0\n\
    RMT_MATCH_CTXT r1, ctxt1, r0\nld_event r1, event+24, u32\nmov r2, r0\nmov r3, r1\n\
    mov r4, r1\nmov r5, r1\nmov r6, r1\nmov r7, r1\nmov r8, r1\nmov r9, r1\n\
    RMT_VECTOR_FILL v0, x8, i16, 1\nRMT_VECTOR_FILL v1, x8, i32, 2\n\
    RMT_VECTOR_FILL v2, x32, i8, 3\nRMT_VECTOR_FILL v3, x8, i16, 4\n";

/// The start, the instruction, and an end unless the instruction is one.
fn with(instruction: Instruction) -> Fixture {
    let mut fixture = Fixture::new(START);
    let code = &mut fixture.program.actions[0].code;
    code.push(instruction);
    if !instruction.ends_action() {
        code.extend(assemble("exit decided").unwrap());
    }
    fixture
}

fn encode(info: &InstructionInfo, mut bits: impl FnMut(usize, OperandKind) -> u64) -> u64 {
    let operands = info.operands.iter().enumerate();
    operands.fold(OPCODE.insert(info.opcode.into()), |word, (index, operand)| {
        word | operand.slot.insert(bits(index, operand.kind))
    })
}

/// An instruction of the row that the verifier accepts: random operands until one fits.
fn accepted(info: &InstructionInfo) -> Instruction {
    let mut state = u64::from(info.opcode);
    let mut below = |bound: u64| {
        state = split_mix_64(state);
        state % bound
    };
    for _ in 0..20_000 {
        let word = encode(info, |_, kind| match kind {
            OperandKind::Scalar => below(10),
            OperandKind::Vector => below(4),
            OperandKind::Jump => 0,
            OperandKind::Lanes => 1 + below(8),
            OperandKind::Bias => [0xffff, 1][below(2) as usize],
            OperandKind::EventOffset => 8 * below(8),
            _ => below(8),
        });
        let Ok(instruction) = Instruction::decode(word) else { continue };
        let fixture = with(instruction);
        if verify(&fixture.program, &fixture.limits).is_ok() {
            return instruction;
        }
    }
    panic!("no program with `{}` is accepted", info.mnemonic)
}

/// The same instruction with other bits for one operand; `None` when no value has them.
fn with_operand(instruction: Instruction, operand: usize, bits: u64) -> Option<Instruction> {
    let slot = instruction.info().operands[operand].slot;
    Instruction::decode(instruction.encode() & !slot.insert(u64::MAX) | slot.insert(bits)).ok()
}

/// The rules that the program breaks at the instruction behind the start.
fn rules(fixture: &Fixture) -> Vec<Rule> {
    let at = assemble(START).unwrap().len();
    let violations = verify(&fixture.program, &fixture.limits).err().unwrap_or_default();
    let here = |violation: &&Violation| {
        violation.place.instruction.as_ref().is_some_and(|place| place.index == at)
    };
    violations.iter().filter(here).map(|violation| violation.rule).collect()
}

/// What is refused when this operand is bad, and bits that make it so.
fn spoiled(operand: Operand, role: Role) -> Option<(Rule, u64)> {
    let reads = matches!(role, Role::Read | Role::Modify);
    match operand {
        Operand::Scalar(_) if reads => Some((Rule::UninitialisedScalar, 15)),
        Operand::Vector(_) if reads => Some((Rule::UninitialisedVector, 7)),
        Operand::Jump(_) => Some((Rule::JumpOutside, 4095)),
        Operand::ContextId(_) | Operand::ParameterIndex(_) => Some((Rule::UnknownOperand, 3)),
        Operand::OutputIndex(_) => Some((Rule::UnknownOperand, 2)),
        Operand::FieldRef(_) => Some((Rule::UnknownOperand, 0xff)),
        Operand::WindowId(_) => Some((Rule::UnknownOperand, 1023)),
        Operand::MapId(_) | Operand::TableId(_) => Some((Rule::UnknownOperand, 4095)),
        Operand::TensorId(_) | Operand::Bias(_) | Operand::ScaleId(_) | Operand::ForestId(_) => {
            Some((Rule::UnknownOperand, 0xfffe))
        }
        // Written registers are free to choose; the rest has rules of its own.
        _ => None,
    }
}

/// Refuses an accepted instruction in all ways that its operands allow; how many these are.
fn refusals(instruction: Instruction) -> usize {
    let mut refused = 0;
    for (index, operand) in instruction.operands().into_iter().enumerate() {
        let Some((rule, bits)) = spoiled(operand.value, operand.info.role) else { continue };
        let one_argument = matches!(instruction, Instruction::Call { helper, .. }
            if helper.arguments() == 1 && operand.info.name == "b");
        if one_argument {
            continue;
        }
        let bad = with_operand(instruction, index, bits).expect("bits that decode");
        assert_eq!(rules(&with(bad)), [rule], "operand `{}` of `{bad}`", operand.info.name);
        refused += 1;
    }
    if !instruction.ends_action() && !matches!(instruction, Instruction::Jump { .. }) {
        let mut fixture = with(instruction);
        fixture.program.actions[0].code.pop();
        assert_eq!(rules(&fixture), [Rule::FallsOffEnd], "`{instruction}` at the end");
        refused += 1;
    }
    // An exit has no operand that could be wrong; what is wrong is who decides on it.
    if let Instruction::Exit { .. } = instruction {
        let code = "ld_event r1, event+16, u64\njeqi r1, 0, +1\nexit abstain\nexit decided";
        assert_eq!(Fixture::new(code).refused()[0].rule, Rule::PrivateStatus);
        refused += 1;
    }
    refused
}

#[test]
fn every_instruction_is_accepted_and_refused() {
    for info in INSTRUCTIONS {
        assert!(refusals(accepted(info)) > 0, "no program with `{}` is refused", info.mnemonic);
    }
}

/// Constants that no generic rule spoils: each kind has a value that does not fit.
#[test]
fn constants_that_do_not_fit_are_refused() {
    for (code, rule) in [
        ("ld_event r1, event+61, u32", Rule::OutsideEvent),
        ("RMT_VECTOR_LD_EVENT v0, x9, i64, event+8", Rule::OutsideEvent),
        ("RMT_VECTOR_LD_EVENT v0, x256, i8, event+8", Rule::OutsideEvent),
        ("RMT_SCALAR_VAL r1, v0, lane8", Rule::LaneOutside),
        ("RMT_VECTOR_SET v0, lane255, r1", Rule::LaneOutside),
        ("RMT_LD_HISTI r1, ctxt0.3, -1", Rule::OutsideRing),
        ("RMT_VECTOR_LD_CTXT v0, x256, i16, ctxt0.3", Rule::OutsideRing),
    ] {
        // Lanes of i64 do not exist: such text is refused before it becomes an instruction.
        match assemble(code) {
            Ok(code) => assert_eq!(rules(&with(code[0])), [rule]),
            Err(error) => assert!(error.to_string().contains("element type"), "{error}"),
        }
    }
}

/// What the issue calls "unknown helper" and "backward jump" never reaches the verifier: no
/// instruction can carry them.
#[test]
fn unknown_helpers_and_backward_jumps_are_no_instructions() {
    let call = INSTRUCTIONS.iter().find(|info| info.mnemonic == "CALL").unwrap();
    let word = encode(call, |_, kind| match kind {
        OperandKind::Helper => Helper::ALL.len() as u64,
        _ => 0,
    });
    let error = Instruction::decode(word).unwrap_err().to_string();
    assert!(error.contains("operand `helper`"), "{error}");
    let error = assemble("CALL r1, launch_missiles, r1, r1").unwrap_err().to_string();
    assert!(error.contains("`launch_missiles` is not"), "{error}");
    let error = assemble("again: movi r1, 1\njump again").unwrap_err().to_string();
    assert!(error.contains("lies behind the jump"), "{error}");
}
