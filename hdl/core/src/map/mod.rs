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
//! | push | 1 | 2 |
//! | load, has | 4 | 4, or 5 if the order of use changes |
//! | store, delete | 4 | 5 |
//! | add | 5 | 5 |
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
    /// The map's descriptor is there: where the key's set and value stand follows from it.
    Place,
    /// Keys and values are there.
    Read,
    /// Which way has the key is known.
    First,
    /// What is written and the old value are known.
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
        let comes = io.request.fire();
        let pushed_now = Push.is(request.function);

        // The request, in its later cycles.
        let access = reg_zero("access", Access::shape(&widths));
        let failed = reg("failed", boolean(), false);
        when(comes, || {
            access.next(now);
            failed.next(fault);
        });
        let access = access.value();
        let is = |wanted: MapFunction| wanted.is(access.request.function);
        let (place, first) = (step.is(Step::Place), step.is(Step::First));
        let pushes = place & is(Push) & !failed.value();
        let located_now = access.located(&widths);
        let located = delayed("located", located_now);

        // Keys and values are there: which way, and is the key in it?
        let (state, hits) = sets::compared(memories.state, &memories.keys, access.request.key);
        let values: Vec<UInt> = (memories.values.iter().enumerate())
            .map(|(way, value)| delayed(format!("value_{way}"), *value))
            .collect();
        let set = sets::look_up(state, &hits);
        let there = mux(access.hashed, set.found, located.inside).named("there");
        let room = mux(access.hashed, set.found | access.evicts | !set.evicts, located.inside);
        // A key stands in one way: which one it is need not be a number before its value is chosen.
        let found = hits.iter().zip(&values).zip(0_u64..).fold(
            UInt::lit(0, 64),
            |found, ((&hit, &value), way)| {
                let here = mux(access.hashed, hit, located.inside & located.way.eq(way));
                found | mux(here, value, UInt::lit(0, 64))
            },
        );
        let enters = (is(Store) | is(Add)) & room;
        // In maps without eviction the order of use does not matter.
        let renews = access.evicts & set.found & (is(Load) | is(Store) | is(Add));
        let removes = is(Delete) & set.found;

        // What is written, and the sum, one cycle later.
        let second = step.is(Step::Second);
        let old = delayed("old", found);
        let way = delayed("way", mux(access.hashed, set.way, located.way));
        let enters = delayed("enters", enters);
        let creates = delayed("creates", access.hashed & !set.found) & enters;
        let renews = delayed("renews", renews);
        let removes = delayed("removes", access.hashed & removes);
        let matched = delayed("matched", set.matched);
        let sum = wrap(access.kind, old.wrapping_add(access.request.value));

        // Memory ports. Writes are repeated until the completion is taken: they do not
        // depend on what they write.
        ports.set_read.set(place);
        ports.set_address.set(located_now.set);
        ports.value_read.set(place);
        ports.value_address.set(located_now.row);
        let (next_row, next_way) = access.next(&widths);
        ports.value_write.set(pushes | (second & enters));
        ports.value_write_address.set(mux(place, next_row, located.row));
        ports.value_way.set(mux(place, next_way, way));
        let given = wrap(access.kind, mux(place, access.request.key, access.request.value));
        ports.new_value.set(mux(second & is(Add), sum, given));
        ports.set_write_address.set(located.set);
        ports.state_write.set(second & access.hashed & (creates | renews | removes));
        ports.new_state.set(mux(removes, sets::removed(state, way), matched));
        ports.key_write.set(second & creates);
        ports.key_way.set(way);
        ports.new_key.set(access.request.key);
        // The host's turn comes when nothing else happens.
        let free = idle & !io.request.valid();
        let free = Free { writes: idle, both: free };
        let rings = |turn| descriptors.rings(place, pushes, &access, turn);
        io.reply.set(memories.connect(&ports, &host, free, rings));

        // Completions. Whether a rule is broken is known late in the first cycle: what completes later says so later.
        let flag = |value: Bool| value.as_uint().zext(64);
        let value = priority_mux(
            &[
                (second, mux(enters, sum, UInt::lit(0, 64))),
                (is(Load), found),
                (is(Store), flag(room)),
            ],
            flag(there),
        );
        let refused = place & failed.value() & !is(Push);
        let valid = (comes & pushed_now) | refused | (first & !is(Add)) | (second & is(Add));
        let fails = mux(idle, fault, place);
        let status = mux(fails, UInt::lit(Status::OutOfRange as u64, 8), UInt::lit(0, 8));
        let thread = mux(idle, request.thread, access.request.thread);
        completed.set(complete(&io.completion, valid, Completion { thread, value, status }));

        step.switch()
            .on(Step::Idle, || when(comes, || step.go(Step::Place)).otherwise(|| {}))
            .on(Step::Place, || {
                when(is(Push) | (refused & completed.value()), || step.go(Step::Idle))
                    .elsewhen(!failed.value(), || step.go(Step::Read))
                    .otherwise(|| {});
            })
            .on(Step::Read, || step.go(Step::First))
            .on(Step::First, || {
                let writes_nothing = is(Contains) | (is(Load) & !access.evicts);
                when(is(Add) | (completed.value() & !writes_nothing), || step.go(Step::Second))
                    .elsewhen(completed.value(), || step.go(Step::Idle))
                    .otherwise(|| {});
            })
            .on(Step::Second, || {
                when(!is(Add) | completed.value(), || step.go(Step::Idle)).otherwise(|| {});
            })
            .default(|| step.go(Step::Idle));
    }
}
