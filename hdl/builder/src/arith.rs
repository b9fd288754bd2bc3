//! Arithmetic on constants of any width: folds constant operations, and is the evaluator's path beyond 64 bits.

use crate::bits::{Bits, words_for};
use crate::ir::{BinaryOp, Kind, Node, NodeId, UnaryOp};
use std::cmp::Ordering;

/// `a` with its sign, extended or cut to `width`.
pub(crate) fn resize(a: &Bits, signed: bool, width: u32) -> Bits {
    if signed { a.sext(width) } else { a.zext(width) }
}

fn add_with_carry(a: &Bits, b: &Bits, invert_b: bool, width: u32) -> Bits {
    let mut carry = u64::from(invert_b);
    let mut out = vec![0; words_for(width)];
    for (i, slot) in out.iter_mut().enumerate() {
        let y = if invert_b { !b.words()[i] } else { b.words()[i] };
        let (sum, carry_1) = a.words()[i].overflowing_add(y);
        let (sum, carry_2) = sum.overflowing_add(carry);
        *slot = sum;
        carry = u64::from(carry_1 || carry_2);
    }
    Bits::from_words(width, &out)
}

/// `a + b`, both already `width` bits wide, wrapping.
pub(crate) fn add(a: &Bits, b: &Bits, width: u32) -> Bits {
    add_with_carry(a, b, false, width)
}

/// `a - b`, both already `width` bits wide, wrapping.
pub(crate) fn sub(a: &Bits, b: &Bits, width: u32) -> Bits {
    add_with_carry(a, b, true, width)
}

/// `a * b`, both already `width` bits wide, wrapping.
pub(crate) fn mul(a: &Bits, b: &Bits, width: u32) -> Bits {
    let count = words_for(width);
    let mut out = vec![0u64; count];
    for (i, &x) in a.words().iter().enumerate() {
        let mut carry = 0u128;
        for (j, &y) in b.words().iter().enumerate().take(count.saturating_sub(i)) {
            let sum = u128::from(x) * u128::from(y) + u128::from(out[i + j]) + carry;
            out[i + j] = sum as u64;
            carry = sum >> 64;
        }
    }
    Bits::from_words(width, &out)
}

fn bitwise(a: &Bits, b: &Bits, f: impl Fn(u64, u64) -> u64) -> Bits {
    let words: Vec<u64> = a.words().iter().zip(b.words()).map(|(&x, &y)| f(x, y)).collect();
    Bits::from_words(a.width(), &words)
}

/// Orders two values of one width.
pub(crate) fn compare(a: &Bits, b: &Bits, signed: bool) -> Ordering {
    let top = a.width().saturating_sub(1);
    match (signed && a.bit(top), signed && b.bit(top)) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        _ => a.words().iter().rev().cmp(b.words().iter().rev()),
    }
}

/// `a << n`, bits that leave the width are lost.
pub(crate) fn shift_left(a: &Bits, n: u64) -> Bits {
    if n >= u64::from(a.width()) {
        return Bits::zero(a.width());
    }
    a.concat(&Bits::zero(n as u32)).zext(a.width())
}

/// `a >> n`, filled with zeros, or with the sign.
pub(crate) fn shift_right(a: &Bits, n: u64, signed: bool) -> Bits {
    let fill = signed && a.bit(a.width().saturating_sub(1));
    if n >= u64::from(a.width()) {
        return if fill { Bits::ones(a.width()) } else { Bits::zero(a.width()) };
    }
    let low = a.slice(n as u32, a.width() - n as u32);
    if fill { low.sext(a.width()) } else { low.zext(a.width()) }
}

/// A shift amount as a number; amounts beyond 64 bits are as good as infinite.
pub(crate) fn amount(b: &Bits) -> u64 {
    if b.words()[1..].iter().all(|&word| word == 0) { b.to_u64() } else { u64::MAX }
}

/// A unary operation on a value; `signed` is the operand's sign.
pub(crate) fn unary(op: UnaryOp, a: &Bits, signed: bool, width: u32) -> Bits {
    match op {
        UnaryOp::Not => bitwise(a, a, |x, _| !x),
        UnaryOp::Neg => sub(&Bits::zero(width), &resize(a, signed, width), width),
        UnaryOp::ReduceAnd => Bits::new(1, u64::from(a.is_ones())),
        UnaryOp::ReduceOr => Bits::new(1, u64::from(!a.is_zero())),
        UnaryOp::ReduceXor => {
            Bits::new(1, a.words().iter().map(|w| u64::from(w.count_ones())).sum())
        }
        UnaryOp::Extend => resize(a, signed, width),
        UnaryOp::Cast | UnaryOp::Cross => a.clone(),
    }
}

/// A binary operation; the signs are the operands'.
pub(crate) fn binary(
    op: BinaryOp,
    (a, signed_a): (&Bits, bool),
    (b, signed_b): (&Bits, bool),
    width: u32,
) -> Bits {
    let flag = |value: bool| Bits::new(1, u64::from(value));
    let wide = |f: fn(&Bits, &Bits, u32) -> Bits| {
        f(&resize(a, signed_a, width), &resize(b, signed_b, width), width)
    };
    match op {
        BinaryOp::Add => wide(add),
        BinaryOp::Sub => wide(sub),
        BinaryOp::Mul => wide(mul),
        BinaryOp::And => bitwise(a, b, |x, y| x & y),
        BinaryOp::Or => bitwise(a, b, |x, y| x | y),
        BinaryOp::Xor => bitwise(a, b, |x, y| x ^ y),
        BinaryOp::Eq => flag(a == b),
        BinaryOp::Ne => flag(a != b),
        BinaryOp::Lt => flag(compare(a, b, signed_a) == Ordering::Less),
        BinaryOp::Le => flag(compare(a, b, signed_a) != Ordering::Greater),
        BinaryOp::Shl => shift_left(a, amount(b)),
        BinaryOp::Shr => shift_right(a, amount(b), signed_a),
    }
}

/// The value of an operation whose operands are all constant.
pub(crate) fn fold_constant(kind: &Kind, width: u32, nodes: &[Node]) -> Option<Bits> {
    let value = |id: NodeId| match &nodes[id as usize].kind {
        Kind::Const(value) => Some((value, nodes[id as usize].signed)),
        _ => None,
    };
    match kind {
        Kind::Unary(op, a) => value(*a).map(|(a, signed)| unary(*op, a, signed, width)),
        Kind::Binary(op, a, b) => Some(binary(*op, value(*a)?, value(*b)?, width)),
        Kind::Slice { of, low } => value(*of).map(|(of, _)| of.slice(*low, width)),
        Kind::Mux { cond, yes, no } => {
            let chosen = if value(*cond)?.0.is_zero() { no } else { yes };
            value(*chosen).map(|(value, _)| value.clone())
        }
        Kind::Concat(parts) => {
            let mut all = Bits::zero(0);
            for &part in parts {
                all = all.concat(value(part)?.0);
            }
            Some(all)
        }
        _ => None,
    }
}
