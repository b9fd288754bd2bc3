//! The card's own reads of host memory.

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::{READ_SLOTS, ReadOrder, RxWord, SLOT_LINES, place_bits};
use crate::bits::any;

/// How a read ended, or why not.
pub mod outcome {
    /// The data is there.
    pub const DONE: u64 = 0;
    /// The host answered with another status than success, or not as the rules say.
    pub const REFUSED: u64 = 1;
    /// The data was poisoned.
    pub const POISONED: u64 = 2;
    /// No answer in time.
    pub const TIMEOUT: u64 = 3;
}

/// Follows reads: one for each slot, and says where in the slot's lines each word of their data
/// goes. Completions may come in any order and cut at any DW.
///
/// The tag of a read is its slot with a number above it that changes with each read: a
/// completion that comes after the time-out, or after a reset, fits no read and is dropped.
pub struct Requester {
    /// Width of the stream, bits.
    pub bits: u32,
}

/// Ports of [`Requester`].
#[derive(Clone, Ports)]
pub struct RequesterIo {
    /// Reads to make; their slots are free
    pub order: StreamIn<ReadOrder>,
    /// The same, on their way
    pub sent: StreamOut<ReadOrder>,
    /// Tag of the read on its way
    pub tag: Output<UInt>,
    /// Words of completions; each is taken at once but the first one of a packet, which is taken when it was looked at
    pub word: Input<RxWord>,
    /// The word is there
    pub word_valid: Input<Bool>,
    /// The first word of a packet was looked at and is taken
    pub looked: Output<Bool>,
    /// The card's own number
    pub completer_id: Input<UInt>,
    /// Cycles that the host may take
    pub timeout: Input<UInt>,
    /// Bit s: slot s has ended
    pub ended: Output<UInt>,
    /// How each slot ended
    pub outcomes: Vec<Output<UInt>>,
    /// Bit s: slot s is free again
    pub release: Input<UInt>,
    /// The word is data of a read, to be kept
    pub stores: Output<Bool>,
    /// Slot and line of it
    pub row: Output<UInt>,
    /// No read is under way
    pub idle: Output<Bool>,
    /// A completion fitted no read
    pub unexpected: Output<Bool>,
    /// A read got no answer
    pub timed_out: Output<Bool>,
    /// A read was refused
    pub refused: Output<Bool>,
    /// Generations of the slots, which survive a reset of the function
    pub generations: Vec<Input<UInt>>,
    /// A slot's generation ends
    pub next_generation: Output<UInt>,
}

impl Component for Requester {
    type Io = RequesterIo;

    fn name(&self) -> String {
        format!("tlp_requester_w{}", self.bits)
    }

    fn doc(&self) -> String {
        "The card's reads: tags, completions in any order and size, time-outs".into()
    }

    fn io(&self) -> RequesterIo {
        RequesterIo {
            order: stream_in(ReadOrder::shape()),
            sent: stream_out(ReadOrder::shape()),
            tag: output(uint(8)),
            word: input(RxWord::shape(self.bits)),
            word_valid: input(boolean()),
            looked: output(boolean()),
            completer_id: input(uint(16)),
            timeout: input(uint(32)),
            ended: output(uint(READ_SLOTS)),
            outcomes: (0..READ_SLOTS).map(|_| output(uint(2))).collect(),
            release: input(uint(READ_SLOTS)),
            stores: output(boolean()),
            row: output(uint(ROW_BITS)),
            idle: output(boolean()),
            unexpected: output(boolean()),
            timed_out: output(boolean()),
            refused: output(boolean()),
            generations: (0..READ_SLOTS).map(|_| input(uint(2))).collect(),
            next_generation: output(uint(READ_SLOTS)),
        }
    }

