//! Decoding: which unit executes an opcode, and how. The table is made from the rows of
//! `rmt_isa`; nothing here knows an opcode's number.
//!
//! An instruction is decoded when the host writes it. What that gives, [`Sources`] and [`Decoded`], stands beside its word in
//! the program memory: operands are read as soon as the word is there.

use rmt_isa::card::CardShape;
use rmt_isa::limits::MAX_OUTPUTS;
use rmt_isa::operand::{OFF, OPCODE, OperandKind};
use rmt_isa::{Class, Helper, INSTRUCTIONS, InstructionInfo, Status};
use rtl_builder::prelude::*;

use super::operands::Sources;
use crate::bits::{at_most, slot};

macro_rules! codes {
    ($(#[doc = $doc:literal])* $name:ident, $bits:literal: $($(#[doc = $variant_doc:literal])* $variant:ident,)*) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[doc = $variant_doc])* $variant,)*
        }

        impl $name {
            /// Bits of the code.
            pub const BITS: u32 = $bits;
            /// How many there are.
            #[allow(dead_code)]
            pub const COUNT: u32 = [$(Self::$variant),*].len() as u32;

            /// Whether a signal of this code has this value.
            #[allow(dead_code)]
            #[track_caller]
            pub fn is(self, code: UInt) -> Bool {
                code.eq(self as u64)
            }
        }
    };
}

codes! {
    /// What the execute stage does with an instruction.
    Unit, 4:
    /// Refuses it.
    Illegal,
    /// Writes the result of the arithmetic unit.
    Alu,
    /// Jumps if the condition holds.
    Branch,
    /// Ends the event.
    Exit,
    /// Writes an output word.
    Out,
    /// Visits another table.
    TailCall,
    /// Waits for the unit of products, quotients and helpers.
    Arithmetic,
    /// Asks the context unit.
    Context,
    /// Asks the map unit.
    Map,
    /// Waits for the ML engine.
    Engine,
    /// Ends the event: there is no such table or output word.
    OutOfRange,
}

codes! {
    /// What the arithmetic unit of the execute stage computes.
    Function, 5:
    /// a + b
    Add,
    /// a - b
    Sub,
    /// a AND b
    And,
    /// a OR b
    Or,
    /// a XOR b
    Xor,
    /// a << b
    ShiftLeft,
    /// a >> b, signed
    ShiftRight,
    /// a >> b, unsigned
    ShiftRightUnsigned,
    /// a if the condition holds, else b
    Choose,
    /// 1 if the condition holds, else 0
    Condition,
    /// a
    MoveA,
    /// b
    MoveB,
    /// low half of b above the low half of a
    MoveHigh,
    /// b if a is not zero, else d
    MoveIf,
    /// a shifted down by bytes, cut to a type and extended
    Extend,
    /// NOT a
    Not,
    /// 0 - a
    Negate,
    /// |a|
    Absolute,
}

codes! {
    /// What the unit of products, quotients and helpers computes.
    LongFunction, 4:
    /// CRC-32C, helper 0
    Crc32c,
    /// high half of the product, helper 1
    MulHigh,
    /// square root, helper 2
    SquareRoot,
    /// binary logarithm, helper 3
    Log2,
    /// SplitMix64, helper 4
    Random,
    /// a * 2^16 / b, helper 5
    Ratio,
    /// never used: keeps helpers apart from instructions
    Unused,
    /// as above
    Unused2,
    /// low half of the product
    Multiply,
    /// signed quotient
    Divide,
    /// unsigned quotient
    DivideUnsigned,
    /// signed remainder
    Remainder,
    /// unsigned remainder
    RemainderUnsigned,
    /// leading zeros of a
    LeadingZeros,
    /// trailing zeros of a
    TrailingZeros,
    /// one bits of a
    CountOnes,
}

