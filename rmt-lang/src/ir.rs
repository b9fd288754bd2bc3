//! The code of one action before it has registers: instructions of the ISA over as many
//! registers as it likes, with labels for jumps.
//!
//! All jumps go forward, so the order of the list is an order of execution: a value is
//! written before it is read in list order too, and one walk backwards finds what is live.

use rmt_isa::Instruction;
use rmt_isa::operand::{Jump, OperandValue, Role, Scalar, Vector};

use crate::source::Span;

/// Stands for a scalar register in a template.
pub(crate) const R: Scalar = Scalar::new(0).expect("r0 exists");
/// Stands for a vector register in a template.
pub(crate) const V: Vector = Vector::new(0).expect("v0 exists");
/// Stands for a distance in a template.
pub(crate) const J: Jump = Jump::new(0).expect("+0 exists");

/// A register of the intermediate code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reg(pub(crate) u32);

/// A place that jumps lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Label(pub(crate) u32);

/// Which registers of the machine a value may live in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    Scalar,
    Vector,
}

/// What is known of a register.
#[derive(Clone, Debug)]
pub(crate) struct RegInfo {
    pub(crate) class: Class,
    /// Smallest and largest value, in the number's own sign.
    pub(crate) range: (i128, i128),
    /// Written more than once: a variable, not a value.
    pub(crate) is_variable: bool,
    /// Name in the source, for messages.
    pub(crate) name: Option<String>,
    /// Where the value comes from.
    pub(crate) span: Span,
}

/// One step of the code.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) span: Span,
}

/// Kinds of step.
#[derive(Clone, Debug)]
pub(crate) enum StepKind {
    /// An instruction; its register and jump operands stand beside it.
    Instruction(Operation),
    /// Jumps lead here.
    Label(Label),
    /// The scalars in `r1` and up that a tail call handed over.
    Arguments(Vec<Reg>),
    /// A tail call with the scalars to hand over.
    TailCall { template: Instruction, values: Vec<Reg> },
}

/// An instruction over registers of the intermediate code. The registers and the distance in
/// `template` mean nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    pub(crate) template: Instruction,
    pub(crate) d: Option<Reg>,
    pub(crate) a: Option<Reg>,
    pub(crate) b: Option<Reg>,
    pub(crate) target: Option<Label>,
    /// `d` becomes what `a` is, of whatever class.
    pub(crate) is_copy: bool,
}

impl Operation {
    /// The role of `d`; `None` when the instruction has no destination.
    fn destination_role(&self) -> Option<Role> {
        self.d?;
        let operands = self.template.info().operands;
        operands.iter().find(|operand| operand.slot.name == "D").map(|operand| operand.role)
    }

    /// Whether `d` is read as well as written.
    pub(crate) fn modifies(&self) -> bool {
        self.destination_role() == Some(Role::Modify)
    }
}

impl Step {
    /// The registers that are read.
    pub(crate) fn reads(&self) -> Vec<Reg> {
        match &self.kind {
            StepKind::Instruction(operation) => {
                let modified = operation.d.filter(|_| operation.modifies());
                [operation.a, operation.b, modified].into_iter().flatten().collect()
            }
            StepKind::TailCall { values, .. } => values.clone(),
            StepKind::Label(_) | StepKind::Arguments(_) => Vec::new(),
        }
    }

    /// The registers that are written.
    pub(crate) fn writes(&self) -> Vec<Reg> {
        match &self.kind {
            StepKind::Instruction(operation) => operation.d.into_iter().collect(),
            StepKind::Arguments(registers) => registers.clone(),
            StepKind::Label(_) | StepKind::TailCall { .. } => Vec::new(),
        }
    }

    /// Whether the next step of the list may follow.
    pub(crate) fn falls_through(&self) -> bool {
        match &self.kind {
            StepKind::Instruction(operation) => {
                !matches!(operation.template, Instruction::Exit { .. } | Instruction::Jump { .. })
            }
            StepKind::TailCall { .. } => false,
            StepKind::Label(_) | StepKind::Arguments(_) => true,
        }
    }

