//! One value of a trace: decimal, negative, or hexadecimal with `0x`.

use rmt_isa::operand::IntType;

/// Why a text is no value of a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Nothing is there.
    #[error("is empty; give a number, 0 for none")]
    Empty,
    /// It is no integer.
    #[error("is no integer; give a decimal one such as -12, or a hexadecimal one such as 0x1f")]
    NotANumber,
    /// It is outside the type.
    #[error("does not fit {kind}: give {low} to {high}, or declare a wider field")]
    OutOfRange {
        /// The field's type.
        kind: IntType,
        /// Its smallest value.
        low: i128,
        /// Its largest value.
        high: i128,
    },
}

/// The value of a text, extended to 64 bits.
pub fn parse(text: &str, kind: IntType) -> Result<u64, NumberError> {
    if text.is_empty() {
        return Err(NumberError::Empty);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(digits) => (16, digits),
        None => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(NumberError::NotANumber);
    }
    let (low, high) = if kind.signed() {
        let half = 1_i128 << (kind.bits() - 1);
        (-half, half - 1)
    } else {
        (0, (1_i128 << kind.bits()) - 1)
    };
    // Digits that do not fit 128 bits do not fit any type either.
    let magnitude = i128::from_str_radix(digits, radix).unwrap_or(i128::MAX);
    let value = if negative { -magnitude } else { magnitude };
    if (low..=high).contains(&value) {
        Ok(value as u64)
    } else {
        Err(NumberError::OutOfRange { kind, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_negative_and_hexadecimal_numbers_are_read() {
        assert_eq!(parse("255", IntType::U8), Ok(255));
        assert_eq!(parse("-128", IntType::I8), Ok(-128_i64 as u64));
        assert_eq!(parse("0x4208160", IntType::U32), Ok(0x420_8160));
        assert_eq!(parse("-0x10", IntType::I64), Ok(-16_i64 as u64));
        assert_eq!(parse("18446744073709551615", IntType::U64), Ok(u64::MAX));
        assert_eq!(parse("-9223372036854775808", IntType::I64), Ok(1 << 63));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["1.5", "+1", "--1", "0x", "-", "1e3", "12 3", "0b1", "ff"] {
            assert_eq!(parse(text, IntType::I64), Err(NumberError::NotANumber), "{text}");
        }
        assert_eq!(parse("", IntType::U8), Err(NumberError::Empty));
        for (text, kind) in [
            ("256", IntType::U8),
            ("-1", IntType::U64),
            ("0xff", IntType::I8),
            ("18446744073709551616", IntType::U64),
            ("99999999999999999999999999999999999999999999", IntType::I64),
        ] {
            assert!(matches!(parse(text, kind), Err(NumberError::OutOfRange { .. })), "{text}");
        }
    }
}
