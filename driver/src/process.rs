//! Memory of this process for cards that reach it through software: a simulated one, or one on a serial line.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::memory::DmaMemory;

/// First bus address that is given out, and the distance of two regions.
const FIRST_BUS_ADDRESS: u64 = 1 << 32;
const ADDRESS_STEP: u64 = 2 << 20;

/// Regions that driver and card share, and the interrupts that came. Copies are the same memory.
#[derive(Clone, Default)]
pub struct ProcessMemory {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    memory: Vec<Arc<DmaMemory>>,
    raised: Vec<bool>,
}

impl ProcessMemory {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives out zeroed memory, whole pages of 4 KiB.
    pub fn allocate(&self, bytes: usize) -> Arc<DmaMemory> {
        let mut shared = self.lock();
        let next = shared.memory.last().map_or(FIRST_BUS_ADDRESS, |last| {
            (last.bus_address() + last.bytes() as u64).next_multiple_of(ADDRESS_STEP)
        });
        let memory = Arc::new(DmaMemory::in_process(bytes.next_multiple_of(4096), next));
        shared.memory.push(memory.clone());
        memory
    }

    /// The region of a bus address and the place in it; nothing if not all of `bytes` are inside.
    pub fn find(&self, address: u64, bytes: usize) -> Option<(Arc<DmaMemory>, usize)> {
        self.lock().memory.iter().find_map(|memory| {
            let offset = memory.offset_of(address)?;
            (offset + bytes <= memory.bytes()).then(|| (memory.clone(), offset))
        })
    }

    /// Takes interrupts of so many vectors from now on; none is raised.
    pub fn enable_interrupts(&self, vectors: u32) {
        self.lock().raised = vec![false; vectors as usize];
    }

    /// Vectors that are enabled.
    pub fn interrupts(&self) -> u32 {
        self.lock().raised.len() as u32
    }

    /// The card raised an interrupt; vectors that are not enabled are ignored.
    pub fn raise(&self, vector: u32) {
        if let Some(raised) = self.lock().raised.get_mut(vector as usize) {
            *raised = true;
        }
    }

    /// Whether a vector was raised since this was last asked.
    ///
    /// # Errors
    /// The number of vectors, when this one is not enabled.
    pub fn take_interrupt(&self, vector: u32) -> Result<bool, u32> {
        let mut shared = self.lock();
        let vectors = shared.raised.len() as u32;
        shared.raised.get_mut(vector as usize).map(std::mem::take).ok_or(vectors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_found_by_their_addresses_only() {
        let memory = ProcessMemory::default();
        let (first, second) = (memory.allocate(1), memory.allocate(8192));
        assert_eq!((first.bytes(), second.bytes()), (4096, 8192));
        let place = second.bus_address() + 8184;
        assert_eq!(memory.find(place, 8).map(|(_, offset)| offset), Some(8184));
        assert!(memory.find(place, 9).is_none(), "beyond the end");
        assert!(memory.find(first.bus_address() + 4096, 1).is_none(), "between two regions");
    }

    #[test]
    fn an_interrupt_is_told_once() {
        let memory = ProcessMemory::default();
        memory.raise(0);
        assert_eq!(memory.take_interrupt(0), Err(0));
        memory.enable_interrupts(2);
        memory.raise(1);
        memory.raise(2);
        assert_eq!((memory.take_interrupt(1), memory.take_interrupt(1)), (Ok(true), Ok(false)));
        assert_eq!(memory.take_interrupt(2), Err(2));
    }
}