    /// Where the step may jump to.
    pub(crate) fn target(&self) -> Option<Label> {
        match &self.kind {
            StepKind::Instruction(operation) => operation.target,
            _ => None,
        }
    }
}

/// The code of one action.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    pub(crate) steps: Vec<Step>,
    pub(crate) registers: Vec<RegInfo>,
    pub(crate) labels: u32,
}

impl Code {
    /// A new register.
    pub(crate) fn register(&mut self, info: RegInfo) -> Reg {
        self.registers.push(info);
        Reg(self.registers.len() as u32 - 1)
    }

    /// A new label, not placed yet.
    pub(crate) fn label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels - 1)
    }

    /// What is known of `register`.
    pub(crate) fn info(&self, register: Reg) -> &RegInfo {
        &self.registers[register.0 as usize]
    }

    /// Walks backwards and calls `visit` with the index of each step and the registers that
    /// are live after it.
    pub(crate) fn walk_liveness(&self, mut visit: impl FnMut(usize, &Step, &LiveSet)) {
        let mut at_label = vec![None; self.labels as usize];
        let mut live = LiveSet::new(self.registers.len());
        for (index, step) in self.steps.iter().enumerate().rev() {
            if !step.falls_through() {
                live.clear();
            }
            if let Some(target) = step.target()
                && let Some(Some(saved)) = at_label.get(target.0 as usize)
            {
                live.union(saved);
            }
            visit(index, step, &live);
            for register in step.writes() {
                live.remove(register);
            }
            for register in step.reads() {
                live.insert(register);
            }
            if let StepKind::Label(label) = step.kind {
                at_label[label.0 as usize] = Some(live.clone());
            }
        }
    }
}

/// A set of registers.
#[derive(Clone, Debug)]
pub(crate) struct LiveSet {
    words: Vec<u64>,
}

impl LiveSet {
    fn new(registers: usize) -> Self {
        Self { words: vec![0; registers.div_ceil(64)] }
    }

    fn clear(&mut self) {
        self.words.fill(0);
    }

    fn union(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    fn insert(&mut self, register: Reg) {
        self.words[register.0 as usize / 64] |= 1 << (register.0 % 64);
    }

    fn remove(&mut self, register: Reg) {
        self.words[register.0 as usize / 64] &= !(1 << (register.0 % 64));
    }

    /// Whether `register` is in the set.
    pub(crate) fn contains(&self, register: Reg) -> bool {
        self.words[register.0 as usize / 64] >> (register.0 % 64) & 1 == 1
    }

    /// The registers, in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Reg> + '_ {
        self.words.iter().enumerate().flat_map(|(index, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros();
                    rest &= rest - 1;
                    Reg(index as u32 * 64 + bit)
                })
            })
        })
    }
}

/// The form of an arithmetic instruction or branch whose second operand is a constant.
///
/// The table of instructions places them `0x20` (arithmetic) and `0x10` (branches) above the
/// register form.
pub(crate) fn immediate_form(template: Instruction, constant: i32) -> Option<Instruction> {
    let opcode = match template.opcode() {
        arithmetic @ 0x10..=0x26 => arithmetic + 0x20,
        branch @ 0x60..=0x65 => branch + 0x10,
        _ => return None,
    };
    Instruction::decode(u64::from(opcode) | constant.to_bits() << 32).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn immediate_forms_are_those_of_the_table() {
        for info in rmt_isa::INSTRUCTIONS {
            let Ok(template) = Instruction::decode(info.opcode.into()) else { continue };
            let Some(immediate) = immediate_form(template, -7) else { continue };
            assert_eq!(immediate.info().name, format!("{}Imm", info.name));
            assert_eq!(immediate.info().mnemonic, format!("{}i", info.mnemonic));
        }
    }
}
