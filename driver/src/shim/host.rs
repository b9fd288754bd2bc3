//! The kernel module's side of the rings in this process: the module's own C code
//! (`driver/kernel/ring.h`), compiled for user space.

use std::sync::Arc;

use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};
use rmt_isa::shim::layout::Outcome;
use rmt_isa::shim::layout::outcome_layout::OUTCOME_BYTES;
use rmt_isa::{Decision, Event};

use super::rings::{CpuRings, Geometry};
use crate::memory::DmaMemory;

mod c {
    use super::{EVENT_BYTES, OUTCOME_BYTES};

    /// The C structure; only C looks into it.
    #[repr(C)]
    pub struct Ring {
        _private: [u8; 0],
    }

    unsafe extern "C" {
        pub fn rmt_host_layout(memory: *mut u8, bytes: u64, cpus: u32, ring_log2: u32) -> u64;
        pub fn rmt_host_ring_new(memory: *mut u8, cpu: u32, index: u32) -> *mut Ring;
        pub fn rmt_host_ring_free(ring: *mut Ring);
        pub fn rmt_host_send(
            ring: *mut Ring,
            event: *const [u8; EVENT_BYTES],
            tag: *mut u32,
        ) -> i32;
        pub fn rmt_host_answer(ring: *const Ring, tag: u32, decision: *mut [u64; 4]) -> bool;
        pub fn rmt_host_outcome(ring: *mut Ring, outcome: *const [u8; OUTCOME_BYTES]) -> bool;
    }
}

/// The kernel's side of one processor's rings.
pub struct KernelSide {
    ring: *mut c::Ring,
    /// What the ring points into.
    _memory: Arc<DmaMemory>,
    wakes: bool,
}

// SAFETY: the C structure is reached through this value only; the memory that it points into is
// atomics to this process, and lives as long as this value.
unsafe impl Send for KernelSide {}

impl KernelSide {
    /// Both sides of the rings of processor `cpu` of `cpus`, whose indices begin at `index`.
    ///
    /// # Panics
    /// When there is no such processor, `ring_log2` is out of range, or there is no memory.
    pub fn pair(cpus: u32, ring_log2: u32, cpu: u32, index: u32) -> (Self, CpuRings) {
        let sizes = rmt_isa::shim::MIN_RING_LOG2..=rmt_isa::shim::MAX_RING_LOG2;
        assert!(cpu < cpus && sizes.contains(&ring_log2), "cpu {cpu} of {cpus}, 2^{ring_log2}");
        // SAFETY: with no bytes nothing is written.
        let bytes = unsafe { c::rmt_host_layout(std::ptr::null_mut(), 0, cpus, ring_log2) };
        let memory = DmaMemory::mapped(bytes as usize, 0, false).expect("memory for the rings");
        let memory = Arc::new(memory);
        let start = memory.words().as_ptr().cast::<u8>().cast_mut();
        // SAFETY: the memory has so many bytes, may be changed through shared references (it is
        // atomics), and lives as long as the ring. No other thread has it yet.
        let ring = unsafe {
            c::rmt_host_layout(start, bytes, cpus, ring_log2);
            c::rmt_host_ring_new(start, cpu, index)
        };
        let geometry = Geometry::read(&memory).expect("both sides are of one version");
        let kernel = Self { ring, _memory: Arc::clone(&memory), wakes: false };
        let mut rings = CpuRings::new(memory, geometry, cpu);
        rings.begin_at(index);
        (kernel, rings)
    }

    /// Sends an event under the next tag; `None` when the ring is full.
    pub fn send(&mut self, event: &Event) -> Option<u32> {
        let mut tag = 0;
        // SAFETY: the ring is valid until the drop; event and tag are references.
        let sent = unsafe { c::rmt_host_send(self.ring, &event.bytes, &mut tag) };
        self.wakes = sent == 2;
        (sent != 0).then_some(tag)
    }

    /// Whether the last event found the daemon asleep.
    pub fn wakes(&self) -> bool {
        self.wakes
    }

    /// The answer to the event of a tag, if it is there and a decision.
    pub fn answer(&self, tag: u32) -> Option<Decision> {
        let mut words = [0; 4];
        // SAFETY: as for `send`.
        if !unsafe { c::rmt_host_answer(self.ring, tag, &mut words) } {
            return None;
        }
        let mut bytes = [0; DECISION_BYTES];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        Decision::from_bytes(&bytes).ok().map(|(decision, _)| decision)
    }

    /// Writes an outcome; false when their ring is full.
    pub fn outcome(&mut self, outcome: &Outcome) -> bool {
        // SAFETY: as for `send`.
        unsafe { c::rmt_host_outcome(self.ring, &outcome.to_bytes()) }
    }
}

impl Drop for KernelSide {
    fn drop(&mut self) {
        // SAFETY: made by `rmt_host_ring_new`, and not used after.
        unsafe { c::rmt_host_ring_free(self.ring) }
    }
}
