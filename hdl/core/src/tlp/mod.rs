//! The PCIe endpoint: transactions in, transactions out, nothing of what they mean.
//!
//! ```text
//!  rx ─► receiver ─┬─ words ───► function: writes to BARs, data of completions
//!                  └─ reads ───► completer ◄─► function: registers
//!                                    │ completions
//!  tx ◄─ sender ◄────────────────────┴──── posted writes, read requests ◄─ function
//! ```
//!
//! - [`receive`]: packets become words of the stream's width, and reads of BARs.
//! - [`complete`]: reads of BARs become completions, cut where the rules say.
//! - [`send`]: headers and the order of packets.
//! - [`request`]: the card's own reads: tags, completions in any order and size, time-outs.
//! - [`msix`]: the interrupt table.
//! - [`realign`]: stands before the receiver where the block lets packets begin in the middle of a beat.
//!
//! The boundary is that of the 7-series block: double word (DW) 0 of a packet in the low bits,
//! header DWs as numbers, and in payload DWs the byte of the lowest address in bits 31..24.

pub mod complete;
pub mod msix;
pub mod realign;
pub mod receive;
pub mod request;
pub mod send;

use rtl_builder::prelude::*;

/// DWs of the longest payload that the card sends: 128 bytes, which every link allows.
pub const MAX_PAYLOAD_DWS: u32 = 32;
/// Slots of the card's own reads that fetch events; one more belongs to the admin queue.
pub const FETCH_SLOTS: u32 = 4;
/// The slot of the admin queue.
pub const ADMIN_SLOT: u32 = FETCH_SLOTS;
/// All slots.
pub const READ_SLOTS: u32 = FETCH_SLOTS + 1;
/// Lines of 64 bytes that one slot holds.
pub const SLOT_LINES: u32 = 8;
/// Bits of a line.
pub const LINE_WIDTH: u32 = 512;
/// Bits of a line's number in the largest BAR.
pub const LINE_BITS: u32 = 11;

/// A beat of a packet.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct RxBeat<D: Domain = Main> {
    /// DWs, the first one in the low bits
    pub data: UInt<D>,
    /// Bytes that are there; whole DWs
    pub keep: UInt<D>,
    /// The packet's last beat
    pub last: Bool<D>,
    /// BARs that the packet's address hits, by number; the same in all beats
    pub bar_hit: UInt<D>,
}

impl<D: Domain> RxBeat<D> {
    /// The shape for a stream of `bits` bits.
    pub fn shape(bits: u32) -> Self {
        Self {
            data: UInt::of(bits),
            keep: UInt::of(bits / 8),
            last: Bool::of(),
            bar_hit: UInt::of(7),
        }
    }
}

/// A beat of a packet that the card sends.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct TxBeat<D: Domain = Main> {
    /// DWs, the first one in the low bits
    pub data: UInt<D>,
    /// Bytes that are there; whole DWs
    pub keep: UInt<D>,
    /// The packet's last beat
    pub last: Bool<D>,
}

impl<D: Domain> TxBeat<D> {
    /// The shape for a stream of `bits` bits.
    pub fn shape(bits: u32) -> Self {
        Self { data: UInt::of(bits), keep: UInt::of(bits / 8), last: Bool::of() }
    }
}

/// Signals of configuration space, from the PCIe block; they change rarely.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Sideband<D: Domain = Main> {
    /// Bus, device and function number
    pub completer_id: UInt<D>,
    /// Largest payload: 128 bytes shifted left by this; the card sends 128 at most
    pub max_payload: UInt<D>,
    /// Largest read request: 128 bytes shifted left by this
    pub max_read_request: UInt<D>,
    /// The card may send memory requests
    pub bus_master: Bool<D>,
    /// MSI-X is enabled
    pub msix_enable: Bool<D>,
    /// All vectors are masked
    pub msix_mask: Bool<D>,
    /// The link is up; while it is not, the function is in reset
    pub link_up: Bool<D>,
    /// Function-level reset, for at least one cycle
    pub function_reset: Bool<D>,
}

impl<D: Domain> Sideband<D> {
    /// The shape.
    pub fn shape() -> Self {
        Self {
            completer_id: UInt::of(16),
            max_payload: UInt::of(3),
            max_read_request: UInt::of(3),
            bus_master: Bool::of(),
            msix_enable: Bool::of(),
            msix_mask: Bool::of(),
            link_up: Bool::of(),
            function_reset: Bool::of(),
        }
    }
}

