//! What crosses the boundary: the event that a hook sends and the decision that comes back.
//!
//! Both are little-endian and fit one PCIe write: 64 bytes in, 32 bytes out.

/// Bytes of an event.
pub const EVENT_BYTES: usize = 64;
/// Bytes of a decision.
pub const DECISION_BYTES: usize = 32;

/// A field of the event or of the decision, for reference page, RTL and C header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireField {
    /// Name.
    pub name: &'static str,
    /// First byte.
    pub offset: usize,
    /// Number of bytes.
    pub bytes: usize,
    /// Meaning.
    pub doc: &'static str,
}

macro_rules! wire_fields {
    ($(#[doc = $table_doc:literal])* $table:ident: $($(#[doc = $doc:literal])* $name:ident @ $offset:literal, $bytes:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: WireField = WireField {
            name: stringify!($name), offset: $offset, bytes: $bytes, doc: concat!($($doc),*),
        };)*
        $(#[doc = $table_doc])*
        pub const $table: &[WireField] = &[$($name),*];
    };
}

pub(crate) use wire_fields;

/// Layout of the event.
pub mod event_layout {
    use super::WireField;
    wire_fields! {
        /// All fields of the event.
        EVENT_FIELDS:
        /// Number of the hook that fired.
        HOOK @ 0, 2;
        /// Reserved, zero.
        FLAGS @ 2, 2;
        /// Chosen by the sender, returned in the decision.
        TAG @ 4, 4;
        /// The key: pid, inode, cgroup and the like.
        KEY @ 8, 8;
        /// Arguments, as the program declares them.
        ARGUMENTS @ 16, 48;
    }
}

/// Layout of the decision.
pub mod decision_layout {
    use super::WireField;
    wire_fields! {
        /// All fields of the decision.
        DECISION_FIELDS:
        /// The event's tag.
        TAG @ 0, 4;
        /// How the event ended: a status number.
        STATUS @ 4, 1;
        /// Bits 0 to 2: output word written; bit 7: phase of the completion queue.
        FLAGS @ 5, 1;
        /// Cycles of the card's clock from accepting the event to the decision, saturating; 0 from software.
        CYCLES @ 6, 2;
        /// Output word 0.
        OUTPUT0 @ 8, 8;
        /// Output word 1.
        OUTPUT1 @ 16, 8;
        /// Output word 2.
        OUTPUT2 @ 24, 8;
    }
}

macro_rules! statuses {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal, $text:literal;)*) => {
        /// How an event ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Status {
            $($(#[doc = $doc])* $name = $number,)*
        }

        impl Status {
            /// All statuses, by number.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The status of a number.
            #[inline]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Short name for tables and JSON.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }

            /// Meaning.
            pub const fn doc(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),*),)*
                }
            }
        }
    };
}

statuses! {
    /// The outputs are the decision.
    Decided = 0, "decided";
    /// The program leaves the decision to the kernel's own heuristic.
    Abstained = 1, "abstained";
    /// No entry matched and the table has no default action.
    Missed = 2, "missed";
    /// An instruction could not be decoded (only an unverified program).
    BadInstruction = 16, "bad-instruction";
    /// An index was out of range (only an unverified program).
    OutOfRange = 17, "out-of-range";
    /// The event exceeded the card's bound on cycles.
    Watchdog = 18, "watchdog";
    /// No program is installed for the event's hook.
    NoProgram = 19, "no-program";
    /// The event is malformed: reserved bits set.
    BadEvent = 20, "bad-event";
    /// The queue pair may not send events of this hook.
    HookRefused = 21, "hook-refused";
}

/// One firing of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The 64 bytes, little-endian.
    pub bytes: [u8; EVENT_BYTES],
}

impl Event {
    /// An event with all arguments zero.
    pub fn new(hook: u16, tag: u32, key: u64) -> Self {
        let mut event = Self { bytes: [0; EVENT_BYTES] };
        event.bytes[0..2].copy_from_slice(&hook.to_le_bytes());
        event.bytes[4..8].copy_from_slice(&tag.to_le_bytes());
        event.bytes[8..16].copy_from_slice(&key.to_le_bytes());
        event
    }

    /// The hook's number.
    #[inline]
    pub fn hook(&self) -> u16 {
        self.load(event_layout::HOOK.offset, 2) as u16
    }

