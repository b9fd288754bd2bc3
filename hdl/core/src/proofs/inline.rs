//! Inline events: none is lost, invented, doubled, changed or overtaken by a later one of its
//! pair.

use rtl_builder::formal::{self, Goal};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use crate::bits::any;
use crate::queue::inline::{InlineBuffer, pair_bits};
use crate::queue::pair::PairView;

/// Bits of a pair's number beside an event.
const PAIR_BITS: u32 = 4;
/// The bit of an event that is watched; the others go the same way, a byte a lane.
const WATCHED_BIT: u32 = 77;

/// The buffer with one event that is watched: any one, chosen when it is taken. Events come in
/// one write each.
struct Inline {
    queues: u32,
    slots: u32,
}

#[derive(Clone, Ports)]
struct InlineIo {
    write: Input<Bool>,
    pair: Input<UInt>,
    line: Input<UInt>,
    data: Input<UInt>,
    views: Vec<Input<PairView>>,
    /// Pair and watched bit alone: a memory of which nobody reads the other bits is small
    event: StreamOut<UInt>,
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
        let buffer = InlineBuffer { queues: self.queues, slots: self.slots }.io();
        InlineIo {
            write: buffer.write,
            pair: buffer.pair,
            line: buffer.line,
            data: buffer.data,
            views: buffer.views,
            event: stream_out(uint(PAIR_BITS + 1)),
            chooses: input(boolean()),
            constant_pair: input(uint(pair_bits(self.queues))),
        }
    }

    fn build(&self, io: InlineIo) {
        let buffer = instance("buffer", InlineBuffer { queues: self.queues, slots: self.slots });
        buffer.write.set(io.write);
        buffer.pair.set(io.pair);
        buffer.line.set(io.line);
        buffer.data.set(io.data);
        buffer.enables.set(UInt::lit(u64::MAX, 64));
        for (port, view) in buffer.views.iter().zip(&io.views) {
            port.set(view.value());
        }
        let out = buffer.event.payload();
        let its_bits = out.pair.concat(out.event.bit(WATCHED_BIT).as_uint());
        io.event.offer(buffer.event.valid(), its_bits);
        buffer.event.accept(io.event.ready());

        // What goes in and out of the watched pair.
        let watched = io.constant_pair.value();
        let strobes: Vec<Bool> =
            buffer.strobes.iter().map(|strobes| strobes.value().inline_taken).collect();
        let taken = select(watched, &strobes).named("taken");
        let left = io.event.fire() & out.pair.eq(watched.zext(PAIR_BITS));
        // One more than the slots: one event stands at the output.
        let bits = bits_for(u64::from(self.slots) + 2);
        let inside = reg("inside", uint(bits), 0).doc("Events of the pair in the buffer");
        when(taken & !left, || inside.next(inside.wrapping_add(1)))
            .elsewhen(left & !taken, || inside.next(inside.wrapping_sub(1)));
        formal::assert("none_is_invented", !left | !inside.is_zero());
        formal::assert("no_more_than_there_is_room_for", inside.le(self.slots + 1));
        formal::assert("none_is_lost", !buffer.idle.value() | inside.is_zero());

        // One event on its way. A bit tells whether its bytes are those that were written.
        let watching = reg("watching", boolean(), false);
        let ahead = reg("ahead", uint(bits), 0).doc("Events of the pair before the watched one");
        let its_bit = reg("its_bit", boolean(), false);
        let is_it = left & watching & ahead.is_zero();
        let behind = mux(left, inside.wrapping_sub(1), inside.value());
        when(taken & io.chooses & !watching, || {
            watching.next(true);
            ahead.next(behind);
            its_bit.next(io.data.bit(WATCHED_BIT));
        })
        .elsewhen(is_it, || watching.next(false))
        .elsewhen(left & watching, || ahead.next(ahead.wrapping_sub(1)));
        formal::assert("it_leaves_in_its_turn", !watching | ahead.lt(inside));
        formal::assert("it_leaves_unchanged", !is_it | out.event.bit(WATCHED_BIT).eq(its_bit));
        formal::cover("it_leaves_behind_another", is_it & any(&[delayed("left_before", left)]));
    }
}

#[test]
#[ignore = "minutes of yosys, for lanes of a wide memory; `./x test --all` runs it"]
fn inline_events_are_neither_lost_nor_doubled_nor_reordered() {
    super::prove(Inline { queues: 2, slots: 4 }, Goal::Always);
}
