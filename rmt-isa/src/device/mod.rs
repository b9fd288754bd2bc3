//! The card as a PCIe device: what a driver, a virtual card and the RTL must agree on.
//!
//! - [`pci`]: ids and base address registers.
//! - [`registers`]: every register with its place, one table; [`fields`]: the bits in them.
//! - [`codes`]: errors of queue pairs, admin commands and how they end.
//! - [`admin`]: the 64-byte admin command and its completion.
//! - [`ring`]: the arithmetic of rings that both sides share: indices, phase bit, the line of an
//!   inline event.
//! - [`packet`]: transactions of the link, as values and as DWs; [`serial`]: how they are framed on a
//!   serial line.
//! - [`page`] and [`c_header`] print all of it for people and for C.
//!
//! Life of an event: the driver writes its 64 bytes to the inline window of its queue pair (one
//! write transaction), or into the pair's event ring and then the doorbell `EVENT_TAIL`. The card
//! writes the 32-byte decision of [`crate::event`] into the pair's completion ring (one write
//! transaction) and, if asked, an interrupt.
//!
//! All indices count records since the pair was enabled, modulo 65536; the place in a ring is
//! the index modulo the ring's size.

pub mod admin;
pub mod codes;
pub mod fields;
mod header;
pub mod packet;
pub mod pci;
mod reference;
pub mod registers;
pub mod ring;
pub mod serial;

pub use admin::{AdminCommand, AdminCompletion};
pub use codes::{AdminOpcode, AdminStatus, QueueError};
pub use header::c_header;
pub use reference::page;

/// Version of this contract; the PCI revision id and the register `VERSION`.
pub const VERSION: u32 = 1;
/// Most queue pairs that a card can have.
pub const MAX_QUEUES: u32 = 16;
/// Smallest binary logarithm of a ring's size.
pub const MIN_RING_LOG2: u32 = 4;
/// Largest binary logarithm of a ring's size.
pub const MAX_RING_LOG2: u32 = 12;
/// Alignment of rings in host memory, bytes.
pub const RING_ALIGNMENT: u64 = 4096;
/// Events that one read of the card fetches at most: 512 bytes.
pub const FETCH_EVENTS: u32 = 8;
/// Cycles of one unit of the moderation time.
pub const MODERATION_CYCLES: u32 = 16;
/// Cycles after which the card gives up on a read of host memory, after reset.
pub const READ_TIMEOUT_CYCLES: u32 = 12_500_000;
/// Cycles that the core may take to answer one access to its words.
pub const CORE_TIMEOUT_CYCLES: u32 = 65_536;
