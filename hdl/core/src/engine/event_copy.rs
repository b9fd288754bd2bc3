//! The threads' copies of their events, and lanes from them.

use super::lanes::{join, split};
use super::ports::thread_bits;
use crate::bits::shift_down;
use crate::event::EVENT_BITS;
use crate::signals::EventBeat;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Keeps each thread's event and gives N of its elements at once.
#[derive(Clone, Debug)]
pub struct EventCopy {
    /// The engine's parameters.
    pub shape: EngineShape,
    /// Parts in which events come.
    pub beats: u32,
}

/// Ports of [`EventCopy`].
#[derive(Clone, Ports)]
pub struct EventCopyIo {
    /// Parts of the threads' events
    pub beat: Input<EventBeat>,
    /// Thread whose event is read
    pub thread: Input<UInt>,
    /// Byte of the first element, a multiple of its width
    pub byte: Input<UInt>,
    /// One cycle later: number of the element type
    pub element: Input<UInt>,
    /// With `element`: N elements, extended to 32 bits; anything beyond the event
    pub lanes: Output<UInt>,
}

impl Component for EventCopy {
    type Io = EventCopyIo;

    fn name(&self) -> String {
        format!("event_copy_n{}_t{}_b{}", self.shape.array, self.shape.threads, self.beats)
    }

    fn doc(&self) -> String {
        "Copies of the threads' events, read as lanes of any element type.".into()
    }

    fn io(&self) -> EventCopyIo {
        EventCopyIo {
            beat: input(EventBeat::shape(self.beats, thread_bits(&self.shape))),
            thread: input(uint(thread_bits(&self.shape))),
            byte: input(uint(6)),
            element: input(uint(2)),
            lanes: output(uint(self.shape.array * 32)),
        }
    }

    fn build(&self, io: EventCopyIo) {
        // Elements are aligned: what moves by less than the width of an element is needed for narrower ones alone, and
        // moves in the second cycle.
        let moved = |from: UInt, by: UInt, low: u32, width: u32| {
            let bits = (width * self.shape.array).min(from.width());
            shift_down(from, 8 << low, by, bits)
        };
        let byte = io.byte.value();
        let (event, byte_bits) = self.reach(byte, &io);
        let by_4 = delayed("aligned", moved(event, byte.bits(2..byte_bits), 2, 32));
        let byte = delayed("byte_held", byte.trunc(2));
        let by_2 = moved(by_4, byte.bits(1..2), 1, 16);
        let by_1 = moved(by_2, byte.bits(0..1), 0, 8);
        let of_width = |(aligned, width): (UInt, u32)| -> Vec<SInt> {
            let mut lanes: Vec<SInt> =
                split(aligned, width).iter().map(|lane| lane.sext(32)).collect();
            lanes.resize(self.shape.array as usize, SInt::lit(0, 32));
            lanes
        };
        let by_element = [(by_1, 8), (by_2, 16), (by_4, 32)].map(of_width);
        let lanes: Vec<SInt> = (0..self.shape.array as usize)
            .map(|i| {
                let choices = [(0, by_element[0][i]), (1, by_element[1][i])];
                lookup(io.element, &choices, by_element[2][i])
            })
            .collect();
        io.lanes.set(join(&lanes));
    }
}

impl EventCopy {
    /// Memories that the parts of an event take turns in: two if elements never lie in more parts than two side by side.
    pub(crate) fn banks(&self) -> u32 {
        if 32 * self.shape.array * self.beats <= EVENT_BITS {
            self.beats.min(2)
        } else {
            self.beats
        }
    }

    /// The thread's event as far as elements can reach, and the bits of `byte` that say where they begin in it: all of it, or
    /// the part that has this byte and the one behind it.
    fn reach(&self, byte: UInt, io: &EventCopyIo) -> (UInt, u32) {
        let banks = self.banks();
        let (bank_bits, beat) = (banks.ilog2(), io.beat.value());
        let memories: Vec<AsyncMem<UInt>> = (0..banks)
            .map(|bank| {
                let rows = u64::from(self.shape.threads * self.beats / banks);
                let memory =
                    AsyncMem::new(format!("events_{bank}"), uint(EVENT_BITS / self.beats), rows);
                let here = if banks == 1 {
                    Bool::lit(true)
                } else {
                    beat.number.trunc(bank_bits).eq(bank)
                };
                let row = self.row(beat.thread, beat.number);
                memory.write(beat.valid & here, row, beat.data);
                memory
            })
            .collect();
        if banks == self.beats {
            let parts: Vec<UInt> = memories.iter().rev().map(|part| part.read(io.thread)).collect();
            return (cat(&parts), byte.width());
        }
        // The part of an even number follows one of an odd number in the next row.
        let byte_bits = byte.width() - self.beats.ilog2();
        let part = byte.bits(byte_bits..byte.width());
        let odd = part.bit(0);
        let next = part.wrapping_add(odd.as_uint().zext(part.width()));
        let thread = io.thread.value();
        let even_part = memories[0].read(self.row(thread, next));
        let odd_part = memories[1].read(self.row(thread, part));
        (mux(odd, even_part.concat(odd_part), odd_part.concat(even_part)), byte_bits)
    }

    /// Row of a part of a thread's event.
    fn row(&self, thread: UInt, part: UInt) -> UInt {
        let (bank_bits, part_bits) = (self.banks().ilog2(), self.beats.ilog2());
        if bank_bits == part_bits { thread } else { thread.concat(part.bits(bank_bits..part_bits)) }
    }
}
