//! A memory of a unit that the host reaches when the unit has nothing to do.

use rmt_isa::card::regions::Region;
use rtl_builder::prelude::*;

use crate::signals::HostAccess;

/// One memory with a read and a write port.
pub(crate) struct SharedMemory {
    memory: SyncMem<UInt>,
    read: Wire<Bool>,
    address: Wire<UInt>,
    /// What was read in the cycle before.
    pub(crate) value: UInt,
}

/// What the host may do in a cycle.
#[derive(Clone, Copy)]
pub(crate) struct Free {
    /// The unit writes nothing, so the host's address and data may stand at the memories
    pub(crate) writes: Bool,
    /// The unit neither reads nor writes
    pub(crate) both: Bool,
}

/// Whether the host's write has been done, a cycle after it was: known before the answer goes on its way. Until the access
/// ends it may be done again, which changes nothing.
#[track_caller]
pub(crate) fn host_wrote(writes: Bool) -> Bool {
    let wrote = reg("host_wrote", boolean(), false);
    wrote.next(writes & !wrote.value());
    wrote.value()
}

/// The host's turn at a memory.
#[derive(Clone, Copy)]
pub(crate) struct HostTurn {
    /// It reads
    pub(crate) reads: Bool,
    /// It writes
    pub(crate) writes: Bool,
    /// The unit writes no memory in this cycle: the host's address and data are there, whether it writes or not
    pub(crate) holds: Bool,
    /// Where
    pub(crate) address: UInt,
    /// What
    pub(crate) value: UInt,
}

impl HostTurn {
    /// The turn at a region of `words` words, whose address inside the memory begins at bit
    /// `low` and has `bits` bits; the host reads or writes now as `reads` and `writes` say, when it has its turn. The address of an
    /// access is there a cycle before.
    pub(crate) fn of(
        host: &HostAccess,
        (reads, writes, holds): (Bool, Bool, Bool),
        (region, words): (Region, u32),
        (low, bits): (u32, u32),
    ) -> Self {
        let here = host.in_region_before(region, words);
        Self {
            reads: reads & here,
            writes: writes & here,
            holds,
            address: host.index(low, bits),
            value: host.data,
        }
    }

    /// The same for a memory of narrower words.
    pub(crate) fn cut(self, bits: u32) -> Self {
        Self { value: self.value.trunc(bits), ..self }
    }

    /// The same for one of several memories side by side, whose number is `index`.
    pub(crate) fn only(self, choice: UInt, index: usize) -> Self {
        Self { writes: self.writes & choice.eq(index), ..self }
    }
}

impl SharedMemory {
    pub(crate) fn new(name: &str, bits: u32, words: u32) -> Self {
        // A unit finishes with a word before it reads it again, and in the host's turn the unit waits.
        let memory = SyncMem::new(name, uint(bits), words.into()).collisions_unused();
        let read = wire(format!("{name}_read_enable"), boolean());
        let address = wire(format!("{name}_address"), uint(memory.address_width()));
        let value = memory.read(read.value(), address.value());
        Self { memory, read, address, value }
    }

    /// Drives both ports: the unit's accesses, or the host's in its turn.
    pub(crate) fn connect(
        &self,
        (read, read_address): (Bool, UInt),
        write: (Bool, UInt, UInt),
        host: HostTurn,
    ) {
        self.connect_late(read, (!host.reads, read_address), write, host);
    }

    /// The same where the address of a read comes late: it is the one that is given when `reads`, and never in the host's turn.
    pub(crate) fn connect_late(
        &self,
        read: Bool,
        (reads, read_address): (Bool, UInt),
        (write, write_address, value): (Bool, UInt, UInt),
        host: HostTurn,
    ) {
        self.read.set(read | host.reads);
        self.address.set(mux(reads, read_address, host.address));
        self.memory.write(
            write | host.writes,
            // The same choice for all memories side by side, so that it is built once.
            mux(host.holds, host.address, write_address),
            mux(host.holds, host.value, value),
        );
    }
}
