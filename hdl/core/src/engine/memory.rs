//! Memories that the host fills 64 bits at a time and a unit reads a whole word at a time.

use super::ports::HostRequest;
use rmt_isa::card::engine::{EngineRegion, EngineShape, REGION_BITS};
use rtl_builder::prelude::*;

/// A block RAM whose words are written in parts of at most 64 bits.
pub struct HostMemory {
    memory: SyncMem<UInt>,
    /// Bits of an address inside one bank.
    address_width: u32,
    /// The bank that units read; none when there is only one.
    active: Option<Bool>,
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
        let extent = shape.extent(region);
        // Two banks stand one behind the other, each at a power of two.
        let address_width = bits_for(extent.words.into()).max(1);
        let two = shape.banks == 2;
        let words = if two { (1 << address_width) + extent.words } else { extent.words };
        let memory =
            SyncMem::new(name, uint(part_bits * extent.stride), words.into()).doc(region.doc());
        let offset_bits = shape.offset_bits();
        let chosen = host.address.bits(offset_bits..offset_bits + REGION_BITS).eq(region as u64);
        let part_index_bits = extent.stride.trailing_zeros();
        let word = host.address.bits(part_index_bits..offset_bits);
        let inside = match extent.words >> word.width() {
            0 => word.lt(u64::from(extent.words)),
            _ => Bool::lit(true),
        };
        let write = host.valid & host.write & chosen & inside;
        let address = word.resize(address_width);
        let address = if two { host.bank.as_uint().concat(address) } else { address };
        let part = host.wdata.trunc(part_bits);
        if extent.stride == 1 {
            memory.write(write, address, part);
        } else {
            let part_index = host.address.bits(0..part_index_bits);
            let lanes = super::lanes::one_hot(part_index, extent.stride);
            let data = part.repeat(extent.stride as usize);
            memory.write_lanes(write, address, data, super::lanes::join_bools(&lanes));
        }
        Self { memory, address_width, active: two.then_some(host.active) }
    }

    /// Width of a word address, bits.
    pub fn address_width(&self) -> u32 {
        self.address_width
    }

    /// The word at `address` of the active bank, one cycle after `enable`.
    #[track_caller]
    pub fn read(&self, enable: Bool, address: UInt) -> UInt {
        let address = address.resize(self.address_width);
        let address = match self.active {
            Some(bank) => bank.as_uint().concat(address),
            None => address,
        };
        self.memory.read(enable, address)
    }
}
