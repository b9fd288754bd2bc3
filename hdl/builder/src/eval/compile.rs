//! From the flat graph to a list of operations on words, each after those that it depends on.

use super::flatten::Flat;
use crate::bits::{Bits, low_mask, words_for};
use crate::domain::DomainInfo;
use crate::ir::{BinaryOp, Kind, Module, Node, UnaryOp};
use std::collections::HashMap;
use std::rc::Rc;

/// What an operation on values of up to 64 bits does. `a`, `b`, `c` and `dst` are slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Not,
    Neg,
    /// All bits of the mask set.
    ReduceAnd,
    ReduceOr,
    ReduceXor,
    /// Sign extension from bit 63 − shift.
    SignExtend,
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Eq,
    Ne,
    Lt,
    Le,
    /// Signed; both sides have their sign at bit 63 − shift.
    LtSigned,
    LeSigned,
    Shl,
    Shr,
    ShrSigned,
    /// `a ? b : c`.
    Mux,
    /// `a` above the `shift` bits of `b`.
    Join,
    /// From bit `shift` on.
    Slice,
    Copy,
    /// `b` is the index of a table.
    Table,
    /// `b` is the index of a memory; zero beyond its end.
    ReadMemory,
    /// `a` is the index of a wide operation.
    Wide,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Op {
    pub code: Code,
    pub shift: u8,
    pub dst: u32,
    pub a: u32,
    pub b: u32,
    pub c: u32,
    pub mask: u64,
}

/// A slot with its width and sign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operand {
    pub slot: u32,
    pub width: u32,
    pub signed: bool,
}

/// An operation that touches a value of more than 64 bits.
#[derive(Debug, Clone)]
pub(super) enum Wide {
    Unary {
        op: UnaryOp,
        a: Operand,
    },
    Binary {
        op: BinaryOp,
        a: Operand,
        b: Operand,
    },
    Mux {
        cond: u32,
        yes: u32,
        no: u32,
    },
    /// Most significant first.
    Concat {
        parts: Vec<Operand>,
    },
    Slice {
        a: Operand,
        low: u32,
    },
    Table {
        key: Operand,
        keys: HashMap<Bits, u32>,
        default: u32,
    },
    ReadMemory {
        memory: usize,
        address: u32,
    },
}

#[derive(Debug, Clone)]
pub(super) struct WideOp {
    pub dst: u32,
    pub width: u32,
    pub kind: Wide,
}

/// A choice by a key of few bits: the slot for each key.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub slots: Vec<u32>,
}

#[derive(Debug, Clone)]
pub(super) struct RegPlan {
    pub dst: u32,
    pub src: u32,
    pub words: u32,
    /// Slot of the reset and of the value that it loads.
    pub reset: Option<(u32, u32)>,
}

#[derive(Debug, Clone)]
pub(super) struct ReadPlan {
    pub memory: usize,
    pub enable: u32,
    pub address: u32,
    pub dst: u32,
}

#[derive(Debug, Clone)]
pub(super) struct WritePlan {
    pub memory: usize,
    pub enable: u32,
    pub address: u32,
    pub data: u32,
    /// Slot and number of lanes.
    pub lanes: Option<(u32, u32)>,
}

/// What happens at the edge of one clock.
#[derive(Debug, Clone)]
pub(super) struct ClockPlan {
    pub domain: DomainInfo,
    pub regs: Vec<RegPlan>,
    pub reads: Vec<ReadPlan>,
    pub writes: Vec<WritePlan>,
}

#[derive(Debug, Clone)]
pub(super) struct MemoryPlan {
    pub width: u32,
    pub depth: u64,
    /// A word that is read while it is written comes out as its complement.
    pub collisions_unused: bool,
    contents: Option<Rc<Vec<Bits>>>,
}

impl MemoryPlan {
    /// 64-bit words of one memory word.
    pub(super) fn words(&self) -> usize {
        words_for(self.width)
    }

    pub(super) fn initial(&self) -> Vec<u64> {
        let mut all = vec![0; self.words() * self.depth as usize];
        for (i, word) in self.contents.iter().flat_map(|words| words.iter()).enumerate() {
            all[i * self.words()..(i + 1) * self.words()].copy_from_slice(word.words());
        }
        all
    }
}

/// A design, ready to run.
#[derive(Debug, Clone, Default)]
pub(super) struct Program {
    pub flat: Flat,
    /// The slot of each node that makes bits.
    pub slots: Vec<Option<u32>>,
    pub ops: Vec<Op>,
    pub wide: Vec<WideOp>,
    pub tables: Vec<Table>,
    pub memories: Vec<MemoryPlan>,
    pub clocks: Vec<ClockPlan>,
    pub resets: Vec<(DomainInfo, u32)>,
    pub initial_words: Vec<u64>,
    pub staged_words: usize,
}

