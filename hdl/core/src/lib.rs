//! The RMT accelerator core, generated from one [`CoreConfig`].
//!
//! ```text
//!  event ─► dispatcher ─► match unit ─► fetch ─► operands ─► execute ─► retire ─► decision
//!                            ▲                               │  ▲
//!                            └──────── tail calls ───────────┤  │ completions
//!                                     ┌──────────────────────┤  │
//!                                     ▼            ▼         ▼  │
//!                                 long unit   context unit  ML engine
//!                                                  └─ lanes ─┘
//! ```
//!
//! - [`config`]: what the core is built with; the shape that software sees is in
//!   `rmt_isa::card`, with all regions and descriptors.
//! - [`control`]: events, threads and scalar instructions. [`matching`]: tables.
//!   [`context`]: per-key records. [`map`]: what all keys share. [`engine`]: vectors and models.
//! - [`units`]: how stages share a unit.
//! - [`host`]: the host port, control words, counters. [`top`]: all units joined.
//! - [`card`]: the core as a PCIe device: [`tlp`] is its endpoint, [`queue`] its queue pairs,
//!   admin queue and registers. [`pcie`] gives it a clock of its own beside the PCIe block's;
//!   [`serial`] puts it behind a serial line, for boards without PCIe.
//! - [`signals`], [`bits`], `event`, `memory`, `counters`: what passes between units, and small parts that they share.
//!
//! The definition of what all of it must compute is the interpreter of `rmt-vm`; the tests
//! compare with it on the evaluator of `rtl-builder`.

pub mod bits;
pub mod card;
pub mod config;
pub mod context;
pub mod control;
mod counters;
pub mod engine;
mod event;
pub mod host;
pub mod map;
pub mod matching;
mod memory;
pub mod pcie;
#[cfg(test)]
mod proofs;
pub mod queue;
#[cfg(test)]
mod reference;
pub mod serial;
pub mod signals;
pub mod tlp;
pub mod top;
pub mod units;

pub use config::CoreConfig;

use rmt_isa::card::ShapeError;
use rtl_builder::prelude::Design;

/// Why no core was generated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration breaks a rule.
    #[error(transparent)]
    Config(#[from] ShapeError),
    /// The description itself is wrong: a defect of this crate.
    #[error("the core's description is wrong, please report it: {0}")]
    Description(#[from] rtl_builder::error::Error),
}

/// A generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerilogFile {
    /// File name: the module's name and `.sv`.
    pub name: String,
    /// Content.
    pub text: String,
}

/// The Verilog of a core, one file for each module; the top module is [`top::TOP`].
///
/// # Errors
/// [`Error::Config`] when the configuration breaks a rule.
pub fn generate(config: &CoreConfig) -> Result<Vec<VerilogFile>, Error> {
    let files = elaborate(config)?.files();
    Ok(files.into_iter().map(|(name, text)| VerilogFile { name, text }).collect())
}

/// The checked design of a core, with its ports as data, for the evaluator or for Verilog. Its top module is
/// [`top::TOP`].
///
/// # Errors
/// [`Error::Config`] when the configuration breaks a rule.
pub fn elaborate(config: &CoreConfig) -> Result<Design, Error> {
    config.check()?;
    Ok(rtl_builder::prelude::elaborate(top::Core { shape: config.shape().clone() })?)
}

/// The checked design of a whole card: the core behind queue pairs and a PCIe endpoint. Its top module is
/// [`card::TOP`].
///
/// # Errors
/// [`Error::Config`] when the configuration breaks a rule.
pub fn elaborate_card(config: &CoreConfig) -> Result<Design, Error> {
    config.check()?;
    Ok(rtl_builder::prelude::elaborate(card::Card { shape: config.shape().clone() })?)
}

/// The checked design of a card behind a serial line, with `clocks_per_bit` cycles a bit. Its top module is
/// [`serial::card::TOP`].
///
/// # Errors
/// [`Error::Config`] when the configuration breaks a rule.
pub fn elaborate_serial_card(config: &CoreConfig, clocks_per_bit: u32) -> Result<Design, Error> {
    config.check()?;
    let shape = config.shape().clone();
    Ok(rtl_builder::prelude::elaborate(serial::card::SerialCard { shape, clocks_per_bit })?)
}

/// The checked design of a card whose clock is not that of its PCIe block. Its top module is
/// [`pcie::card::TOP`], with the ports of [`elaborate_card`]'s in the block's clock domain.
///
/// # Errors
/// [`Error::Config`] when the configuration breaks a rule.
pub fn elaborate_pcie_card(config: &CoreConfig) -> Result<Design, Error> {
    config.check()?;
    let shape = config.shape().clone();
    Ok(rtl_builder::prelude::elaborate(pcie::card::PcieCard { shape })?)
}
