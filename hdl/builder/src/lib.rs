//! A small hardware description language in Rust: typed signals in, readable Verilog and a cycle-accurate evaluator out.
//!
//! Start with the [`tutorial`]. In short: a [`Component`](component::Component) is a Rust struct of parameters whose
//! `build` makes a module from typed signals; [`elaborate`](component::elaborate) builds and checks it; the
//! [`Design`](design::Design) prints as Verilog and runs in a [`Simulator`](eval::Simulator).
//!
//! ```text
//!  Rust structs ──build──► graph ──check──► Design ──┬─► verilog: one module per component and parameter set
//!  (signal, state, ports,  (ir, session)             └─► eval: operations on words, cycle by cycle
//!   control, memory, fsm)
//! ```
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`signal`] | [`UInt`](signal::UInt), [`SInt`](signal::SInt), [`Bool`](signal::Bool): widths at run time, signs and clock domains as types; choosing and joining |
//! | [`state`], [`memory`] | registers and wires; block RAM and distributed RAM |
//! | [`control`], [`fsm`] | `when`, `switch`, name prefixes; state machines from enums |
//! | [`bundle`], [`ports`] | structs of signals, structs of ports: derived |
//! | [`component`], [`design`] | components, instances, elaboration; what comes out |
//! | [`stock`] | streams, queues, buffers, arbiters, synchronisers, multipliers |
//! | [`statistics`] | what a design is made of, for estimates of area |
//! | [`eval`] | the evaluator that test benches drive |
//! | [`formal`] | properties of components, and their proofs by SymbiYosys |
//! | [`error`] | every mistake that construction finds, with its Rust line and what to do |
//! | [`bits`], [`domain`] | constants of any width; clock domains |

// The derive macros name this crate by its outside name.
extern crate self as rtl_builder;

mod arith;
pub mod bits;
pub mod bundle;
mod check;
pub mod component;
pub mod control;
pub mod design;
pub mod domain;
pub mod error;
pub mod eval;
pub mod formal;
pub mod fsm;
mod ir;
pub mod memory;
mod names;
pub mod ports;
mod session;
pub mod signal;
pub mod state;
pub mod statistics;
pub mod stock;
pub mod tutorial;
mod verilog;

pub use ir::Direction;

/// Everything that a description needs: `use rtl_builder::prelude::*;`.
pub mod prelude {
    pub use crate::bits::Bits;
    pub use crate::bundle::{Bundle, pack, unpack, zero};
    pub use crate::component::{Component, elaborate, instance, instance_with_reset, require};
    pub use crate::control::{scope, switch, when};
    pub use crate::design::Design;
    pub use crate::domain::{Domain, Main};
    pub use crate::error::{Error, ErrorKind};
    pub use crate::eval::Simulator;
    pub use crate::fsm::{Fsm, State, fsm};
    pub use crate::memory::{AsyncMem, SyncMem};
    pub use crate::ports::{Input, Output, Ports, input, output};
    pub use crate::signal::{
        Bool, SInt, Source, UInt, bits_for, boolean, cat, lookup, mux, one_hot_mux, priority_mux,
        select, sint, uint,
    };
    pub use crate::state::{Reg, Wire, delayed, reg, reg_uninit, reg_zero, wire};
    pub use crate::stock::stream::{StreamIn, StreamOut, connect, stream_in, stream_out};
}

/// The examples of the README, compiled and run with the other documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
