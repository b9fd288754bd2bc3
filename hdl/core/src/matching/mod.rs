//! The match unit: from an event and a table to an action.
//!
//! - [`gather`]: which table is visited next, an event's first one or that of a tail call, and its key, [`key`].
//! - [`exact`]: the store of all exact entries: two hash choices, two places each.
//! - [`ordered`]: the stores of prefix and ternary entries and of ranges, made of [`slot`]s.
//! - this file: descriptors, the pipeline, default actions, parameters.
//!
//! Cycle 0: descriptor and key; a cycle for the descriptor and more for the key if not all fields are gathered in one. Cycle 1:
//! hash, memories are addressed (and all slots of the ordered stores are compared).
//! Cycle 2: four exact entries are compared, the first slot that matched is found; the
//! action or the miss is known, the parameters are addressed. Cycle 3: the parameters are
//! there. A table's entries all stand in one store, so that at most one of them hits.

pub mod exact;
pub mod gather;
pub mod key;
pub mod ordered;
pub mod slot;

use rmt_isa::Status;
use rmt_isa::card::CardShape;
use rmt_isa::card::fields::table_default;
use rmt_isa::card::regions::{PARAMETERS, TABLES};
use rtl_builder::prelude::*;

use crate::bits::{any, flag};
use crate::config::Widths;
use crate::signals::{
    Argument, End, EventBeat, HostAccess, HostReply, Redirect, TableVisit, TailCall, ThreadPulse,
    in_bank,
};
use exact::{ExactStore, SlotContent};
use gather::{Gathered, Gatherer};
use ordered::OrderedStore;
use slot::Comparison;

/// Finds the action of a table for an event.
pub struct MatchUnit {
    pub(crate) shape: CardShape,
}

/// Parameters of the matched entry, for the thread's copy.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct ParameterLoad {
    /// They are there in this cycle
    pub valid: Bool,
    /// The thread
    pub thread: UInt,
    /// Four words, parameter 0 lowest
    pub values: UInt,
}

impl ParameterLoad {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self { valid: boolean(), thread: uint(widths.thread), values: uint(256) }
    }
}

/// Ports of [`MatchUnit`].
#[derive(Clone, Ports)]
pub struct MatchUnitIo {
    /// An event is taken and goes to its first table; not while `hold` is set
    pub first: Input<TableVisit>,
    /// Parts of events; the first one comes with `first`
    pub beat: Input<EventBeat>,
    /// Tail calls; they go before events
    pub tail_call: StreamIn<TailCall>,
    /// No event may be taken in this cycle
    pub hold: Output<Bool>,
    /// A visit begins
    pub begins: Output<ThreadPulse>,
    /// Registers that a key needs
    pub arguments: Vec<Output<Argument>>,
    /// Their values, in the same cycle
    pub values: Vec<Input<UInt>>,
    /// Three cycles after the one with the last fields of the key: the action begins
    pub start: Output<Redirect>,
    /// In the same cycle instead: no action, the event ends
    pub end: Output<End>,
    /// A cycle later: parameters of the action
    pub parameters: Output<ParameterLoad>,
    /// Access of the host
    pub host: Input<HostAccess>,
    /// Answer to reads of tables, match slots and parameters, and to writes of exact slots and parameters
    pub reply: Output<HostReply>,
}

impl Component for MatchUnit {
    type Io = MatchUnitIo;

    fn name(&self) -> String {
        let CardShape {
            tables,
            match_key_bits,
            match_fields,
            match_buckets,
            ternary_slots,
            range_slots,
            parameter_rows,
            program_words,
            ..
        } = &self.shape;
        let (threads, banks) = (self.shape.threads(), self.shape.banks());
        format!(
            "match_unit_t{threads}_tables{tables}_key{match_key_bits}_fields{match_fields}_buckets{match_buckets}_ternary{ternary_slots}_range{range_slots}_rows{parameter_rows}_program{program_words}_b{banks}"
        )
    }

    fn doc(&self) -> String {
        "From an event and a table to an action and its parameters".into()
    }

    fn io(&self) -> MatchUnitIo {
        let widths = Widths::of(&self.shape);
        let each_field = || 0..self.shape.match_fields;
        MatchUnitIo {
            first: input(TableVisit::shape(&widths)),
            beat: input(EventBeat::shape(self.shape.event_beats(), widths.thread)),
            tail_call: stream_in(TailCall::shape(&widths)),
            hold: output(boolean()),
            begins: output(ThreadPulse::shape(&widths)),
            arguments: each_field().map(|_| output(Argument::shape(&widths))).collect(),
            values: each_field().map(|_| input(uint(64))).collect(),
            start: output(Redirect::shape(&widths)),
            end: output(End::shape(&widths)),
            parameters: output(ParameterLoad::shape(&widths)),
            host: input(HostAccess::shape()),
            reply: output(HostReply::shape()),
        }
    }