codes! {
    /// What the context unit does.
    ContextFunction, 4:
    /// opens or creates a record
    Match,
    /// opens a record if it is there
    Find,
    /// reads a field
    Load,
    /// writes a field
    Store,
    /// pushes into a ring
    Push,
    /// reads a value of a ring
    History,
    /// counts the values of a ring
    HistoryLength,
    /// moves a ring to a vector register
    VectorLoad,
    /// moves a vector register to a ring
    VectorStore,
}

codes! {
    /// What the map unit does.
    MapFunction, 3:
    /// reads the value of a key
    Load,
    /// asks whether a key is there
    Contains,
    /// sets the value of a key
    Store,
    /// adds to the value of a key
    Add,
    /// removes a key
    Delete,
    /// appends to a ring buffer
    Push,
}

/// A condition on a and b, as bits of its code.
mod condition {
    /// a < b makes it true.
    pub const LESS: u64 = 1;
    /// a = b makes it true.
    pub const EQUAL: u64 = 2;
    /// The comparison is signed.
    pub const SIGNED: u64 = 4;
    /// The result is inverted.
    pub const NOT: u64 = 8;
}
pub use condition::{EQUAL, LESS, NOT, SIGNED};

/// What an instruction means for the pipeline.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Decoded {
    /// A bit for each [`Unit`], one of which is set
    pub units: UInt,
    /// Bits of the condition
    pub condition: UInt,
    /// A scalar register is written
    pub writes: Bool,
    /// How the event ends by it, if it does
    pub verdict: UInt,
}

/// The same as plain values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) unit: Unit,
    pub(crate) function: u64,
    pub(crate) condition: u64,
    pub(crate) immediate: bool,
    pub(crate) writes: bool,
    pub(crate) event: bool,
    pub(crate) parameter: bool,
}

impl Row {
    /// An opcode that no unit knows.
    const ILLEGAL: Self = Self {
        unit: Unit::Illegal,
        function: 0,
        condition: 0,
        immediate: false,
        writes: false,
        event: false,
        parameter: false,
    };

    fn decoded(self) -> Decoded {
        Decoded {
            units: UInt::lit(1 << self.unit as u64, Unit::COUNT),
            condition: UInt::lit(self.condition, 4),
            writes: Bool::lit(self.writes),
            verdict: UInt::lit(0, 8),
        }
    }

    pub(super) fn sources(self) -> Sources {
        Sources {
            function: UInt::lit(self.function, Function::BITS),
            immediate: Bool::lit(self.immediate),
            event: Bool::lit(self.event),
            beside: Bool::lit(self.event | self.parameter),
        }
    }
}

impl Decoded {
    /// The shape.
    pub fn shape() -> Self {
        Self { units: uint(Unit::COUNT), condition: uint(4), writes: boolean(), verdict: uint(8) }
    }

    /// The unit executes it.
    pub fn is(&self, unit: Unit) -> Bool {
        self.units.bit(unit as u32)
    }
}

/// Decodes a word of the instructions that a card executes. One that names a helper, a table or an output word that does not
/// exist ends its event.
pub fn decode(shape: &CardShape, word: UInt) -> Decoded {
    let decoded = looked_up(slot(word, OPCODE), &rows(shape), &Row::decoded);
    let no_more_than = |limit: u64| at_most(slot(word, OFF), limit - 1);
    let no_helper = calls(word) & !no_more_than(Helper::ALL.len() as u64);
    let missing = (decoded.is(Unit::TailCall) & !no_more_than(shape.tables.into()))
        | (decoded.is(Unit::Out) & !no_more_than(MAX_OUTPUTS as u64));
    let only = |unit: Unit| UInt::lit(1 << unit as u64, Unit::COUNT);
    let refused = mux(missing, only(Unit::OutOfRange), only(Unit::Illegal));
    let units = mux(missing | no_helper, refused, decoded.units);
    let decoded = Decoded { units, ..decoded };
    let status = |status: Status| UInt::lit(status as u64, 8);
    let verdict = priority_mux(
        &[
            (decoded.is(Unit::Illegal), status(Status::BadInstruction)),
            (decoded.is(Unit::OutOfRange), status(Status::OutOfRange)),
            (slot(word, OFF).is_zero(), status(Status::Decided)),
        ],
        status(Status::Abstained),
    );
    Decoded { verdict, ..decoded }
}

