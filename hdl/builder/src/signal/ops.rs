//! Operators on signals, and on registers, wires and ports of them.

use super::{Bool, SInt, Source, UInt, raw};
use crate::domain::Domain;
use crate::ir::{BinaryOp, UnaryOp};
use crate::ports::{Input, Output};
use crate::state::{Reg, Wire};
use std::ops::{Add, BitAnd, BitOr, BitXor, Mul, Neg, Not, Shl, Shr, Sub};
use std::panic::Location;

macro_rules! binary_operator {
    ($trait:ident, $method:ident, $left:ty, $right:ident, $out:ident, |$a:ident, $b:ident, $place:ident| $body:expr) => {
        impl<D: Domain, R: Source<$right<D>>> $trait<R> for $left {
            type Output = $out<D>;
            #[track_caller]
            fn $method(self, rhs: R) -> $out<D> {
                let $place = Location::caller();
                let left: $right<D> = Source::source(self, None);
                let right = rhs.source(binary_operator!(@like $trait, &left));
                let ($a, $b) = (left.raw, right.raw);
                $out::from_raw($body)
            }
        }
    };
    (@like Add, $left:expr) => { None };
    (@like Sub, $left:expr) => { None };
    (@like Mul, $left:expr) => { None };
    (@like $other:ident, $left:expr) => { Some($left) };
}

macro_rules! operators_of {
    ($($left:ident),*) => {
        $(
            operators_of!(@number $left<UInt<D>>, UInt, false);
            operators_of!(@number $left<SInt<D>>, SInt, true);
            operators_of!(@boolean $left<Bool<D>>);
        )*
        operators_of!(@number UInt<D>, UInt, false);
        operators_of!(@number SInt<D>, SInt, true);
        operators_of!(@boolean Bool<D>);
    };
    (@number $left:ty, $kind:ident, $signed:expr) => {
        binary_operator!(Add, add, $left, $kind, $kind, |a, b, place| {
            raw::binary(BinaryOp::Add, a, b, a.width.max(b.width).saturating_add(1), $signed, place)
        });
        binary_operator!(Sub, sub, $left, $kind, SInt, |a, b, place| {
            raw::binary(BinaryOp::Sub, a, b, a.width.max(b.width).saturating_add(1), true, place)
        });
        binary_operator!(Mul, mul, $left, $kind, $kind, |a, b, place| {
            raw::binary(BinaryOp::Mul, a, b, a.width.saturating_add(b.width), $signed, place)
        });
        binary_operator!(BitAnd, bitand, $left, $kind, $kind, |a, b, place| {
            raw::bitwise(BinaryOp::And, a, b, $signed, place)
        });
        binary_operator!(BitOr, bitor, $left, $kind, $kind, |a, b, place| {
            raw::bitwise(BinaryOp::Or, a, b, $signed, place)
        });
        binary_operator!(BitXor, bitxor, $left, $kind, $kind, |a, b, place| {
            raw::bitwise(BinaryOp::Xor, a, b, $signed, place)
        });
        impl<D: Domain> Not for $left {
            type Output = $kind<D>;
            #[track_caller]
            fn not(self) -> $kind<D> {
                let a: $kind<D> = Source::source(self, None);
                $kind::from_raw(raw::unary(UnaryOp::Not, a.raw, a.width(), $signed, Location::caller()))
            }
        }
        impl<D: Domain> Shl<u32> for $left {
            type Output = $kind<D>;
            /// Zeros below: the result is wider by the amount.
            #[track_caller]
            fn shl(self, amount: u32) -> $kind<D> {
                let (a, place): ($kind<D>, _) = (Source::source(self, None), Location::caller());
                if amount == 0 {
                    return a;
                }
                let zeros = crate::session::constant(crate::bits::Bits::zero(amount), false, place);
                let wide = raw::concat(&[a.raw, zeros], place);
                $kind::from_raw(if $signed { raw::cast(wide, true, place) } else { wide })
            }
        }
        impl<D: Domain> Shr<u32> for $left {
            type Output = $kind<D>;
            /// Drops low bits: the result is narrower by the amount, which must be less than the width.
            #[track_caller]
            fn shr(self, amount: u32) -> $kind<D> {
                let (a, place): ($kind<D>, _) = (Source::source(self, None), Location::caller());
                let count = a.width().saturating_sub(amount);
                $kind::from_raw(raw::slice(a.raw, amount, count, $signed, place))
            }
        }
    };
    (@boolean $left:ty) => {
        binary_operator!(BitAnd, bitand, $left, Bool, Bool, |a, b, place| {
            raw::condition(BinaryOp::And, a, b, place)
        });
        binary_operator!(BitOr, bitor, $left, Bool, Bool, |a, b, place| {
            raw::condition(BinaryOp::Or, a, b, place)
        });
        binary_operator!(BitXor, bitxor, $left, Bool, Bool, |a, b, place| {
            raw::boolean(raw::bitwise(BinaryOp::Xor, a, b, false, place))
        });
        impl<D: Domain> Not for $left {
            type Output = Bool<D>;
            #[track_caller]
            fn not(self) -> Bool<D> {
                let a: Bool<D> = Source::source(self, None);
                Bool::from_raw(raw::boolean(raw::unary(UnaryOp::Not, a.raw, 1, false, Location::caller())))
            }
        }
    };
}

operators_of!(Reg, Wire, Input, Output);

impl<D: Domain> Neg for SInt<D> {
    type Output = SInt<D>;
    /// Exact: one bit wider than the operand.
    #[track_caller]
    fn neg(self) -> SInt<D> {
        SInt::from_raw(raw::unary(
            UnaryOp::Neg,
            self.raw,
            self.width().saturating_add(1),
            true,
            Location::caller(),
        ))
    }
}
