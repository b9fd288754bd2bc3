//! What a command says of itself, known in the cycle in which it comes.

use super::registers::VectorType;
use super::words::{InstructionFields, decodes};
use crate::bits::{at_most, no_more_than, one_less};
use rmt_isa::card::engine::{EngineShape, OPCODES};
use rtl_builder::prelude::*;

/// What is known of a command when it comes, without the descriptors.
#[derive(Clone, Copy, Bundle)]
pub(super) struct Known {
    /// What makes it an instruction of the engine, all of which must hold.
    pub(super) decodes: [Bool; 2],
    /// Its place among them, if it is one.
    pub(super) number: UInt,
    /// A register has as many lanes as the instruction says.
    pub(super) lanes_fit: Bool,
    /// The lanes that it loads stand in the event, and are not aligned.
    pub(super) inside_event: Bool,
    pub(super) misaligned: Bool,
    /// The instruction names a bias.
    pub(super) has_bias: Bool,
    /// A and B are defined and of one length.
    pub(super) same_length: Bool,
    /// They have the same element type.
    pub(super) same_element: Bool,
    /// The lane is one of D, and one of A.
    pub(super) lane_of_d: Bool,
    pub(super) lane_of_a: Bool,
    /// The lane that scalar register B says, and that it is not one of A.
    pub(super) lane: UInt,
    pub(super) beyond_a: [Bool; 2],
    /// Lanes of A, less 1, and those of the instruction.
    pub(super) last_of_a: UInt,
    pub(super) last_lane: UInt,
    /// Scalar register A as a lane, and as the number of a row, which is beyond all tensors.
    pub(super) value: SInt,
    pub(super) row: UInt,
    pub(super) beyond_rows: Bool,
}

impl Known {
    pub(super) fn of(
        shape: &EngineShape,
        fields: &InstructionFields,
        scalars: [UInt; 2],
        types: [VectorType; 3],
    ) -> Self {
        let ([scalar_a, scalar_b], [a, b, d]) = (scalars, types);
        let (element, start_byte) = (fields.element, fields.event_byte);
        // As many elements follow the first one up to the event's end. An instruction without lanes does not decode.
        let last_lane = one_less(fields.lanes);
        let behind = (!start_byte).shift_right(element);
        let inside_event =
            last_lane.bits(6..9).is_zero() & no_more_than(last_lane.trunc(6), behind);
        let inside_event = inside_event.named("inside_event");
        let misaligned = lookup(
            element,
            &[(1, start_byte.bit(0)), (2, start_byte.bits(0..2).ne(0))],
            Bool::lit(false),
        )
        .named("misaligned");
        let numbers: Vec<(u64, UInt)> = (OPCODES.iter())
            .map(|&opcode| (opcode.into(), UInt::lit(number_of(opcode.into()), NUMBER_BITS)))
            .collect();
        let same_length = (a.defined & b.defined & a.lanes.eq(b.lanes)).named("same_length");
        let last = |lanes: UInt| one_less(lanes).trunc(8);
        Self {
            decodes: decodes(fields),
            number: lookup(fields.opcode, &numbers, UInt::lit(0, NUMBER_BITS)),
            lanes_fit: at_most(fields.lanes, shape.vector_lanes.into()),
            inside_event,
            misaligned,
            has_bias: fields.has_bias,
            same_length,
            same_element: a.element.eq(b.element),
            lane_of_d: d.defined & fields.lane.lt(d.lanes),
            lane_of_a: a.defined & fields.lane.lt(a.lanes),
            lane: scalar_b.trunc(8),
            beyond_a: [scalar_b.bits(9..64).ne(0), scalar_b.trunc(9).ge(a.lanes)],
            last_of_a: last(a.lanes),
            last_lane: last(fields.lanes),
            value: scalar_a.as_sint().sat(32),
            row: scalar_a.trunc(16),
            beyond_rows: scalar_a.bits(16..64).ne(0),
        }
    }
}

/// Bits of the place of an instruction among those of the engine.
const NUMBER_BITS: u32 = usize::BITS - (OPCODES.len() - 1).leading_zeros();

/// The place of an opcode among those of the engine.
pub(super) fn number_of(opcode: u64) -> u64 {
    OPCODES.iter().position(|&known| u64::from(known) == opcode).map_or(0, |place| place as u64)
}
