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
    /// Byte of the first element
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
        let widest = 32 * self.shape.array;
        let aligned =
            shift_down(event, 8, io.byte.value(), widest.min(EVENT_BITS)).named("aligned");
        let of_width = |width: u32| -> Vec<SInt> {
            let mut lanes: Vec<SInt> =
                split(aligned, width).iter().map(|lane| lane.sext(32)).collect();
            lanes.resize(self.shape.array as usize, SInt::lit(0, 32));
            lanes
        };
        let by_element = [8, 16, 32].map(of_width);
        let lanes: Vec<SInt> = (0..self.shape.array as usize)
            .map(|i| {
                let choices = [(0, by_element[0][i]), (1, by_element[1][i])];
                lookup(io.element, &choices, by_element[2][i])
            })
            .collect();
        io.lanes.set(join(&lanes));
    }
}
