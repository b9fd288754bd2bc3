//! The card: endpoint, function and the reset between them.

use rmt_isa::card::CardShape;
use rtl_builder::prelude::*;
use rtl_builder::stock::fifo;
use rtl_builder::stock::stream::Stream;

use crate::queue::function::{EndpointEvents, Function};
use crate::tlp::complete::Completer;
use crate::tlp::receive::Receiver;
use crate::tlp::send::Sender;
use crate::tlp::{READ_SLOTS, RxBeat, Sideband, TxBeat};

/// Name of the top module of a card.
pub const TOP: &str = "rmt_card";
/// Reads of BARs that wait.
const WAITING_READS: u32 = 8;
/// Cycles for which the function is held in reset.
const RESET_CYCLES: u64 = 8;

/// The card behind a PCIe block that gives raw transactions.
pub struct Card {
    /// What it is built with; [`CardShape::check`] must accept it.
    pub shape: CardShape,
}

/// Ports of [`Card`]. Clock and reset (`clk`, `rst`, synchronous, active high) come on top.
#[derive(Clone, Ports)]
pub struct CardIo {
    /// Packets of the host
    pub rx: StreamIn<RxBeat>,
    /// Packets of the card
    pub tx: StreamOut<TxBeat>,
    /// Configuration
    pub sideband: Input<Sideband>,
}

impl Component for Card {
    type Io = CardIo;

    fn name(&self) -> String {
        TOP.into()
    }

    fn doc(&self) -> String {
        "The RMT card: PCIe endpoint, queue pairs and core".into()
    }

    fn io(&self) -> CardIo {
        let bits = self.shape.stream_bits;
        CardIo {
            rx: stream_in(RxBeat::shape(bits)),
            tx: stream_out(TxBeat::shape(bits)),
            sideband: input(Sideband::shape()),
        }
    }

    fn build(&self, io: CardIo) {
        let bits = self.shape.stream_bits;
        let sideband = io.sideband.value();
        // The function's reset leaves the endpoint alone, so that no packet is cut in two.
        let holds =
            reg("holds", uint(4), RESET_CYCLES).doc("Cycles that the function stays in reset");
        let in_reset = reg("in_reset", boolean(), true);
        let receiver = instance("receiver", Receiver { bits });
        let sender = instance("sender", Sender { bits });
        let completer = instance("completer", Completer { bits });
        let function = instance_with_reset(
            "function",
            Function { shape: self.shape.clone() },
            in_reset.value(),
        );

        // The data of a write that is being sent stand in the function: the reset waits until the packet has them.
        let waits = reg("reset_waits", boolean(), false);
        // Who asks shows a cycle later.
        let wanted = reg("reset_wanted", boolean(), false);
        wanted.next(sideband.function_reset | !sideband.link_up | function.reset);
        let asked = wanted | waits.value();
        let begins = (asked & !sender.writes.value()).named("reset_begins");
        waits.next(asked & !begins);
        when(begins, || {
            holds.next(RESET_CYCLES);
            in_reset.next(true);
        })
        .elsewhen(holds.is_zero(), || in_reset.next(false))
        .otherwise(|| holds.next(holds.wrapping_sub(1)));

        connect(&io.rx, &receiver.rx);
        connect(&sender.tx, &io.tx);
        sender.sideband.set(sideband);
        function.sideband.set(sideband);

        // Words that come during the reset are taken and forgotten.
        function.word.offer(receiver.word.valid() & !in_reset, receiver.word.payload());
        receiver.word.accept(in_reset | function.word.ready());
        let reads = fifo("waiting_reads", &receiver.read, WAITING_READS);
        connect(&reads.pop, &completer.request);
        function.reads.set(completer.wants & !in_reset);
        function.reads_msix.set(completer.msix);
        function.dw.set(completer.dw);
        completer.ready.set(in_reset | function.read_ready.value());
        completer.data.set(mux(in_reset, UInt::lit(0, 32), function.read_data.value()));

        connect(&completer.completion, &sender.completion);
        completer.beat.set(sender.beat);
        function.beat.set(sender.beat);
        // Nothing new begins before a reset that waits.
        let runs = !in_reset.value() & (!waits | sender.writes);
        sender.posted.offer(function.posted.valid() & runs, function.posted.payload());
        function.posted.accept(sender.posted.ready() & runs);
        sender.order.offer(function.order.valid() & runs, function.order.payload());
        function.order.accept(sender.order.ready() & runs);
        sender.order_tag.set(function.order_tag);

        // A reset ends the generation of every read, so that late completions fit none.
        for slot in 0..READ_SLOTS {
            let generation = reg(format!("generation_{slot}"), uint(2), 0);
            when(function.next_generation.bit(slot) | (begins & !in_reset), || {
                generation.next(generation.wrapping_add(1));
            });
            function.generations[slot as usize].set(generation);
        }
        function.endpoint.set(EndpointEvents {
            received: receiver.packet.value(),
            sent: sender.packet.value(),
            unsupported: receiver.unsupported.value(),
            poisoned: receiver.poisoned.value(),
            malformed: receiver.malformed.value(),
        });
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::card::CardShape;

    use crate::{CoreConfig, elaborate_card};

    #[test]
    fn a_card_of_either_width_can_be_built() {
        for (queues, stream_bits) in [(1, 64), (2, 128)] {
            let shape = CardShape { queues, stream_bits, ..CardShape::tiny() };
            elaborate_card(&CoreConfig::new(shape)).unwrap();
        }
    }
}
