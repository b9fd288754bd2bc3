//! Host memory behind a map like an IOMMU's, for tests and for drivers in this process.

use std::collections::BTreeMap;

use super::interface::{DmaFault, HostMemory};

const PAGE: u64 = 4096;

/// Pages of 4 KiB that are mapped one by one; what is not mapped refuses.
#[derive(Clone, Debug, Default)]
pub struct PagedMemory {
    pages: BTreeMap<u64, Page>,
    /// Interrupt messages in order: address and data.
    pub interrupts: Vec<(u64, u32)>,
}

#[derive(Clone, Debug)]
struct Page {
    bytes: Vec<u8>,
    writable: bool,
}

impl PagedMemory {
    /// Maps zeroed pages that cover a range.
    pub fn map(&mut self, address: u64, bytes: u64, writable: bool) {
        for page in address / PAGE..(address + bytes).div_ceil(PAGE) {
            let bytes = vec![0; PAGE as usize];
            self.pages.insert(page, Page { bytes, writable });
        }
    }

    /// Takes the pages of a range away.
    pub fn unmap(&mut self, address: u64, bytes: u64) {
        for page in address / PAGE..(address + bytes).div_ceil(PAGE) {
            self.pages.remove(&page);
        }
    }

    /// Writes as the host does, into read-only pages too.
    ///
    /// # Errors
    /// [`DmaFault::Unmapped`].
    pub fn poke(&mut self, address: u64, bytes: &[u8]) -> Result<(), DmaFault> {
        for (index, &byte) in bytes.iter().enumerate() {
            let at = address + index as u64;
            let page = self.pages.get_mut(&(at / PAGE));
            page.ok_or(DmaFault::Unmapped { address: at })?.bytes[(at % PAGE) as usize] = byte;
        }
        Ok(())
    }
}

impl HostMemory for PagedMemory {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), DmaFault> {
        for (index, byte) in bytes.iter_mut().enumerate() {
            let at = address + index as u64;
            let page = self.pages.get(&(at / PAGE)).ok_or(DmaFault::Unmapped { address: at })?;
            *byte = page.bytes[(at % PAGE) as usize];
        }
        Ok(())
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), DmaFault> {
        let last = address + bytes.len().saturating_sub(1) as u64;
        for page in address / PAGE..=last / PAGE {
            match self.pages.get(&page) {
                None => return Err(DmaFault::Unmapped { address: address.max(page * PAGE) }),
                Some(page) if !page.writable => return Err(DmaFault::ReadOnly { address }),
                Some(_) => {}
            }
        }
        self.poke(address, bytes)
    }

    fn interrupt(&mut self, address: u64, data: u32) {
        self.interrupts.push((address, data));
    }
}
