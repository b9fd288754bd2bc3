//! Ports: which signals a module shows, and which way they point.
//!
//! `#[derive(Ports)]` on a struct of [`Input`]s, [`Output`]s, other port structs and `Vec`s of them. Inside the module an
//! input is read and an output is [`set`](Output::set); at an instance of it, it is the other way round. Doc comments of
//! the fields are carried into the Verilog.

use crate::bundle::{self, Bundle, Leaf};
use crate::ir::Direction;
use crate::signal::Source;
use crate::state::assign;
use std::ops::Deref;
use std::panic::Location;

pub use rtl_builder_derive::Ports;

/// A port, or a bundle of ports, into the module.
#[derive(Clone, Copy, Debug)]
pub struct Input<T: Bundle> {
    value: T,
}

/// A port, or a bundle of ports, out of the module.
#[derive(Clone, Copy, Debug)]
pub struct Output<T: Bundle> {
    value: T,
}

/// Declares an input of a shape: `input(uint(8))`.
pub fn input<T: Bundle>(shape: T) -> Input<T> {
    Input { value: shape }
}

/// Declares an output of a shape: `output(uint(8))`.
pub fn output<T: Bundle>(shape: T) -> Output<T> {
    Output { value: shape }
}

/// What walks over a port struct and binds each port.
pub struct PortWalk<'a> {
    path: Vec<String>,
    docs: Vec<&'static str>,
    visit: &'a mut dyn FnMut(Direction, &str, &str, Leaf) -> Leaf,
}

impl PortWalk<'_> {
    /// Walks one field; `doc` is its comment.
    pub fn field<P: Ports>(&mut self, name: &str, doc: &'static str, value: &P) -> P {
        self.path.push(name.to_owned());
        self.docs.push(doc);
        let walked = value.walk_ports(self);
        self.docs.pop();
        self.path.pop();
        walked
    }

    fn leaves<T: Bundle>(&mut self, direction: Direction, value: &T) -> T {
        let outer = self.docs.iter().rev().find(|doc| !doc.is_empty()).copied().unwrap_or("");
        let prefix = self.path.join("_");
        // The comment of a whole group stands at its first signal.
        let mut outer = Some(outer);
        bundle::map_named(value, &prefix, &mut |name, doc, leaf| {
            let outer = outer.take().unwrap_or("");
            let doc = if doc.is_empty() { outer } else { doc };
            (self.visit)(direction, name, doc, leaf)
        })
    }
}

/// A group of ports; derive it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a group of ports",
    note = "ports are `Input<..>`, `Output<..>`, `Vec`s of ports, and structs with `#[derive(Ports)]`"
)]
pub trait Ports: Clone {
    /// Rebuilds the group with each port bound.
    fn walk_ports(&self, walk: &mut PortWalk<'_>) -> Self;
}

/// Binds each port with what `visit` gives for direction, name, comment and shape.
pub(crate) fn bind<P: Ports>(
    ports: &P,
    visit: &mut dyn FnMut(Direction, &str, &str, Leaf) -> Leaf,
) -> P {
    ports.walk_ports(&mut PortWalk { path: Vec::new(), docs: Vec::new(), visit })
}

macro_rules! port_common {
    ($name:ident, $direction:expr, $set:literal) => {
        impl<T: Bundle> Ports for $name<T> {
            fn walk_ports(&self, walk: &mut PortWalk<'_>) -> Self {
                Self { value: walk.leaves($direction, &self.value) }
            }
        }

        impl<T: Bundle> $name<T> {
            #[doc = $set]
            #[track_caller]
            pub fn set(&self, value: impl Source<T>) {
                assign(&self.value, value, "assignment", Location::caller());
            }

            /// The signal that reads it.
            pub fn value(&self) -> T {
                self.value.clone()
            }

            /// A part of it that can be driven on its own.
            pub fn field<F: Bundle>(&self, choose: impl FnOnce(T) -> F) -> $name<F> {
                $name { value: choose(self.value.clone()) }
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

port_common!(
    Input,
    Direction::Input,
    "Drives the input of an instance, from the module that holds the instance."
);
port_common!(Output, Direction::Output, "Drives the output, from inside the module.");

impl<P: Ports> Ports for Vec<P> {
    fn walk_ports(&self, walk: &mut PortWalk<'_>) -> Self {
        self.iter()
            .enumerate()
            .map(|(i, element)| walk.field(&i.to_string(), "", element))
            .collect()
    }
}

impl<P: Ports, const N: usize> Ports for [P; N] {
    fn walk_ports(&self, walk: &mut PortWalk<'_>) -> Self {
        let mut index = 0;
        self.each_ref().map(|element| {
            index += 1;
            walk.field(&(index - 1).to_string(), "", element)
        })
    }
}

impl<P: Ports> Ports for Option<P> {
    fn walk_ports(&self, walk: &mut PortWalk<'_>) -> Self {
        self.as_ref().map(|inner| inner.walk_ports(walk))
    }
}

impl Ports for () {
    fn walk_ports(&self, _: &mut PortWalk<'_>) -> Self {}
}
