//! Memory that the card or the kernel sees and registers that the driver sees: all `unsafe` of this
//! crate but for the calls into C of [`crate::shim::host`].
//!
//! The rest of the driver handles both through safe types: [`DmaMemory`] is a slice of atomic
//! words, because another party (the card) changes it at any time, and [`Window`] is a mapped BAR.
//! [`wait_readable`] and [`duplicate`] take descriptors of crates that only give their numbers,
//! [`watch`] gives one to tokio.

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use memmap2::{MmapMut, MmapOptions, MmapRaw};
use rmt_isa::device::registers::LINE_BYTES;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use vfio_ioctls::VfioContainer;

/// Bytes of a huge page, as a power of two.
const HUGE_PAGE_LOG2: u8 = 21;

enum Backing {
    /// Words of this process, for models in it.
    Words(Box<[AtomicU64]>),
    /// A mapping of its own, page by page known to the kernel.
    Mapping(MmapMut),
}

/// Memory that driver and card share, in words of 64 bits.
///
/// Words are little-endian on both sides; this driver runs on little-endian machines.
pub struct DmaMemory {
    backing: Backing,
    bus_address: u64,
    huge: bool,
}

impl DmaMemory {
    /// Zeroed memory of this process under a bus address, for a model that shares it.
    pub fn in_process(bytes: usize, bus_address: u64) -> Self {
        let words = (0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect();
        Self { backing: Backing::Words(words), bus_address, huge: false }
    }

    /// Zeroed, mapped memory: of huge pages where the system has some left, so that the IOMMU
    /// needs few entries.
    ///
    /// # Errors
    /// Those of the system's `mmap`.
    pub fn mapped(bytes: usize, bus_address: u64, huge: bool) -> std::io::Result<Self> {
        let huge_page = 1 << HUGE_PAGE_LOG2;
        if huge {
            let whole = bytes.next_multiple_of(huge_page);
            let mapping =
                MmapOptions::new().len(whole).huge(Some(HUGE_PAGE_LOG2)).populate().map_anon();
            if let Ok(mapping) = mapping {
                return Ok(Self { backing: Backing::Mapping(mapping), bus_address, huge: true });
            }
        }
        let whole = bytes.next_multiple_of(4096);
        let mapping = MmapOptions::new().len(whole).populate().map_anon()?;
        Ok(Self { backing: Backing::Mapping(mapping), bus_address, huge: false })
    }

    /// Memory of a file that another party maps too, such as the kernel module's device.
    ///
    /// # Errors
    /// Those of the system's `mmap`.
    pub fn of_file(file: &File, bytes: usize) -> std::io::Result<Self> {
        // SAFETY: the bytes are reached as atomics only (`words`), which others may change; a
        // device's memory is never cut short while it is mapped.
        let mapping = unsafe { MmapOptions::new().len(bytes).map_mut(file)? };
        Ok(Self { backing: Backing::Mapping(mapping), bus_address: 0, huge: false })
    }

    /// Zeroed memory that another process may map too: the file that it is mapped from.
    ///
    /// # Errors
    /// Those of the system's `memfd_create` and `mmap`.
    pub fn shared(bytes: usize, bus_address: u64) -> std::io::Result<(Self, File)> {
        use rustix::fs::{MemfdFlags, memfd_create};
        let file = File::from(memfd_create("rmt-dma", MemfdFlags::CLOEXEC)?);
        file.set_len(bytes.next_multiple_of(4096) as u64)?;
        // SAFETY: the file is this function's own: who gets it from here on maps it as this
        // process does and never cuts it, and all accesses to the mapping are those of `words`.
        let mapping = unsafe { MmapMut::map_mut(&file)? };
        Ok((Self { backing: Backing::Mapping(mapping), bus_address, huge: false }, file))
    }

    /// The words.
    #[inline]
    pub fn words(&self) -> &[AtomicU64] {
        match &self.backing {
            Backing::Words(words) => words,
            Backing::Mapping(mapping) => {
                // SAFETY: the mapping lives as long as `self`, is aligned to a page and a whole
                // number of words long. All accesses of this process go through these atomics
                // (nothing else has a reference to the bytes); those of the card are like those
                // of another thread that uses atomics.
                unsafe { std::slice::from_raw_parts(mapping.as_ptr().cast(), mapping.len() / 8) }
            }
        }
    }

    /// Length, bytes.
    pub fn bytes(&self) -> usize {
        8 * self.words().len()
    }

    /// Where the card finds it.
    pub fn bus_address(&self) -> u64 {
        self.bus_address
    }

    /// Place of a bus address in it, bytes.
    pub fn offset_of(&self, address: u64) -> Option<usize> {
        let offset = address.checked_sub(self.bus_address)? as usize;
        (offset < self.bytes()).then_some(offset)
    }

    /// Whether it stands in huge pages.
    pub fn is_huge(&self) -> bool {
        self.huge
    }

    /// Writes bytes from a word on; what does not fit is cut.
    #[inline]
    pub fn store(&self, first_word: usize, bytes: &[u8]) {
        let place = self.words().get(first_word..).unwrap_or_default();
        let (whole, rest) = bytes.as_chunks::<8>();
        for (word, chunk) in place.iter().zip(whole) {
            word.store(u64::from_le_bytes(*chunk), Ordering::Relaxed);
        }
        if let (false, Some(word)) = (rest.is_empty(), place.get(whole.len())) {
            let mut value = [0; 8];
            value[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_le_bytes(value), Ordering::Relaxed);
        }
    }

    /// Writes words from a word on; where they do not all fit, none.
    #[inline]
    pub fn store_words<const COUNT: usize>(&self, first_word: usize, words: [u64; COUNT]) {
        let place = self.words().get(first_word..).and_then(|place| place.first_chunk::<COUNT>());
        for (place, word) in place.into_iter().flatten().zip(words) {
            place.store(word, Ordering::Relaxed);
        }
    }

    /// Reads bytes from a place on, as a model of the card does; what is not there is left alone.
    pub fn load_bytes(&self, offset: usize, bytes: &mut [u8]) {
        for (place, byte) in (offset..).zip(bytes) {
            if let Some(word) = self.words().get(place / 8) {
                *byte = (word.load(Ordering::Acquire) >> (8 * (place % 8))) as u8;
            }
        }
    }

    /// Writes bytes from a place on, as a model of the card does: whole words at once.
    pub fn store_bytes(&self, offset: usize, bytes: &[u8]) {
        let mut place = offset;
        let mut left = bytes;
        while let (false, Some(word)) = (left.is_empty(), self.words().get(place / 8)) {
            let first = place % 8;
            let (now, later) = left.split_at((8 - first).min(left.len()));
            let mut value = word.load(Ordering::Relaxed).to_le_bytes();
            value[first..first + now.len()].copy_from_slice(now);
            word.store(u64::from_le_bytes(value), Ordering::Release);
            place += now.len();
            left = later;
        }
    }

    /// Makes all words zero.
    pub fn clear(&self) {
        self.words().iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Lets the devices of a container reach the memory.
    ///
    /// # Errors
    /// Those of the kernel, for instance when the limit of locked memory is too low.
    pub fn map_into(&self, container: &VfioContainer) -> Result<(), vfio_ioctls::VfioError> {
        let start = self.words().as_ptr().cast_mut().cast();
        // SAFETY: the range is one mapping of this process that lives as long as `self`; who maps
        // it keeps `self` until it has unmapped it (see `VfioDevice`).
        unsafe { container.vfio_dma_map(self.bus_address, self.bytes(), start) }
    }
}

/// A mapped BAR, or a part of one.
pub struct Window {
    mapping: MmapRaw,
    line_stores: bool,
}

impl Window {
    /// Maps `bytes` at `offset` of a device's file.
    ///
    /// # Errors
    /// Those of the system's `mmap`.
    pub fn map(file: &impl AsRawFd, offset: u64, bytes: usize) -> std::io::Result<Self> {
        let mapping = MmapOptions::new().offset(offset).len(bytes).map_raw(file)?;
        Ok(Self { mapping, line_stores: has_line_stores() })
    }

    /// Where an access of `bytes` bytes goes, checked.
    fn place(&self, offset: u32, bytes: usize) -> *mut u8 {
        let offset = offset as usize;
        assert!(
            offset.is_multiple_of(bytes) && offset + bytes <= self.mapping.len(),
            "access of {bytes} bytes at {offset:#x} of a window of {:#x}",
            self.mapping.len()
        );
        self.mapping.as_mut_ptr().wrapping_add(offset)
    }

    /// Reads 4 bytes.
    pub fn read32(&self, offset: u32) -> u32 {
        // SAFETY: `place` has checked range and alignment; the mapping lives as long as `self`.
        unsafe { self.place(offset, 4).cast::<u32>().read_volatile() }
    }

    /// Writes 4 bytes.
    pub fn write32(&self, offset: u32, value: u32) {
        // SAFETY: as for `read32`; registers have no invariants of Rust.
        unsafe { self.place(offset, 4).cast::<u32>().write_volatile(value) }
    }

    /// Writes 8 bytes.
    pub fn write64(&self, offset: u32, value: u64) {
        // SAFETY: as for `write32`.
        unsafe { self.place(offset, 8).cast::<u64>().write_volatile(value) }
    }

    /// Writes a line of 64 bytes: as one transaction on processors with `movdir64b`, else as
    /// eight writes in order.
    pub fn write_line(&self, offset: u32, line: &[u8; LINE_BYTES as usize]) {
        let place = self.place(offset, LINE_BYTES as usize);
        if self.line_stores {
            // SAFETY: `place` has checked range and alignment, and the processor has the
            // instruction.
            unsafe { store_line(place, line) };
            return;
        }
        for (index, chunk) in line.chunks_exact(8).enumerate() {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self.write64(offset + 8 * index as u32, u64::from_ne_bytes(word));
        }
    }
}

/// Waits until a descriptor can be read; false when `limit` has passed.
///
/// # Errors
/// Those of the system's `poll`.
pub fn wait_readable(file: &impl AsRawFd, limit: Duration) -> std::io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    // SAFETY: `file` owns the descriptor and outlives this borrow of it.
    let descriptor = unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) };
    let limit = Timespec {
        tv_sec: limit.as_secs().min(i64::MAX as u64) as i64,
        tv_nsec: limit.subsec_nanos().into(),
    };
    let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
    Ok(poll(&mut polled, Some(&limit))? > 0)
}

