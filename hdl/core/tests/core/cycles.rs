//! Cycles of a lone event, measured, and compared with the tables of docs/hardware.md.
//!
//! `RMT_UPDATE_DOCS=1 cargo test -p rmt-core --test core cycles` writes the tables anew.

use std::fmt::Write as _;
use std::path::Path;

use rmt_isa::assembly::assemble;
use rmt_isa::card::CardShape;
use rmt_isa::operand::{Element, IntType};
use rmt_isa::program::*;
use rmt_isa::{Decision, Event};
use rmt_vm::Machine;

use super::bench::Bench;
use super::programs::{action, always, field, program};

const BEGIN: &str = "<!-- cycles: made by the test, see above -->\n";
const END: &str = "<!-- end of cycles -->";

/// One core, one event at a time.
struct Stopwatch {
    shape: CardShape,
    bench: Bench,
}

impl Stopwatch {
    /// Cycles from taking the event to its decision. The decision must be the interpreter's.
    fn lone(&mut self, program: &Program) -> u16 {
        self.bench.install(&self.shape, program, Ordering::Total);
        let mut event = Event::new(3, 7, 5);
        (0..24).for_each(|n| event.store(16 + 2 * n, 2, 37 * n as u64 % 100));
        let decision = self.bench.run(&[event])[0];
        let expected = Machine::new(program).unwrap().run(&event);
        assert_eq!(Decision { cycles: 0, ..decision }, expected);
        decision.cycles
    }

    /// Cycles that `text` adds to a small action in which a record is open, `v0` has four
    /// lanes and `r1` a value of 16 bits.
    fn added(&mut self, text: &str) -> u16 {
        let code = |text: &str| {
            format!(
                "ld_event r1, event+18, u16\nmovi r2, 3\nRMT_MATCH_CTXT r3, ctxt0, r2\n\
                 RMT_PUSH_CTXT ctxt0.1, r1\nRMT_VECTOR_LD_EVENT v0, x4, i16, event+16\n\
                 mov r9, r9\nmov r9, r9\n{text}\nmov r9, r9\nout out0, r1\nexit decided"
            )
        };
        let one = |watch: &mut Self, text: &str| {
            let act = action("act", 0, 0, &code(text));
            let mut program = program(vec![always("t", 0)], vec![act], vec![store()]);
            program.maps = maps();
            watch.lone(&program)
        };
        one(self, text) - one(self, "")
    }
}

fn store() -> Context {
    let fields = vec![field("last", IntType::I64, None), field("deltas", IntType::I16, Some(4))];
    Context { name: "c".into(), capacity: 16, fields }
}

fn maps() -> Vec<Map> {
    let map = |kind| Map {
        name: format!("{kind:?}"),
        kind,
        capacity: 16,
        value: IntType::U32,
        label: Label::Public,
    };
    [MapKind::LruHash, MapKind::Histogram, MapKind::RingBuffer].map(map).to_vec()
}

/// What is measured on its own: a line of assembly and what it is called.
const INSTRUCTIONS: &[(&str, &str)] = &[
    ("arithmetic, moves, `ld_event`, `ld_param`, `out`", "add r4, r1, r2"),
    ("jump, not taken", "jeqi r2, 4, +0"),
    ("jump, taken", "jeqi r2, 3, +0"),
    ("`mul`, `CALL mulhi`", "mul r4, r1, r2"),
    ("`div`, `rem` of 8 bits by anything", "div r4, r2, r1"),
    ("`div`, `rem` of 64 bits by anything", "subi r5, r2, 4\ndivu r4, r5, r2"),
    ("`CALL crc32c`, `CALL log2`", "CALL r4, crc32c, r1, r2"),
    ("`CALL isqrt`", "CALL r4, isqrt, r1, r2"),
    ("`CALL random`", "CALL r4, random, r1, r2"),
    ("`RMT_MATCH_CTXT`, `RMT_FIND_CTXT`", "RMT_FIND_CTXT r4, ctxt0, r2"),
    ("`RMT_LD_CTXT`, `RMT_HIST_LEN`", "RMT_LD_CTXT r4, ctxt0.0"),
    ("`RMT_LD_HIST`, `RMT_LD_HISTI`", "RMT_LD_HISTI r4, ctxt0.1, 0"),
    ("`RMT_ST_CTXT`, `RMT_PUSH_CTXT`", "RMT_PUSH_CTXT ctxt0.1, r1"),
    ("`map_ld`, `map_has`, `map_st`, `map_del`", "map_ld r4, map0, r1"),
    ("`map_add`", "map_add r4, map0, r1, r2"),
    ("`map_add` to a histogram", "map_add r4, map1, r1, r2"),
    ("`map_push`", "map_push map2, r1"),
    ("`RMT_VECTOR_LD_CTXT` of 4 lanes", "RMT_VECTOR_LD_CTXT v1, x4, i16, ctxt0.1"),
    ("`RMT_VECTOR_ST_CTXT` of 4 lanes", "RMT_VECTOR_ST_CTXT ctxt0.1, v0"),
    ("`RMT_VECTOR_LD_EVENT` of 4 lanes", "RMT_VECTOR_LD_EVENT v1, x4, i16, event+16"),
    ("`RMT_SCALAR_VAL` of 4 lanes", "RMT_SCALAR_VAL r4, v0, lane1"),
];

fn exit_only() -> Program {
    program(vec![always("t", 0)], vec![action("act", 0, 0, "exit decided")], vec![])
}

