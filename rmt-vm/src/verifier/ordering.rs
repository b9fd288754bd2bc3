//! In which order events must run: from what the reachable instructions read and write.
//!
//! - `Total` when an action writes a map (an LRU hash is written by loading, too), or when a
//!   context store that actions write is opened with any other key than the event's;
//! - `PerKey` when a context store is written, and only with the event's key;
//! - `Pure` when no action writes anything.

use rmt_isa::instruction::Instruction;
use rmt_isa::program::{MapKind, Ordering, Program};

use super::control::{CallGraph, FlowGraph, Node};
use super::findings::{Findings, quote};
use super::flow::{FlowFacts, Open};
use super::report::OrderingReport;

/// The class, and the instruction that forces it.
pub(super) fn ordering(
    findings: &Findings<'_>,
    graphs: &[FlowGraph<'_>],
    calls: &CallGraph,
    facts: &FlowFacts,
) -> OrderingReport {
    let program = findings.program;
    let mut written: Vec<Option<(usize, usize)>> = vec![None; program.contexts.len()];
    for &node in &calls.order {
        let Node::Action(action) = node else { continue };
        for (index, instruction) in graphs[action].instructions() {
            if let Some(reason) = map_write(program, instruction) {
                return report(findings, Ordering::Total, reason, action, index);
            }
            let place = written_context(instruction).and_then(|store| written.get_mut(store));
            if let Some(place) = place {
                place.get_or_insert((action, index));
            }
        }
    }
    let foreign =
        |open: &&Open| !open.own && written.get(open.context).is_some_and(Option::is_some);
    let store = |context: usize| quote(&program.contexts[context].name);
    if let Some(open) = facts.opens.iter().find(foreign) {
        let reason = format!(
            "it opens a record of `{}`, which actions write, with another key than the event's",
            store(open.context)
        );
        return report(findings, Ordering::Total, reason, open.action, open.index);
    }
    let first = written.iter().enumerate().find_map(|(context, &place)| Some((context, place?)));
    match first {
        Some((context, (action, index))) => {
            let reason = format!("it writes the record of the event's key in `{}`", store(context));
            report(findings, Ordering::PerKey, reason, action, index)
        }
        None => OrderingReport { class: Ordering::Pure, reason: String::new(), forced_by: None },
    }
}

fn report(
    findings: &Findings<'_>,
    class: Ordering,
    reason: String,
    action: usize,
    index: usize,
) -> OrderingReport {
    OrderingReport { class, reason, forced_by: Some(findings.instruction(action, index)) }
}

/// Why the instruction writes a map; `None` when it does not.
fn map_write(program: &Program, instruction: Instruction) -> Option<String> {
    use Instruction as I;
    let (map, what) = match instruction {
        I::MapStore { map, .. }
        | I::MapAdd { map, .. }
        | I::MapDelete { map, .. }
        | I::MapPush { map, .. } => (map, "it writes map"),
        I::MapLoad { map, .. } => (map, "loading renews the age of a value in the LRU map"),
        _ => return None,
    };
    let map = program.maps.get(map.index())?;
    let writes = !matches!(instruction, I::MapLoad { .. }) || map.kind == MapKind::LruHash;
    writes.then(|| format!("{what} `{}`, which all keys share", quote(&map.name)))
}

/// The context store that the instruction writes.
fn written_context(instruction: Instruction) -> Option<usize> {
    use Instruction as I;
    match instruction {
        I::MatchContext { context, .. } => Some(context.index()),
        I::StoreContext { field, .. }
        | I::PushContext { field, .. }
        | I::VectorStoreContext { field, .. } => Some(field.context.index()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::program::Ordering;

    use crate::verifier::testing::Fixture;

    fn class(code: &str) -> (Ordering, String) {
        let report = Fixture::new(&format!("{code}\nexit decided")).accepted();
        (report.ordering.class, report.ordering.reason)
    }

    const KEY: &str = "ld_event r1, event+8, u64\n";
    const OTHER: &str = "ld_event r1, event+24, u32\n";

    #[test]
    fn reading_alone_is_pure() {
        assert_eq!(class("movi r1, 1").0, Ordering::Pure);
        assert_eq!(class("movi r1, 1\nmap_ld r2, map0, r1").0, Ordering::Pure);
        assert_eq!(class(&format!("{OTHER}RMT_FIND_CTXT r2, ctxt0, r1")).0, Ordering::Pure);
    }

    #[test]
    fn own_records_order_by_key() {
        for code in [
            "RMT_MATCH_CTXT r2, ctxt0, r1",
            "RMT_FIND_CTXT r2, ctxt0, r1\nRMT_ST_CTXT ctxt0.0, r2",
            "mov r3, r1\nextend r3, r3, i64\nRMT_MATCH_CTXT r2, ctxt0, r3",
        ] {
            let (ordering, reason) = class(&format!("{KEY}{code}"));
            assert_eq!(ordering, Ordering::PerKey, "{code}");
            assert!(reason.contains("`proc`"), "{reason}");
        }
    }

    #[test]
    fn foreign_records_order_totally() {
        for code in [
            "RMT_MATCH_CTXT r2, ctxt0, r1",
            "ld_event r3, event+8, u64\nRMT_MATCH_CTXT r2, ctxt0, r3\nRMT_FIND_CTXT r2, ctxt0, r1",
        ] {
            assert_eq!(class(&format!("{OTHER}{code}")).0, Ordering::Total, "{code}");
        }
        // The key changed by arithmetic is another key; so is half of it.
        assert_eq!(
            class(&format!("{KEY}addi r1, r1, 1\nRMT_MATCH_CTXT r2, ctxt0, r1")).0,
            Ordering::Total
        );
        assert_eq!(
            class("ld_event r1, event+8, u32\nRMT_MATCH_CTXT r2, ctxt0, r1").0,
            Ordering::Total
        );
        // One path with another key is enough.
        let code = format!("{KEY}jeqi r1, 0, +1\nmovi r1, 5\nRMT_MATCH_CTXT r2, ctxt0, r1");
        assert_eq!(class(&code).0, Ordering::Total);
        // Another store, which nothing writes, may be read by any key.
        let code = format!("{KEY}RMT_MATCH_CTXT r2, ctxt0, r1\n{OTHER}RMT_FIND_CTXT r2, ctxt1, r1");
        assert_eq!(class(&code).0, Ordering::PerKey);
    }

    #[test]
    fn maps_order_totally() {
        for code in [
            "map_st r2, map0, r1, r1",
            "map_add r2, map1, r1, r1",
            "map_del r2, map1, r1",
            "map_push map3, r1",
            "map_ld r2, map2, r1",
        ] {
            let (ordering, reason) = class(&format!("{OTHER}{code}"));
            assert_eq!(ordering, Ordering::Total, "{code}");
            assert!(reason.contains("which all keys share"), "{reason}");
        }
    }

    #[test]
    fn the_key_passes_through_tail_calls() {
        let mut fixture =
            Fixture::new(&format!("movi r1, 1\n{}TAIL_CALL table1", KEY.replace("r1", "r2")));
        fixture.set_code(1, "RMT_MATCH_CTXT r3, ctxt0, r2\nexit decided");
        assert_eq!(fixture.accepted().ordering.class, Ordering::PerKey);
        fixture.set_code(1, "RMT_MATCH_CTXT r3, ctxt0, r1\nexit decided");
        assert_eq!(fixture.accepted().ordering.class, Ordering::Total);
    }

    #[test]
    fn unreachable_writes_do_not_count() {
        let code = "jump +1\nmap_push map3, r1\nmovi r1, 0";
        assert_eq!(class(code).0, Ordering::Pure);
        let mut fixture = Fixture::new("exit decided");
        fixture.set_code(1, "map_push map3, r1\nexit decided");
        assert_eq!(fixture.accepted().ordering.class, Ordering::Pure);
    }
}
