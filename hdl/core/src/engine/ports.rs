//! What passes between the engine and the rest of the core.

use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Bits of a thread number.
pub fn thread_bits(shape: &EngineShape) -> u32 {
    bits_for(shape.threads.into()).max(1)
}

/// A vector or model instruction with its scalar sources.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Command {
    /// Thread that executes it
    pub thread: UInt,
    /// The instruction word
    pub instruction: UInt,
    /// Value of scalar register A
    pub a: UInt,
    /// Value of scalar register B
    pub b: UInt,
}

impl Command {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self { thread: uint(thread_bits(shape)), instruction: uint(64), a: uint(64), b: uint(64) }
    }
}

/// The answer to a command; it is never stalled.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Response {
    /// An answer is there
    pub valid: Bool,
    /// Thread that it is for
    pub thread: UInt,
    /// Scalar result; 0 for instructions without one
    pub value: UInt,
    /// 0, or the number of the status that the event ends with
    pub status: UInt,
}

impl Response {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        let thread = uint(thread_bits(shape));
        Self { valid: boolean(), thread, value: uint(64), status: uint(8) }
    }
}

/// A thread begins an action: its vector registers become undefined.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Start {
    /// A thread begins in this cycle
    pub valid: Bool,
    /// The thread
    pub thread: UInt,
}

impl Start {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self { valid: boolean(), thread: uint(thread_bits(shape)) }
    }
}

/// One lane for a vector register, from the context unit.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct LanesIn {
    /// Thread that owns the register
    pub thread: UInt,
    /// The vector register
    pub register: UInt,
    /// The lane
    pub lane: UInt,
    /// Element type of the register, to which the value is saturated
    pub element: UInt,
    /// Lanes that the register has when all have come, 1 to 256
    pub lanes: UInt,
    /// The value, 64 bits signed
    pub value: UInt,
    /// The last lane: the register is defined
    pub last: Bool,
}

impl LanesIn {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            thread: uint(thread_bits(shape)),
            register: uint(3),
            lane: uint(8),
            element: uint(2),
            lanes: uint(9),
            value: uint(64),
            last: boolean(),
        }
    }
}

/// The context unit asks for all lanes of a register.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct LanesRequest {
    /// Thread that owns the register
    pub thread: UInt,
    /// The vector register
    pub register: UInt,
}

impl LanesRequest {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self { thread: uint(thread_bits(shape)), register: uint(3) }
    }
}

/// One lane of a register, for the context unit; lanes come in order from lane 0.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct LanesOut {
    /// Thread that owns the register
    pub thread: UInt,
    /// The lane
    pub lane: UInt,
    /// Its value
    pub value: SInt,
    /// The last lane
    pub last: Bool,
    /// The register is undefined: this one word means nothing, and is the last
    pub empty: Bool,
}

impl LanesOut {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            thread: uint(thread_bits(shape)),
            lane: uint(8),
            value: sint(32),
            last: boolean(),
            empty: boolean(),
        }
    }
}

/// An access of the host; the next one may come when this one is answered. With it go the
/// banks, which mean something in every cycle.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct HostRequest {
    /// An access in this cycle
    pub valid: Bool,
    /// A write; else a read
    pub write: Bool,
    /// Word of 64 bits in the engine's window
    pub address: UInt,
    /// What is written
    pub wdata: UInt,
    /// The bank that is accessed; with one bank always 0
    pub bank: Bool,
    /// The bank that commands use; with one bank always 0. It changes while no event runs
    pub active: Bool,
    /// The banks are swapped: what was read of the other one is stale
    pub swaps: Bool,
}

impl HostRequest {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            valid: boolean(),
            write: boolean(),
            address: uint(shape.host_address_bits()),
            wdata: uint(64),
            bank: boolean(),
            active: boolean(),
            swaps: boolean(),
        }
    }
}

/// The answer to an access of the host, for reads and writes.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct HostAnswer {
    /// The access is done
    pub valid: Bool,
    /// What was read; 0 after a write
    pub rdata: UInt,
}

impl HostAnswer {
    /// The shape, the same for all engines.
    pub fn shape() -> Self {
        Self { valid: boolean(), rdata: uint(64) }
    }
}
