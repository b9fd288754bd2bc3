//! What can go wrong, each with the command that mends it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rmt_isa::card::ShapeError;
use rmt_isa::device::{AdminOpcode, AdminStatus, QueueError};

/// Why the card cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// There is no such card.
    #[error("there is no RMT card at {address}; `rmt card list` shows those that there are")]
    NoSuchCard {
        /// The PCI address asked for.
        address: String,
    },
    /// There is none at all.
    #[error(
        "this machine has no RMT card (PCI {vendor:04x}:{device:04x}); `rmt card test --simulated` uses a simulated one"
    )]
    NoCard {
        /// Vendor id looked for.
        vendor: u16,
        /// Device id looked for.
        device: u16,
    },
    /// The card is in no IOMMU group.
    #[error(
        "card {address} is in no IOMMU group, so VFIO cannot give it to a process; boot with `intel_iommu=on` (AMD: `amd_iommu=on`) and switch the IOMMU on in the firmware's set-up"
    )]
    NoIommu {
        /// The card.
        address: String,
    },
    /// Another driver has it, or none.
    #[error(
        "card {address} is bound to {}, not to vfio-pci; run as root: rmt card bind {address}", driver.as_deref().unwrap_or("no driver")
    )]
    WrongDriver {
        /// The card.
        address: String,
        /// The driver, if any.
        driver: Option<String>,
    },
    /// The group's file cannot be opened.
    #[error("no permission to open {}: run as root, or give it to this user: chown $USER {0}", path.display())]
    NoPermission {
        /// The file.
        path: PathBuf,
    },
    /// Another process owns the card.
    #[error("card {address} is used by {owner}; stop that process first{}", .hint)]
    InUse {
        /// The card.
        address: String,
        /// Who it is.
        owner: String,
        /// How, when known.
        hint: String,
    },
    /// A file cannot be used.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// VFIO refused.
    #[error("VFIO: {doing}: {reason}")]
    Vfio {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        reason: String,
    },
    /// No virtual card behind a socket.
    #[error(
        "no virtual card at {}: {reason}; start one: rmt card serve --socket {0}", socket.display()
    )]
    Served {
        /// The socket.
        socket: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// The card on a serial line.
    #[error("the card on {name}: {reason}")]
    Line {
        /// The port.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Memory for the card.
    #[error(
        "cannot give the card {bytes} bytes of memory: {reason}; see `ulimit -l`, the limit of locked memory"
    )]
    Memory {
        /// How many.
        bytes: usize,
        /// What the system said.
        reason: String,
    },
    /// The registers are not those of a card.
    #[error(
        "{name} answers {found:#018x} where a card has its magic number; if all are f the card is gone or its memory is off: rescan with `echo 1 > /sys/bus/pci/rescan`, then `rmt card info`"
    )]
    NotACard {
        /// The card.
        name: String,
        /// What it answered.
        found: u64,
    },
    /// Another register contract.
    #[error(
        "{name} speaks version {found} of the register contract, this driver version {expected}; use the driver that the card was generated with, or generate and load a card of this driver: rmt gen --card -o build/card"
    )]
    WrongVersion {
        /// The card.
        name: String,
        /// Its version.
        found: u32,
        /// The driver's.
        expected: u32,
    },
    /// Its capability words.
    #[error("{name}: {source}")]
    Shape {
        /// The card.
        name: String,
        /// What is wrong.
        source: ShapeError,
    },
    /// The card has another configuration than asked for.
    #[error(
        "{name} was built with another configuration than asked for: {difference}; `rmt card info` shows what it has, `rmt gen` makes another"
    )]
    OtherConfiguration {
        /// The card.
        name: String,
        /// The first parameter that differs.
        difference: String,
    },
    /// The card does not answer any more.
    #[error(
        "{name} is gone: its registers read as all ones; look at the slot and run `echo 1 > /sys/bus/pci/rescan`"
    )]
    Lost {
        /// The card.
        name: String,
    },
    /// Something took too long.
    #[error("{name}: {what} took longer than {} ms; reset the card: rmt card reset", limit.as_millis())]
    Timeout {
        /// The card.
        name: String,
        /// What.
        what: &'static str,
        /// The bound.
        limit: Duration,
    },
    /// An admin command failed.
    #[error("{name}: admin command {opcode} ended with {status}: {}", status.doc())]
    Admin {
        /// The card.
        name: String,
        /// The command.
        opcode: AdminOpcode,
        /// How it ended.
        status: AdminStatus,
    },
    /// What the card wrote into a ring is no record.
    #[error("{name}: {reason}")]
    BadRecord {
        /// The card.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A queue pair failed.
    #[error("{name}: queue pair {pair} stopped: {}", error.doc())]
    Queue {
        /// The card.
        name: String,
        /// The pair.
        pair: u32,
        /// Why.
        error: QueueError,
    },
    /// The card has no such queue pair.
    #[error("{name} has {has} queue pairs; there is no pair {pair}")]
    NoSuchQueue {
        /// The card.
        name: String,
        /// Asked for.
        pair: u32,
        /// How many it has.
        has: u32,
    },
    /// A setting out of range.
    #[error("setting `{setting}` is {found}; it must be {rule}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        found: u64,
        /// What it must be.
        rule: String,
    },
    /// An interrupt that is not there.
    #[error("{name} has {has} interrupts, {asked} were asked for")]
    NoSuchInterrupt {
        /// The card.
        name: String,
        /// How many it has.
        has: u32,
        /// How many were asked for.
        asked: u32,
    },
    /// Nothing that an event loop could wait for.
    #[error(
        "the interrupts of {name} cannot wake an event loop: nothing happens on it between two accesses; look at its rings instead: AsyncQueue::drive"
    )]
    NoInterruptDescriptor {
        /// The card.
        name: String,
    },
    /// The event loop does not take the descriptor.
    #[error(
        "cannot wait for the interrupts of {name}: {source}; look at its rings instead: AsyncQueue::drive"
    )]
    EventLoop {
        /// The card.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// A model in this process failed.
    #[error("the simulated card failed: {0}")]
    Simulation(String),
}

impl DriverError {
    /// For `map_err`: a file cannot be used.
    pub(crate) fn file(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
