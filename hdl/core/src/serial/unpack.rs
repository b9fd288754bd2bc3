//! Frames of the host become packets.

use rmt_isa::device::fields::serial_link;
use rmt_isa::device::serial::{CRC_START, END, ESCAPE, FLIP, KIND_LINK, MAX_DWS};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::crc;
use crate::tlp::RxBeat;

/// DWs that are kept while their check sum is not known.
const BUFFER_DWS: u64 = 64;

/// What the host says in place of configuration space.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct LinkState {
    /// The card may send memory requests
    pub bus_master: Bool,
    /// MSI-X is enabled
    pub msix: Bool,
    /// The function runs
    pub up: Bool,
}

impl LinkState {
    /// The shape.
    pub fn shape() -> Self {
        Self { bus_master: boolean(), msix: boolean(), up: boolean() }
    }
}

/// Takes frames apart. A frame is kept until its check sum is known; a damaged one is dropped as a
/// whole, so the card sees whole packets only.
pub struct Unpack {
    /// Width of the stream, bits: 64 or 128.
    pub bits: u32,
}

/// Ports of [`Unpack`].
#[derive(Clone, Ports)]
pub struct UnpackIo {
    /// Bytes of the line
    pub bytes: StreamIn<UInt>,
    /// Packets
    pub rx: StreamOut<RxBeat>,
    /// What the host said last
    pub link: Output<LinkState>,
    /// The host resets the function, one cycle
    pub reset_function: Output<Bool>,
    /// The host said something about the link and waits for the card's state, one cycle
    pub asked: Output<Bool>,
    /// A frame was dropped
    pub damaged: Output<Bool>,
}

impl Component for Unpack {
    type Io = UnpackIo;

    fn name(&self) -> String {
        format!("serial_unpack_w{}", self.bits)
    }

    fn doc(&self) -> String {
        "Frames of the serial line become packets".into()
    }

    fn io(&self) -> UnpackIo {
        UnpackIo {
            bytes: stream_in(uint(8)),
            rx: stream_out(RxBeat::shape(self.bits)),
            link: output(LinkState::shape()),
            reset_function: output(boolean()),
            asked: output(boolean()),
            damaged: output(boolean()),
        }
    }

