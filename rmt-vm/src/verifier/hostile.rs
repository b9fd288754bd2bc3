//! The verifier is total: programs with wild numbers give violations or a report, never a
//! panic; and what it accepts loads and never faults.

use std::time::Duration;

use cpu_time::ThreadTime;
use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::operand::{Element, IntType};
use rmt_isa::program::{
    ActionCall, ChannelScale, Entry, KeySource, MatchKind, Matcher, Program, TreeNode,
};
use rmt_isa::{Event, Instruction, Status};

use super::testing::Fixture;
use super::{Limits, verify};
use crate::interpreter::Machine;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        split_mix_64(self.0)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// Mostly small numbers, else edges and anything.
    fn wild(&mut self) -> u64 {
        let bits = self.next();
        match bits % 8 {
            0..=3 => bits >> 61,
            4 => u64::MAX >> (bits >> 58),
            5 => 1 << (bits >> 58),
            6 => (1_u64 << (bits >> 58)).wrapping_sub(1),
            _ => bits,
        }
    }

    fn pick<'a, T>(&mut self, list: &'a mut [T]) -> Option<&'a mut T> {
        let index = self.below(list.len());
        list.get_mut(index)
    }

    fn instruction(&mut self) -> Instruction {
        loop {
            let info = &rmt_isa::INSTRUCTIONS[self.below(rmt_isa::INSTRUCTIONS.len())];
            let bits = self.wild() << 32 ^ self.wild() << 8 ^ self.wild() << 20;
            let word = bits & info.used_bits() & !0xff | u64::from(info.opcode);
            if let Ok(instruction) = Instruction::decode(word) {
                return instruction;
            }
        }
    }
}

/// Changes one thing of the program to something wild.
fn spoil(random: &mut Random, program: &mut Program) {
    let number = random.wild();
    let kinds = [IntType::U8, IntType::I8, IntType::U16, IntType::I32, IntType::U64, IntType::I64];
    let kind = kinds[number as usize % kinds.len()];
    macro_rules! change {
        ($list:expr, |$object:ident| $body:expr) => {
            if let Some($object) = random.pick(&mut $list) {
                $body;
            }
        };
    }
    match random.below(40) {
        0 => program.tables.clear(),
        1 => program.actions.truncate(number as usize),
        2 => program.outputs.clear(),
        3 => change!(program.hook.fields, |f| (f.offset, f.kind) = (number as u8, kind)),
        4 => change!(program.tables, |t| t.capacity = number as u32),
        5 => change!(program.tables, |t| t.actions.push(number as u16)),
        6 => change!(program.tables, |t| t.default = None),
        7 => change!(program.tables, |t| t.default =
            Some(ActionCall { action: number as u16, parameters: vec![number] })),
        8 => change!(program.tables, |t| t.key.clear()),
        9 => change!(program.tables, |t| change!(t.key, |k| {
            (k.kind, k.source) = (kind, KeySource::Event { offset: number as u8 });
        })),
        10 => change!(program.tables, |t| change!(t.key, |k| {
            k.source = KeySource::Argument { register: number as u8 };
        })),
        11 => change!(program.tables, |t| t.kind =
            [MatchKind::LongestPrefix, MatchKind::Ternary, MatchKind::Range][number as usize % 3]),
        12 => {
            let wide = u128::from(number) << (number % 100);
            let matcher = match number % 4 {
                0 => Matcher::Exact { key: wide },
                1 => Matcher::LongestPrefix { key: wide, length: number as u8 },
                2 => Matcher::Ternary { value: wide, mask: !wide },
                _ => Matcher::Range { low: vec![number], high: vec![u64::MAX] },
            };
            let call = ActionCall { action: number as u16 % 3, parameters: vec![] };
            change!(program.tables, |t| t.entries.push(Entry { matcher, priority: 0, call }));
        }
        13 => change!(program.actions, |a| a.arguments = number as u8),
        14 => change!(program.actions, |a| a.parameters.clear()),
        15 => change!(program.actions, |a| a.code.clear()),
        16 => change!(program.actions, |a| a.lines = vec![number as u32; 3]),
        17 => change!(program.contexts, |c| c.capacity = number as u32),
        18 => change!(program.contexts, |c| change!(c.fields, |f| f.ring = Some(number as u16))),
        19 => change!(program.contexts, |c| c.fields.clear()),
        20 => change!(program.maps, |m| m.capacity = number as u32),
        21 => program.maps.clear(),
        22 => program.models.clear(),
        23 => change!(program.tensors, |t| t.model = number as u16),
        24 => change!(program.tensors, |t| t.element = Element::I8),
        25 => change!(program.tensors, |t| t.shape.push(number as u32)),
        26 => change!(program.tensors, |t| change!(t.shape, |n| *n = number as u32)),
        27 => change!(program.tensors, |t| change!(t.values, |v| *v = number as i32)),
        28 => change!(program.scales, |s| s
            .channels
            .push(ChannelScale { multiplier: number as i32, shift: number as u8 })),
        29 => change!(program.scales, |s| s.channels.clear()),
        30 => {
            change!(program.windows, |w| (w.stride_x, w.pad_top) = (number as u16, number as u16))
        }
        31 => change!(program.windows, |w| (w.height, w.out_width) = (number as u16, u16::MAX)),
        32 => change!(program.forests, |f| f.roots.push(number as u16)),
        33 => change!(program.forests, |f| f.features = number as u16),
        34 => change!(program.forests, |f| f.nodes.push(TreeNode::Branch {
            feature: number as u8,
            threshold: 0,
            left: number as u16,
        })),
        35 => change!(program.actions, |a| a.name = "\u{202e}\n".repeat(number as usize % 400)),
        _ => {
            for _ in 0..=random.below(20) {
                let instruction = random.instruction();
                let at = random.next() as usize;
                change!(program.actions, |a| {
                    let at = at % (a.code.len() + 1);
                    a.code.insert(at, instruction);
                });
            }
        }
    }
}

