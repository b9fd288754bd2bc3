//! A store of entries of which the first that matches wins, see `rmt_isa::card::ordered` for
//! where entries stand.

use rmt_isa::card::CardShape;
use rmt_isa::card::fields::match_slot;
use rmt_isa::card::regions::{RANGE, Region, TERNARY};
use rmt_isa::card::shape::{ORDERED_SLOT_WORD, ORDERED_SLOT_WORDS};
use rtl_builder::prelude::*;

use super::exact::SlotContent;
use super::slot::{Comparison, OrderedSlot, RangeKey, SlotEntry, spread};
use crate::bits::{field, first_set, flag};
use crate::config::Widths;
use crate::signals::{HostAccess, HostReply, in_bank};

/// Compares the key with all slots at once: one look-up each cycle, the result one cycle
/// later, as in the exact store. The host writes what a slot compares into holding
/// registers and stores the slot with its last word; what it reads is what it wrote last.
pub struct OrderedStore {
    pub(crate) shape: CardShape,
    pub(crate) comparison: Comparison,
}

impl OrderedStore {
    /// The store of a card; `None` when the card has no slots of the kind.
    pub(crate) fn of(shape: &CardShape, comparison: Comparison) -> Option<Self> {
        let store = Self { shape: shape.clone(), comparison };
        (store.slots() > 0).then_some(store)
    }

    fn slots(&self) -> u32 {
        match self.comparison {
            Comparison::Ternary => self.shape.ternary_slots,
            Comparison::Range => self.shape.range_slots,
        }
    }

    fn region(&self) -> Region {
        match self.comparison {
            Comparison::Ternary => TERNARY,
            Comparison::Range => RANGE,
        }
    }
}

/// Ports of [`OrderedStore`].
#[derive(Clone, Ports)]
pub struct OrderedStoreIo {
    /// Number of the table
    pub table: Input<UInt>,
    /// Key, right-aligned; for ranges with the sign bits of signed fields inverted
    pub key: Input<UInt>,
    /// For ranges, a bit for each byte of the key: it is the most significant of its field
    pub tops: Option<Input<UInt>>,
    /// One cycle later: an entry matches
    pub hit: Output<Bool>,
    /// One cycle later: what the first that matches leads to
    pub content: Output<SlotContent>,
    /// Access of the host
    pub host: Input<HostAccess>,
    /// Answer to reads of slots
    pub reply: Output<HostReply>,
}

impl Component for OrderedStore {
    type Io = OrderedStoreIo;

    fn name(&self) -> String {
        let CardShape { tables, match_key_bits, parameter_rows, program_words, .. } = &self.shape;
        format!(
            "{}_store_slots{}_tables{tables}_key{match_key_bits}_rows{parameter_rows}_program{program_words}_b{}",
            self.comparison.text(),
            self.slots(),
            self.shape.banks()
        )
    }

    fn doc(&self) -> String {
        match self.comparison {
            Comparison::Ternary => "Longest prefix and ternary match".into(),
            Comparison::Range => "Range match".into(),
        }
    }

    fn io(&self) -> OrderedStoreIo {
        let widths = Widths::of(&self.shape);
        let ranges = self.comparison == Comparison::Range;
        OrderedStoreIo {
            table: input(uint(widths.table)),
            key: input(uint(widths.key)),
            tops: ranges.then(|| input(uint(widths.key / 8))),
            hit: output(boolean()),
            content: output(SlotContent::shape(&widths)),
            host: input(HostAccess::shape()),
            reply: output(HostReply::shape()),
        }
    }

    fn build(&self, io: OrderedStoreIo) {
        let widths = Widths::of(&self.shape);
        let (host, slots) = (io.host.value(), self.slots());
        let words = slots * ORDERED_SLOT_WORDS;
        let banks = self.shape.banks();
        let (word_bits, slot_bits) = (ORDERED_SLOT_WORDS.ilog2(), slots.ilog2());
        let (word, slot) = (host.index(0, word_bits), host.index(word_bits, slot_bits));

        // The host's side: four words are held until the last one stores the slot.
        let in_slots = host.in_region_before(self.region(), words);
        let writes = host.write & in_slots;
        let held: Vec<UInt> = (0..ORDERED_SLOT_WORD)
            .map(|number| {
                let half = reg_uninit(format!("host_word_{number}"), uint(64));
                when(writes & word.eq(number), || half.next(host.data));
                half.value()
            })
            .collect();
        let stores = (writes & word.eq(ORDERED_SLOT_WORD)).named("stores");
        let number = |low: usize| {
            let number = held[low + 1].concat(held[low]).trunc(widths.key);
            match self.comparison {
                Comparison::Ternary => number,
                Comparison::Range => spread(number),
            }
        };
        let entry = SlotEntry {
            present: flag(host.data, match_slot::PRESENT),
            table: field(host.data, match_slot::TABLE).trunc(widths.table),
            first: number(0),
            second: number(2),
        };

        let range_key = io.tops.as_ref().map(|tops| RangeKey::new(io.key.value(), tops.value()));
        let hits: Vec<Bool> = (0..slots)
            .map(|number| {
                let unit = OrderedSlot {
                    comparison: self.comparison,
                    banks,
                    table_bits: widths.table,
                    key_bits: widths.key,
                };
                let unit = instance(format!("slot_{number}"), unit);
                unit.store.set(stores & slot.eq(number));
                unit.bank.set(host.bank);
                unit.active.set(host.active);
                unit.entry.set(entry);
                unit.table.set(io.table);
                if let Some(key) = &unit.key {
                    key.set(io.key);
                }
                if let (Some(port), Some(key)) = (&unit.range_key, range_key) {
                    port.set(key);
                }
                delayed(format!("hit_{number}"), unit.hit)
            })
            .collect();
        let (hit, first) = first_set(&hits);
        io.hit.set(hit);

        // Written one cycle after the slot: a look-up reads it one cycle after it compared.
        let contents: AsyncMem<SlotContent> =
            AsyncMem::new("contents", SlotContent::shape(&widths), u64::from(banks * slots));
        let stored = reg("stored", boolean(), false);
        stored.next(stores);
        let content = SlotContent {
            start: field(host.data, match_slot::START).trunc(widths.pc),
            row: field(host.data, match_slot::PARAMETERS).trunc(widths.row),
        };
        contents.write(
            stored.value(),
            delayed("stored_slot", in_bank(banks, host.bank, slot)),
            delayed("stored_content", content),
        );
        io.content.set(contents.read(in_bank(banks, host.active, first)));

        // What the host wrote, for it to read: registers of slots have no way out.
        let copy: SyncMem<UInt> =
            SyncMem::new("host_copy", uint(64), u64::from(banks * words)).collisions_unused();
        let address = in_bank(banks, host.bank, host.index(0, word_bits + slot_bits));
        let there = reg("host_there", boolean(), false);
        let reads = host.read & in_slots & !there.value();
        there.next(reads);
        copy.write(writes, address, host.data);
        io.reply.set(HostReply::of_read(there.value(), copy.read(reads, address)));
    }
}
