//! What can be wrong with a description, where, why, and what to do about it.

use crate::bits::Bits;
use std::fmt;
use std::panic::Location;

/// A place in the Rust source.
pub type Place = &'static Location<'static>;

/// The first mistake found while a design was constructed.
#[derive(Clone, thiserror::Error)]
#[error("{place}: in module `{module}`: {kind}\n  why: {}\n  fix: {}", kind.why(), kind.remedy())]
pub struct Error {
    kind: Box<ErrorKind>,
    module: String,
    place: Place,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, module: &str, place: Place) -> Self {
        Self { kind: Box::new(kind), module: module.to_owned(), place }
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The module under construction.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The Rust line that made the mistake.
    pub fn place(&self) -> Place {
        self.place
    }
}

/// One signal on a combinational loop.
#[derive(Debug, Clone)]
pub struct LoopStep {
    /// Name of the signal or operation.
    pub name: String,
    /// Where it was made.
    pub place: Place,
}

fn loop_path(path: &[LoopStep]) -> String {
    path.iter().map(|step| format!("\n    {} at {}", step.name, step.place)).collect()
}

/// The kinds of mistake.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Two widths that must be equal are not.
    #[error("width mismatch in {what}: expected {expected} bits, found {found}")]
    WidthMismatch {
        /// The operation or target.
        what: String,
        /// Width asked for, bits.
        expected: u32,
        /// Width given, bits.
        found: u32,
    },
    /// A constant needs more bits than its place has.
    #[error("the constant {value} does not fit {} bits{}", width, if *signed { ", signed" } else { "" })]
    ConstantDoesNotFit {
        /// The constant, as written.
        value: String,
        /// Bits available.
        width: u32,
        /// Whether it is read as two's complement.
        signed: bool,
    },
    /// A bit selection reaches beyond the signal.
    #[error("bits {low}..{} are out of range of a signal of {width} bits", u64::from(*low) + u64::from(*count))]
    SliceOutOfRange {
        /// First bit.
        low: u32,
        /// Number of bits.
        count: u32,
        /// Width of the signal, bits.
        width: u32,
    },
    /// A signal cannot have this width.
    #[error("{what} cannot be {width} bits wide")]
    InvalidWidth {
        /// The operation or signal.
        what: String,
        /// The width asked for, bits.
        width: u64,
    },
    /// Nothing drives a signal.
    #[error("the {what} `{name}` is never driven")]
    Undriven {
        /// Kind of signal.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// A signal is driven only under a condition.
    #[error("the {what} `{name}` is not driven on every path: it would need a latch")]
    PartlyDriven {
        /// Kind of signal.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// Two unconditional drivers.
    #[error("`{name}` is driven a second time; it was first driven at {first}")]
    DoubleDriver {
        /// The signal.
        name: String,
        /// The earlier driver.
        first: Place,
    },
    /// Combinational logic feeds itself.
    #[error("combinational loop:{}", loop_path(path))]
    CombinationalLoop {
        /// The signals on the loop, each feeding the next, the last feeding the first.
        path: Vec<LoopStep>,
    },
    /// A signal of one module is used in another.
    #[error("the signal `{signal}` belongs to module `{owner}`")]
    ForeignSignal {
        /// The signal.
        signal: String,
        /// The module that owns it.
        owner: String,
    },
    /// A shape, or a signal of an earlier elaboration, is used as a signal.
    #[error("a shape without value is used as a signal")]
    Unbound,
    /// Signals of different clock domains meet.
    #[error("{what} joins clock domains `{expected}` and `{found}`")]
    DomainMismatch {
        /// The operation.
        what: String,
        /// One domain.
        expected: String,
        /// The other.
        found: String,
    },
    /// Two different domains use one name.
    #[error("two clock domains are called `{name}`")]
    DomainName {
        /// The name.
        name: String,
    },
    /// Not an identifier.
    #[error("`{name}` is not a name: a letter, then letters, digits and single `_`")]
    InvalidName {
        /// What was given.
        name: String,
    },
    /// A name that the builder uses itself.
    #[error("the name `{name}` is reserved for {used_for}")]
    ReservedName {
        /// The name.
        name: String,
        /// Its use.
        used_for: String,
    },
    /// A name is used twice in one module.
    #[error("the name `{name}` is already used at {first}")]
    DuplicateName {
        /// The name.
        name: String,
        /// Its first use.
        first: Place,
    },
    /// An input of an instance is not connected.
    #[error("input `{port}` of instance `{instance}` is not driven")]
    UnconnectedInput {
        /// The instance.
        instance: String,
        /// The input port.
        port: String,
    },
    /// The target of an assignment cannot be assigned.
    #[error("{name} cannot be driven here: it is {what}")]
    NotAssignable {
        /// The target.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// An address has the wrong width for a memory.
    #[error(
        "memory `{memory}` of {depth} words needs an address of {expected} bits, found {found}"
    )]
    AddressWidth {
        /// The memory.
        memory: String,
        /// Words.
        depth: u64,
        /// Address bits of the memory.
        expected: u32,
        /// Address bits given.
        found: u32,
    },
    /// A memory that cannot be built.
    #[error("memory `{memory}`: {problem}")]
    InvalidMemory {
        /// The memory.
        memory: String,
        /// What is wrong.
        problem: String,
    },
    /// A reset value or a table entry is not a constant.
    #[error("{what} must be a constant")]
    NotConstant {
        /// What must be constant.
        what: String,
    },
    /// Bundles that should be alike differ.
    #[error(
        "{what}: the two bundles have different fields or lengths ({expected} and {found} signals)"
    )]
    ShapeMismatch {
        /// The operation.
        what: String,
        /// Signals in the first.
        expected: usize,
        /// Signals in the second.
        found: usize,
    },
    /// Nothing to choose from.
    #[error("{what} has nothing to choose from")]
    EmptyChoice {
        /// The operation.
        what: &'static str,
    },
    /// A switch has the same key twice.
    #[error("the key {key} stands twice in one switch or lookup")]
    DuplicateKey {
        /// The key.
        key: Bits,
    },
    /// Two different modules want one name.
    #[error("two different modules are called `{name}`; the first was built at {first}")]
    ModuleClash {
        /// The name.
        name: String,
        /// Where the first one was asked for.
        first: Place,
    },
    /// A component refuses its parameters.
    #[error("{problem}")]
    InvalidParameter {
        /// The rule that is broken, in the component's words.
        problem: String,
    },
    /// Components that contain themselves.
    #[error("module `{name}` contains itself")]
    Recursion {
        /// The module.
        name: String,
    },
}

