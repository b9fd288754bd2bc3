//! The ways of lanes in the engine: from registers, events and constants to vector lanes and requantiser, and between the registers
//! and the context unit.

use super::decode::{DecoderIo, TypeWrite};
use super::engine::{Busy, Engine, EngineIo, Units, Write};
use super::event_copy::EventCopy;
use super::lanes::{join, one_hot, saturate, split};
use super::lanes_out::LaneSender;
use super::operation::{Function, Operand, Unit, WordTag};
use super::ports::HostRequest;
use super::registers::{VectorRegistersIo, WordAddress, lane_mask, word_of_lane};
use super::requantiser::{RESULT_BITS, Requantiser};
use super::sequencer::{SequencerIo, Step};
use super::steps::Steps;
use super::vector_lane::{EXACT_BITS, VectorLane, VectorLaneIo};
use crate::bits::as_word;
use rtl_builder::prelude::*;

/// The step of two cycles before was one of the vector unit that writes a word.
pub(super) fn writes_word(steps: &Steps) -> Bool {
    let answers = [Function::Lane, Function::Sum, Function::ArgMax];
    let answers = answers.map(|function| steps.is_function(2, function));
    steps.is_unit(2, Unit::Vector) & !answers[0] & !answers[1] & !answers[2]
}

/// Bits of a lane that is saturated on its way to the registers.
pub(super) const WRITTEN_BITS: u32 =
    if EXACT_BITS > RESULT_BITS { EXACT_BITS } else { RESULT_BITS };

impl Engine {
    /// All lanes of the word alike.
    pub(super) fn in_all_lanes(&self, value: SInt) -> UInt {
        value.as_uint().repeat(self.shape.array as usize)
    }

    /// Lanes of any width, extended to those that are saturated on their way to the registers.
    pub(super) fn in_exact_lanes(&self, lanes: UInt) -> UInt {
        let lanes = split(lanes, lanes.width() / self.shape.array);
        join(&lanes.iter().map(|lane| lane.sext(WRITTEN_BITS)).collect::<Vec<_>>())
    }

    pub(super) fn all_lanes(&self) -> UInt {
        UInt::lit((1 << self.shape.array) - 1, self.shape.array)
    }

    pub(super) fn no_lanes(&self) -> UInt {
        UInt::lit(0, self.shape.array)
    }

    /// The operands of the vector lanes, one cycle after the step. With the first step of an operation it `begins`.
    pub(super) fn vector_lanes(
        &self,
        io: &EngineIo,
        begins: Bool,
        steps: &Steps,
        registers: &VectorRegistersIo,
        row: UInt,
    ) -> Vec<VectorLaneIo> {
        let events = instance(
            "event_copy",
            EventCopy { shape: self.shape.clone(), beats: self.event_beats },
        );
        let step = &steps.operands;
        events.beat.set(io.beat);
        // Byte of the word's first element: words advance by N elements. It is known before the step is.
        let Step { valid, thread, operation, .. } = steps.now;
        let next_byte = reg_uninit("next_byte", uint(6));
        let byte = mux(begins, operation.base.trunc(6), next_byte.value());
        let elements = UInt::lit(u64::from(self.shape.array) & 63, 6);
        when(valid, || next_byte.next(byte.wrapping_add(elements.shift_left(operation.element))));
        events.thread.set(thread);
        events.byte.set(byte);
        events.element.set(step.operation.element);

        let a = lookup(
            step.operation.operand,
            &[
                (Operand::Event as u64, events.lanes.value()),
                (Operand::Row as u64, row),
                (Operand::Value as u64, self.in_all_lanes(step.operation.value)),
            ],
            registers.a_lanes.value(),
        )
        .named("operand_a");
        let zero = self.in_all_lanes(SInt::lit(0, 32));
        let b = mux(step.operation.b_zero, zero, registers.b_lanes.value()).named("operand_b");
        let now = steps.at(2);
        let wanted = writes_word(steps);
        split(a, 32)
            .into_iter()
            .zip(split(b, 32))
            .enumerate()
            .map(|(i, (a, b))| {
                let lane = instance(format!("lane{i}"), VectorLane);
                lane.a.set(a);
                lane.b.set(b);
                lane.function.set(now.function);
                lane.wanted.set(wanted);
                lane
            })
            .collect()
    }

