//! Conditions.

use super::{Source, UInt, raw};
use crate::bits::Bits;
use crate::bundle::Bundle;
use crate::domain::{Domain, DomainInfo, Main};
use crate::ir::{Kind, Node};
use crate::session::{self, Raw};
use std::marker::PhantomData;
use std::panic::Location;

/// A condition: one bit, in clock domain `D`. `&`, `|`, `^` and `!` are its operators.
#[derive(Clone, Copy, Debug)]
pub struct Bool<D: Domain = Main> {
    pub(crate) raw: Raw,
    domain: PhantomData<D>,
}

impl<D: Domain> Bool<D> {
    pub(crate) fn from_raw(raw: Raw) -> Self {
        Self { raw, domain: PhantomData }
    }

    /// The shape, for ports, registers and wires.
    pub fn of() -> Self {
        Self::from_raw(Raw::shape(1))
    }

    /// A constant.
    #[track_caller]
    pub fn lit(value: bool) -> Self {
        Self::from_raw(raw::boolean(session::constant(
            Bits::new(1, u64::from(value)),
            false,
            Location::caller(),
        )))
    }

    /// The reset of the domain, active high.
    #[track_caller]
    pub fn reset() -> Self {
        let place = Location::caller();
        let domain = DomainInfo::of::<D>();
        let raw = session::with(|s| {
            s.stack.last_mut()?.module.use_domain(domain, true);
            s.add(Node {
                kind: Kind::Reset,
                width: 1,
                signed: false,
                boolean: true,
                domain: Some(domain),
                name: Some(domain.reset.to_owned()),
                doc: String::new(),
                place,
            })
        });
        Self::from_raw(raw.flatten().unwrap_or(Raw::poison(1)))
    }

    /// As a number of one bit.
    #[track_caller]
    pub fn as_uint(self) -> UInt<D> {
        UInt::from_raw(raw::cast(self.raw, false, Location::caller()))
    }

    /// `yes` if true, else `no`; an integer takes the width of the other value.
    #[track_caller]
    pub fn mux<T: Bundle>(self, yes: impl Source<T>, no: impl Source<T>) -> T {
        super::mux(self, yes, no)
    }

    /// True if both are alike.
    #[track_caller]
    pub fn eq(self, rhs: impl Source<Bool<D>>) -> Bool<D> {
        !(self ^ rhs.source(None))
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
}
