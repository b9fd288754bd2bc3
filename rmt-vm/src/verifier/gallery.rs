//! One small program for each rule that breaks it, and the page of the book that shows what
//! the verifier says of it.
//!
//! `docs/verifier.md` is written by hand up to a marker, and from there on made from this
//! gallery. `RMT_WRITE_DOCS=1 cargo test -p rmt-vm gallery` writes it anew.

use std::fmt::Write as _;
use std::path::PathBuf;

use rmt_isa::program::{ForestMode, KeyField, KeySource, Matcher, TreeNode};

use super::Rule;
use super::testing::Fixture;

const MARKER: &str = "<!-- Made from the verifier's gallery from here on. Do not edit. -->\n";

/// r1 = the key, r2 = private data, r3 = public data.
const LOADS: &str = "ld_event r1, event+8, u64\nld_event r2, event+16, u64\n\
                     ld_event r3, event+24, u32\n";

/// A program with this code and line numbers, as a compiler would leave them.
fn code(lines: &str) -> Fixture {
    let mut fixture = Fixture::new(lines);
    let action = &mut fixture.program.actions[0];
    action.lines = (0..action.code.len() as u32).map(|index| 20 + index).collect();
    fixture
}

fn ending(lines: &str) -> Fixture {
    code(&format!("{lines}\nexit decided"))
}

fn changed(change: impl FnOnce(&mut Fixture)) -> Fixture {
    let mut fixture = ending("movi r1, 1");
    change(&mut fixture);
    fixture
}

