//! Unsigned signals.

use super::{Bool, SInt, Source, raw};
use crate::bits::Bits;
use crate::domain::{Domain, DomainInfo, Main};
use crate::ir::{BinaryOp, UnaryOp};
use crate::session::{self, Raw};
use std::marker::PhantomData;
use std::ops::Range;
use std::panic::Location;

/// An unsigned signal of a width chosen at run time, in clock domain `D`.
///
/// | expression | result |
/// | --- | --- |
/// | `a + b` | `UInt`, one bit more than the wider operand |
/// | `a - b` | [`SInt`], one bit more than the wider operand: exact, also when negative |
/// | `a * b` | `UInt`, as wide as both together |
/// | `a & b`, `a \| b`, `a ^ b` | equal widths required |
/// | `!a` | the same width |
/// | `a << 3`, `a >> 3` | 3 bits more, 3 bits fewer |
///
/// An integer may stand on the right: in `+ - *` it has as few bits as hold it, elsewhere the width of the other operand.
#[derive(Clone, Copy, Debug)]
pub struct UInt<D: Domain = Main> {
    pub(crate) raw: Raw,
    domain: PhantomData<D>,
}

impl<D: Domain> UInt<D> {
    pub(crate) fn from_raw(raw: Raw) -> Self {
        Self { raw, domain: PhantomData }
    }

    /// A shape: a width without a value, for ports, registers, wires and memories.
    pub fn of(width: u32) -> Self {
        Self::from_raw(Raw::shape(width))
    }

    /// The constant `value` in `width` bits; it must fit.
    #[track_caller]
    pub fn lit(value: u64, width: u32) -> Self {
        Self::from_raw(raw::literal(i128::from(value), Some(width), false, Location::caller()))
    }

    /// A constant of any width.
    #[track_caller]
    pub fn from_bits(value: &Bits) -> Self {
        Self::from_raw(session::constant(value.clone(), false, Location::caller()))
    }

    /// The low `width` bits; `width` may not exceed the signal's.
    #[track_caller]
    #[must_use]
    pub fn trunc(self, width: u32) -> Self {
        Self::from_raw(raw::slice(self.raw, 0, width, false, Location::caller()))
    }

    /// The value clamped to the largest that fits `width` bits.
    #[track_caller]
    #[must_use]
    pub fn sat(self, width: u32) -> Self {
        let place = Location::caller();
        if width >= self.width() {
            return self.zext(width);
        }
        let low = raw::slice(self.raw, 0, width, false, place);
        let high = raw::slice(self.raw, width, self.width() - width, false, place);
        let overflow = raw::boolean(raw::unary(UnaryOp::ReduceOr, high, 1, false, place));
        let limit = session::constant(Bits::ones(width), false, place);
        Self::from_raw(raw::mux(overflow, limit, low, false, place))
    }

    /// Extended with zeros to `width` bits, which may not be fewer than the signal's.
    #[track_caller]
    #[must_use]
    pub fn zext(self, width: u32) -> Self {
        Self::from_raw(raw::extend(self.raw, width, false, Location::caller()))
    }

    /// Extended with zeros, or cut, to `width` bits.
    #[track_caller]
    #[must_use]
    pub fn resize(self, width: u32) -> Self {
        if width < self.width() { self.trunc(width) } else { self.zext(width) }
    }

    /// The same bits read as two's complement.
    #[track_caller]
    pub fn as_sint(self) -> SInt<D> {
        SInt::from_raw(raw::cast(self.raw, true, Location::caller()))
    }

    /// A signal of one bit as a condition; wider signals are an error.
    #[track_caller]
    pub fn as_bool(self) -> Bool<D> {
        let place = Location::caller();
        if self.width() != 1 {
            let kind = crate::error::ErrorKind::WidthMismatch {
                what: "`as_bool`".into(),
                expected: 1,
                found: self.width(),
            };
            session::fail(kind, place);
            return Bool::from_raw(Raw::poison(1));
        }
        Bool::from_raw(raw::boolean(raw::cast(self.raw, false, place)))
    }

    /// `self` above `low` in one signal.
    #[track_caller]
    pub fn concat(self, low: impl Source<UInt<D>>) -> UInt<D> {
        let low = low.source(None);
        UInt::from_raw(raw::concat(&[self.raw, low.raw], Location::caller()))
    }

    /// The signal `count` times in a row.
    #[track_caller]
    pub fn repeat(self, count: usize) -> UInt<D> {
        UInt::from_raw(raw::concat(&vec![self.raw; count], Location::caller()))
    }

