//! The kernel shim: what its module and the daemon must agree on.
//!
//! - [`hooks`]: the kernel's decision points that the module can attach to, and their events.
//! - [`layout`]: the memory that module and daemon share, `mmap` of [`DEVICE_PATH`].
//! - [`control`]: modes, counters and the `ioctl` calls of the device.
//! - [`ring`]: the arithmetic of rings and decision slots that both sides share.
//! - [`page`] and [`c_header`] print all of it for people and for C.
//!
//! Life of an event: a hook fires on a processor; the module writes the 64-byte event of
//! [`crate::event`] into that processor's event ring and moves `EVENT_TAIL`. The daemon takes it,
//! has it decided, and writes the 32-byte decision into the decision slot that the event's tag
//! names, tag last. When the hooked function returns, the module looks into that slot (waiting at
//! most the hook's budget where the mode lets it use the answer), and writes an outcome: what the
//! kernel decided, what the program decided in time, and which of the two was used.
//!
//! Each ring has one producer and one consumer, and each word of the shared memory one writer.
//! The module keeps copies of its own words and believes nothing that it reads from shared
//! memory: a daemon gone mad can only lose its own events.

pub mod control;
mod header;
pub mod hooks;
pub mod layout;
mod reference;
pub mod ring;

pub use control::{Counter, Demotion, Ioctl, Mode};
pub use header::c_header;
pub use hooks::{HOOKS, KernelHook};
pub use reference::page;

/// The character device of the module.
pub const DEVICE_PATH: &str = "/dev/rmt";
/// First word of the shared memory: `RMTSHIM` and a zero byte, little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"RMTSHIM\0");
/// Version of this contract.
pub const VERSION: u32 = 1;
/// Smallest binary logarithm of the number of places of a ring.
pub const MIN_RING_LOG2: u32 = 6;
/// Largest binary logarithm of the number of places of a ring.
pub const MAX_RING_LOG2: u32 = 16;
/// Binary logarithm of the number of places of a ring, unless the module is told otherwise.
pub const DEFAULT_RING_LOG2: u32 = 10;
/// Longest time that a hook may be made to wait for an answer, ns.
pub const MAX_BUDGET_NS: u32 = 200_000;
/// Time that a hook waits for an answer unless told otherwise, ns.
pub const DEFAULT_BUDGET_NS: u32 = 5_000;
/// `ANSWER_NS` of an outcome without an answer in time.
pub const NO_ANSWER: u32 = u32::MAX;
