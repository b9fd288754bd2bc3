//! The MSI-X table, its masks and pending bits.

use rmt_isa::device::fields::msix_control;
use rmt_isa::device::pci::{MSIX_ENTRY_BYTES, MSIX_PBA_OFFSET};
use rmt_isa::device::registers::{LINE_BYTES, MSIX_ADDRESS, MSIX_CONTROL, MSIX_DATA};
use rtl_builder::prelude::*;
use rtl_builder::stock::lowest_set;
use rtl_builder::stock::stream::Stream;

use super::{LINE_BITS, LineBytes, PostedWrite, Sideband, join};

/// Keeps the table, and sends the message of each vector that is raised and not masked.
pub struct Msix {
    /// Vectors of the table.
    pub vectors: u32,
    /// Width of the stream to the host, bits.
    pub bits: u32,
}

/// Ports of [`Msix`].
#[derive(Clone, Ports)]
pub struct MsixIo {
    /// Bytes of the BAR are written
    pub write: Input<Bool>,
    /// Number of their line
    pub line: Input<UInt>,
    /// The bytes
    pub bytes: Input<LineBytes>,
    /// DW of the BAR that is read
    pub read_dw: Input<UInt>,
    /// The DW
    pub read_data: Output<UInt>,
    /// Vectors that are raised in this cycle
    pub raise: Input<UInt>,
    /// Configuration
    pub sideband: Input<Sideband>,
    /// Messages
    pub message: StreamOut<PostedWrite>,
}

impl Component for Msix {
    type Io = MsixIo;

    fn name(&self) -> String {
        format!("msix_v{}_w{}", self.vectors, self.bits)
    }

    fn doc(&self) -> String {
        "MSI-X table, masks and pending bits".into()
    }

    fn io(&self) -> MsixIo {
        MsixIo {
            write: input(boolean()),
            line: input(uint(LINE_BITS)),
            bytes: input(LineBytes::shape(self.bits)),
            read_dw: input(uint(LINE_BITS + 4)),
            read_data: output(uint(32)),
            raise: input(uint(self.vectors)),
            sideband: input(Sideband::shape()),
            message: stream_out(PostedWrite::shape(self.bits)),
        }
    }

    fn build(&self, io: MsixIo) {
        let per_line = LINE_BYTES / MSIX_ENTRY_BYTES;
        let lines = self.vectors.div_ceil(per_line).next_power_of_two().max(2);
        let line_bits = lines.ilog2();
        // Of a line no more than there are vectors.
        let entries_kept = per_line.min(self.vectors);
        let table: AsyncMem<UInt> = AsyncMem::new("table", uint(128 * entries_kept), lines.into());
        let in_table = io.line.bits(line_bits..LINE_BITS).is_zero();
        let writes = (io.write & in_table).named("writes_table");
        let (data, enables) = (io.bytes.value().line(), io.bytes.value().line_enables());
        table.write_lanes(
            writes,
            io.line.bits(0..line_bits),
            data.bits(0..128 * entries_kept),
            enables.bits(0..16 * entries_kept),
        );

        let mut masks = Vec::new();
        for vector in 0..self.vectors {
            let mask = reg(format!("mask_{vector}"), boolean(), true);
            let byte = (vector % per_line) * MSIX_ENTRY_BYTES + MSIX_CONTROL.offset;
            let bit = 8 * byte + msix_control::MASK.low;
            let here = writes & io.line.eq(vector / per_line) & enables.bit(byte);
            when(here, || mask.next(data.bit(bit)));
            masks.push(mask.as_uint());
        }
        let masks = join(&masks).named("masks");
        let pending = reg("pending", uint(self.vectors), 0);
        let sideband = io.sideband.value();
        let blocked = mux(sideband.msix_mask, UInt::from_bits(&Bits::ones(self.vectors)), masks);
        let (some, vector) = lowest_set(pending.value() & !blocked);
        // A chosen vector stays chosen until its message has left.
        let sending = reg("sending", boolean(), false);
        let chosen = reg("chosen", uint(vector.width()), 0);
        let one = UInt::lit(1, self.vectors).shift_left(vector);
        let takes = (!sending & some & sideband.msix_enable).named("takes");
        let cleared = mux(takes, one, UInt::lit(0, self.vectors));
        let raised = mux(sideband.msix_enable, io.raise.value(), UInt::lit(0, self.vectors));
        let kept = mux(sideband.msix_enable, pending.value(), UInt::lit(0, self.vectors));
        pending.next((kept & !cleared) | raised);
        when(takes, || {
            sending.next(true);
            chosen.next(vector);
        });
        when(sending & io.message.ready(), || sending.next(false));
        let entries = |line: UInt| -> Vec<UInt> {
            (0..entries_kept).map(|entry| line.bits(128 * entry..128 * (entry + 1))).collect()
        };
        let index = chosen.zext(8);
        let message_line = table.read(index.bits(2..2 + line_bits));
        let entry = select(index.bits(0..2), &entries(message_line)).named("message_entry");
        let dw_at =
            |entry: UInt, offset: u32, dws: u32| entry.bits(8 * offset..8 * offset + 32 * dws);
        io.message.offer(
            sending.value(),
            PostedWrite::new(
                dw_at(entry, MSIX_ADDRESS.offset, 2),
                UInt::lit(1, 5),
                dw_at(entry, MSIX_DATA.offset, 1).zext(self.bits),
            ),
        );

        // Reads: the mask comes from its register, the rest from the table.
        let read = io.read_dw.value();
        let read_line = table.read(read.bits(4..4 + line_bits));
        let read_entry = select(read.bits(2..4), &entries(read_line));
        let vector_read = read.bits(2..2 + line_bits + 2);
        let mask_read = masks.zext(lines * per_line).bit_at(vector_read);
        let word = lookup(
            read.bits(0..2),
            &[
                (0, read_entry.bits(0..32)),
                (1, read_entry.bits(32..64)),
                (2, read_entry.bits(64..96)),
            ],
            mask_read.as_uint().zext(32),
        );
        let table_read =
            read.bits(line_bits + 4..LINE_BITS + 4).is_zero() & vector_read.lt(self.vectors);
        let waits = (pending.value() & blocked).zext(64);
        let pba = u64::from(MSIX_PBA_OFFSET / 4);
        io.read_data.set(priority_mux(
            &[
                (table_read, word),
                (read.eq(pba), waits.bits(0..32)),
                (read.eq(pba + 1), waits.bits(32..64)),
            ],
            UInt::lit(0, 32),
        ));
    }
}
