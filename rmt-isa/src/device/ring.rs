//! The arithmetic of rings: what driver and card must compute alike.

use super::MIN_RING_LOG2;
use super::registers::INLINE_LINES;
use crate::event::{DECISION_BYTES, decision_layout};

/// Bit of the decision's `FLAGS` that holds the phase.
pub const PHASE_BIT: u32 = 7;

/// The phase bit of a record in a completion ring.
pub const fn phase_of(record: &[u8; DECISION_BYTES]) -> bool {
    record[decision_layout::FLAGS.offset] >> PHASE_BIT & 1 == 1
}

/// The phase that the record of an index has: true in the first pass over the ring, then
/// alternating. A driver clears the ring before it enables the pair.
pub const fn phase(index: u16, ring_log2: u32) -> bool {
    index >> ring_log2 & 1 == 0
}

/// The place of an index in its ring.
pub const fn slot(index: u16, ring_log2: u32) -> u16 {
    index & ((1 << ring_log2) - 1)
}

/// The line of the inline window to which an event goes while `completion_head` is the first
/// decision that the driver has not taken.
///
/// The line tells the card in passing how far the driver is, in sixteenths of the completion
/// ring: inline events need no doorbell, and a decision costs two transactions in all. The card
/// takes the head that this says unless it knows a later one. Since the last sixteenth is not told,
/// a driver that writes no doorbell keeps at most fifteen sixteenths of the ring outstanding.
pub const fn inline_line(completion_head: u16, completion_log2: u32) -> u32 {
    (completion_head >> (completion_log2 - MIN_RING_LOG2)) as u32 % INLINE_LINES
}

/// The card's side of [`inline_line`]: the head that it knows after an event on `line`.
pub const fn head_after_line(known: u16, line: u32, completion_log2: u32) -> u16 {
    let unit = completion_log2 - MIN_RING_LOG2;
    let steps = line.wrapping_sub(known as u32 >> unit) % INLINE_LINES;
    if steps == 0 || steps > 1 << MIN_RING_LOG2 {
        return known;
    }
    (known >> unit).wrapping_add(steps as u16) << unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_changes_with_each_pass() {
        assert!(phase(15, 4) && !phase(16, 4) && phase(32, 4));
        // Also where the index wraps.
        assert!(!phase(u16::MAX, 12) && phase(0, 12));
    }

    #[test]
    fn a_line_moves_the_head_forward_only() {
        for log2 in [4, 7, 12] {
            let (mut known, mut taken) = (0_u16, 0_u16);
            for step in 0..100_000_u32 {
                // At most a ring's size may be outstanding.
                taken = taken.wrapping_add((step % 7) as u16);
                let next = head_after_line(known, inline_line(taken, log2), log2);
                let (behind, moved) = (taken.wrapping_sub(next), next.wrapping_sub(known));
                assert!(behind < 1 << (log2 - MIN_RING_LOG2), "{log2} {taken} {next}");
                assert!(moved <= 1 << log2);
                known = next;
            }
            // An older line changes nothing.
            assert_eq!(head_after_line(known, inline_line(known, log2), log2), known);
        }
    }
}
