//! The admin queue's records.
//!
//! Commands are 64 bytes in the ring `EVENT_RING` of the admin queue; a completion has the 32
//! bytes of a decision, with an [`AdminStatus`] and results in place of the outputs. Commands run
//! one after the other, in order.

use super::codes::{AdminOpcode, AdminStatus};
use crate::event::{DECISION_BYTES, EVENT_BYTES, WireField, decision_layout};

/// Largest `COUNT`.
pub const MAX_COUNT: u32 = 1 << 20;
/// Alignment of `HOST_ADDRESS`, bytes.
pub const HOST_ALIGNMENT: u64 = 64;

/// Layout of a command.
pub mod command_layout {
    use crate::event::{WireField, wire_fields};
    wire_fields! {
        /// All fields of a command.
        COMMAND_FIELDS:
        /// What is asked for: an admin opcode.
        OPCODE @ 0, 2;
        /// Reserved, zero.
        RESERVED @ 2, 2;
        /// Chosen by the sender, returned in the completion.
        TAG @ 4, 4;
        /// Bus address of the data, a multiple of 64.
        HOST_ADDRESS @ 8, 8;
        /// First word of the core.
        CORE_WORD @ 16, 4;
        /// Number of words, at most 1048576.
        COUNT @ 20, 4;
        /// A value, as the opcode says.
        VALUE @ 24, 8;
        /// Reserved, zero.
        RESERVED_TAIL @ 32, 32;
    }
}

/// An admin command; what an opcode does not use must be zero or is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminCommand {
    /// What is asked for.
    pub opcode: AdminOpcode,
    /// Returned in the completion.
    pub tag: u32,
    /// Bus address of the data.
    pub host_address: u64,
    /// First word of the core.
    pub core_word: u32,
    /// Number of words.
    pub count: u32,
    /// As the opcode says.
    pub value: u64,
}

impl AdminCommand {
    /// A command with all arguments zero.
    pub const fn new(opcode: AdminOpcode, tag: u32) -> Self {
        Self { opcode, tag, host_address: 0, core_word: 0, count: 0, value: 0 }
    }

    /// The 64 bytes in the ring.
    pub fn to_bytes(&self) -> [u8; EVENT_BYTES] {
        use command_layout::{CORE_WORD, COUNT, HOST_ADDRESS, OPCODE, TAG, VALUE};
        let mut bytes = [0; EVENT_BYTES];
        let mut put = |field: WireField, value: u64| {
            bytes[field.offset..field.offset + field.bytes]
                .copy_from_slice(&value.to_le_bytes()[..field.bytes]);
        };
        put(OPCODE, self.opcode as u64);
        put(TAG, self.tag.into());
        put(HOST_ADDRESS, self.host_address);
        put(CORE_WORD, self.core_word.into());
        put(COUNT, self.count.into());
        put(VALUE, self.value);
        bytes
    }
}

/// The completion of an admin command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminCompletion {
    /// The command's tag.
    pub tag: u32,
    /// How it ended.
    pub status: AdminStatus,
    /// `RESULT0` to `RESULT2`.
    pub results: [u64; 3],
}

/// The status byte of an admin completion has no meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "byte 4 of the admin completion holds {status}, which is no status; the card speaks another version"
)]
pub struct UnknownAdminStatus {
    /// The byte.
    pub status: u8,
}

impl AdminCompletion {
    /// The completion and the phase bit of 32 bytes.
    ///
    /// # Errors
    /// [`UnknownAdminStatus`] when the status byte has no meaning.
    pub fn from_bytes(bytes: &[u8; DECISION_BYTES]) -> Result<(Self, bool), UnknownAdminStatus> {
        let word = |field: WireField| {
            let mut word = [0; 8];
            word[..field.bytes].copy_from_slice(&bytes[field.offset..field.offset + field.bytes]);
            u64::from_le_bytes(word)
        };
        let status = bytes[decision_layout::STATUS.offset];
        let completion = Self {
            tag: word(decision_layout::TAG) as u32,
            status: AdminStatus::from_number(status).ok_or(UnknownAdminStatus { status })?,
            results: [decision_layout::OUTPUT0, decision_layout::OUTPUT1, decision_layout::OUTPUT2]
                .map(word),
        };
        Ok((completion, super::ring::phase_of(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_stands_where_its_layout_says() {
        let command = AdminCommand {
            opcode: AdminOpcode::ReadBlock,
            tag: 0x0403_0201,
            host_address: 0x1122_3344_5566_7780,
            core_word: 0x20_0001,
            count: 9,
            value: 0xff,
        };
        let bytes = command.to_bytes();
        assert_eq!(bytes[..8], [3, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(bytes[8..16], 0x1122_3344_5566_7780_u64.to_le_bytes());
        assert_eq!(bytes[16..24], [1, 0, 0x20, 0, 9, 0, 0, 0]);
        assert_eq!(bytes[24..32], [0xff, 0, 0, 0, 0, 0, 0, 0]);
        assert!(bytes[32..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_completion_says_its_status_and_phase() {
        let mut bytes = [0; DECISION_BYTES];
        bytes[0] = 7;
        bytes[4] = AdminStatus::BadArgument as u8;
        bytes[5] = 0x80;
        bytes[8] = 42;
        let (completion, phase) = AdminCompletion::from_bytes(&bytes).unwrap();
        assert!(phase);
        assert_eq!(
            completion,
            AdminCompletion { tag: 7, status: AdminStatus::BadArgument, results: [42, 0, 0] }
        );
        bytes[4] = 77;
        assert_eq!(AdminCompletion::from_bytes(&bytes), Err(UnknownAdminStatus { status: 77 }));
    }
}
