//! Events, and copies of them that come in parts.

use rmt_isa::event::EVENT_BYTES;
use rtl_builder::prelude::*;

use crate::signals::EventBeat;

/// Bits of an event.
pub(crate) const EVENT_BITS: u32 = 8 * EVENT_BYTES as u32;
/// Bits of the number of a word of an event.
pub(crate) const WORD_NUMBER_BITS: u32 = (EVENT_BITS / 64).ilog2();

/// The threads' copies of their events, read in words of 64 bits: a row for each part of an event, so that few words
/// lie side by side where one of them is to be chosen.
pub(crate) struct EventCopies {
    rows: AsyncMem<UInt>,
    beats: u32,
    beat: EventBeat,
}

impl EventCopies {
    /// A memory of the name `name` for `threads` threads, and what is written to it: events in `beats` parts.
    pub(crate) fn new(name: &str, threads: u32, beats: u32, beat: EventBeat) -> Self {
        let rows = AsyncMem::new(name, uint(EVENT_BITS / beats), u64::from(threads * beats))
            .doc("Events of all threads");
        let copies = Self { rows, beats, beat };
        copies.rows.write(beat.valid, copies.row(beat.thread, beat.number), beat.data);
        copies
    }

    /// The word of a thread's event with this number, 0 to 7, in the same cycle.
    pub(crate) fn word(&self, thread: UInt, number: UInt) -> UInt {
        let whole = (self.beats == 1).then(|| self.rows.read(thread));
        self.word_of(whole, thread, number)
    }

    /// The words with these numbers; if events come as a whole, also of one that comes in this cycle.
    pub(crate) fn words_at_once(&self, thread: UInt, numbers: &[UInt]) -> Vec<UInt> {
        // The whole event in one row is read once for all.
        let whole = (self.beats == 1).then(|| {
            let comes = self.beat.valid & self.beat.thread.eq(thread);
            mux(comes, self.beat.data, self.rows.read(thread))
        });
        numbers.iter().map(|&number| self.word_of(whole, thread, number)).collect()
    }

    fn word_of(&self, whole: Option<UInt>, thread: UInt, number: UInt) -> UInt {
        let low = WORD_NUMBER_BITS - self.beats.ilog2();
        let row = whole.unwrap_or_else(|| {
            self.rows.read(self.row(thread, number.bits(low..WORD_NUMBER_BITS)))
        });
        let words: Vec<UInt> =
            (0..1_u32 << low).map(|word| row.bits(64 * word..64 * (word + 1))).collect();
        select(number.trunc(low), &words)
    }

    fn row(&self, thread: UInt, number: UInt) -> UInt {
        if self.beats == 1 { thread } else { thread.concat(number) }
    }
}
