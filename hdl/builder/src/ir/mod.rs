//! The graph that a description becomes: modules of nodes, statements, registers, memories and instances.
//!
//! Signal handles append to it while a component's `build` runs; `check` finishes each module (drivers, loops);
//! `verilog` prints it and `eval` flattens it. Nothing here is public.

pub(crate) mod fold;

use crate::bits::Bits;
use crate::domain::DomainInfo;
use crate::error::Place;
use std::rc::Rc;

/// Index of a node in its module.
pub(crate) type NodeId = u32;
/// Index of a block of statements in its module; block 0 is the body.
pub(crate) type BlockId = usize;

/// Operators of one operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum UnaryOp {
    Not,
    /// The operand is extended by its own sign to the node's width first.
    Neg,
    ReduceAnd,
    ReduceOr,
    ReduceXor,
    /// Extended by the operand's own sign to the node's width.
    Extend,
    /// The same bits read with the node's sign.
    Cast,
    /// The same bits in another clock domain; only synchronisers make this.
    Cross,
}

/// Operators of two operands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum BinaryOp {
    /// Operands are extended by their own sign, or cut, to the node's width; the result wraps. So for Sub and Mul.
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    /// Comparisons take operands of equal width and sign.
    Eq,
    Ne,
    Lt,
    Le,
    /// Shifts keep the left operand's width; the right operand is unsigned.
    Shl,
    Shr,
}

/// How a node gets its value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Kind {
    Const(Bits),
    /// Input port of this module.
    Input(usize),
    /// Output port of this module.
    Output(usize),
    Wire,
    Reg(usize),
    /// A domain's reset.
    Reset,
    InstInput {
        instance: usize,
        port: usize,
    },
    InstOutput {
        instance: usize,
        port: usize,
    },
    /// Read port `port` of memory `memory`.
    MemRead {
        memory: usize,
        port: usize,
    },
    Unary(UnaryOp, NodeId),
    Binary(BinaryOp, NodeId, NodeId),
    Mux {
        cond: NodeId,
        yes: NodeId,
        no: NodeId,
    },
    /// Most significant first.
    Concat(Vec<NodeId>),
    /// The node's width of bits from `low` on.
    Slice {
        of: NodeId,
        low: u32,
    },
    Lookup {
        key: NodeId,
        arms: Vec<(Bits, NodeId)>,
        default: NodeId,
    },
}

impl Kind {
    /// Visits the nodes that this one is computed from in the same cycle, drivers of nets excepted.
    pub(crate) fn for_each_arg(&self, mut visit: impl FnMut(NodeId)) {
        match self {
            Self::Unary(_, a) => visit(*a),
            Self::Binary(_, a, b) => {
                visit(*a);
                visit(*b);
            }
            Self::Mux { cond, yes, no } => {
                visit(*cond);
                visit(*yes);
                visit(*no);
            }
            Self::Concat(parts) => parts.iter().for_each(|&part| visit(part)),
            Self::Slice { of, .. } => visit(*of),
            Self::Lookup { key, arms, default } => {
                visit(*key);
                arms.iter().for_each(|(_, value)| visit(*value));
                visit(*default);
            }
            _ => {}
        }
    }

    /// True for what has a declaration of its own and is not an expression.
    pub(crate) fn is_net(&self) -> bool {
        matches!(
            self,
            Self::Input(_)
                | Self::Output(_)
                | Self::Wire
                | Self::Reg(_)
                | Self::Reset
                | Self::InstInput { .. }
                | Self::InstOutput { .. }
                | Self::MemRead { .. }
        )
    }

    /// True for what an assignment can drive.
    pub(crate) fn is_target(&self) -> bool {
        matches!(self, Self::Output(_) | Self::Wire | Self::Reg(_) | Self::InstInput { .. })
    }
}

/// One value of the graph.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub kind: Kind,
    pub width: u32,
    pub signed: bool,
    /// Printed as `Bool`: with `!`, `&&`, `||`.
    pub boolean: bool,
    pub domain: Option<DomainInfo>,
    pub name: Option<String>,
    pub doc: String,
    pub place: Place,
}

/// Which way a port points, seen from inside its module.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Into the module.
    Input,
    /// Out of the module.
    Output,
}

#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub name: String,
    pub doc: String,
    pub direction: Direction,
    pub node: NodeId,
    pub width: u32,
    pub signed: bool,
    pub boolean: bool,
    pub domain: DomainInfo,
}

#[derive(Clone, Debug)]
pub(crate) struct Reg {
    pub node: NodeId,
    pub domain: DomainInfo,
    pub reset: Option<Bits>,
    /// Names of the values, for registers that hold a state: see `fsm`.
    pub states: Option<Rc<StateNames>>,
    pub attribute: Option<String>,
}

/// The names of an encoded enumeration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateNames {
    /// Name of the enumeration.
    pub name: String,
    /// Name of each value, counted from 0.
    pub values: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct WritePort {
    pub domain: DomainInfo,
    pub enable: NodeId,
    pub address: NodeId,
    pub data: NodeId,
    /// One bit a lane, lane 0 at bit 0.
    pub lanes: Option<NodeId>,
}

