//! Memories that the host fills 64 bits at a time and a unit reads a whole word at a time.

use super::ports::HostRequest;
use rmt_isa::card::engine::{EngineRegion, EngineShape, REGION_BITS};
use rtl_builder::prelude::*;

/// A block RAM whose words are written in parts of at most 64 bits.
pub struct HostMemory {
    memory: SyncMem<UInt>,
    banks: Banks,
}

/// The banks of a region's memory, one behind the other, each at a power of two.
#[derive(Clone, Copy)]
pub struct Banks {
    /// Bits of an address inside one bank.
    address_width: u32,
    /// The bank that units read; none when there is only one.
    active: Option<Bool>,
    /// Words of all banks.
    words: u32,
}

impl Banks {
    /// The banks of a region.
    pub fn of(region: EngineRegion, shape: &EngineShape, host: &HostRequest) -> Self {
        let words = shape.extent(region).words;
        let address_width = bits_for(words.into()).max(1);
        let two = shape.banks == 2;
        let words = if two { (1 << address_width) + words } else { words };
        Self { address_width, active: two.then_some(host.active), words }
    }

    /// Words of all banks together.
    pub fn words(&self) -> u64 {
        self.words.into()
    }

    /// A word of the bank that units read.
    #[track_caller]
    pub fn active(&self, word: UInt) -> UInt {
        self.address(self.active, word)
    }

    /// A word of the bank that the host accesses.
    #[track_caller]
    pub fn of_host(&self, host: &HostRequest, word: UInt) -> UInt {
        self.address(self.active.map(|_| host.bank), word)
    }

    #[track_caller]
    fn address(&self, bank: Option<Bool>, word: UInt) -> UInt {
        let word = word.resize(self.address_width);
        match bank {
            Some(bank) => bank.as_uint().concat(word),
            None => word,
        }
    }
}

impl HostMemory {
    /// The memory of a region. Each part of a word keeps the low `part_bits` of what the host
    /// writes, part 0 in the lowest bits. Writes beyond the last word are lost.
    #[track_caller]
    pub fn new(
        name: &str,
        region: EngineRegion,
        part_bits: u32,
        shape: &EngineShape,
        host: HostRequest,
    ) -> Self {
        let stride = shape.extent(region).stride;
        let banks = Banks::of(region, shape, &host);
        // Units read models that are not being written: the host writes the other bank, or holds events.
        let memory = SyncMem::new(name, uint(part_bits * stride), banks.words())
            .doc(region.doc())
            .collisions_unused();
        let (write, word) = written_word(region, shape, &host);
        let address = banks.of_host(&host, word);
        let part = host.wdata.trunc(part_bits);
        if stride == 1 {
            memory.write(write, address, part);
        } else {
            let part_index = host.address.bits(0..stride.trailing_zeros());
            let lanes = super::lanes::one_hot(part_index, stride);
            let data = part.repeat(stride as usize);
            memory.write_lanes(write, address, data, crate::bits::as_word(&lanes));
        }
        Self { memory, banks }
    }

    /// A memory of one part alone of the words of a region.
    #[track_caller]
    pub fn part(
        name: &str,
        region: EngineRegion,
        part: u32,
        shape: &EngineShape,
        host: HostRequest,
    ) -> Self {
        let banks = Banks::of(region, shape, &host);
        let memory = SyncMem::new(name, uint(64), banks.words()).collisions_unused();
        let (write, word) = written_part(region, part, shape, &host);
        memory.write(write, banks.of_host(&host, word), host.wdata);
        Self { memory, banks }
    }

    /// Width of a word address in a bank, bits.
    pub fn address_width(&self) -> u32 {
        self.banks.address_width
    }

    /// The word at `address` of the active bank, one cycle after `enable`.
    #[track_caller]
    pub fn read(&self, enable: Bool, address: UInt) -> UInt {
        self.memory.read(enable, self.banks.active(address))
    }
}

/// Whether the host writes a part of a word of a region, and the word.
#[track_caller]
fn written_word(region: EngineRegion, shape: &EngineShape, host: &HostRequest) -> (Bool, UInt) {
    let extent = shape.extent(region);
    let offset_bits = shape.offset_bits();
    let chosen = host.address.bits(offset_bits..offset_bits + REGION_BITS).eq(region as u64);
    let word = host.address.bits(extent.stride.trailing_zeros()..offset_bits);
    let inside = match extent.words >> word.width() {
        0 => word.lt(u64::from(extent.words)),
        _ => Bool::lit(true),
    };
    (host.valid & host.write & chosen & inside, word)
}

/// Whether the host writes a certain part of a word of a region, and the word.
#[track_caller]
pub fn written_part(
    region: EngineRegion,
    part: u32,
    shape: &EngineShape,
    host: &HostRequest,
) -> (Bool, UInt) {
    let (write, word) = written_word(region, shape, host);
    match shape.extent(region).stride.trailing_zeros() {
        0 => (write, word),
        bits => (write & host.address.bits(0..bits).eq(u64::from(part)), word),
    }
}
