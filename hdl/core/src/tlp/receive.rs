//! Packets of the host become words and reads.

use rtl_builder::prelude::*;
use rtl_builder::stock::skid;
use rtl_builder::stock::stream::Stream;

use super::{
    CompletionHeader, LINE_BITS, LineBytes, ReadRequest, RxBeat, RxWord, dws, join, place_bits,
    swap,
};

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
        let beat = rx.payload();
        let words = dws(beat.data);

        // Header: DWs of this beat, or those kept from an earlier one.
        let position =
            reg("position", uint(3), 0).doc("DWs before this beat, up to the longest header");
        let header: Vec<UInt> = (0..4)
            .map(|index| {
                let kept = reg_uninit(format!("header_{index}"), uint(32));
                // Where no beat is taken, what is made of the header is not used: so who takes it does not lie
                // before it.
                let now = position.eq(index / lanes * lanes);
                when(rx.fire() & now, || kept.next(words[(index % lanes) as usize]));
                // Nothing is made of the header before the beat in which it ends.
                if index / lanes == 3 / lanes {
                    mux(now, words[(index % lanes) as usize], kept.value())
                } else {
                    kept.value()
                }
            })
            .collect();
        let format = header[0].bits(29..32);
        let kind = header[0].bits(24..29);
        let (long, has_data) = (format.bit(0), format.bit(1));
        let poison = header[0].bit(14);
        let length = header[0].bits(0..10);
        let length = length.is_zero().as_uint().concat(length).named("length");
        let header_dws = mux(long, UInt::lit(4, 3), UInt::lit(3, 3)).named("header_dws");
        let first_beat = position.is_zero();
        // The beat in which the header ends; packets that end before are too short.
        let header_beat = position.eq(if lanes == 4 { 0 } else { 2 }).named("header_beat");
        let in_payload = position.eq(4).named("in_payload");

        let is_memory = kind.eq(0);
        let is_completion = kind.eq(0b01010);
        let is_message = kind.bits(3..5).eq(0b10);
        let prefix = format.bit(2);
        let is_write = (is_memory & has_data & !prefix).named("is_write");
        let is_read = (is_memory & !has_data & !prefix).named("is_read");
        let is_completion = (is_completion & !prefix & !long).named("is_completion");
        // Requests for I/O and configuration, locked reads, atomics: they want an answer.
        let is_other_request = (!prefix
            & (kind.eq(0b00001)
                | kind.eq(0b00010)
                | kind.eq(0b00100)
                | kind.eq(0b00101)
                | kind.bits(2..5).eq(0b011)))
        .named("is_other_request");
        let known = is_write | is_read | is_completion | is_other_request | (is_message & !prefix);
        let hit = beat.bar_hit.bit(0) | beat.bar_hit.bit(2);
        let address_low = mux(long, header[3], header[2]).named("address_low");
        let writes = is_write & hit & !poison;
        let emits = (writes | is_completion).named("emits");

        // Payload DWs of this beat, the first one in lane 0.
        let skip = if lanes == 4 {
            // 128 bits: a header of 3 DWs leaves the last lane.
            mux(in_payload, UInt::lit(0, 3), header_dws)
        } else {
            mux(in_payload, UInt::lit(0, 3), header_dws.wrapping_sub(2).trunc(3))
        }
        .named("skip");
        let payload: Vec<UInt> = (0..lanes)
            .map(|lane| {
                let choices: Vec<(u64, UInt)> = (0..=lanes)
                    .filter(|by| lane + by < lanes)
                    .map(|by| (u64::from(by), swap(words[(lane + by) as usize])))
                    .collect();
                lookup(skip, &choices, UInt::lit(0, 32))
            })
            .collect();
        let body = header_beat | in_payload;
        let kept_left = reg("left", uint(11), 0).doc("DWs of the packet that are still to come");
        let kept_cursor = reg("cursor", uint(LINE_BITS + 4), 0).doc("Where the next DW goes");
        let kept_first = reg("no_word_yet", boolean(), true);
        let started = in_payload;
        let start = mux(
            is_completion,
            header[2].bits(2..6).zext(LINE_BITS + 4),
            address_low.bits(2..LINE_BITS + 6),
        );
        let data_dws = mux(has_data, length, UInt::lit(0, 11)).named("data_dws");
        let left = mux(started, kept_left.value(), data_dws).named("left_now");
        let cursor = mux(started, kept_cursor.value(), start).named("cursor_now");
        let first_word = mux(started, kept_first.value(), Bool::lit(true)).named("first_word");
        let room = UInt::lit(lanes.into(), 3).wrapping_sub(skip).trunc(3);
        let count = mux(left.lt(room), left.trunc(3), room).named("count");
        let left_after = left.wrapping_sub(count).named("left_after");
        let done = left.le(room).named("done");
        let lane_bits = lanes.ilog2();
        let slot = cursor.bits(0..lane_bits);
        let slot_after = (slot.zext(3) + count).trunc(3).named("slot_after");
        let fills = slot_after.ge(lanes);
        let spills = (slot_after.gt(lanes) & done).named("spills");

        // Byte enables of each DW of this beat.
        let only = length.eq(1);
        let enables: Vec<UInt> = (0..lanes)
            .map(|lane| {
                let first = Bool::lit(lane == 0) & !started;
                let last = left.eq(lane + 1) & !only;
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
        let (mut next, mut next_enables) = (vec![], vec![]);
        for place in 0..lanes {
            let lane = UInt::lit(place.into(), lane_bits).wrapping_sub(slot);
            let here = lane.lt(count);
            let (data, enable) = (select(lane, &payload), select(lane, &enables));
            let this = here & slot.le(u64::from(place));
            let low = 4 * place;
            let old = held_enables.bits(low..low + 4);
            merged.push(mux(this, data, held_dws[place as usize]));
            merged_enables.push(mux(this, enable, old));
            next.push(data);
            next_enables.push(mux(here & !this, enable, UInt::lit(0, 4)));
        }
        let (merged, merged_enables) = (join(&merged), join(&merged_enables));
        let (next, next_enables) = (join(&next), join(&next_enables));

        let out_valid = reg("out_valid", boolean(), false);
        let out = reg_uninit("out", RxWord::shape(self.bits));
        let rest = reg("rest", boolean(), false).doc("The packet's last word is still held");
        let read_valid = reg("read_waits", boolean(), false);
        let read = reg_uninit("read_out", ReadRequest::shape());
        let out_free = !out_valid | io.word.ready();
        let read_free = !read_valid | io.read.ready();
        rx.accept(out_free & read_free & !rest);
        let fire = rx.fire();
        io.word.offer(out_valid.value(), out.value());
        io.read.offer(read_valid.value(), read.value());

        when(io.word.ready(), || out_valid.next(false));
        when(io.read.ready(), || read_valid.next(false));
        let empty_completion = is_completion & header_beat & data_dws.is_zero();
        let payload_beat = body & (!count.is_zero() | empty_completion) & emits;
        let complete_word = (fire & payload_beat & (fills | done)).named("complete_word");
        let byte_count = header[1].bits(0..12);
        let header_out = CompletionHeader {
            requester: header[2].bits(16..32),
            tag: header[2].bits(8..16),
            status: header[1].bits(13..16),
            poisoned: poison,
            byte_count,
            lower_address: header[2].bits(0..7),
            dws: data_dws,
            fits: data_dws.le(byte_count.bits(2..12)),
            ends: data_dws.concat(UInt::lit(0, 2)).eq(byte_count),
        };
        when(fire & payload_beat, || {
            held.next(merged);
            held_enables.next(merged_enables);
        });
        let word = cursor.bits(lane_bits..LINE_BITS + 4).named("word_number");
        let in_line = place_bits(self.bits);
        when(complete_word, || {
            out_valid.next(true);
            out.next(RxWord {
                completion: is_completion,
                first: first_word,
                last: done & !spills,
                msix: beat.bar_hit.bit(2),
                line: word.bits(in_line..word.width()),
                bytes: LineBytes {
                    place: word.bits(0..in_line),
                    word: merged,
                    enables: merged_enables,
                },
                header: header_out,
            });
            held.next(next);
            held_enables.next(next_enables);
            rest.next(spills);
        });
        when(rest & out_free, || {
            out_valid.next(true);
            out.field(|word| word.first).next(false);
            out.field(|word| word.last).next(true);
            let next = out.line.concat(out.bytes.place).wrapping_add(1);
            out.field(|word| word.line).next(next.bits(in_line..next.width()));
            out.field(|word| word.bytes).next(LineBytes {
                place: next.bits(0..in_line),
                word: held.value(),
                enables: held_enables.value(),
            });
            held_enables.next(no_bytes);
            rest.next(false);
        });
        when(fire & body, || {
            kept_left.next(left_after);
            kept_cursor.next(cursor.wrapping_add(count));
            kept_first.next(first_word & !complete_word);
        });
        let step = UInt::lit(lanes.into(), 3);
        when(fire, || {
            position.next(mux(in_payload, UInt::lit(4, 3), position.wrapping_add(step)));
            // A write that ends early leaves nothing behind.
            when(beat.last, || {
                position.next(0);
                when(!spills | !complete_word, || held_enables.next(no_bytes));
            });
        });

        // Requests that want an answer; the last header DW is in this beat.
        let asks = (fire & header_beat & (is_read | is_other_request)).named("asks");
        when(asks, || {
            read_valid.next(true);
            read.next(ReadRequest {
                unsupported: !is_read | !hit,
                msix: beat.bar_hit.bit(2),
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

        let ends = fire & beat.last;
        let short = ends & !body;
        let early = ends & body & emits & !left_after.is_zero();
        io.packet.set(fire & first_beat);
        let decided = fire & header_beat;
        io.poisoned.set(decided & poison & (is_write | is_completion));
        io.unsupported.set(decided & ((is_write & !hit) | (is_read & !hit) | is_other_request));
        io.malformed.set((decided & !known) | short | early);
        let _ = beat.keep;
    }
}
