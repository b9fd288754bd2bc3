//! The graph that tail calls make: tables run actions, actions continue in tables.

use rmt_isa::Program;
use rmt_isa::instruction::Instruction;
use rmt_isa::limits::MAX_TABLE_VISITS;
use rmt_isa::program::Table;

use super::FlowGraph;
use crate::verifier::findings::{Findings, quote};
use crate::verifier::rules::Rule;

/// The graph of tables and actions that [`check_calls`] accepted: it has no cycle.
pub(in crate::verifier) struct CallGraph {
    /// For each table the actions that it may run, each once.
    pub(in crate::verifier) runs: Vec<Vec<usize>>,
    /// For each action its tail calls: instruction and table.
    pub(in crate::verifier) calls: Vec<Vec<(usize, usize)>>,
    /// Tables and actions that an event can reach, callers before those they call.
    pub(in crate::verifier) order: Vec<Node>,
    /// Most tables that one event visits.
    pub(in crate::verifier) visits: usize,
}

/// A node of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verifier) enum Node {
    Table(usize),
    Action(usize),
}

/// The graph as it stands, possibly with cycles. Nodes are numbered tables first.
struct Edges {
    tables: usize,
    successors: Vec<Vec<usize>>,
}

impl Edges {
    fn node(&self, number: usize) -> Node {
        match number.checked_sub(self.tables) {
            None => Node::Table(number),
            Some(action) => Node::Action(action),
        }
    }
}

/// The actions that entries or the default may run, each once.
fn runs(program: &Program, table: &Table) -> Vec<usize> {
    let default = table.default.as_ref().map(|call| call.action);
    // Marks, for sorting costs most where a million edges are there to be checked.
    let mut runs = vec![false; program.actions.len()];
    for action in table.actions.iter().copied().chain(default) {
        if let Some(runs) = runs.get_mut(usize::from(action)) {
            *runs = true;
        }
    }
    (0..runs.len()).filter(|&action| runs[action]).collect()
}

/// The tail calls that some path of the action reaches.
fn tail_calls(program: &Program, graph: &FlowGraph<'_>) -> Vec<(usize, usize)> {
    let calls = graph.instructions().filter_map(|(index, instruction)| match instruction {
        Instruction::TailCall { table } => Some((index, table.index())),
        _ => None,
    });
    calls.filter(|&(_, table)| table < program.tables.len()).collect()
}

