//! What a design is made of, without a synthesiser: operators, registers, memories and products, module by module.
//!
//! It is what an estimate of area can be fitted to. Only what reaches an output, a register, a memory or an instance
//! counts.

use crate::design::Design;
use crate::ir::{BinaryOp, Kind, Module, NodeId, UnaryOp};

/// Bits of operators, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operators {
    /// Bits of and, or, exclusive or; inverters are free.
    pub logic: u64,
    /// Bits of sums and differences: the longer operand.
    pub adders: u64,
    /// Bits compared for equality with another signal.
    pub equal: u64,
    /// Bits compared for equality with a constant.
    pub equal_constant: u64,
    /// Bits compared by size.
    pub order: u64,
    /// Bits of the operands of reductions.
    pub reduce: u64,
    /// Bits of two-way choices between signals.
    pub choose: u64,
    /// Bits of two-way choices between a signal and a constant.
    pub choose_constant: u64,
    /// Bits of choices among many: width times arms.
    pub lookup: u64,
    /// Bits of shifters by a signal: width times levels.
    pub shift: u64,
}

impl Operators {
    /// Names of the kinds, in the order of [`Operators::values`].
    pub const NAMES: [&str; 10] = [
        "logic",
        "adders",
        "equal",
        "equal_constant",
        "order",
        "reduce",
        "choose",
        "choose_constant",
        "lookup",
        "shift",
    ];

    /// The bits of each kind.
    pub fn values(&self) -> [u64; 10] {
        [
            self.logic,
            self.adders,
            self.equal,
            self.equal_constant,
            self.order,
            self.reduce,
            self.choose,
            self.choose_constant,
            self.lookup,
            self.shift,
        ]
    }
}

/// A memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryStatistics {
    /// Words.
    pub depth: u64,
    /// Bits of a word.
    pub width: u32,
    /// Read ports whose data comes a cycle later.
    pub synchronous_reads: usize,
    /// Read ports whose data comes in the same cycle.
    pub asynchronous_reads: usize,
    /// Those of them whose address comes straight from registers or from a synchronous read: a synthesiser can make
    /// such a port synchronous by taking the registers into the memory.
    pub registered_reads: usize,
    /// Write ports.
    pub writes: usize,
    /// Lanes that can be written alone; 1 if words are written whole.
    pub lanes: u32,
}

/// Words and bits of a word that a block RAM of 18 kbit can have, one port for reads and one for writes.
const BLOCK_RAM_SHAPES: [(u64, u32); 6] =
    [(512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)];
/// Up to so many words synthesisers keep a memory in look-up tables.
const LOOK_UP_TABLE_WORDS: u64 = 64;

impl MemoryStatistics {
    /// Block RAMs of 18 kbit that it takes in the 7-series (where two make one of 36 kbit), 0 if it is so short that it
    /// stands in look-up tables: a copy for each read port; lanes are written in bytes of 9 bits.
    pub fn block_rams_18k(&self) -> u64 {
        if self.depth <= LOOK_UP_TABLE_WORDS { 0 } else { self.blocks_18k() }
    }

    /// Blocks of 18 kbit that it takes wherever it stands in blocks at all, however short it is.
    pub fn blocks_18k(&self) -> u64 {
        let lane = self.width.div_ceil(self.lanes);
        let bits = if self.lanes > 1 { self.lanes * lane.next_multiple_of(9) } else { self.width };
        let blocks = |(words, width): (u64, u32)| {
            self.depth.div_ceil(words) * u64::from(bits.div_ceil(width))
        };
        let copies = self.synchronous_reads + self.asynchronous_reads;
        copies as u64 * BLOCK_RAM_SHAPES.map(blocks).into_iter().min().unwrap_or(0)
    }
}

/// A product of two signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductStatistics {
    /// Bits of the operands that carry something, the wider one first.
    pub bits: [u32; 2],
    /// Two's complement numbers.
    pub signed: bool,
}

/// One module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleStatistics {
    /// Its name.
    pub name: String,
    /// Times that it stands in the design.
    pub count: u64,
    /// Modules in it by their place in the list, one entry for each instance.
    pub instances: Vec<usize>,
    /// Bits of registers.
    pub register_bits: u64,
    /// Operators.
    pub operators: Operators,
    /// Memories.
    pub memories: Vec<MemoryStatistics>,
    /// Products of two signals.
    pub products: Vec<ProductStatistics>,
}

