//! Which table is visited next, and its key.

use rmt_isa::card::CardShape;
use rmt_isa::card::fields::key_field;
use rmt_isa::card::shape::KEY_FIELD_BITS;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::key::Key;
use crate::bits::{field, flag};
use crate::config::Widths;
use crate::event::EventCopies;
use crate::signals::{ARGUMENT_BITS, Argument, EventBeat, TableVisit, TailCall, ThreadPulse};

/// Takes visits of tables, of events on their way to their first one and of tail calls, and gathers the key of the table.
///
/// A visit waits in a register until the one before it has its key, an event's first one until the event is there as well.
/// Tail calls go before events. Then `match_fields` fields of the key are gathered in each cycle, from the copies of all
/// threads' events that are kept here, or from the registers of the thread that called. With 4, a visit begins with its
/// only cycle; with fewer its descriptor is read in that cycle, and its fields are gathered in those behind it.
pub struct Gatherer {
    pub(crate) shape: CardShape,
}

/// A visit whose key is there.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Gathered {
    /// It is there in this cycle
    pub visit: TableVisit,
    /// The table has a key
    pub keyed: Bool,
    /// The key
    pub key: Key,
}

/// Ports of [`Gatherer`].
#[derive(Clone, Ports)]
pub struct GathererIo {
    /// An event is taken and goes to its first table; not while `hold` is set
    pub first: Input<TableVisit>,
    /// Parts of events; the first one comes with `first`
    pub beat: Input<EventBeat>,
    /// Tail calls
    pub tail_call: StreamIn<TailCall>,
    /// No event may be taken in this cycle
    pub hold: Output<Bool>,
    /// A visit begins
    pub begins: Output<ThreadPulse>,
    /// Table whose descriptor is needed
    pub table: Output<UInt>,
    /// Its word 0, in the same cycle
    pub descriptor: Input<UInt>,
    /// Registers that a key needs
    pub arguments: Vec<Output<Argument>>,
    /// Their values, in the same cycle
    pub values: Vec<Input<UInt>>,
    /// In the cycle behind that of its last fields: a visit with its key
    pub gathered: Output<Gathered>,
}

impl Component for Gatherer {
    type Io = GathererIo;

    fn name(&self) -> String {
        let CardShape { tables, match_key_bits, match_fields, .. } = &self.shape;
        let threads = self.shape.threads();
        format!("gatherer_t{threads}_tables{tables}_key{match_key_bits}_fields{match_fields}")
    }

    fn doc(&self) -> String {
        "Chooses the next table visit and gathers its key".into()
    }

    fn io(&self) -> GathererIo {
        let widths = Widths::of(&self.shape);
        let each_field = || 0..self.shape.match_fields;
        GathererIo {
            first: input(TableVisit::shape(&widths)),
            beat: input(EventBeat::shape(self.shape.event_beats(), widths.thread)),
            tail_call: stream_in(TailCall::shape(&widths)),
            hold: output(boolean()),
            begins: output(ThreadPulse::shape(&widths)),
            table: output(uint(widths.table)),
            descriptor: input(uint(64)),
            arguments: each_field().map(|_| output(Argument::shape(&widths))).collect(),
            values: each_field().map(|_| input(uint(64))).collect(),
            gathered: output(Gathered {
                visit: TableVisit::shape(&widths),
                keyed: boolean(),
                key: Key::shape(widths.key),
            }),
        }
    }

