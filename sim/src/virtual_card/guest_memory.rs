//! The memory that the client has mapped for the card: the only module with `unsafe` here.
//!
//! Each mapping names a part of a file (the memory of the guest) and the bus address at which the
//! card sees it. The files are mapped once, however many mappings name them: a guest's IOMMU maps
//! page by page, and the number of a process's own mappings is bounded.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::{MmapOptions, MmapRaw};

use crate::root_complex::{DmaFault, HostMemory};

/// A part of a file at a bus address.
struct Mapping {
    bytes: u64,
    file: Arc<MmapRaw>,
    offset: u64,
    writable: bool,
}

/// All that the card can reach, and the event descriptors of its interrupts.
#[derive(Default)]
pub struct GuestMemory {
    /// By bus address; they do not overlap.
    mappings: BTreeMap<u64, Mapping>,
    /// By device and inode.
    files: HashMap<(u64, u64), Arc<MmapRaw>>,
    vectors: Vec<Option<File>>,
    /// Accesses of the card that hit no mapping.
    refused: u64,
}

impl GuestMemory {
    /// Lets the card reach a part of a file.
    ///
    /// # Errors
    /// When the part is not inside the file, or it cannot be mapped.
    pub fn map(
        &mut self,
        address: u64,
        bytes: u64,
        file: &File,
        offset: u64,
        writable: bool,
    ) -> io::Result<()> {
        let metadata = file.metadata()?;
        let outside = offset.checked_add(bytes).is_none_or(|end| end > metadata.len());
        if bytes == 0 || outside || address.checked_add(bytes).is_none() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let key = (metadata.dev(), metadata.ino());
        let mapped = match self.files.get(&key) {
            // A file that has grown since is mapped anew.
            Some(mapped) if mapped.len() as u64 >= offset + bytes => mapped.clone(),
            _ => {
                let mapped = Arc::new(MmapOptions::new().map_raw(file)?);
                self.files.insert(key, mapped.clone());
                mapped
            }
        };
        self.unmap(address, bytes);
        self.mappings.insert(address, Mapping { bytes, file: mapped, offset, writable });
        Ok(())
    }

    /// Takes all mappings away that begin in a range. The range may reach past the end of all
    /// addresses, and need not hold any.
    pub fn unmap(&mut self, address: u64, bytes: u64) {
        let last = address.saturating_add(bytes.saturating_sub(1));
        let gone: Vec<u64> = self.mappings.range(address..=last).map(|(&start, _)| start).collect();
        for start in gone.into_iter().filter(|_| bytes > 0) {
            self.mappings.remove(&start);
        }
    }

    /// Forgets mappings, files and event descriptors: who has given them is gone. A file of the
    /// next client may have the number of one of these.
    pub fn clear(&mut self) {
        self.mappings.clear();
        self.files.clear();
        self.vectors.clear();
    }

    /// Number of mappings.
    pub fn mappings(&self) -> usize {
        self.mappings.len()
    }

    /// Accesses of the card that were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Gives a vector its event descriptor, or takes it away.
    pub fn set_vector(&mut self, vector: usize, event: Option<File>) {
        if vector >= self.vectors.len() {
            self.vectors.resize_with(vector + 1, || None);
        }
        self.vectors[vector] = event;
    }