impl Design {
    /// What each module is made of, children before parents, without what its instances are made of.
    pub fn statistics(&self) -> Vec<ModuleStatistics> {
        let modules = self.modules();
        let registered = Registered::new(modules);
        let mut all: Vec<_> =
            (0..modules.len()).map(|number| of_module(&registered, number)).collect();
        if let Some(top) = all.last_mut() {
            top.count = 1;
        }
        for parent in (0..all.len()).rev() {
            let count = all[parent].count;
            for child in all[parent].instances.clone() {
                all[child].count += count;
            }
        }
        all
    }
}

fn of_module(registered: &Registered<'_>, number: usize) -> ModuleStatistics {
    let module = &registered.modules[number];
    let mut found = ModuleStatistics {
        name: module.name.clone(),
        count: 0,
        instances: module.instances.iter().map(|instance| instance.module).collect(),
        register_bits: 0,
        operators: Operators::default(),
        memories: Vec::new(),
        products: Vec::new(),
    };
    for memory in &module.memories {
        let lanes =
            |write: &crate::ir::WritePort| write.lanes.map_or(1, |id| module.node(id).width);
        found.memories.push(MemoryStatistics {
            depth: memory.depth,
            width: memory.width,
            synchronous_reads: memory.reads.iter().filter(|read| read.domain.is_some()).count(),
            asynchronous_reads: memory.reads.iter().filter(|read| read.domain.is_none()).count(),
            registered_reads: memory
                .reads
                .iter()
                .filter(|read| {
                    read.domain.is_none() && registered.holds(number, read.address, true)
                })
                .count(),
            writes: memory.writes.len(),
            lanes: memory.writes.iter().map(lanes).max().unwrap_or(1),
        });
    }
    for id in live(module) {
        count(module, id, &mut found);
    }
    found
}

/// Nodes that something depends on.
fn live(module: &Module) -> Vec<NodeId> {
    let mut seen = vec![false; module.nodes.len()];
    let mut open: Vec<NodeId> = Vec::new();
    for (id, node) in (0..).zip(&module.nodes) {
        if matches!(node.kind, Kind::Output(_) | Kind::InstInput { .. }) {
            open.push(id);
        }
    }
    for memory in &module.memories {
        for write in &memory.writes {
            open.extend([write.enable, write.address, write.data]);
            open.extend(write.lanes);
        }
        for read in &memory.reads {
            open.extend(read.enable.into_iter().chain([read.address]));
        }
    }
    open.extend(module.instances.iter().filter_map(|instance| instance.reset));
    let mut found = Vec::new();
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut seen[id as usize], true) {
            continue;
        }
        found.push(id);
        open.extend(module.drivers.get(id as usize).copied().flatten());
        module.node(id).kind.for_each_arg(|arg| open.push(arg));
    }
    found
}

/// Which signals leave registers or synchronous memories without logic between, across the borders of modules.
struct Registered<'a> {
    modules: &'a [Module],
    /// For each module where it stands: the module around it, and its nodes for the ports.
    parents: Vec<Vec<(usize, &'a [NodeId])>>,
}

impl<'a> Registered<'a> {
    fn new(modules: &'a [Module]) -> Self {
        let mut parents = vec![Vec::new(); modules.len()];
        for (number, module) in modules.iter().enumerate() {
            for instance in &module.instances {
                parents[instance.module].push((number, &instance.ports[..]));
            }
        }
        Self { modules, parents }
    }

    /// Of what stands side by side all must be registers: a synthesiser takes in what has the same enable, and a memory's
    /// output has one of its own.
    fn holds(&self, number: usize, id: NodeId, memories: bool) -> bool {
        let module = &self.modules[number];
        match &module.node(id).kind {
            Kind::Reg(_) => true,
            Kind::MemRead { memory, port } => {
                memories && module.memories[*memory].reads[*port].domain.is_some()
            }
            Kind::Unary(UnaryOp::Extend | UnaryOp::Cast, of) | Kind::Slice { of, .. } => {
                self.holds(number, *of, memories)
            }
            Kind::Concat(parts) => parts.iter().all(|&part| self.holds(number, part, false)),
            Kind::Wire | Kind::Output(_) | Kind::InstInput { .. } => {
                let driver = module.drivers.get(id as usize).copied().flatten();
                driver.is_some_and(|driver| self.holds(number, driver, memories))
            }
            Kind::InstOutput { instance, port } => {
                let child = module.instances[*instance].module;
                self.holds(child, self.modules[child].ports[*port].node, memories)
            }
            Kind::Input(port) => {
                let parents = &self.parents[number];
                !parents.is_empty()
                    && parents
                        .iter()
                        .all(|&(parent, ports)| self.holds(parent, ports[*port], memories))
            }
            _ => false,
        }
    }
}

