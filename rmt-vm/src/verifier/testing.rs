//! A small program that uses every kind of object, for tests to change and to verify.

use rmt_isa::assembly::assemble;
use rmt_isa::operand::{Element, IntType};
use rmt_isa::program::{
    Action, ActionCall, ChannelScale, Context, ContextField, Entry, EventField, Forest, ForestMode,
    Hook, KeyField, KeySource, Label, Map, MapKind, MatchKind, Matcher, Output, Parameter, Program,
    Scale, Table, Tensor, TreeNode, Window,
};

use super::{Limits, Report, Rule, Violation, verify};

/// A program and the limits to verify it with.
///
/// | object | what it is |
/// | --- | --- |
/// | event | `pid` u64 @8 (the key), `page` u64 @16 private, `cpu` u32 @24, 16 × i16 @32 private from 48 |
/// | `out0`, `out1` | public, private |
/// | `table0` | key `pid`, runs action 0 by default; parameter `level` u8 = 7 |
/// | `table1` | key r1 as u32, runs action 1, which takes r1 and r2 |
/// | `ctxt0` | 0 `count` u32; 1 `secret` u64 private; 2 `limit` i32 read-only; 3 `deltas` ring of 8 i16 private; 4 `recent` ring of 8 i16 |
/// | `ctxt1` | 0 `total` u64 |
/// | `map0`..`map4` | array, hash, LRU hash, ring buffer, histogram, all public |
/// | `map5`..`map7` | hash, ring buffer, array, all private |
/// | `tensor0`..`3` | `w1` i8 4 × 8, `b1` i32 4, `emb` i16 3 × 8, `k1` i8 3 × 3 × 3 × 2 |
/// | `scale0`, `scale1` | one channel, four channels |
/// | `window0` | 4 × 4 × 2, window 3 × 3, stride 1, padding 1, output 4 × 4 |
/// | `forest0` | one tree over 8 features |
#[derive(Clone)]
pub(super) struct Fixture {
    pub(super) program: Program,
    pub(super) limits: Limits,
}

impl Fixture {
    /// The program with this code, in assembly, as action 0. Line n of the source is
    /// instruction n - 1.
    pub(super) fn new(code: &str) -> Self {
        let mut fixture = Self { program: program(), limits: Limits::default() };
        fixture.set_code(0, code);
        fixture.set_code(1, "exit decided");
        fixture
    }

    pub(super) fn set_code(&mut self, action: usize, code: &str) {
        let action = &mut self.program.actions[action];
        action.code = assemble(code).expect("the test's assembly");
        action.lines.clear();
    }

    #[track_caller]
    pub(super) fn accepted(&self) -> Report {
        verify(&self.program, &self.limits).unwrap_or_else(|violations| {
            let texts: Vec<_> = violations.iter().map(Violation::to_string).collect();
            panic!("refused:\n{}", texts.join("\n"))
        })
    }

    #[track_caller]
    pub(super) fn refused(&self) -> Vec<Violation> {
        verify(&self.program, &self.limits).expect_err("the program should be refused")
    }
}

/// Asserts that the program breaks this rule and no other, once, and that the message has
/// `fragment` in it.
#[track_caller]
pub(super) fn refused_by(fixture: &Fixture, rule: Rule, fragment: &str) {
    let violations = fixture.refused();
    let texts: Vec<_> = violations.iter().map(Violation::to_string).collect();
    let text = texts.join("\n");
    assert_eq!(violations.len(), 1, "more than one violation:\n{text}");
    assert_eq!(violations[0].rule, rule, "{text}");
    assert!(text.contains(fragment), "`{fragment}` is not in:\n{text}");
    assert!(!violations[0].remedy.is_empty(), "no remedy:\n{text}");
}

fn event_field(name: &str, kind: IntType, offset: u8, label: Label) -> EventField {
    EventField { name: name.into(), kind, offset, label }
}

fn context_field(name: &str, kind: IntType, ring: Option<u16>, label: Label) -> ContextField {
    ContextField { name: name.into(), kind, ring, writable: name != "limit", label }
}

fn map(name: &str, kind: MapKind, label: Label) -> Map {
    Map { name: name.into(), kind, capacity: 64, value: IntType::U64, label }
}

fn tensor(name: &str, element: Element, shape: &[u32], values: Vec<i32>) -> Tensor {
    Tensor { name: name.into(), model: 0, element, shape: shape.into(), values }
}

