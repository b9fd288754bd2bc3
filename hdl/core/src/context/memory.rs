//! The memories of the context unit, with one read and one write port each, and the host's
//! turn at them.

use rmt_isa::card::CardShape;
use rmt_isa::card::fields::{context_set, ring_head};
use rmt_isa::card::regions::{
    CONTEXT_DATA, CONTEXT_KEYS, CONTEXT_SETS, CONTEXT_WRITTEN, RING_HEADS,
};
use rmt_isa::limits::{MAX_CONTEXT_FIELDS, WAYS};
use rtl_builder::prelude::*;

use crate::bits::any;
use crate::config::Widths;
use crate::memory::{Free, HostTurn, SharedMemory, host_wrote};
use crate::signals::{HostAccess, HostReply};

const STATE_BITS: u32 = context_set::RANKS.low + context_set::RANKS.bits;
/// Bits of a ring head.
pub(super) const HEAD_BITS: u32 = ring_head::NEWEST.low + ring_head::NEWEST.bits;
const FIELDS: u32 = MAX_CONTEXT_FIELDS as u32;

/// What is read of one set.
pub struct SetContent {
    /// Occupied ways and their order, see `context_set`
    pub state: UInt,
    /// Keys of the four ways
    pub keys: Vec<UInt>,
    /// Written fields of the four ways
    pub written: Vec<UInt>,
}

/// What the unit asks of its memories in a cycle.
pub struct Ports {
    /// Read a set, a ring head
    pub set_read: Wire<Bool>,
    /// There is a request, whose set and ring head are read: their addresses come late
    pub asked: Wire<Bool>,
    /// The set
    pub set_read_address: Wire<UInt>,
    /// The ring head
    pub head_read_address: Wire<UInt>,
    /// Read a value
    pub data_read: Wire<Bool>,
    /// The value
    pub data_read_address: Wire<UInt>,
    /// Write a value
    pub data_write: Wire<Bool>,
    /// Where
    pub data_write_address: Wire<UInt>,
    /// What
    pub data_write_value: Wire<UInt>,
    /// Write a ring head
    pub head_write: Wire<Bool>,
    /// Where
    pub head_write_address: Wire<UInt>,
    /// What
    pub head_write_value: Wire<UInt>,
    /// Set for all writes to sets
    pub set_write_address: Wire<UInt>,
    /// Write the state of a set
    pub state_write: Wire<Bool>,
    /// What
    pub state_write_value: Wire<UInt>,
    /// Write a key
    pub key_write: Wire<Bool>,
    /// Way of the key
    pub way_write: Wire<UInt>,
    /// What
    pub key_write_value: Wire<UInt>,
    /// Write which fields are written
    pub written_write: Wire<Bool>,
    /// Way of the record
    pub written_write_way: Wire<UInt>,
    /// What
    pub written_write_value: Wire<UInt>,
}

impl Ports {
    pub(crate) fn new(widths: &Widths) -> Self {
        let one = |name: &str| wire(name, boolean());
        let some = |name: &str, bits: u32| wire(name, uint(bits));
        Self {
            set_read: one("set_read"),
            asked: one("asked"),
            set_read_address: some("set_read_address", widths.set),
            head_read_address: some("head_read_address", widths.head),
            data_read: one("data_read"),
            data_read_address: some("data_read_address", widths.word),
            data_write: one("data_write"),
            data_write_address: some("data_write_address", widths.word),
            data_write_value: some("data_write_value", 64),
            head_write: one("head_write"),
            head_write_address: some("head_write_address", widths.head),
            head_write_value: some("head_write_value", HEAD_BITS),
            set_write_address: some("set_write_address", widths.set),
            state_write: one("state_write"),
            state_write_value: some("state_write_value", STATE_BITS),
            key_write: one("key_write"),
            way_write: some("way_write", 2),
            key_write_value: some("key_write_value", 64),
            written_write: one("written_write"),
            written_write_way: some("written_write_way", 2),
            written_write_value: some("written_write_value", FIELDS),
        }
    }
}

/// All memories; what they read is there one cycle after the ports asked.
pub struct Memories {
    /// The set
    pub set: SetContent,
    /// The ring head
    pub head: UInt,
    /// The value
    pub value: UInt,
    widths: Widths,
    shape: CardShape,
    states: SharedMemory,
    keys: Vec<SharedMemory>,
    written: Vec<SharedMemory>,
    heads: SharedMemory,
    data: SharedMemory,
}