/// The word calls a helper.
pub(super) fn calls(word: UInt) -> Bool {
    let call = INSTRUCTIONS.iter().find(|info| info.name == "Call");
    call.map_or(Bool::lit(false), |call| slot(word, OPCODE).eq(u64::from(call.opcode)))
}

/// The row of each opcode.
pub(super) fn rows(shape: &CardShape) -> Vec<Row> {
    let mut rows = vec![Row::ILLEGAL; 1 << OPCODE.bits];
    for info in INSTRUCTIONS.iter().filter(|info| shape.executes_opcode(info.opcode)) {
        rows[usize::from(info.opcode)] = plain(info).unwrap_or(Row::ILLEGAL);
    }
    rows
}

/// The row of an opcode, by halves: comparing it with each opcode that there is would be twice as deep.
pub(super) fn looked_up<T: Bundle>(opcode: UInt, rows: &[Row], signals: &dyn Fn(Row) -> T) -> T {
    if rows.iter().all(|row| *row == rows[0]) {
        return signals(rows[0]);
    }
    let (low, high) = rows.split_at(rows.len() / 2);
    let bit = opcode.bit(low.len().trailing_zeros());
    mux(bit, looked_up(opcode, high, signals), looked_up(opcode, low, signals))
}

/// How an instruction is executed; `None` for one that no unit knows.
pub(crate) fn plain(info: &InstructionInfo) -> Option<Row> {
    let immediate = info.operands.iter().any(|operand| operand.kind == OperandKind::Immediate);
    let writes = info
        .operands
        .iter()
        .any(|operand| operand.kind == OperandKind::Scalar && operand.slot == rmt_isa::operand::D);
    let (unit, function, condition) = match info.class {
        Class::Control => (control(info.name)?, 0, 0),
        // Counts of bits are too deep for the cycle of the arithmetic unit.
        Class::Alu | Class::Event => match (long(info.name), alu(info.name)) {
            (Some(function), _) => (Unit::Arithmetic, function as u64, 0),
            (None, Some((function, condition))) => (Unit::Alu, function as u64, condition),
            (None, None) => return None,
        },
        Class::Branch => (Unit::Branch, 0, comparison(info.name.strip_prefix("Jump")?)?),
        Class::Multiply | Class::Divide => (Unit::Arithmetic, long(info.name)? as u64, 0),
        Class::Context => (Unit::Context, context(info.name)? as u64, 0),
        Class::Vector => match context(info.name) {
            Some(function) => (Unit::Context, function as u64, 0),
            None => (Unit::Engine, 0, 0),
        },
        Class::Model => (Unit::Engine, 0, 0),
        Class::Map => (Unit::Map, map(info.name)? as u64, 0),
    };
    // `jump` is a branch on a condition that always holds: not (never).
    let condition = if info.name == "Jump" { NOT } else { condition };
    let (event, parameter) = (info.name == "LoadEvent", info.name == "LoadParameter");
    Some(Row { unit, function, condition, immediate, writes, event, parameter })
}

fn control(name: &str) -> Option<Unit> {
    Some(match name {
        "Exit" => Unit::Exit,
        "Jump" => Unit::Branch,
        "TailCall" => Unit::TailCall,
        "Call" => Unit::Arithmetic,
        "Out" => Unit::Out,
        _ => return None,
    })
}

/// The condition of a comparison: `Eq`, `LtU`, `GeUImm` and so on.
fn comparison(name: &str) -> Option<u64> {
    let name = name.strip_suffix("Imm").unwrap_or(name);
    let (name, sign) = match name.strip_suffix('U') {
        Some(name) => (name, 0),
        None => (name, SIGNED),
    };
    Some(match name {
        "Eq" => EQUAL,
        "Ne" => EQUAL | NOT,
        "Lt" => LESS | sign,
        "Le" => LESS | EQUAL | sign,
        "Gt" => LESS | EQUAL | NOT | sign,
        "Ge" => LESS | NOT | sign,
        _ => return None,
    })
}

