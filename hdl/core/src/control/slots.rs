//! Program slots: which hook each of the installed programs serves, and how.

use rmt_isa::card::CardShape;
use rmt_isa::card::fields::{BitField, control_slot};
use rmt_isa::card::regions::CONTROL;
use rmt_isa::card::shape::{FIRST_SLOT_WORD, SLOTS};
use rtl_builder::prelude::*;

use crate::bits::{field, flag, word_of};
use crate::config::Widths;
use crate::signals::{HostAccess, HostReply, in_bank};

/// The slots' words, in two banks when the card has two, and the slot of an event.
///
/// Events find all slots in registers at once. The host reads a copy in a memory: a slot that was not written since the
/// reset, which a memory does not know of, reads as zero.
pub struct Slots {
    pub(crate) shape: CardShape,
}

/// What an event's slot says.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct SlotChoice {
    /// A slot serves the hook
    pub served: Bool,
    /// Its number
    pub slot: UInt,
    /// Order of its events: 0 pure, 1 per key, 2 total
    pub ordering: UInt,
    /// The bits of a key's hash that make its lock
    pub lock_mask: UInt,
    /// The table that its events visit first
    pub table: UInt,
}

impl SlotChoice {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self {
            served: boolean(),
            slot: uint(SLOTS.ilog2()),
            ordering: uint(control_slot::ORDERING.bits),
            lock_mask: uint(control_slot::LOCK_MASK.bits),
            table: uint(widths.table),
        }
    }
}

/// Ports of [`Slots`].
#[derive(Clone, Ports)]
pub struct SlotsIo {
    /// Hook of the event
    pub hook: Input<UInt>,
    /// The slot that serves it, in the same cycle
    pub choice: Output<SlotChoice>,
    /// Access of the host
    pub host: Input<HostAccess>,
    /// Answer to reads of the slots
    pub reply: Output<HostReply>,
}

impl Component for Slots {
    type Io = SlotsIo;

    fn name(&self) -> String {
        format!("program_slots_b{}_tables{}", self.shape.banks(), self.shape.tables)
    }

    fn doc(&self) -> String {
        "Program slots: the program that serves an event's hook".into()
    }

    fn io(&self) -> SlotsIo {
        SlotsIo {
            hook: input(uint(control_slot::HOOK.bits)),
            choice: output(SlotChoice::shape(&Widths::of(&self.shape))),
            host: input(HostAccess::shape()),
            reply: output(HostReply::shape()),
        }
    }

