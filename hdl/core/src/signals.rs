//! What passes between the units of the control side.

use rmt_isa::card::regions::{ADDRESS_BITS, Region};
use rtl_builder::prelude::*;

use crate::bits::{any, kept};
use crate::config::Widths;
use crate::event::EVENT_BITS;

/// Bits that tell `r1` to `r4` apart.
pub(crate) const ARGUMENT_BITS: u32 = 2;

/// An access of the host, registered, to all units at once; one comes at a time. With it
/// goes the bank that events use: it changes only while no event runs.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct HostAccess {
    /// A write in this cycle
    pub write: Bool,
    /// A read that waits for its answer
    pub read: Bool,
    /// Word of 64 bits
    pub address: UInt,
    /// What is written
    pub data: UInt,
    /// The bank that is accessed; with one bank always 0
    pub bank: Bool,
    /// The bank that events use; with one bank always 0
    pub active: Bool,
}

impl HostAccess {
    pub(crate) fn shape() -> Self {
        Self {
            write: boolean(),
            read: boolean(),
            address: uint(ADDRESS_BITS),
            data: uint(64),
            bank: boolean(),
            active: boolean(),
        }
    }

    /// The access a cycle later, from registers that a unit has for itself: the host's words reach all units, over the whole
    /// card, and their way there is a cycle of its own. Which bank events use comes at once.
    #[track_caller]
    pub(crate) fn kept_for(self, unit: &str) -> Self {
        Self {
            write: kept_flag(&format!("host_writes_{unit}"), self.write),
            read: kept_flag(&format!("host_reads_{unit}"), self.read),
            address: kept(&format!("host_address_{unit}"), self.address),
            data: kept(&format!("host_data_{unit}"), self.data),
            bank: delayed(format!("host_bank_{unit}"), self.bank),
            active: self.active,
        }
    }

    /// Whether the address is one of the `words` words (a power of two) of a region.
    pub(crate) fn in_region(&self, region: Region, words: u32) -> Bool {
        self.in_range(region.base(), words)
    }

    /// Whether the address is one of the `words` words (a power of two) from `base` on, a
    /// multiple of `words`.
    pub(crate) fn in_range(&self, base: u32, words: u32) -> Bool {
        let bits = words.ilog2();
        self.address.bits(bits..ADDRESS_BITS).eq(base >> bits)
    }

    /// The same of a region, known a cycle before: an access begins a cycle after its address is there.
    #[track_caller]
    pub(crate) fn in_region_before(&self, region: Region, words: u32) -> Bool {
        self.in_range_before(&region.name.to_lowercase(), region.base(), words)
    }

    /// The same of the words from `base` on.
    #[track_caller]
    pub(crate) fn in_range_before(&self, name: &str, base: u32, words: u32) -> Bool {
        delayed(format!("host_in_{name}"), self.in_range(base, words))
    }

    /// The low bits of the address.
    pub(crate) fn index(&self, low: u32, bits: u32) -> UInt {
        self.address.bits(low..low + bits)
    }
}

/// Address of a word in a memory with one or two banks.
pub(crate) fn in_bank(banks: u32, bank: Bool, address: UInt) -> UInt {
    if banks == 1 { address } else { bank.as_uint().concat(address) }
}

/// The answer of a unit to a read of the host.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct HostReply {
    /// The answer is there in this cycle
    pub valid: Bool,
    /// It is the answer to a read; where a write may have to wait, it is known before `valid` is
    pub read: Bool,
    /// What was read
    pub data: UInt,
}

impl HostReply {
    pub(crate) fn shape() -> Self {
        Self { valid: boolean(), read: boolean(), data: uint(64) }
    }

    /// The answer of a unit that answers to reads alone, in this cycle or not.
    pub(crate) fn of_read(valid: Bool, data: UInt) -> Self {
        Self { valid, read: valid, data }
    }

    /// The answer of a unit of several parts, of which one answers in a cycle.
    pub(crate) fn first(replies: &[Self]) -> Self {
        let flags = |flag: fn(&Self) -> Bool| any(&replies.iter().map(flag).collect::<Vec<_>>());
        let choices: Vec<_> = replies.iter().map(|reply| (reply.read, reply.data)).collect();
        let (last, others) = choices.split_last().expect("a unit has parts");
        Self {
            valid: flags(|reply| reply.valid),
            read: flags(|reply| reply.read),
            data: priority_mux(others, last.1),
        }
    }
}

