//! Records in shared memory.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use rmt_isa::device::ring::PHASE_BIT;
use rmt_isa::event::{DECISION_BYTES, decision_layout};

/// Words of a record of a completion ring.
pub const RECORD_WORDS: usize = DECISION_BYTES / 8;
/// Where the phase bit stands in the first word.
const PHASE_SHIFT: u32 = 8 * decision_layout::FLAGS.offset as u32 + PHASE_BIT;

/// The record at a word of a completion ring, if it has been written in this pass.
///
/// The card writes a record in one transaction that stays inside a cache line, so who sees the
/// phase bit in its first word sees the rest.
#[inline]
pub fn read_record(
    memory: &[AtomicU64],
    first_word: usize,
    phase: bool,
) -> Option<[u8; DECISION_BYTES]> {
    let words = memory.get(first_word..)?.first_chunk::<RECORD_WORDS>()?;
    let first = words[0].load(Ordering::Relaxed);
    if (first >> PHASE_SHIFT & 1 == 1) != phase {
        return None;
    }
    fence(Ordering::Acquire);
    let mut record = [0; DECISION_BYTES];
    record[..8].copy_from_slice(&first.to_le_bytes());
    for (place, word) in record[8..].chunks_exact_mut(8).zip(&words[1..]) {
        place.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
    Some(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::DmaMemory;
    use rmt_isa::event::Status;
    use rmt_isa::{Decision, device::ring::phase_of};

    #[test]
    fn a_record_is_there_when_its_phase_is() {
        let memory = DmaMemory::in_process(4096, 0);
        assert_eq!(read_record(memory.words(), 4, true), None);
        let decision =
            Decision { tag: 9, status: Status::Decided, written: 7, cycles: 6, outputs: [1, 2, 3] };
        memory.store(4, &decision.to_bytes(true));
        let record = read_record(memory.words(), 4, true).unwrap();
        assert!(phase_of(&record));
        assert_eq!(Decision::from_bytes(&record), Ok((decision, true)));
        assert_eq!(read_record(memory.words(), 4, false), None);
        // Outside of the memory there is no record.
        assert_eq!(read_record(memory.words(), 512, true), None);
    }
}