#[derive(Clone, Debug)]
pub(crate) struct ReadPort {
    /// None for a combinational read.
    pub domain: Option<DomainInfo>,
    /// None for a combinational read.
    pub enable: Option<NodeId>,
    pub address: NodeId,
    pub node: NodeId,
}

#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub name: String,
    pub doc: String,
    pub depth: u64,
    pub width: u32,
    pub initial: Option<Rc<Vec<Bits>>>,
    pub attribute: Option<String>,
    /// What is read of a word in the cycle in which it is written is not used.
    pub collisions_unused: bool,
    pub writes: Vec<WritePort>,
    pub reads: Vec<ReadPort>,
}

#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub name: String,
    /// Index of the module in the design.
    pub module: usize,
    /// For each port of that module, the node in this one.
    pub ports: Vec<NodeId>,
    /// A wire that resets the instance in place of this module's reset, in the wire's domain.
    pub reset: Option<NodeId>,
    pub doc: String,
    pub place: Place,
}

impl Instance {
    /// The wire that resets the instance's registers of a domain, if it is not the module's reset.
    pub(crate) fn local_reset(&self, parent: &Module, domain: DomainInfo) -> Option<NodeId> {
        self.reset.filter(|&wire| parent.node(wire).domain == Some(domain))
    }
}

/// One statement of a block.
#[derive(Clone, Debug)]
pub(crate) enum Stmt {
    Assign { target: NodeId, value: NodeId, place: Place },
    When { cond: NodeId, then: BlockId, otherwise: BlockId },
    Switch { key: NodeId, arms: Vec<(Vec<Bits>, BlockId)>, default: BlockId },
}

/// What a property says of its condition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PropertyKind {
    /// It always holds.
    Assert,
    /// It is taken to hold.
    Assume,
    /// It can hold.
    Cover,
}

/// A statement about a condition, for proofs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Property {
    pub kind: PropertyKind,
    pub name: String,
    pub condition: NodeId,
}

/// One module; finished modules have `drivers` and `reaches`.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub name: String,
    pub doc: String,
    pub place: Place,
    pub nodes: Vec<Node>,
    pub ports: Vec<Port>,
    pub regs: Vec<Reg>,
    pub memories: Vec<Memory>,
    pub instances: Vec<Instance>,
    pub blocks: Vec<Vec<Stmt>>,
    /// Only proofs print them.
    pub properties: Vec<Property>,
    /// Domains whose clock is needed, in order of first use; the flag says whether the reset is needed too.
    pub domains: Vec<(DomainInfo, bool)>,
    /// Number of nodes that the author made; folding adds more behind them.
    pub authored: usize,
    /// For each target the value of its statements folded into multiplexers.
    pub drivers: Vec<Option<NodeId>>,
    /// For each port, if an output: the input ports that it depends on in the same cycle.
    pub reaches: Vec<Vec<usize>>,
}

impl Module {
    pub(crate) fn new(name: String, place: Place) -> Self {
        Self {
            name,
            doc: String::new(),
            place,
            nodes: Vec::new(),
            ports: Vec::new(),
            regs: Vec::new(),
            memories: Vec::new(),
            instances: Vec::new(),
            blocks: vec![Vec::new()],
            properties: Vec::new(),
            domains: Vec::new(),
            authored: 0,
            drivers: Vec::new(),
            reaches: Vec::new(),
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    /// Notes that the module needs the clock, and with `reset` the reset, of a domain.
    pub(crate) fn use_domain(&mut self, domain: DomainInfo, reset: bool) {
        match self.domains.iter_mut().find(|(known, _)| *known == domain) {
            Some((_, uses_reset)) => *uses_reset |= reset,
            None => self.domains.push((domain, reset)),
        }
    }

    /// Blocks that some path of the body leads to; branches of constant conditions are not among them.
    pub(crate) fn live_blocks(&self) -> Vec<BlockId> {
        let mut live = vec![0];
        let mut next = 0;
        while next < live.len() {
            for stmt in &self.blocks[live[next]] {
                match stmt {
                    Stmt::Assign { .. } => {}
                    Stmt::When { then, otherwise, .. } => live.extend([*then, *otherwise]),
                    Stmt::Switch { arms, default, .. } => {
                        live.extend(arms.iter().map(|(_, block)| *block));
                        live.push(*default);
                    }
                }
            }
            next += 1;
        }
        live
    }

    /// A name for messages: the author's, or the operation.
    pub(crate) fn describe(&self, id: NodeId) -> String {
        let node = self.node(id);
        if let Some(name) = &node.name {
            return format!("`{name}`");
        }
        match &node.kind {
            Kind::Const(value) => format!("constant {value}"),
            Kind::Unary(op, _) => format!("{op:?} of {} bits", node.width),
            Kind::Binary(op, ..) => format!("{op:?} of {} bits", node.width),
            Kind::Mux { .. } => "multiplexer".to_owned(),
            Kind::Concat(_) => "concatenation".to_owned(),
            Kind::Slice { low, .. } => format!("bits {low}..{}", low + node.width),
            Kind::Lookup { .. } => "lookup".to_owned(),
            other => format!("{other:?}"),
        }
    }
}
