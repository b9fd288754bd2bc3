//! Packets of the card.

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::{PostedWrite, ReadOrder, SentCompletion, Sideband, TxBeat, beat_bits, dws, join, swap};
use crate::bits::{at_most, few_sum, one_less};

/// Makes packets: posted writes first, then completions, then reads. A completion so never
/// passes a write that was made before it, and a read pushes what was written before.
///
/// Relaxed ordering and no-snoop are never set. Writes and reads wait while bus mastering is off.
///
/// Data stay where they are until their packet has them: `beat` says which beat of a write's or a
/// completion's data goes into the next beat of the packet.
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
    /// Beat of the data that is wanted, of the write or completion whose packet is being sent
    pub beat: Output<UInt>,
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
    /// The packet of a write still needs its data
    pub writes: Output<Bool>,
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
            posted: stream_in(PostedWrite::shape(self.bits)),
            completion: stream_in(SentCompletion::shape(self.bits)),
            beat: output(uint(beat_bits(self.bits))),
            order: stream_in(ReadOrder::shape()),
            order_tag: input(uint(8)),
            sideband: input(Sideband::shape()),
            tx: stream_out(TxBeat::shape(self.bits)),
            packet: output(boolean()),
            writes: output(boolean()),
        }
    }

    fn build(&self, io: SenderIo) {
        let lanes = self.bits / 32;
        let sideband = io.sideband.value();
        let words = reg_uninit("words", uint(self.bits)).doc("The beat's DWs");
        let left = reg("left", uint(6), 0).doc("DWs that are still to be sent");
        // Both are known with the DWs that are left: a header alone has three.
        let last = reg("last", boolean(), false).doc("The beat is its packet's last one");
        let valid = reg("valid", boolean(), false).doc("A beat is here");
        let (last, valid, set_last, set_valid) = (last.value(), valid.value(), last, valid);
        let closing = reg("closing", boolean(), false).doc("The packet's only beat has its data");
        let free = ((!valid | (last & io.tx.ready())) & !closing).named("free");
        let may = sideband.bus_master;
        let takes_posted = (io.posted.valid() & may).named("takes_posted");
        let takes_completion = (io.completion.valid() & !takes_posted).named("takes_completion");
        let takes_order =
            (io.order.valid() & may & !takes_posted & !takes_completion).named("takes_order");
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
        let long = mux(takes_posted, posted.long, order.long).named("long");
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
        // Each packet's length is there before it is known which one goes.
        let length = priority_mux(
            &[
                (takes_posted, with_header(posted.dws.zext(6), posted.long)),
                (takes_completion, with_header(completion.dws, Bool::lit(false))),
            ],
            with_header(zeros(6), order.long),
        );
        // Whether that is no more than a beat has, without the sum.
        let one_beat = if lanes == 4 {
            let choices = [(takes_posted, posted.dws.zext(6)), (takes_completion, completion.dws)];
            let data_dws = priority_mux(&choices, zeros(6));
            data_dws.is_zero() | (data_dws.eq(1) & !four)
        } else {
            Bool::lit(false)
        };
        let loads = (free & (takes_posted | takes_completion | takes_order)).named("loads");
        let moves = (valid & !last & io.tx.ready()).named("moves");

        // Whose data the packet takes, in this beat and the ones after it.
        let of_write = reg("of_write", boolean(), false);
        let of_completion = reg("of_completion", boolean(), false);
        when(loads, || {
            of_write.next(takes_posted);
            of_completion.next(takes_completion);
        });
        let beat = reg("data_beat", uint(beat_bits(self.bits)), 0);
        io.beat.set(beat);
        // Only a beat of 4 DWs has data beside a header.
        let is_write =
            if lanes == 4 { mux(loads, takes_posted, of_write) } else { of_write.value() };
        let data = dws(mux(is_write, posted.data, completion.data));
        let data: Vec<UInt> = data.into_iter().map(swap).collect();

        // Behind a header of 3 DWs each beat has the last DWs of a beat of data and the first one of the next.
        let shifted = reg("shifted", boolean(), false);
        let kept: Vec<_> =
            (1..lanes).map(|dw| reg_uninit(format!("kept_{dw}"), uint(32))).collect();
        let mut behind: Vec<UInt> = kept.iter().map(Reg::value).collect();
        behind.push(data[0]);
        let body: Vec<UInt> =
            behind.iter().zip(&data).map(|(&late, &now)| mux(shifted, late, now)).collect();
        let first_data = mux(four, low, data[0]);
        if lanes == 4 {
            // The header fills the first beat but for the last DW of a short one.
            let takes_data = (loads & !four & !takes_order) | moves;
            when(loads, || words.next(join(&[&header[..], &[first_data]].concat())))
                .elsewhen(moves, || words.next(join(&body)));
            when(takes_data, || beat.next(beat.wrapping_add(1)));
        } else {
            let tail: Vec<_> =
                (2..4).map(|dw| reg_uninit(format!("header_{dw}"), uint(32))).collect();
            let heads =
                reg("heads", boolean(), false).doc("The next beat begins with the header's DW 2");
            when(loads, || {
                words.next(join(&header[..2]));
                tail[0].next(header[2]);
                tail[1].next(low);
                heads.next(true);
            })
            .elsewhen(moves, || {
                let second = mux(shifted, data[0], tail[1].value());
                words.next(mux(heads, join(&[tail[0].value(), second]), join(&body)));
                heads.next(false);
            });
            when(moves & (shifted | !heads), || beat.next(beat.wrapping_add(1)));
        }
        let takes_kept = if lanes == 4 { loads | moves } else { moves };
        when(takes_kept, || {
            for (kept, &dw) in kept.iter().zip(&data[1..]) {
                kept.next(dw);
            }
        });
        when(loads, || {
            shifted.next(!four);
            left.next(length);
            set_valid.next(true);
            set_last.next(one_beat);
        })
        .elsewhen(valid & io.tx.ready(), || {
            let beats = lanes.ilog2();
            let after = one_less(left.bits(beats..6)).concat(left.bits(0..beats));
            left.next(mux(last, zeros(6), after));
            set_valid.next(!last);
            set_last.next(at_most(left.value(), (2 * lanes).into()));
        });
        // A source is free when the last beat of its packet stands in the register: which one that is, is known from
        // registers alone. So a source of a single beat is free a cycle later, and the next packet waits for it.
        closing.next(loads & one_beat & !takes_order);
        let closes =
            (closing | (moves & at_most(left.value(), (2 * lanes).into()))).named("closes");
        when(closes, || {
            beat.next(0);
            of_write.next(false);
            of_completion.next(false);
        });
        io.posted.accept(closes & of_write);
        io.completion.accept(closes & of_completion);
        io.writes.set(of_write);
        io.packet.set(loads);
        let keep: Vec<UInt> = (0..lanes)
            .map(|lane| mux(!at_most(left.value(), lane.into()), UInt::lit(15, 4), zeros(4)))
            .collect();
        let data: Vec<UInt> = (0..lanes)
            .map(|lane| {
                mux(
                    !at_most(left.value(), lane.into()),
                    words.bits(32 * lane..32 * (lane + 1)),
                    zeros(32),
                )
            })
            .collect();
        io.tx.offer(valid, TxBeat { data: join(&data), keep: join(&keep), last });
        let _ = (sideband.max_payload, sideband.max_read_request);
    }
}

