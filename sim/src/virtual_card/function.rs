//! The card as a PCI function behind a protocol: regions, mappings, interrupts.

use std::fs::File;

use rmt_isa::device::pci::{BARS, MSIX_BAR};
use rmt_isa::device::registers::{MSIX_ADDRESS, MSIX_CONTROL, MSIX_DATA};

use super::configuration::{Configuration, Effect};
use super::guest_memory::SharedMemory;
use super::simulation::Simulation;

/// Where a card's interrupts are written: the range that root complexes keep for them.
const MESSAGE_ADDRESS: u64 = 0xfee0_0000;

/// What a server of any protocol needs of a virtual card.
pub trait VirtualFunction {
    /// Reads a BAR.
    fn read_bar(&mut self, bar: u8, offset: u64, data: &mut [u8]);
    /// Writes a BAR.
    fn write_bar(&mut self, bar: u8, offset: u64, data: &[u8]);
    /// Reads configuration space.
    fn read_configuration(&mut self, offset: u64, data: &mut [u8]);
    /// Writes configuration space.
    fn write_configuration(&mut self, offset: u64, data: &[u8]);
    /// Lets the card reach a part of a file at a bus address.
    fn map(&mut self, address: u64, bytes: u64, file: &File, offset: u64, writable: bool);
    /// Takes mappings away.
    fn unmap(&mut self, address: u64, bytes: u64);
    /// Gives interrupt vectors their event descriptors, from `first` on.
    fn set_vectors(&mut self, first: u32, events: Vec<Option<File>>);
    /// Takes all event descriptors away.
    fn clear_vectors(&mut self);
    /// Raises interrupts by themselves, as a test of the way.
    fn raise_vectors(&mut self, first: u32, count: u32);
    /// Resets the function.
    fn reset(&mut self);
}

/// The virtual card.
pub struct VirtualCard {
    configuration: Configuration,
    memory: SharedMemory,
    simulation: Simulation,
    vectors: u32,
}

impl VirtualCard {
    /// A card of some MSI-X vectors.
    pub fn new(simulation: Simulation, memory: SharedMemory, vectors: u32) -> Self {
        Self { configuration: Configuration::new(vectors), memory, simulation, vectors }
    }

    /// MSI-X vectors.
    pub fn vectors(&self) -> u32 {
        self.vectors
    }

    /// Its memory, for statistics.
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }

    /// Whether the simulation has ended by itself.
    pub fn has_failed(&self) -> bool {
        self.simulation.has_ended()
    }

    /// Takes away what a client that is gone has given, and resets the card.
    pub fn client_left(&mut self) {
        // First the card must not do anything more with it.
        self.reset();
        self.memory.lock().clear();
        self.program_vectors();
    }

    /// Ends it.
    ///
    /// # Errors
    /// What the simulation failed with.
    pub fn stop(self) -> Result<(), String> {
        self.simulation.stop()
    }

    /// Fills the card's MSI-X table and tells it that it may use it. The client keeps table and
    /// enable bit to itself and tells only which vectors lead somewhere.
    fn program_vectors(&mut self) {
        let vectors: Vec<u32> = self.memory.lock().vectors().collect();
        let state = self.configuration.set_interrupts(!vectors.is_empty());
        self.simulation.set_state(state);
        for vector in 0..self.vectors {
            let used = vectors.contains(&vector);
            let mut entry = [0; 16];
            entry[MSIX_ADDRESS.offset as usize..][..8]
                .copy_from_slice(&MESSAGE_ADDRESS.to_le_bytes());
            entry[MSIX_DATA.offset as usize..][..4].copy_from_slice(&vector.to_le_bytes());
            entry[MSIX_CONTROL.offset as usize] = u8::from(!used);
            self.simulation.write(MSIX_BAR.number, MSIX_ADDRESS.at(vector).into(), &entry);
        }
    }
}

impl VirtualFunction for VirtualCard {
    fn read_bar(&mut self, bar: u8, offset: u64, data: &mut [u8]) {
        if in_bar(bar, offset, data.len()) {
            self.simulation.read(bar, offset, data);
        } else {
            data.fill(0xff);
        }
    }

    fn write_bar(&mut self, bar: u8, offset: u64, data: &[u8]) {
        if in_bar(bar, offset, data.len()) {
            self.simulation.write(bar, offset, data);
        }
    }

    fn read_configuration(&mut self, offset: u64, data: &mut [u8]) {
        self.configuration.read(offset, data);
    }

    fn write_configuration(&mut self, offset: u64, data: &[u8]) {
        match self.configuration.write(offset, data) {
            Effect::None => {}
            Effect::State(state) => self.simulation.set_state(state),
            Effect::Reset(state) => {
                self.simulation.reset(state);
                // The client does not give the vectors again.
                self.program_vectors();
            }
        }
    }

    fn map(&mut self, address: u64, bytes: u64, file: &File, offset: u64, writable: bool) {
        if let Err(error) = self.memory.lock().map(address, bytes, file, offset, writable) {
            // The card will find nothing there: its access is refused, as on real hosts.
            eprintln!("virtual card: {bytes:#x} bytes at {address:#x} not mapped: {error}");
        }
    }

    fn unmap(&mut self, address: u64, bytes: u64) {
        self.memory.lock().unmap(address, bytes);
    }

    fn set_vectors(&mut self, first: u32, events: Vec<Option<File>>) {
        for (vector, event) in (first..self.vectors).zip(events) {
            self.memory.lock().set_vector(vector as usize, event);
        }
        self.program_vectors();
    }

    fn clear_vectors(&mut self) {
        let vectors: Vec<u32> = self.memory.lock().vectors().collect();
        for vector in vectors {
            self.memory.lock().set_vector(vector as usize, None);
        }
        self.program_vectors();
    }

    fn raise_vectors(&mut self, first: u32, count: u32) {
        for vector in first..first.saturating_add(count).min(self.vectors) {
            self.memory.lock().raise(vector);
        }
    }

    fn reset(&mut self) {
        self.configuration = Configuration::new(self.vectors);
        self.simulation.reset(self.configuration.state());
        self.program_vectors();
    }
}

/// Whether an access lies in a BAR that the card has.
fn in_bar(bar: u8, offset: u64, bytes: usize) -> bool {
    let end = offset.checked_add(bytes as u64);
    let size = BARS.iter().find(|known| known.number == bar).map(|known| u64::from(known.bytes));
    matches!((size, end), (Some(size), Some(end)) if end <= size)
}