fn alu(name: &str) -> Option<(Function, u64)> {
    if let Some(condition) = name.strip_prefix("Set").and_then(comparison) {
        return Some((Function::Condition, condition));
    }
    let function = match name.strip_suffix("Imm").unwrap_or(name) {
        "Add" => Function::Add,
        "Sub" => Function::Sub,
        "And" => Function::And,
        "Or" => Function::Or,
        "Xor" => Function::Xor,
        "Shl" => Function::ShiftLeft,
        "Shr" => Function::ShiftRight,
        "ShrU" => Function::ShiftRightUnsigned,
        "Min" => return Some((Function::Choose, LESS | SIGNED)),
        "MinU" => return Some((Function::Choose, LESS)),
        "Max" => return Some((Function::Choose, LESS | NOT | SIGNED)),
        "MaxU" => return Some((Function::Choose, LESS | NOT)),
        "Move" if name == "Move" => Function::MoveA,
        "Move" => Function::MoveB,
        "MoveHigh" => Function::MoveHigh,
        "MoveIf" => Function::MoveIf,
        "Extend" | "LoadEvent" => Function::Extend,
        "LoadParameter" => Function::MoveA,
        "Not" => Function::Not,
        "Neg" => Function::Negate,
        "Abs" => Function::Absolute,
        _ => return None,
    };
    Some((function, 0))
}

fn long(name: &str) -> Option<LongFunction> {
    Some(match name.strip_suffix("Imm").unwrap_or(name) {
        "Mul" => LongFunction::Multiply,
        "Div" => LongFunction::Divide,
        "DivU" => LongFunction::DivideUnsigned,
        "Rem" => LongFunction::Remainder,
        "RemU" => LongFunction::RemainderUnsigned,
        "LeadingZeros" => LongFunction::LeadingZeros,
        "TrailingZeros" => LongFunction::TrailingZeros,
        "CountOnes" => LongFunction::CountOnes,
        _ => return None,
    })
}

fn context(name: &str) -> Option<ContextFunction> {
    Some(match name {
        "MatchContext" => ContextFunction::Match,
        "FindContext" => ContextFunction::Find,
        "LoadContext" => ContextFunction::Load,
        "StoreContext" => ContextFunction::Store,
        "PushContext" => ContextFunction::Push,
        "LoadHistory" | "LoadHistoryImm" => ContextFunction::History,
        "HistoryLength" => ContextFunction::HistoryLength,
        "VectorLoadContext" => ContextFunction::VectorLoad,
        "VectorStoreContext" => ContextFunction::VectorStore,
        _ => return None,
    })
}

fn map(name: &str) -> Option<MapFunction> {
    Some(match name {
        "MapLoad" => MapFunction::Load,
        "MapContains" => MapFunction::Contains,
        "MapStore" => MapFunction::Store,
        "MapAdd" => MapFunction::Add,
        "MapDelete" => MapFunction::Delete,
        "MapPush" => MapFunction::Push,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_that_a_card_executes_is_decoded() {
        let shape = CardShape::tiny();
        for info in INSTRUCTIONS.iter().filter(|info| shape.executes_opcode(info.opcode)) {
            let row = plain(info).unwrap_or_else(|| panic!("{} is not decoded", info.mnemonic));
            assert_ne!(row.unit, Unit::Illegal, "{}", info.mnemonic);
        }
    }

    #[test]
    fn scalar_results_are_written() {
        for (name, writes) in
            [("Add", true), ("StoreContext", false), ("JumpEq", false), ("ScalarValue", true)]
        {
            let info = INSTRUCTIONS.iter().find(|info| info.name == name).unwrap();
            assert_eq!(plain(info).unwrap().writes, writes, "{name}");
        }
    }
}
