//! The card in a clock domain of its own, beside the one that a PCIe block makes.
//!
//! ```text
//!  domain of the link (link_clk)        domain of the card (clk)
//!  rx ────────► queue ─────────────────────────► card
//!  sideband ──► changes ─► queue ─► register ──────►│
//!  tx ◄──────── queue ◄─────────────────────────────┘
//! ```
//!
//! A PCIe block's clock follows from lanes and generation; the card's is what its longest way allows. Neither
//! has to be a multiple of the other. A packet waits for two edges of the clock that it goes to, each way.
//!
//! - [`sideband`]: what configuration space says, as a whole. [`card`]: the top module.

pub mod card;
pub mod sideband;
#[cfg(test)]
mod tests;

use rtl_builder::prelude::*;

/// The clock domain of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link;

impl Domain for Link {
    const NAME: &'static str = "link";
    const CLOCK: &'static str = "link_clk";
    const RESET: &'static str = "link_rst";
}