impl Memories {
    pub(crate) fn new(shape: &CardShape) -> Self {
        let states = SharedMemory::new("set_states", STATE_BITS, shape.context_sets);
        let by_way = |name: &str, bits| -> Vec<_> {
            (0..WAYS)
                .map(|way| SharedMemory::new(&format!("{name}_{way}"), bits, shape.context_sets))
                .collect()
        };
        let (keys, written) = (by_way("keys", 64), by_way("written", FIELDS));
        let heads = SharedMemory::new("ring_heads", HEAD_BITS, shape.ring_heads);
        let data = SharedMemory::new("values", 64, shape.context_words);
        Self {
            set: SetContent {
                state: states.value,
                keys: keys.iter().map(|memory| memory.value).collect(),
                written: written.iter().map(|memory| memory.value).collect(),
            },
            head: heads.value,
            value: data.value,
            widths: Widths::of(shape),
            shape: shape.clone(),
            states,
            keys,
            written,
            heads,
            data,
        }
    }

    /// Connects all ports; the host has its turn when the unit leaves them `free`. The result is the answer to the host.
    pub(crate) fn connect(&self, ports: &Ports, host: &HostAccess, free: Free) -> HostReply {
        let (widths, shape) = (&self.widths, &self.shape);
        let there = reg("host_there", boolean(), false);
        let reads = host.read & free.both & !there.value();
        let writes = host.write & free.both;
        let records = shape.context_sets * WAYS as u32;
        let turn = |region, words, low: u32, bits: u32| {
            HostTurn::of(host, (reads, writes, free.writes), (region, words), (low, bits))
        };
        let way = host.index(0, 2);
        let state_turn = turn(CONTEXT_SETS, shape.context_sets, 0, widths.set).cut(STATE_BITS);
        let key_turn = turn(CONTEXT_KEYS, records, 2, widths.set);
        let written_turn = turn(CONTEXT_WRITTEN, records, 2, widths.set).cut(FIELDS);
        let head_turn = turn(RING_HEADS, shape.ring_heads, 0, widths.head).cut(HEAD_BITS);
        let data_turn = turn(CONTEXT_DATA, shape.context_words, 0, widths.word);

        let asked = ports.asked.value();
        let (set_read, set) = (ports.set_read.value(), (asked, ports.set_read_address.value()));
        let set_address = ports.set_write_address.value();
        self.states.connect_late(
            set_read,
            set,
            (ports.state_write.value(), set_address, ports.state_write_value.value()),
            state_turn,
        );
        for index in 0..WAYS {
            self.keys[index].connect_late(
                set_read,
                set,
                (
                    ports.key_write.value() & ports.way_write.eq(index),
                    set_address,
                    ports.key_write_value.value(),
                ),
                key_turn.only(way, index),
            );
            self.written[index].connect_late(
                set_read,
                set,
                (
                    ports.written_write.value() & ports.written_write_way.eq(index),
                    set_address,
                    ports.written_write_value.value(),
                ),
                written_turn.only(way, index),
            );
        }
        self.heads.connect_late(
            set_read,
            (asked, ports.head_read_address.value()),
            (
                ports.head_write.value(),
                ports.head_write_address.value(),
                ports.head_write_value.value(),
            ),
            head_turn,
        );
        self.data.connect(
            (ports.data_read.value(), ports.data_read_address.value()),
            (
                ports.data_write.value(),
                ports.data_write_address.value(),
                ports.data_write_value.value(),
            ),
            data_turn,
        );

        let turns = [state_turn, key_turn, written_turn, head_turn, data_turn];
        let any_of =
            |choose: fn(&HostTurn) -> Bool| any(&turns.iter().map(choose).collect::<Vec<_>>());
        let (reads_any, writes_any) = (any_of(|turn| turn.reads), any_of(|turn| turn.writes));
        there.next(reads_any);
        let chosen_way = delayed("host_way", way);
        let candidates = [
            (state_turn.reads, self.states.value.zext(64)),
            (key_turn.reads, select(chosen_way, &self.set.keys)),
            (written_turn.reads, select(chosen_way, &self.set.written).zext(64)),
            (head_turn.reads, self.heads.value.zext(64)),
        ];
        let choices: Vec<_> = candidates
            .iter()
            .enumerate()
            .map(|(index, (reads, value))| (delayed(format!("host_read_{index}"), *reads), *value))
            .collect();
        HostReply {
            valid: there.value() | host_wrote(writes_any),
            read: there.value(),
            data: priority_mux(&choices, self.data.value),
        }
    }
}
