//! Operands: what an instruction names, where the bits of each operand stand in the
//! instruction word, and how an operand is written in assembly.
//!
//! Every operand type is a small checked value: it cannot hold a number that its bits
//! in the word could not carry, so encoding never fails.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::limits::{
    MAX_CONTEXTS, MAX_OUTPUTS, MAX_PARAMETERS, SCALAR_REGISTERS, VECTOR_LANES, VECTOR_REGISTERS,
};

/// Where an operand stands in the 64-bit instruction word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Name used in the reference page and for the constants of the RTL decoder.
    pub name: &'static str,
    /// Lowest bit.
    pub low: u32,
    /// Number of bits.
    pub bits: u32,
}

impl Slot {
    /// The bits of this slot, shifted down to bit 0.
    pub const fn extract(self, word: u64) -> u64 {
        (word >> self.low) & self.mask()
    }

    /// `value` (cut to the slot's bits) at this slot's place.
    pub const fn insert(self, value: u64) -> u64 {
        (value & self.mask()) << self.low
    }

    const fn mask(self) -> u64 {
        (1 << self.bits) - 1
    }
}

macro_rules! slots {
    ($($(#[doc = $doc:literal])* $name:ident = $low:literal, $bits:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: Slot =
            Slot { name: stringify!($name), low: $low, bits: $bits };)*
        /// All slots, for the reference page and the RTL constants.
        pub const SLOTS: &[Slot] = &[$($name),*];
    };
}

slots! {
    /// Operation code.
    OPCODE = 0, 8;
    /// Destination register.
    D = 8, 4;
    /// First source register.
    A = 12, 4;
    /// Second source register.
    B = 16, 4;
    /// Jump distance, field, index or object number.
    OFF = 20, 12;
    /// Number of lanes (in place of `OFF`).
    LANES = 20, 9;
    /// Geometry of a convolution or pooling window (in place of `OFF`).
    WINDOW = 20, 10;
    /// Element type of the lanes (in place of the top of `OFF`).
    ELEMENT = 30, 2;
    /// 32-bit constant.
    IMM = 32, 32;
    /// Low half of `IMM`.
    IMM_LO = 32, 16;
    /// High half of `IMM`.
    IMM_HI = 48, 16;
}

/// What an instruction does with an operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The register is read.
    Read,
    /// The register is written, its old value is not used.
    Write,
    /// The register is read and written, or written in part.
    Modify,
    /// A constant in the instruction word.
    Constant,
}

/// A value that fits its slot and can be written in assembly.
pub trait OperandValue: Copy + Sized {
    /// The kind, for tables and messages.
    const KIND: OperandKind;
    /// The bits that go into the slot.
    fn to_bits(self) -> u64;
    /// The value for the bits of a slot; `None` when no value has these bits.
    fn from_bits(bits: u64) -> Option<Self>;
    /// The value as written in assembly; `None` when the text is not of this kind.
    fn parse(text: &str) -> Option<Self>;
    /// The value as one of the enumerated operands.
    fn operand(self) -> Operand;
}

/// Reads a number with an optional prefix: `12`, `-3`, `0x1f`.
fn parse_number(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let magnitude = match digits.strip_prefix("0x") {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16).ok()?,
        None if digits.starts_with(|c: char| c.is_ascii_digit()) => digits.parse().ok()?,
        None => return None,
    };
    Some(if negative { -magnitude } else { magnitude })
}

