//! The daemon's side of the rings and decision slots.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};
use rmt_isa::shim::layout::outcome_layout::OUTCOME_BYTES;
use rmt_isa::shim::layout::{Outcome, PAGE_BYTES, block_layout, header_layout};
use rmt_isa::shim::{self, ring};
use rmt_isa::{Decision, Event, event::WireField};

use crate::memory::DmaMemory;

/// Bytes of a word of shared memory.
const WORD: usize = 8;

/// Where the parts of shared memory stand, from its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Blocks, one for each possible processor.
    pub cpus: u32,
    /// Binary logarithm of the places of each ring.
    pub ring_log2: u32,
    /// Bytes of the whole memory.
    pub bytes: usize,
    block_base: usize,
    block_stride: usize,
    events: usize,
    decisions: usize,
    outcomes: usize,
}

impl Geometry {
    /// Reads and checks the header; says what it found where that is none of this version.
    ///
    /// # Errors
    /// A description of what stands there.
    pub fn read(memory: &DmaMemory) -> Result<Self, String> {
        let field = |field: WireField| {
            let mut bytes = [0; WORD];
            memory.load_bytes(field.offset, &mut bytes[..field.bytes]);
            u64::from_le_bytes(bytes)
        };
        let (magic, version) = (field(header_layout::MAGIC), field(header_layout::VERSION));
        if magic != shim::MAGIC {
            return Err(format!("shows {magic:#x} in place of its mark"));
        }
        if version != u64::from(shim::VERSION) {
            return Err(format!("speaks version {version}"));
        }
        let place = |wanted| field(wanted) as usize;
        let geometry = Self {
            cpus: field(header_layout::CPUS) as u32,
            ring_log2: field(header_layout::RING_LOG2) as u32,
            bytes: place(header_layout::BYTES),
            block_base: place(header_layout::BLOCK_BASE),
            block_stride: place(header_layout::BLOCK_STRIDE),
            events: place(header_layout::EVENTS_OFFSET),
            decisions: place(header_layout::DECISIONS_OFFSET),
            outcomes: place(header_layout::OUTCOMES_OFFSET),
        };
        if geometry.is_consistent() {
            Ok(geometry)
        } else {
            Err(format!("describes its memory inconsistently: {geometry:?}"))
        }
    }

    fn is_consistent(&self) -> bool {
        let sizes = shim::MIN_RING_LOG2..=shim::MAX_RING_LOG2;
        if !sizes.contains(&self.ring_log2) {
            return false;
        }
        let fits = |offset: usize, record: usize| {
            offset.is_multiple_of(record)
                && offset + (record << self.ring_log2) <= self.block_stride
        };
        fits(self.events, EVENT_BYTES)
            && fits(self.decisions, DECISION_BYTES)
            && fits(self.outcomes, OUTCOME_BYTES)
            && self.block_base >= header_layout::HEADER_BYTES
            && self.block_base.is_multiple_of(PAGE_BYTES)
            && self.block_stride.is_multiple_of(PAGE_BYTES)
            && (self.block_stride.checked_mul(self.cpus as usize))
                .and_then(|blocks| blocks.checked_add(self.block_base))
                == Some(self.bytes)
    }
}

/// The rings of one processor. It may be given to a thread of its own.
pub struct CpuRings {
    memory: Arc<DmaMemory>,
    geometry: Geometry,
    cpu: u32,
    event_head: u32,
    outcome_head: u32,
}

impl CpuRings {
    /// The rings of a processor, from where the module says that the heads are.
    pub(super) fn new(memory: Arc<DmaMemory>, geometry: Geometry, cpu: u32) -> Self {
        let mut rings = Self { memory, geometry, cpu, event_head: 0, outcome_head: 0 };
        let heads = rings.block_word(block_layout::EVENT_HEAD).load(Ordering::Acquire);
        (rings.event_head, rings.outcome_head) = (heads as u32, (heads >> 32) as u32);
        rings
    }

    /// Begins at an index, as attaching makes the module say.
    pub(super) fn begin_at(&mut self, index: u32) {
        (self.event_head, self.outcome_head) = (index, index);
        self.store_heads();
    }