struct Compiler<'m> {
    modules: &'m [Module],
    program: Program,
    constants: HashMap<Bits, u32>,
}

/// Compiles the design whose top is the last module.
pub(super) fn compile(modules: &[Module]) -> Program {
    let flat = Flat::new(modules);
    let slots = vec![None; flat.owner.len()];
    let mut compiler = Compiler {
        modules,
        program: Program { flat, slots, ..Program::default() },
        constants: HashMap::new(),
    };
    compiler.sources();
    compiler.operations();
    compiler.clocks();
    let staged = |clock: &ClockPlan| {
        let regs: usize = clock.regs.iter().map(|reg| reg.words as usize).sum();
        regs + clock
            .reads
            .iter()
            .map(|read| compiler.program.memories[read.memory].words())
            .sum::<usize>()
    };
    compiler.program.staged_words = compiler.program.clocks.iter().map(staged).sum();
    compiler.program
}

impl Compiler<'_> {
    fn node(&self, id: u32) -> &Node {
        self.program.flat.node(self.modules, id)
    }

    fn allocate(&mut self, width: u32) -> u32 {
        let slot = self.program.initial_words.len();
        self.program.initial_words.resize(slot + words_for(width), 0);
        slot as u32
    }

    fn constant(&mut self, value: &Bits) -> u32 {
        if let Some(&slot) = self.constants.get(value) {
            return slot;
        }
        let slot = self.allocate(value.width());
        let at = slot as usize;
        self.program.initial_words[at..at + value.words().len()].copy_from_slice(value.words());
        self.constants.insert(value.clone(), slot);
        slot
    }

    fn reset(&mut self, domain: DomainInfo) -> u32 {
        if let Some((_, slot)) = self.program.resets.iter().find(|(known, _)| *known == domain) {
            return *slot;
        }
        let slot = self.allocate(1);
        self.program.resets.push((domain, slot));
        slot
    }

    /// Slots for inputs, registers, read data and constants; memories.
    fn sources(&mut self) {
        for place in 0..self.program.flat.places.len() {
            for memory in &self.modules[self.program.flat.places[place].module].memories {
                let (width, depth) = (memory.width, memory.depth);
                let contents = memory.initial.clone();
                let collisions_unused = memory.collisions_unused;
                let plan = MemoryPlan { width, depth, collisions_unused, contents };
                self.program.memories.push(plan);
            }
        }
        for id in 0..self.program.flat.owner.len() as u32 {
            let module = &self.modules[self.program.flat.place(id).module];
            let node = self.node(id);
            let width = node.width;
            let domain = node.domain;
            let slot = match node.kind.clone() {
                Kind::Const(value) => Some(self.constant(&value)),
                Kind::Reset => domain.map(|domain| self.reset(domain)),
                Kind::Input(_) if self.program.flat.owner[id as usize] == 0 => {
                    Some(self.allocate(width))
                }
                Kind::Reg(index) => {
                    let slot = self.allocate(width);
                    if let Some(value) = &module.regs[index].reset {
                        let at = slot as usize;
                        self.program.initial_words[at..at + value.words().len()]
                            .copy_from_slice(value.words());
                    }
                    Some(slot)
                }
                Kind::MemRead { memory, port }
                    if module.memories[memory].reads[port].domain.is_some() =>
                {
                    Some(self.allocate(width))
                }
                _ => None,
            };
            self.program.slots[id as usize] = slot;
        }
    }

    /// All operations that something needs or that have a name, each after its operands.
    fn operations(&mut self) {
        let mut pending: Vec<(u32, bool)> = Vec::new();
        for root in 0..self.program.flat.owner.len() as u32 {
            let origin = self.program.flat.origin(self.modules, root);
            pending.push((origin, false));
            while let Some((id, ready)) = pending.pop() {
                if self.program.slots[id as usize].is_some() {
                    continue;
                }
                if ready {
                    self.emit(id);
                    continue;
                }
                pending.push((id, true));
                let place = self.program.flat.place(id).clone();
                let kind = &self.node(id).kind;
                let mut args = Vec::new();
                if let Kind::MemRead { memory, port } = *kind {
                    args.push(self.modules[place.module].memories[memory].reads[port].address);
                }
                kind.for_each_arg(|arg| args.push(arg));
                for arg in args {
                    let origin = self.program.flat.origin(self.modules, place.base + arg);
                    if self.program.slots[origin as usize].is_none() {
                        pending.push((origin, false));
                    }
                }
            }
        }
    }

    /// The slot of a node of a place.
    fn slot(&self, base: u32, local: u32) -> u32 {
        let origin = self.program.flat.origin(self.modules, base + local);
        self.program.slots[origin as usize].unwrap_or(0)
    }

    fn operand(&self, base: u32, local: u32) -> Operand {
        let node = self.node(base + local);
        Operand { slot: self.slot(base, local), width: node.width, signed: node.signed }
    }

    fn push(&mut self, code: Code, dst: u32, a: u32, b: u32, shift: u32, width: u32) {
        let op = Op { code, shift: shift as u8, dst, a, b, c: 0, mask: low_mask(width) };
        self.program.ops.push(op);
    }

    fn push_wide(&mut self, dst: u32, width: u32, kind: Wide) {
        let index = self.program.wide.len() as u32;
        self.program.wide.push(WideOp { dst, width, kind });
        self.push(Code::Wide, dst, index, 0, 0, width);
    }

    /// The operand at `width` bits by its own sign; narrow values only. Cutting needs no operation: results are masked.
    fn widened(&mut self, a: Operand, width: u32) -> u32 {
        if !a.signed || width <= a.width {
            return a.slot;
        }
        let dst = self.allocate(64);
        self.push(Code::SignExtend, dst, a.slot, 0, 64 - a.width, width);
        dst
    }

    fn emit(&mut self, id: u32) {
        let place = self.program.flat.place(id).clone();
        let base = place.base;
        let node = self.node(id).clone();
        let width = node.width;
        let dst = self.allocate(width);
        self.program.slots[id as usize] = Some(dst);
        match &node.kind {
            Kind::Unary(op, a) => {
                let a = self.operand(base, *a);
                if width > 64 || a.width > 64 {
                    return self.push_wide(dst, width, Wide::Unary { op: *op, a });
                }
                match op {
                    UnaryOp::Not => self.push(Code::Not, dst, a.slot, 0, 0, width),
                    UnaryOp::Neg => {
                        let a = self.widened(a, width);
                        self.push(Code::Neg, dst, a, 0, 0, width);
                    }
                    UnaryOp::ReduceAnd => self.push(Code::ReduceAnd, dst, a.slot, 0, 0, a.width),
                    UnaryOp::ReduceOr => self.push(Code::ReduceOr, dst, a.slot, 0, 0, 1),
                    UnaryOp::ReduceXor => self.push(Code::ReduceXor, dst, a.slot, 0, 0, 1),
                    UnaryOp::Extend if a.signed => {
                        self.push(Code::SignExtend, dst, a.slot, 0, 64 - a.width, width)
                    }
                    UnaryOp::Extend | UnaryOp::Cast | UnaryOp::Cross => {
                        self.push(Code::Copy, dst, a.slot, 0, 0, width);
                    }
                }
            }
            Kind::Binary(op, a, b) => {
                self.emit_binary(dst, width, *op, self.operand(base, *a), self.operand(base, *b))
            }
            Kind::Mux { cond, yes, no } => {
                let (cond, yes, no) =
                    (self.slot(base, *cond), self.slot(base, *yes), self.slot(base, *no));
                if width > 64 {
                    return self.push_wide(dst, width, Wide::Mux { cond, yes, no });
                }
                self.push(Code::Mux, dst, cond, yes, 0, width);
                if let Some(op) = self.program.ops.last_mut() {
                    op.c = no;
                }
            }
            Kind::Concat(parts) => {
                let parts: Vec<Operand> =
                    parts.iter().map(|&part| self.operand(base, part)).collect();
                if width > 64 {
                    return self.push_wide(dst, width, Wide::Concat { parts });
                }
                self.push(Code::Copy, dst, parts[0].slot, 0, 0, 64);
                for part in &parts[1..] {
                    self.push(Code::Join, dst, dst, part.slot, part.width, 64);
                }
            }
            Kind::Slice { of, low } => {
                let a = self.operand(base, *of);
                if a.width > 64 {
                    return self.push_wide(dst, width, Wide::Slice { a, low: *low });
                }
                self.push(Code::Slice, dst, a.slot, 0, *low, width);
            }
            Kind::Lookup { key, arms, default } => {
                let key = self.operand(base, *key);
                let default = self.slot(base, *default);
                let arms: Vec<(Bits, u32)> = arms
                    .iter()
                    .map(|(value, node)| (value.clone(), self.slot(base, *node)))
                    .collect();
                if width > 64 || key.width > 12 {
                    let keys = arms.into_iter().collect();
                    return self.push_wide(dst, width, Wide::Table { key, keys, default });
                }
                let mut slots = vec![default; 1 << key.width];
                for (value, slot) in arms {
                    slots[value.to_u64() as usize] = slot;
                }
                let index = self.program.tables.len() as u32;
                self.program.tables.push(Table { slots });
                self.push(Code::Table, dst, key.slot, index, 0, width);
            }
            Kind::MemRead { memory, port } => {
                let address = self.modules[place.module].memories[*memory].reads[*port].address;
                let (address, memory) = (self.slot(base, address), place.memory_base + memory);
                if width > 64 {
                    return self.push_wide(dst, width, Wide::ReadMemory { memory, address });
                }
                self.push(Code::ReadMemory, dst, address, memory as u32, 0, width);
            }
            _ => {}
        }
    }

    fn emit_binary(&mut self, dst: u32, width: u32, op: BinaryOp, a: Operand, b: Operand) {
        if width > 64 || a.width > 64 || b.width > 64 {
            return self.push_wide(dst, width, Wide::Binary { op, a, b });
        }
        let sign = 64 - a.width;
        let (code, shift) = match op {
            BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => {
                let (x, y) = (self.widened(a, width), self.widened(b, width));
                let code = match op {
                    BinaryOp::Add => Code::Add,
                    BinaryOp::Sub => Code::Sub,
                    _ => Code::Mul,
                };
                return self.push(code, dst, x, y, 0, width);
            }
            BinaryOp::And => (Code::And, 0),
            BinaryOp::Or => (Code::Or, 0),
            BinaryOp::Xor => (Code::Xor, 0),
            BinaryOp::Eq => (Code::Eq, 0),
            BinaryOp::Ne => (Code::Ne, 0),
            BinaryOp::Lt if a.signed => (Code::LtSigned, sign),
            BinaryOp::Le if a.signed => (Code::LeSigned, sign),
            BinaryOp::Lt => (Code::Lt, 0),
            BinaryOp::Le => (Code::Le, 0),
            BinaryOp::Shl => (Code::Shl, 0),
            BinaryOp::Shr if a.signed => (Code::ShrSigned, sign),
            BinaryOp::Shr => (Code::Shr, 0),
        };
        self.push(code, dst, a.slot, b.slot, shift, width);
    }

    /// What each clock edge does.
    fn clocks(&mut self) {
        for index in 0..self.program.flat.places.len() {
            let place = self.program.flat.places[index].clone();
            let modules = self.modules;
            let module = &modules[place.module];
            for reg in &module.regs {
                let words = words_for(module.node(reg.node).width) as u32;
                let dst = self.slot(place.base, reg.node);
                let driver = module.drivers[reg.node as usize].unwrap_or(reg.node);
                let src = self.slot(place.base, driver);
                let local = self.program.flat.local_reset(modules, index, reg.domain);
                let reset = reg.reset.as_ref().map(|value| {
                    let slot = match local {
                        Some(wire) => self.slot(0, wire),
                        None => self.reset(reg.domain),
                    };
                    (slot, self.constant(value))
                });
                self.clock(reg.domain).regs.push(RegPlan { dst, src, words, reset });
            }
            for (i, memory) in module.memories.iter().enumerate() {
                let number = place.memory_base + i;
                for write in &memory.writes {
                    let lanes = write
                        .lanes
                        .map(|lanes| (self.slot(place.base, lanes), module.node(lanes).width));
                    let plan = WritePlan {
                        memory: number,
                        enable: self.slot(place.base, write.enable),
                        address: self.slot(place.base, write.address),
                        data: self.slot(place.base, write.data),
                        lanes,
                    };
                    self.clock(write.domain).writes.push(plan);
                }
                for read in &memory.reads {
                    let (Some(domain), Some(enable)) = (read.domain, read.enable) else { continue };
                    let plan = ReadPlan {
                        memory: number,
                        enable: self.slot(place.base, enable),
                        address: self.slot(place.base, read.address),
                        dst: self.slot(place.base, read.node),
                    };
                    self.clock(domain).reads.push(plan);
                }
            }
        }
    }

    fn clock(&mut self, domain: DomainInfo) -> &mut ClockPlan {
        let clocks = &mut self.program.clocks;
        let index = clocks.iter().position(|clock| clock.domain == domain).unwrap_or_else(|| {
            clocks.push(ClockPlan {
                domain,
                regs: Vec::new(),
                reads: Vec::new(),
                writes: Vec::new(),
            });
            clocks.len() - 1
        });
        &mut clocks[index]
    }
}