macro_rules! numbered_operands {
    ($($(#[doc = $doc:literal])* $name:ident, $prefix:literal, 0..=$max:expr;)*) => {
        $(
            $(#[doc = $doc])*
            #[derive(
                Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            )]
            #[serde(try_from = "u16", into = "u16")]
            pub struct $name(u16);

            impl $name {
                /// Largest number that the operand can carry.
                pub const MAX: u16 = $max as u16;

                /// The operand with this number; `None` above [`Self::MAX`].
                pub const fn new(number: u16) -> Option<Self> {
                    if number <= Self::MAX { Some(Self(number)) } else { None }
                }

                /// The number.
                pub const fn number(self) -> u16 {
                    self.0
                }

                /// The number as an index.
                pub const fn index(self) -> usize {
                    self.0 as usize
                }
            }

            impl TryFrom<u16> for $name {
                type Error = String;
                fn try_from(number: u16) -> Result<Self, String> {
                    Self::new(number).ok_or_else(|| {
                        format!("{} {number} is above {}", stringify!($name), Self::MAX)
                    })
                }
            }

            impl From<$name> for u16 {
                fn from(value: $name) -> u16 {
                    value.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    write!(f, concat!($prefix, "{}"), self.0)
                }
            }

            impl OperandValue for $name {
                const KIND: OperandKind = OperandKind::$name;
                fn to_bits(self) -> u64 {
                    self.0.into()
                }
                fn from_bits(bits: u64) -> Option<Self> {
                    Self::new(u16::try_from(bits).ok()?)
                }
                fn parse(text: &str) -> Option<Self> {
                    let number = parse_number(text.strip_prefix($prefix)?)?;
                    Self::new(u16::try_from(number).ok()?)
                }
                fn operand(self) -> Operand {
                    Operand::$name(self)
                }
            }
        )*
    };
}

numbered_operands! {
    /// A scalar register, `r0` to `r15`, 64 bits.
    Scalar, "r", 0..=SCALAR_REGISTERS - 1;
    /// A vector register, `v0` to `v7`.
    Vector, "v", 0..=VECTOR_REGISTERS - 1;
    /// A forward jump: how many instructions after the next one are skipped.
    Jump, "+", 0..=4095;
    /// A byte of the 64-byte event.
    EventOffset, "event+", 0..=63;
    /// A parameter of the matched entry's action data.
    ParameterIndex, "param", 0..=MAX_PARAMETERS - 1;
    /// An output word of the decision.
    OutputIndex, "out", 0..=MAX_OUTPUTS - 1;
    /// A context store of the program.
    ContextId, "ctxt", 0..=MAX_CONTEXTS - 1;
    /// A map of the program.
    MapId, "map", 0..=4095;
    /// A table of the program.
    TableId, "table", 0..=4095;
    /// A tensor of one of the program's models.
    TensorId, "tensor", 0..=0xfffe;
    /// The scales of a requantisation.
    ScaleId, "scale", 0..=0xffff;
    /// A decision tree or forest.
    ForestId, "forest", 0..=0xffff;
    /// The geometry of a convolution or pooling.
    WindowId, "window", 0..=1023;
    /// A lane of a vector register.
    Lane, "lane", 0..=VECTOR_LANES - 1;
}

/// The number of lanes of a vector, 1 to 256. Written `x15`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lanes(u16);

impl Lanes {
    /// That many lanes; `None` for 0 and above 256.
    pub const fn new(lanes: u16) -> Option<Self> {
        if lanes >= 1 && lanes <= VECTOR_LANES as u16 { Some(Self(lanes)) } else { None }
    }

    /// How many lanes.
    pub const fn count(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x{}", self.0)
    }
}

impl OperandValue for Lanes {
    const KIND: OperandKind = OperandKind::Lanes;
    fn to_bits(self) -> u64 {
        self.0.into()
    }
    fn from_bits(bits: u64) -> Option<Self> {
        Self::new(u16::try_from(bits).ok()?)
    }
    fn parse(text: &str) -> Option<Self> {
        Self::new(u16::try_from(parse_number(text.strip_prefix('x')?)?).ok()?)
    }
    fn operand(self) -> Operand {
        Operand::Lanes(self)
    }
}

/// A 32-bit constant, sign-extended to 64 bits where it meets a scalar.
impl OperandValue for i32 {
    const KIND: OperandKind = OperandKind::Immediate;
    fn to_bits(self) -> u64 {
        u64::from(self as u32)
    }
    fn from_bits(bits: u64) -> Option<Self> {
        Some(u32::try_from(bits).ok()? as i32)
    }
    fn parse(text: &str) -> Option<Self> {
        i32::try_from(parse_number(text)?).ok()
    }
    fn operand(self) -> Operand {
        Operand::Immediate(self)
    }
}

/// A field of a context record: `ctxt1.3` is field 3 of context store 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldRef {
    /// The context store.
    pub context: ContextId,
    /// The field, in order of declaration.
    pub field: u8,
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.context, self.field)
    }
}

