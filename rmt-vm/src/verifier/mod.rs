//! The verifier: refuses programs that could misbehave, and bounds what the others cost.
//!
//! [`verify`] runs in three stages, each only when the one before it found nothing, so that
//! one mistake does not show up as many:
//!
//! 1. declarations ([`structure`]), operands ([`operands`]), control flow ([`control`]);
//! 2. registers and shapes ([`types`], [`shapes`]), one forward pass over each action
//!    ([`dataflow`]);
//! 3. values and the program as a whole: accumulators ([`ranges`]), tail calls ([`control`]),
//!    information flow ([`flow`]), the order of events ([`ordering`]), costs and placement
//!    ([`cost`]).
//!
//! What is wrong comes out as [`Violation`]s, each with a [`Rule`], place, reason and remedy;
//! what is right as a [`Report`]. `docs/verifier.md` is the user's page of all rules.
//!
//! The verifier is total: any [`Program`] value gives a result, in time and memory that grow
//! with the size of the program only.

mod compress;
mod control;
mod cost;
mod dataflow;
mod findings;
mod flow;
mod limits;
mod operands;
mod ordering;
mod ranges;
mod report;
mod rules;
mod shapes;
mod structure;
mod types;
mod violation;

#[cfg(test)]
mod coverage;
#[cfg(test)]
mod gallery;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod testing;

use rmt_isa::Program;
use rmt_isa::program::Entry;

pub use compress::{Compressor, Refusal, SmallerModel, Verified, verify_with};
pub use cost::{Cost, EngineKind, Memory, Obstacle, Overrun, Placement, Resource};
pub use limits::{Budget, Limits};
pub use ranges::AccumulatorBounds;
pub use report::{ActionReport, OrderingReport, Report, Warning};
pub use rules::Rule;
pub use types::{Typing, VectorType, VectorTypes};
pub use violation::{InstructionPlace, ObjectName, Place, Violation};

use control::{CallGraph, FlowGraph};
use findings::Findings;

/// Checks a program against the machine's rules and the given limits.
///
/// # Errors
/// All violations that the stage that found the first one finds, at least one; at most
/// [`Limits::violations`] and one that says that there are more.
pub fn verify(program: &Program, limits: &Limits) -> Result<Report, Vec<Violation>> {
    verify_with(program, limits, None).map(|verified| verified.report)
}

/// Checks an entry that is to be added to a table of a verified program at run time.
///
/// # Errors
/// The violations, as [`verify`] would give them for an entry in the image. A table number
/// that does not exist is one, too.
pub fn verify_entry(program: &Program, table: usize, entry: &Entry) -> Result<(), Vec<Violation>> {
    let mut findings = Findings::new(program, Limits::default().violations);
    match program.tables.get(table) {
        Some(declared) if declared.key.is_empty() => findings.refuse(
            Rule::KeylessTable,
            findings.table(table),
            "the new entry has no key to match",
            "set the default action instead",
        ),
        Some(declared) => {
            structure::check_entry(&mut findings, table, declared, "the new entry", entry);
        }
        None => findings.refuse(
            Rule::UnknownIndex,
            findings.whole(),
            format!("table {table} is named, the program has {} tables", program.tables.len()),
            "name a table that exists; indices count from 0",
        ),
    }
    findings.finish().map(|_| ())
}

/// Vector types before and after each instruction of an action, for engines that compile it.
///
/// Gives one [`Typing`] for each instruction; `None` when the action does not exist or is
/// not well-formed, which [`verify`] would have refused.
pub fn vector_types(program: &Program, action: usize) -> Option<Vec<Typing>> {
    let mut findings = Findings::new(program, 1);
    let graph = control::check_control_flow(&mut findings, action)?;
    let typings = types::check_types(&mut findings, action, &graph);
    (!findings.any()).then_some(typings)
}

/// All stages; gives a report when nothing was found, without the warnings, and the budgets
/// that are exceeded.
fn check(findings: &mut Findings<'_>, limits: &Limits) -> (Option<Report>, Vec<Overrun>) {
    let mut overruns = Vec::new();
    let report = check_stages(findings, limits, &mut overruns);
    (report, overruns)
}

fn check_stages(
    findings: &mut Findings<'_>,
    limits: &Limits,
    overruns: &mut Vec<Overrun>,
) -> Option<Report> {
    let program = findings.program;
    structure::check_structure(findings);
    let memory = Memory::of(program);
    if !findings.any() {
        cost::check_memory(findings, limits, &memory);
    }
    if !control::check_lengths(findings, limits.program_instructions) {
        return None;
    }
    let mut graphs = Vec::new();
    for action in 0..program.actions.len() {
        if findings.full() {
            return None;
        }
        operands::check_operands(findings, action);
        graphs.extend(control::check_control_flow(findings, action));
    }
    if findings.any() {
        return None;
    }
    let typings: Vec<_> = graphs
        .iter()
        .enumerate()
        .map(|(action, graph)| types::check_types(findings, action, graph))
        .collect();
    if findings.any() {
        return None;
    }
    check_whole(findings, limits, memory, (&graphs, &typings), overruns)
}

