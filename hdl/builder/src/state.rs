//! Registers and wires.

use crate::bundle::{self, Bundle, Leaf};
use crate::error::{ErrorKind, Place};
use crate::ir::{self, Kind, Node};
use crate::session::{self, Raw};
use crate::signal::{Source, raw};
use std::ops::Deref;
use std::panic::Location;

/// A register, or a bundle of them: reads as the value stored, takes a new one at the clock edge.
///
/// A register that is not assigned in a cycle keeps its value. Of several assignments in one cycle the last one wins.
#[derive(Clone, Copy, Debug)]
pub struct Reg<T: Bundle> {
    value: T,
}

/// A named signal that is driven later or under conditions; it has no memory and must be driven on every path.
#[derive(Clone, Copy, Debug)]
pub struct Wire<T: Bundle> {
    value: T,
}

/// A register with reset value `reset`; of a bundle, see [`reg_zero`].
///
/// ```
/// use rtl_builder::prelude::*;
/// # #[derive(Clone, Ports)] struct Io { count: Output<UInt> }
/// # struct Count;
/// # impl Component for Count {
/// #     type Io = Io;
/// #     fn name(&self) -> String { "count".into() }
/// #     fn io(&self) -> Io { Io { count: output(uint(4)) } }
/// #     fn build(&self, io: Io) {
/// let count = reg("count_reg", uint(4), 7);
/// count.next(count.wrapping_add(1));
/// io.count.set(count);
/// #     }
/// # }
/// # let mut sim = elaborate(Count)?.simulator();
/// # assert_eq!(sim.peek("count"), 7);
/// # sim.step();
/// # assert_eq!(sim.peek("count"), 8);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn reg<T: Bundle>(name: impl AsRef<str>, shape: T, reset: impl Source<T>) -> Reg<T> {
    let place = Location::caller();
    if !has_width(name.as_ref(), &shape, place) {
        return Reg { value: shape };
    }
    let values: Vec<Leaf> = bundle::leaves(&reset.source(Some(&shape)));
    make_reg(name.as_ref(), shape, Some(&values), place)
}

/// A register that resets to zero in all its fields.
#[track_caller]
pub fn reg_zero<T: Bundle>(name: impl AsRef<str>, shape: T) -> Reg<T> {
    let place = Location::caller();
    if !has_width(name.as_ref(), &shape, place) {
        return Reg { value: shape };
    }
    let values = bundle::leaves(&bundle::zero(&shape));
    make_reg(name.as_ref(), shape, Some(&values), place)
}

/// A register without reset, for data that a valid flag elsewhere guards. The evaluator starts it at zero.
#[track_caller]
pub fn reg_uninit<T: Bundle>(name: impl AsRef<str>, shape: T) -> Reg<T> {
    make_reg(name.as_ref(), shape, None, Location::caller())
}

/// The value of one cycle before, through a register without reset.
#[track_caller]
pub fn delayed<T: Bundle>(name: impl AsRef<str>, value: impl Source<T>) -> T {
    let value = value.source(None);
    let stage = make_reg(name.as_ref(), value.clone(), None, Location::caller());
    stage.next(value);
    stage.value
}

/// Reports signals of no width, before a constant is found not to fit them.
fn has_width<T: Bundle>(name: &str, shape: &T, place: Place) -> bool {
    let none = bundle::leaves(shape).iter().any(|leaf| leaf.raw.width == 0);
    if none {
        session::fail(ErrorKind::InvalidWidth { what: format!("`{name}`"), width: 0 }, place);
    }
    !none
}

fn make_reg<T: Bundle>(name: &str, shape: T, reset: Option<&[Leaf]>, place: Place) -> Reg<T> {
    let mut index = 0;
    let value = bundle::map_named(&shape, name, &mut |name, doc, leaf| {
        let reset = reset.map(|values| values.get(index).map(|value| value.raw));
        index += 1;
        leaf.with(reg_leaf(name, doc, leaf, reset, place).unwrap_or(Raw::poison(leaf.raw.width)))
    });
    Reg { value }
}

fn reg_leaf(
    name: &str,
    doc: &str,
    leaf: Leaf,
    reset: Option<Option<Raw>>,
    place: Place,
) -> Option<Raw> {
    let width = leaf.raw.width;
    let reset = match reset {
        None => None,
        Some(value) => {
            let Some(constant) = value.and_then(session::constant_of) else {
                session::fail(
                    ErrorKind::NotConstant { what: format!("the reset value of `{name}`") },
                    place,
                );
                return None;
            };
            if constant.width() != width {
                let what = format!("reset value of `{name}`");
                let kind =
                    ErrorKind::WidthMismatch { what, expected: width, found: constant.width() };
                session::fail(kind, place);
                return None;
            }
            Some(constant)
        }
    };
    session::with(|s| {
        let index = s.stack.last()?.module.regs.len();
        let raw = net(s, Kind::Reg(index), name, doc, leaf, place)?;
        let module = &mut s.stack.last_mut()?.module;
        let node = (module.nodes.len() - 1) as ir::NodeId;
        module.use_domain(leaf.domain, reset.is_some());
        module.regs.push(ir::Reg {
            node,
            domain: leaf.domain,
            reset,
            states: None,
            attribute: None,
        });
        Some(raw)
    })
    .flatten()
}