fn action(name: &str, arguments: u8, parameters: Vec<Parameter>) -> Action {
    Action { name: name.into(), parameters, arguments, code: vec![], lines: vec![] }
}

fn tables() -> Vec<Table> {
    let key = |name: &str, kind, source| KeyField { name: name.into(), kind, source };
    let first = Table {
        name: "first".into(),
        kind: MatchKind::Exact,
        key: vec![key("pid", IntType::U64, KeySource::Event { offset: 8 })],
        capacity: 64,
        actions: vec![0],
        default: Some(ActionCall { action: 0, parameters: vec![7] }),
        entries: vec![],
    };
    let second = Table {
        name: "second".into(),
        key: vec![key("argument", IntType::U32, KeySource::Argument { register: 1 })],
        actions: vec![1],
        default: Some(ActionCall { action: 1, parameters: vec![] }),
        entries: vec![Entry {
            matcher: Matcher::Exact { key: 5 },
            priority: 0,
            call: ActionCall { action: 1, parameters: vec![] },
        }],
        ..first.clone()
    };
    vec![first, second]
}

fn program() -> Program {
    use IntType::{I16, I32, U8, U32, U64};
    use Label::{Private, Public};
    let scale = |name: &str, channels| Scale {
        name: name.into(),
        model: 0,
        channels: vec![ChannelScale { multiplier: 1 << 30, shift: 33 }; channels],
        zero_point: 0,
    };
    let branch = |feature, left| TreeNode::Branch { feature, threshold: 10, left };
    let leaf = |value| TreeNode::Leaf { value };
    Program {
        name: "sample".into(),
        hook: Hook {
            name: "sample_hook".into(),
            number: 1,
            fields: vec![
                event_field("pid", U64, 8, Public),
                event_field("page", U64, 16, Private),
                event_field("cpu", U32, 24, Public),
                event_field("owner_data", U64, 48, Private),
            ],
        },
        outputs: vec![
            Output { name: "hint".into(), kind: U64, label: Public },
            Output { name: "next_page".into(), kind: U64, label: Private },
        ],
        tables: tables(),
        actions: vec![
            action("act", 0, vec![Parameter { name: "level".into(), kind: U8 }]),
            action("next", 2, vec![]),
        ],
        contexts: vec![
            Context {
                name: "proc".into(),
                capacity: 64,
                fields: vec![
                    context_field("count", U32, None, Public),
                    context_field("secret", U64, None, Private),
                    context_field("limit", I32, None, Public),
                    context_field("deltas", I16, Some(8), Private),
                    context_field("recent", I16, Some(8), Public),
                ],
            },
            Context {
                name: "group".into(),
                capacity: 16,
                fields: vec![context_field("total", U64, None, Public)],
            },
        ],
        maps: vec![
            map("array", MapKind::Array, Public),
            map("hash", MapKind::Hash, Public),
            map("lru", MapKind::LruHash, Public),
            map("log", MapKind::RingBuffer, Public),
            map("sizes", MapKind::Histogram, Public),
            map("own", MapKind::Hash, Private),
            map("own_log", MapKind::RingBuffer, Private),
            map("own_array", MapKind::Array, Private),
        ],
        models: vec!["net".into()],
        tensors: vec![
            tensor("w1", Element::I8, &[4, 8], (0..32).map(|n| n * 7 % 31 - 15).collect()),
            tensor("b1", Element::I32, &[4], vec![100, -200, 300, 0]),
            tensor("emb", Element::I16, &[3, 8], (0..24).map(|n| n * 100).collect()),
            tensor("k1", Element::I8, &[3, 3, 3, 2], (0..54).map(|n| n % 9 - 4).collect()),
        ],
        scales: vec![scale("s1", 1), scale("s4", 4)],
        windows: vec![Window {
            name: "same".into(),
            in_height: 4,
            in_width: 4,
            channels: 2,
            height: 3,
            width: 3,
            stride_y: 1,
            stride_x: 1,
            pad_top: 1,
            pad_left: 1,
            out_height: 4,
            out_width: 4,
        }],
        forests: vec![Forest {
            name: "trees".into(),
            model: 0,
            mode: ForestMode::Sum,
            features: 8,
            roots: vec![0],
            nodes: vec![branch(0, 1), leaf(-1), branch(7, 3), leaf(2), leaf(300)],
        }],
        source: "sample.rmt".into(),
    }
}
