//! Registers: written before they are read, and of a known type at every point.
//!
//! A scalar register is written or not. A vector register has an element type and a length.
//! A context store has an open record or not. Where paths meet, only what holds on both
//! stays; what was lost is remembered with the path that lost it, for the message.

use rmt_isa::helper::Helper;
use rmt_isa::instruction::{Instruction, OperandUse};
use rmt_isa::limits::{MAX_CONTEXTS, SCALAR_REGISTERS, VECTOR_REGISTERS};
use rmt_isa::operand::{Element, Operand, Role, TableId};
use rmt_isa::program::KeySource;
use serde::Serialize;

use super::control::FlowGraph;
use super::dataflow::{self, Domain, Meeting, Step};
use super::findings::{Findings, quote};
use super::rules::Rule;
use super::shapes::check_shape;

/// Static type of a vector register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct VectorType {
    /// Type of its lanes.
    #[serde(serialize_with = "element_text")]
    pub element: Element,
    /// How many lanes, 1 to 256.
    pub lanes: u16,
}

fn element_text<S: serde::Serializer>(element: &Element, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(element.text())
}

impl std::fmt::Display for VectorType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x{}", self.element, self.lanes)
    }
}

/// Types of all vector registers at one point; `None` where a register must not be read.
pub type VectorTypes = [Option<VectorType>; VECTOR_REGISTERS];

/// What the types pass knows of one instruction. All empty where no path reaches it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Typing {
    /// Types of the vector registers before it.
    pub before: VectorTypes,
    /// Type of the vector that it writes.
    pub result: Option<VectorType>,
}

/// Index of an instruction, small: states are copied at every jump.
type Index = u16;

/// What is known of one register or record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known<T> {
    /// Nothing was written yet.
    Never,
    /// It has this type on all paths.
    Yes(T),
    /// The path that comes over this instruction has not written it.
    LostFrom(Index),
    /// Two paths that meet at `at` have left different types.
    Differ { at: Index, one: (Index, T), other: (Index, T) },
    /// A violation was already reported: no further ones follow from it.
    Reported,
}

impl<T: Copy + PartialEq> Known<T> {
    fn merge(self, other: Self, meeting: Meeting) -> Self {
        match (self, other) {
            (Self::Reported, _) | (_, Self::Reported) => Self::Reported,
            (Self::Yes(one), Self::Yes(other)) if one == other => self,
            (Self::Yes(one), Self::Yes(other)) => Self::Differ {
                at: meeting.at as Index,
                one: (meeting.from as Index, one),
                other: (meeting.other_from as Index, other),
            },
            (Self::Yes(_), Self::Never) => Self::LostFrom(meeting.other_from as Index),
            (Self::Never, Self::Yes(_)) => Self::LostFrom(meeting.from as Index),
            (Self::Yes(_) | Self::Never, lost) => lost,
            (lost, _) => lost,
        }
    }
}

#[derive(Clone)]
struct State {
    scalars: [Known<()>; SCALAR_REGISTERS],
    vectors: [Known<VectorType>; VECTOR_REGISTERS],
    records: [Known<()>; MAX_CONTEXTS],
}

struct Types<'f, 'p> {
    findings: &'f mut Findings<'p>,
    action: usize,
    /// For each instruction, what was found.
    typings: Vec<Typing>,
}

/// All registers of an action, and the shapes of what its instructions work on. Gives what
/// was found for each instruction.
pub(super) fn check_types(
    findings: &mut Findings<'_>,
    action: usize,
    graph: &FlowGraph<'_>,
) -> Vec<Typing> {
    let arguments = findings.program.actions.get(action).map_or(0, |a| usize::from(a.arguments));
    let mut entry = State {
        scalars: [Known::Never; SCALAR_REGISTERS],
        vectors: [Known::Never; VECTOR_REGISTERS],
        records: [Known::Never; MAX_CONTEXTS],
    };
    for register in entry.scalars.iter_mut().skip(1).take(arguments) {
        *register = Known::Yes(());
    }
    let typings = vec![Typing::default(); graph.len()];
    let mut types = Types { findings, action, typings };
    dataflow::run(graph, &mut types, entry);
    types.typings
}

impl Domain for Types<'_, '_> {
    type State = State;

    fn step(&mut self, at: &Step<'_>, state: &mut State) {
        if self.findings.full() {
            return;
        }
        let &Step { index, instruction, operands } = at;
        for operand in operands {
            self.check_read(index, instruction, operand, state);
        }
        if let Instruction::TailCall { table } = instruction {
            self.check_arguments(index, table, state);
        }
        let vectors = state.vectors.map(|known| match known {
            Known::Yes(vector) => Some(vector),
            _ => None,
        });
        let result = check_shape(self.findings, (self.action, index), instruction, &vectors);
        self.typings[index] = Typing { before: vectors, result };
        for operand in operands {
            if matches!(operand.info.role, Role::Write | Role::Modify) {
                match operand.value {
                    Operand::Scalar(register) => state.scalars[register.index()] = Known::Yes(()),
                    Operand::Vector(register) => {
                        state.vectors[register.index()] =
                            result.map_or(Known::Reported, Known::Yes);
                    }
                    _ => {}
                }
            }
        }
        if let Instruction::MatchContext { context, .. }
        | Instruction::FindContext { context, .. } = instruction
        {
            state.records[context.index()] = Known::Yes(());
        }
    }

