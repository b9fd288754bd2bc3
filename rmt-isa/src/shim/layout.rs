//! The memory that module and daemon share: a header of one page, then a block for each
//! processor: a page of indices, its event ring, its decision slots, its outcome ring.

/// Alignment of the parts, bytes.
pub const PAGE_BYTES: usize = 4096;

/// The first page. The module writes it before the device appears.
pub mod header_layout {
    use crate::event::{WireField, wire_fields};
    wire_fields! {
        /// All fields of the header.
        HEADER_FIELDS:
        /// `MAGIC`.
        MAGIC @ 0, 8;
        /// Version of the contract.
        VERSION @ 8, 4;
        /// Blocks that follow, one for each possible processor.
        CPUS @ 12, 4;
        /// Binary logarithm of the places of each ring, and of the decision slots.
        RING_LOG2 @ 16, 4;
        /// First byte of the block of processor 0.
        BLOCK_BASE @ 20, 4;
        /// Bytes from a block to the next.
        BLOCK_STRIDE @ 24, 4;
        /// First byte of the event ring in a block.
        EVENTS_OFFSET @ 28, 4;
        /// First byte of the decision slots in a block.
        DECISIONS_OFFSET @ 32, 4;
        /// First byte of the outcome ring in a block.
        OUTCOMES_OFFSET @ 36, 4;
        /// Bytes of the whole memory.
        BYTES @ 40, 8;
    }
    /// Bytes of the header's fields.
    pub const HEADER_BYTES: usize = 48;
}

/// The first page of a block: indices. Each line of 64 bytes has one writer.
pub mod block_layout {
    use crate::event::{WireField, wire_fields};
    wire_fields! {
        /// All fields of a block's first page.
        BLOCK_FIELDS:
        /// Events written so far, modulo 2^32; the module writes it.
        EVENT_TAIL @ 0, 4;
        /// Outcomes written so far, modulo 2^32; the module writes it.
        OUTCOME_TAIL @ 4, 4;
        /// Reserved.
        RESERVED_MODULE @ 8, 56;
        /// Events taken so far, modulo 2^32; the daemon writes it.
        EVENT_HEAD @ 64, 4;
        /// Outcomes taken so far, modulo 2^32; the daemon writes it.
        OUTCOME_HEAD @ 68, 4;
        /// The daemon writes 1 here before it sleeps in `poll`, looks once more whether a ring is empty, and writes 0 when it is awake: only at 1 does an event cost a wake-up.
        SLEEPING @ 72, 4;
        /// Reserved.
        RESERVED_DAEMON @ 76, 52;
    }
    /// Bytes of the fields.
    pub const BLOCK_BYTES: usize = 128;
}

/// A record of the outcome ring: how a hook ended.
pub mod outcome_layout {
    use crate::event::{WireField, wire_fields};
    wire_fields! {
        /// All fields of an outcome.
        OUTCOME_FIELDS:
        /// The event's tag.
        TAG @ 0, 4;
        /// The hook's number.
        HOOK @ 4, 2;
        /// Bit 0: an answer was there in time; bit 1: it was used; bit 2: a rule that no program may break forbids "yes".
        FLAGS @ 6, 2;
        /// When the hook fired, ns of `CLOCK_MONOTONIC`.
        TIME_NS @ 8, 8;
        /// The kernel's own answer.
        KERNEL @ 16, 4;
        /// The program's answer: the low half of `OUTPUT0`; 0 when there was none in time.
        PROGRAM @ 20, 4;
        /// From the firing to the end of the hooked function, ns, saturating.
        HOOK_NS @ 24, 4;
        /// From the firing until the answer was seen, ns; all ones: none in time.
        ANSWER_NS @ 28, 4;
    }
    /// Bytes of an outcome.
    pub const OUTCOME_BYTES: usize = 32;
    /// Bit of `FLAGS`: an answer was there in time.
    pub const IN_TIME: u16 = 1;
    /// Bit of `FLAGS`: the answer was used.
    pub const USED: u16 = 2;
    /// Bit of `FLAGS`: a rule that no program may break forbids "yes".
    pub const FORBIDDEN: u16 = 4;
}

/// How a hook ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The event's tag.
    pub tag: u32,
    /// The hook's number.
    pub hook: u16,
    /// Bits of [`outcome_layout`].
    pub flags: u16,
    /// When the hook fired, ns of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// The kernel's own answer.
    pub kernel: u32,
    /// The program's answer in time, else 0.
    pub program: u32,
    /// Duration of the hooked function with the hook, ns.
    pub hook_ns: u32,
    /// Time until the answer was seen, ns; `None` when there was none in time.
    pub answer_ns: Option<u32>,
}

impl Outcome {
    /// The outcome of 32 bytes.
    pub fn from_bytes(bytes: &[u8; outcome_layout::OUTCOME_BYTES]) -> Self {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let answer_ns = word(outcome_layout::ANSWER_NS.offset);
        let time = outcome_layout::TIME_NS.offset;
        Self {
            tag: word(outcome_layout::TAG.offset),
            hook: half(outcome_layout::HOOK.offset),
            flags: half(outcome_layout::FLAGS.offset),
            time_ns: u64::from(word(time)) | u64::from(word(time + 4)) << 32,
            kernel: word(outcome_layout::KERNEL.offset),
            program: word(outcome_layout::PROGRAM.offset),
            hook_ns: word(outcome_layout::HOOK_NS.offset),
            answer_ns: (answer_ns != super::NO_ANSWER).then_some(answer_ns),
        }
    }

    /// The 32 bytes of the outcome.
    pub fn to_bytes(self) -> [u8; outcome_layout::OUTCOME_BYTES] {
        let mut bytes = [0; outcome_layout::OUTCOME_BYTES];
        bytes[0..4].copy_from_slice(&self.tag.to_le_bytes());
        bytes[4..6].copy_from_slice(&self.hook.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.flags.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.kernel.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.program.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.hook_ns.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.answer_ns.unwrap_or(super::NO_ANSWER).to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::WireField;

    #[test]
    fn the_layouts_have_no_gap() {
        let tables: [(&[WireField], usize); 3] = [
            (header_layout::HEADER_FIELDS, header_layout::HEADER_BYTES),
            (block_layout::BLOCK_FIELDS, block_layout::BLOCK_BYTES),
            (outcome_layout::OUTCOME_FIELDS, outcome_layout::OUTCOME_BYTES),
        ];
        for (fields, total) in tables {
            let end = fields.iter().fold(0, |end, field| {
                assert_eq!(field.offset, end, "{}", field.name);
                end + field.bytes
            });
            assert_eq!(end, total);
        }
    }

    #[test]
    fn an_outcome_survives_the_memory() {
        let outcome = Outcome {
            tag: 0xdead_beef,
            hook: 2,
            flags: outcome_layout::IN_TIME | outcome_layout::USED,
            time_ns: 0x0102_0304_0506_0708,
            kernel: 1,
            program: 0xffff_0000,
            hook_ns: 7,
            answer_ns: Some(5),
        };
        for outcome in [outcome, Outcome { answer_ns: None, ..outcome }] {
            assert_eq!(Outcome::from_bytes(&outcome.to_bytes()), outcome);
        }
    }
}
