//! Inline events: none is lost, invented, doubled, written over or overtaken by a later one of its
//! pair.

use rtl_builder::formal::{self, Goal};
use rtl_builder::prelude::*;

use crate::bits::any;
use crate::queue::inline::{InlineBuffer, pair_bits};
use crate::queue::lines;
use crate::queue::pair::PairView;
use crate::tlp::LineBytes;

/// Width of the words in which events come.
const WORD_BITS: u32 = 64;

/// The buffer with one event that is watched: any one, chosen when it is taken. The bytes of events
/// stand in a memory outside; that nobody writes to the row of one that waits is shown here.
struct Inline {
    queues: u32,
    slots: u32,
}

impl Inline {
    fn buffer(&self) -> InlineBuffer {
        InlineBuffer { queues: self.queues, slots: self.slots, bits: WORD_BITS }
    }
}

#[derive(Clone, Ports)]
struct InlineIo {
    write: Input<Bool>,
    pair: Input<UInt>,
    line: Input<UInt>,
    bytes: Input<LineBytes>,
    views: Vec<Input<PairView>>,
    /// The dispatcher can take an event
    ready: Input<Bool>,
    /// The event that is taken in this cycle is the one to watch
    chooses: Input<Bool>,
    /// Its pair
    constant_pair: Input<UInt>,
}

impl Component for Inline {
    type Io = InlineIo;

    fn name(&self) -> String {
        format!("inline_events_q{}_s{}", self.queues, self.slots)
    }

    fn io(&self) -> InlineIo {
        let buffer = self.buffer().io();
        InlineIo {
            write: buffer.write,
            pair: buffer.pair,
            line: buffer.line,
            bytes: buffer.bytes,
            views: buffer.views,
            ready: input(boolean()),
            chooses: input(boolean()),
            constant_pair: input(uint(pair_bits(self.queues))),
        }
    }

    fn build(&self, io: InlineIo) {
        let buffer = instance("buffer", self.buffer());
        buffer.write.set(io.write);
        buffer.pair.set(io.pair);
        buffer.line.set(io.line);
        buffer.bytes.set(io.bytes);
        for (port, view) in buffer.views.iter().zip(&io.views) {
            port.set(view.value());
        }
        let leaves = (buffer.waits.value() & io.ready).named("leaves");
        buffer.takes.set(leaves);
        let out = buffer.event.value();

        // What goes in and out of the watched pair.
        let watched = io.constant_pair.value();
        let strobes: Vec<Bool> =
            buffer.strobes.iter().map(|strobes| strobes.value().inline_taken).collect();
        let taken = select(watched, &strobes).named("taken");
        let left = leaves & out.pair.eq(watched.zext(out.pair.width()));
        let bits = bits_for(u64::from(self.slots) + 1);
        let inside = reg("inside", uint(bits), 0).doc("Events of the pair in the buffer");
        when(taken & !left, || inside.next(inside.wrapping_add(1)))
            .elsewhen(left & !taken, || inside.next(inside.wrapping_sub(1)));
        formal::assert("none_is_invented", !left | !inside.is_zero());
        formal::assert("no_more_than_there_is_room_for", inside.le(self.slots));
        formal::assert("none_is_lost", !buffer.idle.value() | inside.is_zero());

        // One event on its way, in the row to which its last bytes went.
        let written = lines::inline_row(buffer.row.value(), out.row.width());
        let watching = reg("watching", boolean(), false);
        let ahead = reg("ahead", uint(bits), 0).doc("Events of the pair before the watched one");
        let its_row = reg("its_row", uint(out.row.width()), 0);
        let is_it = left & watching & ahead.is_zero();
        let behind = mux(left, inside.wrapping_sub(1), inside.value());
        when(taken & io.chooses & !watching, || {
            watching.next(true);
            ahead.next(behind);
            its_row.next(written);
        })
        .elsewhen(is_it, || watching.next(false))
        .elsewhen(left & watching, || ahead.next(ahead.wrapping_sub(1)));
        formal::assert("its_last_bytes_are_kept", !taken | buffer.stores.value());
        formal::assert("it_leaves_in_its_turn", !watching | ahead.lt(inside));
        formal::assert("it_leaves_from_its_row", !is_it | out.row.eq(its_row));
        let over = buffer.stores.value() & written.eq(its_row);
        formal::assert("it_is_not_written_over", !watching | !over);
        formal::cover("it_leaves_behind_another", is_it & any(&[delayed("left_before", left)]));
    }
}

#[test]
fn inline_events_are_neither_lost_nor_doubled_nor_reordered() {
    super::prove(Inline { queues: 2, slots: 4 }, Goal::Always);
}