/// The stage that looks at the program as a whole.
fn check_whole(
    findings: &mut Findings<'_>,
    limits: &Limits,
    memory: Memory,
    (graphs, typings): (&[FlowGraph<'_>], &[Vec<Typing>]),
    overruns: &mut Vec<Overrun>,
) -> Option<Report> {
    let program = findings.program;
    let calls: CallGraph = control::check_calls(findings, graphs)?;
    let mut cache = ranges::RangeCache::new();
    let (accumulators, dividends): (Vec<_>, Vec<_>) = (graphs.iter().zip(typings).enumerate())
        .map(|(action, (graph, typings))| {
            let found = ranges::check_ranges(findings, action, graph, typings, &mut cache);
            (found.accumulators, found.dividend_bits)
        })
        .unzip();
    let facts = flow::check_flow(findings, graphs, &calls);
    let costing = cost::Costing {
        program,
        card: &limits.card,
        graphs,
        calls: &calls,
        types: typings,
        dividends: &dividends,
    };
    let paths = cost::worst_paths(&costing);
    *overruns = cost::overruns(limits, &costing, &paths);
    cost::check_budgets(findings, overruns);
    let ordering = ordering::ordering(findings, graphs, &calls, &facts);
    let placements =
        cost::placements(findings, &limits.card, ordering.class, (graphs, typings), &calls);
    cost::check_placement(findings, limits, &calls, &placements);
    if findings.any() {
        return None;
    }
    let actions = program.actions.iter().zip(&paths.actions).zip(placements).zip(accumulators);
    Some(Report {
        program: findings.whole().program,
        ordering,
        table_visits: calls.visits,
        event: paths.event,
        memory,
        actions: actions
            .map(|(((action, &cost), engines), accumulators)| ActionReport {
                name: findings::quote(&action.name),
                cost,
                engines,
                accumulators,
            })
            .collect(),
        warnings: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use rmt_isa::program::{ActionCall, Matcher};

    use super::testing::Fixture;
    use super::*;

    #[test]
    fn entries_are_checked_at_run_time_too() {
        let program = Fixture::new("exit decided").program;
        let entry = |key, action, parameters: &[u64]| Entry {
            matcher: Matcher::Exact { key },
            priority: 0,
            call: ActionCall { action, parameters: parameters.into() },
        };
        let rules = |table, entry: &Entry| {
            let violations = verify_entry(&program, table, entry).err().unwrap_or_default();
            violations.iter().map(|violation| violation.rule).collect::<Vec<_>>()
        };
        assert_eq!(rules(0, &entry(7, 0, &[1])), []);
        assert_eq!(rules(0, &entry(7, 0, &[256])), [Rule::EntryParameters]);
        assert_eq!(rules(0, &entry(7, 1, &[])), [Rule::EntryAction]);
        assert_eq!(rules(1, &entry(1 << 32, 1, &[])), [Rule::EntryRange]);
        assert_eq!(rules(9, &entry(7, 0, &[1])), [Rule::UnknownIndex]);
        let mut keyless = program.clone();
        keyless.tables[0].key.clear();
        let violations = verify_entry(&keyless, 0, &entry(0, 0, &[1])).unwrap_err();
        assert_eq!(violations[0].rule, Rule::KeylessTable);
    }

    #[test]
    fn vector_types_are_known_to_compilers() {
        let code =
            "RMT_VECTOR_FILL v0, x8, i16, 1\nRMT_MAT_MUL v1, v0, tensor0, none\nexit decided";
        let mut fixture = Fixture::new(code);
        let types = vector_types(&fixture.program, 0).unwrap();
        let of = |element, lanes| Some(VectorType { element, lanes });
        assert_eq!(types[1].before[0], of(rmt_isa::Element::I16, 8));
        assert_eq!(types[1].result, of(rmt_isa::Element::I32, 4));
        assert_eq!(types[2].before[1], types[1].result);
        fixture.set_code(0, "RMT_VECTOR_RELU v1, v0\nexit decided");
        assert_eq!(vector_types(&fixture.program, 0), None);
        assert_eq!(vector_types(&fixture.program, 99), None);
    }

    #[test]
    fn all_violations_of_a_stage_are_reported() {
        let mut fixture = Fixture::new("add r1, r2, r3\nRMT_VECTOR_RELU v1, v0\nexit decided");
        fixture.set_code(1, "movi r1, 1\nout out0, r9\nexit decided");
        let rules: Vec<_> = fixture.refused().iter().map(|violation| violation.rule).collect();
        let scalar = Rule::UninitialisedScalar;
        assert_eq!(rules, [scalar, scalar, Rule::UninitialisedVector, scalar]);
    }
}
