//! Signed signals.

use super::uint::number_methods;
use super::{Bool, Source, UInt, raw};
use crate::bits::Bits;
use crate::domain::{Domain, Main};
use crate::ir::{BinaryOp, UnaryOp};
use crate::session::{self, Raw};
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::Location;

/// A two's complement signal of a width chosen at run time, in clock domain `D`.
///
/// | expression | result |
/// | --- | --- |
/// | `a + b`, `a - b` | one bit more than the wider operand |
/// | `a * b` | as wide as both together |
/// | `-a` | one bit more |
/// | `a & b`, `a \| b`, `a ^ b` | equal widths required |
/// | `!a` | the same width |
/// | `a << 3`, `a >> 3` | 3 bits more, 3 bits fewer (rounded towards minus infinity) |
#[derive(Clone, Copy, Debug)]
pub struct SInt<D: Domain = Main> {
    pub(crate) raw: Raw,
    domain: PhantomData<D>,
}

impl<D: Domain> SInt<D> {
    pub(crate) fn from_raw(raw: Raw) -> Self {
        Self { raw, domain: PhantomData }
    }

    /// A shape: a width without a value, for ports, registers, wires and memories.
    pub fn of(width: u32) -> Self {
        Self::from_raw(Raw::shape(width))
    }

    /// The constant `value` in `width` bits; it must fit.
    #[track_caller]
    pub fn lit(value: i64, width: u32) -> Self {
        Self::from_raw(raw::literal(i128::from(value), Some(width), true, Location::caller()))
    }

    /// A constant of any width.
    #[track_caller]
    pub fn from_bits(value: &Bits) -> Self {
        Self::from_raw(session::constant(value.clone(), true, Location::caller()))
    }

    /// The low `width` bits, the highest of which becomes the sign; `width` may not exceed the signal's.
    #[track_caller]
    #[must_use]
    pub fn trunc(self, width: u32) -> Self {
        Self::from_raw(raw::slice(self.raw, 0, width, true, Location::caller()))
    }

    /// The value clamped to what `width` bits hold.
    #[track_caller]
    #[must_use]
    pub fn sat(self, width: u32) -> Self {
        let place = Location::caller();
        if width >= self.width() || width == 0 {
            return self.sext(width);
        }
        // The value fits if all bits from the new sign bit up are alike.
        let high = raw::slice(self.raw, width - 1, self.width() - width + 1, false, place);
        let ones = raw::boolean(raw::unary(UnaryOp::ReduceAnd, high, 1, false, place));
        let some = raw::boolean(raw::unary(UnaryOp::ReduceOr, high, 1, false, place));
        let fits = Bool::<D>::from_raw(ones) | !Bool::<D>::from_raw(some);
        let highest = session::constant(Bits::ones(width - 1).zext(width), true, place);
        let lowest = session::constant(Bits::new(1, 1).concat(&Bits::zero(width - 1)), true, place);
        let limit = raw::mux(self.is_negative().raw, lowest, highest, true, place);
        let low = raw::slice(self.raw, 0, width, true, place);
        Self::from_raw(raw::mux(fits.raw, low, limit, true, place))
    }

    /// Extended with the sign to `width` bits, which may not be fewer than the signal's.
    #[track_caller]
    #[must_use]
    pub fn sext(self, width: u32) -> Self {
        Self::from_raw(raw::extend(self.raw, width, true, Location::caller()))
    }

    /// Extended with the sign, or cut, to `width` bits.
    #[track_caller]
    #[must_use]
    pub fn resize(self, width: u32) -> Self {
        if width < self.width() { self.trunc(width) } else { self.sext(width) }
    }

    /// The same bits read as an unsigned number.
    #[track_caller]
    pub fn as_uint(self) -> UInt<D> {
        UInt::from_raw(raw::cast(self.raw, false, Location::caller()))
    }

    /// True if the value is below zero: the sign bit.
    #[track_caller]
    pub fn is_negative(self) -> Bool<D> {
        self.bit(self.width().saturating_sub(1))
    }

    /// The magnitude, exact for every value, at the same width.
    #[track_caller]
    pub fn abs(self) -> UInt<D> {
        let place = Location::caller();
        let zero = session::constant(Bits::zero(self.width()), true, place);
        let negated = raw::binary(BinaryOp::Sub, zero, self.raw, self.width(), false, place);
        UInt::from_raw(raw::mux(self.is_negative().raw, negated, self.as_uint().raw, false, place))
    }

    /// The difference modulo 2^width of the wider operand.
    #[track_caller]
    #[must_use]
    pub fn wrapping_sub(self, rhs: impl Source<SInt<D>>) -> Self {
        let rhs = rhs.source(None);
        let width = self.width().max(rhs.width());
        Self::from_raw(raw::binary(
            BinaryOp::Sub,
            self.raw,
            rhs.raw,
            width,
            true,
            Location::caller(),
        ))
    }
}

number_methods!(SInt, true);
