//! Instructions as Rust values, generated from the table: encode, decode, and the list of
//! operands that assembler, disassembler and verifier walk.

use std::fmt;

use crate::operand::{Operand, OperandKind, OperandValue, Role, Slot};

/// Which unit of an engine executes an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Program flow, calls and outputs.
    Control,
    /// One-cycle integer arithmetic, compares and moves.
    Alu,
    /// 64-bit product.
    Multiply,
    /// 64-bit division.
    Divide,
    /// Conditional jumps.
    Branch,
    /// Reads of the event and of action data.
    Event,
    /// Context records and history rings.
    Context,
    /// Maps.
    Map,
    /// Vector registers.
    Vector,
    /// Models: products, convolutions, pooling, requantisation, trees.
    Model,
}

/// What the table says of one operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperandInfo {
    /// Name in the equation.
    pub name: &'static str,
    /// Kind of value.
    pub kind: OperandKind,
    /// Place in the instruction word.
    pub slot: Slot,
    /// What the instruction does with it.
    pub role: Role,
}

/// What the table says of one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionInfo {
    /// Rust name of the variant.
    pub name: &'static str,
    /// Operation code, the low byte of the instruction word.
    pub opcode: u8,
    /// Name in assembly.
    pub mnemonic: &'static str,
    /// Executing unit.
    pub class: Class,
    /// Meaning as an equation.
    pub equation: &'static str,
    /// The same in Rust.
    pub rust: &'static str,
    /// Operands in the order of assembly.
    pub operands: &'static [OperandInfo],
}

impl InstructionInfo {
    /// Bits of the instruction word that mean something; all others must be zero.
    pub fn used_bits(&self) -> u64 {
        let all = |slot: Slot| slot.insert(u64::MAX);
        self.operands.iter().fold(all(crate::operand::OPCODE), |used, o| used | all(o.slot))
    }
}

/// Why a 64-bit word is not an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No instruction has this operation code.
    #[error("{word:#018x} is not an instruction: there is no opcode {opcode:#04x}")]
    UnknownOpcode {
        /// The word.
        word: u64,
        /// Its low byte.
        opcode: u8,
    },
    /// Bits that the instruction does not use are set.
    #[error("{word:#018x} is not a valid `{mnemonic}`: the unused bits {bits:#018x} must be zero")]
    ReservedBits {
        /// The word.
        word: u64,
        /// The instruction of its opcode.
        mnemonic: &'static str,
        /// The offending bits.
        bits: u64,
    },
    /// An operand has no meaning.
    #[error(
        "{word:#018x} is not a valid `{mnemonic}`: operand `{operand}` cannot be {bits:#x}, it must be a {expected}"
    )]
    Operand {
        /// The word.
        word: u64,
        /// The instruction of its opcode.
        mnemonic: &'static str,
        /// Name of the operand.
        operand: &'static str,
        /// Its bits.
        bits: u64,
        /// What the operand may be.
        expected: &'static str,
    },
}

/// One operand of one instruction, with what is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperandUse {
    /// What the table says of it.
    pub info: &'static OperandInfo,
    /// Its value.
    pub value: Operand,
}

