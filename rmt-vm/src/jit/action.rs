//! One action: control flow, and which file translates which class of instruction.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AbiParam, Block, Function as IrFunction, InstBuilder, MemFlagsData, SigRef, Signature, Type,
    Value,
};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext, Variable};
use rmt_isa::Instruction;
use rmt_isa::limits::{MAX_ARGUMENTS, MAX_CONTEXTS, SCALAR_REGISTERS};
use rmt_isa::operand::{Operand, Scalar, TableId, Verdict};
use std::mem::offset_of;

use super::compile::Objects;
use super::runtime::{Constants, Frame, Function};
use super::vectors::VectorVariables;
use crate::verifier::Typing;

/// How an action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Decided,
    Abstained,
    TailCall { table: usize },
}

/// The word that compiled code returns: what to do in bits 1..0, the table in 23..8, the mask
/// of outputs written in 31..24, the number of instructions executed in 63..32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End(pub(super) u64);

impl End {
    const WRITTEN: u32 = 24;
    const STEPS: u32 = 32;

    fn word(verb: Verb) -> i64 {
        match verb {
            Verb::Decided => 0,
            Verb::Abstained => 1,
            Verb::TailCall { table } => 2 | (table as i64) << 8,
        }
    }

    #[inline]
    pub(super) fn verb(self) -> Verb {
        match self.0 & 3 {
            0 => Verb::Decided,
            1 => Verb::Abstained,
            _ => Verb::TailCall { table: (self.0 >> 8 & 0xffff) as usize },
        }
    }

    #[inline]
    pub(super) fn written(self) -> u8 {
        (self.0 >> Self::WRITTEN) as u8
    }

    #[inline]
    pub(super) fn steps(self) -> u64 {
        self.0 >> Self::STEPS
    }
}

/// Where the record of a context store is: to read and to write. They differ when no record
/// was found, see [`super::runtime::ContextView`].
#[derive(Clone, Copy)]
pub(super) struct RecordVariables {
    pub(super) read: Variable,
    pub(super) write: Variable,
}

/// Translates one action.
pub(super) struct ActionCompiler<'a, 'f> {
    pub(super) builder: FunctionBuilder<'f>,
    pub(super) objects: Objects<'a>,
    pub(super) constants: &'a mut Constants,
    pub(super) typings: &'a [Typing],
    /// Pointer to the [`Frame`].
    pub(super) frame: Value,
    /// Pointer to the event's bytes.
    pub(super) event: Value,
    scalars: [Variable; SCALAR_REGISTERS],
    pub(super) vectors: VectorVariables,
    pub(super) records: [RecordVariables; MAX_CONTEXTS],
    written: Variable,
    steps: Variable,
    /// Signatures of called functions, by number of arguments.
    signatures: [Option<SigRef>; 7],
    isa: &'a dyn TargetIsa,
}

/// Memory that is there and may be anywhere.
pub(super) fn memory() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Memory that does not change while code runs.
pub(super) fn constant_memory() -> MemFlagsData {
    memory().with_readonly().with_can_move()
}

/// Builds the function of an action.
pub(super) fn compile_action(
    function: &mut IrFunction,
    builder_context: &mut FunctionBuilderContext,
    isa: &dyn TargetIsa,
    objects: Objects<'_>,
    constants: &mut Constants,
    action: usize,
    typings: &[Typing],
) {
    let mut builder = FunctionBuilder::new(function, builder_context);
    let entry = builder.create_block();
    builder.append_block_params_for_function_params(entry);
    builder.switch_to_block(entry);
    let (frame, event) = (builder.block_params(entry)[0], builder.block_params(entry)[1]);
    let scalars = std::array::from_fn(|_| builder.declare_var(I64));
    let records = std::array::from_fn(|_| RecordVariables {
        read: builder.declare_var(I64),
        write: builder.declare_var(I64),
    });
    let (written, steps) = (builder.declare_var(I64), builder.declare_var(I64));
    let zero = builder.ins().iconst(I64, 0);
    builder.def_var(written, zero);
    builder.def_var(steps, zero);
    let mut compiler = ActionCompiler {
        builder,
        objects,
        constants,
        typings,
        frame,
        event,
        scalars,
        vectors: VectorVariables::default(),
        records,
        written,
        steps,
        signatures: [None; 7],
        isa,
    };
    compiler.load_arguments(usize::from(objects.program.actions[action].arguments));
    compiler.code(&objects.program.actions[action].code);
    compiler.builder.seal_all_blocks();
    compiler.builder.finalize(isa.frontend_config());
}

