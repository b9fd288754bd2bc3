//! The bring-up link: the card behind a serial line, for boards without PCIe.
//!
//! ```text
//!  serial_in ─► UART ─► unpack ─► rx ─┐           frames and check sums:
//!                         │ link      ▼           rmt_isa::device::serial
//!                         ▼       the card
//!                      sideband       │
//!  serial_out ◄─ UART ◄─ pack ◄─ tx ◄─┘
//! ```
//!
//! The card does not know of it: endpoint, queues and driver are those of PCIe, and what
//! configuration space holds comes in a frame of its own.
//!
//! - [`unpack`]: frames of the host become packets. [`pack`]: packets of the card become frames.
//! - [`card`]: the top module of such a card.

pub mod card;
pub mod pack;
#[cfg(test)]
mod tests;
pub mod unpack;

use rmt_isa::device::serial::CRC_POLYNOMIAL;
use rtl_builder::prelude::*;

/// A byte of a frame.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct FrameByte {
    /// The byte
    pub byte: UInt,
    /// In place of a byte: the frame ends
    pub end: Bool,
}

impl FrameByte {
    /// The shape.
    pub fn shape() -> Self {
        Self { byte: uint(8), end: boolean() }
    }
}

/// The check sum continued with a byte, as [`rmt_isa::device::serial::crc`] says.
pub(crate) fn crc(sum: UInt, byte: UInt) -> UInt {
    let mut sum = sum;
    for bit in (0..8).rev() {
        let feedback = sum.bit(15) ^ byte.bit(bit);
        let shifted = sum.bits(0..15).concat(UInt::lit(0, 1));
        sum = mux(feedback, shifted ^ UInt::lit(CRC_POLYNOMIAL.into(), 16), shifted);
    }
    sum
}
