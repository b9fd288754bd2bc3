//! Bundles: structures of signals that are muxed, registered, stored and passed through ports as one.
//!
//! `#[derive(Bundle)]` on a struct whose fields are bundles (`UInt`, `SInt`, `Bool`, other bundles, `Vec`s and arrays of
//! them) is all that is needed. A value of the struct is a group of signals or, with [`UInt::of`] and the like as fields,
//! a shape to make registers, wires, ports and memories from.
//!
//! ```
//! use rtl_builder::prelude::*;
//!
//! #[derive(Clone, Debug, Bundle)]
//! struct Complex {
//!     re: SInt,
//!     im: SInt,
//! }
//!
//! let shape = Complex { re: sint(8), im: sint(8) };
//! assert_eq!(rtl_builder::bundle::width(&shape), 16);
//! ```

use crate::bits::Bits;
use crate::domain::{Domain, DomainInfo};
use crate::error::{ErrorKind, Place};
use crate::session::{self, Raw};
use crate::signal::{Bool, SInt, Source, UInt, raw};
use std::panic::Location;

pub use rtl_builder_derive::Bundle;

/// A single signal inside a bundle.
#[derive(Clone, Copy, Debug)]
pub struct Leaf {
    pub(crate) raw: Raw,
    pub(crate) signed: bool,
    pub(crate) boolean: bool,
    pub(crate) domain: DomainInfo,
}

impl Leaf {
    /// The same leaf with another signal in it.
    pub(crate) fn with(self, raw: Raw) -> Self {
        Self { raw, ..self }
    }

    /// The width in bits.
    pub fn width(&self) -> u32 {
        self.raw.width
    }
}

/// What walks over a bundle: it knows the path of field names and replaces each leaf.
pub struct Walk<'a> {
    path: Vec<String>,
    docs: Vec<&'static str>,
    visit: &'a mut dyn FnMut(&[String], &str, Leaf) -> Leaf,
}

impl Walk<'_> {
    /// Walks one field; `doc` is its comment.
    pub fn field<B: Bundle>(&mut self, name: &str, doc: &'static str, value: &B) -> B {
        self.path.push(name.to_owned());
        self.docs.push(doc);
        let walked = value.walk(self);
        self.docs.pop();
        self.path.pop();
        walked
    }

    fn leaf(&mut self, leaf: Leaf) -> Leaf {
        let doc = self.docs.iter().rev().find(|doc| !doc.is_empty()).copied().unwrap_or("");
        (self.visit)(&self.path, doc, leaf)
    }
}

/// A group of signals; derive it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a bundle of signals",
    note = "bundles are `UInt`, `SInt`, `Bool`, `Vec`s and arrays of bundles, and structs with `#[derive(Bundle)]`"
)]
pub trait Bundle: Clone {
    /// Rebuilds the bundle with each leaf replaced, in the order of the fields.
    fn walk(&self, walk: &mut Walk<'_>) -> Self;

    /// Some value of the type, for use after an error only.
    fn poison() -> Self;
}

macro_rules! leaf_bundle {
    ($name:ident, $signed:expr, $boolean:expr) => {
        impl<D: Domain> Bundle for $name<D> {
            fn walk(&self, walk: &mut Walk<'_>) -> Self {
                let domain = DomainInfo::of::<D>();
                let leaf = Leaf { raw: self.raw, signed: $signed, boolean: $boolean, domain };
                Self::from_raw(walk.leaf(leaf).raw)
            }

            fn poison() -> Self {
                Self::from_raw(Raw::poison(1))
            }
        }
    };
}

leaf_bundle!(UInt, false, false);
leaf_bundle!(SInt, true, false);
leaf_bundle!(Bool, false, true);

impl<B: Bundle> Bundle for Vec<B> {
    fn walk(&self, walk: &mut Walk<'_>) -> Self {
        self.iter()
            .enumerate()
            .map(|(i, element)| walk.field(&i.to_string(), "", element))
            .collect()
    }

    fn poison() -> Self {
        Vec::new()
    }
}

impl<B: Bundle, const N: usize> Bundle for [B; N] {
    fn walk(&self, walk: &mut Walk<'_>) -> Self {
        let mut index = 0;
        self.each_ref().map(|element| {
            index += 1;
            walk.field(&(index - 1).to_string(), "", element)
        })
    }

    fn poison() -> Self {
        std::array::from_fn(|_| B::poison())
    }
}

impl<B: Bundle> Bundle for Option<B> {
    fn walk(&self, walk: &mut Walk<'_>) -> Self {
        self.as_ref().map(|inner| inner.walk(walk))
    }

