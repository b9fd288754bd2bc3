//! Instruction words in hardware: their fields, and whether they decode. Everything comes from
//! the instruction table of `rmt-isa`.

use crate::bits::at_most;
use rmt_isa::card::engine::OPCODES;
use rmt_isa::instruction::{INSTRUCTIONS, Instruction, InstructionInfo};
use rmt_isa::operand::{self, OperandKind, Slot};
use rtl_builder::prelude::*;

/// The opcode of an instruction by its Rust name.
///
/// A name that the table does not have gives 0, which no engine instruction has: a test checks
/// that all names of the decoder exist.
pub fn opcode_of(name: &str) -> u64 {
    INSTRUCTIONS.iter().find(|info| info.name == name).map_or(0, |info| info.opcode.into())
}

/// The bits of a slot.
#[track_caller]
pub fn slot(word: UInt, slot: Slot) -> UInt {
    word.bits(slot.low..slot.low + slot.bits)
}

/// The fields of an instruction word.
#[derive(Clone, Copy)]
pub struct InstructionFields {
    /// The whole word.
    pub word: UInt,
    /// Operation code.
    pub opcode: UInt,
    /// Vector register D.
    pub d: UInt,
    /// Vector register A.
    pub a: UInt,
    /// Vector register B.
    pub b: UInt,
    /// Number of lanes.
    pub lanes: UInt,
    /// Element type.
    pub element: UInt,
    /// 32-bit constant.
    pub immediate: SInt,
    /// Tensor, scale or forest.
    pub object: UInt,
    /// Bias tensor.
    pub bias: UInt,
    /// Whether there is a bias.
    pub has_bias: Bool,
    /// Byte of the event.
    pub event_byte: UInt,
    /// Lane.
    pub lane: UInt,
    /// Window.
    pub window: UInt,
}

impl InstructionFields {
    /// Takes a word apart.
    #[track_caller]
    pub fn of(word: UInt) -> Self {
        let low = slot(word, operand::IMM_LO);
        let bias = slot(word, operand::IMM_HI);
        Self {
            word,
            opcode: slot(word, operand::OPCODE),
            d: slot(word, operand::D).trunc(3),
            a: slot(word, operand::A).trunc(3),
            b: slot(word, operand::B).trunc(3),
            lanes: slot(word, operand::LANES),
            element: slot(word, operand::ELEMENT),
            immediate: slot(word, operand::IMM).as_sint(),
            object: low,
            bias,
            has_bias: bias.ne(0xffff),
            event_byte: low.trunc(6),
            lane: low.trunc(8),
            window: slot(word, operand::WINDOW),
        }
    }
}

/// The instructions that the engine executes.
fn instructions() -> impl Iterator<Item = &'static InstructionInfo> {
    OPCODES.iter().filter_map(|&opcode| Instruction::info_of_opcode(opcode))
}

/// Bits that must be zero in words of an instruction: those without meaning, and those that
/// would make an operand too large where the largest value is one less than a power of two.
pub fn zero_bits(info: &InstructionInfo) -> u64 {
    info.operands.iter().fold(!info.used_bits(), |zero, operand| {
        let low_bits = match operand.kind {
            OperandKind::Vector => 3,
            OperandKind::EventOffset => 6,
            OperandKind::Lane => 8,
            _ => operand.slot.bits,
        };
        zero | operand.slot.insert(u64::MAX << low_bits)
    })
}

/// True for opcodes of the engine that have an operand of a kind.
#[track_caller]
fn has_operand(opcode: UInt, kind: OperandKind) -> Bool {
    let arms: Vec<(u64, Bool)> = instructions()
        .filter(|info| info.operands.iter().any(|operand| operand.kind == kind))
        .map(|info| (info.opcode.into(), Bool::lit(true)))
        .collect();
    lookup(opcode, &arms, Bool::lit(false))
}

/// Whether a word is an instruction of the engine, that is, whether both are true: what they say together equals
/// `Instruction::decode`.
#[track_caller]
pub fn decodes(fields: &InstructionFields) -> [Bool; 2] {
    let zero: Vec<(u64, UInt)> =
        instructions().map(|info| (info.opcode.into(), UInt::lit(zero_bits(info), 64))).collect();
    let known: Vec<(u64, Bool)> =
        instructions().map(|info| (info.opcode.into(), Bool::lit(true))).collect();
    let opcode = fields.opcode;
    let reserved = fields.word & lookup(opcode, &zero, UInt::lit(0, 64));
    let element_wrong = has_operand(opcode, OperandKind::Element) & fields.element.eq(3);
    let lanes_wrong = has_operand(opcode, OperandKind::Lanes)
        & (fields.lanes.is_zero() | !at_most(fields.lanes, 256));
    let tensor_wrong = has_operand(opcode, OperandKind::TensorId) & fields.object.eq(0xffff);
    let is_known = lookup(opcode, &known, Bool::lit(false));
    [reserved.is_zero(), is_known & !element_wrong & !lanes_wrong & !tensor_wrong]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::arithmetic::split_mix_64;

    struct Decodes;

    #[derive(Clone, Ports)]
    struct DecodesIo {
        word: Input<UInt>,
        decoded: Output<Bool>,
    }

    impl Component for Decodes {
        type Io = DecodesIo;

        fn name(&self) -> String {
            "decodes".into()
        }

        fn io(&self) -> DecodesIo {
            DecodesIo { word: input(uint(64)), decoded: output(boolean()) }
        }

        fn build(&self, io: DecodesIo) {
            let [no_reserved_bit, right] = decodes(&InstructionFields::of(io.word.value()));
            io.decoded.set(no_reserved_bit & right);
        }
    }

    #[test]
    fn a_word_decodes_here_when_it_does_in_software() {
        let mut simulator = elaborate(Decodes).unwrap().simulator();
        let mut check = |word: u64| {
            simulator.poke("word", word);
            let known = OPCODES.contains(&(word as u8)) && Instruction::decode(word).is_ok();
            assert_eq!(simulator.peek("decoded") == 1, known, "{word:#018x}");
        };
        for info in instructions() {
            let words = (0_u64..).map(|seed| {
                let random = split_mix_64(seed << 8 | u64::from(info.opcode));
                random & info.used_bits() & !zero_bits(info) & !0xff | u64::from(info.opcode)
            });
            // Any bit of an instruction may make it another one, or none.
            for word in words.filter(|&word| Instruction::decode(word).is_ok()).take(4) {
                check(word);
                (0..64).for_each(|bit| check(word ^ 1 << bit));
            }
        }
        (0..256).for_each(|opcode| check(split_mix_64(opcode) & !0xff | opcode));
    }

    #[test]
    fn every_name_that_the_decoder_uses_is_an_instruction_of_the_engine() {
        let source = include_str!("decode.rs");
        let names: Vec<&str> = source
            .split("opcode_of(\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        for name in &names {
            let opcode = opcode_of(name);
            assert!(OPCODES.iter().any(|&known| u64::from(known) == opcode), "{name}");
        }
        assert_eq!(names.len(), OPCODES.len(), "an instruction of the engine is not decoded");
    }
}
