//! The store of all exact entries, see `rmt_isa::card::matching` for where entries stand.

use rmt_isa::card::CardShape;
use rmt_isa::card::fields::{match_slot, table_default};
use rmt_isa::card::regions::MATCH;
use rmt_isa::card::shape::{MATCH_CHOICES, MATCH_PLACES};
use rtl_builder::prelude::*;

use crate::bits::{any, crc32c, field, flag, word_of};
use crate::config::Widths;
use crate::signals::{HostAccess, HostReply, in_bank};

/// Looks up a key under both hash choices: one look-up each cycle, the result one cycle
/// later. The host writes words 0 and 1 of a slot (the key) into a holding register and
/// stores the slot with word 2. Where the card has one bank, it does so in a cycle without a
/// look-up: no word is read while it is written, which block RAMs do not do by themselves.
pub struct ExactStore {
    pub(crate) shape: CardShape,
}

/// What an entry leads to.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct SlotContent {
    /// First instruction of the action
    pub start: UInt,
    /// Row of the parameters
    pub row: UInt,
}

impl SlotContent {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { start: uint(widths.pc), row: uint(widths.row) }
    }

    /// The default action of a table's descriptor.
    pub(crate) fn of_default(word: UInt, widths: &Widths) -> Self {
        Self {
            start: field(word, table_default::START).trunc(widths.pc),
            row: field(word, table_default::PARAMETERS).trunc(widths.row),
        }
    }
}

/// One slot.
#[derive(Clone, Copy, Debug, Bundle)]
struct Slot {
    present: Bool,
    table: UInt,
    key: UInt,
    content: SlotContent,
}

/// Ports of [`ExactStore`].
#[derive(Clone, Ports)]
pub struct ExactStoreIo {
    /// A look-up in this cycle
    pub look_up: Input<Bool>,
    /// Number of the table
    pub table: Input<UInt>,
    /// Key, right-aligned
    pub key: Input<UInt>,
    /// Two cycles later: an entry of the table has the key
    pub hit: Output<Bool>,
    /// Two cycles later: what it leads to
    pub content: Output<SlotContent>,
    /// Access of the host
    pub host: Input<HostAccess>,
    /// Answer to reads and writes of slots
    pub reply: Output<HostReply>,
}

impl Component for ExactStore {
    type Io = ExactStoreIo;

    fn name(&self) -> String {
        let CardShape {
            tables, match_key_bits, match_buckets, parameter_rows, program_words, ..
        } = &self.shape;
        let banks = self.shape.banks();
        format!(
            "exact_store_tables{tables}_key{match_key_bits}_buckets{match_buckets}_rows{parameter_rows}_program{program_words}_b{banks}"
        )
    }

    fn doc(&self) -> String {
        "Exact match: two hash choices of two places, one look-up each cycle".into()
    }

    fn io(&self) -> ExactStoreIo {
        let widths = Widths::of(&self.shape);
        ExactStoreIo {
            look_up: input(boolean()),
            table: input(uint(widths.table)),
            key: input(uint(widths.key)),
            hit: output(boolean()),
            content: output(SlotContent::shape(&widths)),
            host: input(HostAccess::shape()),
            reply: output(HostReply::shape()),
        }
    }