    fn build(&self, io: SlotsIo) {
        let host = io.host.value();
        let table_bits = Widths::of(&self.shape).table;
        let parts: [(BitField, u32); 5] = [
            (control_slot::ENABLE, 1),
            (control_slot::ORDERING, control_slot::ORDERING.bits),
            (control_slot::FIRST_TABLE, table_bits),
            (control_slot::HOOK, control_slot::HOOK.bits),
            (control_slot::LOCK_MASK, control_slot::LOCK_MASK.bits),
        ];
        let number = host.index(0, SLOTS.ilog2());
        let base = CONTROL.word(FIRST_SLOT_WORD);
        let in_slots = host.in_range_before("slots", base, SLOTS);
        let writes = host.write & in_slots;
        let mut active = Vec::new();
        for slot in 0..SLOTS {
            let banks: Vec<UInt> = (0..self.shape.banks())
                .map(|bank| {
                    let registers: Vec<_> = parts
                        .iter()
                        .map(|(part, bits)| {
                            let name =
                                format!("slot{slot}_bank{bank}_{}", part.name.to_lowercase());
                            (*part, reg(name, uint(*bits), UInt::lit(0, *bits)))
                        })
                        .collect();
                    let addressed = host.bank.eq(Bool::lit(bank == 1)) | (self.shape.banks() == 1);
                    when(writes & number.eq(slot) & addressed, || {
                        for (part, register) in &registers {
                            register.next(field(host.data, *part).trunc(register.width()));
                        }
                    });
                    let values: Vec<_> =
                        registers.iter().map(|(part, value)| (*part, value.value())).collect();
                    word_of(&values, 64)
                })
                .collect();
            let of_bank = match banks[..] {
                [only] => only,
                _ => mux(host.active, banks[1], banks[0]),
            };
            active.push(of_bank.named(format!("slot{slot}")));
        }
        let serves: Vec<Bool> = active
            .iter()
            .map(|&word| {
                flag(word, control_slot::ENABLE) & field(word, control_slot::HOOK).eq(io.hook)
            })
            .collect();
        // Of two neighbours the first one that serves, and so on: no choice waits for the last of eight comparisons.
        let numbers = (0..SLOTS).map(|slot| UInt::lit(slot.into(), SLOTS.ilog2()));
        let mut choices: Vec<(Bool, UInt)> = (serves.iter().zip(numbers.zip(active)))
            .map(|(&serves, (number, word))| (serves, number.concat(word)))
            .collect();
        while choices.len() > 1 {
            let first_of = |pair: &[(Bool, UInt)]| {
                (pair[0].0 | pair[1].0, mux(pair[0].0, pair[0].1, pair[1].1))
            };
            choices = choices.chunks(2).map(first_of).collect();
        }
        let (served, chosen) = choices[0];
        let word = chosen.bits(0..64).named("chosen_slot");
        io.choice.set(SlotChoice {
            served,
            slot: chosen.bits(64..64 + SLOTS.ilog2()),
            ordering: field(word, control_slot::ORDERING),
            lock_mask: field(word, control_slot::LOCK_MASK),
            table: field(word, control_slot::FIRST_TABLE).trunc(table_bits),
        });

        let banks = self.shape.banks();
        let place = in_bank(banks, host.bank, number);
        let copy: AsyncMem<UInt> =
            AsyncMem::new("host_copy", uint(64), u64::from(banks * SLOTS)).doc("For the host");
        copy.write(writes, place, host.data);
        let word = copy.read(place);
        let written = reg("written", uint(banks * SLOTS), 0).doc("Words of the copy that count");
        when(writes, || {
            written.next(written.value() | UInt::lit(1, banks * SLOTS).shift_left(place));
        });
        let there = written.bit_at(place);
        let parts: Vec<_> = (parts.iter())
            .map(|(part, bits)| {
                let value = field(word, *part).trunc(*bits);
                (*part, mux(there, value, UInt::lit(0, *bits)))
            })
            .collect();
        let reads = host.read & in_slots;
        io.reply.set(HostReply::of_read(reads, word_of(&parts, 64)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the host reads of a slot.
    fn read(sim: &mut Simulator, slot: u64) -> u64 {
        sim.poke("host_address", u64::from(CONTROL.word(FIRST_SLOT_WORD)) + slot);
        // An access begins a cycle after its address is there.
        sim.step();
        sim.poke("host_read", 1);
        assert_eq!((sim.peek("reply_valid"), sim.peek("reply_read")), (1, 1));
        let data = sim.peek("reply_data");
        sim.poke("host_read", 0);
        data
    }

    #[test]
    fn a_slot_reads_as_it_was_written_since_the_reset() {
        for banks in [1, 2] {
            let mut shape = CardShape::tiny();
            shape.engine.banks = banks;
            let mut sim = elaborate(Slots { shape }).unwrap().simulator();
            for round in 1..4 {
                sim.reset();
                let both =
                    || (0..u64::from(banks)).flat_map(|bank| (0..8).map(move |slot| (bank, slot)));
                let value = |bank: u64, slot: u64| (slot << 16 | bank << 32 | round << 40) | 1;
                for (bank, slot) in both() {
                    sim.poke("host_bank", bank);
                    assert_eq!(read(&mut sim, slot), 0, "slot {slot} after a reset");
                    sim.poke("host_write", 1);
                    // Bits that no field has are not kept.
                    sim.poke("host_data", value(bank, slot) | 0xf8);
                    sim.step();
                    sim.poke("host_write", 0);
                }
                for (bank, slot) in both() {
                    sim.poke("host_bank", bank);
                    assert_eq!(read(&mut sim, slot), value(bank, slot));
                    // Events find it as well.
                    sim.poke("host_active", bank);
                    sim.poke("hook", slot);
                    assert_eq!((sim.peek("choice_served"), sim.peek("choice_slot")), (1, slot));
                }
            }
        }
    }
}