/// An entry of a table of a kind matches; the default would end the event otherwise.
fn found_by(kind: MatchKind) -> Program {
    let matcher = match kind {
        MatchKind::Exact => Matcher::Exact { key: 5 },
        MatchKind::LongestPrefix => Matcher::LongestPrefix { key: 0, length: 32 },
        MatchKind::Ternary => Matcher::Ternary { value: 1, mask: 1 },
        MatchKind::Range => Matcher::Range { low: vec![4], high: vec![6] },
    };
    let mut table = always("t", 1);
    table.kind = kind;
    let source = KeySource::Event { offset: 8 };
    table.key = vec![KeyField { name: "key".into(), kind: IntType::U64, source }];
    table.actions = vec![0];
    let call = ActionCall { action: 0, parameters: vec![] };
    table.entries = vec![Entry { matcher, priority: 0, call }];
    let actions = vec![action("act", 0, 0, "exit decided"), action("miss", 0, 0, "exit abstain")];
    program(vec![table], actions, vec![])
}

fn tail_call() -> Program {
    let actions = vec![action("go", 0, 0, "TAIL_CALL table1"), action("act", 0, 0, "exit decided")];
    program(vec![always("t", 0), always("u", 1)], actions, vec![])
}

/// A tree in which every event makes `depth` comparisons.
fn tree(depth: u16) -> Program {
    let mut nodes = Vec::new();
    for level in 0..depth {
        let left = 2 * level + 1;
        nodes.push(TreeNode::Branch { feature: level as u8 % 8, threshold: i32::MAX, left });
        if level > 0 {
            nodes.push(TreeNode::Leaf { value: 1 });
        }
    }
    nodes.extend([TreeNode::Leaf { value: 77 }, TreeNode::Leaf { value: 1 }]);
    let act = action(
        "act",
        0,
        0,
        "RMT_VECTOR_LD_EVENT v0, x8, i16, event+16\nRMT_TREE_EVAL r1, v0, forest0\nout out0, r1\nexit decided",
    );
    let mut program = program(vec![always("t", 0)], vec![act], vec![]);
    program.models.push("m".into());
    let (name, model, mode) = ("f".into(), 0, ForestMode::Sum);
    program.forests.push(Forest { name, model, mode, features: 8, roots: vec![0], nodes });
    program
}

/// A network of 15 inputs, 10 hidden units and 1 output.
fn network() -> Program {
    let act = action(
        "act",
        0,
        0,
        "RMT_VECTOR_LD_EVENT v0, x15, i16, event+16\n\
         RMT_MAT_MUL v1, v0, tensor0, tensor1\n\
         RMT_REQUANT v1, v1, i16, scale0\n\
         RMT_VECTOR_RELU v1, v1\n\
         RMT_MAT_MUL v2, v1, tensor2, tensor3\n\
         RMT_SCALAR_VAL r1, v2, lane0\n\
         out out0, r1\n\
         exit decided",
    );
    let mut program = program(vec![always("t", 0)], vec![act], vec![]);
    program.models.push("m".into());
    let tensor = |name: &str, element, shape: &[u32]| {
        let count = shape.iter().product::<u32>() as i32;
        let values = (0..count).map(|n| 29 * n % 201 - 100).collect();
        Tensor { name: name.into(), model: 0, element, shape: shape.to_vec(), values }
    };
    program.tensors = vec![
        tensor("w1", Element::I8, &[10, 15]),
        tensor("b1", Element::I32, &[10]),
        tensor("w2", Element::I8, &[1, 10]),
        tensor("b2", Element::I32, &[1]),
    ];
    let channels = vec![ChannelScale { multiplier: 1 << 30, shift: 36 }];
    program.scales.push(Scale { name: "s".into(), model: 0, channels, zero_point: 0 });
    program
}

#[test]
fn cycles_are_those_of_the_page_and_within_their_targets() {
    let shape = CardShape::default_card();
    let bench = Bench::new(&shape, &exit_only(), Ordering::Total);
    let mut watch = Stopwatch { shape, bench };
    let mut page = String::from("| lone event | cycles | target |\n| --- | --- | --- |\n");
    let whole = [
        ("`exit` alone", exit_only(), None),
        ("the same, found in an exact table", found_by(MatchKind::Exact), None),
        ("in a longest prefix table", found_by(MatchKind::LongestPrefix), None),
        ("in a ternary table", found_by(MatchKind::Ternary), None),
        ("in a range table", found_by(MatchKind::Range), None),
        ("tail call, then `exit`", tail_call(), None),
        ("tree of depth 8 over 8 lanes of the event", tree(8), Some(30)),
        ("network 15-10-1, i16 activations, N = 16", network(), Some(100)),
    ];
    for (name, program, target) in whole {
        let cycles = watch.lone(&program);
        assert!(target.is_none_or(|target| cycles <= target), "{name}: {cycles} cycles");
        let target = target.map_or("–".into(), |target: u16| format!("≤ {target}"));
        let _ = writeln!(page, "| {name} | {cycles} | {target} |");
    }
    page.push_str("\n| instruction | cycles that it adds |\n| --- | --- |\n");
    for (name, text) in INSTRUCTIONS {
        let extra = assemble(text).unwrap().len() as u16 - 1;
        let _ = writeln!(page, "| {name} | {} |", watch.added(text) - extra);
    }
    check_page(&page);
}

fn check_page(measured: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/hardware.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(BEGIN).expect("the page has no begin of cycles") + BEGIN.len();
    let end = begin + text[begin..].find(END).expect("the page has no end of cycles");
    if std::env::var_os("RMT_UPDATE_DOCS").is_some() {
        let new = format!("{}{measured}{}", &text[..begin], &text[end..]);
        std::fs::write(&path, new).unwrap();
        return;
    }
    assert_eq!(&text[begin..end], measured, "docs/hardware.md is stale: set RMT_UPDATE_DOCS=1");
}
