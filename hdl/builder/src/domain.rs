//! Clock domains, as types: signals of two domains do not mix in an expression.

use std::any::TypeId;
use std::fmt;

/// A clock domain: one clock, rising edge, and one synchronous reset, active high.
///
/// A module has a domain's clock and reset as ports only if something in it uses them.
///
/// ```
/// use rtl_builder::prelude::*;
///
/// /// The clock of the multiplier array.
/// #[derive(Clone, Copy, Debug)]
/// struct Array;
///
/// impl Domain for Array {
///     const NAME: &'static str = "array";
///     const CLOCK: &'static str = "array_clk";
///     const RESET: &'static str = "array_rst";
/// }
/// assert_eq!(Array::suffix(), "_array");
/// ```
pub trait Domain: Copy + fmt::Debug + 'static {
    /// The name, unique among the domains of a design.
    const NAME: &'static str;
    /// Name of the clock port.
    const CLOCK: &'static str;
    /// Name of the reset port.
    const RESET: &'static str;
    /// Cycles in one of [`Main`], which begins with one of them, so that the last one ends with it; 1 says nothing of
    /// when the edges come. Values may cross both ways without a synchroniser, if the slower side holds them and
    /// the faster one looks while they are steady.
    const MULTIPLE: u32 = 1;

    /// What a component that is generic over its domain appends to its module name:
    /// nothing for [`Main`], `_NAME` for others.
    fn suffix() -> String {
        if TypeId::of::<Self>() == TypeId::of::<Main>() {
            String::new()
        } else {
            format!("_{}", Self::NAME)
        }
    }
}

/// The domain that is meant when none is said; its ports are `clk` and `rst`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Main;

impl Domain for Main {
    const NAME: &'static str = "main";
    const CLOCK: &'static str = "clk";
    const RESET: &'static str = "rst";
}

/// A domain as a value: what the graph stores with each node.
#[derive(Clone, Copy)]
pub struct DomainInfo {
    /// See [`Domain::NAME`].
    pub name: &'static str,
    /// See [`Domain::CLOCK`].
    pub clock: &'static str,
    /// See [`Domain::RESET`].
    pub reset: &'static str,
    /// See [`Domain::MULTIPLE`].
    pub multiple: u32,
    id: fn() -> TypeId,
}

impl DomainInfo {
    /// The description of `D`.
    pub fn of<D: Domain>() -> Self {
        let (name, clock, reset, multiple) = (D::NAME, D::CLOCK, D::RESET, D::MULTIPLE);
        Self { name, clock, reset, multiple, id: TypeId::of::<D> }
    }

    /// The type that describes the domain.
    pub(crate) fn id(&self) -> TypeId {
        (self.id)()
    }
}

impl PartialEq for DomainInfo {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for DomainInfo {}

impl fmt::Debug for DomainInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
