//! Stock components: small, tested, and written as an author would write them.
//!
//! Queues and buffers store the payload packed, so that all payloads of one width share a module; the functions of the
//! same name in lower case ([`fifo()`], [`skid()`]) place an instance and pack and unpack at its ports.

mod arbiter;
mod counter;
mod cross;
mod fifo;
mod multiply;
mod phases;
mod priority;
mod skid;
pub mod stream;
mod uart;

pub use arbiter::{RoundRobinArbiter, RoundRobinArbiterIo, StreamMerge, StreamMergeIo};
pub use counter::{Counter, CounterIo};
pub use cross::{AsyncFifo, AsyncFifoIo, Sync2, Sync2Io};
pub use fifo::{BlockFifo, Fifo, FifoIo, Queue, block_fifo, fifo};
pub use multiply::{multiply_signed, multiply_unsigned};
pub use phases::Phases;
pub use priority::{PriorityEncoder, PriorityEncoderIo, lowest_set};
pub use skid::{SkidBuffer, SkidBufferIo, skid};
pub use uart::{UartReceiver, UartReceiverIo, UartTransmitter, UartTransmitterIo};
