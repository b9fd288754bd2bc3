//! The admin queue: one command at a time, each with a bound.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use rmt_isa::card::HostWrite;
use rmt_isa::device::admin::MAX_COUNT;
use rmt_isa::device::fields::{pair_control, pair_rings, pair_status};
use rmt_isa::device::registers::{
    ADMIN_PAGE, ADMIN_PAIR, COMPLETION_HEAD, COMPLETION_RING, EVENT_RING, EVENT_TAIL, PAIR_CONTROL,
    PAIR_STATUS, RINGS, Register,
};
use rmt_isa::device::ring::{phase, slot};
use rmt_isa::device::{
    AdminCommand, AdminCompletion, AdminOpcode, AdminStatus, MIN_RING_LOG2, RING_ALIGNMENT,
};
use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};

use crate::card::wait;
use crate::device::Device;
use crate::error::DriverError;
use crate::memory::DmaMemory;
use crate::queue::ring::read_record;

/// Words of data that one command carries here.
const STAGED_WORDS: usize = 8192;
const RING_LOG2: u32 = MIN_RING_LOG2;

/// The admin queue of a card.
pub struct AdminQueue<D> {
    device: Arc<D>,
    /// The two rings, one behind the other.
    rings: Arc<DmaMemory>,
    staging: Arc<DmaMemory>,
    /// Commands so far: index of the next command and of its completion.
    index: u16,
}

impl<D: Device> AdminQueue<D> {
    /// Gives the card the queue's rings and starts it.
    ///
    /// # Errors
    /// When there is no memory for them or the card does not take them.
    pub fn start(device: Arc<D>) -> Result<Self, DriverError> {
        let rings = device.allocate(2 * RING_ALIGNMENT as usize)?;
        let staging = device.allocate(8 * STAGED_WORDS)?;
        let mut queue = Self { device, rings, staging, index: 0 };
        queue.restart()?;
        Ok(queue)
    }

    /// Starts the queue anew, after a reset or after an error.
    ///
    /// # Errors
    /// When the card does not take it.
    pub fn restart(&mut self) -> Result<(), DriverError> {
        let device = &*self.device;
        device.write(admin(PAIR_CONTROL), 0, 0);
        let draining = || pair_status::DRAINING.extract(device.read(admin(PAIR_STATUS), 0)) == 1;
        wait(device, "stopping the admin queue", || !draining())?;
        self.rings.clear();
        self.index = 0;
        let sizes = pair_rings::EVENT_LOG2.insert(RING_LOG2.into())
            | pair_rings::COMPLETION_LOG2.insert(RING_LOG2.into());
        device.write(admin(EVENT_RING), 0, self.rings.bus_address());
        device.write(admin(COMPLETION_RING), 0, self.rings.bus_address() + RING_ALIGNMENT);
        device.write(admin(RINGS), 0, sizes);
        device.write(admin(PAIR_CONTROL), 0, pair_control::ENABLE.insert(1));
        let running = || pair_status::RUNNING.extract(device.read(admin(PAIR_STATUS), 0)) == 1;
        wait(device, "starting the admin queue", running)
    }

    /// Runs a command and waits for its end. The tag is chosen here.
    ///
    /// # Errors
    /// [`DriverError::Admin`] when it ended with another status than done, and when it does not
    /// end.
    pub fn run(&mut self, command: AdminCommand) -> Result<AdminCompletion, DriverError> {
        let name = self.device.name();
        let tag = self.index.into();
        let place = usize::from(slot(self.index, RING_LOG2));
        self.rings.store(place * EVENT_BYTES / 8, &AdminCommand { tag, ..command }.to_bytes());
        fence(Ordering::Release);
        let index = self.index;
        self.index = index.wrapping_add(1);
        self.device.write(admin(EVENT_TAIL), 0, self.index.into());

        let first_word = (RING_ALIGNMENT as usize + place * DECISION_BYTES) / 8;
        let mut record = None;
        wait(&*self.device, "an admin command", || {
            record = read_record(self.rings.words(), first_word, phase(index, RING_LOG2));
            record.is_some()
        })?;
        self.device.write(admin(COMPLETION_HEAD), 0, self.index.into());
        let bad = |reason| DriverError::BadRecord { name: name.to_owned(), reason };
        let record = record.unwrap_or_default();
        let (completion, _) =
            AdminCompletion::from_bytes(&record).map_err(|error| bad(error.to_string()))?;
        if completion.tag != tag {
            return Err(bad(format!("admin completion {} where {tag} was due", completion.tag)));
        }
        match completion.status {
            AdminStatus::Done => Ok(completion),
            status => {
                Err(DriverError::Admin { name: name.to_owned(), opcode: command.opcode, status })
            }
        }
    }

    /// Writes words of the core, in order.
    ///
    /// # Errors
    /// Those of [`AdminQueue::run`].
    pub fn write_list(&mut self, writes: &[HostWrite]) -> Result<(), DriverError> {
        for chunk in writes.chunks(STAGED_WORDS / 2) {
            for (pair, write) in self.staging.words().chunks_exact(2).zip(chunk) {
                pair[0].store(write.address.into(), Ordering::Relaxed);
                pair[1].store(write.value, Ordering::Relaxed);
            }
            let command = self.staged(AdminOpcode::WriteList, 0, chunk.len());
            self.run(command)?;
        }
        Ok(())
    }

    /// Reads words of the core.
    ///
    /// # Errors
    /// Those of [`AdminQueue::run`].
    pub fn read_block(&mut self, first: u32, words: &mut [u64]) -> Result<(), DriverError> {
        let mut core_word = first;
        for chunk in words.chunks_mut(STAGED_WORDS) {
            let command = self.staged(AdminOpcode::ReadBlock, core_word, chunk.len());
            self.run(command)?;
            fence(Ordering::Acquire);
            for (word, staged) in chunk.iter_mut().zip(self.staging.words()) {
                *word = staged.load(Ordering::Relaxed);
            }
            core_word += chunk.len() as u32;
        }
        Ok(())
    }

    /// A command whose data stands in the staging memory.
    fn staged(&self, opcode: AdminOpcode, core_word: u32, count: usize) -> AdminCommand {
        debug_assert!(count as u32 <= MAX_COUNT);
        AdminCommand {
            host_address: self.staging.bus_address(),
            core_word,
            count: count as u32,
            ..AdminCommand::new(opcode, 0)
        }
    }
}

/// The same register of the admin queue.
fn admin(register: Register) -> Register {
    let event_page = register.block == rmt_isa::device::registers::PAGE;
    Register { block: if event_page { ADMIN_PAGE } else { ADMIN_PAIR }, ..register }
}
