//! A virtual machine with a stock Debian kernel, for what only a real kernel can show: that it
//! finds the card, that VFIO and the IOMMU let the driver work and keep a stray access out.
//!
//! - [`mirror`] asks apt where this machine gets Debian's packages from.
//! - [`system`] is the set-up: QEMU, kernel and tools, unpacked once into a cache folder by
//!   `guest/setup.sh`, whose text names the cache entry. Nothing is installed into this machine.
//!   It also builds kernel modules, with the kernel's own compiler and headers.
//! - [`initramfs`] builds the guest's whole file system: busybox, kernel modules, a program of
//!   the host with its libraries, and files; [`archive`] is the format that the kernel unpacks.
//! - [`machine`] boots it with the IOMMU on and, if asked, a vfio-user card behind a root port,
//!   and returns the verdict within a bounded time.
//!
//! Instructions are emulated (TCG): this needs no right to use a hypervisor, and runs in CI.

pub mod archive;
pub mod error;
pub mod initramfs;
pub mod machine;
pub mod mirror;
mod module;
pub mod system;

pub use error::GuestError;
pub use initramfs::Initramfs;
pub use machine::{Machine, Verdict};
pub use system::System;