    /// The processor.
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Takes the oldest event. Its tag is unique among those outstanding on this processor, no
    /// further.
    pub fn take_event(&mut self) -> Option<Event> {
        let place = self.next(self.tails().0, self.event_head)?;
        let mut event = Event { bytes: [0; EVENT_BYTES] };
        self.copy(self.geometry.events + place * EVENT_BYTES, &mut event.bytes);
        self.event_head = self.event_head.wrapping_add(1);
        self.store_heads();
        Some(event)
    }

    /// Takes the oldest outcome.
    pub fn take_outcome(&mut self) -> Option<Outcome> {
        let place = self.next(self.tails().1, self.outcome_head)?;
        let mut bytes = [0; OUTCOME_BYTES];
        self.copy(self.geometry.outcomes + place * OUTCOME_BYTES, &mut bytes);
        self.outcome_head = self.outcome_head.wrapping_add(1);
        self.store_heads();
        Some(Outcome::from_bytes(&bytes))
    }

    /// Whether there is an event or an outcome to take.
    pub fn has_more(&self) -> bool {
        self.tails() != (self.event_head, self.outcome_head)
    }

    /// Answers the event of this processor that has the decision's tag.
    pub fn answer(&self, decision: &Decision) {
        let slot = ring::slot(decision.tag, self.geometry.ring_log2);
        let words = self.words(self.geometry.decisions + slot * DECISION_BYTES, DECISION_BYTES);
        let bytes = decision.to_bytes(false);
        let word = |index: usize| {
            let mut word = [0; WORD];
            word.copy_from_slice(&bytes[index * WORD..][..WORD]);
            u64::from_le_bytes(word)
        };
        words[0].store(0, Ordering::Release);
        // The module must not see a new output beside the old first word.
        std::sync::atomic::fence(Ordering::Release);
        for (index, place) in words.iter().enumerate().skip(1) {
            place.store(word(index), Ordering::Release);
        }
        words[0].store(word(0), Ordering::Release);
    }

    /// Tells the module whether an event costs a wake-up.
    pub(super) fn set_sleeping(&self, sleeping: bool) {
        self.block_word(block_layout::SLEEPING).store(u64::from(sleeping), Ordering::Release);
    }

    /// Tails of events and of outcomes.
    fn tails(&self) -> (u32, u32) {
        let tails = self.block_word(block_layout::EVENT_TAIL).load(Ordering::Acquire);
        (tails as u32, (tails >> 32) as u32)
    }

    fn store_heads(&self) {
        let heads = u64::from(self.event_head) | u64::from(self.outcome_head) << 32;
        self.block_word(block_layout::EVENT_HEAD).store(heads, Ordering::Release);
    }

    /// The place of the next record, if there is one.
    fn next(&self, tail: u32, head: u32) -> Option<usize> {
        match ring::used(tail, head, self.geometry.ring_log2) {
            Some(0) => None,
            // The module never lets its tail run more than a ring ahead.
            _ => Some(ring::place(head, self.geometry.ring_log2)),
        }
    }

    fn copy(&self, offset: usize, bytes: &mut [u8]) {
        let words = self.words(offset, bytes.len());
        for (chunk, word) in bytes.chunks_exact_mut(WORD).zip(words) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
    }

    /// Words of this processor's block.
    fn words(&self, offset: usize, bytes: usize) -> &[AtomicU64] {
        let block = self.geometry.block_base + self.cpu as usize * self.geometry.block_stride;
        &self.memory.words()[(block + offset) / WORD..][..bytes / WORD]
    }

