//! Every register with its place. A block of registers may stand several times, once for each
//! queue pair.
//!
//! Registers are little-endian, and may be read and written with any byte enables and any size;
//! what is not listed reads as zero and ignores writes.

use super::pci::{MSIX_BAR, REGISTER_BAR};

/// How a register may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    ReadWrite,
    /// Written only; reads as zero.
    Write,
    /// Read; writing ones clears these bits.
    ReadClear,
}

impl Access {
    /// For the reference page.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::ReadWrite => "read, write",
            Self::Write => "write",
            Self::ReadClear => "read, ones clear",
        }
    }
}

/// How often a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    /// Once.
    One,
    /// Once for each queue pair.
    Pairs,
    /// Once for each MSI-X vector.
    Vectors,
}

/// Some registers side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Name.
    pub name: &'static str,
    /// Number of its BAR.
    pub bar: u8,
    /// First byte of the first copy.
    pub base: u32,
    /// Bytes from a copy to the next.
    pub stride: u32,
    /// How often it stands.
    pub copies: Copies,
    /// What it is for.
    pub doc: &'static str,
}

impl Block {
    /// First byte of a copy.
    pub const fn at(self, copy: u32) -> u32 {
        self.base + copy * self.stride
    }
}

/// A register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register {
    /// Name.
    pub name: &'static str,
    /// The block that holds it.
    pub block: Block,
    /// First byte in the block.
    pub offset: u32,
    /// 4 or 8 bytes, aligned to itself.
    pub bytes: u32,
    /// How it may be used.
    pub access: Access,
    /// Meaning.
    pub doc: &'static str,
}

impl Register {
    /// First byte in the BAR, of the register in one copy of its block.
    pub const fn at(self, copy: u32) -> u32 {
        self.block.at(copy) + self.offset
    }
}

/// Bytes of a line: the unit in which the card takes writes.
pub const LINE_BYTES: u32 = 64;
/// Bytes of the page of a queue pair.
pub const PAIR_PAGE_BYTES: u32 = 4096;
/// First byte of the inline window in the page of a queue pair.
pub const INLINE_OFFSET: u32 = 0x800;
/// Lines of the inline window.
pub const INLINE_LINES: u32 = 32;
/// Words of 64 bits of the core that the window shows at once.
pub const CORE_WINDOW_WORDS: u32 = 256;

