//! What the card says of itself in PCI configuration space.
//!
//! Configuration space belongs to the PCIe block in front of the card (a hard block on an FPGA,
//! the root-complex model or the vfio-user server in simulation); both take it from here.

/// Vendor id. The range 1af4:10f0 to 10ff is free for experiments; a product needs ids of its own.
pub const VENDOR_ID: u16 = 0x1af4;
/// Device id.
pub const DEVICE_ID: u16 = 0x10f5;
/// Subsystem vendor id.
pub const SUBSYSTEM_VENDOR_ID: u16 = VENDOR_ID;
/// Subsystem id.
pub const SUBSYSTEM_ID: u16 = 0x0001;
/// Class code: processing accelerator (base class 0x12), no subclass, no interface.
pub const CLASS_CODE: u32 = 0x12_0000;
/// Revision id: the version of the register contract.
pub const REVISION_ID: u8 = super::VERSION as u8;

/// A base address register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its number. Its bit in the card's `bar_hit` input is the same.
    pub number: u8,
    /// Size, a power of two, bytes.
    pub bytes: u32,
    /// What it holds.
    pub doc: &'static str,
}

/// Registers, doorbells and inline windows.
pub const REGISTER_BAR: Bar = Bar {
    number: 0,
    bytes: 128 << 10,
    doc: "Registers; from 0x10000 on one page of 4 KiB for each queue pair, with its doorbells and its inline window, which can be mapped to the pair's owner alone.",
};
/// MSI-X table and pending bits, in a BAR of their own so that no mapping of registers shows them.
pub const MSIX_BAR: Bar = Bar { number: 2, bytes: 4096, doc: "MSI-X table and pending bits." };
/// All BARs: 32 bits, memory, not prefetchable.
pub const BARS: &[Bar] = &[REGISTER_BAR, MSIX_BAR];

/// MSI-X vectors of a card: 0 for the admin queue and errors, 1 + q is meant for queue pair q.
pub const fn msix_vectors(queues: u32) -> u32 {
    queues + 1
}
/// First byte of the MSI-X table in its BAR.
pub const MSIX_TABLE_OFFSET: u32 = 0;
/// First byte of the pending bits in the same BAR.
pub const MSIX_PBA_OFFSET: u32 = 0x800;
/// Bytes of an entry of the MSI-X table.
pub const MSIX_ENTRY_BYTES: u32 = 16;