/// Calls a device by `ioctl` with a record that it may read and change.
///
/// # Errors
/// Those of the device.
///
/// # Panics
/// When the call's number says another size than the record has.
pub fn ioctl_record(file: &File, number: u32, record: &mut [u8]) -> std::io::Result<()> {
    assert_eq!((number >> 16 & 0x3fff) as usize, record.len(), "size of call {number:#x}");
    // SAFETY: a device that follows the kernel's rule for numbers touches as many bytes as the
    // number says, which are those of the record.
    let result = unsafe {
        vmm_sys_util::ioctl::ioctl_with_mut_ptr(file, number.into(), record.as_mut_ptr())
    };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

/// Another descriptor of the same open file.
///
/// # Errors
/// When the process has as many as it may.
pub fn duplicate(file: &impl AsRawFd) -> std::io::Result<OwnedFd> {
    // SAFETY: as for `wait_readable`.
    unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) }.try_clone_to_owned()
}

/// Lets tokio's event loop watch whether a descriptor can be read.
///
/// # Errors
/// When the system cannot watch such a file.
///
/// # Panics
/// Outside of a runtime of tokio with I/O.
pub fn watch(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` gives the same number as long as it lives, it closes the descriptor
    // when it is dropped and not before, and only `AsyncFd` has it from here on.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

/// Asks the kernel to read pages of another process, named by a pidfd, that are not in memory:
/// Lets the calling thread run only when no other one wants to (`SCHED_IDLE`): one that wakes up takes
/// the processor from it at once.
///
/// # Errors
/// The system's.
pub fn run_when_idle() -> std::io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the call reads `parameters` only; 0 is the calling thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// `process_madvise` with `MADV_WILLNEED`. Gives the bytes that it took on.
///
/// # Errors
/// Those of the system: the process is gone, or this one may not (`CAP_SYS_NICE` and the right to
/// trace the other are needed).
pub fn advise_will_need(
    process: BorrowedFd<'_>,
    ranges: &[(u64, usize)],
) -> std::io::Result<usize> {
    let vectors: Vec<libc::iovec> = ranges
        .iter()
        .map(|&(address, iov_len)| libc::iovec { iov_base: address as *mut _, iov_len })
        .collect();
    // SAFETY: the call reads `vectors` only; the addresses are the other process's, whose memory
    // this advice does not change.
    let result = unsafe {
        libc::syscall(
            libc::SYS_process_madvise,
            process.as_raw_fd(),
            vectors.as_ptr(),
            vectors.len(),
            libc::MADV_WILLNEED,
            0,
        )
    };
    usize::try_from(result).map_err(|_| std::io::Error::last_os_error())
}

/// Whether the processor writes 64 bytes at once (`movdir64b`).
#[cfg(target_arch = "x86_64")]
fn has_line_stores() -> bool {
    let (basic, extended) = (std::arch::x86_64::__cpuid(0), std::arch::x86_64::__cpuid_count(7, 0));
    basic.eax >= 7 && extended.ecx >> 28 & 1 == 1
}

#[cfg(not(target_arch = "x86_64"))]
fn has_line_stores() -> bool {
    false
}

/// Writes a line by `movdir64b`.
///
/// # Safety
/// The processor has the instruction; `place` is aligned to 64 bytes and may be written for 64.
#[cfg(target_arch = "x86_64")]
unsafe fn store_line(place: *mut u8, line: &[u8; LINE_BYTES as usize]) {
    // SAFETY: the caller's promise; the source is a reference. The bytes are
    // `movdir64b rax, [rdx]`, which older assemblers do not know.
    unsafe {
        std::arch::asm!(".byte 0x66, 0x0f, 0x38, 0xf8, 0x02", in("rax") place, in("rdx") line, options(nostack, preserves_flags));
    }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn store_line(_place: *mut u8, _line: &[u8; LINE_BYTES as usize]) {
    unreachable!("only called where has_line_stores() is true");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn window_over(file: &tempfile::NamedTempFile) -> Window {
        file.as_file().set_len(8192).unwrap();
        let read_write = File::options().read(true).write(true).open(file.path()).unwrap();
        Window::map(&read_write, 4096, 4096).unwrap()
    }

    #[test]
    fn a_window_reads_and_writes_its_part_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut window = window_over(&file);
        window.write64(8, 0x1122_3344_5566_7788);
        assert_eq!((window.read32(8), window.read32(12)), (0x5566_7788, 0x1122_3344));
        let line: [u8; 64] = std::array::from_fn(|index| index as u8);
        for line_stores in [false, window.line_stores] {
            window.line_stores = line_stores;
            window.write_line(64, &[0; 64]);
            window.write_line(64, &line);
            let bytes = std::fs::read(file.path()).unwrap();
            assert_eq!(bytes[4096 + 64..4096 + 128], line);
        }
    }

    #[test]
    #[should_panic(expected = "window of 0x1000")]
    fn an_access_outside_is_stopped() {
        let file = tempfile::NamedTempFile::new().unwrap();
        window_over(&file).read32(4096);
    }

    #[test]
    fn memory_is_zero_and_as_long_as_asked() {
        for memory in [
            DmaMemory::in_process(4096, 7),
            DmaMemory::mapped(4096, 7, false).unwrap(),
            DmaMemory::shared(4096, 7).unwrap().0,
        ] {
            assert_eq!((memory.bytes(), memory.bus_address()), (4096, 7));
            assert!(memory.words().iter().all(|word| word.load(Ordering::Relaxed) == 0));
            memory.store(1, b"12345678abc");
            let word = |index: usize| memory.words()[index].load(Ordering::Relaxed).to_le_bytes();
            assert_eq!((&word(1), &word(2)), (b"12345678", b"abc\0\0\0\0\0"));
            memory.store_words(510, [3, 4]);
            memory.store_words(511, [5, 6]);
            assert_eq!((word(510)[0], word(511)[0]), (3, 4));
            memory.store_words(511, [0]);
            memory.store_bytes(13, b"xy");
            let mut bytes = [0; 6];
            memory.load_bytes(11, &mut bytes);
            assert_eq!(&bytes, b"45xy8a");
            memory.store_bytes(4095, b"pq");
            memory.load_bytes(4095, &mut bytes);
            assert_eq!(&bytes, b"p5xy8a");
            memory.clear();
            assert_eq!(word(1), [0; 8]);
        }
        // Huge pages or not: the memory is there.
        assert!(DmaMemory::mapped(4096, 0, true).unwrap().bytes() >= 4096);
    }
}
