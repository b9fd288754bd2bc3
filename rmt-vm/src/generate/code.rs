//! The code of actions.

use rmt_isa::event::event_layout;
use rmt_isa::instruction::Class;
use rmt_isa::limits::{SCALAR_REGISTERS, VECTOR_REGISTERS};
use rmt_isa::operand::{
    Element, EventOffset, IntType, Jump, OFF, Operand, OutputIndex, Role, Scalar, Vector, Verdict,
};
use rmt_isa::program::{Action, Program};
use rmt_isa::{Instruction, InstructionInfo};

use super::operands::{Chooser, EVENT_KEY, Known};
use super::{Options, Random, tables};
use crate::interpreter::Probe;

/// How often other operands are tried before another instruction is.
const OPERAND_TRIALS: usize = 12;
/// How often an instruction is tried before the action ends early.
const INSTRUCTION_TRIALS: usize = 40;

/// Declares tables and actions and gives the actions code that the verifier accepts.
pub(super) fn fill_with_verified(random: &mut Random, options: &Options, program: &mut Program) {
    let levels = tables::declare(random, options, program);
    // `objects` declares nothing that the interpreter would not load.
    let Ok(mut probe) = Probe::new(program) else { return };
    for (number, &level) in levels.iter().enumerate() {
        let callable: Vec<u16> = (level + 1..program.tables.len()).map(|t| t as u16).collect();
        let action = &program.actions[number];
        let chooser = Chooser { options, program, action, tables: &callable };
        let known = Known::at_entry(action.arguments);
        let mut builder =
            Builder { random, chooser, probe: &mut probe, known, code: vec![], open_jumps: vec![] };
        builder.build();
        let code = builder.code;
        set_code(&mut program.actions[number], code);
    }
}

/// Declares tables and actions and gives all actions this code and an exit.
pub(super) fn fill_with(
    random: &mut Random,
    options: &Options,
    program: &mut Program,
    code: &[Instruction],
) {
    tables::declare(random, options, program);
    for action in &mut program.actions {
        let mut code = code.to_vec();
        code.push(Instruction::Exit { verdict: Verdict::Decided });
        set_code(action, code);
    }
}

/// Declares tables and actions and gives the actions instructions with random operands.
pub(super) fn fill_with_decodable(random: &mut Random, options: &Options, program: &mut Program) {
    let levels = tables::declare(random, options, program);
    let all_tables: Vec<u16> = (0..program.tables.len()).map(|table| table as u16).collect();
    let mut known = Known::at_entry(0);
    (known.scalars, known.records) = ([true; SCALAR_REGISTERS], [true; 4]);
    known.vectors = [Some((Element::I8, 1)); VECTOR_REGISTERS];
    for number in 0..levels.len() {
        let action = &program.actions[number];
        let chooser = Chooser { options, program, action, tables: &all_tables };
        let length = random.between(0, *options.instructions_per_action.end());
        let mut code = Vec::new();
        while code.len() < length {
            let info = *random.pick(options.instructions());
            let chosen = match random.below(3) {
                0 => Instruction::decode(
                    random.bits() & info.used_bits() & !0xff | u64::from(info.opcode),
                )
                .ok(),
                _ => chooser.instruction(random, info, &known),
            };
            // What cannot be chosen from what the program declares is left out.
            let end = Instruction::Exit { verdict: Verdict::Decided };
            let distance = random.below(length + 2);
            code.push(with_jump(chosen.unwrap_or(end), distance));
        }
        set_code(&mut program.actions[number], code);
    }
}

fn set_code(action: &mut Action, code: Vec<Instruction>) {
    action.lines = vec![0; code.len()];
    action.code = code;
}

/// The instruction with its jump, if it has one, over `distance` instructions.
fn with_jump(instruction: Instruction, distance: usize) -> Instruction {
    let distance = distance.min(Jump::MAX.into()) as u64;
    match instruction.jump_target() {
        Some(_) => {
            let word = instruction.encode() & !OFF.insert(u64::MAX) | OFF.insert(distance);
            Instruction::decode(word).unwrap_or(instruction)
        }
        None => instruction,
    }
}

/// A jump whose target is not placed yet, and what is known when it is taken.
struct OpenJump {
    place: usize,
    known: Known,
}

/// Builds the code of one action, instruction by instruction.
struct Builder<'a, 'r> {
    random: &'r mut Random,
    chooser: Chooser<'a>,
    probe: &'r mut Probe,
    known: Known,
    code: Vec<Instruction>,
    open_jumps: Vec<OpenJump>,
}

impl Builder<'_, '_> {
    fn build(&mut self) {
        let range = &self.chooser.options.instructions_per_action;
        let length = self.random.between(*range.start(), *range.end());
        if self.chooser.options.keyed
            && let Some(d) = Scalar::new(EVENT_KEY)
            && let Some(offset) = EventOffset::new(event_layout::KEY.offset as u16)
        {
            self.add(Instruction::LoadEvent { d, offset, kind: IntType::U64 });
        }
        while self.code.len() + 1 < length {
            if !self.open_jumps.is_empty() && self.random.one_in(6) {
                self.land_one();
            }
            if !self.add_random() {
                break;
            }
        }
        while !self.open_jumps.is_empty() {
            self.land_one();
        }
        if self.random.one_in(2) {
            self.show_registers();
        }
        self.end();
    }

    /// Adds some instruction that fits; whether one was found.
    fn add_random(&mut self) -> bool {
        (0..INSTRUCTION_TRIALS).any(|_| {
            let info = self.random_info();
            (0..OPERAND_TRIALS).any(|_| self.try_instruction(info))
        })
    }

