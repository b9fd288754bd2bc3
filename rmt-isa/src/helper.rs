//! Helpers: the closed list of functions that `CALL` reaches. All of them are pure.

use std::fmt;

use crate::operand::{Operand, OperandKind, OperandValue};

macro_rules! define_helpers {
    ($($name:ident = $number:literal, $text:literal, $equation:literal;)*) => {
        /// A helper function of two 64-bit arguments and one result.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Helper {
            $(#[doc = $equation] $name = $number,)*
        }

        impl Helper {
            /// All helpers, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Name in assembly and in the .rmt language.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Meaning.
            pub const fn equation(self) -> &'static str {
                match self {
                    $(Self::$name => $equation,)*
                }
            }
        }
    };
}

crate::for_each_helper!(define_helpers);

impl Helper {
    /// Number of arguments that mean something: the second is ignored by some.
    pub const fn arguments(self) -> usize {
        match self {
            Self::SquareRoot | Self::Log2 => 1,
            Self::Crc32c | Self::MulHigh | Self::Random | Self::Ratio => 2,
        }
    }

    /// The result, as every engine must give it.
    pub fn evaluate(self, a: u64, b: u64) -> u64 {
        match self {
            Self::Crc32c => crate::arithmetic::crc32c(b as u32, &a.to_le_bytes()).into(),
            Self::MulHigh => ((u128::from(a) * u128::from(b)) >> 64) as u64,
            Self::SquareRoot => a.isqrt(),
            Self::Log2 => a.checked_ilog2().unwrap_or(0).into(),
            Self::Random => crate::arithmetic::split_mix_64(a.wrapping_add(b)),
            Self::Ratio => (u128::from(a) << 16)
                .checked_div(b.into())
                .and_then(|ratio| u64::try_from(ratio).ok())
                .unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl OperandValue for Helper {
    const KIND: OperandKind = OperandKind::Helper;
    fn to_bits(self) -> u64 {
        self as u64
    }
    fn from_bits(bits: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(bits).ok()?).copied()
    }
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|helper| helper.text() == text)
    }
    fn operand(self) -> Operand {
        Operand::Helper(self)
    }
}