    /// Bits in opposite order.
    #[track_caller]
    #[must_use]
    pub fn reverse(self) -> Self {
        let place = Location::caller();
        let bits: Vec<Raw> =
            (0..self.width()).map(|i| raw::slice(self.raw, i, 1, false, place)).collect();
        Self::from_raw(raw::concat(&bits, place))
    }

    /// True if the value is not zero: the OR of all bits.
    #[track_caller]
    pub fn reduce_or(self) -> Bool<D> {
        self.reduce(UnaryOp::ReduceOr, Location::caller())
    }

    /// True if all bits are one: their AND.
    #[track_caller]
    pub fn reduce_and(self) -> Bool<D> {
        self.reduce(UnaryOp::ReduceAnd, Location::caller())
    }

    /// True if the number of ones is odd: the XOR of all bits.
    #[track_caller]
    pub fn reduce_xor(self) -> Bool<D> {
        self.reduce(UnaryOp::ReduceXor, Location::caller())
    }

    fn reduce(self, op: UnaryOp, place: crate::error::Place) -> Bool<D> {
        if self.width() == 1 {
            return Bool::from_raw(raw::boolean(raw::cast(self.raw, false, place)));
        }
        Bool::from_raw(raw::boolean(raw::unary(op, self.raw, 1, false, place)))
    }

    /// The difference modulo 2^width of the wider operand; `a - b` gives the exact one.
    #[track_caller]
    #[must_use]
    pub fn wrapping_sub(self, rhs: impl Source<UInt<D>>) -> Self {
        let rhs = rhs.source(None);
        let width = self.width().max(rhs.width());
        Self::from_raw(raw::binary(
            BinaryOp::Sub,
            self.raw,
            rhs.raw,
            width,
            false,
            Location::caller(),
        ))
    }

    /// The same bits in domain `E`, without any synchroniser.
    ///
    /// Only for building synchronisers; everything else uses [`crate::stock::Sync2`] or [`crate::stock::AsyncFifo`].
    #[track_caller]
    pub fn cross_domain_unchecked<E: Domain>(self) -> UInt<E> {
        let place = Location::caller();
        UInt::from_raw(
            session::with(|s| {
                let id = s.resolve(self.raw, place)?;
                let mut node = s.node(self.raw)?.clone();
                node.kind = crate::ir::Kind::Unary(UnaryOp::Cross, id);
                node.name = None;
                node.doc = String::new();
                node.domain = Some(DomainInfo::of::<E>());
                s.add(node)
            })
            .flatten()
            .unwrap_or(Raw::poison(self.width())),
        )
    }
}

