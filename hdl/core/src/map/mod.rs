//! The map unit: arrays, hash maps, ring buffers and histograms, which all keys share.
//!
//! - [`descriptor`]: what a map is, where a key's value stands, which operations its kind has.
//! - [`memory`]: the memories and the host's way to them.
//! - this file: what each operation does in which cycle.
//!
//! Values stand in rows of four, side by side like the four ways of a set: so the values of
//! all ways are read in the cycle in which the keys are.
//!
//! | operation | completion, cycles after the request | unit free again |
//! | --- | --- | --- |
//! | push | 1 | 1 |
//! | load, has, store, delete | 3 | 3 |
//! | add | 4 | 4 |
//! | add to a histogram | 5 | 5 |
//!
//! An operation is done as a whole before the next one begins; `rmt_vm::state::map` is the
//! definition.

pub mod descriptor;
pub mod memory;
#[cfg(test)]
mod tests;

use rmt_isa::Status;
use rmt_isa::card::CardShape;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use crate::bits::{crc32c, wrap};
use crate::config::Widths;
use crate::context::sets;
use crate::control::decode::MapFunction;
use crate::memory::Free;
use crate::signals::{Completion, HostAccess, HostReply};
use crate::units::complete;
use descriptor::{Access, Descriptors};
use memory::{Memories, Ports as MemoryPorts};

/// A request to the map unit.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct MapRequest {
    /// Thread that asks
    pub thread: UInt,
    /// Code of [`MapFunction`]
    pub function: UInt,
    /// The map
    pub map: UInt,
    /// The key, the sample, or the value to push
    pub key: UInt,
    /// The value
    pub value: UInt,
}

impl MapRequest {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self {
            thread: uint(widths.thread),
            function: uint(MapFunction::BITS),
            map: uint(rmt_isa::operand::OFF.bits),
            key: uint(64),
            value: uint(64),
        }
    }
}

/// All maps.
pub struct MapUnit {
    pub(crate) shape: CardShape,
}

/// Ports of [`MapUnit`].
#[derive(Clone, Ports)]
pub struct MapUnitIo {
    /// Requests
    pub request: StreamIn<MapRequest>,
    /// One for each request
    pub completion: StreamOut<Completion>,
    /// Access of the host
    pub host: Input<HostAccess>,
    /// Answer to reads and writes of the maps' contents
    pub reply: Output<HostReply>,
}

#[derive(Clone, Copy, State)]
enum Step {
    Idle,
    /// The bucket of a sample is known.
    Bucket,
    /// Keys and values are there.
    Read,
    /// Which way has the key is known.
    First,
    /// The old value is known.
    Second,
}

impl Component for MapUnit {
    type Io = MapUnitIo;

    fn name(&self) -> String {
        let CardShape { maps, map_words, map_sets, .. } = &self.shape;
        format!("map_unit_t{}_maps{maps}_words{map_words}_sets{map_sets}", self.shape.threads())
    }

    fn doc(&self) -> String {
        "Arrays, hash maps, ring buffers and histograms".into()
    }

    fn io(&self) -> MapUnitIo {
        let widths = Widths::of(&self.shape);
        MapUnitIo {
            request: stream_in(MapRequest::shape(&widths)),
            completion: stream_out(Completion::shape(&widths)),
            host: input(HostAccess::shape()),
            reply: output(HostReply::shape()),
        }
    }