/// A program that breaks the rule. There is an arm for every rule: a new one needs its
/// example.
fn example(rule: Rule) -> Fixture {
    let product = "RMT_VECTOR_LD_EVENT v0, x8, i16, event+32\nRMT_MAT_MUL v1, v0, tensor0, tensor1";
    match rule {
        Rule::NoTable => changed(|f| f.program.tables.clear()),
        Rule::TooMany => changed(|f| f.program.actions[1].arguments = 5),
        Rule::BadName => changed(|f| f.program.maps[0].name = "page faults".into()),
        Rule::DuplicateName => changed(|f| f.program.maps[0].name = "hash".into()),
        Rule::UnknownIndex => changed(|f| f.program.tables[1].actions.push(7)),
        Rule::BadCapacity => changed(|f| f.program.contexts[0].capacity = 1000),
        Rule::FieldOutsideEvent => changed(|f| f.program.hook.fields[3].offset = 60),
        Rule::FieldMisaligned => changed(|f| f.program.hook.fields[1].offset = 20),
        Rule::FieldsOverlap => changed(|f| f.program.hook.fields[2].offset = 20),
        Rule::KeyTooWide => changed(|f| {
            let key = &mut f.program.tables[0].key;
            for name in ["page", "owner"] {
                key.push(KeyField { name: name.into(), ..key[0].clone() });
            }
        }),
        Rule::KeySource => changed(|f| {
            f.program.tables[0].key[0].source = KeySource::Event { offset: 9 };
        }),
        Rule::KeyArgument => changed(|f| {
            f.program.tables[0].key[0].source = KeySource::Argument { register: 1 };
        }),
        Rule::KeylessTable => changed(|f| {
            f.program.tables[0].key.clear();
            f.program.tables[0].default = None;
        }),
        Rule::EntryKind => changed(|f| {
            f.program.tables[1].entries[0].matcher = Matcher::Ternary { value: 1, mask: 1 };
        }),
        Rule::EntryRange => changed(|f| {
            f.program.tables[1].entries[0].matcher = Matcher::Exact { key: 1 << 40 };
        }),
        Rule::EntryAction => changed(|f| f.program.tables[1].entries[0].call.action = 0),
        Rule::EntryParameters => changed(|f| {
            f.program.tables[0].default.as_mut().unwrap().parameters = vec![300];
        }),
        Rule::EntryPriority => changed(|f| f.program.tables[1].entries[0].priority = 3),
        Rule::FirstTableArguments => changed(|f| f.program.tables[0].actions.push(1)),
        Rule::TooManyEntries => changed(|f| f.program.tables[1].capacity = 0),
        Rule::DuplicateEntry => changed(|f| {
            let entry = f.program.tables[1].entries[0].clone();
            f.program.tables[1].entries.push(entry);
        }),
        Rule::RingDepth => changed(|f| f.program.contexts[0].fields[3].ring = Some(512)),
        Rule::TensorShape => changed(|f| f.program.tensors[0].shape = vec![4, 7]),
        Rule::TensorRange => changed(|f| f.program.tensors[0].values[5] = 200),
        Rule::BadScale => changed(|f| f.program.scales[0].channels[0].shift = 0),
        Rule::BadWindow => changed(|f| f.program.windows[0].out_height = 7),
        Rule::ForestNode => changed(|f| {
            f.program.forests[0].nodes[2] = TreeNode::Branch { feature: 7, threshold: 10, left: 0 };
        }),
        Rule::ForestDepth => changed(|f| f.program.forests[0].nodes = chain(33)),
        Rule::ForestSharing => changed(|f| f.program.forests[0].roots.push(2)),
        Rule::VoteLeaf => changed(|f| {
            f.program.forests[0].mode = ForestMode::Vote;
            f.program.forests[0].nodes[1] = TreeNode::Leaf { value: 0 };
        }),
        Rule::EmptyAction => code(""),
        Rule::ActionTooLong => changed(|f| f.limits.program_instructions = 2),
        Rule::JumpOutside => ending("movi r1, 1\njeqi r1, 1, +5"),
        Rule::FallsOffEnd => code("movi r1, 1\njeqi r1, 1, +1\nexit decided\nmovi r1, 2"),
        Rule::TailCallCycle => {
            let mut fixture = code("movi r1, 1\nmovi r2, 1\nTAIL_CALL table1");
            fixture.set_code(1, "TAIL_CALL table1");
            fixture.program.actions[1].lines = vec![30];
            fixture
        }
        Rule::TooManyVisits => too_many_visits(),
        Rule::UnknownOperand => ending("movi r1, 1\nout out2, r1"),
        Rule::UninitialisedScalar => {
            ending("ld_event r1, event+24, u32\njeqi r1, 0, end\nmovi r2, 1\nend: out out1, r2")
        }
        Rule::UninitialisedVector => ending("RMT_VECTOR_RELU v1, v0"),
        Rule::VectorTypesDiffer => ending(
            "ld_event r1, event+24, u32\njeqi r1, 0, no\nRMT_VECTOR_FILL v0, x8, i8, 0\njump end\n\
             no: RMT_VECTOR_FILL v0, x8, i16, 0\nend: RMT_VECTOR_RELU v1, v0",
        ),
        Rule::TailCallArgument => code("movi r1, 1\nTAIL_CALL table1"),
        Rule::RecordNotOpen => ending("RMT_LD_CTXT r1, ctxt0.0"),
        Rule::ReadOnlyField => {
            ending(&format!("{LOADS}RMT_MATCH_CTXT r4, ctxt0, r1\nRMT_ST_CTXT ctxt0.2, r3"))
        }
        Rule::FieldKind => {
            ending(&format!("{LOADS}RMT_MATCH_CTXT r4, ctxt0, r1\nRMT_LD_CTXT r5, ctxt0.3"))
        }
        Rule::OutsideRing => {
            ending(&format!("{LOADS}RMT_MATCH_CTXT r4, ctxt0, r1\nRMT_LD_HISTI r5, ctxt0.3, 8"))
        }
        Rule::MapOperation => ending("movi r1, 1\nmap_del r2, map0, r1"),
        Rule::OutsideEvent => ending("RMT_VECTOR_LD_EVENT v0, x17, i16, event+32"),
        Rule::LanesDiffer => ending(
            "RMT_VECTOR_FILL v0, x8, i16, 0\nRMT_VECTOR_FILL v1, x7, i16, 0\n\
             RMT_VECTOR_ADD v2, v0, v1",
        ),
        Rule::ElementType => ending(
            "RMT_VECTOR_FILL v0, x8, i16, 0\nRMT_VECTOR_FILL v1, x8, i32, 0\n\
             RMT_VECTOR_MUL v2, v0, v1",
        ),
        Rule::LaneOutside => ending("RMT_VECTOR_FILL v0, x8, i16, 0\nRMT_SCALAR_VAL r1, v0, lane8"),
        Rule::TensorFit => {
            ending("RMT_VECTOR_FILL v0, x7, i16, 0\nRMT_MAT_MUL v1, v0, tensor0, tensor1")
        }
        Rule::TensorElement => {
            ending("RMT_VECTOR_FILL v0, x8, i16, 0\nRMT_MAT_MUL v1, v0, tensor2, none")
        }
        Rule::TooManyLanes => {
            let mut fixture = ending(product);
            fixture.program.tensors[0].shape = vec![300, 8];
            fixture.program.tensors[0].values = vec![1; 2400];
            fixture.program.tensors[1].shape = vec![300];
            fixture.program.tensors[1].values = vec![0; 300];
            fixture
        }
        Rule::WindowFit => ending("RMT_VECTOR_FILL v0, x16, i8, 0\nRMT_POOL_MAX v1, v0, window0"),
        Rule::ScaleFit => ending("RMT_VECTOR_FILL v0, x6, i32, 0\nRMT_REQUANT v1, v0, i8, scale1"),
        Rule::ForestFit => ending("RMT_VECTOR_FILL v0, x9, i16, 0\nRMT_TREE_EVAL r1, v0, forest0"),
        Rule::ProductOverflow => {
            let mut fixture = ending(product);
            fixture.program.tensors[1].values[3] = 2_147_000_000;
            fixture
        }
        Rule::PoolOverflow => {
            ending("RMT_VECTOR_FILL v0, x32, i32, 300000000\nRMT_POOL_SUM v1, v0, window0")
        }
        Rule::PrivateOutput => ending(&format!("{LOADS}andi r4, r2, 1\nout out0, r4")),
        Rule::PrivateField => {
            ending(&format!("{LOADS}RMT_MATCH_CTXT r4, ctxt0, r1\nRMT_ST_CTXT ctxt0.0, r2"))
        }
        Rule::PrivateForeignWrite => {
            ending(&format!("{LOADS}RMT_FIND_CTXT r4, ctxt0, r3\nRMT_ST_CTXT ctxt0.1, r2"))
        }
        Rule::ForeignPrivateRead => {
            ending(&format!("{LOADS}RMT_FIND_CTXT r4, ctxt0, r3\nRMT_LD_CTXT r5, ctxt0.1"))
        }
        Rule::PrivateMap => ending(&format!(
            "{LOADS}jgtui r2, 4095, large\nmap_add r4, map0, r3, r3\nlarge: movi r1, 0"
        )),
        Rule::ForeignMapSlot => ending(&format!("{LOADS}map_ld r4, map5, r3")),
        Rule::PrivateStatus => ending(&format!("{LOADS}jeqi r2, 0, +1\nexit abstain")),
        Rule::PrivateExistence => ending(&format!(
            "{LOADS}jeqi r2, 0, +1\nRMT_MATCH_CTXT r4, ctxt0, r1\nRMT_FIND_CTXT r5, ctxt0, r3"
        )),
        Rule::InstructionBudget => changed(|f| f.limits.event.instructions = 1),
        Rule::MacBudget => {
            let mut fixture = ending(product);
            fixture.limits.event.macs = 20;
            fixture
        }
        Rule::ByteBudget => {
            let mut fixture = ending("movi r1, 1\nmap_add r2, map1, r1, r1");
            fixture.limits.event.state_bytes = 32;
            fixture
        }
        Rule::CycleBudget => {
            let mut fixture = ending(product);
            fixture.limits.event.card_cycles = 12;
            fixture
        }
        Rule::MemoryBudget => changed(|f| f.limits.memory_bytes = 4096),
        Rule::NotOnCard => {
            let mut fixture = ending("movi r1, 1\nRMT_VECTOR_FILL v0, x64, i8, 1");
            fixture.limits.card.engine.vector_lanes = 32;
            fixture.limits.require_card = true;
            fixture
        }
        Rule::NotShown => {
            let mut fixture = ending("add r1, r2, r3\nadd r4, r5, r6");
            fixture.limits.violations = 1;
            fixture
        }
    }
}