impl ErrorKind {
    /// The rule behind the error.
    pub fn why(&self) -> &'static str {
        match self {
            Self::WidthMismatch { .. } => "signals are never cut or extended in silence",
            Self::ConstantDoesNotFit { .. } => "a constant that loses bits is a different constant",
            Self::SliceOutOfRange { .. } => "bits are numbered from 0 at the least significant end",
            Self::InvalidWidth { .. } => "signals have between 1 and 65536 bits",
            Self::Undriven { .. } => "a signal without driver has no value",
            Self::PartlyDriven { .. } => {
                "wires and outputs have no memory: each path through `when` and `switch` must drive them"
            }
            Self::DoubleDriver { .. } => {
                "the second unconditional driver would make the first one dead"
            }
            Self::CombinationalLoop { .. } => {
                "without a register in the loop the value is not defined"
            }
            Self::ForeignSignal { .. } => "a module sees other modules through ports only",
            Self::Unbound => "shapes and signals of another elaboration carry a width but no value",
            Self::DomainMismatch { .. } => {
                "a signal sampled by an unrelated clock can be metastable"
            }
            Self::DomainName { .. } => "the clock and reset ports are named after the domain",
            Self::InvalidName { .. } => {
                "names are kept in the Verilog, where they must be identifiers"
            }
            Self::ReservedName { .. } => "the Verilog would have the name twice",
            Self::DuplicateName { .. } => {
                "names are kept in the Verilog, where they must be unique in a module"
            }
            Self::UnconnectedInput { .. } => "an open input has no value",
            Self::NotAssignable { .. } => {
                "only wires, outputs of this module and inputs of its instances are driven"
            }
            Self::AddressWidth { .. } => "a memory of 2^n words is addressed by exactly n bits",
            Self::InvalidMemory { .. } => "the memory must map to the FPGA's memories",
            Self::NotConstant { .. } => "it is built into the hardware",
            Self::ShapeMismatch { .. } => "bundles are connected field by field",
            Self::EmptyChoice { .. } => "the result would have no width",
            Self::DuplicateKey { .. } => "the second branch could never be taken",
            Self::ModuleClash { .. } => "instances share one Verilog module by its name",
            Self::InvalidParameter { .. } => "the component cannot be built with these parameters",
            Self::Recursion { .. } => "hardware is finite",
        }
    }

    /// What would make it right.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::WidthMismatch { .. } => {
                "say what is meant: `.trunc(n)` or `.sat(n)` to narrow, `.zext(n)` or `.sext(n)` to widen"
            }
            Self::ConstantDoesNotFit { .. } => "use a wider signal or a smaller constant",
            Self::SliceOutOfRange { .. } => "select within the signal, or widen it first",
            Self::InvalidWidth { .. } => "check the parameter that the width comes from",
            Self::Undriven { .. } => "drive it with `.set(..)`, or remove it",
            Self::PartlyDriven { .. } => "set a default before the `when`, or add `.otherwise(..)`",
            Self::DoubleDriver { .. } => {
                "remove one driver, or choose between them with `mux` or `when`"
            }
            Self::CombinationalLoop { .. } => {
                "put a register in the loop; if only different bits feed each other, split the signal"
            }
            Self::ForeignSignal { .. } => "pass it through a port",
            Self::Unbound => {
                "make a signal of the shape first: `wire(..)`, `reg(..)` or a port; do not keep signals after elaboration"
            }
            Self::DomainMismatch { .. } => {
                "cross with a synchroniser: `stock::Sync2` for a level, `stock::AsyncFifo` for data"
            }
            Self::DomainName { .. } => "give each `Domain` type a `NAME` of its own",
            Self::InvalidName { .. } => "rename it",
            Self::ReservedName { .. } => "choose another name",
            Self::DuplicateName { .. } => {
                "rename it, or wrap repeated structure in `scope(\"prefix\", || ..)`"
            }
            Self::UnconnectedInput { .. } => {
                "drive it with `.set(..)`; tie it to a constant if it is not needed"
            }
            Self::NotAssignable { .. } => "declare a `wire(..)` or use the register's `.next(..)`",
            Self::AddressWidth { .. } => {
                "use `.address_width()` of the memory for the address signal"
            }
            Self::InvalidMemory { .. } => "change the memory's parameters",
            Self::NotConstant { .. } => "use an integer or `lit`",
            Self::ShapeMismatch { .. } => "make both from the same shape",
            Self::EmptyChoice { .. } => "check the parameter that the list's length comes from",
            Self::DuplicateKey { .. } => "remove one of the two branches",
            Self::ModuleClash { .. } => "put every parameter that changes the body into `name()`",
            Self::InvalidParameter { .. } => "change the parameters as the rule says",
            Self::Recursion { .. } => {
                "give the inner component different parameters and another name"
            }
        }
    }
}

/// Like `Display`, so that `unwrap` and `?` in a test show the message.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

/// Names a domain, or says that there is none.
pub(crate) fn domain_name(domain: Option<crate::domain::DomainInfo>) -> String {
    domain.map_or_else(|| "none".to_owned(), |info| info.name.to_owned())
}

impl fmt::Display for LoopStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.place)
    }
}
