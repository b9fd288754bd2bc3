//! The context unit: per-key records of fields and history rings.
//!
//! - [`record`]: descriptors, open records, addresses, rules.
//! - [`sets`]: four-way sets with their order of use.
//! - [`memory`]: the memories and the host's way to them.
//! - this file: what each function does in which cycle.
//!
//! | function | completion, cycles after the request | unit free again |
//! | --- | --- | --- |
//! | store | 2 | 3 |
//! | push | 2 | 5 |
//! | load | 4 | 4 |
//! | match, find | 4 | 5 |
//! | history length | 4 | 4 |
//! | history | 5 | 5 |
//! | vector load of n lanes | n + 7, and more while the engine is busy | with it |
//! | vector store of n lanes in w words | n + 2 w + 7, and more while the engine is busy | with it |

pub mod memory;
pub mod record;
pub mod sets;

use rmt_isa::Status;
use rmt_isa::card::CardShape;
use rmt_isa::card::fields::ring_head;
use rmt_isa::limits::MAX_CONTEXT_FIELDS;
use rmt_isa::operand::IntType;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use crate::bits::{any, as_word, field, one_hot, word_of, wrap};
use crate::config::Widths;
use crate::control::decode::ContextFunction;
use crate::engine::ports::{LanesIn, LanesOut, LanesRequest};
use crate::memory::Free;
use crate::signals::{Completion, HostAccess, HostReply, ThreadPulse};
use crate::units::complete;
use memory::{HEAD_BITS, Memories, Ports as MemoryPorts};
use record::{Access, LookedUp, OpenRecord, Records};

/// What a request asks for, a bit for each function and for what several of them have in common: it is decoded before the
/// request waits for the unit.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct ContextFunctions {
    /// A bit for each [`ContextFunction`]
    pub each: UInt,
    /// It opens a record
    pub opens: Bool,
    /// It writes one value, and completes before it has
    pub at_once: Bool,
    /// It writes values
    pub writes: Bool,
    /// Its field is a ring
    pub ring: Bool,
}

impl ContextFunctions {
    fn shape() -> Self {
        let [opens, at_once, writes, ring] = [boolean(); 4];
        Self { each: uint(ContextFunction::COUNT), opens, at_once, writes, ring }
    }

    /// Decodes a code of [`ContextFunction`].
    pub(crate) fn of(code: UInt) -> Self {
        use ContextFunction::*;
        let one_of = |wanted: &[ContextFunction]| {
            any(&wanted.iter().map(|wanted| wanted.is(code)).collect::<Vec<_>>())
        };
        Self {
            each: as_word(&one_hot(Bool::lit(true), code, ContextFunction::COUNT)),
            opens: one_of(&[Match, Find]),
            at_once: one_of(&[Store, Push]),
            writes: one_of(&[Store, Push, VectorStore]),
            ring: !one_of(&[Load, Store]),
        }
    }

    /// Whether it is this function.
    pub(crate) fn is(&self, wanted: ContextFunction) -> Bool {
        self.each.bit(wanted as u32)
    }
}

/// A request to the context unit.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct ContextRequest {
    /// Thread that asks
    pub thread: UInt,
    /// What is to be done
    pub function: ContextFunctions,
    /// The store
    pub store: UInt,
    /// The field
    pub field: UInt,
    /// The field's number is greater than any field's
    pub beyond: Bool,
    /// Key, value, or place in the history
    pub value: UInt,
    /// Low bits of the value's CRC-32C, which choose the set of a key
    pub hash: UInt,
    /// Vector register
    pub register: UInt,
    /// Lanes of a vector load
    pub lanes: UInt,
    /// Element type of a vector load
    pub element: UInt,
}

impl ContextRequest {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self {
            thread: uint(widths.thread),
            function: ContextFunctions::shape(),
            store: uint(2),
            field: uint(MAX_CONTEXT_FIELDS.ilog2()),
            beyond: boolean(),
            value: uint(64),
            hash: uint(widths.set),
            register: uint(3),
            lanes: uint(9),
            element: uint(2),
        }
    }
}

/// Records of all context stores, in four-way sets.
pub struct ContextUnit {
    pub(crate) shape: CardShape,
}

/// Ports of [`ContextUnit`].
#[derive(Clone, Ports)]
pub struct ContextUnitIo {
    /// Requests
    pub request: StreamIn<ContextRequest>,
    /// One for each request
    pub completion: StreamOut<Completion>,
    /// An action begins: its thread has no record open
    pub begins: Input<ThreadPulse>,
    /// Lanes for a vector register
    pub lanes_in: StreamOut<LanesIn>,
    /// Asks for the lanes of a vector register
    pub lanes_request: StreamOut<LanesRequest>,
    /// The lanes asked for
    pub lanes_out: StreamIn<LanesOut>,
    /// A record was created in place of another one
    pub evicted: Output<Bool>,
    /// Access of the host
    pub host: Input<HostAccess>,
    /// Answer to reads and writes of the record memories
    pub reply: Output<HostReply>,
}