    /// The vectors that have an event descriptor.
    pub fn vectors(&self) -> impl Iterator<Item = u32> + '_ {
        (0..).zip(&self.vectors).filter(|(_, event)| event.is_some()).map(|(vector, _)| vector)
    }

    /// Raises an interrupt; without event descriptor it is lost, as a masked one.
    pub fn raise(&mut self, vector: u32) {
        if let Some(Some(event)) = self.vectors.get_mut(vector as usize) {
            // An event descriptor that cannot take more is one that has been raised already.
            let _ = event.write_all(&1_u64.to_ne_bytes());
        }
    }

    /// Where a bus address stands: the place in the file's mapping, and how many bytes are there.
    fn place(&mut self, address: u64, write: bool) -> Result<(*mut u8, usize), DmaFault> {
        let found = self.mappings.range(..=address).next_back();
        let Some((inside, mapping)) = found
            .map(|(start, mapping)| (address - start, mapping))
            .filter(|(inside, mapping)| *inside < mapping.bytes)
        else {
            self.refused += 1;
            return Err(DmaFault::Unmapped { address });
        };
        if write && !mapping.writable {
            self.refused += 1;
            return Err(DmaFault::ReadOnly { address });
        }
        let place = mapping.file.as_mut_ptr().wrapping_add((mapping.offset + inside) as usize);
        Ok((place, (mapping.bytes - inside) as usize))
    }
}

/// Guest memory as the card's side and the server's side share it.
#[derive(Clone, Default)]
pub struct SharedMemory {
    memory: Arc<Mutex<GuestMemory>>,
    accesses: Arc<AtomicU64>,
}

impl SharedMemory {
    /// The memory.
    pub fn lock(&self) -> MutexGuard<'_, GuestMemory> {
        // Whole between any two statements that could panic.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accesses and interrupts of the card so far.
    pub fn accesses(&self) -> u64 {
        self.accesses.load(Ordering::Relaxed)
    }

    fn count(&self) {
        self.accesses.fetch_add(1, Ordering::Relaxed);
    }
}

impl HostMemory for SharedMemory {
    fn read(&mut self, mut address: u64, mut bytes: &mut [u8]) -> Result<(), DmaFault> {
        self.count();
        let mut memory = self.lock();
        while !bytes.is_empty() {
            let (place, there) = memory.place(address, false)?;
            let (now, later) = bytes.split_at_mut(there.min(bytes.len()));
            // SAFETY: `place` is inside the mapping of a file for at least `now.len()` bytes
            // (`GuestMemory::map` has checked the range), and the mapping cannot go while the lock
            // is held. The guest may change the bytes meanwhile, as it may under any device: no
            // value of them is relied on.
            unsafe { std::ptr::copy_nonoverlapping(place, now.as_mut_ptr(), now.len()) };
            address = address.wrapping_add(now.len() as u64);
            bytes = later;
        }
        Ok(())
    }

    fn write(&mut self, mut address: u64, mut bytes: &[u8]) -> Result<(), DmaFault> {
        self.count();
        let mut memory = self.lock();
        while !bytes.is_empty() {
            let (place, there) = memory.place(address, true)?;
            let (now, later) = bytes.split_at(there.min(bytes.len()));
            // SAFETY: as for `read`; nothing in this process has a reference to the bytes.
            unsafe { store(place, now) };
            address = address.wrapping_add(now.len() as u64);
            bytes = later;
        }
        Ok(())
    }

    fn interrupt(&mut self, _address: u64, data: u32) {
        self.count();
        // The table that `function` gives the card holds the vector's number as data.
        self.lock().raise(data);
    }
}