    pub(super) fn requantiser(
        &self,
        host: HostRequest,
        scale_word: UInt,
        steps: &Steps,
        registers: &VectorRegistersIo,
    ) -> Write {
        let requantiser = instance("requantiser", Requantiser { shape: self.shape.clone() });
        let groups = self.shape.array / self.shape.requantise_lanes;
        let bits = self.shape.requantise_lanes * 32;
        requantiser.host.set(host);
        requantiser.enable.set(steps.is_unit(0, Unit::Requantise));
        requantiser.address.set(scale_word);
        let word = registers.a_lanes.value();
        let chosen: Vec<UInt> = (0..groups).map(|g| word.bits(g * bits..(g + 1) * bits)).collect();
        requantiser.lanes.set(select(steps.at(1).group, &chosen));
        requantiser.zero_point.set(steps.at(5).zero_point);

        let group = one_hot(steps.at(5).group, groups);
        let mask: Vec<Bool> = (0..self.shape.array)
            .map(|lane| group[(lane / self.shape.requantise_lanes) as usize])
            .collect();
        Write {
            tag: steps.tag(5, steps.is_unit(5, Unit::Requantise)),
            lanes: requantiser.results.value().repeat(groups as usize),
            mask: as_word(&mask),
            carry: self.no_lanes(),
        }
    }

    /// Lanes from the context unit, written in cycles in which nobody else writes. They come late in their cycle and are
    /// written from registers.
    pub(super) fn lanes_in(
        &self,
        io: &EngineIo,
        busy: &Busy,
        sequencer: &SequencerIo,
        decoder: &DecoderIo,
    ) -> (Write, Bool) {
        let lanes = io.lanes_in.payload.value();
        let wanted = io.lanes_in.valid & !busy.of(lanes.thread);
        let free = !sequencer.writes_next & (!lanes.last | decoder.types_free);
        let accepted = (wanted & free).named("lanes_in_accepted");
        io.lanes_in.ready.set(!busy.of(lanes.thread) & free);
        decoder.type_write.set(TypeWrite {
            valid: accepted & lanes.last,
            thread: lanes.thread,
            register: lanes.register,
            lanes: lanes.lanes,
            element: lanes.element,
        });
        let lanes_taken = reg("lanes_taken", boolean(), false);
        lanes_taken.next(accepted);
        let value = delayed("lanes_value", saturate(lanes.value.as_sint(), lanes.element));
        let tag = WordTag {
            valid: Bool::lit(false),
            thread: lanes.thread,
            register: lanes.register,
            word: word_of_lane(&self.shape, lanes.lane),
            last: Bool::lit(false),
        };
        let tag = WordTag { valid: lanes_taken.value(), ..delayed("lanes_word", tag) };
        let mask = delayed("lanes_mask", lane_mask(&self.shape, lanes.lane));
        let lanes = self.in_all_lanes(value);
        (Write { tag, lanes, mask, carry: self.no_lanes() }, wanted & !free)
    }

    /// Sends the lanes that the context unit asks for; gives whether it waits for a read.
    pub(super) fn lanes_out(
        &self,
        io: &EngineIo,
        busy: &Busy,
        units: &Units,
        decoder: &DecoderIo,
    ) -> Bool {
        let sender = instance("lane_sender", LaneSender { shape: self.shape.clone() });
        connect(&io.lanes_request, &sender.request);
        connect(&sender.lanes, &io.lanes_out);
        let address = sender.address.value();
        decoder.query_thread.set(address.thread);
        decoder.query_register.set(address.register);
        sender.register_type.set(decoder.query_type);
        sender.busy.set(busy.of(address.thread));

        let step = units.sequencer.step.value();
        let reads = (sender.wants_read & !step.valid).named("sender_reads");
        sender.read.set(reads);
        sender.word.set(units.registers.a_lanes);
        let own = |register: UInt| WordAddress { thread: step.thread, register, word: step.word };
        units.registers.read.set(step.valid | reads);
        units.registers.a.set(mux(step.valid, own(step.operation.a), address));
        units.registers.b.set(own(step.operation.b));
        sender.wants_read & step.valid
    }
}
