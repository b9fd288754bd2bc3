//! The threads' copies of their events, and lanes from them.

use super::lanes::{join, split};
use super::ports::{Start, thread_bits};
use crate::bits::shift_down;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Bits of an event.
const EVENT_BITS: u32 = 512;

/// Keeps each thread's event and gives N of its elements at once.
#[derive(Clone, Debug)]
pub struct EventCopy {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`EventCopy`].
#[derive(Clone, Ports)]
pub struct EventCopyIo {
    /// A thread begins an action
    pub start: Input<Start>,
    /// Thread whose event is read
    pub thread: Input<UInt>,
    /// Byte of the first element, a multiple of its width
    pub byte: Input<UInt>,
    /// Number of the element type
    pub element: Input<UInt>,
    /// N elements in the same cycle, extended to 32 bits; zero beyond the event
    pub lanes: Output<UInt>,
}

impl Component for EventCopy {
    type Io = EventCopyIo;

    fn name(&self) -> String {
        format!("event_copy_n{}_t{}", self.shape.array, self.shape.threads)
    }

    fn doc(&self) -> String {
        "Copies of the threads' events, read as lanes of any element type.".into()
    }

    fn io(&self) -> EventCopyIo {
        EventCopyIo {
            start: input(Start::shape(&self.shape)),
            thread: input(uint(thread_bits(&self.shape))),
            byte: input(uint(6)),
            element: input(uint(2)),
            lanes: output(uint(self.shape.array * 32)),
        }
    }

    fn build(&self, io: EventCopyIo) {
        let events = AsyncMem::new("events", uint(EVENT_BITS), self.shape.threads.into());
        events.write(io.start.takes, io.start.thread, io.start.event);
        let event = events.read(io.thread);
        // Elements are aligned: what moves by less than the width of an element is needed for narrower ones alone.
        let byte = io.byte.value();
        let moved = |from: UInt, low: u32, high: u32, width: u32| {
            let bits = (width * self.shape.array).min(from.width());
            shift_down(from, 8 << low, byte.bits(low..high), bits)
        };
        let by_4 = moved(event, 2, byte.width(), 32).named("aligned");
        let by_2 = moved(by_4, 1, 2, 16);
        let by_1 = moved(by_2, 0, 1, 8);
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
