//! Modes, counters and the `ioctl` calls of the device.

use crate::device::codes::codes;

codes! {
    /// What a hook does.
    Mode: u8 {
        /// Nothing: the kernel decides, no event is sent.
        Off = 0, "off";
        /// Both decide, the kernel's answer is used.
        Shadow = 1, "shadow";
        /// The program's answer is used where it cannot do harm: it may keep a task, read less of a file ahead, prefetch pages beside the kernel's read-ahead.
        Advise = 2, "advise";
        /// The program's answer is used wherever no hard rule of the kernel forbids it.
        Act = 3, "act";
    }
    /// Why the module put a hook off by itself.
    Demotion: u8 {
        /// It did not.
        None = 0, "none";
        /// Too few answers of a window agreed with the kernel's.
        Accuracy = 1, "accuracy";
        /// Too many answers of a window came late or not at all.
        Latency = 2, "latency";
        /// Too many answers of a window were errors.
        Errors = 3, "errors";
        /// The daemon went away.
        DaemonGone = 4, "daemon-gone";
        /// The kill switch was used.
        Killed = 5, "killed";
    }
    /// What the module counts, for each hook.
    Counter: u16 {
        /// Calls of the hooked function that the module saw.
        Calls = 0, "calls";
        /// Calls while the hook was off, without daemon, or of another key than asked for.
        Bypassed = 1, "bypassed";
        /// Calls that have no event: no process behind them, for example.
        Unfit = 2, "unfit";
        /// Calls that found the event ring full.
        RingFull = 3, "ring-full";
        /// Events sent.
        Sent = 4, "sent";
        /// Events answered before the hook ended (where the hook waits for nothing: answered at all).
        InTime = 5, "in-time";
        /// Events answered after the hook had ended; the answer was dropped.
        Late = 6, "late";
        /// Events that were never answered.
        Unanswered = 7, "unanswered";
        /// Answers that were used.
        Used = 8, "used";
        /// Answers that were used and differed from the kernel's.
        Changed = 9, "changed";
        /// Answers that a hard rule of the kernel, or the mode, kept from being used.
        Overruled = 10, "overruled";
        /// Answers, in time or late, that agreed with the kernel's.
        Agreed = 11, "agreed";
        /// Answers, in time or late, that differed from the kernel's.
        Disagreed = 12, "disagreed";
        /// Answers that left the decision to the kernel.
        Abstained = 13, "abstained";
        /// Answers with the status of an error.
        Errors = 14, "errors";
        /// Outcomes that found their ring full.
        OutcomesLost = 15, "outcomes-lost";
        /// Wake-ups of a sleeping daemon.
        Wakeups = 16, "wakeups";
        /// Time that hooks waited for answers, ns.
        WaitNs = 17, "wait-ns";
        /// Times that the module put the hook off by itself.
        Demotions = 18, "demotions";
        /// Calls whose return could not be followed, as the kernel's probe counts them; not among `calls`.
        Unseen = 19, "unseen";
    }
}

/// Settings of a hook, for [`Ioctl::SetHook`] and [`Ioctl::GetHook`].
pub mod settings_layout {
    use crate::event::{WireField, wire_fields};
    wire_fields! {
        /// All fields.
        SETTINGS_FIELDS:
        /// The hook's number.
        HOOK @ 0, 2;
        /// Its mode.
        MODE @ 2, 1;
        /// Why it was put off; written by the module only.
        DEMOTION @ 3, 1;
        /// Longest time that the hook waits for an answer, ns.
        BUDGET_NS @ 4, 4;
        /// Events of a window, on each processor; 0: nothing is watched.
        WINDOW @ 8, 4;
        /// Least share of agreeing answers of a window, in thousandths; 0: not watched.
        MIN_AGREEMENT @ 12, 2;
        /// Greatest share of late and missing answers of a window, in thousandths; 1000: not watched.
        MAX_LATE @ 14, 2;
        /// Greatest number of errors of a window.
        MAX_ERRORS @ 16, 4;
        /// Reserved, zero.
        RESERVED @ 20, 4;
        /// Events of this key only; 0: of all keys.
        KEY @ 24, 8;
    }
    /// Bytes of the settings.
    pub const SETTINGS_BYTES: usize = 32;
}

/// Counters of a hook, for [`Ioctl::GetCounters`].
pub mod counters_layout {
    use super::Counter;
    /// First byte of the hook's number, 2 bytes.
    pub const HOOK_OFFSET: usize = 0;
    /// First byte of counter 0; each has 8 bytes.
    pub const COUNTERS_OFFSET: usize = 8;
    /// Bytes of the record.
    pub const COUNTERS_BYTES: usize = COUNTERS_OFFSET + 8 * Counter::ALL.len();
}

/// The letter of the calls' numbers.
pub const IOCTL_LETTER: u8 = b'R';

