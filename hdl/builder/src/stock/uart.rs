//! An asynchronous serial port: 8 data bits, no parity, one stop bit.

use super::stream::{Stream, StreamIn, StreamOut, stream_in, stream_out};
use crate::prelude::*;

/// Bits of a byte on the line: start, data, stop.
const FRAME_BITS: u32 = 10;

/// Takes bytes from a serial line. The line is sampled in the middle of each bit; two registers
/// in front bring it into the clock domain.
#[derive(Debug, Clone, Copy)]
pub struct UartReceiver {
    /// Clock cycles of a bit, at least 4.
    pub clocks_per_bit: u32,
}

/// Ports of [`UartReceiver`].
#[derive(Clone, Ports)]
pub struct UartReceiverIo {
    /// The line; 1 while idle
    pub line: Input<Bool>,
    /// Bytes
    pub bytes: StreamOut<UInt>,
    /// A byte was lost: the last one was still there, or the stop bit was missing
    pub lost: Output<Bool>,
}

impl Component for UartReceiver {
    type Io = UartReceiverIo;

    fn name(&self) -> String {
        format!("uart_receiver_c{}", self.clocks_per_bit)
    }

    fn doc(&self) -> String {
        format!("Serial receiver, 8 data bits, {} cycles a bit", self.clocks_per_bit)
    }

    fn io(&self) -> UartReceiverIo {
        UartReceiverIo {
            line: input(boolean()),
            bytes: stream_out(uint(8)),
            lost: output(boolean()),
        }
    }

    fn build(&self, io: UartReceiverIo) {
        if !require(self.clocks_per_bit >= 4, "a bit needs at least 4 clock cycles") {
            return;
        }
        let bit = u64::from(self.clocks_per_bit);
        // From the edge of the start bit to the middle of the first data bit.
        let first = bit + bit / 2 - 1;
        let early = reg("line_q", boolean(), true);
        let line = reg("line_q2", boolean(), true);
        early.next(io.line);
        line.next(early);
        let before = reg("line_q3", boolean(), true);
        before.next(line);
        // A line that stays low, without a stop bit, begins nothing.
        let falls = (before & !line).named("falls");

        let wait = reg("wait", uint(bits_for(first + 1)), 0).doc("Cycles to the next sample");
        let left = reg("left", uint(4), 0).doc("Samples to take, the stop bit included; 0: idle");
        let shift =
            reg_uninit("shift", uint(9)).doc("Bits, the oldest one lowest; the stop bit last");
        let held = reg("held", boolean(), false).doc("`byte` waits to be taken");
        let byte = reg_uninit("byte", uint(8));
        let samples = (!left.is_zero() & wait.is_zero()).named("samples");
        // A cycle after its stop bit was sampled.
        let ended = reg("ended", boolean(), false).doc("All bits are there");
        ended.next(samples & left.eq(1));
        let taken = io.bytes.ready();
        let good = (ended & shift.bit(8) & (!held | taken)).named("good");

        when(left.is_zero(), || {
            when(falls, || {
                left.next(u64::from(FRAME_BITS - 1));
                wait.next(first);
            });
        })
        .elsewhen(samples, || {
            left.next(left.wrapping_sub(1));
            wait.next(bit - 1);
            shift.next(line.as_uint().concat(shift.bits(1..9)));
        })
        .otherwise(|| wait.next(wait.wrapping_sub(1)));

        when(good, || {
            byte.next(shift.bits(0..8));
            held.next(true);
        })
        .elsewhen(taken, || held.next(false));
        io.bytes.offer(held.value(), byte.value());
        io.lost.set(ended & !good);
    }
}

/// Sends bytes on a serial line.
#[derive(Debug, Clone, Copy)]
pub struct UartTransmitter {
    /// Clock cycles of a bit, at least 1.
    pub clocks_per_bit: u32,
}

/// Ports of [`UartTransmitter`].
#[derive(Clone, Ports)]
pub struct UartTransmitterIo {
    /// Bytes
    pub bytes: StreamIn<UInt>,
    /// The line; 1 while idle
    pub line: Output<Bool>,
}

impl Component for UartTransmitter {
    type Io = UartTransmitterIo;

    fn name(&self) -> String {
        format!("uart_transmitter_c{}", self.clocks_per_bit)
    }

    fn doc(&self) -> String {
        format!("Serial transmitter, 8 data bits, {} cycles a bit", self.clocks_per_bit)
    }

    fn io(&self) -> UartTransmitterIo {
        UartTransmitterIo { bytes: stream_in(uint(8)), line: output(boolean()) }
    }

    fn build(&self, io: UartTransmitterIo) {
        if !require(self.clocks_per_bit >= 1, "a bit needs at least 1 clock cycle") {
            return;
        }
        let bit = u64::from(self.clocks_per_bit);
        let wait =
            reg("wait", uint(bits_for(bit).max(1)), 0).doc("Cycles that the bit still lasts");
        let left = reg("left", uint(4), 0).doc("Bits that are still on the line; 0: idle");
        let shift = reg("shift", uint(FRAME_BITS), (1 << FRAME_BITS) - 1)
            .doc("What the line shows, this bit lowest; ones follow");
        let last_cycle = wait.is_zero();
        let free = (left.is_zero() | (left.eq(1) & last_cycle)).named("free");

        when(free & io.bytes.valid(), || {
            shift.next(UInt::lit(1, 1).concat(io.bytes.payload()).concat(UInt::lit(0, 1)));
            left.next(u64::from(FRAME_BITS));
            wait.next(bit - 1);
        })
        .elsewhen(!left.is_zero() & last_cycle, || {
            shift.next(UInt::lit(1, 1).concat(shift.bits(1..FRAME_BITS)));
            left.next(left.wrapping_sub(1));
            wait.next(bit - 1);
        })
        .elsewhen(!left.is_zero(), || wait.next(wait.wrapping_sub(1)));
        io.bytes.accept(free);
        io.line.set(shift.bit(0));
    }
}
