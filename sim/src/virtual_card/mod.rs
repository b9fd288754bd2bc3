//! The virtual card: a vfio-user server, which QEMU shows to a guest as a PCIe card.
//!
//! - [`configuration`] is the card's PCI configuration space, with what a write to it causes.
//! - [`guest_memory`] is the memory that the client has mapped for the card: where DMA goes.
//! - [`simulation`] runs the simulated card on a thread of its own, in front of it a queue of
//!   accesses; interrupts leave by event descriptors.
//! - [`function`] joins them to what a vfio-user server must do; [`server`] speaks the protocol, by
//!   crate `vfio_user`.
//!
//! Every access to a BAR, every DMA and every interrupt passes the simulated card as packets: the
//! server knows its registers only to fill the MSI-X table, which the client keeps to itself.

pub mod configuration;
pub mod function;
pub mod guest_memory;
pub mod server;
pub mod simulation;

pub use guest_memory::{GuestMemory, SharedMemory};
pub use server::{ServeError, serve};
