//! The top module of cards with PCIe.

use rmt_isa::card::CardShape;
use rtl_builder::bundle;
use rtl_builder::prelude::*;
use rtl_builder::stock::AsyncFifo;
use rtl_builder::stock::stream::Stream;

use super::Link;
use super::sideband::SidebandCrossing;
use crate::card::Card;
use crate::tlp::{RxBeat, Sideband, TxBeat};

/// Name of the top module.
pub const TOP: &str = "rmt_pcie_card";
/// Beats that wait between the domains, each way: more than pass while the pointers cross.
const WAITING_BEATS: u32 = 16;

/// The card with its own clock (`clk`) behind a PCIe block with another (`link_clk`).
///
/// Both resets (`rst`, `link_rst`; synchronous, active high) must be held together for at least three edges of
/// the slower clock, and no packet be on its way while they are.
pub struct PcieCard {
    /// What it is built with; [`CardShape::check`] must accept it.
    pub shape: CardShape,
}

/// Ports of [`PcieCard`], all in the link's domain: those of [`Card`].
#[derive(Clone, Ports)]
pub struct PcieCardIo {
    /// Packets of the host
    pub rx: StreamIn<RxBeat<Link>, Link>,
    /// Packets of the card
    pub tx: StreamOut<TxBeat<Link>, Link>,
    /// Configuration
    pub sideband: Input<Sideband<Link>>,
}

impl Component for PcieCard {
    type Io = PcieCardIo;

    fn name(&self) -> String {
        TOP.into()
    }

    fn doc(&self) -> String {
        "The RMT card in a clock domain of its own, behind a PCIe block".into()
    }

    fn io(&self) -> PcieCardIo {
        let bits = self.shape.stream_bits;
        PcieCardIo {
            rx: stream_in(RxBeat::shape(bits)),
            tx: stream_out(TxBeat::shape(bits)),
            sideband: input(Sideband::shape()),
        }
    }

    fn build(&self, io: PcieCardIo) {
        let bits = self.shape.stream_bits;
        let card = instance("card", Card { shape: self.shape.clone() });

        let rx_shape = RxBeat::<Main>::shape(bits);
        let received = AsyncFifo::<Link, Main>::new(bundle::width(&rx_shape), WAITING_BEATS);
        let received = instance("received", received);
        received.push.offer(io.rx.valid(), pack(io.rx.payload()));
        io.rx.accept(received.push.ready());
        card.rx.offer(received.pop.valid(), unpack(&rx_shape, received.pop.payload()));
        received.pop.accept(card.rx.ready());

        let tx_shape = TxBeat::<Link>::shape(bits);
        let sent = AsyncFifo::<Main, Link>::new(bundle::width(&tx_shape), WAITING_BEATS);
        let sent = instance("sent", sent);
        sent.push.offer(card.tx.valid(), pack(card.tx.payload()));
        card.tx.accept(sent.push.ready());
        io.tx.offer(sent.pop.valid(), unpack(&tx_shape, sent.pop.payload()));
        sent.pop.accept(io.tx.ready());

        let sideband = instance("sideband_crossing", SidebandCrossing);
        sideband.link.set(io.sideband);
        card.sideband.set(sideband.card);
    }
}
