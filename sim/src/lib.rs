//! Simulation of the RMT core.
//!
//! - [`cosim`] runs events on the interpreter and on the RTL and compares every bit.
//! - [`engine`]: the core as an engine, for tests that every engine runs.
//! - [`card`] is the core as software sees it, over the pins of whatever simulates it.
//! - [`root_complex`]: the host's side of the card's PCIe link. [`virtual_card`] shows the card to a
//!   virtual machine. [`serial_line`]: the same for a card behind a serial line.
//! - [`verilated`] turns Verilog into a model that Rust can drive, at the speed of a C++ test bench.

pub mod card;
pub mod cosim;
pub mod engine;
pub mod root_complex;
pub mod serial_line;
pub mod verilated;
pub mod virtual_card;
