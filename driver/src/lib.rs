//! Userspace driver of the RMT card.
//!
//! From the bottom to the top:
//!
//! - [`device`]: what the driver needs of a card and of the machine around it, as a trait.
//!   [`vfio`] is a real or virtual card behind VFIO, [`served`] a virtual one behind its socket,
//!   [`serial`] a card on a serial line, [`mock`] a card in memory that records what was done to it;
//!   a simulated card in the same process is another implementation, outside. [`process`] is memory
//!   for those that reach it through software.
//! - [`memory`]: memory that both sides see, and mapped registers: the only module with `unsafe`,
//!   but for the calls into C of [`shim::host`].
//! - [`card`]: finds out what the card is, resets it, reads its state; [`admin`] is its admin
//!   queue, by which a program is installed.
//! - [`queue`]: a queue pair, polled: events in, decisions out, without allocation; each event ends
//!   with a decision or with the reason why there is none.
//! - [`decide`]: an answer within a bound, from the card or from the caller's own fallback.
//! - [`future`]: the same for tokio: an event is a future of its answer.
//! - [`discovery`], [`binding`], [`lock`]: which cards there are, which driver has them, who owns
//!   them; [`config`]: what can be set.
//! - [`shim`]: the kernel module: events of kernel hooks, their answers, modes and counters.
//!
//! Registers and records are those of [`rmt_isa::device`] and [`rmt_isa::shim`]; nothing is repeated here.

pub mod admin;
pub mod binding;
pub mod card;
pub mod config;
pub mod decide;
pub mod device;
pub mod discovery;
pub mod error;
pub mod future;
pub mod lock;
pub mod memory;
pub mod mock;
pub mod process;
pub mod queue;
pub mod serial;
pub mod served;
pub mod shim;
pub mod vfio;

pub use card::Card;
pub use config::{QueueConfig, Transport};
pub use decide::{Answer, Decider, Source};
pub use device::Device;
pub use error::DriverError;
pub use queue::{Ended, Miss, QueuePair, Ticket};
