//! Values and types while bodies are lowered.

use std::fmt;

use rmt_isa::operand::{Element, IntType};

use crate::ir::Reg;
use crate::source::Span;

/// Where a scalar is: known now, or in a register when the program runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Operand {
    Constant(i128),
    Register(Reg),
}

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// A whole number without a width: it takes the type of its place.
    Number,
    Int(IntType),
    Bool,
    Vector(Element, usize),
    /// A record of a context store.
    Record(usize),
    Nothing,
    /// A mistake has been reported; fits everything.
    Mistake,
}

/// A value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// A constant without a width.
    Number(i128),
    Int(IntType, Operand),
    Bool(Operand),
    Vector(Element, usize, Reg),
    Record(RecordHandle),
    Nothing,
    Mistake,
}

/// An opened record of a context store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RecordHandle {
    pub(crate) context: usize,
    /// Which opening of the store it is: the next opening replaces it.
    pub(crate) generation: u32,
    /// Whether the record was there.
    pub(crate) found: Reg,
    /// Where it was opened.
    pub(crate) span: Span,
}

impl Value {
    /// The type.
    pub(crate) fn kind(&self) -> Type {
        match *self {
            Self::Number(_) => Type::Number,
            Self::Int(kind, _) => Type::Int(kind),
            Self::Bool(_) => Type::Bool,
            Self::Vector(element, lanes, _) => Type::Vector(element, lanes),
            Self::Record(handle) => Type::Record(handle.context),
            Self::Nothing => Type::Nothing,
            Self::Mistake => Type::Mistake,
        }
    }

    /// The number, when it is known now.
    pub(crate) fn constant(&self) -> Option<i128> {
        match *self {
            Self::Number(value)
            | Self::Int(_, Operand::Constant(value))
            | Self::Bool(Operand::Constant(value)) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => f.write_str("number"),
            Self::Int(kind) => write!(f, "{kind}"),
            Self::Bool => f.write_str("bool"),
            Self::Vector(element, lanes) => write!(f, "{element}[{lanes}]"),
            Self::Record(_) => f.write_str("record"),
            Self::Nothing => f.write_str("nothing"),
            Self::Mistake => f.write_str("?"),
        }
    }
}

/// Smallest and largest value of an integer type.
pub(crate) fn range_of(kind: IntType) -> (i128, i128) {
    if kind.signed() {
        let limit = 1_i128 << (kind.bits() - 1);
        (-limit, limit - 1)
    } else {
        (0, (1_i128 << kind.bits()) - 1)
    }
}

/// Whether `value` is a value of `kind`.
pub(crate) fn fits(value: i128, kind: IntType) -> bool {
    let (low, high) = range_of(kind);
    (low..=high).contains(&value)
}

/// `value` cut to the width of `kind`.
pub(crate) fn wrap(value: i128, kind: IntType) -> i128 {
    from_bits(kind.wrap(value as u64), kind)
}

/// The number that the 64 bits of a register mean in `kind`.
pub(crate) fn from_bits(bits: u64, kind: IntType) -> i128 {
    if kind.signed() { i128::from(bits as i64) } else { i128::from(bits) }
}
