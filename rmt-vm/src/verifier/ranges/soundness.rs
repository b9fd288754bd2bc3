//! The claims of the types and ranges passes against the interpreter: random programs run on
//! random events, and before every instruction each register holds what was claimed.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::operand::{OPCODE, OperandKind, Scalar, Vector};
use rmt_isa::program::Label;
use rmt_isa::{Event, INSTRUCTIONS, Instruction, Status};

use super::interval::Interval;
use super::pass::{RangeCache, Ranges, State};
use crate::interpreter::{Machine, Observer, Thread};
use crate::verifier::findings::Findings;
use crate::verifier::testing::Fixture;
use crate::verifier::types::{Typing, check_types};
use crate::verifier::{control, dataflow, verify};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        split_mix_64(self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Small and huge values, and the edges between signs.
    fn value(&mut self) -> u64 {
        let bits = self.next();
        match bits % 6 {
            0 => bits >> 56,
            1 => (i64::MAX as u64).wrapping_add(bits >> 61),
            2 => 0_u64.wrapping_sub(bits >> 60),
            3 => (1 << (bits >> 58)) - 1,
            _ => bits >> (bits >> 8 & 63),
        }
    }
}

/// A random instruction whose registers and indices are likely to exist.
fn instruction(random: &mut Random, ahead: u64) -> Option<Instruction> {
    let info = &INSTRUCTIONS[random.below(INSTRUCTIONS.len() as u64) as usize];
    let word = info.operands.iter().fold(OPCODE.insert(info.opcode.into()), |word, operand| {
        let bits = match operand.kind {
            OperandKind::Scalar => random.below(6),
            OperandKind::Vector => random.below(4),
            OperandKind::Immediate => random.value(),
            OperandKind::Jump => random.below(ahead),
            OperandKind::Lanes => [4, 8, 32][random.below(3) as usize],
            OperandKind::Bias => [0xffff, 1][random.below(2) as usize],
            OperandKind::EventOffset => 8 * random.below(8),
            OperandKind::Lane => random.below(8),
            OperandKind::FieldRef => random.below(5),
            _ => random.below(8),
        };
        word | operand.slot.insert(bits)
    });
    Instruction::decode(word).ok().filter(|instruction| !instruction.ends_action())
}

const START: &str = "ld_event r0, event+8, u64\nRMT_MATCH_CTXT r1, ctxt0, r0\n\
    ld_event r1, event+16, u64\nld_event r2, event+24, i16\nld_event r3, event+32, u64\n\
    ld_event r4, event+40, i64\nld_event r5, event+48, u8\n\
    RMT_VECTOR_LD_EVENT v0, x8, i16, event+32\nRMT_VECTOR_LD_EVENT v1, x4, i32, event+32\n\
    RMT_VECTOR_FILL v2, x32, i8, 7\nRMT_VECTOR_LD_EVENT v3, x8, i8, event+56\n";

/// A verified program of random instructions.
fn program(random: &mut Random) -> Fixture {
    let mut fixture = Fixture::new(&format!("{START}exit decided"));
    // Everything public: information flow is not the question here.
    let program = &mut fixture.program;
    program.hook.fields.iter_mut().for_each(|field| field.label = Label::Public);
    program.maps.iter_mut().for_each(|map| map.label = Label::Public);
    let fields = program.contexts.iter_mut().flat_map(|context| &mut context.fields);
    fields.for_each(|field| field.label = Label::Public);
    let end = fixture.program.actions[0].code.len() - 1;
    let length = 40;
    for index in 0..length {
        // Jumps into what is still to come are checked again when it is there.
        let ahead = length - index;
        for _ in 0..20 {
            let Some(candidate) = instruction(random, ahead) else { continue };
            let code = &mut fixture.program.actions[0].code;
            code.insert(end + index as usize, candidate);
            let padding = code.len() + ahead as usize;
            let exit = *code.last().expect("the fixture ends with an exit");
            code.resize(padding, exit);
            let good = verify(&fixture.program, &fixture.limits).is_ok();
            let code = &mut fixture.program.actions[0].code;
            code.truncate(padding - ahead as usize);
            if good {
                break;
            }
            code.remove(end + index as usize);
        }
    }
    fixture
}

fn event(random: &mut Random) -> Event {
    let mut event = Event::new(1, 0, random.below(4));
    for offset in (16..64).step_by(8) {
        let value = random.value();
        event.store(offset, 8, value);
    }
    event
}

/// Compares registers with claims.
struct Watch<'a> {
    typings: &'a [Typing],
    states: &'a [Option<State>],
    checked: u64,
    code: &'a [Instruction],
}

impl Observer for Watch<'_> {
    fn instruction(&mut self, _: usize, pc: usize, instruction: Instruction, thread: &Thread) {
        let state = self.states[pc].as_ref().expect("an instruction that was thought unreachable");
        for number in 0..16 {
            let value = thread.scalar(Scalar::new(number).unwrap()) as i64;
            let claimed = state.scalars[usize::from(number)];
            let inside = claimed.contains(Interval::constant(value));
            assert!(
                inside,
                "r{number} is {value}, claimed {claimed}, before {pc}: {instruction}\n{}",
                rmt_isa::assembly::disassemble(self.code)
            );
            self.checked += u64::from(claimed != Interval::ALL);
        }
        for number in 0..8 {
            let register = thread.vector(Vector::new(number).unwrap());
            let Some(claimed) = self.typings[pc].before[usize::from(number)] else { continue };
            assert_eq!(
                (register.element(), register.lanes().len()),
                (claimed.element, claimed.lanes.into())
            );
            for (lane, &value) in register.lanes().iter().enumerate() {
                let range = state.vectors[usize::from(number)].lane(lane);
                assert!(
                    range.contains(Interval::constant(value.into())),
                    "lane {lane} of v{number} is {value}, claimed {range}, before {pc}: {instruction}\n{}",
                    rmt_isa::assembly::disassemble(self.code)
                );
                self.checked += 1;
            }
        }
    }
}

#[test]
fn registers_hold_what_is_claimed() {
    let mut random = Random(2024);
    let mut seen = std::collections::BTreeSet::new();
    let mut checked = 0;
    for _ in 0..60 {
        let fixture = program(&mut random);
        let mut findings = Findings::new(&fixture.program, 10);
        let graph = control::check_control_flow(&mut findings, 0).unwrap();
        let typings = check_types(&mut findings, 0, &graph);
        let mut cache = RangeCache::new();
        let mut pass = Ranges::new(&mut findings, 0, &typings, &mut cache);
        pass.keep_states = true;
        dataflow::run(&graph, &mut pass, Ranges::entry());
        let states = std::mem::take(&mut pass.states);
        let mut machine = Machine::new(&fixture.program).expect("a verified program loads");
        let code = &fixture.program.actions[0].code;
        for _ in 0..40 {
            let mut watch = Watch { typings: &typings, states: &states, checked: 0, code };
            let decision = machine.run_observed(&event(&mut random), &mut watch);
            assert_eq!(decision.status, Status::Decided);
            checked += watch.checked;
        }
        seen.extend(code.iter().map(|instruction| instruction.opcode()));
    }
    let all = INSTRUCTIONS.len() - 1;
    assert!(checked > 200_000, "only {checked} claims were checked");
    // All instructions but the tail call, give or take a few that chance leaves out.
    assert!(seen.len() + 3 >= all, "only {} of {all} instructions occurred", seen.len());
}