    fn merge(&mut self, state: &mut State, other: &State, meeting: Meeting) {
        for (known, &other) in state.scalars.iter_mut().zip(&other.scalars) {
            *known = known.merge(other, meeting);
        }
        for (known, &other) in state.vectors.iter_mut().zip(&other.vectors) {
            *known = known.merge(other, meeting);
        }
        for (known, &other) in state.records.iter_mut().zip(&other.records) {
            *known = known.merge(other, meeting);
        }
    }
}

impl Types<'_, '_> {
    /// A register that is read was written; a field that is used belongs to an open record.
    fn check_read(
        &mut self,
        index: usize,
        instruction: Instruction,
        operand: &OperandUse,
        state: &mut State,
    ) {
        let reads = matches!(operand.info.role, Role::Read | Role::Modify);
        match operand.value {
            Operand::Scalar(register) if reads && !ignores(instruction, operand) => {
                let known = &mut state.scalars[register.index()];
                if *known != Known::Yes(()) && *known != Known::Reported {
                    let reason = self.loss(*known, &register.to_string(), "writes it");
                    let remedy = format!(
                        "write {register} on every path to here, for example `movi {register}, 0` \
                         at the start of the action"
                    );
                    self.refuse(Rule::UninitialisedScalar, index, reason, remedy);
                    *known = Known::Reported;
                }
            }
            Operand::Vector(register) if reads => {
                let known = &mut state.vectors[register.index()];
                match *known {
                    Known::Yes(_) | Known::Reported => return,
                    Known::Differ { at, one, other } => {
                        let from = |(from, vector): (Index, VectorType)| {
                            let from = self.findings.instruction_text(self.action, from.into());
                            format!("{vector} coming from {from}")
                        };
                        let reason = format!(
                            "at instruction {at}, where two paths meet, {register} is {} and {}",
                            from(one),
                            from(other)
                        );
                        let remedy = "use the same element type and length on both paths, or two \
                                      registers";
                        self.refuse(Rule::VectorTypesDiffer, index, reason, remedy.into());
                    }
                    lost => {
                        let reason = self.loss(lost, &register.to_string(), "writes it");
                        let remedy = format!(
                            "write {register} on every path to here, for example with \
                             `RMT_VECTOR_FILL`"
                        );
                        self.refuse(Rule::UninitialisedVector, index, reason, remedy);
                    }
                }
                *known = Known::Reported;
            }
            Operand::FieldRef(field) => {
                let known = &mut state.records[field.context.index()];
                if *known != Known::Yes(()) && *known != Known::Reported {
                    let store = field.context;
                    let reason = self.loss(*known, &format!("the record of {store}"), "opens it");
                    let remedy = format!(
                        "open it on every path to here with `RMT_MATCH_CTXT` or `RMT_FIND_CTXT` \
                         on {store}"
                    );
                    self.refuse(Rule::RecordNotOpen, index, reason, remedy);
                    *known = Known::Reported;
                }
            }
            _ => {}
        }
    }

    /// Why something is not there: never done, or not done on some path.
    fn loss<T>(&self, known: Known<T>, what: &str, does: &str) -> String {
        match known {
            Known::LostFrom(from) => {
                let from = self.findings.instruction_text(self.action, from.into());
                format!("{what} is used, but nothing {does} on the path through {from}")
            }
            _ => format!("{what} is used, but no instruction before {does}"),
        }
    }

    /// The table's key and every action that the table may run find their registers written.
    fn check_arguments(&mut self, index: usize, table: TableId, state: &State) {
        let program = self.findings.program;
        let Some(table) = program.tables.get(table.index()) else { return };
        let default = table.default.as_ref().map(|call| call.action);
        let by_action = table.actions.iter().copied().chain(default).filter_map(|action| {
            let action = program.actions.get(usize::from(action))?;
            let who = || format!("action `{}`", quote(&action.name));
            Some((1..=usize::from(action.arguments), who()))
        });
        let by_key = table.key.iter().filter_map(|field| match field.source {
            KeySource::Argument { register } => Some((
                usize::from(register)..=usize::from(register),
                format!("key field `{}`", quote(&field.name)),
            )),
            KeySource::Event { .. } => None,
        });
        for (registers, who) in by_key.chain(by_action) {
            for register in registers {
                let known = state.scalars.get(register).copied().unwrap_or(Known::Reported);
                if known != Known::Yes(()) && known != Known::Reported {
                    let name = format!("r{register}");
                    let reason = format!(
                        "{who} of table `{}` takes {name}; {}",
                        quote(&table.name),
                        self.loss(known, &name, "writes it")
                    );
                    let remedy = format!("write {name} on every path to this tail call");
                    self.refuse(Rule::TailCallArgument, index, reason, remedy);
                    return;
                }
            }
        }
    }

