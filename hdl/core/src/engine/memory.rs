//! Memories that the host fills 64 bits at a time and a unit reads a whole word at a time.

use super::ports::HostRequest;
use rmt_isa::card::engine::{EngineRegion, EngineShape, REGION_BITS};
use rtl_builder::prelude::*;

/// A block RAM whose words are written in parts of at most 64 bits.
pub struct HostMemory {
    memory: SyncMem<UInt>,
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
        let memory = SyncMem::new(name, uint(part_bits * extent.stride), extent.words.into())
            .doc(region.doc());
        let offset_bits = shape.offset_bits();
        let chosen = host.address.bits(offset_bits..offset_bits + REGION_BITS).eq(region as u64);
        let part_index_bits = extent.stride.trailing_zeros();
        let word = host.address.bits(part_index_bits..offset_bits);
        let inside = match extent.words >> word.width() {
            0 => word.lt(u64::from(extent.words)),
            _ => Bool::lit(true),
        };
        let write = host.valid & host.write & chosen & inside;
        let address = word.resize(memory.address_width());
        let part = host.wdata.trunc(part_bits);
        if extent.stride == 1 {
            memory.write(write, address, part);
        } else {
            let part_index = host.address.bits(0..part_index_bits);
            let lanes = super::lanes::one_hot(part_index, extent.stride);
            let data = part.repeat(extent.stride as usize);
            memory.write_lanes(write, address, data, super::lanes::join_bools(&lanes));
        }
        Self { memory }
    }

    /// Width of a word address, bits.
    pub fn address_width(&self) -> u32 {
        self.memory.address_width()
    }

    /// The word at `address`, one cycle after `enable`.
    #[track_caller]
    pub fn read(&self, enable: Bool, address: UInt) -> UInt {
        self.memory.read(enable, address.resize(self.memory.address_width()))
    }
}
