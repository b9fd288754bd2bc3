//! The window unit: convolutions and pooling on the lanes of one vector.
//!
//! ```text
//!  words ─► input (a memory a lane) ─► turn, mask ─┬─► array (product unit) ─► sums ─┐
//!              ▲ lane addresses                    └─► pool lanes ───────────────────┴─► aligner ─► registers
//!           walker ─► steps, with their tile, to the product unit
//! ```
//!
//! One operation at a time. A convolution has the array for itself until its last result is written.

use super::align::{Aligner, Unaligned};
use super::geometry::Geometry;
use super::lanes::{join, split, thermometer};
use super::operation::{Operation, WindowFunction, WordTag, lane_bits, word_bits};
use super::pool::PoolLane;
use super::ports::{HostRequest, thread_bits};
use super::product::Wave;
use super::registers::word_of_lane;
use super::walk::{Segment, Walker, WalkerIo};
use super::weights::TILE_BITS;
use crate::bits::rotate_down;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Convolutions and pooling.
#[derive(Clone, Debug)]
pub struct WindowUnit {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// A step of a convolution: a segment meets a tile.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct WindowStep {
    /// There is a step, which waits until it fires
    pub valid: Bool,
    /// The tile
    pub tile: UInt,
    /// Its sums are a result
    pub ends: Bool,
    /// What goes along with it
    pub wave: Wave,
}

impl WindowStep {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self { valid: boolean(), tile: uint(TILE_BITS), ends: boolean(), wave: Wave::shape(shape) }
    }
}

/// Ports of [`WindowUnit`].
#[derive(Clone, Ports)]
pub struct WindowUnitIo {
    /// Writes of the host
    pub host: Input<HostRequest>,
    /// An operation may be issued in this cycle
    pub ready: Output<Bool>,
    /// An operation is issued; only when `ready`
    pub issue: Input<Bool>,
    /// The operation
    pub operation: Input<Operation>,
    /// Its thread
    pub thread: Input<UInt>,
    /// A word of the vector
    pub word_valid: Input<Bool>,
    /// Number of the word
    pub word_index: Input<UInt>,
    /// N lanes of 32 bits
    pub word: Input<UInt>,
    /// The last word
    pub word_last: Input<Bool>,
    /// A convolution waits for the array or uses it
    pub holds_array: Output<Bool>,
    /// No product is on the array
    pub array_free: Input<Bool>,
    /// The step of this cycle
    pub step: Output<WindowStep>,
    /// It happens
    pub fires: Input<Bool>,
    /// Two cycles after a step: N activations
    pub activations: Output<UInt>,
    /// Sums of a convolution come out of the array
    pub sums: Input<Unaligned>,
    /// These sums
    pub sums_lanes: Input<UInt>,
    /// The product unit announces a result in this cycle
    pub products_announce: Input<Bool>,
    /// Pooling writes a result in the sixth cycle from now
    pub announce: Output<Bool>,
    /// The word that is written now
    pub write: Output<WordTag>,
    /// Its lanes
    pub data: Output<UInt>,
    /// Which of them are written
    pub mask: Output<UInt>,
    /// Which of them go to the word behind
    pub carry: Output<UInt>,
}

/// What the unit does.
#[derive(Clone, Copy, Debug, State)]
enum Phase {
    /// It takes an operation.
    Idle,
    /// It takes the vector.
    Load,
    /// The window goes over the input.
    Walk,
    /// The last results are on their way.
    Drain,
}

/// The operation under way.
struct Held {
    operation: Operation,
    thread: UInt,
    pools: Bool,
    largest: Bool,
}

impl WindowUnit {
    /// The outputs of a unit that does nothing: a card without windows takes no operation of it.
    fn leave_out(&self, io: &WindowUnitIo) {
        let shape = &self.shape;
        for never in [&io.ready, &io.holds_array, &io.announce] {
            never.set(false);
        }
        io.step.set(zero(&WindowStep::shape(shape)));
        io.write.set(zero(&WordTag::shape(shape)));
        for lanes in [&io.activations, &io.data, &io.mask, &io.carry] {
            lanes.set(UInt::lit(0, lanes.width()));
        }
    }