/// The place behind a jump at `pc`, if the instruction can jump.
fn jump_target(pc: usize, instruction: Instruction) -> Option<usize> {
    instruction.operands().iter().find_map(|operand| match operand.value {
        Operand::Jump(jump) => Some(pc + 1 + jump.index()),
        _ => None,
    })
}

/// Whether the next instruction never follows.
fn ends(instruction: Instruction) -> bool {
    matches!(
        instruction,
        Instruction::Exit { .. } | Instruction::Jump { .. } | Instruction::TailCall { .. }
    )
}

impl ActionCompiler<'_, '_> {
    /// All instructions that can be reached, in blocks.
    fn code(&mut self, code: &[Instruction]) {
        let mut reached = vec![false; code.len() + 1];
        let mut leader = vec![false; code.len() + 1];
        (reached[0], leader[0]) = (true, true);
        for (pc, &instruction) in code.iter().enumerate().filter(|_| !code.is_empty()) {
            if !reached[pc] {
                continue;
            }
            let target = jump_target(pc, instruction);
            if let Some(target) = target {
                (reached[target], leader[target]) = (true, true);
            }
            if !ends(instruction) {
                reached[pc + 1] = true;
            }
            leader[pc + 1] |= target.is_some() || ends(instruction);
        }
        let blocks: Vec<Option<Block>> = (0..code.len())
            .map(|pc| (reached[pc] && leader[pc]).then(|| self.builder.create_block()))
            .collect();
        let mut open = true;
        for (pc, &instruction) in code.iter().enumerate() {
            if !reached[pc] {
                continue;
            }
            if let Some(block) = blocks[pc] {
                if open {
                    self.builder.ins().jump(block, &[]);
                }
                self.builder.switch_to_block(block);
                let length = (pc + 1..code.len()).take_while(|&next| !leader[next]).count() + 1;
                let steps = self.builder.use_var(self.steps);
                let steps = self.add(steps, length as i64);
                self.builder.def_var(self.steps, steps);
            }
            let target = jump_target(pc, instruction).and_then(|target| blocks[target]);
            let next = blocks.get(pc + 1).copied().flatten();
            self.instruction(pc, instruction, target, next);
            open = !ends(instruction) && target.is_none();
        }
    }

    /// One instruction. `target` and `next` are the blocks to which a branch goes.
    fn instruction(
        &mut self,
        pc: usize,
        instruction: Instruction,
        target: Option<Block>,
        next: Option<Block>,
    ) {
        match instruction {
            Instruction::Exit { verdict: Verdict::Decided } => self.end(Verb::Decided),
            Instruction::Exit { verdict: Verdict::Abstain } => self.end(Verb::Abstained),
            Instruction::TailCall { table } => self.tail_call(table),
            Instruction::Out { index, a } => {
                let value = self.scalar(a);
                let offset = offset_of!(Frame, outputs) + 8 * index.index();
                self.builder.ins().store(memory(), value, self.frame, offset as i32);
                let written = self.builder.use_var(self.written);
                let bit = self.constant(1 << index.index());
                let written = self.builder.ins().bor(written, bit);
                self.builder.def_var(self.written, written);
            }
            Instruction::Jump { .. } => {
                if let Some(target) = target {
                    self.builder.ins().jump(target, &[]);
                }
            }
            _ => {
                if let Some((condition, a, b)) = self.branch(instruction) {
                    let taken = self.builder.ins().icmp(condition, a, b);
                    if let (Some(target), Some(next)) = (target, next) {
                        self.builder.ins().brif(taken, target, &[], next, &[]);
                    }
                } else if !self.scalar_instruction(instruction)
                    && !self.record_instruction(instruction)
                {
                    self.vector_instruction(pc, instruction);
                }
            }
        }
    }