/// A named node that something drives.
pub(crate) fn net(
    s: &mut session::Session,
    kind: Kind,
    name: &str,
    doc: &str,
    leaf: Leaf,
    place: Place,
) -> Option<Raw> {
    let width = s.check_width(&format!("`{name}`"), u64::from(leaf.raw.width), place)?;
    let name = s.claim_name(name, place)?;
    let doc = doc.to_owned();
    let (signed, boolean, domain) = (leaf.signed, leaf.boolean, Some(leaf.domain));
    s.add(Node { kind, width, signed, boolean, domain, name: Some(name), doc, place })
}

/// A wire.
#[track_caller]
pub fn wire<T: Bundle>(name: impl AsRef<str>, shape: T) -> Wire<T> {
    let place = Location::caller();
    let value = bundle::map_named(&shape, name.as_ref(), &mut |name, doc, leaf| {
        let raw = session::with(|s| net(s, Kind::Wire, name, doc, leaf, place));
        leaf.with(raw.flatten().unwrap_or(Raw::poison(leaf.raw.width)))
    });
    Wire { value }
}

/// Assigns a bundle field by field.
#[track_caller]
pub(crate) fn assign<T: Bundle>(target: &T, value: impl Source<T>, verb: &str, place: Place) {
    let value = value.source(Some(target));
    bundle::zip(verb, target, &value, place, |to, from| {
        session::with(|s| s.assign(to.raw, from.raw, verb, place));
        to.raw
    });
}

impl<T: Bundle> Reg<T> {
    /// The value after the next clock edge, unless a later assignment says otherwise.
    #[track_caller]
    pub fn next(&self, value: impl Source<T>) {
        assign(&self.value, value, "next value", Location::caller());
    }
}

impl<T: Bundle> Reg<T> {
    /// A Verilog attribute, such as `ASYNC_REG = "TRUE"`.
    #[track_caller]
    #[must_use]
    pub fn attribute(self, text: &str) -> Self {
        let place = Location::caller();
        for leaf in bundle::leaves(&self.value) {
            session::with(|s| {
                let id = s.resolve(leaf.raw, place)?;
                let module = &mut s.stack.last_mut()?.module;
                if let Kind::Reg(index) = module.node(id).kind {
                    module.regs[index].attribute = Some(text.to_owned());
                }
                Some(())
            });
        }
        self
    }
}

impl<T: Bundle> Wire<T> {
    /// Drives the wire; a later assignment under a `when` overrides.
    #[track_caller]
    pub fn set(&self, value: impl Source<T>) {
        assign(&self.value, value, "assignment", Location::caller());
    }
}

macro_rules! state_common {
    ($name:ident) => {
        impl<T: Bundle> $name<T> {
            /// The signal that reads it.
            pub fn value(&self) -> T {
                self.value.clone()
            }

            /// A part of it that can be assigned on its own: `r.field(|complex| complex.re)`.
            pub fn field<F: Bundle>(&self, choose: impl FnOnce(T) -> F) -> $name<F> {
                $name { value: choose(self.value.clone()) }
            }

            /// A comment at its declaration in the Verilog.
            #[track_caller]
            #[must_use]
            pub fn doc(self, text: &str) -> Self {
                for leaf in bundle::leaves(&self.value) {
                    raw::doc(leaf.raw, text, Location::caller());
                }
                self
            }
        }

        impl<T: Bundle> $name<Vec<T>> {
            /// The element at `index`.
            pub fn element(&self, index: usize) -> $name<T> {
                $name { value: self.value.get(index).cloned().unwrap_or_else(T::poison) }
            }
        }

        impl<T: Bundle> Deref for $name<T> {
            type Target = T;
            fn deref(&self) -> &T {
                &self.value
            }
        }

        impl<T: Bundle> Source<T> for $name<T> {
            fn source(self, _: Option<&T>) -> T {
                self.value
            }
        }

        impl<T: Bundle> Source<T> for &$name<T> {
            fn source(self, _: Option<&T>) -> T {
                self.value.clone()
            }
        }
    };
}

state_common!(Reg);
state_common!(Wire);
