//! Verilog in, callable model out.
//!
//! [`VerilatedBuild`] says what to build: sources, top module, ports, options. [`Toolchain`] finds
//! Verilator and a C++ compiler. [`VerilatedBuild::build`] joins them: it hashes everything that
//! matters, and either takes the library of that hash from the cache or makes it, then loads it
//! into this process.
//!
//! ```text
//! VerilatedBuild ──key──► cache ──hit──► library ──► ffi ──► VerilatedModel ──► Instance
//!                           │               ▲
//!                           └──miss──► compile: Verilator, ports, C++, link
//! ```
//! - `spec`, `toolchain`: what to build, what with. `diagnostic` reads Verilator's complaints,
//!   `process` runs tools with a time limit.
//! - `cache`: entries by hash; one builder at a time; damage and half-written work are never taken
//!   for an entry.
//! - `compile`: the steps of a build. `shim.cpp` is the C side of every model; `ports` makes sure
//!   that both sides mean the same ports.
//! - `ffi`: all of the `unsafe`. `model` and `instance`: the safe interface.
//!
//! ```no_run
//! use rmt_sim::verilated::*;
//!
//! # fn main() -> Result<(), Error> {
//! let source = "module counter(input clk, input [7:0] step, output reg [31:0] total);
//!     always @(posedge clk) total <= total + {24'd0, step};
//! endmodule";
//! let ports = vec![Port::input("clk", 1), Port::input("step", 8), Port::output("total", 32)];
//! let build = VerilatedBuild::new("counter", vec![("counter.v".into(), source.into())], ports);
//! let model = build.build(&Toolchain::locate()?, &default_cache_dir())?;
//!
//! let (clk, step, total) = (model.clock("clk")?, model.input("step")?, model.output("total")?);
//! let mut counter = model.instantiate(InitialState::Zero)?;
//! counter.poke(step, 3)?;
//! counter.cycles(clk, 10)?;
//! assert_eq!(counter.peek(total)?, 30);
//! # Ok(())
//! # }
//! ```

mod cache;
mod compile;
mod diagnostic;
mod error;
mod ffi;
mod instance;
mod model;
mod ports;
mod process;
mod spec;
mod toolchain;

#[cfg(test)]
mod tests;

pub use cache::default_cache_dir;
pub use compile::BuildReport;
pub use diagnostic::{Diagnostic, Severity};
pub use error::Error;
pub use instance::Instance;
pub use model::{Clock, InitialState, Input, Output, VerilatedModel};
pub use spec::{Direction, Multiple, Optimisation, Port, Source, Trace, VerilatedBuild};
pub use toolchain::{Limits, OLDEST_VERILATOR, Search, Toolchain, Version};