/// Loads and runs what was accepted.
fn run(random: &mut Random, program: &Program) {
    let mut machine = Machine::new(program).expect("a verified program loads");
    for _ in 0..20 {
        let mut event = Event::new(program.hook.number, 0, random.wild());
        for offset in (16..64).step_by(8) {
            event.store(offset, 8, random.wild());
        }
        let status = machine.run(&event).status;
        let fine = matches!(status, Status::Decided | Status::Abstained | Status::Missed);
        assert!(fine, "a verified program ends with `{}`: {program:?}", status.text());
    }
}

#[test]
fn wild_programs_are_accepted_or_refused() {
    let base = Fixture::new(
        "ld_event r1, event+8, u64\nRMT_MATCH_CTXT r2, ctxt0, r1\nRMT_LD_CTXT r3, ctxt0.1\n\
         RMT_VECTOR_LD_CTXT v0, x8, i16, ctxt0.3\nRMT_MAT_MUL v1, v0, tensor0, tensor1\n\
         RMT_REQUANT v1, v1, i8, scale1\nRMT_TREE_EVAL r4, v0, forest0\n\
         RMT_VECTOR_FILL v2, x32, i8, 1\nRMT_CONV_2D v3, v2, window0, tensor3, none\n\
         jeqi r3, 0, end\nout out1, r4\nend: movi r1, 1\nmovi r2, 2\nTAIL_CALL table1",
    );
    base.accepted();
    let mut random = Random(99);
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..6000 {
        let mut program = base.program.clone();
        for _ in 0..=random.below(3) {
            spoil(&mut random, &mut program);
        }
        match verify(&program, &limits) {
            Ok(_) => {
                accepted += 1;
                run(&mut random, &program);
            }
            Err(violations) => {
                refused += 1;
                assert!(!violations.is_empty() && violations.len() <= limits.violations + 1);
                for violation in violations {
                    let text = violation.to_string();
                    assert!(text.lines().count() >= 5 && text.len() < 4000, "{text}");
                }
            }
        }
    }
    assert!(accepted > 200 && refused > 3000, "{accepted} accepted, {refused} refused");
}

#[test]
fn an_empty_program_is_refused() {
    let violations = verify(&Program::default(), &Limits::default()).unwrap_err();
    assert_eq!(violations.len(), 1, "{violations:?}");
}

/// The shortest of some runs, in time of this thread: the machine may be busy with other things.
fn fastest(program: &Program, limits: &Limits) -> Duration {
    let times = (0..5).map(|_| {
        let start = ThreadTime::now();
        let _ = verify(program, limits);
        start.elapsed()
    });
    let fastest = times.min().unwrap_or_default();
    println!(
        "{} instructions: {fastest:.1?}",
        program.actions.iter().map(|a| a.code.len()).sum::<usize>()
    );
    fastest
}

/// A bound that a quadratic algorithm would miss by far, in an unoptimised build on a busy
/// machine. `docs/verifier.md` has the figures of an optimised build.
const BOUND: Duration = Duration::from_millis(500);

#[test]
fn the_longest_action_takes_milliseconds() {
    // Private branches everywhere, each to another place: the worst for joins and merges.
    let mut code = String::from("ld_event r1, event+16, u64\nRMT_VECTOR_FILL v0, x256, i16, 3\n");
    for index in 0..2046 {
        let ahead = if index % 2 == 0 { 2046 } else { 2 * (2046 - index) };
        code += &format!("jeqi r1, {index}, +{}\n", ahead.min(4092 - index));
    }
    for lane in 0..2047 {
        code += &format!("RMT_VECTOR_SET v{}, lane{}, r1\n", 0, lane % 256);
    }
    code += "exit decided";
    let fixture = Fixture::new(&code);
    assert_eq!(fixture.program.actions[0].code.len(), 4096);
    fixture.accepted();
    let time = fastest(&fixture.program, &fixture.limits);
    assert!(time < BOUND, "{time:?}");
}

#[test]
fn many_large_products_take_milliseconds() {
    let product = "RMT_MAT_MUL v1, v0, tensor0, none\n";
    let code = format!(
        "RMT_VECTOR_FILL v0, x256, i16, 3\nmovi r1, 5\nRMT_VECTOR_SET v0, lane7, r1\n{}exit decided",
        product.repeat(4092)
    );
    let mut fixture = Fixture::new(&code);
    fixture.program.tensors[0].shape = vec![256, 256];
    fixture.program.tensors[0].values = vec![100; 65_536];
    fixture.limits.event.macs = u64::MAX;
    fixture.limits.event.card_cycles = u64::MAX;
    fixture.accepted();
    let time = fastest(&fixture.program, &fixture.limits);
    assert!(time < BOUND, "{time:?}");
}

#[test]
fn wide_call_graphs_take_milliseconds() {
    // 1,024 tables that all may run 1,023 actions: a million edges.
    let mut fixture = Fixture::new("exit decided");
    let (table, action) = (fixture.program.tables[0].clone(), fixture.program.actions[0].clone());
    let program = &mut fixture.program;
    program.tables = (0..1024)
        .map(|n| {
            let mut table = table.clone();
            table.name = format!("t{n}");
            table.actions = (1..1024).collect();
            table
        })
        .collect();
    program.actions = (0..1024)
        .map(|n| {
            let mut action = action.clone();
            action.name = format!("a{n}");
            action
        })
        .collect();
    fixture.set_code(0, "TAIL_CALL table1");
    fixture.refused();
    let time = fastest(&fixture.program, &fixture.limits);
    assert!(time < BOUND, "{time:?}");
}
