//! Instructions on scalar registers: SSA values of 64 bits.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{BlockArg, InstBuilder, InstructionData, Opcode, Type, Value};

use rmt_isa::operand::{IntType, Scalar};
use rmt_isa::{Helper, Instruction};
use std::mem::offset_of;
use std::ops::RangeInclusive;

use super::action::{ActionCompiler, constant_memory};
use super::runtime::{Frame, Function};

/// Operations that have a form with two registers and one with a constant.
macro_rules! binary_operations {
    ($($name:ident $immediate:ident;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Binary {
            $($name,)*
        }

        /// The operation, its result and its operands.
        fn binary(instruction: Instruction) -> Option<(Binary, Scalar, Scalar, Right)> {
            match instruction {
                $(
                    Instruction::$name { d, a, b } => Some((Binary::$name, d, a, Right::Register(b))),
                    Instruction::$immediate { d, a, imm } => {
                        Some((Binary::$name, d, a, Right::Constant(imm)))
                    }
                )*
                _ => None,
            }
        }
    };
}

binary_operations! {
    Add AddImm; Sub SubImm; Mul MulImm; Div DivImm; DivU DivUImm; Rem RemImm; RemU RemUImm;
    And AndImm; Or OrImm; Xor XorImm; Shl ShlImm; Shr ShrImm; ShrU ShrUImm;
    Min MinImm; MinU MinUImm; Max MaxImm; MaxU MaxUImm;
    SetEq SetEqImm; SetNe SetNeImm; SetLt SetLtImm; SetLe SetLeImm;
    SetLtU SetLtUImm; SetLeU SetLeUImm;
}

/// Integers below this, negative ones too, are exact as floating-point numbers, and so are
/// the whole parts of their quotients.
const EXACT: i64 = 1 << 52;

/// The right operand.
#[derive(Clone, Copy)]
enum Right {
    Register(Scalar),
    Constant(i32),
}

/// The type of so many bytes.
pub(super) fn integer(bytes: usize) -> Type {
    match bytes {
        1 => I8,
        2 => I16,
        4 => I32,
        _ => I64,
    }
}

impl ActionCompiler<'_, '_> {
    fn right(&mut self, right: Right) -> Value {
        match right {
            Right::Register(register) => self.scalar(register),
            Right::Constant(constant) => self.constant(constant.into()),
        }
    }

    /// The comparison of a branch and its operands; `None` for other instructions.
    pub(super) fn branch(&mut self, instruction: Instruction) -> Option<(IntCC, Value, Value)> {
        use Instruction::*;
        use IntCC::*;
        let (condition, a, right) = match instruction {
            JumpEq { a, b, .. } => (Equal, a, Right::Register(b)),
            JumpNe { a, b, .. } => (NotEqual, a, Right::Register(b)),
            JumpLt { a, b, .. } => (SignedLessThan, a, Right::Register(b)),
            JumpLe { a, b, .. } => (SignedLessThanOrEqual, a, Right::Register(b)),
            JumpLtU { a, b, .. } => (UnsignedLessThan, a, Right::Register(b)),
            JumpLeU { a, b, .. } => (UnsignedLessThanOrEqual, a, Right::Register(b)),
            JumpEqImm { a, imm, .. } => (Equal, a, Right::Constant(imm)),
            JumpNeImm { a, imm, .. } => (NotEqual, a, Right::Constant(imm)),
            JumpLtImm { a, imm, .. } => (SignedLessThan, a, Right::Constant(imm)),
            JumpLeImm { a, imm, .. } => (SignedLessThanOrEqual, a, Right::Constant(imm)),
            JumpLtUImm { a, imm, .. } => (UnsignedLessThan, a, Right::Constant(imm)),
            JumpLeUImm { a, imm, .. } => (UnsignedLessThanOrEqual, a, Right::Constant(imm)),
            JumpGtImm { a, imm, .. } => (SignedGreaterThan, a, Right::Constant(imm)),
            JumpGeImm { a, imm, .. } => (SignedGreaterThanOrEqual, a, Right::Constant(imm)),
            JumpGtUImm { a, imm, .. } => (UnsignedGreaterThan, a, Right::Constant(imm)),
            JumpGeUImm { a, imm, .. } => (UnsignedGreaterThanOrEqual, a, Right::Constant(imm)),
            _ => return None,
        };
        Some((condition, self.scalar(a), self.right(right)))
    }

    /// Translates arithmetic, moves, calls and reads of event and action data; `false` for
    /// other instructions.
    pub(super) fn scalar_instruction(&mut self, instruction: Instruction) -> bool {
        if let Some((operation, d, a, right)) = binary(instruction) {
            let value = self.binary(operation, a, right);
            self.set_scalar(d, value);
            return true;
        }
        use Instruction::*;
        let (d, value) = match instruction {
            Move { d, a } => (d, self.scalar(a)),
            MoveImm { d, imm } => (d, self.constant(imm.into())),
            MoveHigh { d, a, imm } => {
                let (a, low) = (self.scalar(a), self.constant(0xffff_ffff));
                let low = self.builder.ins().band(a, low);
                let high = self.constant(i64::from(imm) << 32);
                (d, self.builder.ins().bor(high, low))
            }
            MoveIf { d, a, b } => {
                let (a, b, old) = (self.scalar(a), self.scalar(b), self.scalar(d));
                let condition = self.compare(IntCC::NotEqual, a, 0);
                (d, self.builder.ins().select(condition, b, old))
            }
            Extend { d, a, kind } => {
                let a = self.scalar(a);
                (d, self.wrap(a, kind))
            }
            Not { d, a } => {
                let a = self.scalar(a);
                (d, self.builder.ins().bnot(a))
            }
            Neg { d, a } => {
                let a = self.scalar(a);
                (d, self.builder.ins().ineg(a))
            }
            Abs { d, a } => {
                let a = self.scalar(a);
                (d, self.builder.ins().iabs(a))
            }
            LeadingZeros { d, a } => {
                let a = self.scalar(a);
                (d, self.builder.ins().clz(a))
            }
            TrailingZeros { d, a } => {
                let a = self.scalar(a);
                (d, self.builder.ins().ctz(a))
            }
            CountOnes { d, a } => {
                let a = self.scalar(a);
                (d, self.builder.ins().popcnt(a))
            }
            LoadEvent { d, offset, kind } => {
                let load = constant_memory();
                let value = self.builder.ins().load(
                    integer(kind.bytes()),
                    load,
                    self.event,
                    offset.index() as i32,
                );
                (d, self.extend(value, kind))
            }
            LoadParameter { d, index } => {
                let offset = offset_of!(Frame, parameters) + 8 * index.index();
                (d, self.load(I64, self.frame, offset))
            }
            Call { d, helper, a, b } => {
                let (a, b) = (self.scalar(a), self.scalar(b));
                (d, self.helper(helper, a, b))
            }
            _ => return false,
        };
        self.set_scalar(d, value);
        true
    }

    /// [`IntType::wrap`].
    pub(super) fn wrap(&mut self, value: Value, kind: IntType) -> Value {
        if kind.bytes() == 8 {
            return value;
        }
        let narrow = self.builder.ins().ireduce(integer(kind.bytes()), value);
        self.extend(narrow, kind)
    }

    /// Extends a value of the kind's width.
    fn extend(&mut self, value: Value, kind: IntType) -> Value {
        match (kind.bytes(), kind.signed()) {
            (8, _) => value,
            (_, true) => self.builder.ins().sextend(I64, value),
            (_, false) => self.builder.ins().uextend(I64, value),
        }
    }

    /// A range that a value of 64 bits, as a signed number, is certainly in, from how it is made.
    pub(super) fn range(&self, value: Value) -> RangeInclusive<i64> {
        const STEPS: u32 = 4;
        self.range_in(value, STEPS).unwrap_or(i64::MIN..=i64::MAX)
    }

    /// [`Self::range`], `None` when it is not known after so many steps back.
    fn range_in(&self, value: Value, steps: u32) -> Option<RangeInclusive<i64>> {
        let dfg = &self.builder.func.dfg;
        let instruction = dfg.value_def(dfg.resolve_aliases(value)).inst()?;
        match dfg.insts[instruction] {
            InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } => {
                Some(imm.bits()..=imm.bits())
            }
            InstructionData::Unary { opcode: Opcode::Sextend, arg } => {
                let most = i64::MAX >> (64 - dfg.value_type(arg).bits());
                Some(!most..=most)
            }
            InstructionData::Unary { opcode: Opcode::Uextend, arg } => {
                Some(0..=i64::MAX >> (63 - dfg.value_type(arg).bits()))
            }
            InstructionData::Binary { opcode, args } if steps > 0 => {
                let [a, b] = args.map(|arg| self.range_in(arg, steps - 1));
                let (a, b) = (a?, b?);
                let (start, end) = match opcode {
                    Opcode::Iadd => {
                        (a.start().checked_add(*b.start())?, a.end().checked_add(*b.end())?)
                    }
                    Opcode::Isub => {
                        (a.start().checked_sub(*b.end())?, a.end().checked_sub(*b.start())?)
                    }
                    Opcode::Ishl if b.start() == b.end() && (0..63).contains(b.start()) => {
                        let factor = 1_i64 << b.start();
                        (a.start().checked_mul(factor)?, a.end().checked_mul(factor)?)
                    }
                    _ => return None,
                };
                Some(start..=end)
            }
            _ => None,
        }
    }

    fn binary(&mut self, operation: Binary, a: Scalar, right: Right) -> Value {
        use Binary::*;
        let (a, b) = (self.scalar(a), self.right(right));
        let constant = match right {
            Right::Constant(constant) => Some(constant),
            Right::Register(_) => None,
        };
        let ins = self.builder.ins();
        match operation {
            Add => ins.iadd(a, b),
            Sub => ins.isub(a, b),
            Mul => ins.imul(a, b),
            And => ins.band(a, b),
            Or => ins.bor(a, b),
            Xor => ins.bxor(a, b),
            // Shifts of the code generator take the amount modulo the width, too.
            Shl => ins.ishl(a, b),
            Shr => ins.sshr(a, b),
            ShrU => ins.ushr(a, b),
            Min => ins.smin(a, b),
            MinU => ins.umin(a, b),
            Max => ins.smax(a, b),
            MaxU => ins.umax(a, b),
            SetEq => self.set(IntCC::Equal, a, b),
            SetNe => self.set(IntCC::NotEqual, a, b),
            SetLt => self.set(IntCC::SignedLessThan, a, b),
            SetLe => self.set(IntCC::SignedLessThanOrEqual, a, b),
            SetLtU => self.set(IntCC::UnsignedLessThan, a, b),
            SetLeU => self.set(IntCC::UnsignedLessThanOrEqual, a, b),
            Div | DivU | Rem | RemU => match (operation, constant) {
                (Div | DivU, Some(0)) => self.constant(0),
                (Rem | RemU, Some(0)) => a,
                (Div, Some(-1)) => ins.ineg(a),
                (Rem, Some(-1)) => self.constant(0),
                (Div, Some(_)) => ins.sdiv(a, b),
                (Rem, Some(_)) => ins.srem(a, b),
                (DivU, Some(_)) => ins.udiv(a, b),
                (RemU, Some(_)) => ins.urem(a, b),
                _ => self.divide(operation, a, b),
            },
        }
    }

    fn set(&mut self, condition: IntCC, a: Value, b: Value) -> Value {
        let bit = self.builder.ins().icmp(condition, a, b);
        self.builder.ins().uextend(I64, bit)
    }

    /// Division by a register.
    ///
    /// x86-64 divides 64-bit integers in 40 to 90 cycles on many processors, and numbers in
    /// floating point in 14. So numbers below 2^52 go that way. It is exact: a quotient that
    /// is not whole lies at least 1/b below the next whole number n, which is more than half a
    /// unit in the last place of n, as n * b < a + b <= 2^53.
    fn divide(&mut self, operation: Binary, a: Value, b: Value) -> Value {
        if !self.on_x86_64() {
            return self.divide_integers(operation, a, b);
        }
        let signed = matches!(operation, Binary::Div | Binary::Rem);
        let least = if signed { -EXACT } else { 0 };
        let is_exact = |range: RangeInclusive<i64>| *range.start() >= least && *range.end() < EXACT;
        if is_exact(self.range(a)) && is_exact(self.range(b)) {
            return self.divide_floats(operation, a, b);
        }
        let bias = self.constant(if signed { EXACT } else { 0 });
        let (high_a, high_b) = (self.builder.ins().iadd(a, bias), self.builder.ins().iadd(b, bias));
        let either = self.builder.ins().bor(high_a, high_b);
        let bound = if signed { 2 * EXACT } else { EXACT };
        let small = self.compare(IntCC::UnsignedLessThan, either, bound);
        let [fast, slow, join] = [(); 3].map(|()| self.builder.create_block());
        self.builder.append_block_param(join, I64);
        self.builder.set_cold_block(slow);
        self.builder.ins().brif(small, fast, &[], slow, &[]);
        self.builder.switch_to_block(fast);
        let result = self.divide_floats(operation, a, b);
        self.builder.ins().jump(join, &[BlockArg::Value(result)]);
        self.builder.switch_to_block(slow);
        let result = self.divide_integers(operation, a, b);
        self.builder.ins().jump(join, &[BlockArg::Value(result)]);
        self.builder.switch_to_block(join);
        self.builder.block_params(join)[0]
    }

    /// Division of numbers between -2^52 and 2^52. Conversion to an integer saturates, so a
    /// quotient by 0 is some number, and the remainder of it comes out right.
    fn divide_floats(&mut self, operation: Binary, a: Value, b: Value) -> Value {
        let dividend = self.builder.ins().fcvt_from_sint(F64, a);
        let divisor = self.builder.ins().fcvt_from_sint(F64, b);
        let quotient = self.builder.ins().fdiv(dividend, divisor);
        let quotient = self.builder.ins().fcvt_to_sint_sat(I64, quotient);
        if matches!(operation, Binary::Div | Binary::DivU) {
            let (by_zero, zero) = (self.compare(IntCC::Equal, b, 0), self.constant(0));
            return self.builder.ins().select(by_zero, zero, quotient);
        }
        let product = self.builder.ins().imul(quotient, b);
        self.builder.ins().isub(a, product)
    }

    /// Division by the machine's instructions. They trap for divisors 0 and, signed, -1 (or
    /// may overflow): these become 1, and the result is put right.
    fn divide_integers(&mut self, operation: Binary, a: Value, b: Value) -> Value {
        let one = self.constant(1);
        let zero = self.constant(0);
        let by_zero = self.compare(IntCC::Equal, b, 0);
        match operation {
            Binary::DivU | Binary::RemU => {
                let divisor = self.builder.ins().select(by_zero, one, b);
                if operation == Binary::DivU {
                    let quotient = self.builder.ins().udiv(a, divisor);
                    self.builder.ins().select(by_zero, zero, quotient)
                } else {
                    let remainder = self.builder.ins().urem(a, divisor);
                    self.builder.ins().select(by_zero, a, remainder)
                }
            }
            _ => {
                let next = self.add(b, 1);
                let unusual = self.compare(IntCC::UnsignedLessThanOrEqual, next, 1);
                let divisor = self.builder.ins().select(unusual, one, b);
                if operation == Binary::Div {
                    let quotient = self.builder.ins().sdiv(a, divisor);
                    // For 0 and -1: 0 * a and -1 * a.
                    let product = self.builder.ins().imul(a, b);
                    self.builder.ins().select(unusual, product, quotient)
                } else {
                    let remainder = self.builder.ins().srem(a, divisor);
                    self.builder.ins().select(by_zero, a, remainder)
                }
            }
        }
    }

    fn helper(&mut self, helper: Helper, a: Value, b: Value) -> Value {
        match helper {
            Helper::MulHigh => self.builder.ins().umulhi(a, b),
            Helper::Log2 => {
                let one = self.constant(1);
                let a = self.builder.ins().bor(a, one);
                let zeros = self.builder.ins().clz(a);
                let top = self.constant(63);
                self.builder.ins().isub(top, zeros)
            }
            Helper::Random => self.random(a, b),
            Helper::Crc32c => self.call(Function::Crc32c, &[a, b]),
            Helper::SquareRoot => self.call(Function::SquareRoot, &[a, b]),
            Helper::Ratio => self.call(Function::Ratio, &[a, b]),
        }
    }

    /// [`rmt_isa::arithmetic::split_mix_64`] of `a + b`.
    fn random(&mut self, a: Value, b: Value) -> Value {
        let state = self.builder.ins().iadd(a, b);
        let mut z = self.add(state, 0x9e37_79b9_7f4a_7c15_u64 as i64);
        for (shift, factor) in
            [(30, Some(0xbf58_476d_1ce4_e5b9_u64)), (27, Some(0x94d0_49bb_1331_11eb)), (31, None)]
        {
            let shift = self.constant(shift);
            let shifted = self.builder.ins().ushr(z, shift);
            z = self.builder.ins().bxor(z, shifted);
            if let Some(factor) = factor {
                let factor = self.constant(factor as i64);
                z = self.builder.ins().imul(z, factor);
            }
        }
        z
    }
}
