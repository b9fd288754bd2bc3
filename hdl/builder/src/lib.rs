//! A small hardware description language in Rust: typed signals in, readable Verilog and a cycle-accurate evaluator out.

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
pub mod fsm;
mod ir;
pub mod memory;
mod names;
pub mod ports;
mod session;
pub mod signal;
pub mod state;
pub mod stock;
mod verilog;

pub use ir::Direction;

/// Everything that a description needs: `use rtl_builder::prelude::*;`.
pub mod prelude {
    pub use crate::bits::Bits;
    pub use crate::bundle::{Bundle, pack, unpack, zero};
    pub use crate::component::{Component, elaborate, instance, require};
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
