//! One operand after the other, by its kind and role in the instruction table.

use rmt_isa::instruction::OperandInfo;
use rmt_isa::limits::{MAX_CONTEXTS, SCALAR_REGISTERS, VECTOR_REGISTERS};
use rmt_isa::operand::{Element, IntType, OperandKind, OperandValue, Role, Scalar, Verdict};
use rmt_isa::program::{Action, KeySource, Program, Table};
use rmt_isa::{Helper, Instruction, InstructionInfo};

use super::{Options, Random, objects};
use crate::interpreter::VectorShape;

/// What is known where an instruction is about to be placed: on all paths that lead here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    /// Scalars that were written.
    pub scalars: [bool; SCALAR_REGISTERS],
    /// Types of the vectors that were written.
    pub vectors: [VectorShape; VECTOR_REGISTERS],
    /// Context stores with an open record.
    pub records: [bool; MAX_CONTEXTS],
}

impl Known {
    /// At the begin of an action that takes `arguments` scalars.
    pub(super) fn at_entry(arguments: u8) -> Self {
        let scalars = std::array::from_fn(|register| (1..=arguments.into()).contains(&register));
        Self { scalars, vectors: [None; VECTOR_REGISTERS], records: [false; MAX_CONTEXTS] }
    }

    /// Where two paths meet.
    pub(super) fn meet(&mut self, other: &Self) {
        for (mine, theirs) in self.scalars.iter_mut().zip(other.scalars) {
            *mine &= theirs;
        }
        for (mine, theirs) in self.vectors.iter_mut().zip(other.vectors) {
            *mine = mine.filter(|_| *mine == theirs);
        }
        for (mine, theirs) in self.records.iter_mut().zip(other.records) {
            *mine &= theirs;
        }
    }

    fn written_scalars(&self) -> impl Iterator<Item = usize> {
        (0..SCALAR_REGISTERS).filter(|&register| self.scalars[register])
    }
}

/// Where the key of the event stands, with [`Options::keyed`]: no instruction writes it again.
pub(super) const EVENT_KEY: u16 = Scalar::MAX;

/// Chooses operands for one action.
pub(super) struct Chooser<'a> {
    pub options: &'a Options,
    pub program: &'a Program,
    pub action: &'a Action,
    /// Tables that the action may tail-call.
    pub tables: &'a [u16],
}

impl Chooser<'_> {
    /// An instruction with random operands; `None` when there is nothing to choose from or
    /// the operands make no instruction together.
    ///
    /// Registers that are read were written, records are open, objects exist. Whether the
    /// operands fit each other is not looked at. Jumps lead nowhere yet.
    pub(super) fn instruction(
        &self,
        random: &mut Random,
        info: &InstructionInfo,
        known: &Known,
    ) -> Option<Instruction> {
        let mut word = u64::from(info.opcode);
        for operand in info.operands {
            let opens = matches!(info.name, "MatchContext" | "FindContext");
            let bits = match operand.kind {
                OperandKind::Scalar
                    if self.options.keyed && opens && operand.role == Role::Read =>
                {
                    EVENT_KEY.into()
                }
                _ => self.bits(random, operand, known)?,
            };
            word |= operand.slot.insert(bits);
        }
        Instruction::decode(word).ok()
    }

    fn bits(&self, random: &mut Random, operand: &OperandInfo, known: &Known) -> Option<u64> {
        let written = matches!(operand.role, Role::Read | Role::Modify);
        let program = self.program;
        let below = |random: &mut Random, count: usize| random.choose(0..count).map(|n| n as u64);
        match operand.kind {
            OperandKind::Scalar if written => {
                let kept = |register: &usize| {
                    operand.role == Role::Read || *register < self.free_scalars()
                };
                let written = known.written_scalars().filter(kept);
                random.choose(written).map(|register| register as u64)
            }
            OperandKind::Scalar => below(random, self.free_scalars()),
            OperandKind::Vector if written => {
                let vectors = (0..VECTOR_REGISTERS).filter(|&v| known.vectors[v].is_some());
                random.choose(vectors).map(|register| register as u64)
            }
            OperandKind::Vector => below(random, VECTOR_REGISTERS),
            OperandKind::Immediate
                if self.options.zero_immediate_every > 0
                    && random.one_in(self.options.zero_immediate_every) =>
            {
                Some(0)
            }
            OperandKind::Immediate => Some((random.value() as i32).to_bits()),
            OperandKind::Jump => Some(0),
            OperandKind::EventOffset => {
                let alignment = 1 << random.below(4);
                Some(random.below(64) as u64 / alignment * alignment)
            }
            OperandKind::ParameterIndex => below(random, self.action.parameters.len()),
            OperandKind::OutputIndex => below(random, program.outputs.len()),
            OperandKind::ContextId => below(random, program.contexts.len()),
            OperandKind::FieldRef => {
                let open = (0..program.contexts.len()).filter(|&context| known.records[context]);
                let context = random.choose(open)?;
                let field = random.choose(0..program.contexts[context].fields.len())?;
                Some((context << 8 | field) as u64)
            }
            OperandKind::MapId => below(random, program.maps.len()),
            OperandKind::TableId => {
                let ready = self.tables.iter().filter(|&&table| self.hands_over(table, known));
                random.choose(ready).map(|&table| table.into())
            }
            OperandKind::TensorId => below(random, program.tensors.len()),
            OperandKind::Bias if random.one_in(3) => Some(0xffff),
            OperandKind::Bias => below(random, program.tensors.len()),
            OperandKind::ScaleId => below(random, program.scales.len()),
            OperandKind::ForestId => below(random, program.forests.len()),
            OperandKind::WindowId => below(random, program.windows.len()),
            OperandKind::Lane => {
                let lanes = objects::lanes(random, self.options);
                below(random, lanes)
            }
            OperandKind::Lanes => Some(objects::lanes(random, self.options) as u64),
            OperandKind::Element => Some(random.pick(Element::ALL).to_bits()),
            OperandKind::IntType => Some(random.pick(IntType::ALL).to_bits()),
            OperandKind::Verdict => Some(random.pick(Verdict::ALL).to_bits()),
            OperandKind::Helper => Some(random.pick(Helper::ALL).to_bits()),
        }
    }

    /// Scalars that instructions may write, counted from `r0`.
    fn free_scalars(&self) -> usize {
        if self.options.keyed { EVENT_KEY.into() } else { SCALAR_REGISTERS }
    }

    /// Whether everything that a table takes from a tail call was written.
    fn hands_over(&self, table: u16, known: &Known) -> bool {
        let Some(table) = self.program.tables.get(usize::from(table)) else { return false };
        arguments_of(self.program, table).all(|register| known.scalars[register])
    }
}

/// The scalars that a table's key and actions take from a tail call.
fn arguments_of<'a>(program: &'a Program, table: &'a Table) -> impl Iterator<Item = usize> + 'a {
    let key = table.key.iter().filter_map(|field| match field.source {
        KeySource::Argument { register } => Some(usize::from(register)),
        KeySource::Event { .. } => None,
    });
    let actions = table.actions.iter().filter_map(|&action| {
        let action = program.actions.get(usize::from(action))?;
        Some(1..=usize::from(action.arguments))
    });
    key.chain(actions.flatten())
}