    fn refuse(&mut self, rule: Rule, index: usize, reason: String, remedy: String) {
        let place = self.findings.instruction(self.action, index);
        self.findings.refuse(rule, place, reason, remedy);
    }
}

/// Whether a helper does not look at this operand.
fn ignores(instruction: Instruction, operand: &OperandUse) -> bool {
    let one_argument = |helper: Helper| helper.arguments() < 2;
    matches!(instruction, Instruction::Call { helper, .. } if one_argument(helper))
        && operand.info.name == "b"
}

#[cfg(test)]
mod tests {
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    #[test]
    fn written_registers_are_accepted() {
        let diamond = "ld_event r1, event+16, u64\njeqi r1, 0, no\nmovi r2, 1\njump end\n\
                       no: movi r2, 2\nend: out out1, r2\nexit decided";
        Fixture::new(diamond).accepted();
        // A helper of one argument does not read its second operand.
        Fixture::new("movi r1, 9\nCALL r2, isqrt, r1, r9\nexit decided").accepted();
    }

    #[test]
    fn unwritten_scalars_are_refused_once() {
        let code = "add r1, r2, r2\nadd r1, r2, r1\nexit decided";
        refused_by(
            &Fixture::new(code),
            Rule::UninitialisedScalar,
            "no instruction before writes it",
        );
        let code = "movi r1, 9\nCALL r2, mulhi, r1, r9\nexit decided";
        refused_by(&Fixture::new(code), Rule::UninitialisedScalar, "r9 is used");
        let code = "movi r1, 1\nmovif r2, r1, r1\nexit decided";
        refused_by(&Fixture::new(code), Rule::UninitialisedScalar, "r2 is used");
    }

    #[test]
    fn a_register_that_one_path_does_not_write_is_refused() {
        let code = "ld_event r1, event+16, u64\njeqi r1, 0, end\nmovi r2, 1\n\
                    end: out out1, r2\nexit decided";
        refused_by(
            &Fixture::new(code),
            Rule::UninitialisedScalar,
            "on the path through instruction 1",
        );
    }

    #[test]
    fn unwritten_vectors_are_refused() {
        let code = "RMT_VECTOR_RELU v1, v0\nexit decided";
        refused_by(&Fixture::new(code), Rule::UninitialisedVector, "v0 is used");
        let code = "movi r1, 0\nRMT_VECTOR_SET v3, lane0, r1\nexit decided";
        refused_by(&Fixture::new(code), Rule::UninitialisedVector, "v3 is used");
    }

    #[test]
    fn vector_types_agree_where_paths_meet() {
        let code = |element: &str| {
            format!(
                "ld_event r1, event+16, u64\njeqi r1, 0, no\nRMT_VECTOR_FILL v0, x4, i8, 1\n\
                 jump end\nno: RMT_VECTOR_FILL v0, x4, {element}, 1\n\
                 end: RMT_VECTOR_RELU v1, v0\nexit decided"
            )
        };
        Fixture::new(&code("i8")).accepted();
        let reason = "v0 is i8 x4 coming from instruction 3 and i16 x4 coming from instruction 4";
        refused_by(&Fixture::new(&code("i16")), Rule::VectorTypesDiffer, reason);
    }

    #[test]
    fn records_are_opened_before_use() {
        let code = "RMT_LD_CTXT r1, ctxt0.0\nexit decided";
        refused_by(&Fixture::new(code), Rule::RecordNotOpen, "the record of ctxt0");
        let code = "ld_event r1, event+8, u64\njeqi r1, 0, no\nRMT_MATCH_CTXT r2, ctxt0, r1\n\
                    no: RMT_LD_CTXT r1, ctxt0.0\nexit decided";
        refused_by(&Fixture::new(code), Rule::RecordNotOpen, "on the path through instruction 1");
        // Another store's record does not count.
        let code = "ld_event r1, event+8, u64\nRMT_FIND_CTXT r2, ctxt1, r1\n\
                    RMT_LD_CTXT r1, ctxt0.0\nexit decided";
        refused_by(&Fixture::new(code), Rule::RecordNotOpen, "the record of ctxt0");
    }

    #[test]
    fn tail_calls_hand_over_what_is_wanted() {
        Fixture::new("movi r1, 1\nmovi r2, 1\nTAIL_CALL table1").accepted();
        let code = "movi r1, 1\nTAIL_CALL table1";
        refused_by(
            &Fixture::new(code),
            Rule::TailCallArgument,
            "action `next` of table `second` takes r2",
        );
        let mut fixture = Fixture::new("TAIL_CALL table1");
        fixture.program.actions[1].arguments = 0;
        refused_by(
            &fixture,
            Rule::TailCallArgument,
            "key field `argument` of table `second` takes r1",
        );
    }

    #[test]
    fn registers_do_not_survive_a_tail_call() {
        let mut fixture = Fixture::new("movi r1, 1\nmovi r2, 1\nmovi r3, 1\nTAIL_CALL table1");
        fixture.set_code(1, "out out1, r2\nexit decided");
        fixture.accepted();
        fixture.set_code(1, "out out1, r3\nexit decided");
        refused_by(&fixture, Rule::UninitialisedScalar, "r3 is used");
    }
}
