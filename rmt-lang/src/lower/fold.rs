//! Arithmetic on constants, exactly as the machine does it.

use rmt_isa::operand::IntType;

use super::value::{from_bits, wrap};
use crate::syntax::BinaryOperator;

/// Result of `a operator b` on constants of `kind`; comparisons give 0 or 1.
///
/// Follows the equations of the table of instructions: division by zero gives 0, its
/// remainder is the dividend, and shift distances count modulo 64.
pub(crate) fn typed(operator: BinaryOperator, kind: IntType, a: i128, b: i128) -> i128 {
    let result = match operator {
        BinaryOperator::Add => a + b,
        BinaryOperator::Subtract => a - b,
        BinaryOperator::Multiply => a.wrapping_mul(b),
        BinaryOperator::Divide => a.checked_div(b).unwrap_or(0),
        BinaryOperator::Remainder => a.checked_rem(b).unwrap_or(a),
        BinaryOperator::BitAnd => a & b,
        BinaryOperator::BitOr => a | b,
        BinaryOperator::BitXor => a ^ b,
        BinaryOperator::ShiftLeft => from_bits((a as u64).wrapping_shl(b as u32), kind),
        BinaryOperator::ShiftRight => a >> (b as u64 % 64),
        other => return compare(other, a, b),
    };
    wrap(result, kind)
}

/// Result on numbers without a width; `None` when it leaves 128 bits or has no meaning.
pub(crate) fn untyped(operator: BinaryOperator, a: i128, b: i128) -> Option<i128> {
    let distance = || u32::try_from(b).ok().filter(|&distance| distance < 64);
    match operator {
        BinaryOperator::Add => a.checked_add(b),
        BinaryOperator::Subtract => a.checked_sub(b),
        BinaryOperator::Multiply => a.checked_mul(b),
        BinaryOperator::Divide => a.checked_div(b),
        BinaryOperator::Remainder => a.checked_rem(b),
        BinaryOperator::BitAnd => Some(a & b),
        BinaryOperator::BitOr => Some(a | b),
        BinaryOperator::BitXor => Some(a ^ b),
        BinaryOperator::ShiftLeft => a.checked_mul(1_i128 << distance()?),
        BinaryOperator::ShiftRight => Some(a >> distance()?),
        other => Some(compare(other, a, b)),
    }
}

fn compare(operator: BinaryOperator, a: i128, b: i128) -> i128 {
    i128::from(match operator {
        BinaryOperator::Equal => a == b,
        BinaryOperator::NotEqual => a != b,
        BinaryOperator::Less => a < b,
        BinaryOperator::LessEqual => a <= b,
        BinaryOperator::Greater => a > b,
        BinaryOperator::GreaterEqual => a >= b,
        BinaryOperator::And => a != 0 && b != 0,
        _ => a != 0 || b != 0,
    })
}