/// Some bytes of an aligned word of the stream's width, wherever in the packet they came.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct RxWord {
    /// Data of a completion; else a write to a BAR
    pub completion: Bool,
    /// The first word of its packet
    pub first: Bool,
    /// The last word of its packet
    pub last: Bool,
    /// It is not taken at once: the first word of a completion, or a write to the window onto the core
    pub waits: Bool,
    /// Writes: the BAR with the MSI-X table, else the registers
    pub msix: Bool,
    /// Writes: number of the line in the BAR
    pub line: UInt,
    /// The bytes, and where in the line
    pub bytes: LineBytes,
    /// Completions: what the packet's header says
    pub header: CompletionHeader,
}

/// What the header of a completion says.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct CompletionHeader {
    /// Requester
    pub requester: UInt,
    /// Tag of the request
    pub tag: UInt,
    /// Completion status; 0 is success
    pub status: UInt,
    /// The data is poisoned
    pub poisoned: Bool,
    /// There is no data to be kept: it has another status, is poisoned or carries none
    pub fails: Bool,
    /// Bytes that remain, these included; 0 means 4096
    pub byte_count: UInt,
    /// Lowest bits of the first byte's address
    pub lower_address: UInt,
    /// DWs of data, 0 if it carries none
    pub dws: UInt,
    /// They are no more than the bytes that remain, or it fails
    pub fits: Bool,
    /// They are all of them
    pub ends: Bool,
}

impl RxWord {
    /// The shape for a stream of `bits` bits.
    pub fn shape(bits: u32) -> Self {
        Self {
            completion: boolean(),
            first: boolean(),
            last: boolean(),
            waits: boolean(),
            msix: boolean(),
            line: uint(LINE_BITS),
            bytes: LineBytes::shape(bits),
            header: CompletionHeader::shape(),
        }
    }
}

/// Some bytes of one word of a line of 64 bytes.
///
/// The line itself is nowhere: what keeps a part of it takes that part's bytes from [`Self::line`],
/// which are wires, when [`Self::line_enables`] says so.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct LineBytes {
    /// Number of the word in the line
    pub place: UInt,
    /// Byte i of the word in bits 8i+7..8i
    pub word: UInt,
    /// Bytes that are there
    pub enables: UInt,
}

impl LineBytes {
    /// The shape for words of `bits` bits.
    pub fn shape(bits: u32) -> Self {
        Self { place: uint(place_bits(bits)), word: uint(bits), enables: uint(bits / 8) }
    }

    /// The line: byte i in bits 8i+7..8i. Bytes that are not there have any value.
    pub(crate) fn line(&self) -> UInt {
        join(&vec![self.word; (LINE_WIDTH / self.word.width()) as usize])
    }

    /// Bytes of the line that are there.
    pub(crate) fn line_enables(&self) -> UInt {
        let none = UInt::lit(0, self.enables.width());
        let words = 0..LINE_WIDTH / self.word.width();
        join(&words.map(|word| mux(self.place.eq(word), self.enables, none)).collect::<Vec<_>>())
    }
}

impl CompletionHeader {
    /// The shape.
    pub fn shape() -> Self {
        Self {
            requester: uint(16),
            tag: uint(8),
            status: uint(3),
            poisoned: boolean(),
            fails: boolean(),
            byte_count: uint(12),
            lower_address: uint(7),
            dws: uint(11),
            fits: boolean(),
            ends: boolean(),
        }
    }
}

/// A request that wants an answer.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct ReadRequest {
    /// It is no read of a BAR: the answer is `unsupported request`
    pub unsupported: Bool,
    /// The BAR with the MSI-X table, else the registers
    pub msix: Bool,
    /// First DW in the BAR
    pub dw: UInt,
    /// DWs, 1 to 1024
    pub dws: UInt,
    /// Bytes of the first DW
    pub first_enables: UInt,
    /// Bytes of the last DW, if there are several
    pub last_enables: UInt,
    /// Requester
    pub requester: UInt,
    /// Its tag
    pub tag: UInt,
    /// Traffic class
    pub class: UInt,
    /// Attributes, to be given back
    pub attributes: UInt,
}

impl ReadRequest {
    /// The shape.
    pub fn shape() -> Self {
        Self {
            unsupported: boolean(),
            msix: boolean(),
            dw: uint(LINE_BITS + 4),
            dws: uint(11),
            first_enables: uint(4),
            last_enables: uint(4),
            requester: uint(16),
            tag: uint(8),
            class: uint(3),
            attributes: uint(3),
        }
    }
}

