//! Cycles of lone events, measured: of whole programs, and of every instruction. They must be
//! those that the formula of `rmt_isa::card::cycles` gives, and those of docs/cycles.md.
//!
//! `RMT_UPDATE_DOCS=1 cargo test -p rmt-core --test core cycles` writes the page's tables anew.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use rmt_isa::card::update::BankMirror;
use rmt_isa::card::{CardShape, lower};
use rmt_isa::operand::{Element, IntType, OperandKind, Role};
use rmt_isa::program::*;
use rmt_isa::{Class, Decision, Event, Helper, INSTRUCTIONS, Instruction, InstructionInfo};
use rmt_vm::Machine;

use super::bench::Bench;
use super::estimate::estimate;
use super::firmware::firmware_cycles;
use super::programs::{action, always, field, program};

const BEGIN: &str = "<!-- cycles: made by the test, see above -->\n";
const END: &str = "<!-- end of cycles -->";

/// One core, one event at a time.
struct Stopwatch {
    shape: CardShape,
    bench: Bench,
    mirror: BankMirror,
    /// What was measured, by the lines around which it was.
    measured: HashMap<String, u16>,
}

impl Stopwatch {
    fn new(shape: CardShape) -> Self {
        let bench = Bench::new(&shape, &exit_only(), Ordering::Total);
        let mut mirror = BankMirror::new(&shape);
        mirror.installed(&bench.image);
        Self { shape, bench, mirror, measured: HashMap::new() }
    }

    /// Cycles from taking the event to its decision. The decision must be the interpreter's,
    /// the cycles the formula's.
    fn lone(&mut self, program: &Program) -> u16 {
        let image = lower(program, Ordering::Total, &self.shape).unwrap();
        // A program with the same contexts and maps as the last one takes few writes.
        let writes = match self.mirror.update(&image) {
            Ok(update) => update.writes,
            Err(_) => self.mirror.install(&image),
        };
        for write in writes {
            self.bench.write(write.address, write.value);
        }
        let mut event = Event::new(3, 7, 5);
        (0..24).for_each(|n| event.store(16 + 2 * n, 2, 37 * n as u64 % 100));
        let decision = self.bench.run(&[event])[0];
        // An event does not wait for its last vector instruction: let that end, too.
        if program.actions[0].code.iter().any(|code| code.info().class == Class::Model) {
            (0..200).for_each(|_| self.bench.step());
        }
        let expected = Machine::new(program).unwrap().run(&event);
        assert_eq!(Decision { cycles: 0, ..decision }, expected);
        let formula = estimate(&self.shape, program, &mut Machine::new(program).unwrap(), &event);
        let text = || program.actions[0].code.iter().map(Instruction::to_string);
        assert_eq!(
            u64::from(decision.cycles),
            formula,
            "measured and by formula: {:?}",
            text().collect::<Vec<_>>()
        );
        decision.cycles
    }

    /// Cycles of a small action around some lines, in which a record is open, `v0` has four
    /// lanes and `r1` a value of 16 bits.
    fn around(&mut self, text: &str) -> u16 {
        if let Some(&cycles) = self.measured.get(text) {
            return cycles;
        }
        let code = format!(
            "ld_event r1, event+18, u16\nmovi r2, 3\nmovi r4, 0\nmovi r11, -1\nRMT_MATCH_CTXT r3, ctxt0, r2\n\
             RMT_PUSH_CTXT ctxt0.1, r1\nRMT_VECTOR_LD_EVENT v0, x4, i16, event+16\n\
             RMT_VECTOR_LD_EVENT v2, x16, i16, event+16\n\
             RMT_VECTOR_CVT v3, v0, i32\n\
             {waits}{text}\nmov r9, r9\nout out0, r1\nexit decided",
            waits = "mov r9, r9\n".repeat(40)
        );
        let cycles = self.lone(&sample(action("act", 0, 1, &code)));
        self.measured.insert(text.to_owned(), cycles);
        cycles
    }