    fn build(&self, io: UnpackIo) {
        let lanes = self.bits / 32;
        // A byte stands in a register before it is looked at: it comes out of a memory.
        let stands = reg("stands", boolean(), false).doc("A byte is in the register");
        let byte = reg_uninit("standing", uint(8));
        let sending = reg("sending", boolean(), false).doc("The packet goes to the card");
        let ended =
            reg("ended", boolean(), false).doc("The frame's last byte came in the cycle before");
        let comes = (stands & !sending & !ended).named("comes");
        io.bytes.accept(!stands | comes);
        stands.next(io.bytes.valid() | (stands & !comes));
        when(io.bytes.fire(), || byte.next(io.bytes.payload()));
        let byte = byte.value();
        let is_end = byte.eq(u64::from(END)).named("is_end");
        let is_escape = byte.eq(u64::from(ESCAPE)).named("is_escape");
        let escaped = reg("escaped", boolean(), false);
        let plain = mux(escaped, byte ^ UInt::lit(FLIP.into(), 8), byte).named("plain");
        ended.next(comes & is_end);
        let ends = ended.value();
        let adds = (comes & !is_end & !is_escape).named("adds");
        when(comes, || escaped.next(is_escape));

        // Kind, DWs and check sum; what does not fill a DW at the end is the check sum.
        let started = reg("started", boolean(), false).doc("The kind is known");
        let kind = reg_uninit("kind", uint(8));
        let sum = reg("sum", uint(16), u64::from(CRC_START));
        let low_bytes = reg_uninit("low_bytes", uint(24)).doc("Bytes of the DW that is not whole");
        let place = reg("place", uint(2), 0).doc("Bytes of it");
        let count = reg("count", uint(7), 0).doc("Whole DWs");
        let too_long = reg("too_long", boolean(), false);
        let buffer = AsyncMem::<UInt>::new("buffer", uint(32), BUFFER_DWS);
        let dw = plain.concat(low_bytes.value()).named("dw");
        let whole = (adds & started & place.eq(3)).named("whole");
        buffer.write(whole, count.trunc(6), dw);
        let first = reg_uninit("first_dw", uint(32));
        when(adds, || {
            sum.next(crc(sum.value(), plain));
            when(!started, || {
                kind.next(plain);
                started.next(true);
            })
            .otherwise(|| {
                low_bytes.next(plain.concat(low_bytes.bits(8..24)));
                place.next(place.wrapping_add(1));
            });
        });
        when(whole, || {
            when(count.is_zero(), || first.next(dw));
            when(count.eq(MAX_DWS as u64), || too_long.next(true))
                .otherwise(|| count.next(count.wrapping_add(1)));
        });

        // Nothing changes between a frame's end and what follows from it, but for this.
        let cut_short =
            reg("cut_short", boolean(), false).doc("An escape was the byte before the end");
        cut_short.next(escaped);
        let intact = started & sum.is_zero() & place.eq(2) & !too_long & !cut_short;
        let is_link = kind.eq(u64::from(KIND_LINK)).named("is_link");
        let is_packet = (!kind.bit(7) & count.ge(3)).named("is_packet");
        let good = (ends & intact & (is_packet | (is_link & count.eq(1)))).named("good");
        io.damaged.set(ends & (started | cut_short) & !good);
        let said = (good & is_link).named("said");
        io.asked.set(said);
        let bit = |field: rmt_isa::card::fields::BitField| first.bit(field.low);
        io.reset_function.set(said & bit(serial_link::RESET));
        let link = reg(
            "last_said",
            LinkState::shape(),
            LinkState {
                bus_master: Bool::lit(false),
                msix: Bool::lit(false),
                up: Bool::lit(false),
            },
        );
        when(said, || {
            link.next(LinkState {
                bus_master: bit(serial_link::BUS_MASTER),
                msix: bit(serial_link::MSIX),
                up: bit(serial_link::UP),
            });
        });
        io.link.set(link.value());

        // The packet, DW by DW out of the buffer and beat by beat to the card.
        let next = reg("next", uint(7), 0).doc("DWs that were read again");
        let lane = reg("lane", uint(2), 0).doc("DWs in the beat");
        let full = reg("full", boolean(), false).doc("The beat is offered");
        let beat: Vec<_> =
            (0..lanes).map(|lane| reg_uninit(format!("beat_{lane}"), uint(32))).collect();
        let read = buffer.read(next.trunc(6));
        let all = next.eq(count).named("all_read");
        let fills = (sending & !full).named("fills");
        when(fills, || {
            for (number, part) in beat.iter().enumerate() {
                when(lane.eq(number), || part.next(read));
            }
            next.next(next.wrapping_add(1));
            lane.next(lane.wrapping_add(1));
            let last_lane = lane.eq(u64::from(lanes - 1));
            when(last_lane | next.wrapping_add(1).eq(count.value()), || full.next(true));
        });
        let passes = (full & io.rx.ready()).named("passes");
        when(passes, || {
            full.next(false);
            lane.next(0);
        });
        // What follows is the next frame's. This stands last, so that it wins.
        let done = (passes & all).named("done");
        when((ends & !(good & is_packet)) | done, || {
            started.next(false);
            sum.next(u64::from(CRC_START));
            place.next(0);
            count.next(0);
            too_long.next(false);
            next.next(0);
        });
        when(good & is_packet, || sending.next(true)).elsewhen(done, || sending.next(false));

        // `lane` has passed the last DW of the beat; 0 after the fourth one.
        let held = mux(lane.is_zero(), UInt::lit(4, 3), lane.zext(3)).named("held");
        let keep: Vec<UInt> = (0..lanes)
            .map(|lane| mux(held.gt(u64::from(lane)), UInt::lit(15, 4), UInt::lit(0, 4)))
            .collect();
        let parts = |parts: &[UInt]| cat(&parts.iter().rev().copied().collect::<Vec<_>>());
        io.rx.offer(
            full.value(),
            RxBeat {
                data: parts(&beat.iter().map(|part| part.value()).collect::<Vec<_>>()),
                keep: parts(&keep),
                last: all,
                bar_hit: kind.bits(0..7),
            },
        );
    }
}
