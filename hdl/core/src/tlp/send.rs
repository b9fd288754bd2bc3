//! Packets of the card.

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::{
    MAX_PAYLOAD_DWS, PostedWrite, ReadOrder, SentCompletion, Sideband, TxBeat, dws, join, swap,
};

/// Makes packets: posted writes first, then completions, then reads. A completion so never
/// passes a write that was made before it, and a read pushes what was written before.
///
/// Relaxed ordering and no-snoop are never set. Writes and reads wait while bus mastering is off.
pub struct Sender {
    /// Width of the stream, bits: 64 or 128.
    pub bits: u32,
}

/// Ports of [`Sender`].
#[derive(Clone, Ports)]
pub struct SenderIo {
    /// Writes
    pub posted: StreamIn<PostedWrite>,
    /// Completions
    pub completion: StreamIn<SentCompletion>,
    /// Reads; the tag of each
    pub order: StreamIn<ReadOrder>,
    /// Tag of the read that is offered
    pub order_tag: Input<UInt>,
    /// Configuration
    pub sideband: Input<Sideband>,
    /// Packets
    pub tx: StreamOut<TxBeat>,
    /// A packet begins
    pub packet: Output<Bool>,
}

impl Component for Sender {
    type Io = SenderIo;

    fn name(&self) -> String {
        format!("tlp_sender_w{}", self.bits)
    }

    fn doc(&self) -> String {
        "Packets of the card: writes, completions, reads".into()
    }

    fn io(&self) -> SenderIo {
        SenderIo {
            posted: stream_in(PostedWrite::shape()),
            completion: stream_in(SentCompletion::shape()),
            order: stream_in(ReadOrder::shape()),
            order_tag: input(uint(8)),
            sideband: input(Sideband::shape()),
            tx: stream_out(TxBeat::shape(self.bits)),
            packet: output(boolean()),
        }
    }

    fn build(&self, io: SenderIo) {
        let lanes = self.bits / 32;
        let total = 4 + MAX_PAYLOAD_DWS;
        let sideband = io.sideband.value();
        let words = reg_uninit("words", uint(32 * total)).doc("The packet's DWs, next one lowest");
        let left = reg("left", uint(6), 0).doc("DWs that are still to be sent");
        let last = left.le(lanes).named("last");
        let valid = (!left.is_zero()).named("valid");
        let free = (!valid | (last & io.tx.ready())).named("free");
        let may = sideband.bus_master;
        let takes_posted = (io.posted.valid() & may).named("takes_posted");
        let takes_completion = (io.completion.valid() & !takes_posted).named("takes_completion");
        let takes_order =
            (io.order.valid() & may & !takes_posted & !takes_completion).named("takes_order");
        io.posted.accept(free & may);
        io.completion.accept(free & takes_completion);
        io.order.accept(free & takes_order);

        let (posted, completion, order) =
            (io.posted.payload(), io.completion.payload(), io.order.payload());
        let zeros = |bits: u32| UInt::lit(0, bits);
        // DW 0: format, type, class, attributes, length.
        let dw0 = |format: UInt, kind: u64, class: UInt, attributes: UInt, length: UInt| {
            join(&[
                length,
                zeros(2),
                attributes.bits(0..2),
                zeros(4),
                attributes.bits(2..3),
                zeros(1),
                class,
                zeros(1),
                UInt::lit(kind, 5),
                format,
            ])
        };
        let address = mux(takes_posted, posted.address, order.address);
        let long = (!address.bits(32..64).is_zero()).named("long");
        let (none, id) = (zeros(3), sideband.completer_id);
        let format =
            |has_data: bool| join(&[long.as_uint(), UInt::lit(has_data.into(), 1), zeros(1)]);
        let write_length = posted.dws.zext(10);
        let last_enables = mux(posted.dws.eq(1), zeros(4), UInt::lit(15, 4));
        let write_head = [
            dw0(format(true), 0, none, none, write_length),
            join(&[UInt::lit(15, 4), last_enables, zeros(8), id]),
        ];
        // Reads are of whole lines: 16 DWs each.
        let read_length = join(&[zeros(4), order.lines, zeros(2)]);
        let read_head = [
            dw0(format(false), 0, none, none, read_length),
            join(&[UInt::lit(255, 8), io.order_tag.value(), id]),
        ];
        let with_data = (!completion.dws.is_zero()).as_uint();
        let status = mux(completion.unsupported, UInt::lit(1, 3), zeros(3));
        let completion_head = [
            dw0(
                join(&[zeros(1), with_data, zeros(1)]),
                0b01010,
                completion.class,
                completion.attributes,
                completion.dws.zext(10),
            ),
            join(&[completion.byte_count, zeros(1), status, id]),
            join(&[completion.lower_address, zeros(1), completion.tag, completion.requester]),
        ];
        let low = address.bits(0..32).bits(2..32).concat(zeros(2));
        let high = address.bits(32..64);
        let of_request = |head: [UInt; 2]| {
            let (first, second) = (mux(long, high, low), low);
            [head[0], head[1], first, second]
        };
        let write = of_request(write_head);
        let read = of_request(read_head);
        let header: Vec<UInt> = (0..3)
            .map(|dw| {
                let completion = completion_head[dw];
                mux(takes_posted, write[dw], mux(takes_completion, completion, read[dw]))
            })
            .collect();
        let four = (long & !takes_completion).named("four");
        let written: Vec<UInt> = dws(posted.data).into_iter().map(swap).collect();
        let answered: Vec<UInt> = dws(completion.data).into_iter().map(swap).collect();
        let payload: Vec<UInt> = (0..MAX_PAYLOAD_DWS as usize)
            .map(|dw| match written.get(dw) {
                Some(&word) => mux(takes_posted, word, answered[dw]),
                None => answered[dw],
            })
            .collect();
        let short_packet = join(&[&header[..], &payload[..], &[zeros(32)]].concat());
        let long_packet = join(&[&header[..], &[low], &payload[..]].concat());
        let data_dws = priority_mux(
            &[(takes_posted, posted.dws.zext(6)), (takes_completion, completion.dws)],
            zeros(6),
        );
        let length = (data_dws + mux(four, UInt::lit(4, 3), UInt::lit(3, 3))).trunc(6);

        let loads = (free & (takes_posted | takes_completion | takes_order)).named("loads");
        when(loads, || {
            words.next(mux(four, long_packet, short_packet));
            left.next(length);
        })
        .elsewhen(valid & io.tx.ready(), || {
            words.next(zeros(self.bits).concat(words.bits(self.bits..32 * total)));
            left.next(mux(last, zeros(6), left.wrapping_sub(lanes)));
        });
        io.packet.set(loads);
        let keep: Vec<UInt> =
            (0..lanes).map(|lane| mux(left.gt(lane), UInt::lit(15, 4), zeros(4))).collect();
        let data: Vec<UInt> = (0..lanes)
            .map(|lane| mux(left.gt(lane), words.bits(32 * lane..32 * (lane + 1)), zeros(32)))
            .collect();
        io.tx.offer(valid, TxBeat { data: join(&data), keep: join(&keep), last });
        let _ = (sideband.max_payload, sideband.max_read_request);
    }
}
