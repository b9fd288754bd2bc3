//! What the driver needs of a card and of the machine around it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rmt_isa::device::registers::{LINE_BYTES, Register};

use crate::error::DriverError;
use crate::memory::DmaMemory;

/// A card with its registers, its way to memory and its interrupts.
///
/// Register accesses cannot fail by themselves: a card that is gone reads as all ones and ignores
/// writes, as on a real bus. The owner of a doubt reads a register that is never all ones.
///
/// All methods take `&self`, so that queue pairs of one card can be used by different threads
/// where the implementation is `Sync`.
pub trait Device {
    /// What this card is called in messages: its PCI address, or which model it is.
    fn name(&self) -> &str;

    /// Reads 4 bytes of a BAR.
    fn read32(&self, bar: u8, offset: u32) -> u32;

    /// Writes 4 bytes of a BAR.
    fn write32(&self, bar: u8, offset: u32, value: u32);

    /// Writes 8 bytes of a BAR, as one transaction where the machine can.
    fn write64(&self, bar: u8, offset: u32, value: u64);

    /// Writes a line of 64 bytes, as one transaction where the machine can, else in order.
    fn write_line(&self, bar: u8, offset: u32, line: &[u8; LINE_BYTES as usize]);

    /// Memory that the card may read and write, zeroed and aligned to 4 KiB.
    ///
    /// # Errors
    /// When there is none, or the IOMMU takes no more.
    fn allocate(&self, bytes: usize) -> Result<Arc<DmaMemory>, DriverError>;

    /// Lets the card raise its first `vectors` interrupts.
    ///
    /// # Errors
    /// When the card has fewer.
    fn enable_interrupts(&self, vectors: u32) -> Result<(), DriverError>;

    /// Waits until an interrupt was raised since the last wait; false when `limit` has passed.
    ///
    /// # Errors
    /// When it is not enabled.
    fn wait_interrupt(&self, vector: u32, limit: Duration) -> Result<bool, DriverError>;

    /// A descriptor that can be read when an interrupt was raised since the last time: 8 bytes,
    /// as those of Linux's event descriptors. For event loops. `None` where nothing happens between
    /// two calls of this trait, as with a model in this process: such a card is polled.
    ///
    /// # Errors
    /// When the interrupt is not enabled.
    fn interrupt_descriptor(&self, _vector: u32) -> Result<Option<OwnedFd>, DriverError> {
        Ok(None)
    }

    /// Puts the interrupts that are enabled into force again: a reset by the card's register
    /// masks them, of which the kernel does not know.
    ///
    /// # Errors
    /// When the machine refuses.
    fn restore_interrupts(&self) -> Result<(), DriverError> {
        Ok(())
    }

    /// Resets the function as a whole (FLR) and allows it to master the bus again.
    ///
    /// # Errors
    /// When the card or the machine cannot.
    fn reset_function(&self) -> Result<(), DriverError>;

    /// Time since some moment in the past. It never goes back.
    fn now(&self) -> Duration;

    /// Time within which the card must do whatever it does by itself: a reset, an admin command.
    /// A virtual card may be an RTL simulation on a busy machine, so this is long.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }

    /// Passes a moment between two looks at memory that the card will write.
    fn relax(&self);

    /// Reads a register of a copy of its block.
    fn read(&self, register: Register, copy: u32) -> u64 {
        let (bar, offset) = (register.block.bar, register.at(copy));
        let low = u64::from(self.read32(bar, offset));
        match register.bytes {
            8 => low | u64::from(self.read32(bar, offset + 4)) << 32,
            _ => low,
        }
    }

    /// Writes a register of a copy of its block.
    fn write(&self, register: Register, copy: u32, value: u64) {
        let (bar, offset) = (register.block.bar, register.at(copy));
        match register.bytes {
            8 => self.write64(bar, offset, value),
            _ => self.write32(bar, offset, value as u32),
        }
    }
}

impl<D: Device + ?Sized> Device for Arc<D> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn read32(&self, bar: u8, offset: u32) -> u32 {
        (**self).read32(bar, offset)
    }
    fn write32(&self, bar: u8, offset: u32, value: u32) {
        (**self).write32(bar, offset, value);
    }
    fn write64(&self, bar: u8, offset: u32, value: u64) {
        (**self).write64(bar, offset, value);
    }
    fn write_line(&self, bar: u8, offset: u32, line: &[u8; LINE_BYTES as usize]) {
        (**self).write_line(bar, offset, line);
    }
    fn allocate(&self, bytes: usize) -> Result<Arc<DmaMemory>, DriverError> {
        (**self).allocate(bytes)
    }
    fn enable_interrupts(&self, vectors: u32) -> Result<(), DriverError> {
        (**self).enable_interrupts(vectors)
    }
    fn wait_interrupt(&self, vector: u32, limit: Duration) -> Result<bool, DriverError> {
        (**self).wait_interrupt(vector, limit)
    }
    fn interrupt_descriptor(&self, vector: u32) -> Result<Option<OwnedFd>, DriverError> {
        (**self).interrupt_descriptor(vector)
    }
    fn restore_interrupts(&self) -> Result<(), DriverError> {
        (**self).restore_interrupts()
    }
    fn reset_function(&self) -> Result<(), DriverError> {
        (**self).reset_function()
    }
    fn now(&self) -> Duration {
        (**self).now()
    }
    fn patience(&self) -> Duration {
        (**self).patience()
    }
    fn relax(&self) {
        (**self).relax();
    }
}