macro_rules! ioctls {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal, $direction:literal, $bytes:expr;)*) => {
        /// A call of the device.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Ioctl {
            $($(#[doc = $doc])* $name,)*
        }

        impl Ioctl {
            /// All calls.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The number for the system call, as the kernel's `_IOC` makes it.
            pub const fn number(self) -> u32 {
                let (number, direction, bytes): (u32, u32, usize) = match self {
                    $(Self::$name => ($number, $direction, $bytes),)*
                };
                direction << 30 | (bytes as u32) << 16 | (IOCTL_LETTER as u32) << 8 | number
            }

            /// Name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Meaning.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*),)*
                }
            }
        }
    };
}

// Directions as in the kernel's `_IOC`: 0 nothing, 1 to the module, 3 both ways.
ioctls! {
    /// Makes the caller the daemon: empties all rings, and closing the file puts all hooks off. `EBUSY` while there is another daemon.
    Attach = 0, 0, 0;
    /// Puts all hooks off.
    Kill = 1, 0, 0;
    /// Changes a hook's settings. Only this raises a mode. `EINVAL` for values out of range, `ENOLINK` for a mode other than off without a daemon, `EOPNOTSUPP` where this kernel lacks the function or a field.
    SetHook = 2, 1, settings_layout::SETTINGS_BYTES;
    /// Reads the settings of the hook whose number is given.
    GetHook = 3, 3, settings_layout::SETTINGS_BYTES;
    /// Reads the counters of the hook whose number is given.
    GetCounters = 4, 3, counters_layout::COUNTERS_BYTES;
}

/// Settings of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The hook's number.
    pub hook: u16,
    /// Its mode.
    pub mode: Mode,
    /// Why the module put it off; ignored when settings are given to the module.
    pub demotion: Demotion,
    /// Longest time that the hook waits for an answer, ns.
    pub budget_ns: u32,
    /// Events of a window, on each processor; 0: nothing is watched.
    pub window: u32,
    /// Least share of agreeing answers of a window, in thousandths; 0: not watched.
    pub min_agreement: u16,
    /// Greatest share of late and missing answers of a window, in thousandths.
    pub max_late: u16,
    /// Greatest number of errors of a window.
    pub max_errors: u32,
    /// Events of this key only; 0: of all keys.
    pub key: u64,
}

impl Settings {
    /// A mode with the default budget, and nothing watched.
    pub const fn unwatched(hook: u16, mode: Mode) -> Self {
        Self {
            hook,
            mode,
            demotion: Demotion::None,
            budget_ns: super::DEFAULT_BUDGET_NS,
            window: 0,
            min_agreement: 0,
            max_late: 1000,
            max_errors: u32::MAX,
            key: 0,
        }
    }

    /// The bytes for the call.
    pub fn to_bytes(self) -> [u8; settings_layout::SETTINGS_BYTES] {
        let mut bytes = [0; settings_layout::SETTINGS_BYTES];
        bytes[0..2].copy_from_slice(&self.hook.to_le_bytes());
        bytes[2] = self.mode as u8;
        bytes[3] = self.demotion as u8;
        bytes[4..8].copy_from_slice(&self.budget_ns.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.window.to_le_bytes());
        bytes[12..14].copy_from_slice(&self.min_agreement.to_le_bytes());
        bytes[14..16].copy_from_slice(&self.max_late.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.max_errors.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.key.to_le_bytes());
        bytes
    }

    /// The settings of the call's bytes; `None` when a number has no meaning.
    pub fn from_bytes(bytes: &[u8; settings_layout::SETTINGS_BYTES]) -> Option<Self> {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        Some(Self {
            hook: half(0),
            mode: Mode::from_number(bytes[2])?,
            demotion: Demotion::from_number(bytes[3])?,
            budget_ns: word(4),
            window: word(8),
            min_agreement: half(12),
            max_late: half(14),
            max_errors: word(16),
            key: u64::from(word(24)) | u64::from(word(28)) << 32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_the_call() {
        let settings = Settings {
            window: 256,
            min_agreement: 900,
            max_errors: 3,
            key: 0x1_0000_0001,
            ..Settings::unwatched(2, Mode::Act)
        };
        assert_eq!(Settings::from_bytes(&settings.to_bytes()), Some(settings));
        let mut bytes = settings.to_bytes();
        bytes[2] = 9;
        assert_eq!(Settings::from_bytes(&bytes), None);
        let end = settings_layout::SETTINGS_FIELDS.iter().fold(0, |end, field| {
            assert_eq!(field.offset, end, "{}", field.name);
            end + field.bytes
        });
        assert_eq!(end, settings_layout::SETTINGS_BYTES);
    }

    #[test]
    fn call_numbers_are_those_of_the_kernels_macros() {
        // _IO('R', 0), _IOW('R', 2, 32 bytes), _IOWR('R', 3, 32 bytes)
        assert_eq!(Ioctl::Attach.number(), 0x5200);
        assert_eq!(Ioctl::SetHook.number(), 0x4020_5202);
        assert_eq!(Ioctl::GetHook.number(), 0xc020_5203);
        // Counters are indexed by their number.
        for (index, &counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(counter as usize, index);
        }
    }
}