macro_rules! define_instructions {
    ($(
        $name:ident = $opcode:literal, $mnemonic:literal, $class:ident, $equation:literal, $rust:literal,
        { $($operand:ident : $kind:ident @ $slot:ident $role:ident),* };
    )*) => {
        /// An instruction. Its doc comment is its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Instruction {
            $(
                #[doc = concat!("`", $mnemonic, "`: ", $equation, ".\n\nRust: `", $rust, "`")]
                $name {
                    $(
                        #[doc = concat!("Operand in slot `", stringify!($slot), "`: ", stringify!($role), ".")]
                        $operand: $crate::operand_types::$kind,
                    )*
                },
            )*
        }

        /// Every instruction, in order of opcode.
        pub const INSTRUCTIONS: &[InstructionInfo] = &[$(
            InstructionInfo {
                name: stringify!($name),
                opcode: $opcode,
                mnemonic: $mnemonic,
                class: Class::$class,
                equation: $equation,
                rust: $rust,
                operands: &[$(
                    OperandInfo {
                        name: stringify!($operand),
                        kind: <$crate::operand_types::$kind as OperandValue>::KIND,
                        slot: $crate::operand::$slot,
                        role: Role::$role,
                    },
                )*],
            },
        )*];

        impl Instruction {
            /// The instruction as a 64-bit word.
            pub fn encode(self) -> u64 {
                match self {
                    $(Self::$name { $($operand),* } => {
                        $opcode $(| $crate::operand::$slot.insert($operand.to_bits()))*
                    })*
                }
            }

            /// The instruction of a 64-bit word.
            ///
            /// # Errors
            /// [`DecodeError`] when the opcode is unknown, an operand is out of its range, or a
            /// bit without meaning is set: every instruction has exactly one word.
            pub fn decode(word: u64) -> Result<Self, DecodeError> {
                let info = Self::info_of_word(word)?;
                let bits = word & !info.used_bits();
                if bits != 0 {
                    return Err(DecodeError::ReservedBits { word, mnemonic: info.mnemonic, bits });
                }
                match info.opcode {
                    $($opcode => Ok(Self::$name {
                        $($operand: decode_operand(
                            word, $mnemonic, stringify!($operand), $crate::operand::$slot,
                        )?,)*
                    }),)*
                    opcode => Err(DecodeError::UnknownOpcode { word, opcode }),
                }
            }

            /// The operation code.
            pub const fn opcode(self) -> u8 {
                match self {
                    $(Self::$name { .. } => $opcode,)*
                }
            }

            /// The operands in the order of assembly.
            pub fn operands(self) -> Vec<OperandUse> {
                let values = match self {
                    $(Self::$name { $($operand),* } => vec![$($operand.operand()),*],)*
                };
                self.info().operands.iter().zip(values)
                    .map(|(info, value)| OperandUse { info, value }).collect()
            }

            /// Reads an instruction from its mnemonic and its operands' texts.
            pub(crate) fn from_texts(
                info: &'static InstructionInfo,
                texts: &[&str],
            ) -> Result<Self, &'static OperandInfo> {
                let mut operands = info.operands.iter().zip(texts);
                match info.opcode {
                    $($opcode => Ok(Self::$name {
                        $($operand: parse_operand(&mut operands)?,)*
                    }),)*
                    // `info` comes from `INSTRUCTIONS`, which has exactly the opcodes above.
                    _ => Err(&info.operands[0]),
                }
            }
        }
    };
}

crate::for_each_instruction!(define_instructions);

fn decode_operand<T: OperandValue>(
    word: u64,
    mnemonic: &'static str,
    operand: &'static str,
    slot: Slot,
) -> Result<T, DecodeError> {
    let bits = slot.extract(word);
    T::from_bits(bits).ok_or(DecodeError::Operand {
        word,
        mnemonic,
        operand,
        bits,
        expected: T::KIND.description(),
    })
}

fn parse_operand<'a, T: OperandValue>(
    operands: &mut impl Iterator<Item = (&'static OperandInfo, &'a &'a str)>,
) -> Result<T, &'static OperandInfo> {
    match operands.next() {
        Some((info, text)) => T::parse(text).ok_or(info),
        // The assembler has counted the operands before it calls.
        None => Err(&INSTRUCTIONS[0].operands[0]),
    }
}

impl Instruction {
    /// What the table says of this instruction.
    pub fn info(self) -> &'static InstructionInfo {
        // `INSTRUCTIONS` holds every opcode, in ascending order; a test checks it.
        let index = INSTRUCTIONS.partition_point(|info| info.opcode < self.opcode());
        &INSTRUCTIONS[index]
    }

    /// What the table says of the instruction with this opcode.
    pub fn info_of_opcode(opcode: u8) -> Option<&'static InstructionInfo> {
        let index = INSTRUCTIONS.binary_search_by_key(&opcode, |info| info.opcode).ok()?;
        Some(&INSTRUCTIONS[index])
    }

    fn info_of_word(word: u64) -> Result<&'static InstructionInfo, DecodeError> {
        let opcode = (word & 0xff) as u8;
        Self::info_of_opcode(opcode).ok_or(DecodeError::UnknownOpcode { word, opcode })
    }

    /// Whether the instruction ends the action: nothing falls through it.
    pub fn ends_action(self) -> bool {
        matches!(self, Self::Exit { .. } | Self::TailCall { .. })
    }

    /// How many instructions after the next one a jump may skip; `None` when it does not jump.
    pub fn jump_target(self) -> Option<u16> {
        self.operands().into_iter().find_map(|operand| match operand.value {
            Operand::Jump(jump) => Some(jump.number()),
            _ => None,
        })
    }
}

/// The instruction in assembly, with numbers for names: `add r3, r1, r2`.
impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().mnemonic)?;
        for (index, operand) in self.operands().iter().enumerate() {
            f.write_str(if index == 0 { " " } else { ", " })?;
            write!(f, "{}", operand.value)?;
        }
        Ok(())
    }
}
