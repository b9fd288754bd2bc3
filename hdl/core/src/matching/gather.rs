//! Which table is visited next, and its key.

use rmt_isa::card::CardShape;
use rmt_isa::card::fields::key_field;
use rmt_isa::card::shape::KEY_FIELD_BITS;
use rmt_isa::limits::MAX_KEY_FIELDS;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::key::Key;
use crate::bits::flag;
use crate::config::Widths;
use crate::signals::{TableVisit, TailCall, ThreadPulse};

/// Takes events on their way to their first table, and tail calls before them, and gathers the key of the table,
/// `match_fields` of its fields in each cycle: the first ones in the cycle in which a visit comes. A tail call waits
/// in a register before: its table stands in an instruction, and is where the way to the key begins.
///
/// It keeps the events of all threads, for tail calls and for keys that take longer than their event is at the port.
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
    /// A thread takes an event; not while `hold` is set
    pub takes: Input<ThreadPulse>,
    /// The event, byte i in bits 8i+7..8i
    pub event: Input<UInt>,
    /// The event goes to a table; in the cycle of `takes`, with the same thread
    pub first: Input<TableVisit>,
    /// Tail calls
    pub tail_call: StreamIn<TailCall>,
    /// No thread may take an event in this cycle
    pub hold: Output<Bool>,
    /// A visit begins; without one the thread is that of `first`
    pub begins: Output<ThreadPulse>,
    /// Table whose descriptor is needed
    pub table: Output<UInt>,
    /// Its word 0, in the same cycle
    pub descriptor: Input<UInt>,
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
        GathererIo {
            takes: input(ThreadPulse::shape(&widths)),
            event: input(uint(512)),
            first: input(TableVisit::shape(&widths)),
            tail_call: stream_in(TailCall::shape(&widths)),
            hold: output(boolean()),
            begins: output(ThreadPulse::shape(&widths)),
            table: output(uint(widths.table)),
            descriptor: input(uint(64)),
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
        let groups = MAX_KEY_FIELDS as u32 / fields;
        let none = Key::none(widths.key);

        // The visit of this cycle: one of which fields are missing, a tail call that waits, or an event that is taken.
        let more = reg("more", boolean(), false).doc("Fields of the visit are missing");
        let again = reg("again", boolean(), false).doc("A tail call waits here");
        let ready = if groups == 1 { Bool::lit(true) } else { !more.value() & !again.value() };
        io.tail_call.accept(ready);
        again.next(io.tail_call.fire() | (again.value() & more.value()));
        let call = reg_uninit("tail_call", TailCall::shape(&widths));
        when(ready, || call.next(io.tail_call.payload()));
        let (first, call) = (io.first.value(), call.value());
        let called = TableVisit { valid: again.value(), thread: call.thread, table: call.table };
        let new = mux(again.value(), called, first);
        let held = reg_zero("held", TableVisit::shape(&widths));
        let held_called = reg("held_called", boolean(), false);
        when(!more.value(), || {
            held.next(new);
            held_called.next(again.value());
        });
        let visit = mux(more.value(), held.value(), new);
        let by_call = mux(more.value(), held_called.value(), again.value());
        io.hold.set(more.value() | again.value());
        io.begins.set(ThreadPulse { valid: new.valid & !more.value(), thread: visit.thread });
        io.table.set(visit.table);

        let events: AsyncMem<UInt> =
            AsyncMem::new("events", uint(512), self.shape.threads().into())
                .doc("Events of all threads");
        let takes = io.takes.value();
        events.write(takes.valid, takes.thread, io.event);
        let event = mux(more.value() | again.value(), events.read(visit.thread), io.event.value());
        let arguments = mux(by_call, call.arguments, UInt::lit(0, call.arguments.width()));

        // A group of fields each cycle.
        let descriptor = io.descriptor.value();
        let part =
            |number: u32| descriptor.bits(KEY_FIELD_BITS * number..KEY_FIELD_BITS * (number + 1));
        let here = |number: u32| flag(part(number), key_field::PRESENT);
        let gathered = reg("gathered", Key::shape(widths.key), none);
        let group = reg("group", uint(bits_for(u64::from(groups)).max(1)), 0);
        let group_bits = KEY_FIELD_BITS * fields;
        let parts: Vec<UInt> = (0..groups)
            .map(|group| descriptor.bits(group_bits * group..group_bits * (group + 1)))
            .collect();
        let parts = select(group.value(), &parts);
        let next: Vec<Bool> = (1..groups).map(|group| here(group * fields)).collect();
        let follows = select(group.value(), &[&next[..], &[Bool::lit(false)]].concat());
        let goes_on = visit.valid & follows;
        more.next(goes_on);
        group.next(mux(goes_on, group.wrapping_add(1), UInt::lit(0, group.width())));
        let before = mux(more.value(), gathered.value(), none);
        gathered.next((0..fields).fold(before, |key, number| {
            let part = parts.bits(KEY_FIELD_BITS * number..KEY_FIELD_BITS * (number + 1));
            key.with_field(part, event, arguments)
        }));
        let done = TableVisit { valid: visit.valid & !follows, ..visit };
        io.gathered.set(Gathered {
            visit: delayed("visit", done),
            keyed: delayed("keyed", here(0)),
            key: gathered.value(),
        });
    }
}
