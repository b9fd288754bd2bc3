//! The vector registers: lanes in block RAM, lengths and element types beside them.

use super::lanes::{join, one_hot, split};
use super::operation::{WordTag, lane_bits, word_bits};
use super::ports::thread_bits;
use crate::bits::as_word;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Eight vector registers for each thread, in words of N lanes of 32 bits.
///
/// Two words are read and one is written each cycle. A word that is written can be read from the
/// next cycle on. Each lane is a memory of its own, so that the lanes of a write may stand in two
/// words that follow each other.
#[derive(Clone, Debug)]
pub struct VectorRegisters {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// A word that is read.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct WordAddress {
    /// Thread that owns the register
    pub thread: UInt,
    /// The register
    pub register: UInt,
    /// Word of the register
    pub word: UInt,
}

impl WordAddress {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self { thread: uint(thread_bits(shape)), register: uint(3), word: uint(word_bits(shape)) }
    }
}

/// Ports of [`VectorRegisters`].
#[derive(Clone, Ports)]
pub struct VectorRegistersIo {
    /// Reads both words
    pub read: Input<Bool>,
    /// First word
    pub a: Input<WordAddress>,
    /// Second word
    pub b: Input<WordAddress>,
    /// First word's lanes, one cycle later
    pub a_lanes: Output<UInt>,
    /// Second word's lanes, one cycle later
    pub b_lanes: Output<UInt>,
    /// The word that is written
    pub write: Input<WordTag>,
    /// Its lanes
    pub lanes: Input<UInt>,
    /// Which of them are written, bit i for lane i
    pub mask: Input<UInt>,
    /// Which of them go to the word behind
    pub carry: Input<UInt>,
}

impl Component for VectorRegisters {
    type Io = VectorRegistersIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("vector_registers_t{}_n{}_l{}", s.threads, s.array, s.vector_lanes)
    }

    fn doc(&self) -> String {
        "Vector registers of all threads.".into()
    }

    fn io(&self) -> VectorRegistersIo {
        let shape = &self.shape;
        let lanes = uint(shape.array * 32);
        VectorRegistersIo {
            read: input(boolean()),
            a: input(WordAddress::shape(shape)),
            b: input(WordAddress::shape(shape)),
            a_lanes: output(lanes),
            b_lanes: output(lanes),
            write: input(WordTag::shape(shape)),
            lanes: input(lanes),
            mask: input(uint(shape.array)),
            carry: input(uint(shape.array)),
        }
    }

    fn build(&self, io: VectorRegistersIo) {
        let shape = &self.shape;
        let words = shape.words_per_register();
        let depth = u64::from(shape.threads) * 8 * u64::from(words);
        let address = |thread: UInt, register: UInt, word: UInt| match words {
            1 => cat(&[thread, register]),
            _ => cat(&[thread, register, word]),
        };
        let (a, b, write) = (io.a.value(), io.b.value(), io.write.value());
        let read_a = address(a.thread, a.register, a.word).named("read_a");
        let read_b = address(b.thread, b.register, b.word).named("read_b");
        let to = address(write.thread, write.register, write.word).named("write_here");
        let behind = address(
            write.thread,
            write.register,
            write.word.wrapping_add(UInt::lit(1, write.word.width())),
        )
        .named("write_behind");
        let (a_lanes, b_lanes): (Vec<SInt>, Vec<SInt>) = split(io.lanes.value(), 32)
            .into_iter()
            .enumerate()
            .map(|(i, lane)| {
                let bit = i as u32;
                // A thread reads and writes with one operation at a time, which is ahead of its own writes.
                let memory = SyncMem::new(format!("lane{i}"), sint(32), depth).collisions_unused();
                memory.write(
                    write.valid & io.mask.value().bit(bit),
                    mux(io.carry.value().bit(bit), behind, to),
                    lane,
                );
                (memory.read(io.read, read_a), memory.read(io.read, read_b))
            })
            .unzip();
        io.a_lanes.set(join(&a_lanes));
        io.b_lanes.set(join(&b_lanes));
    }
}

/// Length and element type of a vector register.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct VectorType {
    /// The register has been written in this event
    pub defined: Bool,
    /// Its lanes, 1 to 256
    pub lanes: UInt,
    /// Number of its element type
    pub element: UInt,
}

impl VectorType {
    /// The shape, the same for all engines.
    pub fn shape() -> Self {
        Self { defined: boolean(), lanes: uint(9), element: uint(2) }
    }
}

/// The types of all registers: kept by hardware, so that unverified code cannot read what it
/// has not written.
pub struct VectorTypes {
    types: AsyncMem<UInt>,
    /// For each thread: bit v is set when register v is defined.
    defined: Vec<Reg<UInt>>,
}

impl VectorTypes {
    /// No register is defined.
    #[track_caller]
    pub fn new(shape: &EngineShape) -> Self {
        let types = AsyncMem::new("vector_types", uint(11), u64::from(shape.threads) * 8);
        let defined =
            (0..shape.threads).map(|t| reg(format!("defined_t{t}"), uint(8), 0)).collect();
        Self { types, defined }
    }

    /// The type of a register, in the same cycle.
    #[track_caller]
    pub fn read(&self, thread: UInt, register: UInt) -> VectorType {
        let word = self.types.read(thread.concat(register));
        let of_threads: Vec<UInt> = self.defined.iter().map(|defined| defined.value()).collect();
        let defined = select(thread, &of_threads).bit_at(register);
        VectorType { defined, lanes: word.bits(2..11), element: word.bits(0..2) }
    }

    /// Sets the type of a register.
    #[track_caller]
    pub fn write(&self, enable: Bool, thread: UInt, register: UInt, lanes: UInt, element: UInt) {
        self.types.write(enable, thread.concat(register), lanes.concat(element));
        let bit = UInt::lit(1, 8).shift_left(register);
        for (t, defined) in self.defined.iter().enumerate() {
            when(enable & thread.eq(t as u64), || defined.next(defined.value() | bit));
        }
    }

    /// Makes all registers of a thread undefined.
    #[track_caller]
    pub fn clear(&self, enable: Bool, thread: UInt) {
        for (t, defined) in self.defined.iter().enumerate() {
            when(enable & thread.eq(t as u64), || defined.next(0));
        }
    }
}

/// Number of the word that a lane stands in.
#[track_caller]
pub fn word_of_lane(shape: &EngineShape, lane: UInt) -> UInt {
    match shape.words_per_register() {
        1 => UInt::lit(0, 1),
        _ => (lane >> lane_bits(shape)).resize(word_bits(shape)),
    }
}

/// The mask of one lane of a word.
#[track_caller]
pub fn lane_mask(shape: &EngineShape, lane: UInt) -> UInt {
    as_word(&one_hot(lane.trunc(lane_bits(shape)), shape.array))
}
