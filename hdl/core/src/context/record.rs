//! Where the fields of an open record stand, and whether an access keeps the rules.

use rmt_isa::card::fields::{context_field, context_store};
use rmt_isa::card::regions::CONTEXTS;
use rmt_isa::card::shape::{CONTEXT_FIELD_BASE, CONTEXT_FIELD_WORDS};
use rmt_isa::limits::{MAX_CONTEXT_FIELDS, MAX_CONTEXTS};
use rtl_builder::bundle;
use rtl_builder::prelude::*;

use super::ContextRequest;
use crate::bits::{as_word, field, flag, one_hot};
use crate::config::Widths;
use crate::signals::{HostAccess, ThreadPulse};

/// The record that a thread has open in a store.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct OpenRecord {
    /// There is one; else reads give zero and writes do nothing
    pub there: Bool,
    /// Its set and way, counted from the store's first
    pub slot: UInt,
    /// Fields that were written since it was created
    pub written: UInt,
}

impl OpenRecord {
    fn shape(widths: &Widths) -> Self {
        let written = uint(MAX_CONTEXT_FIELDS as u32);
        Self { there: boolean(), slot: uint(widths.record), written }
    }
}

/// A request with all that its descriptors tell.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Access {
    /// The request
    pub request: ContextRequest,
    /// The thread's open record of the store
    pub open: OpenRecord,
    /// The field was written since the record was created
    pub written: Bool,
    /// The fields that are written afterwards
    pub written_after: UInt,
    /// Set of the key or of the open record, in the card's memories
    pub set: UInt,
    /// The same, counted from the store's first
    pub local_set: UInt,
    /// First word of the field
    pub data: UInt,
    /// Head of the ring
    pub head: UInt,
    /// Last place of the ring
    pub last_place: UInt,
    /// Integer type of the field
    pub kind: UInt,
}

impl Access {
    /// The shape.
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self {
            request: ContextRequest::shape(widths),
            open: OpenRecord::shape(widths),
            written: boolean(),
            written_after: uint(MAX_CONTEXT_FIELDS as u32),
            set: uint(widths.set),
            local_set: uint(widths.set),
            data: uint(widths.word),
            head: uint(widths.head),
            last_place: uint(8),
            kind: uint(3),
        }
    }
}

/// What is read of a request's store, field and thread: late, out of memories, so that it stands in registers before it is used.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct LookedUp {
    request: ContextRequest,
    store: UInt,
    /// All bits of the field's descriptor turned over: a register of what a block gives would be made one with its late output.
    not_field: UInt,
    open: OpenRecord,
}

impl LookedUp {
    /// The shape.
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self {
            request: ContextRequest::shape(widths),
            store: uint(64),
            not_field: uint(bundle::width(&FieldDescriptor::shape(widths))),
            open: OpenRecord::shape(widths),
        }
    }
}

/// Whether a request breaks a rule.
#[derive(Clone, Copy)]
pub struct Faults {
    /// One of those that it goes by when it opens no record
    pub of_field: Bool,
    /// One of those that it goes by
    pub any: Bool,
}

/// What the unit keeps of a field's descriptor, decoded when the host writes it: a memory gives late in a cycle what it
/// reads.
#[derive(Clone, Copy, Debug, Bundle)]
struct FieldDescriptor {
    present: Bool,
    ring: Bool,
    writable: Bool,
    kind: UInt,
    last_place: UInt,
    data: UInt,
    head: UInt,
    /// A bit for each number of places by which a slot may be moved up to be an offset.
    shifts: UInt,
}

impl FieldDescriptor {
    /// A ring has at most 256 places.
    const LONGEST_SHIFT: u32 = 8;

    fn shape(widths: &Widths) -> Self {
        Self {
            present: boolean(),
            ring: boolean(),
            writable: boolean(),
            kind: uint(context_field::KIND.bits),
            last_place: uint(context_field::LAST_PLACE.bits),
            data: uint(widths.word),
            head: uint(widths.head),
            shifts: uint(Self::LONGEST_SHIFT + 1),
        }
    }

    fn of(word: UInt, widths: &Widths) -> Self {
        let shift = field(word, context_field::SHIFT);
        let shifts: Vec<Bool> =
            (0..=u64::from(Self::LONGEST_SHIFT)).map(|distance| shift.eq(distance)).collect();
        Self {
            present: flag(word, context_field::PRESENT),
            ring: flag(word, context_field::RING),
            writable: flag(word, context_field::WRITABLE),
            kind: field(word, context_field::KIND),
            last_place: field(word, context_field::LAST_PLACE),
            data: field(word, context_field::DATA).trunc(widths.word),
            head: field(word, context_field::HEAD).trunc(widths.head),
            shifts: as_word(&shifts),
        }
    }
}

/// The value moved up, at its width.
fn up(value: UInt, distance: u32) -> UInt {
    let width = value.width();
    match distance {
        0 => value,
        _ if distance < width => value.trunc(width - distance).concat(UInt::lit(0, distance)),
        _ => UInt::lit(0, width),
    }
}