    /// The sender's tag.
    #[inline]
    pub fn tag(&self) -> u32 {
        self.load(event_layout::TAG.offset, 4) as u32
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> u64 {
        self.load(event_layout::KEY.offset, 8)
    }

    /// The unsigned integer of `bytes` bytes at `offset`; bytes past the event read as zero.
    #[inline]
    pub fn load(&self, offset: usize, bytes: usize) -> u64 {
        let present = self.bytes.get(offset..).unwrap_or(&[]);
        let taken = &present[..bytes.min(8).min(present.len())];
        let mut word = [0; 8];
        word[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(word)
    }

    /// Writes the low `bytes` bytes of `value` at `offset`; what does not fit the event is cut.
    pub fn store(&mut self, offset: usize, bytes: usize, value: u64) {
        for (index, byte) in value.to_le_bytes().into_iter().take(bytes).enumerate() {
            if let Some(place) = self.bytes.get_mut(offset + index) {
                *place = byte;
            }
        }
    }
}

/// The answer to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The event's tag.
    pub tag: u32,
    /// How the event ended.
    pub status: Status,
    /// Bit i is set when output word i was written.
    pub written: u8,
    /// Cycles spent on the card, saturating; 0 from software.
    pub cycles: u16,
    /// The output words; zero where not written.
    pub outputs: [u64; crate::limits::MAX_OUTPUTS],
}

/// Why 32 bytes are not a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {} of the decision holds {status}, which is no status; the peer speaks another version", decision_layout::STATUS.offset)]
pub struct UnknownStatus {
    /// The status byte.
    pub status: u8,
}

impl Decision {
    /// The 32 bytes on the wire, with the phase bit of the completion queue.
    pub fn to_bytes(&self, phase: bool) -> [u8; DECISION_BYTES] {
        let mut bytes = [0; DECISION_BYTES];
        bytes[0..4].copy_from_slice(&self.tag.to_le_bytes());
        bytes[4] = self.status as u8;
        bytes[5] = self.written & 7 | u8::from(phase) << 7;
        bytes[6..8].copy_from_slice(&self.cycles.to_le_bytes());
        for (place, output) in bytes[8..].chunks_exact_mut(8).zip(self.outputs) {
            place.copy_from_slice(&output.to_le_bytes());
        }
        bytes
    }

    /// The decision and the phase bit of 32 bytes.
    ///
    /// # Errors
    /// [`UnknownStatus`] when the status byte has no meaning.
    #[inline]
    pub fn from_bytes(bytes: &[u8; DECISION_BYTES]) -> Result<(Self, bool), UnknownStatus> {
        let word = |index: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[8 * index..8 * index + 8]);
            u64::from_le_bytes(word)
        };
        let head = word(0);
        let status = bytes[decision_layout::STATUS.offset];
        let decision = Self {
            tag: head as u32,
            status: Status::from_number(status).ok_or(UnknownStatus { status })?,
            written: bytes[decision_layout::FLAGS.offset] & 7,
            cycles: (head >> 48) as u16,
            outputs: [word(1), word(2), word(3)],
        };
        Ok((decision, bytes[decision_layout::FLAGS.offset] & 0x80 != 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_survives_the_wire() {
        let decision = Decision {
            tag: 0xdead_beef,
            status: Status::Watchdog,
            written: 5,
            cycles: 0x1234,
            outputs: [1, u64::MAX, 1 << 63],
        };
        assert_eq!(Decision::from_bytes(&decision.to_bytes(true)), Ok((decision, true)));
        let mut bytes = decision.to_bytes(false);
        bytes[4] = 99;
        assert_eq!(Decision::from_bytes(&bytes), Err(UnknownStatus { status: 99 }));
    }

    #[test]
    fn the_layouts_cover_their_records_without_gap() {
        for (fields, total) in [
            (event_layout::EVENT_FIELDS, EVENT_BYTES),
            (decision_layout::DECISION_FIELDS, DECISION_BYTES),
        ] {
            let end = fields.iter().fold(0, |end, field| {
                assert_eq!(field.offset, end, "{}", field.name);
                end + field.bytes
            });
            assert_eq!(end, total);
        }
    }
}
