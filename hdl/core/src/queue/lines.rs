//! The lines that wait in the card: data of its reads, and inline events.

use rtl_builder::prelude::*;

use super::inline;
use crate::tlp::request::ROW_BITS;
use crate::tlp::{LINE_WIDTH, LineBytes};

/// One memory of lines. They come word by word and are read whole, each by one reader.
///
/// Both kinds come on the one stream from the host, so there is one to write at a time; and an event
/// leaves the same way, whichever it is. A row's number has its kind in the highest bit.
pub struct Lines {
    /// Queue pairs.
    pub queues: u32,
    /// Inline events of each pair.
    pub inline_slots: u32,
    /// Width of a word, bits.
    pub bits: u32,
}

/// Ports of [`Lines`].
#[derive(Clone, Ports)]
pub struct LinesIo {
    /// Bytes that may be for a line here
    pub bytes: Input<LineBytes>,
    /// They are of a read
    pub stores_read: Input<Bool>,
    /// Slot and line of it
    pub read_row: Input<UInt>,
    /// They are of an inline event
    pub stores_inline: Input<Bool>,
    /// Pair and slot of it
    pub inline_row: Input<UInt>,
    /// A line is read: in the next cycle it is in `data`
    pub read: Input<Bool>,
    /// Its row
    pub row: Input<UInt>,
    /// The line, until another one is read
    pub data: Output<UInt>,
}

impl Component for Lines {
    type Io = LinesIo;

    fn name(&self) -> String {
        format!("lines_q{}_s{}_w{}", self.queues, self.inline_slots, self.bits)
    }

    fn doc(&self) -> String {
        "Data of the card's reads, and inline events".into()
    }

    fn io(&self) -> LinesIo {
        LinesIo {
            bytes: input(LineBytes::shape(self.bits)),
            stores_read: input(boolean()),
            read_row: input(uint(ROW_BITS)),
            stores_inline: input(boolean()),
            inline_row: input(uint(inline::row_bits(self.queues, self.inline_slots))),
            read: input(boolean()),
            row: input(uint(row_bits(self.queues, self.inline_slots))),
            data: output(uint(LINE_WIDTH)),
        }
    }

    fn build(&self, io: LinesIo) {
        let bits = row_bits(self.queues, self.inline_slots);
        // A line is written until it is whole, and read when it is.
        let memory: SyncMem<UInt> = SyncMem::new("rows", uint(LINE_WIDTH), 1 << bits)
            .doc("Lines of reads, then inline events")
            .collisions_unused();
        let bytes = io.bytes.value();
        let row = mux(
            io.stores_inline,
            inline_row(io.inline_row.value(), bits),
            read_row(io.read_row.value(), bits),
        );
        let stores = io.stores_read | io.stores_inline.value();
        memory.write_lanes(stores, row, bytes.line(), bytes.line_enables());
        io.data.set(memory.read(io.read, io.row));
    }
}

/// Bits of a row's number.
pub(crate) fn row_bits(queues: u32, inline_slots: u32) -> u32 {
    1 + ROW_BITS.max(inline::row_bits(queues, inline_slots))
}

/// The row of a line of a read, among rows of `bits` bits.
pub(crate) fn read_row(row: UInt, bits: u32) -> UInt {
    row.zext(bits)
}

/// The row of an inline event, among rows of `bits` bits.
pub(crate) fn inline_row(row: UInt, bits: u32) -> UInt {
    UInt::lit(1, 1).concat(row.zext(bits - 1))
}