    /// Cycles that an instruction adds: to the next instruction, and, if it is one of vectors,
    /// to the next one of vectors.
    fn added(&mut self, text: &str) -> (u16, Option<u16>) {
        const NEXT: &str = "RMT_SCALAR_VAL r10, v0, lane0";
        let direct = self.around(text) - self.around("");
        let vectors = text.starts_with("RMT_") && text.contains(" v");
        let next = vectors.then(|| self.around(&format!("{text}\n{NEXT}")) - self.around(NEXT));
        (direct, next)
    }
}

/// A program of one action, with all objects that the instructions below use.
fn sample(action: Action) -> Program {
    let fields = vec![field("last", IntType::I64, None), field("deltas", IntType::I16, Some(4))];
    let store = Context { name: "c".into(), capacity: 16, fields };
    let map = |kind| Map {
        name: format!("{kind:?}"),
        kind,
        capacity: 16,
        value: IntType::U32,
        label: Label::Public,
    };
    let tensor = |element, shape: &[u32]| Tensor {
        name: "t".into(),
        model: 0,
        element,
        shape: shape.to_vec(),
        values: (0..shape.iter().product::<u32>() as i32).map(|n| 29 * n % 201 - 100).collect(),
    };
    let mut table = always("t", 0);
    table.default = Some(ActionCall { action: 0, parameters: vec![3] });
    let mut sample = program(vec![table], vec![action], vec![store]);
    sample.maps = [MapKind::LruHash, MapKind::Histogram, MapKind::RingBuffer].map(map).to_vec();
    sample.models = vec!["m".into()];
    // Weights of 4 inputs and 20 outputs, a kernel of 3 × 3 on 4 × 4, two rows of values.
    sample.tensors = vec![
        tensor(Element::I8, &[20, 4]),
        tensor(Element::I8, &[2, 3, 3, 1]),
        tensor(Element::I16, &[8, 4]),
    ];
    let channels = vec![ChannelScale { multiplier: 1 << 30, shift: 36 }];
    sample.scales = vec![Scale { name: "s".into(), model: 0, channels, zero_point: 0 }];
    sample.windows = vec![Window {
        name: "w".into(),
        in_height: 4,
        in_width: 4,
        channels: 1,
        height: 3,
        width: 3,
        stride_y: 1,
        stride_x: 1,
        pad_top: 1,
        pad_left: 1,
        out_height: 4,
        out_width: 4,
    }];
    sample.forests = vec![chain(4, 4)];
    sample
}

/// A tree in which every event makes `depth` comparisons.
fn chain(depth: u16, features: u16) -> Forest {
    let mut nodes = Vec::new();
    for level in 0..depth {
        let left = 2 * level + 1;
        let feature = (level % features) as u8;
        nodes.push(TreeNode::Branch { feature, threshold: i32::MAX, left });
        if level > 0 {
            nodes.push(TreeNode::Leaf { value: 1 });
        }
    }
    nodes.extend([TreeNode::Leaf { value: 77 }, TreeNode::Leaf { value: 1 }]);
    let (name, mode) = ("f".into(), ForestMode::Sum);
    Forest { name, model: 0, mode, features, roots: vec![0], nodes }
}

/// An instruction with operands that `sample` and `around` know.
fn instance(info: &InstructionInfo, helper: Helper) -> Instruction {
    let mut word = u64::from(info.opcode);
    let windowed = matches!(info.name, "Conv2d" | "PoolMax" | "PoolSum");
    let ring = matches!(
        info.name,
        "PushContext"
            | "LoadHistory"
            | "LoadHistoryImm"
            | "HistoryLength"
            | "VectorLoadContext"
            | "VectorStoreContext"
    );
    for operand in info.operands {
        let bits = match operand.kind {
            OperandKind::Scalar if operand.role == Role::Read => {
                if operand.name == "a" && info.name != "VectorLoadTensor" { 1 } else { 2 }
            }
            OperandKind::Scalar => 4,
            OperandKind::Vector if operand.role != Role::Read => {
                1 - u64::from(operand.role == Role::Modify)
            }
            OperandKind::Vector if windowed => 2,
            // Only sums are requantised.
            OperandKind::Vector if info.name == "Requantise" => 3,
            OperandKind::Vector => 0,
            // So that it shows whether the jump is taken.
            OperandKind::Jump => 1,
            OperandKind::Immediate if info.name == "LoadHistoryImm" => 0,
            OperandKind::Immediate => 3,
            OperandKind::EventOffset => 16,
            OperandKind::FieldRef => u64::from(ring),
            OperandKind::MapId if info.name == "MapPush" => 2,
            OperandKind::MapId => 0,
            OperandKind::TensorId => match info.name {
                "Conv2d" => 1,
                "VectorLoadTensor" => 2,
                _ => 0,
            },
            OperandKind::Bias => 0xffff,
            OperandKind::Lanes => 4,
            OperandKind::Element => Element::I16 as u64,
            OperandKind::IntType => IntType::U16 as u64,
            OperandKind::Helper => helper as u64,
            _ => 0,
        };
        word |= operand.slot.insert(bits);
    }
    Instruction::decode(word).unwrap_or_else(|error| panic!("{}: {error}", info.name))
}

