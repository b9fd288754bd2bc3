//! The tree that is learnt on line, in the machine's terms: `page_prefetch.rmt` runs on interpreter
//! and JIT, every new tree is committed as a model swap between two events, and every decision
//! equals the Rust policy's, which shares no code with the machine.

use std::path::{Path, PathBuf};

use rmt_isa::event::Event;
use rmt_isa::{Program, Status};
use rmt_learn::install::swap_forest;
use rmt_learn::prefetch::learned::{MAX_OFFSETS, unpack_offsets};
use rmt_learn::prefetch::online::{OnlinePrefetch, OnlinePrefetchConfig, SWAP_LEAVES};
use rmt_learn::prefetch::trace::{PageAccess, read_page_trace};
use rmt_learn::tree::{DecisionTree, Node};
use rmt_vm::engine::{Engine, InterpreterEngine};
use rmt_vm::jit::Jit;
use rmt_vm::verifier::Limits;

fn firmware(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware").join(file)
}

fn program() -> Program {
    let path = firmware("page_prefetch.rmt");
    let text = std::fs::read_to_string(&path).unwrap();
    let files = rmt_lang::DirectoryLoader::beside(&path);
    rmt_lang::compile("page_prefetch.rmt", &text, &files).unwrap_or_else(|d| panic!("{d:?}"))
}

/// Swaps the program's tree for one that prefetches nothing, then runs the trace and swaps in every
/// tree as it is learnt; returns how many there were and how many decisions asked for a page.
fn run(engine: &mut impl Engine, program: &Program, trace: &[PageAccess]) -> (usize, usize) {
    let limits = Limits::default();
    let commit = |engine: &mut _, tree: &DecisionTree| {
        let (change, report) =
            swap_forest(program, "prefetch", tree.to_forest("walk"), &limits).unwrap();
        assert!(report.event.card_cycles <= limits.event.card_cycles);
        Engine::commit(engine, &[change]).unwrap();
    };
    engine.load(program).unwrap();
    commit(engine, &DecisionTree::new(5, vec![Node::Leaf { value: 0 }]).unwrap());
    let vpn = program.hook.fields.iter().find(|field| field.name == "vpn").unwrap();
    let mut policy = OnlinePrefetch::new(OnlinePrefetchConfig::default()).unwrap();
    let (mut swaps, mut asking) = (0, 0);
    for (index, access) in trace.iter().enumerate() {
        let mut event = Event::new(program.hook.number, index as u32, access.pid.into());
        event.store(vpn.offset.into(), 8, access.vpn);
        let decision = engine.run(&event).unwrap();
        let expected = policy.decide(access).unwrap();
        assert_eq!(decision.status, Status::Decided, "fault {index}");
        assert_eq!(unpack_offsets(&decision.outputs), expected, "fault {index}");
        asking += usize::from(expected != [0; MAX_OFFSETS]);
        if let Some(tree) = policy.take_new_tree() {
            assert!(tree.leaf_count() <= SWAP_LEAVES);
            commit(engine, &tree);
            swaps += 1;
        }
    }
    assert_eq!(swaps, policy.trees_learnt());
    (swaps, asking)
}

#[test]
fn every_engine_decides_as_the_policy_while_trees_are_swapped() {
    let program = program();
    for name in ["conv", "column"] {
        let trace =
            read_page_trace(&firmware(&format!("traces/pages/{name}.test.csv.zst"))).unwrap();
        let (mut interpreter, mut jit) =
            (InterpreterEngine::default(), Jit::new(Limits::default()));
        let on_interpreter = run(&mut interpreter, &program, &trace);
        assert!(on_interpreter.0 >= 15 && on_interpreter.1 > 2_000, "{name}: {on_interpreter:?}");
        assert_eq!(run(&mut jit, &program, &trace), on_interpreter);
        assert_eq!(
            interpreter.state().unwrap(),
            jit.state().unwrap(),
            "the records after the last event"
        );
    }
}

#[test]
fn a_tree_that_does_not_fit_is_refused_before_the_commit() {
    let program = program();
    let refused = |tree: DecisionTree| {
        swap_forest(&program, "prefetch", tree.to_forest("walk"), &Limits::default())
            .unwrap_err()
            .to_string()
    };
    // A comb of 40 leaves: more nodes than the program came with.
    let mut nodes = vec![Node::Split { feature: 0, threshold: 0, left: 1 }];
    for level in 1..39u16 {
        nodes.push(Node::Leaf { value: 0 });
        nodes.push(Node::Split { feature: 0, threshold: i32::from(level), left: 2 * level + 1 });
    }
    nodes.extend([Node::Leaf { value: 0 }; 2]);
    let message = refused(DecisionTree::new(5, nodes).unwrap());
    assert!(message.contains("nodes"), "{message}");
    let message = refused(DecisionTree::new(4, vec![Node::Leaf { value: 0 }]).unwrap());
    assert!(message.contains("features"), "{message}");
}