fn is_constant(module: &Module, id: NodeId) -> bool {
    match &module.node(id).kind {
        Kind::Const(_) => true,
        Kind::Unary(_, of) | Kind::Slice { of, .. } => is_constant(module, *of),
        Kind::Concat(parts) => parts.iter().all(|&part| is_constant(module, part)),
        _ => false,
    }
}

/// Bits of a signal below those that only repeat its sign or are zero.
fn significant(module: &Module, id: NodeId) -> u32 {
    match &module.node(id).kind {
        Kind::Unary(UnaryOp::Extend | UnaryOp::Cast, of) => {
            significant(module, *of).min(module.node(id).width)
        }
        Kind::Concat(parts) => {
            let mut width = module.node(id).width;
            for &part in parts {
                let node = module.node(part);
                match &node.kind {
                    Kind::Const(value) if value.significant_bits() == 0 => width -= node.width,
                    _ => break,
                }
            }
            width.max(1)
        }
        _ => module.node(id).width,
    }
}

fn count(module: &Module, id: NodeId, found: &mut ModuleStatistics) {
    let node = module.node(id);
    let operators = &mut found.operators;
    let constant = |id| is_constant(module, id);
    let bits = |id| u64::from(significant(module, id));
    match &node.kind {
        Kind::Reg(_) => found.register_bits += u64::from(node.width),
        Kind::Unary(UnaryOp::ReduceAnd | UnaryOp::ReduceOr | UnaryOp::ReduceXor, of) => {
            operators.reduce += bits(*of);
        }
        Kind::Unary(UnaryOp::Neg, of) => operators.adders += bits(*of),
        Kind::Binary(op, a, b) => {
            let known = constant(*a) || constant(*b);
            if constant(*a) && constant(*b) {
                return;
            }
            let longer = bits(*a).max(bits(*b)).min(u64::from(u32::MAX));
            match op {
                // With a constant nothing is left to decide.
                BinaryOp::And | BinaryOp::Or | BinaryOp::Xor if known => {}
                BinaryOp::And | BinaryOp::Or | BinaryOp::Xor => operators.logic += longer,
                BinaryOp::Add | BinaryOp::Sub => operators.adders += longer.min(node.width.into()),
                BinaryOp::Mul if known => operators.adders += u64::from(node.width),
                BinaryOp::Mul => {
                    let (a, b) = (significant(module, *a), significant(module, *b));
                    let (a, b) = (a.min(node.width), b.min(node.width));
                    found.products.push(ProductStatistics {
                        bits: [a.max(b), a.min(b)],
                        signed: node.signed,
                    });
                }
                BinaryOp::Eq | BinaryOp::Ne if known => operators.equal_constant += longer,
                BinaryOp::Eq | BinaryOp::Ne => operators.equal += longer,
                BinaryOp::Lt | BinaryOp::Le => operators.order += longer,
                BinaryOp::Shl | BinaryOp::Shr if constant(*b) => {}
                BinaryOp::Shl | BinaryOp::Shr => {
                    let levels = bits(*b).min((u32::BITS - node.width.leading_zeros()).into());
                    operators.shift += u64::from(node.width) * levels;
                }
            }
        }
        Kind::Mux { yes, no, .. } if constant(*yes) || constant(*no) => {
            operators.choose_constant += u64::from(node.width);
        }
        Kind::Mux { .. } => operators.choose += u64::from(node.width),
        Kind::Lookup { arms, .. } => {
            let signals = arms.iter().filter(|(_, value)| !constant(*value)).count().max(1) as u64;
            operators.lookup += u64::from(node.width) * signals;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;
    use crate::statistics::{MemoryStatistics, ProductStatistics};

    struct Inner;

    #[derive(Clone, Ports)]
    struct InnerIo {
        a: Input<UInt>,
        b: Input<UInt>,
        sum: Output<UInt>,
    }

    impl Component for Inner {
        type Io = InnerIo;

        fn name(&self) -> String {
            "inner".into()
        }

        fn io(&self) -> InnerIo {
            InnerIo { a: input(uint(8)), b: input(uint(8)), sum: output(uint(16)) }
        }

        fn build(&self, io: InnerIo) {
            // Not used, so it does not count.
            let _ = (io.a ^ io.b).named("idle");
            let held = delayed("held", io.a);
            io.sum.set(mux(io.a.eq(io.b), held * io.b, UInt::lit(0, 16)));
        }
    }

    struct Outer;

    impl Component for Outer {
        type Io = InnerIo;

        fn name(&self) -> String {
            "outer".into()
        }

        fn io(&self) -> InnerIo {
            Inner.io()
        }

        fn build(&self, io: InnerIo) {
            let memory = SyncMem::<UInt>::new("memory", uint(16), 64);
            memory.write(io.a.bit(0), io.a.trunc(6), io.b.zext(16));
            let word = memory.read(true, io.b.trunc(6));
            let results: Vec<UInt> = (0..3)
                .map(|n| {
                    let inner = instance(format!("inner{n}"), Inner);
                    inner.a.set(io.a);
                    inner.b.set(io.b);
                    inner.sum.value()
                })
                .collect();
            io.sum.set(results[0] ^ results[1] ^ results[2] ^ word);
        }
    }

    #[test]
    fn what_a_design_is_made_of() {
        let statistics = elaborate(Outer).unwrap().statistics();
        let [inner, outer] = &statistics[..] else { panic!("{statistics:?}") };
        assert_eq!((inner.name.as_str(), inner.count, outer.count), ("inner", 3, 1));
        assert_eq!(inner.register_bits, 8);
        assert_eq!(inner.products, [ProductStatistics { bits: [8, 8], signed: false }]);
        let operators = inner.operators;
        assert_eq!((operators.equal, operators.choose_constant, operators.logic), (8, 16, 0));
        assert_eq!((outer.operators.logic, outer.instances.len()), (48, 3));
        let memory = MemoryStatistics {
            depth: 64,
            width: 16,
            synchronous_reads: 1,
            asynchronous_reads: 0,
            registered_reads: 0,
            writes: 1,
            lanes: 1,
        };
        assert_eq!(outer.memories, [memory]);
    }

    /// A memory that is read at the address of a port.
    struct Rows;

    impl Component for Rows {
        type Io = InnerIo;

        fn name(&self) -> String {
            "rows".into()
        }

        fn io(&self) -> InnerIo {
            Inner.io()
        }

        fn build(&self, io: InnerIo) {
            let rows = AsyncMem::<UInt>::new("rows", uint(16), 16);
            rows.write(io.b.bit(0), io.b.trunc(4), io.b.zext(16));
            io.sum.set(rows.read(io.a.bits(6..8).concat(io.a.bits(0..2))));
        }
    }

    /// Gives `Rows` its address from a register, or as it comes.
    struct AroundRows {
        through_register: bool,
    }

    impl Component for AroundRows {
        type Io = InnerIo;

        fn name(&self) -> String {
            "around_rows".into()
        }

        fn io(&self) -> InnerIo {
            Inner.io()
        }

        fn build(&self, io: InnerIo) {
            let rows = instance("rows", Rows);
            let address =
                if self.through_register { delayed("address", io.a) } else { io.a.value() };
            rows.a.set(address);
            rows.b.set(io.b);
            io.sum.set(rows.sum);
        }
    }

    #[test]
    fn registers_are_found_across_modules() {
        for through_register in [true, false] {
            let statistics = elaborate(AroundRows { through_register }).unwrap().statistics();
            let memory = &statistics[0].memories[0];
            assert_eq!(memory.asynchronous_reads, 1);
            assert_eq!(memory.registered_reads, usize::from(through_register));
        }
    }

    #[test]
    fn block_rams_by_words_and_bits() {
        let memory = |depth, width, reads, lanes| MemoryStatistics {
            depth,
            width,
            synchronous_reads: reads,
            asynchronous_reads: 0,
            registered_reads: 0,
            writes: 1,
            lanes,
        };
        assert_eq!(memory(64, 512, 1, 1).block_rams_18k(), 0);
        assert_eq!(memory(512, 36, 1, 1).block_rams_18k(), 1);
        assert_eq!(memory(128, 32, 2, 1).block_rams_18k(), 2);
        assert_eq!(memory(4096, 8, 1, 1).block_rams_18k(), 2);
        // Two lanes of 32 bits take four bytes of nine bits each.
        assert_eq!(memory(128, 64, 1, 2).block_rams_18k(), 2);
        // Lanes of ten bits take two such bytes.
        assert_eq!(memory(128, 40, 1, 4).block_rams_18k(), 2);
    }
}
