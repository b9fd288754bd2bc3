//! A card behind a serial line.

use rmt_isa::card::CardShape;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::{Stream, connect};
use rtl_builder::stock::{UartReceiver, UartTransmitter, fifo};

use super::pack::Pack;
use super::unpack::Unpack;
use crate::card::Card;
use crate::tlp::Sideband;

/// Name of the top module.
pub const TOP: &str = "rmt_serial_card";
/// Bytes that wait while a packet goes to the card.
const WAITING_BYTES: u32 = 16;
/// Bus, device and function number that the card has on this link.
const COMPLETER_ID: u64 = 0x0100;
/// Binary logarithm of the cycles of half a heartbeat, and of those that an activity light stays on.
const HEARTBEAT_LOG2: u32 = 25;
const ACTIVITY_LOG2: u32 = 22;

/// The card, the bridge to a serial line, and lights that show what they do.
pub struct SerialCard {
    /// What the card is built with; [`CardShape::check`] must accept it.
    pub shape: CardShape,
    /// Clock cycles of a bit on the line, at least 4.
    pub clocks_per_bit: u32,
}

/// Ports of [`SerialCard`]. Clock and reset (`clk`, `rst`, synchronous, active high) come on top.
#[derive(Clone, Ports)]
pub struct SerialCardIo {
    /// From the host; 1 while idle
    pub serial_in: Input<Bool>,
    /// To the host; 1 while idle
    pub serial_out: Output<Bool>,
    /// Blinks while the clock runs
    pub light_clock: Output<Bool>,
    /// The host has brought the link up
    pub light_link: Output<Bool>,
    /// A packet passed a moment ago
    pub light_traffic: Output<Bool>,
    /// A frame was damaged or a byte lost since the reset
    pub light_fault: Output<Bool>,
}

impl Component for SerialCard {
    type Io = SerialCardIo;

    fn name(&self) -> String {
        TOP.into()
    }

    fn doc(&self) -> String {
        format!("The RMT card behind a serial line, {} cycles a bit", self.clocks_per_bit)
    }

    fn io(&self) -> SerialCardIo {
        SerialCardIo {
            serial_in: input(boolean()),
            serial_out: output(boolean()),
            light_clock: output(boolean()),
            light_link: output(boolean()),
            light_traffic: output(boolean()),
            light_fault: output(boolean()),
        }
    }

    fn build(&self, io: SerialCardIo) {
        let (bits, clocks_per_bit) = (self.shape.stream_bits, self.clocks_per_bit);
        let receiver = instance("receiver", UartReceiver { clocks_per_bit });
        let transmitter = instance("transmitter", UartTransmitter { clocks_per_bit });
        let unpack = instance("unpack", Unpack { bits });
        let pack = instance("pack", Pack { bits });
        let card = instance("card", Card { shape: self.shape.clone() });

        receiver.line.set(io.serial_in);
        let received = fifo("received", &receiver.bytes, WAITING_BYTES);
        connect(&received.pop, &unpack.bytes);
        connect(&unpack.rx, &card.rx);
        connect(&card.tx, &pack.tx);
        connect(&pack.bytes, &transmitter.bytes);
        io.serial_out.set(transmitter.line.value());

        let link = unpack.link.value();
        let zero = UInt::lit(0, 3);
        card.sideband.set(Sideband {
            completer_id: UInt::lit(COMPLETER_ID, 16),
            // 128 bytes each.
            max_payload: zero,
            max_read_request: zero,
            bus_master: link.bus_master,
            msix_enable: link.msix,
            msix_mask: Bool::lit(false),
            link_up: link.up,
            function_reset: unpack.reset_function.value(),
        });
        pack.asked.set(unpack.asked.value());
        let counter = |name: &str, event: Bool| {
            let count = reg(name, uint(8), 0);
            when(event, || count.next(count.wrapping_add(1)));
            count.value()
        };
        // A cycle late: what goes wrong is known at the end of a cycle.
        let wrong = |name: &str, event: Bool| {
            let wrong = reg(name, boolean(), false);
            wrong.next(event);
            wrong.value()
        };
        let damaged = wrong("was_damaged", unpack.damaged.value());
        let lost = wrong("was_lost", receiver.lost.value());
        pack.damaged.set(counter("damaged", damaged));
        pack.lost.set(counter("lost", lost));

        let cycles = reg("cycles", uint(HEARTBEAT_LOG2 + 1), 0);
        cycles.next(cycles.wrapping_add(1));
        io.light_clock.set(cycles.bit(HEARTBEAT_LOG2));
        io.light_link.set(link.up);
        let active = reg("active", uint(ACTIVITY_LOG2), 0).doc("Cycles that the light stays on");
        when(unpack.rx.valid() | card.tx.valid(), || active.next((1 << ACTIVITY_LOG2) - 1))
            .elsewhen(!active.is_zero(), || active.next(active.wrapping_sub(1)));
        io.light_traffic.set(!active.is_zero());
        let fault = reg("fault", boolean(), false);
        when(damaged | lost, || fault.next(true));
        io.light_fault.set(fault.value());
    }
}