    /// The lanes of a segment, in order, and which of them are inside the input's row.
    fn lanes(&self, io: &WindowUnitIo, read: &Segment, row_lanes: UInt) -> (UInt, UInt) {
        let shape = &self.shape;
        let n = shape.array;
        let lane_bits = lane_bits(shape);
        let first = read.start.trunc(lane_bits);
        let here = word_of_lane(shape, read.start);
        let behind = match shape.words_per_register() {
            1 => here,
            _ => here.wrapping_add(UInt::lit(1, here.width())).named("word_behind"),
        };
        let lanes: Vec<SInt> = split(io.word.value(), 32)
            .into_iter()
            .enumerate()
            .map(|(i, lane)| {
                let memory =
                    AsyncMem::new(format!("input{i}"), sint(32), shape.words_per_register().into());
                let fit = |index: UInt| index.resize(memory.address_width());
                memory.write(io.word_valid, fit(io.word_index.value()), lane);
                memory.read(fit(mux(first.gt(i as u64), behind, here)))
            })
            .collect();
        let lanes = rotate_down("lanes_by", join(&lanes), 32, first);

        // Lanes of the segment before the row's first and before its end, as far as they count here.
        let count_bits = lane_bits + 1;
        let none = UInt::lit(0, count_bits);
        let to_begin = (-read.column).as_uint().sat(count_bits);
        let outside = mux(read.column.is_negative(), to_begin, none).named("lanes_outside");
        let rest = row_lanes.zext(read.column.width()).as_sint() - read.column;
        let to_end = mux(rest.is_negative(), none, rest.as_uint().sat(count_bits));
        let inside = thermometer(to_end, n) & !thermometer(outside, n);
        let inside = mux(read.row_inside, inside, UInt::lit(0, n)).named("lanes_inside");
        (lanes, inside)
    }

    /// The wave of a step of a convolution.
    fn wave(&self, held: &Held, segment: &Segment) -> Wave {
        Wave {
            first: segment.first,
            place: segment.place,
            thread: held.thread,
            register: held.operation.d,
            word: word_of_lane(&self.shape, segment.destination),
            last_word: segment.last,
            biased: held.operation.option,
            bias: held.operation.bias.wrapping_add(segment.output),
            unaligned: Bool::lit(true),
            lane: segment.destination.trunc(lane_bits(&self.shape)),
            last_lane: segment.last_lane,
        }
    }
}

