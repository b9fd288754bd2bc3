//! Program slots: which hook each of the installed programs serves, and how.

use rmt_isa::card::CardShape;
use rmt_isa::card::fields::{BitField, control_slot};
use rmt_isa::card::regions::CONTROL;
use rmt_isa::card::shape::{FIRST_SLOT_WORD, SLOTS};
use rtl_builder::prelude::*;

use crate::bits::{any, field, flag, lowest_set, word_of};
use crate::config::Widths;
use crate::signals::{HostAccess, HostReply};

/// The slots' words, in two banks when the card has two, and the slot of an event.
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
    /// The lock: the masked hash of the key
    pub lock: UInt,
    /// The table that its events visit first
    pub table: UInt,
}

impl SlotChoice {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self {
            served: boolean(),
            slot: uint(SLOTS.ilog2()),
            ordering: uint(control_slot::ORDERING.bits),
            lock: uint(control_slot::LOCK_MASK.bits),
            table: uint(widths.table),
        }
    }
}

/// Ports of [`Slots`].
#[derive(Clone, Ports)]
pub struct SlotsIo {
    /// Hook of the event
    pub hook: Input<UInt>,
    /// CRC-32C of its key
    pub hash: Input<UInt>,
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
            hash: input(uint(32)),
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
        let writes = host.write & host.in_range(base, SLOTS);
        let mut active = Vec::new();
        let mut visible = Vec::new();
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
            let of_bank = |bank: Bool| match banks[..] {
                [only] => only,
                _ => mux(bank, banks[1], banks[0]),
            };
            active.push(of_bank(host.active).named(format!("slot{slot}")));
            visible.push(of_bank(host.bank));
        }
        let serves: Vec<Bool> = active
            .iter()
            .map(|&word| {
                flag(word, control_slot::ENABLE) & field(word, control_slot::HOOK).eq(io.hook)
            })
            .collect();
        let slot = lowest_set(&serves);
        let word = select(slot, &active).named("chosen_slot");
        io.choice.set(SlotChoice {
            served: any(&serves),
            slot,
            ordering: field(word, control_slot::ORDERING),
            lock: io.hash & field(word, control_slot::LOCK_MASK),
            table: field(word, control_slot::FIRST_TABLE).trunc(table_bits),
        });
        let reads = host.read & host.in_range(base, SLOTS);
        io.reply.set(HostReply::of_read(reads, select(number, &visible)));
    }
}