    fn build(&self, io: ExactStoreIo) {
        let widths = Widths::of(&self.shape);
        let (host, key, table) = (io.host.value(), io.key.value(), io.table.value());
        let slot_shape = Slot {
            present: boolean(),
            table: uint(widths.table),
            key: uint(widths.key),
            content: SlotContent::shape(&widths),
        };
        let hash = crc32c(u32::MAX, table.zext(8).concat(key)).named("hash");

        // The host's side: word, then place, choice and bucket of the slot.
        let words = self.shape.match_slots() * 4;
        let (word, slot_number, bucket) =
            (host.index(0, 2), host.index(2, 2), host.index(4, widths.bucket));
        let key_low = reg("host_key_low", uint(64), 0);
        let key_high = reg("host_key_high", uint(64), 0);
        let in_slots = host.in_region_before(MATCH, words);
        let writes = host.write & in_slots;
        when(writes & word.eq(0), || key_low.next(host.data));
        when(writes & word.eq(1), || key_high.next(host.data));
        let staged = Slot {
            present: flag(host.data, match_slot::PRESENT),
            table: field(host.data, match_slot::TABLE).trunc(widths.table),
            key: key_high.value().concat(key_low.value()).trunc(widths.key),
            content: SlotContent {
                start: field(host.data, match_slot::START).trunc(widths.pc),
                row: field(host.data, match_slot::PARAMETERS).trunc(widths.row),
            },
        };
        let banks = self.shape.banks();
        let turn = (!io.look_up.value() | (banks == 2)).named("host_turn");
        let stores = writes & word.eq(2) & turn;
        // The host reads in a cycle without a look-up.
        let host_there = reg("host_there", boolean(), false);
        let asks = host.read & in_slots & !host_there.value();
        let host_reads = (asks & !io.look_up.value()).named("host_reads");
        host_there.next(host_reads);

        let key_2 = delayed("key_2", key);
        let table_2 = delayed("table_2", table);
        let host_bucket = in_bank(banks, host.bank, bucket);
        let mut slots = Vec::new();
        let mut hits = Vec::new();
        for choice in 0..MATCH_CHOICES {
            let own = hash.bits(16 * choice..16 * choice + widths.bucket);
            let address = mux(io.look_up, in_bank(banks, host.active, own), host_bucket);
            for place in 0..MATCH_PLACES {
                let number = choice * MATCH_PLACES + place;
                let memory = SyncMem::new(
                    format!("slots_c{choice}p{place}"),
                    slot_shape,
                    u64::from(banks * self.shape.match_buckets),
                )
                .collisions_unused();
                memory.write(stores & slot_number.eq(number), host_bucket, staged);
                let slot = memory.read(io.look_up.value() | host_reads, address);
                hits.push(slot.present & slot.table.eq(table_2) & slot.key.eq(key_2));
                slots.push(slot);
            }
        }
        // Memories give late in a cycle what they read: the choice among the four has a cycle of its own.
        let hits: Vec<Bool> = (hits.into_iter().enumerate())
            .map(|(number, hit)| delayed(format!("hit_{number}"), hit))
            .collect();
        let contents: Vec<SlotContent> = (slots.iter().enumerate())
            .map(|(number, slot)| delayed(format!("content_{number}"), slot.content))
            .collect();
        io.hit.set(any(&hits));
        // A key stands in one slot; while the host moves it to another, in two equal ones.
        let choices: Vec<_> = hits.into_iter().zip(contents.iter().copied()).collect();
        io.content.set(priority_mux(&choices, contents[0]));

        let slot = select(delayed("host_slot", slot_number), &slots);
        let key = slot.key.zext(128);
        let content = pack_slot(&slot);
        io.reply.set(HostReply {
            valid: host_there | (writes & turn),
            read: host_there.value(),
            data: lookup(
                delayed("host_word", word),
                &[(0, key.bits(0..64)), (1, key.bits(64..128)), (2, content)],
                UInt::lit(0, 64),
            ),
        });
    }
}

/// Word 2 of a slot, as the host wrote it.
fn pack_slot(slot: &Slot) -> UInt {
    let parts = [
        (match_slot::PRESENT, slot.present.as_uint()),
        (match_slot::TABLE, slot.table),
        (match_slot::START, slot.content.start),
        (match_slot::PARAMETERS, slot.content.row),
    ];
    word_of(&parts, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes or reads a word of slot 0 of bucket `bucket`, with look-ups beside it as `looks_up` says; what was read.
    fn access(
        sim: &mut Simulator,
        (bucket, word): (u64, u64),
        write: Option<u64>,
        mut looks_up: impl FnMut(&mut Simulator) -> bool,
    ) -> u64 {
        sim.poke("host_address", u64::from(MATCH.base()) + 16 * bucket + word);
        sim.poke("host_data", write.unwrap_or(0));
        sim.poke(if write.is_some() { "host_write" } else { "host_read" }, 1);
        loop {
            let looks_up = looks_up(sim);
            sim.poke("look_up", looks_up.into());
            let done = sim.peek("reply_valid") == 1;
            let (read, data) = (sim.peek("reply_read"), sim.peek("reply_data"));
            assert!(!done || write.is_none() || !looks_up, "a write has a cycle of its own");
            sim.step();
            if done {
                sim.poke("host_write", 0);
                sim.poke("host_read", 0);
                assert_eq!(read == 1, write.is_none());
                return data;
            }
        }
    }

    #[test]
    fn slots_are_written_and_read_beside_look_ups() {
        let shape = CardShape { match_key_bits: 64, ..CardShape::tiny() };
        assert_eq!(shape.banks(), 1);
        let mut sim = elaborate(ExactStore { shape }).unwrap().simulator();
        let mut random = fastrand::Rng::with_seed(7);
        for round in 0..200 {
            let (bucket, key) = (random.u64(0..64), random.u64(..));
            let slot = 1 << match_slot::PRESENT.low | (round % 512) << match_slot::START.low;
            let mut looks_up = |sim: &mut Simulator| {
                sim.poke("key", key);
                random.u8(..4) > 0
            };
            for (word, value) in [(0, key), (2, slot)] {
                access(&mut sim, (bucket, word), Some(value), &mut looks_up);
            }
            for (word, value) in [(0, key), (1, 0), (2, slot), (3, 0)] {
                assert_eq!(access(&mut sim, (bucket, word), None, &mut looks_up), value);
            }
        }
    }
}
