//! Signal handles: [`UInt`], [`SInt`] and [`Bool`] are small `Copy` values that stand for a node of the module under construction.
//!
//! The width is a run-time value, sign and clock domain are types. `+ - *` keep all bits; narrowing is said with
//! `trunc` or `sat`. Whatever can be read as a signal (a handle, a register, a wire, a port, an integer) is a [`Source`].

mod boolean;
mod choose;
mod ops;
pub(crate) mod raw;
mod sint;
mod uint;

pub use boolean::Bool;
pub use choose::{cat, lookup, mux, one_hot_mux, priority_mux, select};
pub use sint::SInt;
pub use uint::UInt;

use crate::bits::Bits;
use crate::bundle::Bundle;
use crate::domain::{Domain, Main};
use std::panic::Location;

/// Whatever can be read as a `T`: the handle itself, a register, wire or port of it, and for single signals an integer.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be used as `{T}` here",
    label = "another sign, clock domain or kind of signal",
    note = "signs do not mix: convert with `.as_sint()` or `.as_uint()`",
    note = "clock domains do not mix: cross with `stock::Sync2` or `stock::AsyncFifo`"
)]
pub trait Source<T: Bundle>: Sized {
    /// True for integers, which take their width from the other operand.
    const ADAPTS: bool = false;

    /// The signal. An integer takes its width from `like`, or else the fewest bits that hold it.
    #[track_caller]
    fn source(self, like: Option<&T>) -> T;
}

impl<T: Bundle> Source<T> for T {
    fn source(self, _: Option<&T>) -> T {
        self
    }
}

impl<T: Bundle> Source<T> for &T {
    fn source(self, _: Option<&T>) -> T {
        self.clone()
    }
}

macro_rules! integer_sources {
    ($($int:ty),*) => {$(
        impl<D: Domain> Source<UInt<D>> for $int {
            const ADAPTS: bool = true;
            #[track_caller]
            fn source(self, like: Option<&UInt<D>>) -> UInt<D> {
                let width = like.map(|signal| signal.width());
                UInt::from_raw(raw::literal(self as i128, width, false, Location::caller()))
            }
        }
        impl<D: Domain> Source<SInt<D>> for $int {
            const ADAPTS: bool = true;
            #[track_caller]
            fn source(self, like: Option<&SInt<D>>) -> SInt<D> {
                let width = like.map(|signal| signal.width());
                SInt::from_raw(raw::literal(self as i128, width, true, Location::caller()))
            }
        }
    )*};
}

integer_sources!(u8, i8, u16, i16, i32, u32, i64, u64, usize);

impl<D: Domain> Source<UInt<D>> for Bits {
    #[track_caller]
    fn source(self, _: Option<&UInt<D>>) -> UInt<D> {
        UInt::from_bits(&self)
    }
}

impl<D: Domain> Source<Bool<D>> for bool {
    #[track_caller]
    fn source(self, _: Option<&Bool<D>>) -> Bool<D> {
        Bool::lit(self)
    }
}

/// The shape of an unsigned signal of `width` bits in the main domain; see [`UInt::of`] for others.
pub fn uint(width: u32) -> UInt<Main> {
    UInt::of(width)
}

/// The shape of a signed signal of `width` bits in the main domain; see [`SInt::of`] for others.
pub fn sint(width: u32) -> SInt<Main> {
    SInt::of(width)
}

/// The shape of a condition in the main domain; see [`Bool::of`] for others.
pub fn boolean() -> Bool<Main> {
    Bool::of()
}

/// The number of bits that count to `values` different values: 0 for 1, 3 for 5 to 8.
pub fn bits_for(values: u64) -> u32 {
    64 - values.saturating_sub(1).leading_zeros()
}
