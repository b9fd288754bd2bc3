//! The flow pass over one action.
//!
//! A value that is computed from private data is private (explicit flow). What happens
//! between a branch on private data and the point where its two ways meet tells which way
//! was taken, so every value written there is private too (implicit flow).

use rmt_isa::event::event_layout;
use rmt_isa::instruction::{Class, Instruction, OperandUse};
use rmt_isa::limits::{MAX_ARGUMENTS, MAX_CONTEXTS, SCALAR_REGISTERS, VECTOR_REGISTERS};
use rmt_isa::operand::{FieldRef, Operand, Role, Scalar};

use super::sinks::{PrivateEnd, Sinks};
use super::taint::{Origin, Record, Taint, Value, join};
use super::{Arrival, EventLabels, FlowFacts, Open};
use crate::verifier::control::{FlowGraph, join_points};
use crate::verifier::dataflow::{self, Domain, Meeting, Step};
use crate::verifier::findings::Findings;

#[derive(Clone)]
pub(super) struct State {
    scalars: [Value; SCALAR_REGISTERS],
    vectors: [Taint; VECTOR_REGISTERS],
    records: [Record; MAX_CONTEXTS],
    /// Private data decides whether the instructions before this one run.
    private_until: usize,
    /// The branch that looked at it; meaningful below `private_until`.
    decided_by: Origin,
}

impl State {
    fn control(&self, index: usize) -> Taint {
        (index < self.private_until).then_some(self.decided_by)
    }

    fn scalar(&self, register: Scalar) -> Value {
        self.scalars[register.index()]
    }

    fn record(&self, field: FieldRef) -> Record {
        self.records[field.context.index()]
    }
}

/// What leaves the action.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) calls: Vec<(usize, Arrival)>,
    pub(super) private_ends: Vec<PrivateEnd>,
}

pub(super) struct Labels<'f, 'p> {
    sinks: Sinks<'f, 'p>,
    action: usize,
    joins: Vec<usize>,
    event: &'f EventLabels,
    facts: &'f mut FlowFacts,
    outcome: Outcome,
}

impl<'f, 'p> Labels<'f, 'p> {
    pub(super) fn new(
        findings: &'f mut Findings<'p>,
        action: usize,
        graph: &FlowGraph<'_>,
        event: &'f EventLabels,
        facts: &'f mut FlowFacts,
    ) -> Self {
        let sinks = Sinks { findings, action };
        Self { sinks, action, joins: join_points(graph), event, facts, outcome: Outcome::default() }
    }

    pub(super) fn run(&mut self, graph: &FlowGraph<'_>, arrival: Arrival) -> Outcome {
        let mut scalars = [Value::PUBLIC; SCALAR_REGISTERS];
        scalars[1..=MAX_ARGUMENTS].copy_from_slice(&arrival.arguments);
        let entry = State {
            scalars,
            vectors: [None; VECTOR_REGISTERS],
            records: [Record::NONE; MAX_CONTEXTS],
            private_until: if arrival.control.is_some() { usize::MAX } else { 0 },
            decided_by: Origin::Caller,
        };
        dataflow::run(graph, self, entry);
        std::mem::take(&mut self.outcome)
    }

    /// The label of what the instruction computes, beside that of its operands.
    fn source_taint(&mut self, index: usize, instruction: Instruction, state: &State) -> Taint {
        use Instruction as I;
        let here = Some(Origin::Load(index as u16));
        match instruction {
            I::LoadEvent { offset, kind, .. } => {
                self.event.any_private(offset.index(), kind.bytes()).then_some(here)?
            }
            I::VectorLoadEvent { lanes, element, offset, .. } => {
                let bytes = lanes.count() * element.bytes();
                self.event.any_private(offset.index(), bytes).then_some(here)?
            }
            I::LoadContext { field, .. }
            | I::LoadHistory { field, .. }
            | I::LoadHistoryImm { field, .. }
            | I::HistoryLength { field, .. }
            | I::VectorLoadContext { field, .. } => {
                let record = state.record(field);
                let private = self.sinks.check_field_read(index, field, record);
                join(private.then_some(here).flatten(), record.choice)
            }
            I::MatchContext { context, a, .. } | I::FindContext { context, a, .. } => {
                let own = state.scalar(a).event_key;
                let (action, context) = (self.action, context.index());
                let matches = matches!(instruction, I::MatchContext { .. });
                let creates = state.control(index).filter(|_| own && matches);
                self.facts.opens.push(Open { action, index, context, own, creates });
                None
            }
            I::MapLoad { map, .. }
            | I::MapContains { map, .. }
            | I::MapStore { map, .. }
            | I::MapAdd { map, .. }
            | I::MapDelete { map, .. }
            | I::MapPush { map, .. } => self.sinks.map_is_private(map).then_some(here)?,
            _ => None,
        }
    }

