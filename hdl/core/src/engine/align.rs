//! Results that begin at any lane of a register.

use super::lanes::thermometer;
use super::operation::{WordTag, lane_bits, word_bits};
use super::ports::thread_bits;
use crate::bits::rotate_up;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Up to N lanes of a result, side by side in a register, that may reach over two words.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Unaligned {
    /// There are such lanes in this cycle
    pub valid: Bool,
    /// Thread that owns the register
    pub thread: UInt,
    /// The register
    pub register: UInt,
    /// Word of the first lane
    pub word: UInt,
    /// The first lane in its word
    pub lane: UInt,
    /// Lanes, less 1
    pub last_lane: UInt,
    /// The last lanes of their operation
    pub last: Bool,
}

impl Unaligned {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            valid: boolean(),
            thread: uint(thread_bits(shape)),
            register: uint(3),
            word: uint(word_bits(shape)),
            lane: uint(lane_bits(shape)),
            last_lane: uint(lane_bits(shape)),
            last: boolean(),
        }
    }
}

/// Turns lanes to their places, one cycle later.
#[derive(Clone, Debug)]
pub struct Aligner {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`Aligner`].
#[derive(Clone, Ports)]
pub struct AlignerIo {
    /// Where the lanes go
    pub result: Input<Unaligned>,
    /// N lanes of 32 bits
    pub lanes: Input<UInt>,
    /// The word that is written
    pub write: Output<WordTag>,
    /// Its lanes
    pub data: Output<UInt>,
    /// Which of them are written
    pub mask: Output<UInt>,
    /// Which of them go to the word behind
    pub carry: Output<UInt>,
}

impl Component for Aligner {
    type Io = AlignerIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("aligner_t{}_n{}_l{}", s.threads, s.array, s.vector_lanes)
    }

    fn doc(&self) -> String {
        "Turns the lanes of a result to their places in one or two words.".into()
    }

    fn io(&self) -> AlignerIo {
        let shape = &self.shape;
        let lanes = uint(shape.array * 32);
        AlignerIo {
            result: input(Unaligned::shape(shape)),
            lanes: input(lanes),
            write: output(WordTag::shape(shape)),
            data: output(lanes),
            mask: output(uint(shape.array)),
            carry: output(uint(shape.array)),
        }
    }

    fn build(&self, io: AlignerIo) {
        let n = self.shape.array;
        let result = io.result.value();
        let count = result.last_lane.zext(lane_bits(&self.shape) + 1) + UInt::lit(1, 1);
        let mask = thermometer(count, n);
        let valid = reg("valid", boolean(), false);
        valid.next(result.valid);
        let Unaligned { thread, register, word, last, .. } = delayed("written", result);
        io.write.set(WordTag { valid: valid.value(), thread, register, word, last });
        io.data.set(delayed("turned", rotate_up("lanes_by", io.lanes.value(), 32, result.lane)));
        io.mask.set(delayed("turned_mask", rotate_up("mask_by", mask, 1, result.lane)));
        // What is turned round the end stands below the first lane.
        io.carry.set(delayed("turned_carry", thermometer(result.lane, n)));
    }
}
