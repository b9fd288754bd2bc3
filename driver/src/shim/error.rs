//! What can go wrong between a process and the kernel module.

use std::io;

use rmt_isa::shim;
use rmt_isa::shim::control::{Ioctl, Mode};

/// Why the kernel module cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The device is not there.
    #[error(
        "there is no {}: the kernel module is not loaded; `rmt kernel build`, then `insmod rmt_shim.ko`",
        shim::DEVICE_PATH
    )]
    NotLoaded,
    /// The caller may not.
    #[error("{} is for root: run this as root", shim::DEVICE_PATH)]
    NoPermission,
    /// There is a daemon already.
    #[error(
        "another process is the daemon of {}; stop it first (`rmt kernel status` shows the hooks)",
        shim::DEVICE_PATH
    )]
    Busy,
    /// The module speaks another version.
    #[error(
        "the kernel module {found}, this program speaks version {}; build it anew: `rmt kernel build`",
        shim::VERSION
    )]
    OtherVersion {
        /// What it says of itself.
        found: String,
    },
    /// A hook cannot be raised without a daemon.
    #[error("no daemon is attached, so no hook can be put to {mode}; start one: `rmt serve`")]
    NoDaemon {
        /// The mode asked for.
        mode: Mode,
    },
    /// This kernel lacks what the hook needs.
    #[error(
        "this kernel lacks the function of hook {hook}, or a field that it reads; `dmesg` names it"
    )]
    Unsupported {
        /// The hook's number.
        hook: u16,
    },
    /// Settings out of range.
    #[error(
        "the module refuses the settings of hook {hook}: number, budget (at most {} ns) or a share (at most 1000) is out of range",
        shim::MAX_BUDGET_NS
    )]
    BadSettings {
        /// The hook's number.
        hook: u16,
    },
    /// Anything else that the system said.
    #[error("{doing} {}: {source}", shim::DEVICE_PATH)]
    System {
        /// What was tried.
        doing: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl ShimError {
    /// The error of opening, mapping or polling the device.
    pub(super) fn of_file(doing: &'static str, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotLoaded,
            io::ErrorKind::PermissionDenied => Self::NoPermission,
            _ => Self::System { doing, source },
        }
    }

    /// The error of a call that concerns a hook.
    pub(super) fn of_call(call: Ioctl, hook: u16, mode: Mode, source: io::Error) -> Self {
        use rustix::io::Errno;
        match Errno::from_io_error(&source) {
            Some(Errno::PERM) => Self::NoPermission,
            Some(Errno::BUSY) => Self::Busy,
            Some(Errno::NOLINK) => Self::NoDaemon { mode },
            Some(Errno::OPNOTSUPP) => Self::Unsupported { hook },
            Some(Errno::INVAL) => Self::BadSettings { hook },
            _ => Self::System { doing: call.name(), source },
        }
    }
}