/// Methods that `UInt` and `SInt` share.
macro_rules! number_methods {
    ($name:ident, $signed:expr) => {
        impl<D: Domain> $name<D> {
            /// The width in bits.
            pub fn width(self) -> u32 {
                self.raw.width
            }

            /// Gives the value a name, which it keeps in the Verilog and in waveforms.
            #[track_caller]
            #[must_use]
            pub fn named(self, name: impl AsRef<str>) -> Self {
                Self::from_raw(raw::named(self.raw, name.as_ref(), Location::caller()))
            }

            /// A comment at the declaration in the Verilog; for values that have a name.
            #[track_caller]
            #[must_use]
            pub fn doc(self, text: &str) -> Self {
                raw::doc(self.raw, text, Location::caller());
                self
            }

            /// Bit `index`, counted from the least significant.
            #[track_caller]
            pub fn bit(self, index: u32) -> Bool<D> {
                Bool::from_raw(raw::boolean(raw::slice(
                    self.raw,
                    index,
                    1,
                    false,
                    Location::caller(),
                )))
            }

            /// The bits of `range`, counted from the least significant: `a.bits(4..8)` is the second nibble.
            #[track_caller]
            pub fn bits(self, range: Range<u32>) -> UInt<D> {
                let count = range.end.saturating_sub(range.start);
                UInt::from_raw(raw::slice(self.raw, range.start, count, false, Location::caller()))
            }

            /// The bit that `index` points at; indices beyond the width read zero, or the sign of an `SInt`.
            #[track_caller]
            pub fn bit_at(self, index: impl Source<UInt<D>>) -> Bool<D> {
                self.shift_right(index).bit(0)
            }

            /// All bits, the least significant first.
            #[track_caller]
            pub fn to_bools(self) -> Vec<Bool<D>> {
                (0..self.width()).map(|index| self.bit(index)).collect()
            }

            /// Shifted towards the most significant end, at the same width; bits that leave are lost.
            #[track_caller]
            #[must_use]
            pub fn shift_left(self, amount: impl Source<UInt<D>>) -> Self {
                let (amount, place) = (amount.source(None), Location::caller());
                Self::from_raw(raw::binary(
                    BinaryOp::Shl,
                    self.raw,
                    amount.raw,
                    self.width(),
                    $signed,
                    place,
                ))
            }

            /// Shifted towards the least significant end, at the same width; zeros follow, or the sign of an `SInt`.
            #[track_caller]
            #[must_use]
            pub fn shift_right(self, amount: impl Source<UInt<D>>) -> Self {
                let (amount, place) = (amount.source(None), Location::caller());
                Self::from_raw(raw::binary(
                    BinaryOp::Shr,
                    self.raw,
                    amount.raw,
                    self.width(),
                    $signed,
                    place,
                ))
            }

            /// True if both values are equal; the narrower one is extended.
            #[track_caller]
            pub fn eq(self, rhs: impl Source<$name<D>>) -> Bool<D> {
                self.compare(BinaryOp::Eq, rhs.source(Some(&self)), Location::caller())
            }

            /// True if the values differ; the narrower one is extended.
            #[track_caller]
            pub fn ne(self, rhs: impl Source<$name<D>>) -> Bool<D> {
                self.compare(BinaryOp::Ne, rhs.source(Some(&self)), Location::caller())
            }

            /// `self < rhs`.
            #[track_caller]
            pub fn lt(self, rhs: impl Source<$name<D>>) -> Bool<D> {
                self.compare(BinaryOp::Lt, rhs.source(Some(&self)), Location::caller())
            }

            /// `self <= rhs`.
            #[track_caller]
            pub fn le(self, rhs: impl Source<$name<D>>) -> Bool<D> {
                self.compare(BinaryOp::Le, rhs.source(Some(&self)), Location::caller())
            }

            /// `self > rhs`.
            #[track_caller]
            pub fn gt(self, rhs: impl Source<$name<D>>) -> Bool<D> {
                rhs.source(Some(&self)).compare(BinaryOp::Lt, self, Location::caller())
            }

            /// `self >= rhs`.
            #[track_caller]
            pub fn ge(self, rhs: impl Source<$name<D>>) -> Bool<D> {
                rhs.source(Some(&self)).compare(BinaryOp::Le, self, Location::caller())
            }

            fn compare(self, op: BinaryOp, rhs: Self, place: crate::error::Place) -> Bool<D> {
                Bool::from_raw(raw::boolean(raw::compare(op, self.raw, rhs.raw, $signed, place)))
            }

            /// True if the value is zero.
            #[track_caller]
            pub fn is_zero(self) -> Bool<D> {
                self.eq(0)
            }

            /// The smaller value, at the width of the wider operand.
            #[track_caller]
            #[must_use]
            pub fn min(self, rhs: impl Source<$name<D>>) -> Self {
                let rhs = rhs.source(Some(&self));
                let width = self.width().max(rhs.width());
                super::mux(self.lt(rhs), self.resize(width), rhs.resize(width))
            }

            /// The larger value, at the width of the wider operand.
            #[track_caller]
            #[must_use]
            pub fn max(self, rhs: impl Source<$name<D>>) -> Self {
                let rhs = rhs.source(Some(&self));
                let width = self.width().max(rhs.width());
                super::mux(self.lt(rhs), rhs.resize(width), self.resize(width))
            }

            /// The sum modulo 2^width of the wider operand.
            #[track_caller]
            #[must_use]
            pub fn wrapping_add(self, rhs: impl Source<$name<D>>) -> Self {
                let rhs = rhs.source(None);
                let (width, place) = (self.width().max(rhs.width()), Location::caller());
                Self::from_raw(raw::binary(BinaryOp::Add, self.raw, rhs.raw, width, $signed, place))
            }

            /// The product modulo 2^width of the wider operand.
            #[track_caller]
            #[must_use]
            pub fn wrapping_mul(self, rhs: impl Source<$name<D>>) -> Self {
                let rhs = rhs.source(None);
                let (width, place) = (self.width().max(rhs.width()), Location::caller());
                Self::from_raw(raw::binary(BinaryOp::Mul, self.raw, rhs.raw, width, $signed, place))
            }
        }
    };
}
pub(super) use number_methods;

number_methods!(UInt, false);
