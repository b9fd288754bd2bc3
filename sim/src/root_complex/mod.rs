//! The host side of the card's PCIe link: a root complex with memory, as a model in Rust.
//!
//! ```text
//!  driver, vfio-user server ─CardBus─► LinkedCard ─pins─► card (Verilated or evaluated)
//!                                          │
//!  pages, guest memory ◄───HostMemory──────┘
//! ```
//!
//! - [`interface`]: what stands on either side: [`CardBus`] is a card as its driver or a
//!   vfio-user server reaches it, [`HostMemory`] is what the card reaches.
//! - [`linked`]: [`LinkedCard`] sends and receives packets, cycle by cycle, and holds the card to
//!   the rules of the link: a packet that breaks one is an error.
//! - [`pins`]: the card's ports. Packets are those of [`rmt_isa::device::packet`].
//! - [`behaviour`]: latency, liberties and faults of the host. [`memory`]: pages behind a map.
//! - [`round_trip`]: what the time of an event is made of, computed beforehand.

pub mod behaviour;
pub mod error;
pub mod interface;
pub mod linked;
pub mod memory;
pub mod pins;
pub mod round_trip;

pub use behaviour::{Latency, Liberties, ReadFault};
pub use error::LinkError;
pub use interface::{CardBus, ConfigState, DmaFault, HostMemory};
pub use linked::{LinkedCard, Traffic};
pub use memory::PagedMemory;
pub use pins::{EvaluatedLink, LinkPins, OwnClock, VerilatedLink};
pub use rmt_isa::device::packet;
