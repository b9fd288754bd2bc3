//! The host port: one access at a time, sent to the unit that has the word.

use rmt_isa::card::CardShape;
use rmt_isa::card::engine::{EngineRegion, REGION_BITS};
use rmt_isa::card::fields::{control_commit, control_watchdog};
use rmt_isa::card::lower::DEFAULT_WATCHDOG_CYCLES;
use rmt_isa::card::regions::{
    ADDRESS_BITS, CAPABILITIES, CONTEXT_DATA, CONTEXT_KEYS, CONTEXT_SETS, CONTEXT_WRITTEN, CONTROL,
    COUNTERS, MAP_KEYS, MAP_RINGS, MAP_SETS, MAP_VALUES, MATCH, PARAMETERS, PROGRAM, RANGE,
    RING_HEADS, Region, TABLES, TERNARY,
};
use rmt_isa::card::shape;
use rtl_builder::prelude::*;

use crate::bits::{any, field, flag, word_of};
use crate::control::commit::BankState;
use crate::counters::{Counters, SETTLE_CYCLES};
use crate::engine::ports::{HostAnswer, HostRequest};
use crate::signals::{HostAccess, HostReply};

/// Units with answers of their own: match unit, program, contexts, slots, maps.
pub(crate) const REPLIES: usize = 5;
/// Bits of what a counter can go up by in one cycle: the cycles of an event.
pub const AMOUNT_BITS: u32 = 16;

/// Takes an access in a cycle with `valid` while none is under way, and answers each one,
/// reads and writes, after it is done: 3 cycles later at the earliest, and [`SETTLE_CYCLES`] more
/// for counters, so that all that has happened before is counted.
pub struct HostPort {
    pub(crate) shape: CardShape,
}

/// Ports of [`HostPort`].
#[derive(Clone, Ports)]
pub struct HostPortIo {
    /// The host's access; the next one may come after the answer
    pub host: Input<HostCommand>,
    /// Its answer
    pub host_answer: Output<HostAnswer>,
    /// The access, to all units of the control side, until it is done
    pub access: Output<HostAccess>,
    /// Answers of these units
    pub replies: Vec<Input<HostReply>>,
    /// The access, to the engine
    pub engine: Output<HostRequest>,
    /// The engine's answer
    pub engine_answer: Input<HostAnswer>,
    /// By how much each counter goes up in this cycle, in the order of `COUNTERS`; not of those
    /// that keep the least or the most
    pub amounts: Vec<Input<UInt>>,
    /// An event ends
    pub event_ends: Input<Bool>,
    /// Its cycles
    pub event_cycles: Input<UInt>,
    /// The host asks for a commit
    pub commit: Output<Bool>,
    /// No event is to be taken
    pub hold: Output<Bool>,
    /// State of the banks
    pub banks: Input<BankState>,
    /// The banks are swapped
    pub swaps: Input<Bool>,
    /// Longest time of an event, cycles
    pub limit: Output<UInt>,
}

/// Counters that add up: all but the last two, the least and the most cycles of an event.
fn sums() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    shape::COUNTERS.iter().take(shape::Counter::SHORTEST_EVENT as usize)
}

/// Words of the region of counters.
const COUNTER_WORDS: u32 = 256;

impl HostPort {
    /// Bits of what a counter goes up by in a cycle.
    fn amount_bits(&self, counter: &str) -> u32 {
        let threads = bits_for(u64::from(self.shape.threads()) + 1);
        if counter == "EVENT_CYCLES" { AMOUNT_BITS } else { threads }
    }
}

impl Component for HostPort {
    type Io = HostPortIo;

    fn name(&self) -> String {
        // Every parameter stands in the capability words.
        let words = self.shape.capability_words();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        format!("host_port_{:08x}", rmt_isa::arithmetic::crc32c(u32::MAX, &bytes))
    }

    fn doc(&self) -> String {
        "The host port, control words, counters and capability words".into()
    }

