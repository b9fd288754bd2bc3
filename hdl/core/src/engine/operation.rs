//! A command after its checks: what the units need to execute it, with nothing left to look up.

use super::ports::thread_bits;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// The unit that executes an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Element-wise operations, loads and reads of lanes.
    Vector = 0,
    /// The requantiser.
    Requantise = 1,
    /// The multiplier array.
    Product = 2,
    /// The tree engine.
    Tree = 3,
    /// Convolutions and pooling.
    Window = 4,
    /// None: the command is answered with its status.
    Refuse = 5,
}

/// Bits of a [`Unit`] number.
pub const UNIT_BITS: u32 = 3;

/// What the vector unit does with a word of lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// The first operand, saturated.
    Pass = 0,
    /// Sum, saturated.
    Add = 1,
    /// Difference, saturated.
    Sub = 2,
    /// Product.
    Mul = 3,
    /// The smaller one.
    Min = 4,
    /// The larger one.
    Max = 5,
    /// No vector result: the chosen lane is the scalar result.
    Lane = 6,
    /// No vector result: the sum of all lanes.
    Sum = 7,
    /// No vector result: the index of the largest lane.
    ArgMax = 8,
}

/// Bits of a [`Function`] number.
pub const FUNCTION_BITS: u32 = 4;

/// What the window unit does with the lanes under a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowFunction {
    /// The sum of their products with weights.
    Convolve = 0,
    /// The largest of each channel.
    Max = 1,
    /// The sum of each channel.
    Sum = 2,
}

/// Where the first operand of the vector unit comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// Vector register A.
    Register = 0,
    /// The event.
    Event = 1,
    /// A row of a tensor.
    Row = 2,
    /// `value` in all lanes.
    Value = 3,
}

/// Bits of an [`Operand`] number.
pub const OPERAND_BITS: u32 = 2;

/// What the steps of an operation take of the sequencer's calendars; at most one of these. It is known before the
/// operation is, so that the choice of the next one need not wait for it.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Books {
    /// Each step of the vector unit writes a word
    pub word: Bool,
    /// Each step of the requantiser writes lanes
    pub lanes: Bool,
    /// The last step answers with a lane
    pub lane_answer: Bool,
    /// The last step answers with a sum or the largest lane
    pub sum_answer: Bool,
}

impl Books {
    fn shape() -> Self {
        let [word, lanes, lane_answer, sum_answer] = std::array::from_fn(|_| boolean());
        Self { word, lanes, lane_answer, sum_answer }
    }

    /// Of an operation that is not refused.
    pub(super) fn of(unit: UInt, function: UInt) -> Self {
        let vector = unit.eq(Unit::Vector as u64);
        let is = |wanted: Function| vector & function.eq(wanted as u64);
        let (lane_answer, sum_answer) =
            (is(Function::Lane), is(Function::Sum) | is(Function::ArgMax));
        let word = vector & !lane_answer & !sum_answer;
        Self { word, lanes: unit.eq(Unit::Requantise as u64), lane_answer, sum_answer }
    }
}

/// A checked command.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Operation {
    /// Number of the unit that executes it
    pub unit: UInt,
    /// What its steps book, which follows from unit and function
    pub books: Books,
    /// Vector unit: number of the function; window unit: number of the window function
    pub function: UInt,
    /// Vector unit: where the first operand comes from
    pub operand: UInt,
    /// Destination register
    pub d: UInt,
    /// First source register
    pub a: UInt,
    /// Second source register
    pub b: UInt,
    /// The second operand is zero, not register B
    pub b_zero: Bool,
    /// Words that are read, less 1
    pub last_word: UInt,
    /// Lanes in use of the last word that is read, less 1
    pub last_lane: UInt,
    /// Element type of the result
    pub element: UInt,
    /// Only one lane of the word is written or read
    pub one_lane: Bool,
    /// That lane; convolution: outputs, less 1
    pub lane: UInt,
    /// Value for all lanes; zero point of a requantisation
    pub value: SInt,
    /// First word of row, scale or forest, or first tile, or byte of the event
    pub base: UInt,
    /// Scale: last word before the channels repeat; forest: last tree; window: its number
    pub last_item: UInt,
    /// Product: words of the result, less 1; convolution: words of the outputs of a place, less 1
    pub last_result: UInt,
    /// Product, convolution: there is a bias; forest: votes are counted
    pub option: Bool,
    /// Product, convolution: first word of the bias
    pub bias: UInt,
    /// The answer is sent when the operation is issued, with `status`
    pub early: Bool,
    /// Status of a refused command
    pub status: UInt,
}

/// Bits of a word number in a vector register, at least 1.
pub fn word_bits(shape: &EngineShape) -> u32 {
    bits_for(shape.words_per_register().into()).max(1)
}

/// Bits of a lane number in a word.
pub fn lane_bits(shape: &EngineShape) -> u32 {
    bits_for(shape.array.into())
}

impl Operation {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            unit: uint(UNIT_BITS),
            books: Books::shape(),
            function: uint(FUNCTION_BITS),
            operand: uint(OPERAND_BITS),
            d: uint(3),
            a: uint(3),
            b: uint(3),
            b_zero: boolean(),
            last_word: uint(word_bits(shape)),
            last_lane: uint(lane_bits(shape)),
            element: uint(2),
            one_lane: boolean(),
            lane: uint(8),
            value: sint(32),
            base: uint(16),
            last_item: uint(16),
            last_result: uint(word_bits(shape)),
            option: boolean(),
            bias: uint(16),
            early: boolean(),
            status: uint(8),
        }
    }
}

/// A word of a vector register: which one, and whether it ends the operation.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct WordTag {
    /// There is such a word in this cycle
    pub valid: Bool,
    /// Thread that owns the register
    pub thread: UInt,
    /// The register
    pub register: UInt,
    /// Word of the register
    pub word: UInt,
    /// The last word of its operation
    pub last: Bool,
}

impl WordTag {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            valid: boolean(),
            thread: uint(thread_bits(shape)),
            register: uint(3),
            word: uint(word_bits(shape)),
            last: boolean(),
        }
    }
}