/// DWs of a packet with so many DWs of data and a header of 3 or `four` DWs, modulo 64.
fn with_header(data: UInt, four: Bool) -> UInt {
    few_sum(data, mux(four, UInt::lit(4, 6), UInt::lit(3, 6)))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// A write or completion: its payload, each DW another number.
    struct Source {
        address: u64,
        payload: Vec<u32>,
    }

    impl Source {
        /// A beat of the payload; behind its end ones, which may not be seen.
        fn beat(&self, beat: u64, bits: u32) -> Bits {
            let lanes = bits as usize / 32;
            let dw = |at: usize| u64::from(*self.payload.get(at).unwrap_or(&u32::MAX));
            let first = beat as usize * lanes;
            let words: Vec<u64> =
                (first..first + lanes).step_by(2).map(|at| dw(at) | dw(at + 1) << 32).collect();
            Bits::from_words(bits, &words)
        }
    }

    fn sources(lengths: impl Iterator<Item = u32>, mark: u32) -> VecDeque<Source> {
        (0_u32..)
            .zip(lengths)
            .map(|(number, dws)| Source {
                // Every second address needs a header of four DWs.
                address: u64::from(number % 2) << 32 | 0x1000,
                payload: (0..dws).map(|dw| mark | number << 8 | dw).collect(),
            })
            .collect()
    }

    /// The payload of a packet, and whether it is a write; as the receiver of the packet would see it.
    fn opened(packet: &[u32]) -> (bool, Vec<u32>) {
        let (format, kind) = (packet[0] >> 29, packet[0] >> 24 & 31);
        let header = if format & 1 == 1 { 4 } else { 3 };
        let payload: Vec<u32> = packet[header..].iter().map(|dw| dw.swap_bytes()).collect();
        let length = if format & 2 == 2 { packet[0] & 1023 } else { 0 };
        assert_eq!(payload.len(), length as usize, "{packet:08x?}");
        (kind == 0 && format & 2 == 2, payload)
    }

    #[test]
    fn packets_take_their_data_beat_by_beat_in_either_width() {
        for bits in [64, 128] {
            let mut sim = elaborate(Sender { bits }).unwrap().simulator();
            let mut posted = sources((1..=16).chain((1..=16).rev()), 0xaa00_0000);
            let mut completions = sources((0..=32).chain([0, 1, 0]), 0xbb00_0000);
            let mut orders = 6;
            let mut expected = [&posted, &completions].map(|sources| {
                let payloads = sources.iter().map(|source| source.payload.clone());
                payloads.collect::<VecDeque<_>>()
            });
            sim.poke("sideband_bus_master", 1);
            let (mut packet, mut reads) = (Vec::new(), 0);
            for cycle in 0_u64..4000 {
                // The link and the reads pause now and then.
                sim.poke("tx_ready", u64::from(cycle * 7 % 11 < 8));
                let offers = cycle % 97 > 20;
                let beat = sim.peek("beat");
                // Some reads go before all data, and some between and behind.
                let begun = orders <= 3;
                sim.poke("posted_valid", u64::from(begun && !posted.is_empty()));
                if let Some(source) = posted.front() {
                    sim.poke("posted_payload_address", source.address);
                    sim.poke("posted_payload_long", source.address >> 32);
                    sim.poke("posted_payload_dws", source.payload.len() as u64);
                    sim.poke_bits("posted_payload_data", &source.beat(beat, bits));
                }
                sim.poke("completion_valid", u64::from(begun && !completions.is_empty()));
                if let Some(source) = completions.front() {
                    sim.poke("completion_payload_dws", source.payload.len() as u64);
                    sim.poke_bits("completion_payload_data", &source.beat(beat, bits));
                }
                sim.poke("order_valid", u64::from(orders > 0 && offers));
                sim.poke("order_payload_address", 0x40);
                let moves = |sim: &mut Simulator, port: &str| {
                    ["valid", "ready"].iter().all(|end| sim.peek(&format!("{port}_{end}")) == 1)
                };
                if moves(&mut sim, "tx") {
                    let data = sim.peek_bits("tx_payload_data");
                    let dws = sim.peek("tx_payload_keep").count_ones() / 4;
                    let dw = |at: u32| data.slice(32 * at, 32).to_u64() as u32;
                    packet.extend((0..dws).map(dw));
                    if sim.peek("tx_payload_last") == 1 {
                        match opened(&std::mem::take(&mut packet)) {
                            (true, payload) => assert_eq!(Some(payload), expected[0].pop_front()),
                            // Reads have no payload, and completions of no DWs have none either.
                            (false, payload) if payload.is_empty() => reads += 1,
                            (false, payload) => {
                                while expected[1].front().is_some_and(Vec::is_empty) {
                                    expected[1].pop_front();
                                }
                                assert_eq!(Some(payload), expected[1].pop_front());
                            }
                        }
                    }
                }
                if moves(&mut sim, "posted") {
                    posted.pop_front();
                }
                if moves(&mut sim, "completion") {
                    completions.pop_front();
                }
                orders -= u32::from(moves(&mut sim, "order"));
                sim.step();
            }
            assert_eq!((orders, reads), (0, 6 + 3), "{bits}");
            assert!(expected[0].is_empty() && expected[1].iter().all(Vec::is_empty), "{bits}");
        }
    }
}