macro_rules! blocks {
    ($($(#[doc = $doc:literal])* $name:ident = $bar:expr, $base:expr, $stride:expr, $copies:ident;)*) => {
        $($(#[doc = $doc])* pub const $name: Block = Block {
            name: stringify!($name), bar: $bar.number, base: $base, stride: $stride,
            copies: Copies::$copies, doc: concat!($($doc),*),
        };)*
        /// All blocks, by place.
        pub const BLOCKS: &[Block] = &[$($name),*];
    };
}

blocks! {
    /// What the card is.
    IDENTITY = REGISTER_BAR, 0x000, 0, One;
    /// The whole function.
    FUNCTION = REGISTER_BAR, 0x040, 0, One;
    /// Counters of 32 bits; they wrap, and are 0 after a reset.
    COUNTERS = REGISTER_BAR, 0x080, 0, One;
    /// Rings of the admin queue; the same registers as `PAIR`.
    ADMIN_PAIR = REGISTER_BAR, 0x0c0, 0, One;
    /// Doorbells of the admin queue; the same registers as `PAGE`.
    ADMIN_PAGE = REGISTER_BAR, 0x100, 0, One;
    /// Words of the core: word i of the window is word `CORE_PAGE` * 256 + i of the host memory map, low half first. A write of both halves at once writes the word; other writes are ignored.
    CORE_WINDOW = REGISTER_BAR, 0x800, 0, One;
    /// Rings and rights of a queue pair, for whoever owns the card.
    PAIR = REGISTER_BAR, 0x1000, 0x40, Pairs;
    /// Doorbells and state of a queue pair, for its owner.
    PAGE = REGISTER_BAR, 0x10000, PAIR_PAGE_BYTES, Pairs;
    /// Inline window of a queue pair, 2 KiB of its page: 64 bytes written to a line are one event. Which line is said by `ring::inline_line`. The event is complete with the write of the line's last four bytes; the others must have come before it.
    INLINE = REGISTER_BAR, 0x10000 + INLINE_OFFSET, PAIR_PAGE_BYTES, Pairs;
    /// MSI-X table.
    MSIX_TABLE = MSIX_BAR, super::pci::MSIX_TABLE_OFFSET, super::pci::MSIX_ENTRY_BYTES, Vectors;
    /// MSI-X pending bits.
    MSIX_PENDING = MSIX_BAR, super::pci::MSIX_PBA_OFFSET, 0, One;
}

macro_rules! registers {
    ($($block:ident { $($(#[doc = $doc:literal])* $name:ident @ $offset:literal, $bytes:literal, $access:ident;)* })*) => {
        $($($(#[doc = $doc])* pub const $name: Register = Register {
            name: stringify!($name), block: $block, offset: $offset, bytes: $bytes,
            access: Access::$access, doc: concat!($($doc),*),
        };)*)*
        /// All registers, by block and place.
        pub const REGISTERS: &[Register] = &[$($($name),*),*];
    };
}

registers! {
    IDENTITY {
        /// "RMT card" in ASCII, the first letter in the low byte.
        MAGIC @ 0x00, 8, Read;
        /// Version of the register contract.
        VERSION @ 0x08, 4, Read;
        /// Queue pairs for events.
        QUEUES @ 0x0c, 4, Read;
        /// Inline events of one pair that the card can hold before the core takes them.
        INLINE_SLOTS @ 0x10, 4, Read;
        /// MSI-X vectors.
        VECTORS @ 0x14, 4, Read;
        /// Width of the streams of PCIe transactions, bits.
        STREAM_BITS @ 0x18, 4, Read;
    }
    FUNCTION {
        /// Reset.
        CONTROL @ 0x00, 4, Write;
        /// State.
        STATUS @ 0x04, 4, Read;
        /// Errors.
        ERRORS @ 0x08, 4, ReadClear;
        /// Bit q: queue pair q has failed.
        FAILED_PAIRS @ 0x0c, 4, Read;
        /// Cycles after which the card gives up on a read of host memory; at least 64.
        READ_TIMEOUT @ 0x10, 4, ReadWrite;
        /// Which words of the core the window shows: words `CORE_PAGE` * 256 on. 0 are the capability words.
        CORE_PAGE @ 0x14, 4, ReadWrite;
        /// Cycles since the reset.
        CYCLES @ 0x18, 8, Read;
    }
    COUNTERS {
        /// Transactions received.
        RX_TLPS @ 0x00, 4, Read;
        /// Transactions sent.
        TX_TLPS @ 0x04, 4, Read;
        /// Events that came inline.
        INLINE_EVENTS @ 0x08, 4, Read;
        /// Events that were fetched from rings.
        RING_EVENTS @ 0x0c, 4, Read;
        /// Decisions written.
        DECISIONS @ 0x10, 4, Read;
        /// Decisions of stopped pairs, not written.
        DECISIONS_DROPPED @ 0x14, 4, Read;
        /// Events of a hook that their pair may not send.
        HOOKS_REFUSED @ 0x18, 4, Read;
        /// Interrupts sent.
        INTERRUPTS @ 0x1c, 4, Read;
        /// Reads of host memory sent.
        READ_REQUESTS @ 0x20, 4, Read;
        /// Admin commands ended.
        ADMIN_COMMANDS @ 0x24, 4, Read;
        /// Requests answered with `unsupported request`, or dropped.
        UNSUPPORTED @ 0x28, 4, Read;
        /// Poisoned transactions.
        POISONED @ 0x2c, 4, Read;
        /// Completions that no read waited for.
        UNEXPECTED @ 0x30, 4, Read;
        /// Reads without answer in time.
        TIMEOUTS @ 0x34, 4, Read;
        /// Transactions that could not be decoded.
        MALFORMED @ 0x38, 4, Read;
        /// Reads that the host refused.
        READS_REFUSED @ 0x3c, 4, Read;
    }
    PAIR {
        /// Bus address of the event ring (admin queue: of the command ring), a multiple of 4096.
        EVENT_RING @ 0x00, 8, ReadWrite;
        /// Bus address of the completion ring, a multiple of 4096.
        COMPLETION_RING @ 0x08, 8, ReadWrite;
        /// Sizes of the rings.
        RINGS @ 0x10, 4, ReadWrite;
        /// Interrupt of the pair.
        INTERRUPT @ 0x14, 4, ReadWrite;
        /// Moderation of the interrupt.
        MODERATION @ 0x18, 4, ReadWrite;
        /// Protection domain.
        DOMAIN @ 0x1c, 4, ReadWrite;
        /// Allowed hooks; unused by the admin queue.
        HOOKS @ 0x20, 8, ReadWrite;
        /// Start and stop. Write it last.
        PAIR_CONTROL @ 0x28, 4, ReadWrite;
    }
    PAGE {
        /// Doorbell: index behind the last event in the ring.
        EVENT_TAIL @ 0x00, 4, ReadWrite;
        /// Doorbell: index of the first decision that the driver has not taken.
        COMPLETION_HEAD @ 0x04, 4, ReadWrite;
        /// State of the pair.
        PAIR_STATUS @ 0x08, 4, Read;
        /// Index of the first event of the ring that the card has not accepted.
        EVENT_HEAD @ 0x0c, 4, Read;
        /// Index behind the last decision written.
        COMPLETION_TAIL @ 0x10, 4, Read;
        /// Completion places promised to events inside the card.
        OUTSTANDING @ 0x14, 4, Read;
    }
    MSIX_TABLE {
        /// Address of the interrupt's write.
        MSIX_ADDRESS @ 0x00, 8, ReadWrite;
        /// Its data.
        MSIX_DATA @ 0x08, 4, ReadWrite;
        /// Mask.
        MSIX_CONTROL @ 0x0c, 4, ReadWrite;
    }
    MSIX_PENDING {
        /// Bit v: vector v waits for its mask to be cleared.
        MSIX_PENDING_BITS @ 0x00, 8, Read;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_aligned_and_do_not_overlap() {
        for block in BLOCKS {
            let mut end = 0;
            for register in REGISTERS.iter().filter(|register| register.block == *block) {
                assert!(register.offset >= end && register.offset % register.bytes == 0);
                // A register never leaves its line.
                assert!(register.offset + register.bytes <= LINE_BYTES, "{}", register.name);
                end = register.offset + register.bytes;
            }
        }
    }

    #[test]
    fn names_are_unique_and_blocks_fit_their_bar() {
        for (index, register) in REGISTERS.iter().enumerate() {
            assert!(REGISTERS[..index].iter().all(|other| other.name != register.name));
        }
        for block in BLOCKS {
            let copies = match block.copies {
                Copies::One => 1,
                Copies::Pairs => super::super::MAX_QUEUES,
                Copies::Vectors => super::super::pci::msix_vectors(super::super::MAX_QUEUES),
            };
            let bar = super::super::pci::BARS.iter().find(|bar| bar.number == block.bar).unwrap();
            assert!(block.at(copies - 1) < bar.bytes, "{}", block.name);
        }
    }
}
