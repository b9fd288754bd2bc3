//! Execution of the operation list and of clock edges.

use super::Simulator;
use super::compile::{Code, Op, Operand, Wide, WideOp, WritePlan};
use crate::arith;
use crate::bits::{Bits, low_mask, words_for};
use crate::domain::{DomainInfo, Main};
use crate::ir::{BinaryOp, UnaryOp};

/// Whether [`Simulator::plain`] computes an operation.
fn is_plain(operation: BinaryOp, a: &Operand, b: &Operand, width: u32) -> bool {
    use BinaryOp::{Add, And, Or, Sub, Xor};
    matches!(operation, Add | Sub | And | Or | Xor) && a.width == width && b.width == width
}

impl Simulator {
    /// Brings all signals up to date.
    pub(super) fn settle(&mut self) {
        if !self.dirty {
            return;
        }
        self.dirty = false;
        let program = self.program.clone();
        for op in &program.ops {
            let words = &mut self.words;
            let a = words.get(op.a as usize).copied().unwrap_or(0);
            let value = match op.code {
                Code::Not => !a,
                Code::Neg => a.wrapping_neg(),
                Code::ReduceAnd => u64::from(a == op.mask),
                Code::ReduceOr => u64::from(a != 0),
                Code::ReduceXor => u64::from(a.count_ones() & 1),
                Code::SignExtend => ((a << op.shift) as i64 >> op.shift) as u64,
                Code::Add => a.wrapping_add(words[op.b as usize]),
                Code::Sub => a.wrapping_sub(words[op.b as usize]),
                Code::Mul => a.wrapping_mul(words[op.b as usize]),
                Code::And => a & words[op.b as usize],
                Code::Or => a | words[op.b as usize],
                Code::Xor => a ^ words[op.b as usize],
                Code::Eq => u64::from(a == words[op.b as usize]),
                Code::Ne => u64::from(a != words[op.b as usize]),
                Code::Lt => u64::from(a < words[op.b as usize]),
                Code::Le => u64::from(a <= words[op.b as usize]),
                Code::LtSigned => {
                    u64::from(((a << op.shift) as i64) < (words[op.b as usize] << op.shift) as i64)
                }
                Code::LeSigned => {
                    u64::from((a << op.shift) as i64 <= (words[op.b as usize] << op.shift) as i64)
                }
                Code::Shl => shifted(words[op.b as usize], |n| a << n, 0),
                Code::Shr => shifted(words[op.b as usize], |n| a >> n, 0),
                Code::ShrSigned => {
                    let extended = (a << op.shift) as i64 >> op.shift;
                    (extended >> words[op.b as usize].min(63)) as u64
                }
                Code::Mux => words[if a != 0 { op.b } else { op.c } as usize],
                Code::Join => (a << op.shift) | words[op.b as usize],
                Code::Slice => a >> op.shift,
                Code::Copy => a,
                Code::Table => words[program.tables[op.b as usize].slots[a as usize] as usize],
                Code::ReadMemory => {
                    self.memories[op.b as usize].get(a as usize).copied().unwrap_or(0)
                }
                Code::Wide => {
                    self.wide(&program.wide[op.a as usize]);
                    continue;
                }
            };
            self.words[op.dst as usize] = value & mask_of(op);
        }
    }

    fn operand(&self, a: Operand) -> Bits {
        let at = a.slot as usize;
        Bits::from_words(a.width, &self.words[at..at + words_for(a.width)])
    }