    fn build(&self, io: RequesterIo) {
        let order = io.order.payload();
        let generations: Vec<UInt> = io.generations.iter().map(Input::value).collect();
        // A read on its way stands in a register: neither who asks for it nor its slot's generation lies before the packet.
        let offered = reg("read_offered", boolean(), false);
        let sent = reg_uninit("read_out", ReadOrder::shape());
        let tag = reg_uninit("read_tag", uint(8));
        io.order.accept(!offered);
        when(io.order.valid() & !offered, || {
            offered.next(true);
            sent.next(order);
            let generation = select(order.slot, &generations);
            tag.next(cat(&[UInt::lit(0, 3), generation, order.slot]));
        });
        when(offered & io.sent.ready(), || offered.next(false));
        io.sent.offer(offered.value(), sent.value());
        io.tag.set(tag);
        // Its slot knows a cycle later that it left, which is long before an answer.
        let leaves = reg("read_leaves", boolean(), false);
        leaves.next(offered & io.sent.ready());

        let word = io.word.value();
        let header = word.header;
        // The first word of a packet stays for a cycle more, in which it is compared with all slots.
        let looked = reg("first_looked", boolean(), false).doc("The first word was compared");
        looked.next(io.word_valid & word.completion & word.first & !looked);
        io.looked.set(looked);
        let arrives = io.word_valid & word.completion & (!word.first | looked);
        let slot = header.tag.bits(0..3);
        // The first word of a packet decides for all of it.
        let kept_takes = reg("kept_takes", boolean(), false);
        // Of a word's number in the slot, the line; the place in it comes with the word.
        let in_line = place_bits(self.bits);
        let number_bits = SLOT_LINES.ilog2() + in_line;
        let number = reg("number", uint(number_bits), 0).doc("Word of the slot that comes next");

        let mut ended_bits = Vec::new();
        let mut busy_bits = Vec::new();
        let mut position_of = Vec::new();
        let mut takers = Vec::new();
        let mut timeouts = Vec::new();
        let mut news = Vec::new();
        let bytes = header.dws.concat(UInt::lit(0, 2)).named("packet_bytes");
        let fails = header.fails;
        // What a completion says must fit what is still to come. Each slot compares for itself, so that the choice of
        // the slot does not lie before. Where it fits, what remains is what the packet says: with that its data are
        // compared already.
        let sound = (slot.lt(READ_SLOTS)
            & header.tag.bits(5..8).is_zero()
            & header.requester.eq(io.completer_id.value())
            & header.fits)
            .named("sound");
        for index in 0..READ_SLOTS {
            scope(format!("slot{index}"), || {
                let busy = reg("busy", boolean(), false).doc("The read is under way");
                let ended = reg("ended", boolean(), false).doc("The read has ended");
                let outcome = reg("outcome", uint(2), 0);
                let come = reg("come", uint(10), 0).doc("Bytes that have come");
                let remaining = reg("remaining", uint(10), 0).doc("Bytes that have not come");
                let age = reg("age", uint(32), 0).doc("Cycles since it was sent");
                let mine = sent.slot.eq(index);
                let of_word = slot.eq(index);
                let fits = header.byte_count.eq(remaining.value())
                    & header.lower_address.bits(0..6).eq(come.bits(0..6));
                let open = busy & header.tag.bits(3..5).eq(generations[index as usize]);
                let matches = delayed("matches", of_word & open & (fits | fails) & sound);
                // It may be too late by now.
                let takes_first = (matches & busy).named("takes_first");
                let takes = mux(word.first, takes_first, of_word & kept_takes).named("takes");
                let ends_now = wire("ends_now", boolean());
                ends_now.set(false);
                when(busy, || age.next(age.wrapping_add(1)));
                let late = busy & delayed("too_old", busy & age.ge(io.timeout));
                when(late, || {
                    outcome.next(outcome::TIMEOUT);
                    ends_now.set(true);
                });
                when(arrives & word.first & takes_first, || {
                    remaining.next(remaining.wrapping_sub(bytes.trunc(10)));
                    come.next(come.wrapping_add(bytes.trunc(10)));
                    when(fails, || {
                        let refused = UInt::lit(outcome::REFUSED, 2);
                        let poisoned = UInt::lit(outcome::POISONED, 2);
                        outcome.next(mux(
                            header.status.is_zero() & header.poisoned,
                            poisoned,
                            refused,
                        ));
                        ends_now.set(true);
                    });
                });
                let nothing_left = mux(word.first, header.ends, remaining.is_zero());
                when(busy & arrives & takes & word.last & nothing_left & !late, || {
                    when(!(word.first & fails), || outcome.next(outcome::DONE));
                    ends_now.set(true);
                });
                when(ends_now, || {
                    busy.next(false);
                    ended.next(true);
                });
                when(io.release.bit(index), || ended.next(false));
                when(leaves & mine, || {
                    busy.next(true);
                    ended.next(false);
                    age.next(0);
                    let size = join_lines(sent.lines);
                    come.next(0);
                    remaining.next(size);
                });
                io.outcomes[index as usize].set(outcome);
                ended_bits.push(ended.as_uint());
                busy_bits.push(busy.value());
                position_of.push(come.value());
                takers.push(takes_first);
                timeouts.push(late);
                news.push(ends_now.as_uint());
            });
        }
        let takes_first = any(&takers).named("takes_first");
        let takes = mux(word.first, takes_first, kept_takes.value()).named("takes");
        let place = delayed("place_now", select(slot, &position_of));
        when(arrives & word.first, || kept_takes.next(takes_first & !fails));
        let number_now =
            mux(word.first, place.bits(9 - number_bits..9), number.value()).named("number_now");
        when(arrives, || number.next(number_now.wrapping_add(1)));
        io.stores.set(arrives & takes & !(word.first & fails));
        io.row.set(slot.concat(number_now.bits(in_line..number_bits)));
        io.ended.set(super::join(&ended_bits));
        io.next_generation.set(super::join(&news));
        io.idle.set(!any(&busy_bits) & !offered & !leaves);
        io.unexpected.set(arrives & word.first & !takes_first);
        io.timed_out.set(any(&timeouts));
        io.refused.set(arrives & word.first & takes_first & fails & !header.poisoned);
    }
}

/// Bits of a row: slot, and line in it.
pub(crate) const ROW_BITS: u32 = (READ_SLOTS * SLOT_LINES).next_power_of_two().ilog2();

/// Bytes of so many lines.
fn join_lines(lines: UInt) -> UInt {
    lines.concat(UInt::lit(0, 6))
}