    fn build(&self, io: GathererIo) {
        let widths = Widths::of(&self.shape);
        let fields = self.shape.match_fields;
        let (no, none) = (Bool::lit(false), Key::none(widths.key));
        let beat = io.beat.value();
        let beats = self.shape.event_beats();
        let events = EventCopies::new("events", self.shape.threads(), beats, beat);

        // Visits that wait, and the one whose key is gathered next.
        let free = wire("free", boolean());
        let called = reg("called", boolean(), false).doc("A tail call waits");
        let call = reg_uninit("call_held", TailCall::shape(&widths));
        let call_ready = !called | free.value();
        io.tail_call.accept(call_ready);
        when(call_ready, || {
            called.next(io.tail_call.valid());
            call.next(io.tail_call.payload());
        });
        let waits = reg_zero("first_held", TableVisit::shape(&widths));
        let copied = reg("copied", boolean(), false).doc("All parts of the event have come");
        when(beat.valid, || copied.next(beat.last));
        let room = free.value() & !called;
        let leaves = (waits.valid & (copied | beat.last) & room).named("first_leaves");
        io.hold.set(waits.valid & !leaves);
        // An event that comes as a whole need not wait.
        let taken = io.first.value();
        let (passes, first) = if beats == 1 {
            (!waits.valid & room, mux(waits.valid, waits.value(), taken))
        } else {
            (no, waits.value())
        };
        when(!waits.valid | leaves, || {
            waits.next(TableVisit { valid: taken.valid & !passes, ..taken });
        });
        let next = TableVisit {
            valid: (called & free.value()) | leaves | (taken.valid & passes),
            thread: mux(called, call.thread, first.thread),
            table: mux(called, call.table, first.table),
        };
        io.table.set(next.table);
        io.begins.set(ThreadPulse { valid: next.valid, thread: next.thread });

        // The visit whose key is gathered, and what is left of its descriptor: the fields of this cycle lowest.
        let group_bits = KEY_FIELD_BITS * fields;
        let descriptor = io.descriptor.value();
        let (visit, by_call, left, begun, follows) = if beats == 1 {
            (next, called.value(), descriptor, no, no)
        } else {
            let visit = reg_zero("visit_held", TableVisit::shape(&widths));
            let by_call = reg("by_call", boolean(), false);
            let begun = reg("begun", boolean(), false).doc("Fields were gathered before");
            let left = reg_uninit("left", uint(64));
            let behind = left.bits(group_bits..64).zext(64);
            let follows = visit.valid & flag(behind, key_field::PRESENT);
            when(!follows, || {
                visit.next(next);
                by_call.next(called);
            });
            left.next(mux(follows, behind, descriptor));
            begun.next(follows);
            (visit.value(), by_call.value(), left.value(), begun.value(), follows)
        };
        free.set(!follows);

        // The fields of this cycle.
        let parts: Vec<UInt> = (0..fields)
            .map(|number| left.bits(KEY_FIELD_BITS * number..KEY_FIELD_BITS * (number + 1)))
            .collect();
        let places: Vec<UInt> = parts.iter().map(|&part| field(part, key_field::PLACE)).collect();
        let numbers: Vec<UInt> = places.iter().map(|place| place.bits(3..6)).collect();
        let words = events.words_at_once(visit.thread, &numbers);
        for (argument, place) in io.arguments.iter().zip(&places) {
            // r1 has place 1; place 4, whose low bits are 0, is r4.
            let register = place.trunc(ARGUMENT_BITS);
            argument.set(Argument { thread: visit.thread, register });
        }
        let nothing = UInt::lit(0, 64);
        let values = io.values.iter().map(|value| mux(by_call, value.value(), nothing));
        let gathered = reg("gathered", Key::shape(widths.key), none);
        let before = mux(begun, gathered.value(), none);
        let fields_of_cycle = parts.iter().zip(words).zip(values);
        gathered.next(
            fields_of_cycle
                .fold(before, |key, ((&part, word), value)| key.with_field(part, word, value)),
        );
        let keyed = reg("keyed", boolean(), false);
        when(!begun, || keyed.next(flag(parts[0], key_field::PRESENT)));
        io.gathered.set(Gathered {
            visit: delayed("visit_with_key", TableVisit { valid: visit.valid & !follows, ..visit }),
            keyed: keyed.value(),
            key: gathered.value(),
        });
    }
}