/// All instructions but those that end an action, as text; helpers one by one.
fn instances() -> Vec<String> {
    let ends = ["Exit", "TailCall"];
    let mut all = Vec::new();
    for info in INSTRUCTIONS.iter().filter(|info| !ends.contains(&info.name)) {
        let helpers = if info.name == "Call" { Helper::ALL } else { &Helper::ALL[..1] };
        all.extend(helpers.iter().map(|&helper| instance(info, helper).to_string()));
        match info.class {
            // Not taken above: r1 is 37 and r2 is 3.
            Class::Branch if info.name == "JumpEqImm" => all.push("jeqi r2, 3, +1".into()),
            Class::Divide if info.name == "DivU" => all.push("divu r4, r11, r2".into()),
            Class::Map if info.name == "MapAdd" => all.push("map_add r4, map1, r1, r2".into()),
            _ => {}
        }
    }
    all
}

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

fn tree(depth: u16) -> Program {
    let act = action(
        "act",
        0,
        0,
        "RMT_VECTOR_LD_EVENT v0, x8, i16, event+16\nRMT_TREE_EVAL r1, v0, forest0\nout out0, r1\nexit decided",
    );
    let mut program = program(vec![always("t", 0)], vec![act], vec![]);
    program.models.push("m".into());
    program.forests.push(chain(depth, 8));
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
    let mut watch = Stopwatch::new(CardShape::default_card());
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
    page.push_str(
        "\n| program | events | cycles | by the formula | `rmt check`, at worst |\n| --- | --- | --- | --- | --- |\n",
    );
    for (program, events) in FIRMWARE {
        let found = firmware_cycles(program, events);
        let (least, most) = found.measured;
        let (low, high) = found.formula;
        let checked = found.checked;
        let _ = writeln!(
            page,
            "| `{program}` | {} | {least} to {most} | {low} to {high} | {checked} |",
            found.events
        );
    }
    page.push_str(
        "\n| instruction | next instruction | next one of vectors |\n| --- | --- | --- |\n",
    );
    for text in instances() {
        let (direct, vectors) = watch.added(&text);
        let vectors = vectors.map_or(String::new(), |cycles| cycles.to_string());
        let _ = writeln!(page, "| `{text}` | {direct} | {vectors} |");
    }
    check_page(&page);
}

#[test]
fn the_formula_holds_for_a_small_array_too() {
    let mut watch = Stopwatch::new(CardShape::tiny());
    for text in instances() {
        watch.added(&text);
    }
}

/// The programs in `firmware/` and what they are measured with.
const FIRMWARE: [(&str, &str); 2] = [
    ("page_prefetch.rmt", "traces/pages/column.test.csv.zst"),
    ("can_migrate_task.rmt", "traces/migrations.csv.zst"),
];

fn check_page(measured: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cycles.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(BEGIN).expect("the page has no begin of cycles") + BEGIN.len();
    let end = begin + text[begin..].find(END).expect("the page has no end of cycles");
    if std::env::var_os("RMT_UPDATE_DOCS").is_some() {
        let new = format!("{}{measured}{}", &text[..begin], &text[end..]);
        std::fs::write(&path, new).unwrap();
        return;
    }
    assert_eq!(&text[begin..end], measured, "docs/cycles.md is stale: set RMT_UPDATE_DOCS=1");
}
