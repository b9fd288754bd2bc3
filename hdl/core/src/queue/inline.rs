//! Inline events: from the writes into the window to the core.

use rmt_isa::device::QueueError;
use rmt_isa::device::registers::{INLINE_LINES, INLINE_OFFSET, LINE_BYTES};
use rtl_builder::prelude::*;
use rtl_builder::stock::RoundRobinArbiter;

use super::dispatch::PairLine;
use super::lines;
use super::pair::{PairStrobes, PairView};
use crate::bits::{at_most, one_less, one_more_of_few};
use crate::tlp::{LineBytes, join};

/// Keeps account of up to `slots` events of each pair, which stand in [`lines::Lines`]. Bytes of an
/// event may come in several writes; the one with its last four bytes completes it.
pub struct InlineBuffer {
    /// Queue pairs.
    pub queues: u32,
    /// Events of each pair.
    pub slots: u32,
    /// Width of a word, bits.
    pub bits: u32,
}

/// Ports of [`InlineBuffer`].
#[derive(Clone, Ports)]
pub struct InlineBufferIo {
    /// Bytes in a pair's page are written; what the buffer makes of it shows in the next cycle
    pub write: Input<Bool>,
    /// The pair
    pub pair: Input<UInt>,
    /// Number of their line in the page
    pub line: Input<UInt>,
    /// The bytes
    pub bytes: Input<LineBytes>,
    /// The bytes of the last cycle are of an event, to be kept
    pub stores: Output<Bool>,
    /// Pair and slot of it
    pub row: Output<UInt>,
    /// All pairs
    pub views: Vec<Input<PairView>>,
    /// Of the strobes, those of inline events: taken, seen, line, error
    pub strobes: Vec<Output<PairStrobes>>,
    /// The last bytes of an event came, whether or not it has a place
    pub ends: Output<Bool>,
    /// An event is here
    pub waits: Output<Bool>,
    /// It; until it is taken, another pair's may come in its place
    pub event: Output<PairLine>,
    /// It is taken
    pub takes: Input<Bool>,
    /// No event is here
    pub idle: Output<Bool>,
}

impl Component for InlineBuffer {
    type Io = InlineBufferIo;

    fn name(&self) -> String {
        format!("inline_buffer_q{}_s{}_w{}", self.queues, self.slots, self.bits)
    }

    fn doc(&self) -> String {
        "Inline events wait here for the core".into()
    }

    fn io(&self) -> InlineBufferIo {
        let pairs = 0..self.queues;
        InlineBufferIo {
            write: input(boolean()),
            pair: input(uint(pair_bits(self.queues))),
            line: input(uint(6)),
            bytes: input(LineBytes::shape(self.bits)),
            stores: output(boolean()),
            row: output(uint(row_bits(self.queues, self.slots))),
            views: pairs.clone().map(|_| input(PairView::shape())).collect(),
            strobes: pairs.map(|_| output(PairStrobes::shape())).collect(),
            ends: output(boolean()),
            waits: output(boolean()),
            event: output(PairLine::shape(lines::row_bits(self.queues, self.slots))),
            takes: input(boolean()),
            idle: output(boolean()),
        }
    }

    fn build(&self, io: InlineBufferIo) {
        let slot_bits = self.slots.ilog2();
        // What comes is decoded before it stands in registers.
        let in_window = io.line.ge(INLINE_OFFSET / LINE_BYTES);
        let enables = io.bytes.value().line_enables();
        let covers: Vec<UInt> =
            (0..16).map(|dw| enables.bits(4 * dw..4 * dw + 4).reduce_and().as_uint()).collect();
        let covers = join(&covers);
        let completes = covers.bit(15);
        let window = reg("window", boolean(), false).doc("Bytes of an event are here");
        window.next(io.write & in_window);
        let window = window.value();
        let last_here = reg("last_here", boolean(), false).doc("Its last ones are");
        last_here.next(io.write & in_window & completes);
        let covers = delayed("covers", covers);
        let line = delayed("line_here", io.line.bits(0..INLINE_LINES.ilog2()));

        let mut full = Vec::new();
        let mut writes = Vec::new();
        let mut reads = Vec::new();
        let mut requests = Vec::new();
        let popped = wire("popped", uint(pair_bits(self.queues)));
        let pair = delayed("pair_here", io.pair.value());
        for index in 0..self.queues {
            scope(format!("pair{index}"), || {
                let view = io.views[index as usize].value();
                let next_write = reg("next_write", uint(slot_bits), 0);
                let next_read = reg("next_read", uint(slot_bits), 0);
                let count = reg("count", uint(slot_bits + 1), 0);
                let covered = reg("covered", uint(16), 0).doc("DWs of the next event that came");
                let here = window & pair.eq(index);
                let some = reg("some", boolean(), false).doc("An event waits");
                let is_full = count.eq(self.slots).named("is_full");
                let whole = (covered.value() | covers).reduce_and();
                let ends = last_here & pair.eq(index);
                let room = !is_full & !view.free.is_zero();
                let takes = (ends & whole & room & view.running).named("takes");
                when(here, || covered.next(covered.value() | covers));
                when(ends | !view.enabled, || covered.next(0));
                when(takes, || next_write.next(next_write.wrapping_add(1)));
                let leaves = io.takes.value() & popped.eq(index);
                when(leaves, || next_read.next(next_read.wrapping_add(1)));
                when(takes & !leaves, || count.next(one_more_of_few(count.value())))
                    .elsewhen(leaves & !takes, || count.next(one_less(count.value())));
                some.next(takes | mux(leaves, !at_most(count.value(), 1), some.value()));
                let error = priority_mux(
                    &[
                        (ends & !whole, UInt::lit(QueueError::InlinePartial as u64, 8)),
                        (ends & !room, UInt::lit(QueueError::InlineOverrun as u64, 8)),
                    ],
                    UInt::lit(0, 8),
                );
                io.strobes[index as usize].set(PairStrobes {
                    inline_taken: takes,
                    inline_seen: ends,
                    inline_line: line,
                    error,
                    ..zero(&PairStrobes::shape())
                });
                full.push(is_full.as_uint());
                writes.push(next_write.value());
                reads.push(next_read.value());
                requests.push(some.as_uint());
            });
        }
        let row = |pair: UInt, slot: UInt| {
            // One pair alone still has an address of one bit for it.
            pair.trunc(pair_bits(self.queues)).concat(slot)
        };
        io.ends.set(last_here);
        io.stores.set(window & !select(pair, &full).as_bool());
        io.row.set(row(pair, select(pair, &writes)));

        let arbiter = instance("arbiter", RoundRobinArbiter::<Main>::new(self.queues));
        arbiter.request.set(join(&requests));
        arbiter.accept.set(io.takes);
        popped.set(arbiter.index);
        let leaving = row(popped.value(), select(popped, &reads));
        io.waits.set(arbiter.valid);
        io.event.set(PairLine {
            pair: popped.zext(4),
            row: lines::inline_row(leaving, lines::row_bits(self.queues, self.slots)),
        });
        io.idle.set(!arbiter.valid.value());
        let _ = arbiter.grant;
    }
}

/// Bits of the number of an event's place: pair, and slot of it.
pub(crate) fn row_bits(queues: u32, slots: u32) -> u32 {
    pair_bits(queues) + slots.ilog2()
}

/// Bits of a pair's number, at least 1.
pub(crate) fn pair_bits(queues: u32) -> u32 {
    queues.ilog2().max(1)
}
