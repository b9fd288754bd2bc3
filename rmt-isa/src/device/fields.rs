//! Bit fields of the registers, each defined once.

use crate::card::fields::{BitField, WordLayout, words};

words! {
    /// Register `CONTROL`.
    device_control {
        /// Writing 1 resets the function: pairs stop, the core and all registers return to their reset values. Until that is done all registers read as zero; then `READY` is 1.
        RESET = 0, 1;
    }
    /// Register `STATUS`.
    device_status {
        /// The reset is over.
        READY = 0, 1;
        /// The host allows memory requests; without it the card sends none.
        BUS_MASTER = 1, 1;
        /// The host has enabled MSI-X.
        MSIX_ENABLED = 2, 1;
        /// No event is inside the card, no read and no admin command under way.
        IDLE = 3, 1;
    }
    /// Register `ERRORS`: what happened since the bits were last cleared.
    device_errors {
        /// A queue pair failed; see `FAILED_PAIRS`.
        PAIR = 0, 1;
        /// The admin queue failed; see its status.
        ADMIN = 1, 1;
        /// A request was answered with `unsupported request`, or dropped where no answer is due.
        UNSUPPORTED = 2, 1;
        /// A poisoned write or completion came; its data was not used.
        POISONED = 3, 1;
        /// A completion came that no read waits for.
        UNEXPECTED = 4, 1;
        /// A read got no answer in time.
        TIMEOUT = 5, 1;
        /// A packet could not be decoded.
        MALFORMED = 6, 1;
        /// The core did not answer an access to its words in time.
        CORE_TIMEOUT = 7, 1;
    }
    /// Register `RINGS` of a queue pair.
    pair_rings {
        /// Binary logarithm of the number of events in the event ring, 4 to 12.
        EVENT_LOG2 = 0, 4;
        /// Binary logarithm of the number of decisions in the completion ring, 4 to 12.
        COMPLETION_LOG2 = 8, 4;
    }
    /// Register `INTERRUPT` of a queue pair.
    pair_interrupt {
        /// MSI-X vector.
        VECTOR = 0, 8;
        /// Decisions raise interrupts; without it the driver polls.
        ENABLE = 31, 1;
    }
    /// Register `MODERATION` of a queue pair: an interrupt is raised when either bound is reached.
    pair_moderation {
        /// Decisions since the last interrupt; 0 means 1.
        DECISIONS = 0, 16;
        /// Time since the first of them, in units of 16 cycles; 0 means no bound.
        TIME = 16, 16;
    }
    /// Register `DOMAIN` of a queue pair.
    pair_domain {
        /// Number of the protection domain, chosen by the control plane; the card keeps it for the owner to read.
        DOMAIN = 0, 16;
    }
    /// Register `HOOKS` of a queue pair: hooks whose events the pair may send.
    pair_hooks {
        /// First hook.
        HOOK0 = 0, 16;
        /// Second hook.
        HOOK1 = 16, 16;
        /// Third hook.
        HOOK2 = 32, 16;
        /// Fourth hook.
        HOOK3 = 48, 16;
    }
    /// Register `PAIR_CONTROL`.
    pair_control {
        /// Changing 0 to 1 starts the pair with all indices 0; 0 stops it: events inside end without a decision.
        ENABLE = 0, 1;
        /// How many of the hooks in `HOOKS` are allowed, 0 to 4; an event of another hook ends with status hook-refused.
        HOOK_COUNT = 8, 3;
    }
    /// Register `PAIR_STATUS`.
    pair_status {
        /// The pair takes events.
        RUNNING = 0, 1;
        /// The pair was stopped and events of it are still inside; it can be enabled when this is 0.
        DRAINING = 1, 1;
        /// Why the pair stopped taking events, a `QueueError`; 0 while all is well. Events that were accepted still get their decisions.
        ERROR = 8, 8;
        /// The pair's protection domain.
        DOMAIN = 16, 16;
    }
    /// Word 3 of an entry of the MSI-X table.
    msix_control {
        /// The vector is masked; 1 after reset.
        MASK = 0, 1;
    }
    /// The DW that the host sends on a serial line in place of configuration space.
    serial_link {
        /// The card may send memory requests.
        BUS_MASTER = 0, 1;
        /// MSI-X is enabled.
        MSIX = 1, 1;
        /// The function runs; while 0 it is in reset.
        UP = 2, 1;
        /// Resets the function once.
        RESET = 3, 1;
    }
    /// The card's answer to it.
    serial_status {
        /// Version of the framing.
        VERSION = 0, 8;
        /// Frames that the card dropped because they were damaged or too long, modulo 256.
        DAMAGED = 8, 8;
        /// Bytes that the card lost, modulo 256.
        LOST = 16, 8;
    }
}
