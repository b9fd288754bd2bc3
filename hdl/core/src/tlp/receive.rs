//! Packets of the host become words and reads.

use rtl_builder::prelude::*;
use rtl_builder::stock::skid;
use rtl_builder::stock::stream::Stream;

use super::{
    CompletionHeader, LINE_BITS, LineBytes, ReadRequest, RxBeat, RxWord, dws, join, place_bits,
    swap,
};
use crate::bits::{any, at_most, few_sum};
use crate::queue::registers::in_window;

/// Takes packets apart. Writes and completions leave as words of the stream's width at multiples of
/// it, so that whatever the packet's length and alignment is, what follows sees words of a line.
/// Requests that want an answer leave as reads. The rest is dropped and counted.
pub struct Receiver {
    /// Width of the stream, bits: 64 or 128.
    pub bits: u32,
}

/// Ports of [`Receiver`].
#[derive(Clone, Ports)]
pub struct ReceiverIo {
    /// Packets
    pub rx: StreamIn<RxBeat>,
    /// Words of writes and completions
    pub word: StreamOut<RxWord>,
    /// Requests that want an answer
    pub read: StreamOut<ReadRequest>,
    /// A packet came
    pub packet: Output<Bool>,
    /// A request was dropped or will be refused
    pub unsupported: Output<Bool>,
    /// A packet was poisoned
    pub poisoned: Output<Bool>,
    /// A packet could not be decoded
    pub malformed: Output<Bool>,
}

impl Component for Receiver {
    type Io = ReceiverIo;

    fn name(&self) -> String {
        format!("tlp_receiver_w{}", self.bits)
    }

    fn doc(&self) -> String {
        "Packets of the host become words and reads".into()
    }

    fn io(&self) -> ReceiverIo {
        ReceiverIo {
            rx: stream_in(RxBeat::shape(self.bits)),
            word: stream_out(RxWord::shape(self.bits)),
            read: stream_out(ReadRequest::shape()),
            packet: output(boolean()),
            unsupported: output(boolean()),
            poisoned: output(boolean()),
            malformed: output(boolean()),
        }
    }

