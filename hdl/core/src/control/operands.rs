//! What stage D reads the operands of an instruction by, decoded when the host writes the word.

use rmt_isa::card::CardShape;
use rmt_isa::operand::{A, B, D, IMM, OFF, OPCODE};
use rtl_builder::prelude::*;

use super::decode::{Function, LongFunction, Row, calls, looked_up, rows};
use crate::bits::slot;

/// What the operands of an instruction are, and what is done with them.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Sources {
    /// Code of [`Function`], [`LongFunction`], [`ContextFunction`](super::decode::ContextFunction) or
    /// [`MapFunction`](super::decode::MapFunction)
    pub function: UInt,
    /// B is the constant
    pub immediate: Bool,
    /// A is a field of the event
    pub event: Bool,
    /// A is not a register: a field of the event or a parameter
    pub beside: Bool,
}

impl Sources {
    /// The shape.
    pub fn shape() -> Self {
        Self {
            function: uint(Function::BITS),
            immediate: boolean(),
            event: boolean(),
            beside: boolean(),
        }
    }
}

/// All that the operands are read by: it stands in a memory of its own, from which ways lead nowhere else.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Operands {
    /// What they are
    pub sources: Sources,
    /// Number of register A
    pub a: UInt,
    /// Number of register B
    pub b: UInt,
    /// Number of the destination
    pub d: UInt,
    /// Low bits of the offset: byte of a field of the event, number of a parameter, type
    pub offset: UInt,
    /// The constant
    pub constant: UInt,
}

impl Operands {
    /// Bits of the offset that count here.
    const OFFSET_BITS: u32 = 6;

    /// The shape.
    pub fn shape() -> Self {
        Self {
            sources: Sources::shape(),
            a: uint(A.bits),
            b: uint(B.bits),
            d: uint(D.bits),
            offset: uint(Self::OFFSET_BITS),
            constant: uint(IMM.bits),
        }
    }

    /// Those of a word; see [`sources`].
    pub fn of(shape: &CardShape, word: UInt) -> Self {
        Self {
            sources: sources(shape, word),
            a: slot(word, A),
            b: slot(word, B),
            d: slot(word, D),
            offset: slot(word, OFF).trunc(Self::OFFSET_BITS),
            constant: slot(word, IMM),
        }
    }
}

/// Decodes what operands a word has, and what is done with them: of a call that is what its helper does.
pub fn sources(shape: &CardShape, word: UInt) -> Sources {
    let sources = looked_up(slot(word, OPCODE), &rows(shape), &Row::sources);
    let helper = slot(word, OFF).trunc(LongFunction::BITS).zext(Function::BITS);
    Sources { function: mux(calls(word), helper, sources.function), ..sources }
}