/// A tree of one long branch.
fn chain(depth: u16) -> Vec<TreeNode> {
    let branch = |left| TreeNode::Branch { feature: 0, threshold: 0, left };
    let mut nodes = vec![branch(1)];
    for level in 1..=depth {
        nodes.push(TreeNode::Leaf { value: 0 });
        nodes.push(if level == depth {
            TreeNode::Leaf { value: 1 }
        } else {
            branch(2 * level + 1)
        });
    }
    nodes
}

/// Nine tables in a row.
fn too_many_visits() -> Fixture {
    let mut fixture = code("exit decided");
    let (table, action) = (fixture.program.tables[0].clone(), fixture.program.actions[0].clone());
    (fixture.program.tables, fixture.program.actions) = (vec![], vec![]);
    for index in 0..9_u16 {
        let (mut table, mut action) = (table.clone(), action.clone());
        (table.name, action.name) = (format!("step{index}"), format!("act{index}"));
        table.actions = vec![index];
        table.default.as_mut().unwrap().action = index;
        fixture.program.tables.push(table);
        fixture.program.actions.push(action);
    }
    for index in 0..8 {
        fixture.set_code(index, &format!("TAIL_CALL table{}", index + 1));
    }
    fixture
}

/// What the verifier says of the example.
fn message(rule: Rule) -> String {
    let violations = example(rule).refused();
    let shown = violations.iter().find(|violation| violation.rule == rule);
    let shown = shown.unwrap_or_else(|| panic!("the example of {rule} breaks {violations:?}"));
    shown.to_string()
}

