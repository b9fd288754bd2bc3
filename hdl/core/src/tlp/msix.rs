//! The MSI-X table, its masks and pending bits.

use rmt_isa::device::fields::msix_control;
use rmt_isa::device::pci::{MSIX_ENTRY_BYTES, MSIX_PBA_OFFSET};
use rmt_isa::device::registers::{LINE_BYTES, MSIX_CONTROL};
use rtl_builder::prelude::*;
use rtl_builder::stock::lowest_set;
use rtl_builder::stock::stream::Stream;

use super::{LINE_BITS, LineBytes, PostedWrite, Sideband, is_long, join};

/// Keeps the table, and sends the message of each vector that is raised and not masked.
///
/// The table has one read port, for messages and the host: a message is read once, when it is about to be sent, and a read
/// of the host waits for that cycle.
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
    /// The DW is there
    pub read_ready: Output<Bool>,
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
            read_ready: output(boolean()),
            raise: input(uint(self.vectors)),
            sideband: input(Sideband::shape()),
            message: stream_out(PostedWrite::shape(self.bits)),
        }
    }

    fn build(&self, io: MsixIo) {
        let per_line = LINE_BYTES / MSIX_ENTRY_BYTES;
        let index_bits = bits_for(self.vectors.into()).max(1);
        // Entries in two halves: addresses; data and control. The word of a line has one of them or both.
        let addresses: AsyncMem<UInt> =
            AsyncMem::new("addresses", uint(64), 1 << index_bits).doc("Addresses of messages");
        let contents: AsyncMem<UInt> =
            AsyncMem::new("contents", uint(32), 1 << index_bits).doc("Data of messages");
        let bytes = io.bytes.value();
        let place = bytes.place;
        let half = |number: u32| match self.bits {
            64 => {
                let here = place.bit(0).eq(Bool::lit(number == 1));
                (bytes.word, mux(here, bytes.enables, UInt::lit(0, 8)))
            }
            _ => (
                bytes.word.bits(64 * number..64 * number + 64),
                bytes.enables.bits(8 * number..8 * number + 8),
            ),
        };
        let (low, high) = (half(0), half(1));
        let in_line = place.bits(place.width() - per_line.ilog2()..place.width());
        let number = io.line.concat(in_line).named("entry_written");
        let in_table = number.bits(index_bits..number.width()).is_zero();
        let writes = (io.write & in_table).named("writes_table");
        let index = number.bits(0..index_bits);
        addresses.write_lanes(writes, index, low.0, low.1);
        contents.write_lanes(writes, index, high.0.bits(0..32), high.1.bits(0..4));

        let mut masks = Vec::new();
        for vector in 0..self.vectors {
            let mask = reg(format!("mask_{vector}"), boolean(), true);
            let byte = MSIX_CONTROL.offset - MSIX_ENTRY_BYTES / 2;
            let bit = 8 * byte + msix_control::MASK.low;
            let here = writes & index.eq(vector) & high.1.bit(byte);
            when(here, || mask.next(high.0.bit(bit)));
            masks.push(mask.as_uint());
        }
        let masks = join(&masks).named("masks");
        let pending = reg("pending", uint(self.vectors), 0);
        let sideband = io.sideband.value();
        let blocked = mux(sideband.msix_mask, UInt::from_bits(&Bits::ones(self.vectors)), masks);
        let (some, vector) = lowest_set(pending.value() & !blocked);
        // A message is read when it may leave, and then stays as it is.
        let sending = reg("sending", boolean(), false);
        let may = sideband.msix_enable & sideband.bus_master;
        let one = UInt::lit(1, self.vectors).shift_left(vector);
        let takes = (!sending & some & may).named("takes");
        let read = io.read_dw.value();
        let vector_read = read.bits(2..2 + index_bits);
        let entry = mux(takes, vector.resize(index_bits), vector_read).named("entry_read");
        let (address, content) = (addresses.read(entry), contents.read(entry));
        let message_address = reg_uninit("message_address", uint(64));
        let message_data = reg_uninit("message_data", uint(32));
        let cleared = mux(takes, one, UInt::lit(0, self.vectors));
        let raised = mux(sideband.msix_enable, io.raise.value(), UInt::lit(0, self.vectors));
        let kept = mux(sideband.msix_enable, pending.value(), UInt::lit(0, self.vectors));
        pending.next((kept & !cleared) | raised);
        when(takes, || {
            sending.next(true);
            message_address.next(address);
            message_data.next(content);
        });
        // How long its header is does not lie behind the read of the table.
        let message_long = delayed("message_long", is_long(message_address.value()));
        let offered = reg("message_offered", boolean(), false);
        let sent = offered & io.message.ready();
        offered.next(sending & !sent);
        when(sent, || sending.next(false));
        io.message.offer(
            offered.value(),
            PostedWrite::new(
                message_address.value(),
                message_long,
                UInt::lit(1, 5),
                message_data.zext(self.bits),
            ),
        );

        // Reads: the mask comes from its register, the rest from the table.
        io.read_ready.set(!takes);
        let mask_read = masks.zext(1 << index_bits).bit_at(vector_read);
        let word = lookup(
            read.bits(0..2),
            &[(0, address.bits(0..32)), (1, address.bits(32..64)), (2, content)],
            mask_read.as_uint().zext(32),
        );
        let table_read = read.bits(2..LINE_BITS + 4).lt(self.vectors);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a DW of the BAR, in a stream of `bits` bits.
    fn write(sim: &mut Simulator, bits: u32, dw: u32, value: u64) {
        let lanes = bits / 32;
        sim.poke("write", 1);
        sim.poke("line", (dw / 16).into());
        sim.poke("bytes_place", (dw % 16 / lanes).into());
        // What is not enabled may not be written.
        let mut word = vec![u64::MAX; lanes as usize / 2];
        let shift = 32 * (dw % 2);
        let own = &mut word[(dw % lanes / 2) as usize];
        *own = *own & !(0xffff_ffff << shift) | value << shift;
        sim.poke_bits("bytes_word", &Bits::from_words(bits, &word));
        sim.poke("bytes_enables", 15 << (4 * (dw % lanes)));
        sim.step();
        sim.poke("write", 0);
    }

    #[test]
    fn the_table_is_read_back_beside_messages() {
        for (vectors, bits) in [(2, 64), (5, 64), (5, 128), (18, 128)] {
            let mut sim = elaborate(Msix { vectors, bits }).unwrap().simulator();
            sim.reset();
            let entry = |dw: u32| u64::from(dw.wrapping_mul(0x9e37_79b9)) & 0x7fff_fffe;
            let in_table = 4 * vectors;
            for dw in 0..in_table + 4 {
                write(&mut sim, bits, dw, entry(dw) & if dw % 4 == 3 { 0 } else { !0 });
            }
            sim.poke("sideband_msix_enable", 1);
            sim.poke("message_ready", 1);
            let (mut sent, mut waits) = (vec![0; vectors as usize], 0);
            for round in 0..400_u32 {
                // Messages wait until the card may write; vectors that are raised meanwhile are not lost.
                let may = round >= 100;
                sim.poke("sideband_bus_master", may.into());
                let raises = if round % 3 == 0 && round < 300 { 1 << (round % vectors) } else { 0 };
                sim.poke("raise", raises);
                let dw = round % (in_table + 4);
                sim.poke("read_dw", dw.into());
                let expected = if dw % 4 == 3 || dw >= in_table { 0 } else { entry(dw) };
                if sim.peek("read_ready") == 1 {
                    assert_eq!(sim.peek("read_data"), expected, "DW {dw}");
                } else {
                    waits += 1;
                }
                if sim.peek("message_valid") == 1 {
                    assert!(may);
                    let address = sim.peek("message_payload_address");
                    let data = sim.peek_bits("message_payload_data").words()[0];
                    let vector = (0..vectors).find(|v| entry(4 * v + 2) == data).unwrap();
                    assert_eq!(address, entry(4 * vector) | entry(4 * vector + 1) << 32);
                    sent[vector as usize] += 1;
                }
                sim.step();
            }
            let raised = (0..300_u32).step_by(3).map(|round| round % vectors);
            let raised: std::collections::BTreeSet<_> = raised.collect();
            let all: std::collections::BTreeSet<_> =
                (0..vectors).filter(|&vector| sent[vector as usize] > 0).collect();
            assert_eq!(all, raised);
            assert!(waits > 10);
        }
    }
}
