//! The arithmetic of rings and decision slots: what module and daemon must compute alike.
//!
//! Indices count records since the module was loaded, modulo 2^32. The producer publishes by a
//! release store of its tail, the consumer by a release store of its head; each reads the other's
//! index with acquire. A decision is published by its first word of 64 bits, which holds the tag:
//! the daemon first stores 0 there, then the outputs, then the word, each with release; the
//! module reads the word with acquire, then the outputs, then the word again, and takes the
//! decision only if both readings are equal and of its tag. No event has tag 0.

/// The place of an index in its ring.
pub const fn place(index: u32, ring_log2: u32) -> usize {
    (index & ((1 << ring_log2) - 1)) as usize
}

/// The tag of the event with an index: unique among all that are outstanding on its processor.
pub const fn tag(event_index: u32) -> u32 {
    // Index 2^32 - 1 would give 0, which is no tag: it takes the other half's.
    match event_index.wrapping_add(1) {
        0 => 1 << 31,
        tag => tag,
    }
}

/// The decision slot of a tag.
pub const fn slot(tag: u32, ring_log2: u32) -> usize {
    place(tag.wrapping_sub(1), ring_log2)
}

/// Records between head and tail; `None` when the head cannot be true.
pub const fn used(tail: u32, head: u32, ring_log2: u32) -> Option<u32> {
    match tail.wrapping_sub(head) {
        used if used <= 1 << ring_log2 => Some(used),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_is_the_place_of_the_event() {
        for index in (0..200).chain(u32::MAX - 200..=u32::MAX) {
            assert_ne!(tag(index), 0);
            assert_eq!(slot(tag(index), 6), place(index, 6), "{index}");
        }
    }

    #[test]
    fn a_false_head_is_seen() {
        assert_eq!(used(5, 5, 6), Some(0));
        assert_eq!(used(3, u32::MAX, 6), Some(4));
        assert_eq!(used(64, 0, 6), Some(64));
        assert_eq!((used(65, 0, 6), used(5, 6, 6)), (None, None));
    }
}
