//! Inline events: from the write into the window to the core.

use rmt_isa::device::QueueError;
use rmt_isa::device::registers::{INLINE_LINES, INLINE_OFFSET, LINE_BYTES};
use rtl_builder::prelude::*;
use rtl_builder::stock::RoundRobinArbiter;
use rtl_builder::stock::stream::Stream;

use super::dispatch::PairEvent;
use super::pair::{PairStrobes, PairView};
use crate::tlp::join;

/// Keeps up to `slots` events of each pair. Bytes of an event may come in several writes; the
/// one with its last four bytes completes it.
pub struct InlineBuffer {
    /// Queue pairs.
    pub queues: u32,
    /// Events of each pair.
    pub slots: u32,
}

/// Ports of [`InlineBuffer`].
#[derive(Clone, Ports)]
pub struct InlineBufferIo {
    /// A line of a pair's page is written
    pub write: Input<Bool>,
    /// The pair
    pub pair: Input<UInt>,
    /// Number of the line in the page
    pub line: Input<UInt>,
    /// The line's bytes
    pub data: Input<UInt>,
    /// Which of them are written
    pub enables: Input<UInt>,
    /// All pairs
    pub views: Vec<Input<PairView>>,
    /// Of the strobes, those of inline events: taken, seen, line, error
    pub strobes: Vec<Output<PairStrobes>>,
    /// Events
    pub event: StreamOut<PairEvent>,
    /// No event is here
    pub idle: Output<Bool>,
}

impl Component for InlineBuffer {
    type Io = InlineBufferIo;

    fn name(&self) -> String {
        format!("inline_buffer_q{}_s{}", self.queues, self.slots)
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
            data: input(uint(512)),
            enables: input(uint(64)),
            views: pairs.clone().map(|_| input(PairView::shape())).collect(),
            strobes: pairs.map(|_| output(PairStrobes::shape())).collect(),
            event: stream_out(PairEvent::shape()),
            idle: output(boolean()),
        }
    }

    fn build(&self, io: InlineBufferIo) {
        let slot_bits = self.slots.ilog2();
        let rows = u64::from(self.queues.max(2) * self.slots);
        // A slot is written while its event is not whole, and read when it is.
        let memory: SyncMem<UInt> = SyncMem::new("events", uint(512), rows)
            .doc("Events of all pairs")
            .collisions_unused()
            .in_blocks();
        let window = io.write.value() & io.line.ge(INLINE_OFFSET / LINE_BYTES);
        let enables = io.enables.value();
        let covers: Vec<UInt> =
            (0..16).map(|dw| enables.bits(4 * dw..4 * dw + 4).reduce_and().as_uint()).collect();
        let covers = join(&covers).named("covers");
        let completes = covers.bit(15);

        let mut full = Vec::new();
        let mut writes = Vec::new();
        let mut reads = Vec::new();
        let mut requests = Vec::new();
        let pops = wire("pops", boolean());
        let popped = wire("popped", uint(pair_bits(self.queues)));
        let pair = io.pair.value();
        for index in 0..self.queues {
            scope(format!("pair{index}"), || {
                let view = io.views[index as usize].value();
                let next_write = reg("next_write", uint(slot_bits), 0);
                let next_read = reg("next_read", uint(slot_bits), 0);
                let count = reg("count", uint(slot_bits + 1), 0);
                let covered = reg("covered", uint(16), 0).doc("DWs of the next event that came");
                let here = window & pair.eq(index);
                let is_full = count.eq(self.slots).named("is_full");
                let whole = (covered.value() | covers).reduce_and();
                let ends = here & completes;
                let room = !is_full & !view.free.is_zero();
                let takes = (ends & whole & room & view.running).named("takes");
                when(here, || covered.next(covered.value() | covers));
                when(ends | !view.enabled, || covered.next(0));
                when(takes, || next_write.next(next_write.wrapping_add(1)));
                let leaves = pops.value() & popped.eq(index);
                when(leaves, || next_read.next(next_read.wrapping_add(1)));
                when(takes & !leaves, || count.next(count.wrapping_add(1)))
                    .elsewhen(leaves & !takes, || count.next(count.wrapping_sub(1)));
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
                    inline_line: io.line.bits(0..INLINE_LINES.ilog2()),
                    error,
                    ..zero(&PairStrobes::shape())
                });
                full.push(is_full.as_uint());
                writes.push(next_write.value());
                reads.push(next_read.value());
                requests.push((!count.is_zero()).as_uint());
            });
        }
        let row = |pair: UInt, slot: UInt| {
            // One pair alone still has an address of one bit for it.
            pair.trunc(pair_bits(self.queues)).concat(slot)
        };
        let stores = window & !select(pair, &full).as_bool();
        memory.write_lanes(stores, row(pair, select(pair, &writes)), io.data, enables);

        // One event at the output, read one cycle before.
        let arbiter = instance("arbiter", RoundRobinArbiter::<Main>::new(self.queues));
        arbiter.request.set(join(&requests));
        let valid = reg("valid", boolean(), false);
        let owner = reg("owner", uint(pair_bits(self.queues)), 0);
        let free = !valid | io.event.ready();
        pops.set(free & arbiter.valid);
        popped.set(arbiter.index);
        arbiter.accept.set(free);
        let data = memory.read(pops, row(popped.value(), select(popped, &reads)));
        when(free, || valid.next(arbiter.valid));
        when(pops, || owner.next(popped));
        io.event.offer(valid.value(), PairEvent { pair: owner.zext(4), event: data });
        io.idle.set(!valid & !arbiter.valid);
        let _ = arbiter.grant;
    }
}

/// Bits of a pair's number, at least 1.
pub(crate) fn pair_bits(queues: u32) -> u32 {
    queues.ilog2().max(1)
}