    fn wide(&mut self, op: &WideOp) {
        let (at, count) = (op.dst as usize, words_for(op.width));
        match &op.kind {
            Wide::Mux { cond, yes, no } => {
                let from = if self.words[*cond as usize] != 0 { *yes } else { *no } as usize;
                self.words.copy_within(from..from + count, at);
            }
            Wide::Concat { parts } => {
                self.words[at..at + count].fill(0);
                let mut low = 0;
                for part in parts.iter().rev() {
                    self.deposit(part, at, low, count);
                    low += part.width;
                }
            }
            Wide::Slice { a, low } => {
                let (from, words) = (a.slot as usize, words_for(a.width));
                let (skip, shift) = ((low / 64) as usize, low % 64);
                for i in 0..count {
                    let word = |j: usize| if j < words { self.words[from + j] } else { 0 };
                    let upper = if shift == 0 { 0 } else { word(skip + i + 1) << (64 - shift) };
                    self.words[at + i] = word(skip + i) >> shift | upper;
                }
                self.trim(at, op.width);
            }
            Wide::Table { key, keys, default } => {
                let from = keys.get(&self.operand(*key)).copied().unwrap_or(*default) as usize;
                self.words.copy_within(from..from + count, at);
            }
            Wide::ReadMemory { memory, address } => {
                let word = self.words[*address as usize] as usize;
                let contents = &self.memories[*memory];
                match contents.get(word * count..(word + 1) * count) {
                    Some(word) => self.words[at..at + count].copy_from_slice(word),
                    None => self.words[at..at + count].fill(0),
                }
            }
            Wide::Unary { op: UnaryOp::ReduceOr, a } => {
                let from = a.slot as usize;
                let any = self.words[from..from + words_for(a.width)].iter().any(|&word| word != 0);
                self.words[at] = any.into();
            }
            Wide::Unary { op: operation, a } => {
                let value = arith::unary(*operation, &self.operand(*a), a.signed, op.width);
                self.words[at..at + count].copy_from_slice(value.words());
            }
            Wide::Binary { op: operation, a, b } if is_plain(*operation, a, b, op.width) => {
                self.plain(*operation, (a.slot as usize, b.slot as usize), at, count);
                self.trim(at, op.width);
            }
            Wide::Binary { op: operation, a, b } => {
                let (x, y) = (self.operand(*a), self.operand(*b));
                let value = arith::binary(*operation, (&x, a.signed), (&y, b.signed), op.width);
                self.words[at..at + count].copy_from_slice(value.words());
            }
        }
    }

    /// A frequent operation on operands that have the result's width: in place.
    fn plain(&mut self, operation: BinaryOp, (a, b): (usize, usize), at: usize, count: usize) {
        let words = &mut self.words;
        let mut carry = operation == BinaryOp::Sub;
        for i in 0..count {
            let (x, y) = (words[a + i], words[b + i]);
            words[at + i] = match operation {
                BinaryOp::And => x & y,
                BinaryOp::Or => x | y,
                BinaryOp::Xor => x ^ y,
                _ => {
                    let y = if operation == BinaryOp::Sub { !y } else { y };
                    let (sum, first) = x.overflowing_add(y);
                    let (sum, second) = sum.overflowing_add(carry.into());
                    carry = first | second;
                    sum
                }
            };
        }
    }

    /// ORs a part into the words from `at` on, `low` bits up.
    fn deposit(&mut self, part: &Operand, at: usize, low: u32, count: usize) {
        let (skip, shift) = ((low / 64) as usize, low % 64);
        for i in 0..words_for(part.width) {
            let word = self.words[part.slot as usize + i];
            self.words[at + skip + i] |= word << shift;
            if shift != 0 && skip + i + 1 < count {
                self.words[at + skip + i + 1] |= word >> (64 - shift);
            }
        }
    }

    fn trim(&mut self, at: usize, width: u32) {
        let last = words_for(width) - 1;
        self.words[at + last] &= low_mask(width - 64 * last as u32);
    }

    /// A rising edge of the clocks of `domains`, or of all. With one of the main clock go the edges of its multiples since the
    /// last one.
    pub(super) fn edge(&mut self, domains: Option<&[DomainInfo]>) {
        let given = |domain| domains.is_none_or(|domains| domains.contains(&domain));
        let main = given(DomainInfo::of::<Main>());
        let multiples = self.program.clocks.iter().map(|clock| clock.domain.multiple);
        for passed in 1..multiples.max().filter(|_| main).unwrap_or(1) {
            self.edge_of(|domain| domain.multiple > passed);
        }
        self.edge_of(|domain| given(domain) || (main && domain.multiple > 1));
        self.cycles += 1;
    }