    /// Checks what the instruction shows to others.
    fn check_sinks(&mut self, index: usize, instruction: Instruction, state: &State, data: Taint) {
        use Instruction as I;
        match instruction {
            I::Out { index: output, .. } => self.sinks.check_output(index, output, data),
            I::MatchContext { a, .. } => {
                let own = state.scalar(a).event_key;
                self.sinks.check_match(index, own, data);
            }
            I::StoreContext { field, .. }
            | I::PushContext { field, .. }
            | I::VectorStoreContext { field, .. } => {
                let record = state.record(field);
                let data = join(data, record.visible_choice);
                self.sinks.check_field_write(index, field, record, data);
            }
            I::MapLoad { map, a, .. } | I::MapContains { map, a, .. } => {
                let own = state.scalar(a).event_key;
                let recency = matches!(instruction, I::MapLoad { .. });
                self.sinks.check_map_read(index, map, own, recency, data);
            }
            I::MapStore { map, a, .. } | I::MapAdd { map, a, .. } | I::MapDelete { map, a, .. } => {
                let own = state.scalar(a).event_key;
                self.sinks.check_map_write(index, map, own, data);
            }
            I::MapPush { map, .. } => self.sinks.check_map_push(index, map, data),
            _ => {}
        }
    }

    /// Whether the scalar that the instruction writes is exactly the event's key.
    fn gives_event_key(&self, instruction: Instruction, state: &State) -> bool {
        match instruction {
            Instruction::LoadEvent { offset, kind, .. } => {
                let key = event_layout::KEY;
                offset.index() == key.offset && kind.bytes() == key.bytes
            }
            Instruction::Move { a, .. } => state.scalar(a).event_key,
            Instruction::Extend { a, kind, .. } => kind.bits() == 64 && state.scalar(a).event_key,
            Instruction::MoveIf { d, b, .. } => {
                state.scalar(d).event_key && state.scalar(b).event_key
            }
            _ => false,
        }
    }
}

/// Private if any register that the instruction reads is.
fn operands_taint(operands: &[OperandUse], state: &State) -> Taint {
    let reads = |role| matches!(role, Role::Read | Role::Modify);
    operands.iter().filter(|operand| reads(operand.info.role)).find_map(|o| match o.value {
        Operand::Scalar(register) => state.scalar(register).taint,
        Operand::Vector(register) => state.vectors[register.index()],
        _ => None,
    })
}

impl Domain for Labels<'_, '_> {
    type State = State;

    fn step(&mut self, at: &Step<'_>, state: &mut State) {
        let &Step { index, instruction, .. } = at;
        let control = state.control(index);
        let operands = operands_taint(at.operands, state);
        let data = join(operands, control);
        let source = self.source_taint(index, instruction, state);
        self.check_sinks(index, instruction, state, data);
        let result = join(data, source);
        match instruction {
            Instruction::Exit { verdict } if control.is_some() => {
                let place = self.sinks.findings.instruction(self.action, index);
                self.outcome.private_ends.push(PrivateEnd::exit(verdict, place));
            }
            Instruction::TailCall { table } => {
                let mut arguments = [Value::PUBLIC; MAX_ARGUMENTS];
                arguments.copy_from_slice(&state.scalars[1..=MAX_ARGUMENTS]);
                for argument in &mut arguments {
                    argument.taint = argument.taint.map(|_| Origin::Caller);
                }
                let control = control.map(|_| Origin::Caller);
                self.outcome.calls.push((table.index(), Arrival { control, arguments }));
            }
            Instruction::MatchContext { context, a, .. }
            | Instruction::FindContext { context, a, .. } => {
                let own = state.scalar(a).event_key;
                let visible_choice = if own { control } else { data };
                state.records[context.index()] = Record { own, choice: data, visible_choice };
            }
            _ if instruction.info().class == Class::Branch && operands.is_some() => {
                state.decided_by = match control {
                    Some(origin) => origin,
                    None => Origin::Branch(index as u16),
                };
                state.private_until = state.private_until.max(self.joins[index]);
            }
            _ => {}
        }
        let event_key = self.gives_event_key(instruction, state);
        for operand in at.operands {
            if matches!(operand.info.role, Role::Write | Role::Modify) {
                match operand.value {
                    Operand::Scalar(register) => {
                        state.scalars[register.index()] = Value { taint: result, event_key };
                    }
                    Operand::Vector(register) => state.vectors[register.index()] = result,
                    _ => {}
                }
            }
        }
    }

    fn merge(&mut self, state: &mut State, other: &State, meeting: Meeting) {
        for (value, &other) in state.scalars.iter_mut().zip(&other.scalars) {
            *value = value.join(other);
        }
        for (taint, &other) in state.vectors.iter_mut().zip(&other.vectors) {
            *taint = join(*taint, other);
        }
        for (record, &other) in state.records.iter_mut().zip(&other.records) {
            *record = record.join(other);
        }
        // Inside the region of a private branch, whichever path says so.
        if other.private_until > state.private_until {
            state.decided_by = other.decided_by;
        }
        state.private_until = state.private_until.max(other.private_until);
        if state.private_until <= meeting.at {
            state.private_until = 0;
        }
    }
}