/// Stores bytes so that a reader who sees the first word of them sees the rest: the last word
/// first. A completion has its phase bit in the first word, and a real root complex writes a
/// line at once.
///
/// # Safety
/// `place` may be written for `bytes.len()` bytes.
unsafe fn store(place: *mut u8, bytes: &[u8]) {
    let whole = place.align_offset(8) == 0 && bytes.len().is_multiple_of(8);
    if !whole {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        return;
    }
    for (index, chunk) in bytes.chunks_exact(8).enumerate().rev() {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        // SAFETY: the caller's promise; `place` is aligned. The guest's driver reads these words
        // by atomic loads.
        let target = unsafe { AtomicU64::from_ptr(place.add(8 * index).cast()) };
        target.store(u64::from_ne_bytes(word), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(bytes: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(bytes).unwrap();
        file
    }

    #[test]
    fn scattered_pages_are_one_range_for_the_card() {
        let file = file_of(4 * 4096);
        let mut shared = SharedMemory::default();
        for (page, place) in [(0_u64, 3_u64), (1, 0), (2, 2)] {
            let address = 0x10_0000 + page * 4096;
            shared.lock().map(address, 4096, &file, place * 4096, true).unwrap();
        }
        let data: Vec<u8> = (0..6000).map(|index| index as u8).collect();
        shared.write(0x10_0ff8, &data).unwrap();
        let mut back = vec![0; 6000];
        shared.read(0x10_0ff8, &mut back).unwrap();
        assert_eq!(back, data);
        assert_eq!(shared.lock().files.len(), 1);
        // One byte further than what is mapped.
        let fault = shared.read(0x10_2fff, &mut [0; 2]).unwrap_err();
        assert_eq!(fault, DmaFault::Unmapped { address: 0x10_3000 });
        assert_eq!(shared.lock().refused(), 1);
    }

    #[test]
    fn read_only_stays_and_unmapping_takes_any_range() {
        let file = file_of(8192);
        let mut shared = SharedMemory::default();
        shared.lock().map(0, 4096, &file, 0, false).unwrap();
        shared.lock().map(1 << 63, 4096, &file, 4096, true).unwrap();
        assert!(matches!(shared.write(8, &[1]), Err(DmaFault::ReadOnly { address: 8 })));
        // As QEMU sends it: up to the end of all addresses, with nothing at its begin.
        shared.lock().unmap(0xfef0_0000, u64::MAX - 0xfef0_0000 + 1);
        assert_eq!(shared.lock().mappings(), 1);
        shared.lock().unmap(0, 0);
        assert_eq!(shared.lock().mappings(), 1);
        shared.lock().unmap(0, u64::MAX);
        assert_eq!(shared.lock().mappings(), 0);
    }

    #[test]
    fn what_a_client_has_given_goes_with_it() {
        let shared = SharedMemory::default();
        let file = file_of(4096);
        let map = || shared.lock().map(0x1000, 4096, &file, 0, true);
        map().unwrap();
        shared.lock().set_vector(1, Some(file_of(8)));
        shared.lock().clear();
        assert_eq!(shared.lock().mappings(), 0);
        assert_eq!(shared.lock().vectors().count(), 0);
        let mut card = shared.clone();
        assert_eq!(card.read(0x1000, &mut [0; 4]), Err(DmaFault::Unmapped { address: 0x1000 }));
        map().unwrap();
        card.read(0x1000, &mut [0; 4]).unwrap();
    }

    #[test]
    fn a_range_that_the_file_does_not_have_is_refused() {
        let file = file_of(4096);
        let mut memory = GuestMemory::default();
        assert!(memory.map(0, 8192, &file, 0, true).is_err());
        assert!(memory.map(0, 4096, &file, 1, true).is_err());
        assert!(memory.map(0, u64::MAX, &file, 2, true).is_err());
        assert!(memory.map(u64::MAX, 4096, &file, 0, true).is_err());
        assert!(memory.map(0, 0, &file, 0, true).is_err());
        memory.map(0, 4096, &file, 0, true).unwrap();
    }

    #[test]
    fn an_interrupt_reaches_its_descriptor() {
        use std::io::{Read as _, Seek as _};
        let mut shared = SharedMemory::default();
        let file = tempfile::tempfile().unwrap();
        shared.lock().set_vector(2, Some(file.try_clone().unwrap()));
        assert_eq!(shared.lock().vectors().collect::<Vec<_>>(), [2]);
        for data in [2, 1, 99] {
            shared.interrupt(0xfee0_0000, data);
        }
        let mut content = Vec::new();
        let mut reader = file;
        reader.rewind().unwrap();
        reader.read_to_end(&mut content).unwrap();
        assert_eq!(content, 1_u64.to_ne_bytes());
    }
}