/// Something happens to a thread in this cycle.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct ThreadPulse {
    /// It happens
    pub valid: Bool,
    /// The thread
    pub thread: UInt,
}

impl ThreadPulse {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { valid: boolean(), thread: uint(widths.thread) }
    }
}

/// A part of an event on its way to the copies of the thread that takes it, an equal share of its 64 bytes. The first one comes in the
/// cycle in which the event is taken, the others in the cycles behind it; no event is taken before the last one.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct EventBeat {
    /// A part in this cycle
    pub valid: Bool,
    /// The thread
    pub thread: UInt,
    /// Which part, from 0
    pub number: UInt,
    /// It is the last one; never set without a part, unless an event is one part
    pub last: Bool,
    /// The part, its first byte lowest
    pub data: UInt,
}

impl EventBeat {
    /// The shape for events of `beats` parts, and thread numbers of `thread_bits` bits.
    pub fn shape(beats: u32, thread_bits: u32) -> Self {
        Self {
            valid: boolean(),
            thread: uint(thread_bits),
            number: uint(bits_for(beats.into()).max(1)),
            last: boolean(),
            data: uint(EVENT_BITS / beats),
        }
    }

    /// The part a cycle later, from registers that copies have for themselves: they are read when the thread's action
    /// begins, which is later still.
    #[track_caller]
    pub(crate) fn kept_for(self, unit: &str) -> Self {
        Self {
            valid: kept_flag(&format!("beat_comes_to_{unit}"), self.valid),
            thread: kept(&format!("beat_thread_{unit}"), self.thread),
            number: kept(&format!("beat_number_{unit}"), self.number),
            last: kept_flag(&format!("beat_ends_{unit}"), self.last),
            data: kept(&format!("beat_data_{unit}"), self.data),
        }
    }
}

/// A condition in a register of a unit's own, see [`kept`]; false at first.
#[track_caller]
pub(crate) fn kept_flag(name: &str, value: Bool) -> Bool {
    let register = reg(name, boolean(), false).attribute("keep");
    register.next(value);
    register.value()
}

/// A register of `r1` to `r4` of a thread that waits for its tail call.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Argument {
    /// The thread
    pub thread: UInt,
    /// The low bits of the register's number: 1, 2, 3, and 0 for `r4`
    pub register: UInt,
}

impl Argument {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { thread: uint(widths.thread), register: uint(ARGUMENT_BITS) }
    }
}

/// An event enters a thread, or goes on to another table.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct TableVisit {
    /// A visit in this cycle
    pub valid: Bool,
    /// The thread
    pub thread: UInt,
    /// The table
    pub table: UInt,
}

impl TableVisit {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { valid: boolean(), thread: uint(widths.thread), table: uint(widths.table) }
    }
}

/// A tail call: the event goes on to another table.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct TailCall {
    /// The thread
    pub thread: UInt,
    /// The table
    pub table: UInt,
}

impl TailCall {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { thread: uint(widths.thread), table: uint(widths.table) }
    }
}

/// A thread's action begins, goes on elsewhere, or stops.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Redirect {
    /// It happens
    pub valid: Bool,
    /// The thread
    pub thread: UInt,
    /// Where it goes on
    pub pc: UInt,
    /// It goes on at once; else it waits to be woken
    pub runs: Bool,
}

impl Redirect {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { valid: boolean(), thread: uint(widths.thread), pc: uint(widths.pc), runs: boolean() }
    }
}

/// An event ends.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct End {
    /// It ends in this cycle
    pub valid: Bool,
    /// Its thread
    pub thread: UInt,
    /// How: a number of `rmt_isa::Status`
    pub status: UInt,
}

impl End {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { valid: boolean(), thread: uint(widths.thread), status: uint(8) }
    }

    /// The end a cycle later, from registers of the unit's own.
    #[track_caller]
    pub(crate) fn kept(self, name: &str) -> Self {
        Self {
            valid: kept_flag(&format!("{name}_comes"), self.valid),
            thread: kept(&format!("{name}_thread"), self.thread),
            status: kept(&format!("{name}_status"), self.status),
        }
    }
}

/// A unit is done with an instruction for which the thread waited.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Completion {
    /// The thread
    pub thread: UInt,
    /// Scalar result; not written by instructions without one
    pub value: UInt,
    /// 0, or the status with which the event ends
    pub status: UInt,
}

impl Completion {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { thread: uint(widths.thread), value: uint(64), status: uint(8) }
    }
}