    /// Classes are equally likely, so that the few instructions for models occur as often as
    /// the many for arithmetic.
    fn random_info(&mut self) -> &'static InstructionInfo {
        const CLASSES: [Class; 10] = [
            Class::Control,
            Class::Alu,
            Class::Multiply,
            Class::Divide,
            Class::Branch,
            Class::Event,
            Class::Context,
            Class::Map,
            Class::Vector,
            Class::Model,
        ];
        loop {
            let class = *self.random.pick(&CLASSES);
            let allowed = self.chooser.options.instructions().iter().copied();
            if let Some(info) = self.random.choose(allowed.filter(|info| info.class == class)) {
                return info;
            }
        }
    }

    /// Adds an instruction with random operands if they fit; whether they did.
    fn try_instruction(&mut self, info: &'static InstructionInfo) -> bool {
        let Some(instruction) = self.chooser.instruction(self.random, info, &self.known) else {
            return false;
        };
        let leaves = instruction.ends_action() || matches!(instruction, Instruction::Jump { .. });
        // Code behind it must be reached by a jump that is still open.
        if instruction.ends_action() && self.open_jumps.is_empty() {
            return false;
        }
        self.add(instruction) && {
            if leaves {
                self.land_one_elsewhere();
            }
            true
        }
    }

    /// Adds an instruction if its operands fit each other; whether they did.
    fn add(&mut self, instruction: Instruction) -> bool {
        let mut vectors = self.known.vectors;
        if can_overflow(instruction, &self.known)
            || self.probe.run(&mut vectors, instruction).is_err()
        {
            return false;
        }
        if instruction.jump_target().is_some() {
            self.open_jumps.push(OpenJump { place: self.code.len(), known: self.known });
        }
        self.known.vectors = vectors;
        for operand in instruction.operands() {
            match (operand.value, operand.info.role) {
                (Operand::Scalar(register), Role::Write) => {
                    self.known.scalars[register.index()] = true;
                }
                (Operand::ContextId(context), _) => self.known.records[context.index()] = true,
                _ => {}
            }
        }
        self.code.push(instruction);
        true
    }

    /// Lets an open jump land at the next instruction, where its path meets the one that
    /// comes from above.
    fn land_one(&mut self) {
        let jump = self.open_jumps.swap_remove(self.random.below(self.open_jumps.len()));
        self.known.meet(&jump.known);
        self.patch(jump.place);
    }

    /// Lets an open jump land at the next instruction, which no path from above reaches.
    fn land_one_elsewhere(&mut self) {
        let jump = self.open_jumps.swap_remove(self.random.below(self.open_jumps.len()));
        self.known = jump.known;
        self.patch(jump.place);
    }

    fn patch(&mut self, place: usize) {
        let distance = self.code.len() - place - 1;
        self.code[place] = with_jump(self.code[place], distance);
    }

    fn allows(&self, mnemonic: &str) -> bool {
        self.chooser.options.instructions().iter().any(|info| info.mnemonic == mnemonic)
    }

    /// Folds all registers into the outputs, so that no difference between engines stays
    /// hidden in a register.
    fn show_registers(&mut self) {
        let outputs = self.chooser.program.outputs.len();
        if outputs == 0 || !self.allows("out") || !self.allows("xor") {
            return;
        }
        // A free scalar for the fold; r15 is as good as any when all are in use.
        let scalars = 0..SCALAR_REGISTERS as u16;
        let free = scalars.clone().find(|&r| !self.known.scalars[usize::from(r)]);
        let Some(fold) = Scalar::new(free.unwrap_or(Scalar::MAX)) else { return };
        let written: Vec<_> = scalars
            .filter(|&r| self.known.scalars[usize::from(r)])
            .filter_map(Scalar::new)
            .collect();
        let Some(&first) = written.first() else { return };
        self.add(Instruction::Xor { d: fold, a: first, b: first });
        for a in written {
            self.add(Instruction::Xor { d: fold, a: fold, b: a });
            if self.allows("muli") {
                self.add(Instruction::MulImm { d: fold, a: fold, imm: 0x0193_0001 });
            }
        }
        self.output(fold);
        for vector in (0..VECTOR_REGISTERS as u16).filter_map(Vector::new) {
            if self.known.vectors[vector.index()].is_some() && self.allows("RMT_VECTOR_SUM") {
                self.add(Instruction::VectorSum { d: first, a: vector });
                self.add(Instruction::Xor { d: fold, a: fold, b: first });
            }
        }
        self.output(fold);
    }

    fn output(&mut self, a: Scalar) {
        let outputs = self.chooser.program.outputs.len();
        if let Some(index) = OutputIndex::new(self.random.below(outputs) as u16) {
            self.add(Instruction::Out { index, a });
        }
    }

    /// Ends the action: by a tail call now and then, if there is a table to call.
    fn end(&mut self) {
        let tail_call =
            self.chooser.options.instructions().iter().find(|i| i.mnemonic == "TAIL_CALL");
        if let Some(info) = tail_call
            && self.random.one_in(2)
            && let Some(call) = self.chooser.instruction(self.random, info, &self.known)
        {
            self.code.push(call);
            return;
        }
        let verdict = if self.random.one_in(5) { Verdict::Abstain } else { Verdict::Decided };
        self.code.push(Instruction::Exit { verdict });
    }
}

/// Whether accumulators could overflow, which the verifier finds by ranges of values and not
/// by types. Products cannot: `objects` keeps their weights and biases small enough. Sums
/// over windows of i32 lanes can.
fn can_overflow(instruction: Instruction, known: &Known) -> bool {
    match instruction {
        Instruction::PoolSum { a, .. } => {
            known.vectors[a.index()].is_some_and(|(element, _)| element == Element::I32)
        }
        _ => false,
    }
}