    /// Leaves the action.
    fn end(&mut self, verb: Verb) {
        let steps = self.builder.use_var(self.steps);
        let written = self.builder.use_var(self.written);
        let place = self.constant(End::STEPS.into());
        let steps = self.builder.ins().ishl(steps, place);
        let place = self.constant(End::WRITTEN.into());
        let written = self.builder.ins().ishl(written, place);
        let word = self.constant(End::word(verb));
        let word = self.builder.ins().bor(word, written);
        let word = self.builder.ins().bor(word, steps);
        self.builder.ins().return_(&[word]);
    }

    fn tail_call(&mut self, table: TableId) {
        for (place, &register) in self.scalars[1..=MAX_ARGUMENTS].iter().enumerate() {
            let value = self.builder.use_var(register);
            let offset = offset_of!(Frame, arguments) + 8 * place;
            self.builder.ins().store(memory(), value, self.frame, offset as i32);
        }
        self.end(Verb::TailCall { table: table.index() });
    }

    /// `r1` and up, as the tail call left them.
    fn load_arguments(&mut self, count: usize) {
        for place in 0..count.min(MAX_ARGUMENTS) {
            let offset = offset_of!(Frame, arguments) + 8 * place;
            let value = self.load(I64, self.frame, offset);
            self.builder.def_var(self.scalars[place + 1], value);
        }
    }

    pub(super) fn scalar(&mut self, register: Scalar) -> Value {
        self.builder.use_var(self.scalars[register.index()])
    }

    pub(super) fn set_scalar(&mut self, register: Scalar, value: Value) {
        self.builder.def_var(self.scalars[register.index()], value);
    }

    /// A 64-bit constant.
    pub(super) fn constant(&mut self, value: i64) -> Value {
        self.builder.ins().iconst(I64, value)
    }

    /// `a + constant`.
    pub(super) fn add(&mut self, a: Value, constant: i64) -> Value {
        let constant = self.constant(constant);
        self.builder.ins().iadd(a, constant)
    }

    /// Whether `a` compares so with a constant.
    pub(super) fn compare(&mut self, condition: IntCC, a: Value, constant: i64) -> Value {
        let constant = self.constant(constant);
        self.builder.ins().icmp(condition, a, constant)
    }

    pub(super) fn load(&mut self, kind: Type, address: Value, offset: usize) -> Value {
        self.builder.ins().load(kind, memory(), address, offset as i32)
    }

    pub(super) fn load_constant(&mut self, kind: Type, address: Value, offset: usize) -> Value {
        self.builder.ins().load(kind, constant_memory(), address, offset as i32)
    }

    pub(super) fn store(&mut self, value: Value, address: Value, offset: usize) {
        self.builder.ins().store(memory(), value, address, offset as i32);
    }

    /// Calls a function of this process; all arguments and the result have 64 bits.
    pub(super) fn call(&mut self, function: Function, arguments: &[Value]) -> Value {
        let signature = match self.signatures[arguments.len()] {
            Some(signature) => signature,
            None => {
                let mut signature = Signature::new(self.isa.default_call_conv());
                signature.params = vec![AbiParam::new(I64); arguments.len()];
                signature.returns = vec![AbiParam::new(I64)];
                let signature = self.builder.import_signature(signature);
                self.signatures[arguments.len()] = Some(signature);
                signature
            }
        };
        let address = self.constant(function.address() as i64);
        let call = self.builder.ins().call_indirect(signature, address, arguments);
        self.builder.inst_results(call)[0]
    }
}
