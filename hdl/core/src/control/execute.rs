//! What stands in the execute stage, and the registers of its threads.

use rmt_isa::card::CardShape;
use rmt_isa::limits::SCALAR_REGISTERS;
use rtl_builder::prelude::*;

use super::alu::{AluControl, AluResult};
use super::decode::{Decoded, Function};
use crate::config::Widths;
use crate::event::EventCopies;
use crate::signals::{ARGUMENT_BITS, Completion, EventBeat};

/// What stands in X.
pub(super) struct Execute {
    pub(super) valid: Reg<Bool>,
    pub(super) thread: Reg<UInt>,
    pub(super) pc: Reg<UInt>,
    pub(super) word: Reg<UInt>,
    pub(super) decoded: Reg<Decoded>,
    /// The thread has run too long.
    pub(super) doomed: Reg<Bool>,
    pub(super) function: Reg<UInt>,
    pub(super) immediate: Reg<Bool>,
    pub(super) control: Reg<AluControl>,
    pub(super) a: Reg<UInt>,
    pub(super) b: Reg<UInt>,
    pub(super) d: Reg<UInt>,
    pub(super) kind: Reg<UInt>,
    pub(super) bytes: Reg<UInt>,
    /// The instruction stays in X for another cycle.
    pub(super) stall: Wire<Bool>,
    /// Instructions of the thread in X that follow are dropped.
    pub(super) drops: Wire<Bool>,
    /// So they are if the condition holds, which is known late.
    pub(super) drops_if: Wire<Bool>,
    /// Result of the arithmetic unit.
    pub(super) result: Wire<AluResult>,
    /// The arithmetic unit executes it: its result is written.
    pub(super) writes: Reg<Bool>,
}

impl Execute {
    pub(super) fn new(widths: &Widths) -> Self {
        Self {
            valid: reg("valid_x", boolean(), false),
            thread: reg("thread_x", uint(widths.thread), 0),
            pc: reg("pc_x", uint(widths.pc), 0),
            word: reg("word_x", uint(64), 0),
            decoded: reg_zero("decoded_x", Decoded::shape()),
            doomed: reg("doomed_x", boolean(), false),
            function: reg("function_x", uint(Function::BITS), 0),
            immediate: reg("immediate_x", boolean(), false),
            control: reg_zero("control_x", AluControl::shape()),
            a: reg("a_x", uint(64), 0),
            b: reg("b_x", uint(64), 0),
            d: reg("d_x", uint(64), 0),
            kind: reg("kind_x", uint(3), 0),
            bytes: reg("bytes_x", uint(3), 0),
            stall: wire("stall_x", boolean()),
            drops: wire("drops", boolean()),
            drops_if: wire("drops_if", boolean()),
            result: wire("result_x", AluResult::shape()),
            writes: reg("writes_x", boolean(), false),
        }
    }
}

/// A completion, a cycle after it came.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) valid: Bool,
    pub(super) completion: Completion,
    /// It ends the event.
    pub(super) fails: Bool,
    /// The register that it writes.
    pub(super) register: UInt,
    /// It writes one.
    pub(super) writes: Bool,
}

/// Scalar registers of all threads, and copies of `r1` to `r4` for the keys of tail calls.
pub(super) struct Registers {
    pub(super) all: AsyncMem<UInt>,
    pub(super) arguments: AsyncMem<UInt>,
    pub(super) register_bits: u32,
    pub(super) events: EventCopies,
    pub(super) parameters: AsyncMem<UInt>,
    /// Destination of the instruction that each stopped thread waits for, and whether it
    /// has one.
    pub(super) destinations: AsyncMem<UInt>,
}

impl Registers {
    pub(super) fn new(shape: &CardShape, beat: EventBeat) -> Self {
        let threads = u64::from(shape.threads_of_stage());
        let register_bits = SCALAR_REGISTERS.ilog2();
        Self {
            all: AsyncMem::new("registers", uint(64), threads * SCALAR_REGISTERS as u64),
            arguments: AsyncMem::new("arguments", uint(64), threads << ARGUMENT_BITS),
            register_bits,
            events: EventCopies::new("events", shape.threads_of_stage(), shape.event_beats(), beat),
            parameters: AsyncMem::new("thread_parameters", uint(256), threads),
            destinations: AsyncMem::new("destinations", uint(register_bits + 1), threads),
        }
    }

    pub(super) fn write(&self, enable: Bool, thread: UInt, register: UInt, value: UInt) {
        self.all.write(enable, thread.concat(register), value);
        let argument = register.ge(1) & register.le(1_u64 << ARGUMENT_BITS);
        self.arguments.write(
            enable & argument,
            thread.concat(register.trunc(ARGUMENT_BITS)),
            value,
        );
    }
}