    fn poison() -> Self {
        None
    }
}

impl Bundle for () {
    fn walk(&self, _: &mut Walk<'_>) -> Self {}

    fn poison() -> Self {}
}

macro_rules! tuple_bundle {
    ($($name:ident $index:tt),*) => {
        impl<$($name: Bundle),*> Bundle for ($($name,)*) {
            fn walk(&self, walk: &mut Walk<'_>) -> Self {
                ($(walk.field(stringify!($index), "", &self.$index),)*)
            }

            fn poison() -> Self {
                ($($name::poison(),)*)
            }
        }
    };
}

tuple_bundle!(A 0, B 1);
tuple_bundle!(A 0, B 1, C 2);
tuple_bundle!(A 0, B 1, C 2, E 3);

/// Replaces each leaf.
pub(crate) fn map<B: Bundle>(bundle: &B, visit: &mut dyn FnMut(Leaf) -> Leaf) -> B {
    map_named(bundle, "", &mut |_, _, leaf| visit(leaf))
}

/// Replaces each leaf; the visitor gets its name, joined with `_` below `prefix`, and the comment of its field.
pub(crate) fn map_named<B: Bundle>(
    bundle: &B,
    prefix: &str,
    visit: &mut dyn FnMut(&str, &str, Leaf) -> Leaf,
) -> B {
    let mut visit = |path: &[String], doc: &str, leaf: Leaf| {
        let mut parts: Vec<&str> = path.iter().map(String::as_str).collect();
        if !prefix.is_empty() {
            parts.insert(0, prefix);
        }
        visit(&parts.join("_"), doc, leaf)
    };
    bundle.walk(&mut Walk { path: Vec::new(), docs: Vec::new(), visit: &mut visit })
}

/// All leaves in order.
pub(crate) fn leaves<B: Bundle>(bundle: &B) -> Vec<Leaf> {
    let mut all = Vec::new();
    map(bundle, &mut |leaf| {
        all.push(leaf);
        leaf
    });
    all
}

/// Joins two bundles leaf by leaf.
pub(crate) fn zip<B: Bundle>(
    what: &str,
    a: &B,
    b: &B,
    place: Place,
    mut join: impl FnMut(Leaf, Leaf) -> Raw,
) -> B {
    let others = leaves(b);
    let count = leaves(a).len();
    if others.len() != count {
        let what = what.to_owned();
        session::fail(
            ErrorKind::ShapeMismatch { what, expected: count, found: others.len() },
            place,
        );
        return a.clone();
    }
    let mut others = others.into_iter();
    map(a, &mut |leaf| match others.next() {
        Some(other) => leaf.with(join(leaf, other)),
        None => leaf,
    })
}

/// Sum of the widths of all signals of a bundle or shape, bits.
pub fn width<B: Bundle>(bundle: &B) -> u32 {
    leaves(bundle).iter().map(|leaf| leaf.raw.width).sum()
}

/// The bundle with all signals zero; `shape` gives the widths.
#[track_caller]
pub fn zero<B: Bundle>(shape: &B) -> B {
    let place = Location::caller();
    map(shape, &mut |leaf| leaf.with(constant_leaf(leaf, Bits::zero(leaf.raw.width), place)))
}

fn constant_leaf(leaf: Leaf, value: Bits, place: Place) -> Raw {
    let raw = session::constant(value, leaf.signed, place);
    if leaf.boolean { raw::boolean(raw) } else { raw }
}

/// All signals side by side in one number, the first field at the most significant end.
#[track_caller]
pub fn pack<B: Bundle, D: Domain>(bundle: impl Source<B>) -> UInt<D> {
    let place = Location::caller();
    let bundle = bundle.source(None);
    let raws: Vec<Raw> = leaves(&bundle).iter().map(|leaf| leaf.raw).collect();
    UInt::from_raw(match raws.as_slice() {
        [single] => raw::cast(*single, false, place),
        _ => raw::concat(&raws, place),
    })
}

/// Takes a number apart as `shape` says; the reverse of [`pack`]. The widths must be equal.
#[track_caller]
pub fn unpack<B: Bundle, D: Domain>(shape: &B, bits: impl Source<UInt<D>>) -> B {
    let place = Location::caller();
    let bits = bits.source(None);
    let total = width(shape);
    if total != bits.width() {
        let what = "`unpack`".to_owned();
        session::fail(
            ErrorKind::WidthMismatch { what, expected: total, found: bits.width() },
            place,
        );
        return shape.clone();
    }
    let mut top = total;
    map(shape, &mut |leaf| {
        top -= leaf.raw.width;
        let part = raw::slice(bits.raw, top, leaf.raw.width, leaf.signed, place);
        leaf.with(if leaf.boolean { raw::boolean(part) } else { part })
    })
}