impl OperandValue for FieldRef {
    const KIND: OperandKind = OperandKind::FieldRef;
    fn to_bits(self) -> u64 {
        self.context.to_bits() << 8 | u64::from(self.field)
    }
    fn from_bits(bits: u64) -> Option<Self> {
        Some(Self { context: ContextId::from_bits(bits >> 8)?, field: (bits & 0xff) as u8 })
    }
    fn parse(text: &str) -> Option<Self> {
        let (context, field) = text.split_once('.')?;
        Some(Self { context: ContextId::parse(context)?, field: field.parse().ok()? })
    }
    fn operand(self) -> Operand {
        Operand::FieldRef(self)
    }
}

/// The bias of a layer: a tensor or none. Written `tensor4` or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bias(pub Option<TensorId>);

impl fmt::Display for Bias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(tensor) => tensor.fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl OperandValue for Bias {
    const KIND: OperandKind = OperandKind::Bias;
    fn to_bits(self) -> u64 {
        self.0.map_or(0xffff, TensorId::to_bits)
    }
    fn from_bits(bits: u64) -> Option<Self> {
        match bits {
            0xffff => Some(Self(None)),
            _ => Some(Self(Some(TensorId::from_bits(bits)?))),
        }
    }
    fn parse(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Self(None)),
            _ => Some(Self(Some(TensorId::parse(text)?))),
        }
    }
    fn operand(self) -> Operand {
        Operand::Bias(self)
    }
}