/// Descriptors of stores and fields, and the open records of all threads.
pub struct Records {
    widths: Widths,
    stores: AsyncMem<UInt>,
    fields: AsyncMem<FieldDescriptor>,
    slots: AsyncMem<UInt>,
    written: AsyncMem<UInt>,
    there: Vec<Reg<Bool>>,
}

impl Records {
    /// The memories; `begins`: an action begins, the thread has no record open.
    pub(crate) fn new(widths: Widths, host: &HostAccess, begins: ThreadPulse) -> Self {
        let stores: AsyncMem<UInt> = AsyncMem::new("stores", uint(64), MAX_CONTEXTS as u64);
        let in_stores = host.in_range_before("stores", CONTEXTS.base(), MAX_CONTEXTS as u32);
        stores.write(host.write & in_stores, host.index(0, 2), host.data);
        let shape = FieldDescriptor::shape(&widths);
        let fields: AsyncMem<FieldDescriptor> =
            AsyncMem::new("fields", shape, CONTEXT_FIELD_WORDS.into());
        let field_base = CONTEXTS.word(CONTEXT_FIELD_BASE);
        let in_fields = host.in_range_before("fields", field_base, CONTEXT_FIELD_WORDS);
        let written = FieldDescriptor::of(host.data, &widths);
        fields.write(host.write & in_fields, host.index(0, CONTEXT_FIELD_WORDS.ilog2()), written);
        let records = u64::from(widths.threads) * MAX_CONTEXTS as u64;
        let there: Vec<_> =
            (0..records).map(|index| reg(format!("open_{index}"), boolean(), false)).collect();
        let begins = one_hot(begins.valid, begins.thread, widths.threads);
        for (index, flag) in there.iter().enumerate() {
            when(begins[index / MAX_CONTEXTS], || flag.next(false));
        }
        Self {
            widths,
            stores,
            fields,
            slots: AsyncMem::new("open_slots", uint(widths.record), records),
            written: AsyncMem::new("open_written", uint(MAX_CONTEXT_FIELDS as u32), records),
            there,
        }
    }

    fn index(request: &ContextRequest) -> UInt {
        request.thread.concat(request.store)
    }

    /// What is read for a request.
    pub(crate) fn look_up(&self, request: ContextRequest) -> LookedUp {
        let index = Self::index(&request);
        let flags: Vec<Bool> = self.there.iter().map(Reg::value).collect();
        LookedUp {
            request,
            store: self.stores.read(request.store),
            not_field: !pack(self.fields.read(request.store.concat(request.field))),
            open: OpenRecord {
                there: select(index, &flags),
                slot: self.slots.read(index),
                written: self.written.read(index),
            },
        }
    }

    /// What a request leads to, and which rules it breaks; combinational.
    pub(crate) fn resolve(&self, looked_up: LookedUp) -> (Access, Faults) {
        let widths = &self.widths;
        let LookedUp { request, store, not_field, open } = looked_up;
        let descriptor = unpack(&FieldDescriptor::shape(widths), !not_field);
        let (function, number) = (request.function, request.field);
        let mask = field(store, context_store::SET_MASK).trunc(widths.set);
        let local_set = mux(function.opens, request.hash & mask, open.slot.bits(2..widths.record));
        let first_set = field(store, context_store::FIRST_SET).trunc(widths.set);
        let slot = open.slot.resize(widths.word);
        let distances: Vec<_> = (0..=FieldDescriptor::LONGEST_SHIFT)
            .map(|distance| (descriptor.shifts.bit(distance), up(slot, distance)))
            .collect();
        let offset = one_hot_mux(&distances);
        let bit = UInt::lit(1, MAX_CONTEXT_FIELDS as u32).shift_left(number);
        let access = Access {
            request,
            open,
            written: open.there & open.written.bit_at(number),
            written_after: open.written | bit,
            set: first_set.wrapping_add(local_set),
            local_set,
            data: descriptor.data.wrapping_add(offset),
            head: descriptor.head.wrapping_add(open.slot.resize(widths.head)),
            last_place: descriptor.last_place,
            kind: descriptor.kind,
        };
        let no_field = !descriptor.present | request.beyond;
        let wrong_form = function.ring ^ descriptor.ring;
        let read_only = function.writes & !descriptor.writable;
        let of_field = no_field | wrong_form | read_only;
        let any = mux(function.opens, !flag(store, context_store::PRESENT), of_field);
        (access, Faults { of_field, any })
    }

    /// Sets the open record of a request's thread and store when `enable`.
    pub(crate) fn update(&self, enable: Bool, request: &ContextRequest, open: OpenRecord) {
        let index = Self::index(request);
        self.slots.write(enable, index, open.slot);
        self.written.write(enable, index, open.written);
        for (number, flag) in self.there.iter().enumerate() {
            when(enable & index.eq(number), || flag.next(open.there));
        }
    }
}