fn headings() -> [(&'static str, &'static str); 14] {
    [
        ("STR", "The program as a whole"),
        ("EVT", "The event"),
        ("TBL", "Tables and entries"),
        ("STO", "Context stores"),
        ("MOD", "Models"),
        ("CFG", "Control flow"),
        ("OPR", "Operands"),
        ("REG", "Registers"),
        ("CTX", "Context records"),
        ("MAP", "Maps"),
        ("SHP", "Shapes"),
        ("RNG", "Value ranges"),
        ("FLW", "Information flow"),
        ("CST", "Cost"),
    ]
}

/// The part of the page that is made.
fn rules_page() -> String {
    let mut page = String::from(MARKER);
    page += "\n## All rules\n";
    let mut area = "";
    for &rule in Rule::ALL {
        let code = rule.code();
        if area != &code[2..5] {
            area = &code[2..5];
            let heading = headings().into_iter().find(|(key, _)| *key == area);
            let heading = heading.map_or("The list itself", |(_, heading)| heading);
            let _ = write!(page, "\n### {heading}\n");
        }
        let _ = write!(page, "\n#### {code}: {}\n\n{}\n\n", rule.title(), rule.explanation());
        let _ = writeln!(page, "```text\n{}\n```", message(rule));
    }
    page
}

fn page_path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/verifier.md")
}

#[test]
fn every_rule_has_an_example_that_breaks_it_alone() {
    for &rule in Rule::ALL {
        let rules: Vec<_> = example(rule).refused().iter().map(|v| v.rule).collect();
        let expected = match rule {
            Rule::NotShown => vec![Rule::UninitialisedScalar, Rule::NotShown],
            rule => vec![rule],
        };
        assert_eq!(rules, expected, "{}", message(rule));
    }
}

#[test]
fn every_message_says_where_why_and_what_to_do() {
    for &rule in Rule::ALL {
        let text = message(rule);
        for part in
            [rule.code(), rule.title(), "program `sample`, sample.rmt", "= reason: ", "= remedy: "]
        {
            assert!(text.contains(part), "`{part}` is missing:\n{text}");
        }
        assert!(text.lines().all(|line| line.len() < 500), "{text}");
    }
    // Violations of instructions give the source line, the text and the names behind numbers.
    let text = message(Rule::TensorFit);
    for part in [
        "sample.rmt:21",
        "table 0 `first`, action 0 `act`, instruction 1",
        "RMT_MAT_MUL v1, v0, tensor0, tensor1    ; tensor0 = w1, tensor1 = b1",
    ] {
        assert!(text.contains(part), "`{part}` is missing:\n{text}");
    }
}

/// The mistakes that matter most name table, action, instruction, source line and remedy. A
/// backward jump and an unknown helper are no instructions: `rmt_isa::image` refuses them, with
/// the same parts.
#[test]
fn violations_in_code_name_their_whole_place() {
    for rule in [
        Rule::UninitialisedScalar,
        Rule::UninitialisedVector,
        Rule::JumpOutside,
        Rule::TensorFit,
        Rule::ProductOverflow,
        Rule::ReadOnlyField,
        Rule::PrivateForeignWrite,
        Rule::InstructionBudget,
        Rule::MacBudget,
        Rule::ByteBudget,
        Rule::CycleBudget,
        Rule::TailCallCycle,
    ] {
        let violations = example(rule).refused();
        let violation = violations.iter().find(|violation| violation.rule == rule);
        let violation = violation.unwrap_or_else(|| panic!("{rule:?} is not among them"));
        let place = &violation.place;
        assert!(place.table.is_some(), "{violation}");
        assert!(place.action.is_some(), "{violation}");
        assert!(place.instruction.is_some(), "{violation}");
        assert!(place.line.is_some(), "{violation}");
        assert!(!violation.reason.is_empty() && !violation.remedy.is_empty(), "{violation}");
    }
}

#[test]
fn violations_and_reports_are_json_too() {
    let violation = &example(Rule::TensorFit).refused()[0];
    let json = serde_json::to_value(violation).unwrap();
    assert_eq!(json["code"], "V-SHP-05");
    assert_eq!(json["place"]["line"], 21);
    assert_eq!(json["place"]["action"]["name"], "act");
    assert_eq!(json["place"]["instruction"]["index"], 1);
    let report = serde_json::to_value(ending("movi r1, 1").accepted()).unwrap();
    assert_eq!(report["ordering"]["class"], "pure");
    assert_eq!(report["event"]["instructions"], 2);
    assert_eq!(report["actions"][0]["engines"][0]["engine"], "interpreter");
}

#[test]
fn the_page_shows_every_rule() {
    let path = page_path();
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let by_hand = page.split(MARKER).next().unwrap_or_default();
    let expected = format!("{by_hand}{}", rules_page());
    if std::env::var_os("RMT_WRITE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        page == expected,
        "docs/verifier.md is stale; run `RMT_WRITE_DOCS=1 cargo test -p rmt-vm gallery`"
    );
}