macro_rules! named_operands {
    ($($(#[doc = $doc:literal])* $name:ident {
        $($(#[doc = $variant_doc:literal])* $variant:ident = $bits:literal, $text:literal;)*
    })*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
            pub enum $name {
                $($(#[doc = $variant_doc])* $variant = $bits,)*
            }

            impl $name {
                /// All values in order of their bits.
                pub const ALL: &[Self] = &[$(Self::$variant),*];

                /// The word used in assembly and in the .rmt language.
                pub const fn text(self) -> &'static str {
                    match self {
                        $(Self::$variant => $text,)*
                    }
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.pad(self.text())
                }
            }

            impl OperandValue for $name {
                const KIND: OperandKind = OperandKind::$name;
                fn to_bits(self) -> u64 {
                    self as u64
                }
                fn from_bits(bits: u64) -> Option<Self> {
                    match bits {
                        $($bits => Some(Self::$variant),)*
                        _ => None,
                    }
                }
                fn parse(text: &str) -> Option<Self> {
                    match text {
                        $($text => Some(Self::$variant),)*
                        _ => None,
                    }
                }
                fn operand(self) -> Operand {
                    Operand::$name(self)
                }
            }
        )*
    };
}

named_operands! {
    /// Element type of the lanes of a vector or of a tensor.
    Element {
        /// 8-bit signed.
        I8 = 0, "i8";
        /// 16-bit signed.
        I16 = 1, "i16";
        /// 32-bit signed; the type of accumulators.
        I32 = 2, "i32";
    }
    /// An integer of the event, a context field or a map: width and sign.
    IntType {
        /// 8-bit unsigned.
        U8 = 0, "u8";
        /// 16-bit unsigned.
        U16 = 1, "u16";
        /// 32-bit unsigned.
        U32 = 2, "u32";
        /// 64-bit unsigned.
        U64 = 3, "u64";
        /// 8-bit signed.
        I8 = 4, "i8";
        /// 16-bit signed.
        I16 = 5, "i16";
        /// 32-bit signed.
        I32 = 6, "i32";
        /// 64-bit signed.
        I64 = 7, "i64";
    }
    /// How an action that ran to its end leaves the decision.
    Verdict {
        /// The outputs are the decision.
        Decided = 0, "decided";
        /// The program leaves the decision to the kernel's own heuristic.
        Abstain = 1, "abstain";
    }
}

impl Element {
    /// Bytes of one element in a tensor or in the event.
    pub const fn bytes(self) -> usize {
        1 << self as usize
    }

    /// Smallest value.
    pub const fn min(self) -> i32 {
        match self {
            Self::I8 => i8::MIN as i32,
            Self::I16 => i16::MIN as i32,
            Self::I32 => i32::MIN,
        }
    }

    /// Largest value.
    pub const fn max(self) -> i32 {
        match self {
            Self::I8 => i8::MAX as i32,
            Self::I16 => i16::MAX as i32,
            Self::I32 => i32::MAX,
        }
    }

    /// The nearest value of this type.
    pub fn saturate(self, value: i64) -> i32 {
        value.clamp(self.min().into(), self.max().into()) as i32
    }
}

impl IntType {
    /// Width in bits: 8, 16, 32 or 64.
    pub const fn bits(self) -> u32 {
        8 << (self as u32 & 3)
    }

    /// Width in bytes.
    pub const fn bytes(self) -> usize {
        self.bits() as usize / 8
    }

    /// Whether the integer has a sign.
    pub const fn signed(self) -> bool {
        self as u32 >= 4
    }

    /// The value that is left when `value` is stored in this type and read back into a
    /// 64-bit register: cut to the width, then sign- or zero-extended.
    pub const fn wrap(self, value: u64) -> u64 {
        let unused = 64 - self.bits();
        if self.signed() {
            ((value << unused) as i64 >> unused) as u64
        } else {
            (value << unused) >> unused
        }
    }
}

macro_rules! operand_enum {
    ($($kind:ident($value:ty), $doc:literal;)*) => {
        /// The kinds of operand.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum OperandKind {
            $(#[doc = $doc] $kind,)*
        }

        impl OperandKind {
            /// What the operand is and how it is written, for the reference page and messages.
            pub const fn description(self) -> &'static str {
                match self {
                    $(Self::$kind => $doc,)*
                }
            }
        }

        /// One operand of an instruction, of any kind.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Operand {
            $(#[doc = $doc] $kind($value),)*
        }

        impl fmt::Display for Operand {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$kind(value) => value.fmt(f),)*
                }
            }
        }
    };
}

operand_enum! {
    Scalar(Scalar), "scalar register, `r0` to `r15`";
    Vector(Vector), "vector register, `v0` to `v7`";
    Immediate(i32), "constant of 32 bits, sign-extended";
    Jump(Jump), "forward jump, `+n` or a label";
    EventOffset(EventOffset), "byte of the event, `event+n`";
    ParameterIndex(ParameterIndex), "action parameter, `param0` to `param3`";
    OutputIndex(OutputIndex), "output word, `out0` to `out2`";
    ContextId(ContextId), "context store, `ctxt0` to `ctxt3`";
    FieldRef(FieldRef), "context field, `ctxt0.2`";
    MapId(MapId), "map, `map0`";
    TableId(TableId), "table, `table0`";
    TensorId(TensorId), "tensor, `tensor0`";
    Bias(Bias), "bias tensor, `tensor0` or `none`";
    ScaleId(ScaleId), "requantisation scales, `scale0`";
    ForestId(ForestId), "tree or forest, `forest0`";
    WindowId(WindowId), "window geometry, `window0`";
    Lane(Lane), "lane, `lane0` to `lane255`";
    Lanes(Lanes), "number of lanes, `x1` to `x256`";
    Element(Element), "element type, `i8` `i16` `i32`";
    IntType(IntType), "integer type, `u8` to `u64`, `i8` to `i64`";
    Verdict(Verdict), "verdict, `decided` or `abstain`";
    Helper(crate::Helper), "helper function by name";
}