    /// The word that begins with a field of the block's first page.
    fn block_word(&self, field: WireField) -> &AtomicU64 {
        &self.words(field.offset, WORD)[0]
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::KernelSide;
    use super::*;
    use rmt_isa::Status;
    use rmt_isa::shim::layout::outcome_layout;

    fn decision(tag: u32, value: u64) -> Decision {
        let outputs = [value, value.wrapping_mul(3), !value];
        Decision { tag, status: Status::Decided, written: 7, cycles: 9, outputs }
    }

    #[test]
    fn both_sides_agree_on_layout_events_answers_and_outcomes() {
        // Indices wrap in the middle.
        let (mut kernel, mut rings) = KernelSide::pair(3, 6, 2, u32::MAX - 100);
        assert_eq!(rings.cpu(), 2);
        for round in 0..300_u64 {
            assert!(rings.take_event().is_none() && rings.take_outcome().is_none());
            let mut sent = Event::new(2, 0, round);
            sent.store(56, 8, round * 7);
            let tag = kernel.send(&sent).unwrap();
            sent.store(4, 4, tag.into());
            assert!(rings.has_more());
            assert_eq!(rings.take_event(), Some(sent));
            assert_eq!(kernel.answer(tag), None);
            rings.answer(&decision(tag, round));
            assert_eq!(kernel.answer(tag), Some(decision(tag, round)));
            assert_eq!(kernel.answer(tag.wrapping_add(1)), None);
            let outcome = Outcome {
                tag,
                hook: 2,
                flags: outcome_layout::USED,
                time_ns: round << 33,
                kernel: 1,
                program: 0,
                hook_ns: 5,
                answer_ns: (round % 2 == 0).then_some(4),
            };
            assert!(kernel.outcome(&outcome));
            assert_eq!(rings.take_outcome(), Some(outcome));
        }
    }

    #[test]
    fn a_full_ring_takes_no_more() {
        let (mut kernel, mut rings) = KernelSide::pair(1, 6, 0, 0);
        let event = Event::new(1, 0, 0);
        let first = kernel.send(&event).unwrap();
        assert_eq!((1..64).filter(|_| kernel.send(&event).is_some()).count(), 63);
        assert_eq!(kernel.send(&event), None);
        assert_eq!(rings.take_event().map(|event| event.tag()), Some(first));
        assert!(kernel.send(&event).is_some());
        assert_eq!(kernel.send(&event), None);
    }

    #[test]
    fn a_sleeping_daemon_is_to_be_woken() {
        let (mut kernel, rings) = KernelSide::pair(1, 6, 0, 0);
        let event = Event::new(1, 0, 0);
        kernel.send(&event).unwrap();
        assert!(!kernel.wakes());
        rings.set_sleeping(true);
        kernel.send(&event).unwrap();
        assert!(kernel.wakes());
    }

    #[test]
    fn a_false_head_stops_the_ring_only() {
        let (mut kernel, rings) = KernelSide::pair(1, 6, 0, 0);
        for head in [1, 65, u32::MAX / 2, u32::MAX] {
            rings.block_word(block_layout::EVENT_HEAD).store(head.into(), Ordering::Relaxed);
            // A head before the tail by at most the ring's size cannot be told from a true one.
            let believed = 0_u32.wrapping_sub(head) < 64;
            assert_eq!(kernel.send(&Event::new(1, 0, 0)).is_some(), believed, "{head}");
            if believed {
                return;
            }
        }
    }

    #[test]
    fn threads_exchange_every_event_in_order_and_no_torn_decision() {
        let (mut kernel, mut rings) = KernelSide::pair(1, 6, 0, u32::MAX - 5_000);
        const EVENTS: u64 = 20_000;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut expected = 0;
                while expected < EVENTS {
                    let Some(event) = rings.take_event() else {
                        std::thread::yield_now();
                        continue;
                    };
                    assert_eq!(event.key(), expected);
                    rings.answer(&decision(event.tag(), event.key()));
                    expected += 1;
                }
            });
            // Half a ring at a time: threads that share a processor change rarely.
            for first in (0..EVENTS).step_by(32) {
                let tags: Vec<u32> = (first..first + 32)
                    .map(|round| kernel.send(&Event::new(2, 0, round)).unwrap())
                    .collect();
                for (round, tag) in (first..).zip(tags) {
                    loop {
                        match kernel.answer(tag) {
                            Some(answer) => break assert_eq!(answer, decision(tag, round)),
                            None => std::thread::yield_now(),
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn a_header_of_something_else_is_refused() {
        let memory = DmaMemory::in_process(PAGE_BYTES, 0);
        assert!(Geometry::read(&memory).unwrap_err().contains("mark"));
        memory.store(0, &shim::MAGIC.to_le_bytes());
        memory.store(1, &7_u32.to_le_bytes());
        assert!(Geometry::read(&memory).unwrap_err().contains("version 7"));
        memory.store(1, &shim::VERSION.to_le_bytes());
        assert!(Geometry::read(&memory).unwrap_err().contains("inconsistently"));
    }
}