/// A write of the card to host memory, which does not cross a line of 64 bytes.
///
/// Its data are read beat by beat: the sender says which beat of the stream's width it wants
/// ([`shown`]), and takes the write with the last one.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct PostedWrite {
    /// Bus address, a multiple of 4
    pub address: UInt,
    /// It [`is_long`]
    pub long: Bool,
    /// DWs, 1 to 16
    pub dws: UInt,
    /// The beat of the data that is asked for, byte i in bits 8i+7..8i
    pub data: UInt,
}

impl PostedWrite {
    /// The shape for a stream of `bits` bits.
    pub fn shape(bits: u32) -> Self {
        Self { address: uint(64), long: boolean(), dws: uint(5), data: uint(bits) }
    }

    /// A write to an address, of which [`is_long`] was said beforehand.
    pub(crate) fn new(address: UInt, long: Bool, dws: UInt, data: UInt) -> Self {
        Self { address, long, dws, data }
    }
}

/// A read of host memory, of whole lines, inside 4 KiB.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct ReadOrder {
    /// Slot that it fills, and its tag
    pub slot: UInt,
    /// Bus address, a multiple of 64
    pub address: UInt,
    /// It [`is_long`]
    pub long: Bool,
    /// Lines of 64 bytes, 1 to 8
    pub lines: UInt,
}

impl ReadOrder {
    /// The shape.
    pub fn shape() -> Self {
        Self { slot: uint(3), address: uint(64), long: boolean(), lines: uint(4) }
    }

    /// A read from an address.
    pub(crate) fn new(slot: UInt, address: UInt, lines: UInt) -> Self {
        Self { slot, address, long: is_long(address), lines }
    }
}

/// A completion that the card sends. Its data are read beat by beat as those of a [`PostedWrite`].
#[derive(Clone, Copy, Debug, Bundle)]
pub struct SentCompletion {
    /// The request is not supported; no data
    pub unsupported: Bool,
    /// DWs of data, 1 to 32; 0 without
    pub dws: UInt,
    /// Bytes that remain, these included
    pub byte_count: UInt,
    /// Lowest bits of the first byte's address
    pub lower_address: UInt,
    /// Requester
    pub requester: UInt,
    /// Its tag
    pub tag: UInt,
    /// Traffic class
    pub class: UInt,
    /// Attributes of the request
    pub attributes: UInt,
    /// The beat of the data that is asked for, byte i in bits 8i+7..8i
    pub data: UInt,
}

impl SentCompletion {
    /// The shape for a stream of `bits` bits.
    pub fn shape(bits: u32) -> Self {
        Self {
            unsupported: boolean(),
            dws: uint(6),
            byte_count: uint(12),
            lower_address: uint(7),
            requester: uint(16),
            tag: uint(8),
            class: uint(3),
            attributes: uint(3),
            data: uint(bits),
        }
    }
}

/// Bits of the number of a word of `bits` bits in a line.
pub(crate) fn place_bits(bits: u32) -> u32 {
    (LINE_WIDTH / bits).ilog2()
}

/// Bits of the number of a beat, for the longest payload in a stream of `bits` bits.
pub(crate) fn beat_bits(bits: u32) -> u32 {
    (32 * MAX_PAYLOAD_DWS / bits).ilog2()
}

/// The beat of `data` that the sender wants, in a stream of `bits` bits.
pub(crate) fn shown(data: UInt, beat: UInt, bits: u32) -> UInt {
    let beats: Vec<UInt> =
        (0..data.width() / bits).map(|beat| data.bits(bits * beat..bits * (beat + 1))).collect();
    select(beat.bits(0..(beats.len() as u32).ilog2()), &beats)
}

/// An address is above 4 GiB, so that the header of its packet has a DW more. Who has the address says so: it does not
/// lie behind the choice of the packet.
pub(crate) fn is_long(address: UInt) -> Bool {
    !address.bits(32..64).is_zero()
}

/// The bytes of a DW in opposite order: between numbers and payload.
pub(crate) fn swap(dw: UInt) -> UInt {
    cat(&[dw.bits(0..8), dw.bits(8..16), dw.bits(16..24), dw.bits(24..32)])
}

/// The DWs of a signal, the lowest first.
pub(crate) fn dws(value: UInt) -> Vec<UInt> {
    (0..value.width() / 32).map(|dw| value.bits(32 * dw..32 * (dw + 1))).collect()
}

/// Signals joined, the first one lowest.
pub(crate) fn join(parts: &[UInt]) -> UInt {
    cat(&parts.iter().rev().copied().collect::<Vec<_>>())
}