/// No event can come back to a table, or visit too many.
///
/// `graphs` holds the graph of every action.
pub(in crate::verifier) fn check_calls(
    findings: &mut Findings<'_>,
    graphs: &[FlowGraph<'_>],
) -> Option<CallGraph> {
    let program = findings.program;
    let tables = program.tables.len();
    let runs: Vec<_> = program.tables.iter().map(|table| runs(program, table)).collect();
    let calls: Vec<_> = graphs.iter().map(|graph| tail_calls(program, graph)).collect();
    let successors_of_tables = runs.iter().map(|runs| runs.iter().map(|a| tables + a).collect());
    let successors_of_actions = calls.iter().map(|calls| {
        let mut targets: Vec<usize> = calls.iter().map(|&(_, table)| table).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    });
    let successors = successors_of_tables.chain(successors_of_actions).collect();
    let edges = Edges { tables, successors };

    let sorted = match sort(&edges) {
        Ok(sorted) => sorted,
        Err(cycle) => {
            refuse_cycle(findings, &calls, &edges, &cycle);
            return None;
        }
    };
    let depths = Depths::of(&edges, &sorted);
    let visits = depths.tables.iter().copied().max().unwrap_or(0);
    if visits > MAX_TABLE_VISITS {
        refuse_visits(findings, &calls, &edges, &depths);
        return None;
    }
    let reached = |&number: &usize| depths.tables[number] != 0;
    warn_unused(findings, &edges, &depths);
    let order = sorted.iter().copied().filter(reached).map(|number| edges.node(number)).collect();
    Some(CallGraph { runs, calls, order, visits })
}

/// Topological order (Kahn), or a cycle.
fn sort(edges: &Edges) -> Result<Vec<usize>, Vec<usize>> {
    let count = edges.successors.len();
    let mut waiting_for = vec![0_usize; count];
    for &target in edges.successors.iter().flatten() {
        waiting_for[target] += 1;
    }
    let mut sorted: Vec<usize> = (0..count).filter(|&node| waiting_for[node] == 0).collect();
    let mut done = 0;
    while let Some(&node) = sorted.get(done) {
        done += 1;
        for &target in &edges.successors[node] {
            waiting_for[target] -= 1;
            if waiting_for[target] == 0 {
                sorted.push(target);
            }
        }
    }
    if done == count { Ok(sorted) } else { Err(cycle(edges, &waiting_for)) }
}

/// A cycle among the nodes that still wait. Each of them has a predecessor that waits too, so
/// a walk backwards must come round.
fn cycle(edges: &Edges, waiting_for: &[usize]) -> Vec<usize> {
    let waits = |node: usize| waiting_for[node] != 0;
    let mut predecessor = vec![0; waiting_for.len()];
    for (node, targets) in edges.successors.iter().enumerate().filter(|&(node, _)| waits(node)) {
        for &target in targets {
            predecessor[target] = node;
        }
    }
    let mut node = (0..waiting_for.len()).find(|&node| waits(node)).unwrap_or(0);
    let mut met = vec![false; waiting_for.len()];
    while !std::mem::replace(&mut met[node], true) {
        node = predecessor[node];
    }
    let start = node;
    let mut backwards = vec![start];
    loop {
        node = predecessor[node];
        backwards.push(node);
        if node == start {
            break;
        }
    }
    backwards.reverse();
    // Begin at a table: messages read `table → action → table`.
    backwards.pop();
    let first = backwards.iter().position(|&node| node < edges.tables).unwrap_or(0);
    backwards.rotate_left(first);
    backwards
}

/// How many tables an event has visited at most when it reaches each node; 0: never reached.
struct Depths {
    tables: Vec<usize>,
    from: Vec<Option<usize>>,
}

impl Depths {
    fn of(edges: &Edges, sorted: &[usize]) -> Self {
        let count = edges.successors.len();
        let mut depths = Self { tables: vec![0; count], from: vec![None; count] };
        if edges.tables > 0 {
            depths.tables[0] = 1;
        }
        for &node in sorted {
            let here = depths.tables[node];
            if here == 0 {
                continue;
            }
            for &target in &edges.successors[node] {
                let there = here + usize::from(target < edges.tables);
                if there > depths.tables[target] {
                    (depths.tables[target], depths.from[target]) = (there, Some(node));
                }
            }
        }
        depths
    }
}

/// `table `a` → action `b` → table `c``, at most 24 nodes of it.
fn path_text(program: &Program, edges: &Edges, path: &[usize]) -> String {
    let mut parts: Vec<_> = path
        .iter()
        .take(24)
        .map(|&number| match edges.node(number) {
            Node::Table(table) => format!("table `{}`", quote(&program.tables[table].name)),
            Node::Action(action) => format!("action `{}`", quote(&program.actions[action].name)),
        })
        .collect();
    if path.len() > parts.len() {
        parts.push("…".into());
    }
    parts.join(" → ")
}

/// The tail call from `action` to `table`.
fn call_site(calls: &[Vec<(usize, usize)>], action: usize, table: usize) -> usize {
    let site = calls[action].iter().find(|&&(_, target)| target == table);
    site.map_or(0, |&(index, _)| index)
}

fn refuse_cycle(
    findings: &mut Findings<'_>,
    calls: &[Vec<(usize, usize)>],
    edges: &Edges,
    cycle: &[usize],
) {
    let mut path = cycle.to_vec();
    path.extend(cycle.first());
    // The last action of the cycle is the one that calls back.
    let (Some(&last), Some(&first)) = (cycle.last(), cycle.first()) else { return };
    let Node::Action(action) = edges.node(last) else { return };
    let place = findings.instruction(action, call_site(calls, action, first));
    let reason =
        format!("the tables call in a circle: {}", path_text(findings.program, edges, &path));
    let remedy = "let tables call only tables further on; unroll a loop by copying its table";
    findings.refuse(Rule::TailCallCycle, place, reason, remedy);
}

fn refuse_visits(
    findings: &mut Findings<'_>,
    calls: &[Vec<(usize, usize)>],
    edges: &Edges,
    depths: &Depths,
) {
    let deepest = (0..edges.tables).max_by_key(|&table| depths.tables[table]).unwrap_or(0);
    let mut path = vec![deepest];
    while let Some(from) = path.last().and_then(|&node| depths.from[node]) {
        path.push(from);
    }
    path.reverse();
    let visits = depths.tables[deepest];
    let place = match path.get(path.len().wrapping_sub(2)).map(|&node| edges.node(node)) {
        Some(Node::Action(action)) => {
            findings.instruction(action, call_site(calls, action, deepest))
        }
        _ => findings.table(deepest),
    };
    let reason = format!(
        "an event can visit {visits} tables, at most {MAX_TABLE_VISITS} are possible: {}",
        path_text(findings.program, edges, &path)
    );
    let remedy = "join tables, for example by matching several fields at once";
    findings.refuse(Rule::TooManyVisits, place, reason, remedy);
}

fn warn_unused(findings: &mut Findings<'_>, edges: &Edges, depths: &Depths) {
    for (number, &depth) in depths.tables.iter().enumerate() {
        if depth == 0 {
            let place = match edges.node(number) {
                Node::Table(table) => findings.table(table),
                Node::Action(action) => findings.action(action),
            };
            findings.warn(place, "no event reaches it");
        }
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::program::ActionCall;

    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    /// `count` tables, each calling the next one.
    fn chain(count: u16) -> Fixture {
        let mut fixture = Fixture::new("exit decided");
        let (table, action) =
            (fixture.program.tables[0].clone(), fixture.program.actions[0].clone());
        fixture.program.tables.clear();
        fixture.program.actions.clear();
        for index in 0..count {
            let (mut table, mut action) = (table.clone(), action.clone());
            (table.name, action.name) = (format!("t{index}"), format!("a{index}"));
            table.actions = vec![index];
            table.default = Some(ActionCall { action: index, parameters: vec![0] });
            fixture.program.tables.push(table);
            fixture.program.actions.push(action);
        }
        for index in 0..count.saturating_sub(1) {
            fixture.set_code(index.into(), &format!("TAIL_CALL table{}", index + 1));
        }
        fixture
    }

    #[test]
    fn eight_tables_in_a_row_are_accepted() {
        assert_eq!(chain(8).accepted().table_visits, 8);
    }

    #[test]
    fn nine_tables_in_a_row_are_refused() {
        refused_by(
            &chain(9),
            Rule::TooManyVisits,
            "visit 9 tables, at most 8 are possible: table `t0`",
        );
    }

    #[test]
    fn cycles_are_refused_and_shown() {
        let mut fixture = chain(4);
        fixture.set_code(3, "TAIL_CALL table1");
        let path = "table `t1` → action `a1` → table `t2` → action `a2` → table `t3` → action `a3` → table `t1`";
        refused_by(&fixture, Rule::TailCallCycle, path);
        let mut fixture = chain(1);
        fixture.set_code(0, "TAIL_CALL table0");
        refused_by(&fixture, Rule::TailCallCycle, "table `t0` → action `a0` → table `t0`");
    }

    #[test]
    fn a_shared_action_is_no_cycle() {
        let mut fixture = chain(3);
        // Action 2 ends the event; that tables 0 and 2 run it both is fine.
        fixture.program.tables[0].actions.push(2);
        fixture.accepted();
    }

    #[test]
    fn tables_that_no_event_reaches_are_a_warning() {
        let report = Fixture::new("exit decided").accepted();
        assert!(report.warnings.iter().any(|warning| {
            warning.text == "no event reaches it"
                && warning.place.table.as_ref().is_some_and(|table| table.name == "second")
        }));
    }
}
