//! What the host wrote to the rings and rights of pairs, for it to read.

use rmt_isa::device::registers::{PAIR, PAIR_CONTROL, REGISTERS};
use rtl_builder::prelude::*;

use crate::tlp::{LINE_BITS, LINE_WIDTH, LineBytes, place_bits};

/// A copy in a memory: the registers of the pairs are wide, and a choice of one DW of all of them costs more. After a reset
/// it is cleared row by row, and nothing may be written or read until that is done.
pub struct ConfigCopy {
    /// Queue pairs for events; the admin queue comes on top.
    pub queues: u32,
    /// Width of a word that is written, bits.
    pub bits: u32,
}

/// Ports of [`ConfigCopy`].
#[derive(Clone, Ports)]
pub struct ConfigCopyIo {
    /// Bytes of the line of a pair are written
    pub write: Input<Bool>,
    /// Number of their line
    pub line: Input<UInt>,
    /// The bytes
    pub bytes: Input<LineBytes>,
    /// It is cleared, and takes no writes
    pub clears: Output<Bool>,
    /// DW of the BAR that is read, in the line of a pair
    pub read_dw: Input<UInt>,
    /// The DW, but for the one with the pair's state
    pub read_data: Output<UInt>,
}

/// DWs of a line that have registers which read as they were written.
fn dws() -> u32 {
    let kept = REGISTERS.iter().filter(|r| r.block == PAIR && **r != PAIR_CONTROL);
    kept.map(|register| (register.offset + register.bytes) / 4).max().unwrap_or(0)
}

impl Component for ConfigCopy {
    type Io = ConfigCopyIo;

    fn name(&self) -> String {
        format!("config_copy_q{}_w{}", self.queues, self.bits)
    }

    fn doc(&self) -> String {
        "What the host wrote to the rings and rights of pairs".into()
    }

    fn io(&self) -> ConfigCopyIo {
        ConfigCopyIo {
            write: input(boolean()),
            line: input(uint(LINE_BITS)),
            bytes: input(LineBytes::shape(self.bits)),
            clears: output(boolean()),
            read_dw: input(uint(LINE_BITS + 4)),
            read_data: output(uint(32)),
        }
    }

    fn build(&self, io: ConfigCopyIo) {
        let place_bits = place_bits(self.bits);
        let pair_bits = bits_for(self.queues.into());
        let row_bits = 1 + pair_bits + place_bits;
        // The line of a pair has the pair's number in its low bits; that of the admin queue is none of theirs.
        let pairs_bit = (PAIR.base * 8 / LINE_WIDTH).ilog2();
        let row = |line: UInt, place: UInt| {
            let pairs = line.bit(pairs_bit).as_uint();
            if pair_bits == 0 {
                pairs.concat(place)
            } else {
                pairs.concat(line.bits(0..pair_bits)).concat(place)
            }
        };
        let copy: AsyncMem<UInt> = AsyncMem::new("copy", uint(self.bits), 1 << row_bits);
        let clears = reg("clears_rows", boolean(), true)
            .doc("Rows still hold what was there before the reset");
        let cleared = reg("cleared", uint(row_bits), 0).doc("Row that is cleared next");
        when(clears, || {
            cleared.next(cleared.wrapping_add(1));
            clears.next(!cleared.value().reduce_and());
        });
        let bytes = io.bytes.value();
        copy.write_lanes(
            clears | io.write.value(),
            mux(clears, cleared.value(), row(io.line.value(), bytes.place)),
            mux(clears, UInt::lit(0, self.bits), bytes.word),
            mux(clears, UInt::from_bits(&Bits::ones(self.bits / 8)), bytes.enables),
        );
        io.clears.set(clears);
        let dw = io.read_dw.value();
        let lane_bits = 4 - place_bits;
        let word = copy.read(row(dw.bits(4..LINE_BITS + 4), dw.bits(lane_bits..4)));
        let lanes: Vec<UInt> =
            (0..1 << lane_bits).map(|lane: u32| word.bits(32 * lane..32 * lane + 32)).collect();
        let kept = dw.bits(0..4).lt(dws());
        let read = select(dw.bits(0..lane_bits), &lanes);
        io.read_data.set(mux(kept, read, UInt::lit(0, 32)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::device::registers::{ADMIN_PAIR, LINE_BYTES};

    #[test]
    fn bytes_read_as_they_were_written_since_the_reset() {
        for (queues, bits) in [(1, 64), (3, 64), (16, 128)] {
            let mut sim = elaborate(ConfigCopy { queues, bits }).unwrap().simulator();
            let lines: Vec<u32> =
                (0..queues).map(|pair| PAIR.at(pair)).chain([ADMIN_PAIR.at(0)]).collect();
            let mut random = fastrand::Rng::with_seed(11);
            for _ in 0..3 {
                sim.reset();
                while sim.peek("clears") == 1 {
                    sim.step();
                }
                let mut expected = vec![[0_u8; 64]; lines.len()];
                for _ in 0..600 {
                    let pair = random.usize(..lines.len());
                    let line = lines[pair] / LINE_BYTES;
                    let place = random.u32(..512 / bits);
                    let words: Vec<u64> = (0..bits / 64).map(|_| random.u64(..)).collect();
                    let enables = random.u64(..1 << (bits / 8));
                    sim.poke("write", 1);
                    sim.poke("line", line.into());
                    sim.poke("bytes_place", place.into());
                    sim.poke_bits("bytes_word", &Bits::from_words(bits, &words));
                    sim.poke("bytes_enables", enables);
                    sim.step();
                    sim.poke("write", 0);
                    for byte in (0..bits as usize / 8).filter(|byte| enables >> byte & 1 == 1) {
                        let value = words[byte / 8].to_le_bytes()[byte % 8];
                        expected[pair][place as usize * bits as usize / 8 + byte] = value;
                    }
                    let pair = random.usize(..lines.len());
                    let dw = random.usize(..16);
                    sim.poke("read_dw", u64::from(lines[pair] / 4) + dw as u64);
                    let value =
                        u32::from_le_bytes(expected[pair][4 * dw..4 * dw + 4].try_into().unwrap());
                    let value = if dw < 10 { value } else { 0 };
                    assert_eq!(sim.peek("read_data"), u64::from(value), "pair {pair} DW {dw}");
                }
            }
        }
    }
}