    fn io(&self) -> HostPortIo {
        HostPortIo {
            host: input(HostCommand::shape()),
            host_answer: output(HostAnswer::shape()),
            access: output(HostAccess::shape()),
            replies: (0..REPLIES).map(|_| input(HostReply::shape())).collect(),
            engine: output(HostRequest::shape(&self.shape.engine)),
            engine_answer: input(HostAnswer::shape()),
            amounts: sums().map(|(name, _)| input(uint(self.amount_bits(name)))).collect(),
            event_ends: input(boolean()),
            event_cycles: input(uint(AMOUNT_BITS)),
            commit: output(boolean()),
            hold: output(boolean()),
            banks: input(BankState::shape()),
            swaps: input(boolean()),
            limit: output(uint(32)),
        }
    }

    fn build(&self, io: HostPortIo) {
        let shape = &self.shape;
        let (two, no) = (shape.banks() == 2, Bool::lit(false));
        let banks = io.banks.value();
        let hold = reg("hold_events", boolean(), false).doc("No event is to be taken");
        let read_shadow =
            reg("reads_shadow", boolean(), false).doc("The host reads the other bank");
        let busy = reg("busy", boolean(), false);
        // An access goes on a cycle after it came: which region it is for is known by then.
        let begun = reg("begun", boolean(), false);
        let sent = reg("sent", boolean(), false);
        let write = reg("write", boolean(), false);
        let address = reg("address", uint(ADDRESS_BITS), 0);
        let data = reg("data", uint(64), 0);
        let access = HostAccess {
            write: begun.value() & write.value(),
            read: begun.value() & !write.value(),
            address: address.value(),
            data: data.value(),
            bank: if two {
                mux(write.value(), !banks.active, banks.active ^ read_shadow.value())
            } else {
                no
            },
            active: if two { banks.active } else { no },
        };
        io.access.set(access);

        let to_engine = address.bit(ADDRESS_BITS - 1);
        let inside = |regions: &[Region]| {
            any(&regions
                .iter()
                .map(|&region| (region, shape.region_words(region)))
                .filter(|(_, words)| *words > 0)
                .map(|(region, words)| access.in_region(region, words))
                .collect::<Vec<_>>())
        };
        // Units that answer when they have time; all others are done at once.
        let records =
            inside(&[CONTEXT_KEYS, CONTEXT_SETS, CONTEXT_WRITTEN, RING_HEADS, CONTEXT_DATA])
                | inside(&[MAP_VALUES, MAP_KEYS, MAP_SETS, MAP_RINGS]);
        let matched = inside(&[MATCH, PARAMETERS]);
        let readable = inside(&[PROGRAM, TABLES, TERNARY, RANGE]) & !write.value();
        let waits = delayed("waits", to_engine | records | matched | readable);
        let replies: Vec<HostReply> = io.replies.iter().map(Input::value).collect();
        let replied = any(&replies.iter().map(|reply| reply.valid).collect::<Vec<_>>());

        let offset_bits = shape.engine.offset_bits();
        let of_engine = address.bits(offset_bits..offset_bits + REGION_BITS);
        let in_counters = access.in_region(COUNTERS, COUNTER_WORDS);
        let counts = mux(to_engine, of_engine.eq(EngineRegion::Counters as u64), in_counters);
        let counts = delayed("counts", counts);
        let settle_left = reg("settle_left", uint(bits_for(SETTLE_CYCLES + 1)), 0);
        let ready = (begun.value() & (!counts | settle_left.is_zero())).named("ready");
        let done = ready & (!waits | replied | io.engine_answer.valid);

        begun.next(busy.value() & !done);
        when(!busy.value() & io.host.valid, || {
            busy.next(true);
            settle_left.next(SETTLE_CYCLES);
            sent.next(false);
            write.next(io.host.write);
            address.next(io.host.address);
            data.next(io.host.wdata);
        })
        .elsewhen(done, || busy.next(false))
        .elsewhen(ready, || sent.next(true))
        .otherwise(|| settle_left.next(settle_left.wrapping_sub(1)));
        io.engine.set(HostRequest {
            valid: ready & to_engine & !sent.value(),
            write: write.value(),
            address: address.bits(0..shape.engine.host_address_bits()),
            wdata: data.value(),
            bank: access.bank,
            active: access.active,
            swaps: io.swaps.value(),
        });

        let limit = reg("watchdog_limit", uint(32), DEFAULT_WATCHDOG_CYCLES);
        // Where an address leads is known a cycle before the access begins.
        let number = address.bits(0..COUNTER_WORDS.ilog2());
        let in_commit = access.in_range_before("commit", CONTROL.word(0), 1);
        let in_watchdog = access.in_range_before("watchdog", CONTROL.word(1), 1);
        let of_counter = |name: &str, counter: shape::Counter| {
            delayed(format!("host_in_{name}"), in_counters & number.eq(counter as u64))
        };
        let commits = access.write & in_commit;
        when(commits, || {
            hold.next(flag(data.value(), control_commit::HOLD));
            read_shadow.next(flag(data.value(), control_commit::READ_SHADOW));
        });
        when(access.write & in_watchdog, || {
            limit.next(field(data.value(), control_watchdog::LIMIT));
        });
        io.commit.set(commits & flag(data.value(), control_commit::COMMIT));
        io.hold.set(hold);
        io.limit.set(limit);
        let commit_word = word_of(
            &[
                (control_commit::COMMIT, banks.pending.as_uint()),
                (control_commit::HOLD, hold.as_uint()),
                (control_commit::READ_SHADOW, read_shadow.as_uint()),
                (control_commit::ACTIVE, banks.active.as_uint()),
                (control_commit::RUNNING, banks.running.as_uint()),
            ],
            64,
        );

        // A cycle late: what a unit does is known at the end of a cycle.
        let amounts: Vec<(String, UInt)> = (sums().zip(&io.amounts))
            .map(|((name, _), amount)| {
                let name = format!("count_{}", name.to_lowercase());
                let amount = delayed(format!("{name}_by"), amount.value());
                (name, amount)
            })
            .collect();
        let counters = Counters::new("counters", &amounts);
        let ends = reg("event_ended", boolean(), false);
        ends.next(io.event_ends);
        let spent = delayed("event_spent", io.event_cycles.value());
        let shortest = reg("shortest_event", uint(AMOUNT_BITS), u64::MAX >> (64 - AMOUNT_BITS));
        let longest = reg("longest_event", uint(AMOUNT_BITS), 0);
        when(ends.value() & spent.lt(shortest), || shortest.next(spent));
        when(ends.value() & spent.gt(longest), || longest.next(spent));
        let capabilities: Vec<UInt> =
            shape.capability_words().into_iter().map(|word| UInt::lit(word, 64)).collect();
        let zero = UInt::lit(0, 64);
        let listed = |words: &[UInt]| {
            let arms: Vec<_> =
                words.iter().enumerate().map(|(i, &word)| (i as u64, word)).collect();
            lookup(address.bits(0..8), &arms, zero)
        };
        let own = [
            (io.engine_answer.valid, io.engine_answer.rdata),
            (
                access.in_region_before(CAPABILITIES, 256),
                delayed("capability", listed(&capabilities)),
            ),
            (of_counter("shortest", shape::Counter::SHORTEST_EVENT), shortest.zext(64)),
            (of_counter("longest", shape::Counter::LONGEST_EVENT), longest.zext(64)),
            (access.in_region_before(COUNTERS, COUNTER_WORDS), counters.read(number)),
            (in_commit, commit_word),
            (in_watchdog, limit.zext(64)),
        ];
        // All that may answer goes into registers, as zero unless it does, and is joined a cycle later: memories are read
        // to their end before.
        let kept = |name: String, reads: Bool, data: UInt| delayed(name, mux(reads, data, zero));
        let own = kept("own_answer".into(), access.read, priority_mux(&own, zero));
        let answers = (0..).zip(&replies).fold(own, |answers, (index, reply)| {
            answers | kept(format!("reply_{index}"), reply.read, reply.data)
        });
        let finished = reg("finished", boolean(), false);
        finished.next(done);
        let answer = reg_zero("answer", HostAnswer::shape());
        answer.next(HostAnswer { valid: finished.value(), rdata: answers });
        io.host_answer.set(answer);
    }
}

/// An access of the host at the top of the core.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct HostCommand {
    /// An access in this cycle
    pub valid: Bool,
    /// A write; else a read
    pub write: Bool,
    /// Word of 64 bits
    pub address: UInt,
    /// What is written
    pub wdata: UInt,
}

impl HostCommand {
    pub(crate) fn shape() -> Self {
        Self { valid: boolean(), write: boolean(), address: uint(ADDRESS_BITS), wdata: uint(64) }
    }
}
