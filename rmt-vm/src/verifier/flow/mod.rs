//! Information flow: data that is private to a key stays with that key.
//!
//! - [`taint`]: what is known of a value: whether it is private and where that came from,
//!   and whether it is exactly the event's key;
//! - [`labels`]: the pass over one action, with implicit flows through branches;
//! - [`sinks`]: where private data must not arrive.
//!
//! Actions are looked at in the order of the call graph, so what tail calls hand over, and
//! whether private data chose the action, is known when an action's turn comes. The policy,
//! and what it does not cover, stands in `docs/verifier.md`.

mod labels;
mod sinks;
mod taint;

use rmt_isa::event::EVENT_BYTES;
use rmt_isa::limits::MAX_ARGUMENTS;
use rmt_isa::program::{KeySource, Label, Program};

use super::control::{CallGraph, FlowGraph, Node};
use super::findings::Findings;
use labels::Labels;
use taint::{Origin, Taint, Value, join};

/// What the pass learns beside violations.
#[derive(Debug, Default)]
pub(super) struct FlowFacts {
    /// Every instruction that opens a context record.
    pub(super) opens: Vec<Open>,
}

/// An instruction that opens a context record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) action: usize,
    pub(super) index: usize,
    pub(super) context: usize,
    /// The key is exactly the event's key on all paths.
    pub(super) own: bool,
    /// Private data decides whether the record comes to exist.
    creates: Taint,
}

/// What reaches a table or an action from its callers.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    /// Private data decided that control comes here.
    control: Taint,
    arguments: [Value; MAX_ARGUMENTS],
}

impl Arrival {
    fn join(place: &mut Option<Self>, other: Self) {
        match place {
            None => *place = Some(other),
            Some(known) => {
                known.control = join(known.control, other.control);
                for (argument, other) in known.arguments.iter_mut().zip(other.arguments) {
                    *argument = argument.join(other);
                }
            }
        }
    }
}

/// Which bytes of the event are private.
struct EventLabels([bool; EVENT_BYTES]);

impl EventLabels {
    fn new(program: &Program) -> Self {
        let mut private = [false; EVENT_BYTES];
        for field in program.hook.fields.iter().filter(|field| field.label == Label::Private) {
            let start = usize::from(field.offset).min(EVENT_BYTES);
            let end = (start + field.kind.bytes()).min(EVENT_BYTES);
            private[start..end].fill(true);
        }
        Self(private)
    }

    fn any_private(&self, start: usize, bytes: usize) -> bool {
        self.0.iter().skip(start).take(bytes).any(|&private| private)
    }
}

/// No private data reaches a place that others see.
pub(super) fn check_flow(
    findings: &mut Findings<'_>,
    graphs: &[FlowGraph<'_>],
    calls: &CallGraph,
) -> FlowFacts {
    let program = findings.program;
    let event = EventLabels::new(program);
    let mut facts = FlowFacts::default();
    let mut ends = Vec::new();
    let mut tables: Vec<Option<Arrival>> = vec![None; program.tables.len()];
    let mut actions: Vec<Option<Arrival>> = vec![None; program.actions.len()];
    let first = Arrival { control: None, arguments: [Value::PUBLIC; MAX_ARGUMENTS] };
    if let Some(table) = tables.first_mut() {
        *table = Some(first);
    }
    for &node in &calls.order {
        match node {
            Node::Table(index) => {
                let Some(mut arrival) = tables[index] else { continue };
                arrival.control =
                    join(arrival.control, key_taint(program, index, &event, &arrival));
                if program.tables[index].default.is_none() && arrival.control.is_some() {
                    ends.push(sinks::PrivateEnd::missed(findings.table(index)));
                }
                for &action in &calls.runs[index] {
                    Arrival::join(&mut actions[action], arrival);
                }
            }
            Node::Action(index) => {
                let Some(arrival) = actions[index] else { continue };
                let mut labels = Labels::new(findings, index, &graphs[index], &event, &mut facts);
                let outcome = labels.run(&graphs[index], arrival);
                ends.extend(outcome.private_ends);
                for (table, arrival) in outcome.calls {
                    Arrival::join(&mut tables[table], arrival);
                }
            }
        }
    }
    sinks::check_status(findings, &ends);
    sinks::check_existence(findings, &facts.opens);
    facts
}

/// Whether private data chooses the entry of a table.
fn key_taint(program: &Program, table: usize, event: &EventLabels, arrival: &Arrival) -> Taint {
    program.tables[table].key.iter().find_map(|field| match field.source {
        KeySource::Event { offset } => {
            event.any_private(offset.into(), field.kind.bytes()).then_some(Origin::Caller)
        }
        KeySource::Argument { register } => {
            let argument = usize::from(register).checked_sub(1)?;
            arrival.arguments.get(argument)?.taint.map(|_| Origin::Caller)
        }
    })
}