    fn edge_of(&mut self, domains: impl Fn(DomainInfo) -> bool) {
        self.settle();
        let program = self.program.clone();
        let active = || program.clocks.iter().filter(|clock| domains(clock.domain));
        // Everything samples before anything changes.
        let mut at = 0;
        for clock in active() {
            for reg in &clock.regs {
                let src = match reg.reset {
                    Some((reset, value)) if self.words[reset as usize] != 0 => value,
                    _ => reg.src,
                } as usize;
                let count = reg.words as usize;
                self.staged[at..at + count].copy_from_slice(&self.words[src..src + count]);
                at += count;
            }
            for read in &clock.reads {
                let count = program.memories[read.memory].words();
                let word = self.words[read.address as usize] as usize;
                let staged = &mut self.staged[at..at + count];
                if self.words[read.enable as usize] == 0 {
                    let dst = read.dst as usize;
                    staged.copy_from_slice(&self.words[dst..dst + count]);
                } else {
                    match self.memories[read.memory].get(word * count..(word + 1) * count) {
                        Some(word) => staged.copy_from_slice(word),
                        None => staged.fill(0),
                    }
                    let plan = &program.memories[read.memory];
                    let collides = |write: &WritePlan| {
                        write.memory == read.memory
                            && self.words[write.enable as usize] != 0
                            && self.words[write.address as usize] as usize == word
                    };
                    if plan.collisions_unused && clock.writes.iter().any(collides) {
                        let old = Bits::from_words(plan.width, staged);
                        staged.copy_from_slice(
                            arith::unary(UnaryOp::Not, &old, false, plan.width).words(),
                        );
                    }
                }
                at += count;
            }
        }
        for clock in active() {
            for write in &clock.writes {
                if self.words[write.enable as usize] != 0 {
                    self.write(write);
                }
            }
        }
        let mut at = 0;
        for clock in active() {
            let regs = clock.regs.iter().map(|reg| (reg.dst, reg.words as usize));
            let reads =
                clock.reads.iter().map(|read| (read.dst, program.memories[read.memory].words()));
            for (dst, count) in regs.chain(reads) {
                let dst = dst as usize;
                self.words[dst..dst + count].copy_from_slice(&self.staged[at..at + count]);
                at += count;
            }
        }
        self.dirty = true;
    }

    fn write(&mut self, write: &WritePlan) {
        let plan = &self.program.memories[write.memory];
        let (count, width) = (plan.words(), plan.width);
        let word = self.words[write.address as usize] as usize;
        let data = write.data as usize;
        let Some(target) = self.memories[write.memory].get_mut(word * count..(word + 1) * count)
        else {
            return;
        };
        let Some((lanes, number)) = write.lanes else {
            target.copy_from_slice(&self.words[data..data + count]);
            return;
        };
        let lane_width = width / number;
        for bit in 0..width {
            let lane = bit / lane_width;
            if self.words[lanes as usize + (lane / 64) as usize] >> (lane % 64) & 1 == 1 {
                let (i, mask) = ((bit / 64) as usize, 1 << (bit % 64));
                target[i] = target[i] & !mask | self.words[data + i] & mask;
            }
        }
    }
}

/// Shifts by 64 or more leave nothing of a word.
fn shifted(amount: u64, shift: impl Fn(u64) -> u64, beyond: u64) -> u64 {
    if amount < 64 { shift(amount) } else { beyond }
}

/// Results of one bit have no use for the mask, which ReduceAnd needs for its operand.
fn mask_of(op: &Op) -> u64 {
    if op.code == Code::ReduceAnd { 1 } else { op.mask }
}
