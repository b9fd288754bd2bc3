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
use rmt_isa::operand::{Scalar, TableId, Verdict};
use std::mem::offset_of;

use super::compile::Objects;
use super::flow::{Flow, jump_target};
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

/// A block to go to, and the instructions of the way there that counts.
type Place = (Block, u32);

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
    /// Instructions executed beyond those that `counted` holds.
    steps: Variable,
    /// Instructions of the way that counts to the end of this block, see [`Flow`].
    counted: u32,
    /// Signatures of called functions, by number of arguments.
    signatures: [Option<SigRef>; 7],
    pub(super) isa: &'a dyn TargetIsa,
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
        counted: 0,
        signatures: [None; 7],
        isa,
    };
    compiler.load_arguments(usize::from(objects.program.actions[action].arguments));
    compiler.code(&objects.program.actions[action].code);
    compiler.builder.seal_all_blocks();
    compiler.builder.finalize(isa.frontend_config());
}

impl ActionCompiler<'_, '_> {
    /// All instructions that can be reached, in blocks.
    fn code(&mut self, code: &[Instruction]) {
        let flow = Flow::new(code);
        let blocks: Vec<Option<Block>> = (0..code.len())
            .map(|pc| flow.starts_block(pc).then(|| self.builder.create_block()))
            .collect();
        if let Some(&Some(first)) = blocks.first() {
            self.builder.ins().jump(first, &[]);
        }
        let mut done = 0;
        for (pc, &instruction) in code.iter().enumerate() {
            if !flow.reached[pc] || pc < done {
                continue;
            }
            if let Some(block) = blocks[pc] {
                self.builder.switch_to_block(block);
                // Jumps lead forwards only: all ways into the block are there.
                self.builder.seal_block(block);
                self.vectors.forget_lanes();
                self.counted = flow.counted_after(pc);
            }
            let layers = self.chain(code, pc, &flow);
            done = pc + layers;
            let (pc, plain) = (pc + layers.saturating_sub(1), layers == 0);
            let target = jump_target(pc, instruction).filter(|&target| target < code.len());
            let next = (pc + 1 < code.len()).then_some(pc + 1);
            let block = |pc: usize| Some((blocks[pc]?, flow.counted[pc]));
            let (target, next) = (target.and_then(block), next.and_then(block));
            match next {
                _ if plain => self.instruction(pc, instruction, target, next),
                Some(next) => self.go(next),
                None => {}
            }
        }
    }

    /// Adds what a way into a block executes more than the one that counts; it may be less.
    fn count(&mut self, already_counted: u32) {
        let more = i64::from(self.counted) - i64::from(already_counted);
        if more != 0 {
            let steps = self.builder.use_var(self.steps);
            let steps = self.add(steps, more);
            self.builder.def_var(self.steps, steps);
        }
    }

    /// Goes on in another block.
    fn go(&mut self, (block, counted): Place) {
        self.count(counted);
        self.builder.ins().jump(block, &[]);
    }

    /// The block of a branch: itself, or one that counts on the way there.
    fn way(&mut self, (block, counted): Place) -> (Block, Option<Place>) {
        if self.counted == counted {
            (block, None)
        } else {
            (self.builder.create_block(), Some((block, counted)))
        }
    }

    /// One instruction. `target` and `next` are the blocks that begin where it leads to.
    fn instruction(
        &mut self,
        pc: usize,
        instruction: Instruction,
        target: Option<Place>,
        next: Option<Place>,
    ) {
        match (instruction, target, next) {
            (Instruction::Exit { verdict: Verdict::Decided }, ..) => self.end(Verb::Decided),
            (Instruction::Exit { verdict: Verdict::Abstain }, ..) => self.end(Verb::Abstained),
            (Instruction::TailCall { table }, ..) => self.tail_call(table),
            (Instruction::Jump { .. }, Some(target), _) => self.go(target),
            (_, Some(target), Some(next)) => self.branch_instruction(instruction, target, next),
            (_, _, next) => {
                self.plain_instruction(pc, instruction);
                if let Some(next) = next {
                    self.go(next);
                }
            }
        }
    }

    fn branch_instruction(&mut self, instruction: Instruction, target: Place, next: Place) {
        let Some((condition, a, b)) = self.branch(instruction) else { return };
        let taken = self.builder.ins().icmp(condition, a, b);
        let ways = [self.way(target), self.way(next)];
        self.builder.ins().brif(taken, ways[0].0, &[], ways[1].0, &[]);
        for (block, on) in ways {
            if let Some(on) = on {
                self.builder.switch_to_block(block);
                self.go(on);
            }
        }
    }

    /// An instruction that the next one follows.
    fn plain_instruction(&mut self, pc: usize, instruction: Instruction) {
        if let Instruction::Out { index, a } = instruction {
            let value = self.scalar(a);
            self.store(value, self.frame, offset_of!(Frame, outputs) + 8 * index.index());
            let written = self.builder.use_var(self.written);
            let bit = self.constant(1 << index.index());
            let written = self.builder.ins().bor(written, bit);
            self.builder.def_var(self.written, written);
        } else if !self.scalar_instruction(instruction) && !self.record_instruction(instruction) {
            self.vector_instruction(pc, instruction);
        }
    }

    /// Leaves the action.
    fn end(&mut self, verb: Verb) {
        self.count(0);
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

    /// Whether the code is for x86-64.
    pub(super) fn on_x86_64(&self) -> bool {
        self.isa.name() == "x64"
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