    fn build(&self, io: MapUnitIo) {
        use MapFunction::*;
        let widths = Widths::of(&self.shape);
        if self.shape.maps == 0 {
            // A card without maps: each request breaks a rule.
            let completion = Completion {
                thread: io.request.payload().thread,
                value: UInt::lit(0, 64),
                status: UInt::lit(Status::OutOfRange as u64, 8),
            };
            io.request.accept(complete(&io.completion, io.request.valid(), completion));
            io.reply.set(zero(&HostReply::shape()));
            return;
        }
        let host = io.host.value();
        let step = fsm("step", Step::Idle);
        let descriptors = Descriptors::new(&self.shape, &host);
        let memories = Memories::new(&self.shape);
        let ports = MemoryPorts::new(&widths);

        // The request, in its first cycle.
        let request = io.request.payload();
        let (now, fault) = descriptors.resolve(request, crc32c(u32::MAX, request.key));
        let idle = step.is(Step::Idle);
        let completed = wire("completed", boolean())
            .doc("A completion is taken in this cycle, if there is one");
        io.request.accept(idle & completed.value());
        let done_at_once = fault | Push.is(request.function);
        let comes = io.request.fire();
        let taken = comes & !fault;
        let pushes = taken & Push.is(request.function);

        // The request, in its later cycles.
        let access = reg_zero("access", Access::shape(&widths));
        when(comes, || access.next(now));
        let access = access.value();
        let is = |wanted: MapFunction| wanted.is(access.request.function);
        let first = step.is(Step::First);

        // Keys and values are there: which way, and is the key in it?
        let (state, hits) = sets::compared(memories.state, &memories.keys, access.request.key);
        let values: Vec<UInt> = (memories.values.iter().enumerate())
            .map(|(way, value)| delayed(format!("value_{way}"), *value))
            .collect();
        let set = sets::look_up(state, &hits);
        let there = mux(access.hashed, set.found, access.inside).named("there");
        let room = mux(access.hashed, set.found | access.evicts | !set.evicts, access.inside);
        let way = mux(access.hashed, set.way, access.place.bits(0..2)).named("way");
        let found = mux(there, select(way, &values), UInt::lit(0, 64));
        let enters = (is(Store) | is(Add)) & room;
        let creates = first & access.hashed & enters & !set.found;
        // In maps without eviction the order of use does not matter.
        let renews = access.evicts & set.found & (is(Load) | is(Store) | is(Add));
        let removes = is(Delete) & set.found;

        // The sum, one cycle later.
        let old = reg("old", uint(64), 0);
        let old_way = reg("old_way", uint(2), 0);
        let adds = reg("adds", boolean(), false);
        when(first, || {
            old.next(found);
            old_way.next(way);
            adds.next(room);
        });
        let second = step.is(Step::Second);
        let sum = wrap(access.kind, old.wrapping_add(access.request.value));

        // Memory ports. Writes are repeated until the completion is taken: they do not
        // depend on what they write.
        let bucket = step.is(Step::Bucket);
        ports.set_read.set(comes);
        ports.set_address.set(mux(idle, now.set, access.set));
        ports.value_read.set(comes | bucket);
        let pushed_row = descriptors.row(&now, now.next_place);
        let own_row =
            mux(access.counts, descriptors.row(&access, access.place), access.row).named("own_row");
        ports.value_address.set(mux(idle, now.row, own_row));
        let stores = first & is(Store) & room;
        ports.value_write.set(pushes | stores | (second & adds.value()));
        ports.value_write_address.set(mux(idle, pushed_row, own_row));
        ports
            .value_way
            .set(priority_mux(&[(idle, now.next_place.bits(0..2)), (first, way)], old_way.value()));
        let pushed = wrap(now.kind, request.key);
        let stored = wrap(access.kind, access.request.value);
        ports.new_value.set(priority_mux(&[(idle, pushed), (first, stored)], sum));
        ports.state_write.set(creates | (first & access.hashed & (renews | removes)));
        ports.new_state.set(mux(removes, sets::removed(state, set.way), set.matched));
        ports.key_write.set(creates);
        ports.key_way.set(set.way);
        ports.new_key.set(access.request.key);
        // The host's turn comes when nothing else happens.
        let free = idle & !io.request.valid();
        let free = Free { writes: free, both: free };
        let rings = |turn| descriptors.rings(pushes, &now, turn);
        io.reply.set(memories.connect(&ports, &host, free, rings));

        // Completions.
        let flag = |value: Bool| value.as_uint().zext(64);
        let value = priority_mux(
            &[
                (second, mux(adds, sum, UInt::lit(0, 64))),
                (is(Load), found),
                (is(Store), flag(room)),
            ],
            flag(there),
        );
        let valid = (comes & done_at_once) | (first & !is(Add)) | second;
        let fails = idle & fault;
        let status = mux(fails, UInt::lit(Status::OutOfRange as u64, 8), UInt::lit(0, 8));
        let thread = mux(idle, request.thread, access.request.thread);
        completed.set(complete(&io.completion, valid, Completion { thread, value, status }));

        step.switch()
            .on(Step::Idle, || {
                when(taken & now.counts, || step.go(Step::Bucket))
                    .elsewhen(taken & !pushes, || step.go(Step::Read))
                    .otherwise(|| {});
            })
            .on(Step::Bucket, || step.go(Step::Read))
            .on(Step::Read, || step.go(Step::First))
            .on(Step::First, || {
                when(is(Add), || step.go(Step::Second))
                    .elsewhen(completed.value(), || step.go(Step::Idle))
                    .otherwise(|| {});
            })
            .on(Step::Second, || when(completed.value(), || step.go(Step::Idle)).otherwise(|| {}))
            .default(|| step.go(Step::Idle));
    }
}
