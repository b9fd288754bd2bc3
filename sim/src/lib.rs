//! Simulation of the RMT core.
//!
//! - [`verilated`] turns Verilog into a model that Rust can drive, at the speed of a C++ test bench.

pub mod verilated;
