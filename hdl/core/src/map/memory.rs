//! The memories of the map unit, with one read and one write port each, and the host's turn
//! at them.

use rmt_isa::card::CardShape;
use rmt_isa::card::fields::context_set;
use rmt_isa::card::regions::{MAP_KEYS, MAP_RINGS, MAP_SETS, MAP_VALUES};
use rmt_isa::limits::WAYS;
use rtl_builder::prelude::*;

use crate::bits::any;
use crate::config::Widths;
use crate::memory::{Free, HostTurn, SharedMemory, host_wrote};
use crate::signals::{HostAccess, HostReply};

const STATE_BITS: u32 = context_set::RANKS.low + context_set::RANKS.bits;

/// What the unit asks of its memories in a cycle.
pub struct Ports {
    /// Read a set
    pub set_read: Wire<Bool>,
    /// The set
    pub set_address: Wire<UInt>,
    /// The set, for writes
    pub set_write_address: Wire<UInt>,
    /// Write the state of the set
    pub state_write: Wire<Bool>,
    /// What
    pub new_state: Wire<UInt>,
    /// Write a key
    pub key_write: Wire<Bool>,
    /// Its way
    pub key_way: Wire<UInt>,
    /// What
    pub new_key: Wire<UInt>,
    /// Read a row of values
    pub value_read: Wire<Bool>,
    /// The row
    pub value_address: Wire<UInt>,
    /// Write a value
    pub value_write: Wire<Bool>,
    /// Its row
    pub value_write_address: Wire<UInt>,
    /// Its place in the row
    pub value_way: Wire<UInt>,
    /// What
    pub new_value: Wire<UInt>,
}

impl Ports {
    pub(crate) fn new(widths: &Widths) -> Self {
        let one = |name: &str| wire(name, boolean());
        let some = |name: &str, bits: u32| wire(name, uint(bits));
        Self {
            set_read: one("set_read"),
            set_address: some("set_address", widths.map_set),
            set_write_address: some("set_write_address", widths.map_set),
            state_write: one("state_write"),
            new_state: some("new_state", STATE_BITS),
            key_write: one("key_write"),
            key_way: some("key_way", 2),
            new_key: some("new_key", 64),
            value_read: one("value_read"),
            value_address: some("value_address", widths.map_row),
            value_write: one("value_write"),
            value_write_address: some("value_write_address", widths.map_row),
            value_way: some("value_way", 2),
            new_value: some("new_value", 64),
        }
    }
}

/// All memories; what they read is there one cycle after the ports asked.
pub struct Memories {
    /// State of the set
    pub state: UInt,
    /// Keys of its ways
    pub keys: Vec<UInt>,
    /// The row of values
    pub values: Vec<UInt>,
    shape: CardShape,
    state_memory: SharedMemory,
    key_memories: Vec<SharedMemory>,
    value_memories: Vec<SharedMemory>,
}

impl Memories {
    pub(crate) fn new(shape: &CardShape) -> Self {
        let state_memory = SharedMemory::new("set_states", STATE_BITS, shape.map_sets);
        let four = |name: &str, words| -> Vec<_> {
            (0..WAYS).map(|way| SharedMemory::new(&format!("{name}_{way}"), 64, words)).collect()
        };
        let key_memories = four("keys", shape.map_sets);
        let value_memories = four("values", shape.map_words / WAYS as u32);
        let read = |memories: &[SharedMemory]| -> Vec<UInt> {
            memories.iter().map(|memory| memory.value).collect()
        };
        Self {
            state: state_memory.value,
            keys: read(&key_memories),
            values: read(&value_memories),
            shape: shape.clone(),
            state_memory,
            key_memories,
            value_memories,
        }
    }

    /// Connects all ports; the host has its turn when the unit leaves them `free`. `rings` connects the state of
    /// ring buffers, which stands elsewhere, and gives the word that the host's turn is at.
    /// The result is the answer to the host.
    pub(crate) fn connect(
        &self,
        ports: &Ports,
        host: &HostAccess,
        free: Free,
        rings: impl FnOnce(HostTurn) -> UInt,
    ) -> HostReply {
        let (widths, shape) = (Widths::of(&self.shape), &self.shape);
        let there = reg("host_there", boolean(), false);
        let reads = host.read & free.both & !there.value();
        let may = (reads, host.write & free.both, free.writes);
        let turn = |region, words, low, bits| HostTurn::of(host, may, (region, words), (low, bits));
        let way = host.index(0, 2);
        let states = turn(MAP_SETS, shape.map_sets, 0, widths.map_set).cut(STATE_BITS);
        let keys = turn(MAP_KEYS, shape.map_sets * WAYS as u32, 2, widths.map_set);
        let values = turn(MAP_VALUES, shape.map_words, 2, widths.map_row);
        let ring = turn(MAP_RINGS, shape.maps * 2, 0, widths.map + 1);

        let set_read = (ports.set_read.value(), ports.set_address.value());
        let set = ports.set_write_address.value();
        self.state_memory.connect(
            set_read,
            (ports.state_write.value(), set, ports.new_state.value()),
            states,
        );
        for (index, memory) in self.key_memories.iter().enumerate() {
            let write = ports.key_write.value() & ports.key_way.eq(index);
            let key = ports.new_key.value();
            memory.connect(set_read, (write, set, key), keys.only(way, index));
        }
        for (index, memory) in self.value_memories.iter().enumerate() {
            let write = ports.value_write.value() & ports.value_way.eq(index);
            memory.connect(
                (ports.value_read.value(), ports.value_address.value()),
                (write, ports.value_write_address.value(), ports.new_value.value()),
                values.only(way, index),
            );
        }

        let turns = [states, keys, values, ring];
        let any_of =
            |choose: fn(&HostTurn) -> Bool| any(&turns.iter().map(choose).collect::<Vec<_>>());
        there.next(any_of(|turn| turn.reads));
        let chosen_way = delayed("host_way", way);
        let ring_word = delayed("host_ring_word", rings(ring));
        let read = |name: &str, turn: HostTurn| delayed(format!("host_reads_{name}"), turn.reads);
        HostReply {
            valid: there.value() | host_wrote(any_of(|turn| turn.writes)),
            read: there.value(),
            data: priority_mux(
                &[
                    (read("state", states), self.state.zext(64)),
                    (read("key", keys), select(chosen_way, &self.keys)),
                    (read("ring", ring), ring_word),
                ],
                select(chosen_way, &self.values),
            ),
        }
    }
}