    fn build(&self, io: ReceiverIo) {
        let lanes = self.bits / 32;
        let rx = skid("rx_register", &io.rx);
        let arriving = rx.payload();
        let arriving_words = dws(arriving.data);

        // A beat stands in registers with what its place in the packet and the packet's header say of it: so what is made of
        // the header begins at registers. The header itself changes as a packet's first beats come to stand here.
        let position = reg("position", uint(3), 0)
            .doc("DWs before the beat that comes, up to the longest header");
        let beat_valid = reg("beat_valid", boolean(), false).doc("A beat is here");
        let ready = wire("beat_leaves", boolean());
        rx.accept(!beat_valid | ready.value());
        let comes = rx.fire();
        beat_valid.next(comes | (beat_valid & !ready.value()));
        let fire = (beat_valid & ready.value()).named("fire");
        let beat_words = reg_uninit("beat_words", uint(self.bits)).doc("The beat's DWs");
        let beat_last = reg_uninit("beat_last", boolean()).doc("The packet's last beat");
        let to_registers = reg_uninit("to_registers", boolean()).doc("The packet's BAR");
        let to_msix = reg_uninit("to_msix", boolean()).doc("The packet's BAR");
        when(comes, || {
            beat_words.next(arriving.data);
            beat_last.next(arriving.last);
            to_registers.next(arriving.bar_hit.bit(0));
            to_msix.next(arriving.bar_hit.bit(2));
            let step = UInt::lit(lanes.into(), 3);
            let after = mux(position.eq(4), UInt::lit(4, 3), position.wrapping_add(step));
            position.next(mux(arriving.last, UInt::lit(0, 3), after));
        });
        let words = dws(beat_words.value());
        // The header's DWs, and as they are when the beat comes in which the header ends.
        let (header, ahead): (Vec<UInt>, Vec<UInt>) = (0..4)
            .map(|index| {
                let kept = reg_uninit(format!("header_{index}"), uint(32));
                let word = arriving_words[(index % lanes) as usize];
                when(comes & position.eq(index / lanes * lanes), || kept.next(word));
                (kept.value(), if index / lanes == 3 / lanes { word } else { kept.value() })
            })
            .unzip();
        // The beat in which the header ends; packets that end before are too short.
        let header_comes = position.eq(if lanes == 4 { 0 } else { 2 }).named("header_comes");
        let payload_comes = position.eq(4).named("payload_comes");
        let header_beat = reg("header_beat", boolean(), false).doc("The header ends in the beat");
        let in_payload = reg("in_payload", boolean(), false).doc("It ended in an earlier one");
        when(comes, || {
            header_beat.next(header_comes);
            in_payload.next(payload_comes);
        });
        let body = (header_beat | in_payload.value()).named("body");

        // What the packet is.
        let (format, kind) = (arriving_words[0].bits(29..32), arriving_words[0].bits(24..29));
        let poison = header[0].bit(14);
        let (is_memory, prefix) = (kind.eq(0), format.bit(2));
        // What DW 0 says is decoded as it comes.
        let decoded = |name: &str, value: Bool| {
            let kept = reg_uninit(name, boolean());
            when(comes & position.is_zero(), || kept.next(value));
            kept.value()
        };
        let is_write = decoded("is_write", is_memory & format.bit(1) & !prefix);
        let is_read = decoded("is_read", is_memory & !format.bit(1) & !prefix);
        let completion_comes = kind.eq(0b01010) & !prefix & !format.bit(0);
        let is_completion = decoded("is_completion", completion_comes);
        // Requests for I/O and configuration, locked reads, atomics: they want an answer.
        let is_other_request = decoded(
            "is_other_request",
            !prefix
                & (kind.eq(0b00001)
                    | kind.eq(0b00010)
                    | kind.eq(0b00100)
                    | kind.eq(0b00101)
                    | kind.bits(2..5).eq(0b011)),
        );
        let is_message = decoded("is_message", kind.bits(3..5).eq(0b10) & !prefix);
        let known = is_write | is_read | is_completion | is_other_request | is_message;
        let hit = to_registers | to_msix.value();
        let emits = ((is_write & hit & !poison) | is_completion).named("emits");
        let address_low = mux(header[0].bit(29), header[3], header[2]).named("address_low");
        let length_of = |first: UInt| {
            let length = first.bits(0..10);
            length.is_zero().as_uint().concat(length)
        };
        let data_of = |first: UInt| mux(first.bit(30), length_of(first), UInt::lit(0, 11));
        let length = length_of(header[0]).named("length");
        // Both DWs that say how long a packet is come together, and are compared as they come.
        let (arriving_length, arriving_data) =
            (length_of(arriving_words[0]), data_of(arriving_words[0]));
        let data_dws = data_of(header[0]).named("data_dws");

        // Payload DWs of this beat, the first one in lane 0. Behind a header of 3 DWs a beat has one more than behind one of 4.
        let skip = reg("skip", uint(3), 0).doc("DWs of the header in the beat");
        let room = reg("room", uint(3), 0).doc("DWs behind them");
        let long_comes = ahead[0].bit(29);
        when(comes, || {
            let none = UInt::lit(0, 3);
            let all = UInt::lit(lanes.into(), 3);
            let short = UInt::lit((lanes - 1).into(), 3);
            skip.next(mux(payload_comes, none, mux(long_comes, all, short)));
            room.next(mux(payload_comes, all, mux(long_comes, none, UInt::lit(1, 3))));
        });
        let payload: Vec<UInt> = (0..lanes)
            .map(|lane| {
                let choices: Vec<(u64, UInt)> = (0..=lanes)
                    .filter(|by| lane + by < lanes)
                    .map(|by| (u64::from(by), swap(words[(lane + by) as usize])))
                    .collect();
                lookup(skip.value(), &choices, UInt::lit(0, 32))
            })
            .collect();
        let left = reg("left", uint(11), 0).doc("DWs of the packet from this beat on");
        let cursor = reg("cursor", uint(LINE_BITS + 4), 0).doc("Where the next DW goes");
        let first_word = reg("no_word_yet", boolean(), true);
        let room = room.value();
        let lane_bits = lanes.ilog2();
        // There is room for none, one or all.
        let (one_fits, all_fit) = (room.bit(0), room.bit(lane_bits));
        // Whether the DWs that are left are more than a few is known beside them: what compares them has three bits.
        let many = reg("many", boolean(), false).doc("At least 8 are left");
        let few = left.bits(0..3);
        let few_fit =
            few.is_zero() | (one_fits & at_most(few, 1)) | (all_fit & at_most(few, lanes.into()));
        let done = (!many & few_fit).named("done");
        let count = mux(done, few, room).named("count");
        let left_after = mux(done, UInt::lit(0, 11), left.wrapping_sub(room)).named("left_after");
        let slot = cursor.bits(0..lane_bits);
        let slot_after = few_sum(slot.zext(3), count).named("slot_after");
        let fills = !at_most(slot_after, u64::from(lanes) - 1);
        let spills = (!at_most(slot_after, lanes.into()) & done).named("spills");

        // Byte enables of each DW of this beat.
        let only = decoded("only", arriving_length.eq(1));
        let enables: Vec<UInt> = (0..lanes)
            .map(|lane| {
                let first = Bool::lit(lane == 0) & header_beat.value();
                let last = !many & few.eq(lane + 1) & !only;
                let all = UInt::lit(15, 4);
                let of_write = priority_mux(
                    &[(first, header[1].bits(0..4)), (last, header[1].bits(4..8))],
                    all,
                );
                mux(is_completion, all, of_write)
            })
            .collect();

        // The word that is being filled.
        let no_bytes = UInt::lit(0, self.bits / 8);
        let held = reg_uninit("held", uint(self.bits));
        let held_enables = reg("held_enables", uint(self.bits / 8), no_bytes);
        let (held_dws, mut merged, mut merged_enables) = (dws(held.value()), vec![], vec![]);
        let mut next_enables = vec![];
        let lane_of = |place: u32| {
            let lanes_of_slots = (0..lanes)
                .map(|slot| {
                    let lane = (place + lanes - slot) % lanes;
                    (u64::from(slot), UInt::lit(lane.into(), lane_bits))
                })
                .collect::<Vec<_>>();
            lookup(slot, &lanes_of_slots, UInt::lit(0, lane_bits))
        };
        for place in 0..lanes {
            let lane = lane_of(place);
            let in_count: Vec<Bool> =
                (0..lanes).map(|at| lane.eq(at) & !at_most(count, at.into())).collect();
            let here = any(&in_count);
            let (data, enable) = (select(lane, &payload), select(lane, &enables));
            // Behind the DWs that are there the word holds nothing: so which ones those are is asked for enables alone.
            let in_word = at_most(slot, place.into());
            let this = here & in_word;
            let low = 4 * place;
            let old = held_enables.bits(low..low + 4);
            merged.push(mux(in_word, data, held_dws[place as usize]));
            merged_enables.push(mux(this, enable, old));
            next_enables.push(mux(here & !this, enable, UInt::lit(0, 4)));
        }
        let (merged, merged_enables) = (join(&merged), join(&merged_enables));
        let next_enables = join(&next_enables);

        let out_valid = reg("out_valid", boolean(), false);
        let out = reg_uninit("out", RxWord::shape(self.bits));
        let rest = reg("rest", boolean(), false).doc("The packet's last word is still held");
        let read_valid = reg("read_waits", boolean(), false);
        let read = reg_uninit("read_out", ReadRequest::shape());
        let out_free = !out_valid | io.word.ready();
        let read_free = !read_valid | io.read.ready();
        ready.set(out_free & read_free & !rest);
        io.word.offer(out_valid.value(), out.value());
        io.read.offer(read_valid.value(), read.value());

        when(io.word.ready(), || out_valid.next(false));
        when(io.read.ready(), || read_valid.next(false));
        let empty_completion = is_completion & header_beat & !header[0].bit(30);
        let payload_beat = body & (!count.is_zero() | empty_completion) & emits;
        let complete_word = (fire & payload_beat & (fills | done)).named("complete_word");
        let (byte_count, status) = (header[1].bits(0..12), header[1].bits(13..16));
        let arriving_count = arriving_words[1].bits(0..12);
        let fails = decoded(
            "fails",
            !arriving_words[1].bits(13..16).is_zero()
                | arriving_words[0].bit(14)
                | arriving_data.is_zero(),
        );
        let fits = decoded("fits", arriving_data.le(arriving_count.bits(2..12)));
        let ends = decoded("ends", arriving_data.concat(UInt::lit(0, 2)).eq(arriving_count));
        let header_out = CompletionHeader {
            requester: header[2].bits(16..32),
            tag: header[2].bits(8..16),
            status,
            fails,
            poisoned: poison,
            byte_count,
            lower_address: header[2].bits(0..7),
            dws: data_dws,
            fits: fails | fits,
            ends,
        };
        // Of the word that is held only what is enabled counts: its DWs change with every beat.
        let next: Vec<UInt> = (0..lanes)
            .map(|place| mux(fills, select(lane_of(place), &payload), dws(merged)[place as usize]))
            .collect();
        when(fire, || held.next(join(&next)));
        when(fire & payload_beat, || held_enables.next(merged_enables));
        let word = cursor.bits(lane_bits..LINE_BITS + 4).named("word_number");
        let in_line = place_bits(self.bits);
        let line = word.bits(in_line..word.width());
        // The number of the word behind stands beside it: the rest of a packet goes there.
        let behind = reg_uninit("word_behind", uint(word.width()));
        // Whether there is a word is said by `out_valid` alone.
        when(fire, || {
            behind.next(word.wrapping_add(1));
            out.next(RxWord {
                completion: is_completion,
                first: first_word.value(),
                last: done & !spills,
                waits: mux(is_completion, first_word, in_window(line) & !to_msix),
                msix: to_msix.value(),
                line,
                bytes: LineBytes {
                    place: word.bits(0..in_line),
                    word: merged,
                    enables: merged_enables,
                },
                header: header_out,
            });
        });
        when(complete_word, || {
            out_valid.next(true);
            held_enables.next(next_enables);
            rest.next(spills);
        });
        when(rest & out_free, || {
            out_valid.next(true);
            out.field(|word| word.first).next(false);
            out.field(|word| word.last).next(true);
            let line = behind.bits(in_line..behind.width());
            out.field(|word| word.line).next(line);
            let waits = !out.completion & !out.msix & in_window(line);
            out.field(|word| word.waits).next(waits);
            out.field(|word| word.bytes).next(LineBytes {
                place: behind.bits(0..in_line),
                word: held.value(),
                enables: held_enables.value(),
            });
            held_enables.next(no_bytes);
            rest.next(false);
        });
        when(fire & body, || {
            left.next(left_after);
            // As many are left behind a beat as it has room for; fewer only at the end.
            let low = left.bits(0..4);
            let exceeds = |room: u32| !at_most(low, u64::from(room) + 7);
            let low_many = mux(all_fit, exceeds(lanes), mux(one_fits, exceeds(1), exceeds(0)));
            many.next(!left.bits(4..11).is_zero() | low_many);
            // Behind the packet's last DW nothing has a place.
            cursor.next(cursor.wrapping_add(room));
            first_word.next(first_word & !complete_word);
        });
        // The first payload is that of the beat in which the header ends.
        when(comes & header_comes, || {
            let completion = if lanes == 4 { completion_comes } else { is_completion };
            let address = mux(long_comes, ahead[3], ahead[2]);
            let data = data_of(ahead[0]);
            left.next(data);
            many.next(!data.bits(3..11).is_zero());
            cursor.next(mux(
                completion,
                ahead[2].bits(2..6).zext(LINE_BITS + 4),
                address.bits(2..LINE_BITS + 6),
            ));
            first_word.next(true);
        });
        // A write that ends early leaves nothing behind. What spills has DWs and completes a word.
        when(fire & beat_last & !(spills & body & emits), || held_enables.next(no_bytes));

        // Requests that want an answer; the last header DW is in this beat.
        let asks = (fire & header_beat & (is_read | is_other_request)).named("asks");
        when(asks, || {
            read_valid.next(true);
            read.next(ReadRequest {
                unsupported: !is_read | !hit,
                msix: to_msix.value(),
                dw: address_low.bits(2..LINE_BITS + 6),
                dws: length,
                first_enables: header[1].bits(0..4),
                last_enables: header[1].bits(4..8),
                requester: header[1].bits(16..32),
                tag: header[1].bits(8..16),
                class: header[0].bits(20..23),
                attributes: header[0].bit(18).as_uint().concat(header[0].bits(12..14)),
            });
        });

        let ends = fire & beat_last;
        let short = ends & !body;
        let early = ends & body & emits & !done;
        io.packet.set(comes & position.is_zero());
        let decided = fire & header_beat;
        io.poisoned.set(decided & poison & (is_write | is_completion));
        io.unsupported.set(decided & ((is_write & !hit) | (is_read & !hit) | is_other_request));
        io.malformed.set((decided & !known) | short | early);
        let _ = arriving.keep;
    }
}