    fn build(&self, io: MatchUnitIo) {
        let widths = Widths::of(&self.shape);
        let host = io.host.value();
        let table_words = self.shape.tables * 2;

        // Cycle 0: descriptors and key.
        let banks = self.shape.banks();
        let active = |address: UInt| in_bank(banks, host.active, address);
        let all_tables = u64::from(banks * self.shape.tables);
        let keys: AsyncMem<UInt> = AsyncMem::new("key_fields", uint(64), all_tables);
        let defaults: AsyncMem<UInt> = AsyncMem::new("defaults", uint(64), all_tables);
        let number = in_bank(banks, host.bank, host.index(1, widths.table));
        let odd = host.address.bit(0);
        let in_tables = host.in_region_before(TABLES, table_words);
        let writes = host.write & in_tables;
        keys.write(writes & !odd, number, host.data);
        defaults.write(writes & odd, number, host.data);
        let gatherer = instance("gatherer", Gatherer { shape: self.shape.clone() });
        gatherer.first.set(io.first);
        gatherer.beat.set(io.beat);
        connect(&io.tail_call, &gatherer.tail_call);
        io.hold.set(gatherer.hold);
        io.begins.set(gatherer.begins);
        for (own, outer) in gatherer.arguments.iter().zip(&io.arguments) {
            outer.set(own);
        }
        for (own, outer) in gatherer.values.iter().zip(&io.values) {
            own.set(outer);
        }
        gatherer.descriptor.set(keys.read(active(gatherer.table.value())));

        // Cycle 1: hash.
        let Gathered { visit, keyed: keyed_1, key } = gatherer.gathered.value();
        let TableVisit { valid: valid_1, thread: thread_1, table: table_1 } = visit;
        let key_1 = key.key;
        let default_1 = defaults.read(active(table_1));

        // Cycle 2: compare.
        let exact = instance("exact", ExactStore { shape: self.shape.clone() });
        exact.look_up.set(valid_1);
        exact.table.set(table_1);
        exact.key.set(key_1);
        exact.host.set(host);
        let ordered: Vec<_> = [Comparison::Ternary, Comparison::Range]
            .into_iter()
            .filter_map(|comparison| {
                let store = OrderedStore::of(&self.shape, comparison)?;
                let store = instance(comparison.text(), store);
                store.table.set(table_1);
                if let Some(tops) = &store.tops {
                    store.key.set(key.unsigned());
                    tops.set(key.tops);
                } else {
                    store.key.set(key_1);
                }
                store.host.set(host);
                Some(store)
            })
            .collect();
        let valid_2 = delayed("valid_2", valid_1);
        let thread_2 = delayed("thread_2", thread_1);
        let keyed_2 = delayed("keyed_2", keyed_1);
        let default_2 = delayed("default_2", default_1);

        // Cycle 3: choose.
        let valid_3 = delayed("valid_3", valid_2);
        let thread_3 = delayed("thread_3", thread_2);
        let keyed_3 = delayed("keyed_3", keyed_2);
        let default_3 = delayed("default_3", default_2);
        let mut hits = vec![(exact.hit.value(), exact.content.value())];
        for (number, store) in ordered.iter().enumerate() {
            hits.push((
                delayed(format!("ordered_{number}_hit"), store.hit.value()),
                delayed(format!("ordered_{number}_content"), store.content.value()),
            ));
        }
        let any_hits = any(&hits.iter().map(|(hit, _)| *hit).collect::<Vec<_>>());
        let hit = (any_hits & keyed_3).named("hit");
        let has_default = flag(default_3, table_default::HAS_DEFAULT);
        let by_default = SlotContent::of_default(default_3, &widths);
        hits.iter_mut().for_each(|(hit, _)| *hit = *hit & keyed_3);
        let action = priority_mux(&hits, by_default);
        let present = flag(default_3, table_default::PRESENT);
        let found = present & (hit | has_default);
        io.start.set(Redirect {
            valid: valid_3 & found,
            thread: thread_3,
            pc: action.start,
            runs: Bool::lit(true),
        });
        let status = mux(
            present,
            UInt::lit(Status::Missed as u64, 8),
            UInt::lit(Status::OutOfRange as u64, 8),
        );
        io.end.set(End { valid: valid_3 & !found, thread: thread_3, status });

        // Cycle 4: parameters.
        let all_rows = u64::from(banks * self.shape.parameter_rows);
        let rows: SyncMem<UInt> =
            SyncMem::new("parameter_rows", uint(256), all_rows).collisions_unused();
        let host_row = in_bank(banks, host.bank, host.index(2, widths.row));
        let lane = host.index(0, 2);
        let lanes = lookup(
            lane,
            &[(0, UInt::lit(1, 4)), (1, UInt::lit(2, 4)), (2, UInt::lit(4, 4))],
            UInt::lit(8, 4),
        );
        let words = self.shape.parameter_rows * 4;
        // The host writes in a cycle in which no visit reads the same bank, as in the exact store.
        let in_rows = host.in_region_before(PARAMETERS, words);
        let row_written = host.write & in_rows & (!valid_3 | (banks == 2));
        rows.write_lanes(row_written, host_row, host.data.repeat(4), lanes);
        // It reads in a cycle in which no visit needs the port.
        let row_there = reg("host_row_there", boolean(), false);
        let asks = host.read & in_rows & !row_there.value();
        let host_reads = (asks & !valid_3).named("host_reads_row");
        row_there.next(host_reads);
        let row = rows.read(valid_3 | host_reads, mux(valid_3, active(action.row), host_row));
        io.parameters.set(ParameterLoad {
            valid: delayed("valid_4", valid_3),
            thread: delayed("thread_4", thread_3),
            values: row,
        });

        let words_of_row: Vec<UInt> =
            (0..4).map(|word| row.bits(64 * word..64 * (word + 1))).collect();
        let row_word = HostReply {
            valid: row_there | row_written,
            read: row_there.value(),
            data: select(delayed("host_lane", lane), &words_of_row),
        };
        // Descriptors are read from a copy, in place of second read ports and a choice between them.
        let copy: AsyncMem<UInt> = AsyncMem::new("descriptor_copy", uint(64), 2 * all_tables);
        let place = number.concat(odd.as_uint());
        copy.write(writes, place, host.data);
        let descriptor = HostReply::of_read(host.read & in_tables, copy.read(place));
        let ordered = ordered.iter().map(|store| store.reply.value());
        let replies: Vec<_> =
            [row_word, descriptor, exact.reply.value()].into_iter().chain(ordered).collect();
        io.reply.set(HostReply::first(&replies));
    }
}

#[cfg(test)]
mod tests;