impl Component for WindowUnit {
    type Io = WindowUnitIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("window_unit_t{}_n{}_l{}_w{}", s.threads, s.array, s.vector_lanes, s.windows)
    }

    fn doc(&self) -> String {
        "Convolutions and pooling on the lanes of a vector.".into()
    }

    fn io(&self) -> WindowUnitIo {
        let shape = &self.shape;
        let (n, word) = (shape.array, uint(shape.array * 32));
        WindowUnitIo {
            host: input(HostRequest::shape(shape)),
            ready: output(boolean()),
            issue: input(boolean()),
            operation: input(Operation::shape(shape)),
            thread: input(uint(thread_bits(shape))),
            word_valid: input(boolean()),
            word_index: input(uint(word_bits(shape))),
            word: input(word),
            word_last: input(boolean()),
            holds_array: output(boolean()),
            array_free: input(boolean()),
            step: output(WindowStep::shape(shape)),
            fires: input(boolean()),
            activations: output(uint(n * self.shape.activation_bits())),
            sums: input(Unaligned::shape(shape)),
            sums_lanes: input(word),
            products_announce: input(boolean()),
            announce: output(boolean()),
            write: output(WordTag::shape(shape)),
            data: output(word),
            mask: output(uint(n)),
            carry: output(uint(n)),
        }
    }

    fn build(&self, io: WindowUnitIo) {
        let shape = &self.shape;
        if shape.windows == 0 {
            self.leave_out(&io);
            return;
        }
        let phase = fsm("phase", Phase::Idle);
        let geometry = Geometry::read(
            shape,
            io.host.value(),
            io.issue.value(),
            io.operation.value().last_item,
        );
        let operation = reg_uninit("held", Operation::shape(shape));
        let thread = reg_uninit("held_thread", uint(thread_bits(shape)));
        when(io.issue, || {
            operation.next(io.operation);
            thread.next(io.thread);
        });
        let function = operation.value().function;
        let held = Held {
            operation: operation.value(),
            thread: thread.value(),
            pools: function.ne(WindowFunction::Convolve as u64).named("pools"),
            largest: function.eq(WindowFunction::Max as u64).named("largest"),
        };

        // The steps. One of pooling that ends waits while the port for its result is taken.
        let walker: WalkerIo = instance("walker", Walker { shape: shape.clone() });
        let walks = phase.is(Phase::Walk);
        let begin = (phase.is(Phase::Load) & io.word_valid & io.word_last).named("walk_begins");
        walker.begin.set(begin);
        walker.geometry.set(geometry);
        walker.pools.set(held.pools);
        walker.first_tile.set(held.operation.base.trunc(TILE_BITS));
        walker.last_output.set(held.operation.lane);
        let segment = walker.segment.value();
        let pool_fires =
            (walks & held.pools & !(segment.ends & io.products_announce)).named("pool_fires");
        let fires = (pool_fires | io.fires).named("step_fires");
        walker.fires.set(fires);
        io.step.set(WindowStep {
            valid: walks & !held.pools & io.array_free,
            tile: walker.tile.value(),
            ends: segment.ends,
            wave: self.wave(&held, &segment),
        });
        io.announce.set(pool_fires & segment.ends);
        io.ready.set(phase.is(Phase::Idle));
        io.holds_array.set(!phase.is(Phase::Idle) & !held.pools);

        // A segment of a convolution is read one cycle after its step, one of pooling after three: its
        // result is announced with the step.
        let mut pending = vec![(pool_fires, segment)];
        for cycle in 1..=5 {
            let (valid, segment) = pending[cycle - 1];
            pending.push(scope(format!("cycle{cycle}"), || {
                let held = reg("pools", boolean(), false);
                held.next(valid);
                (held.value(), delayed("segment", segment))
            }));
        }
        let read = mux(held.pools, pending[3].1, pending[1].1);
        let (lanes, inside) = self.lanes(&io, &read, geometry.row_lanes);
        let column_inside = (inside.bit(0) & !read.column.is_negative()).named("column_inside");
        let column_inside = delayed("column_inside_q", column_inside);
        let under: Vec<SInt> = split(lanes, 32)
            .into_iter()
            .zip(inside.to_bools())
            .enumerate()
            .map(|(i, (lane, inside))| {
                let lane = mux(inside | held.pools, lane, SInt::lit(0, 32));
                delayed(format!("under_window{i}"), lane)
            })
            .collect();
        let activation_bits = self.shape.activation_bits();
        let narrow: Vec<SInt> = under.iter().map(|lane| lane.trunc(activation_bits)).collect();
        io.activations.set(join(&narrow));

        let (valid, now) = pending[4];
        let pooled: Vec<SInt> = (under.into_iter().enumerate())
            .map(|(i, value)| {
                let lane = instance(format!("pool{i}"), PoolLane);
                lane.valid.set(valid);
                lane.value.set(value);
                lane.inside.set(column_inside);
                lane.first.set(now.first);
                lane.largest.set(held.largest);
                lane.element.set(held.operation.element);
                lane.result.value()
            })
            .collect();

        let (valid, done) = pending[5];
        let pooled_result = Unaligned {
            valid: valid & done.ends,
            thread: held.thread,
            register: held.operation.d,
            word: word_of_lane(shape, done.destination),
            lane: done.destination.trunc(lane_bits(shape)),
            last_lane: done.last_lane,
            last: done.last,
        };
        let aligner = instance("aligner", Aligner { shape: shape.clone() });
        aligner.result.set(mux(held.pools, pooled_result, io.sums.value()));
        aligner.lanes.set(mux(held.pools, join(&pooled), io.sums_lanes.value()));
        let write = aligner.write.value();
        io.write.set(write);
        io.data.set(aligner.data);
        io.mask.set(aligner.mask);
        io.carry.set(aligner.carry);

        phase
            .switch()
            .on(Phase::Idle, || {
                when(io.issue, || phase.go(Phase::Load));
            })
            .on(Phase::Load, || {
                when(begin, || phase.go(Phase::Walk));
            })
            .on(Phase::Walk, || {
                when(fires & walker.last_step, || phase.go(Phase::Drain));
            })
            .on(Phase::Drain, || {
                when(write.valid & write.last, || phase.go(Phase::Idle));
            });
    }
}