#[derive(Clone, Copy, State)]
enum Step {
    Idle,
    /// Store, field and open record are there.
    Resolve,
    /// Sets, heads and values are there.
    Read,
    /// Which way has the key is known.
    First,
    /// What follows from set and head is written.
    Write,
    /// A value of a ring is there.
    Second,
    LoadLanes,
    AskLanes,
    StoreLanes,
    Answer,
}

impl Component for ContextUnit {
    type Io = ContextUnitIo;

    fn name(&self) -> String {
        let CardShape { context_sets, context_words, ring_heads, .. } = &self.shape;
        format!(
            "context_unit_t{}_sets{context_sets}_words{context_words}_heads{ring_heads}",
            self.shape.threads()
        )
    }

    fn doc(&self) -> String {
        "Per-key records of fields and history rings".into()
    }

    fn io(&self) -> ContextUnitIo {
        let widths = Widths::of(&self.shape);
        let engine = &self.shape.engine;
        ContextUnitIo {
            request: stream_in(ContextRequest::shape(&widths)),
            completion: stream_out(Completion::shape(&widths)),
            begins: input(ThreadPulse::shape(&widths)),
            lanes_in: stream_out(LanesIn::shape(engine)),
            lanes_request: stream_out(LanesRequest::shape(engine)),
            lanes_out: stream_in(LanesOut::shape(engine)),
            evicted: output(boolean()),
            host: input(HostAccess::shape()),
            reply: output(HostReply::shape()),
        }
    }

    fn build(&self, io: ContextUnitIo) {
        let widths = Widths::of(&self.shape);
        use ContextFunction::*;
        let host = io.host.value();
        let step = fsm("step", Step::Idle);
        let records = Records::new(widths, &host, io.begins.value());
        let memories = Memories::new(&self.shape);
        let ports = MemoryPorts::new(&widths);

        // The request, and what is read for it.
        let idle = step.is(Step::Idle);
        io.request.accept(idle);
        let looked_up = reg_uninit("looked_up", LookedUp::shape(&widths));
        let read = records.look_up(io.request.payload());
        when(io.request.fire(), || looked_up.next(read));
        // A cycle later: what it leads to.
        let resolves = step.is(Step::Resolve);
        let (now, faults) = records.resolve(looked_up.value());
        let request = now.request;
        let completed = wire("completed", boolean())
            .doc("A completion is taken in this cycle, if there is one");
        let comes = (resolves & completed.value()).named("comes");

        // The request, in its later cycles.
        let access = reg_zero("access", Access::shape(&widths));
        when(comes, || access.next(now));
        let access = access.value();
        let function = access.request.function;
        let is = |wanted: ContextFunction| function.is(wanted);
        let (first, writes) = (step.is(Step::First), step.is(Step::Write));
        let failed = reg("failed", boolean(), false);

        // Opening a record: whether the key is there is known in the third cycle, what is written stands in registers.
        let (state, hits) =
            sets::compared(memories.set.state, &memories.set.keys, access.request.value);
        let set = sets::look_up(state, &hits);
        let found = delayed("found", set.found);
        let way = delayed("way", set.way);
        let opens = writes & function.opens;
        let matches = writes & is(Match);
        let creates = matches & !found;
        io.evicted.set(matches & delayed("evicts", set.evicts));
        let written = mux(found, select(way, &memories.set.written), UInt::lit(0, 32));
        let opened =
            OpenRecord { there: is(Match) | found, slot: access.local_set.concat(way), written };

        // Rings: the head is known in the third cycle. What else makes an address is added up before.
        let head = delayed("head", memories.head);
        let length =
            mux(access.written, field(head, ring_head::LENGTH), UInt::lit(0, 9)).named("length");
        let newest = field(head, ring_head::NEWEST);
        let depth = delayed("depth", access.last_place + UInt::lit(1, 8));
        let age = access.request.value;
        let remembered = age.lt(length).named("remembered");
        let place_of = |newest: UInt, age: UInt| {
            // A place before the first one is counted from the end.
            let back = newest.wrapping_sub(age);
            mux(newest.lt(age), back.wrapping_add(depth.trunc(8)), back)
        };
        let word_behind = |base: UInt, place: UInt| base.wrapping_add(place.resize(widths.word));
        let short_age = age.trunc(8);
        let before = access.data.wrapping_sub(short_age.resize(widths.word));
        let last = word_behind(before, access.last_place);
        // The word before the first one is the last one, and so on from there.
        let (before, around) = (delayed("before", before), delayed("around", last.wrapping_add(1)));
        let goes_around =
            delayed("goes_around", field(memories.head, ring_head::NEWEST).lt(short_age));
        let remembered_word =
            mux(goes_around, word_behind(around, newest), word_behind(before, newest));
        let restarts = (!access.written | newest.eq(access.last_place)).named("restarts");
        let pushed_place = mux(restarts, UInt::lit(0, 8), newest.wrapping_add(1));
        let second = delayed("second_word", access.data.wrapping_add(1));
        let pushed_word = mux(restarts, access.data, word_behind(second, newest));
        let pushed_word = delayed("pushed_word", pushed_word);
        let stores_value = writes & function.at_once & access.open.there & !failed.value();
        let pushes = stores_value & is(Push);
        let longer = mux(length.eq(depth), length, length.wrapping_add(1));
        let value_there = reg("value_there", boolean(), false);
        when(first, || value_there.next(remembered));

        // Lanes out of a ring: one read ahead of the lane that is offered.
        let lane = reg("lane", uint(9), 0);
        let next_place = reg("next_place", uint(8), 0);
        let left = reg("left", uint(9), 0);
        let offers = reg("offers", boolean(), false);
        let offered_lane = reg("offered_lane", uint(8), 0);
        let offered_there = reg("offered_there", boolean(), false);
        let offered_last = reg("offered_last", boolean(), false);
        let loads = step.is(Step::LoadLanes);
        // What is read goes through a register, since the engine still cuts it to its type.
        let lane_waits = reg("lane_waits", boolean(), false);
        let lane_held = reg_uninit("lane_held", LanesIn::shape(&self.shape.engine));
        let lane_free = !lane_waits.value() | io.lanes_in.ready();
        let advances = loads & (!offers.value() | lane_free);
        let more = lane.lt(access.request.lanes);
        let reads_lane = advances & more;
        let unsigned_top = access.kind.eq(IntType::U64 as u64) & memories.value.bit(63);
        let lane_value = mux(unsigned_top, UInt::lit(i64::MAX as u64, 64), memories.value);
        when(lane_free, || {
            lane_waits.next(loads & offers.value());
            lane_held.next(LanesIn {
                thread: access.request.thread,
                register: access.request.register,
                lane: offered_lane.value(),
                element: access.request.element,
                lanes: access.request.lanes,
                value: mux(offered_there, lane_value, UInt::lit(0, 64)),
                last: offered_last.value(),
            });
        });
        io.lanes_in.offer(lane_waits.value(), lane_held.value());

        // Lanes into a ring.
        io.lanes_request.offer(
            step.is(Step::AskLanes),
            LanesRequest { thread: access.request.thread, register: access.request.register },
        );
        io.lanes_out.accept(step.is(Step::StoreLanes));
        let incoming = io.lanes_out.payload();
        let arrives = io.lanes_out.fire();
        let overflows = incoming.lane.gt(access.last_place);
        let bad = incoming.empty | overflows;
        // A lane is written a cycle after it came, the last one in the cycle of the answer.
        let stores = arrives & !bad & access.open.there;
        let stores_lane = reg("stores_lane", boolean(), false);
        stores_lane.next(stores);
        let stores_head = reg("stores_head", boolean(), false);
        stores_head.next(stores & incoming.last);
        let lane_place = access.last_place.wrapping_sub(incoming.lane);
        let lane_word = delayed("lane_word", word_behind(access.data, lane_place));
        let stored_value = delayed("stored_value", incoming.value);
        let stored_lanes = delayed("stored_lanes", incoming.lane.zext(9).wrapping_add(1));

        // Memory ports.
        let wrapped = wrap(
            access.kind,
            mux(stores_lane, stored_value.sext(64).as_uint(), access.request.value),
        );
        ports.set_read.set(comes);
        ports.set_read_address.set(now.set);
        ports.head_read_address.set(now.head);
        // A field's word is known at the end of the cycle before.
        let loads_value = step.is(Step::Read) & is(Load);
        ports.data_read.set(loads_value | (first & is(History)) | reads_lane);
        ports.asked.set(resolves);
        let lane_address = word_behind(access.data, next_place.value());
        let field_address = mux(loads, lane_address, access.data);
        ports.data_read_address.set(mux(first, remembered_word, field_address));
        ports.data_write.set(stores_value | stores_lane.value());
        let value_word = mux(is(Push), pushed_word, access.data);
        ports.data_write_address.set(mux(stores_lane, lane_word, value_word));
        ports.data_write_value.set(wrapped);
        ports.head_write.set(pushes | stores_head.value());
        ports.head_write_address.set(access.head);
        let (longer, pushed_place) =
            (delayed("longer", longer), delayed("pushed_place", pushed_place));
        let new_length = mux(stores_head, stored_lanes, longer);
        let new_place = mux(stores_head, access.last_place, pushed_place);
        let head_after =
            word_of(&[(ring_head::LENGTH, new_length), (ring_head::NEWEST, new_place)], HEAD_BITS);
        ports.head_write_value.set(head_after);
        ports.state_write.set(matches);
        ports.state_write_value.set(delayed("matched_state", set.matched));
        ports.key_write.set(creates);
        ports.way_write.set(way);
        ports.key_write_value.set(access.request.value);
        let marks = stores_value | stores_head.value();
        ports.written_write.set(creates | marks);
        ports.set_write_address.set(access.set);
        ports.written_write_way.set(mux(is(Match), way, access.open.slot.bits(0..2)));
        ports.written_write_value.set(mux(is(Match), UInt::lit(0, 32), access.written_after));
        let marked = OpenRecord {
            there: Bool::lit(true),
            slot: access.open.slot,
            written: access.written_after,
        };
        let state_after = mux(function.opens, opened, marked);
        records.update(opens | marks, &access.request, state_after);
        // The host's turn comes when nothing else happens.
        let turn = Free { writes: idle, both: idle };
        io.reply.set(memories.connect(&ports, &host, turn));

        // Completions.
        let answers = step.is(Step::Answer);
        let answers_first = function.opens | is(HistoryLength) | is(Load);
        // What completes later says later whether a rule is broken.
        let valid = (resolves & request.function.at_once)
            | (first & answers_first)
            | step.is(Step::Second)
            | answers;
        let loaded = mux(access.written, memories.value, UInt::lit(0, 64));
        let remembered_value = mux(value_there, memories.value, UInt::lit(0, 64));
        let value = priority_mux(
            &[
                (step.is(Step::Second), remembered_value),
                (is(Load), loaded),
                (is(HistoryLength), length.zext(64)),
            ],
            set.found.as_uint().zext(64),
        );
        let fails = mux(resolves, faults.of_field, answers & failed.value());
        let status = mux(fails, UInt::lit(Status::OutOfRange as u64, 8), UInt::lit(0, 8));
        let thread = mux(resolves, request.thread, access.request.thread);
        completed.set(complete(&io.completion, valid, Completion { thread, value, status }));

        step.switch()
            .on(Step::Idle, || when(io.request.valid(), || step.go(Step::Resolve)).otherwise(|| {}))
            .on(Step::Resolve, || {
                failed.next(faults.any);
                when(comes & request.function.is(Store), || step.go(Step::Write))
                    .elsewhen(comes, || step.go(Step::Read))
                    .otherwise(|| {});
            })
            .on(Step::Read, || {
                // A push has completed and goes on, to write nothing.
                when(failed.value() & !is(Push), || step.go(Step::Answer))
                    .otherwise(|| step.go(Step::First));
            })
            .on(Step::First, || {
                lane.next(0);
                next_place.next(newest);
                left.next(length);
                offers.next(false);
                when(is(Push) | (function.opens & completed.value()), || step.go(Step::Write))
                    .elsewhen((is(HistoryLength) | is(Load)) & completed.value(), || {
                        step.go(Step::Idle);
                    })
                    .elsewhen(is(History), || step.go(Step::Second))
                    .elsewhen(is(VectorLoad), || step.go(Step::LoadLanes))
                    .elsewhen(is(VectorStore), || step.go(Step::AskLanes));
            })
            .on(Step::Write, || step.go(Step::Idle))
            .on(Step::Second, || when(completed.value(), || step.go(Step::Idle)).otherwise(|| {}))
            .on(Step::LoadLanes, || {
                when(advances, || {
                    offers.next(more);
                    offered_lane.next(lane.trunc(8));
                    offered_there.next(!left.is_zero());
                    offered_last.next((lane.value() + UInt::lit(1, 9)).eq(access.request.lanes));
                    lane.next(lane.wrapping_add(1));
                    when(!left.is_zero(), || left.next(left.wrapping_sub(1)));
                    next_place.next(place_of(next_place.value(), UInt::lit(1, 8)));
                });
                when(io.lanes_in.fire() & lane_held.last, || step.go(Step::Answer));
            })
            .on(Step::AskLanes, || {
                when(io.lanes_request.ready(), || step.go(Step::StoreLanes)).otherwise(|| {});
            })
            .on(Step::StoreLanes, || {
                when(arrives & bad, || failed.next(true));
                when(arrives & incoming.last, || step.go(Step::Answer));
            })
            .on(Step::Answer, || when(completed.value(), || step.go(Step::Idle)).otherwise(|| {}))
            .default(|| step.go(Step::Idle));
    }
}
