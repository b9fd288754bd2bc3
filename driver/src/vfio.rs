//! A card behind VFIO: on a board, or virtual in a guest.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmt_isa::device::pci::REGISTER_BAR;
use rmt_isa::device::registers::LINE_BYTES;
use vfio_bindings::bindings::vfio::{
    VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSIX_IRQ_INDEX, VFIO_REGION_INFO_FLAG_MMAP,
};
use vfio_ioctls::{VfioContainer, VfioError, VfioOps};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::binding::VFIO_DRIVER;
use crate::device::Device;
use crate::discovery::PciCard;
use crate::error::DriverError;
use crate::lock::CardLock;
use crate::memory::{DmaMemory, Window, duplicate, wait_readable};

/// First bus address that is given out: above 4 GiB, far from where interrupts are written.
pub(crate) const FIRST_BUS_ADDRESS: u64 = 1 << 32;
/// Memory regions begin at multiples of this: the size of a huge page.
pub(crate) const ADDRESS_STEP: u64 = 2 << 20;
/// The command register of PCI, and in it: memory on, bus master on.
pub(crate) const COMMAND: u64 = 4;
pub(crate) const MEMORY_AND_MASTER: u16 = 6;
/// So often the driver looks at its rings without a pause; a card that has not answered by then
/// is a simulation, which needs the processor itself.
const EAGER_LOOKS: u32 = 2000;
/// The pause between two looks from then on.
const PAUSE: Duration = Duration::from_micros(20);

/// A card that this process owns through VFIO.
pub struct VfioDevice {
    address: String,
    registers: Window,
    interrupts: Mutex<Vec<EventFd>>,
    mappings: Mutex<Mappings>,
    begun: Instant,
    huge_pages: bool,
    /// Looks at rings since something was last written to the card.
    looks: AtomicU32,
    // Closed in this order.
    device: vfio_ioctls::VfioDevice,
    container: Arc<VfioContainer>,
    _lock: CardLock,
}

/// What the card can reach. The memory lives as long as the device.
struct Mappings {
    memory: Vec<Arc<DmaMemory>>,
    next_address: u64,
}

impl VfioDevice {
    /// Opens a card.
    ///
    /// # Errors
    /// Each obstacle has an error of its own that says how it is removed: no IOMMU, another
    /// driver, no permission, another owner.
    pub fn open(card: &PciCard, huge_pages: bool) -> Result<Arc<Self>, DriverError> {
        let address = &card.address;
        let Some(group) = card.iommu_group else {
            return Err(DriverError::NoIommu { address: address.clone() });
        };
        if card.driver.as_deref() != Some(VFIO_DRIVER) {
            let driver = card.driver.clone();
            return Err(DriverError::WrongDriver { address: address.clone(), driver });
        }
        let lock = CardLock::take(address)?;
        let container = VfioContainer::new(None)
            .map_err(|error| vfio_error("opening the container", group, address, error))?;
        let container = Arc::new(container);
        let operations: Arc<dyn VfioOps> = container.clone();
        let device = vfio_ioctls::VfioDevice::new(&card.folder, operations, false)
            .map_err(|error| vfio_error("opening the card", group, address, error))?;
        let bar = u32::from(REGISTER_BAR.number);
        let (bytes, flags) = (device.get_region_size(bar), device.get_region_flags(bar));
        if bytes < REGISTER_BAR.bytes.into() || flags & VFIO_REGION_INFO_FLAG_MMAP == 0 {
            let reason = format!("BAR {bar} has {bytes} bytes and flags {flags:#x}, no card's");
            return Err(DriverError::Vfio { doing: "mapping the registers", reason });
        }
        let registers = Window::map(&device, device.get_region_offset(bar), bytes as usize)
            .map_err(|error| DriverError::Vfio {
                doing: "mapping the registers",
                reason: error.to_string(),
            })?;
        let opened = Self {
            address: address.clone(),
            registers,
            interrupts: Mutex::default(),
            mappings: Mutex::new(Mappings { memory: Vec::new(), next_address: FIRST_BUS_ADDRESS }),
            begun: Instant::now(),
            huge_pages,
            looks: AtomicU32::new(0),
            device,
            container,
            _lock: lock,
        };
        opened.enable_bus_master();
        Ok(Arc::new(opened))
    }

    fn enable_bus_master(&self) {
        let mut command = [0; 2];
        self.device.region_read(VFIO_PCI_CONFIG_REGION_INDEX, &mut command, COMMAND);
        let command = u16::from_le_bytes(command) | MEMORY_AND_MASTER;
        self.device.region_write(VFIO_PCI_CONFIG_REGION_INDEX, &command.to_le_bytes(), COMMAND);
    }

    fn mappings(&self) -> MutexGuard<'_, Mappings> {
        self.mappings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn interrupts(&self) -> MutexGuard<'_, Vec<EventFd>> {
        self.interrupts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the card's first vectors to event descriptors.
    fn raise_by(&self, events: &[EventFd]) -> Result<(), DriverError> {
        self.device.enable_msix(events.iter().collect()).map_err(|error| DriverError::Vfio {
            doing: "enabling interrupts",
            reason: error.to_string(),
        })
    }

    /// The event descriptor of a vector.
    fn event_of(&self, vector: u32) -> Result<EventFd, DriverError> {
        let interrupts = self.interrupts();
        let event =
            interrupts.get(vector as usize).ok_or_else(|| DriverError::NoSuchInterrupt {
                name: self.address.clone(),
                has: interrupts.len() as u32,
                asked: vector + 1,
            })?;
        event.try_clone().map_err(DriverError::file("cannot copy", "an event descriptor"))
    }
}

/// What VFIO's refusal means and what helps.
fn vfio_error(doing: &'static str, group: u32, address: &str, error: VfioError) -> DriverError {
    let kind = match &error {
        VfioError::OpenContainer(source) | VfioError::OpenGroup(source, _) => Some(source.kind()),
        _ => None,
    };
    match kind {
        Some(ErrorKind::PermissionDenied) => {
            let path = match error {
                VfioError::OpenContainer(_) => PathBuf::from("/dev/vfio/vfio"),
                _ => PathBuf::from(format!("/dev/vfio/{group}")),
            };
            DriverError::NoPermission { path }
        }
        Some(ErrorKind::ResourceBusy) => DriverError::InUse {
            address: address.to_owned(),
            owner: "another process".to_owned(),
            hint: format!("; find it: fuser -v /dev/vfio/{group}"),
        },
        _ => DriverError::Vfio { doing, reason: error.to_string() },
    }
}

impl Device for VfioDevice {
    fn name(&self) -> &str {
        &self.address
    }

    fn read32(&self, bar: u8, offset: u32) -> u32 {
        debug_assert_eq!(bar, REGISTER_BAR.number);
        self.registers.read32(offset)
    }

    fn write32(&self, bar: u8, offset: u32, value: u32) {
        debug_assert_eq!(bar, REGISTER_BAR.number);
        self.looks.store(0, Ordering::Relaxed);
        self.registers.write32(offset, value);
    }

    fn write64(&self, bar: u8, offset: u32, value: u64) {
        debug_assert_eq!(bar, REGISTER_BAR.number);
        self.looks.store(0, Ordering::Relaxed);
        self.registers.write64(offset, value);
    }

    fn write_line(&self, bar: u8, offset: u32, line: &[u8; LINE_BYTES as usize]) {
        debug_assert_eq!(bar, REGISTER_BAR.number);
        self.looks.store(0, Ordering::Relaxed);
        self.registers.write_line(offset, line);
    }

    fn allocate(&self, bytes: usize) -> Result<Arc<DmaMemory>, DriverError> {
        let failed = |reason: String| DriverError::Memory { bytes, reason };
        let mut mappings = self.mappings();
        let memory = DmaMemory::mapped(bytes, mappings.next_address, self.huge_pages)
            .map_err(|error| failed(error.to_string()))?;
        memory.map_into(&self.container).map_err(|error| failed(error.to_string()))?;
        mappings.next_address += (memory.bytes() as u64).next_multiple_of(ADDRESS_STEP);
        let memory = Arc::new(memory);
        mappings.memory.push(memory.clone());
        Ok(memory)
    }

    fn enable_interrupts(&self, vectors: u32) -> Result<(), DriverError> {
        let name = || self.address.clone();
        let has = self.device.get_irq_info(VFIO_PCI_MSIX_IRQ_INDEX).map_or(0, |irq| irq.count);
        if vectors > has {
            return Err(DriverError::NoSuchInterrupt { name: name(), has, asked: vectors });
        }
        let events: Vec<EventFd> = (0..vectors)
            .map(|_| EventFd::new(EFD_NONBLOCK))
            .collect::<Result<_, _>>()
            .map_err(DriverError::file("cannot make", "an event descriptor"))?;
        self.raise_by(&events)?;
        *self.interrupts() = events;
        Ok(())
    }

    fn wait_interrupt(&self, vector: u32, limit: Duration) -> Result<bool, DriverError> {
        let event = self.event_of(vector)?;
        let raised = wait_readable(&event, limit)
            .map_err(DriverError::file("cannot wait for", "an interrupt"))?;
        // Reading takes the interrupts that have come.
        Ok(raised && event.read().is_ok())
    }

    fn interrupt_descriptor(&self, vector: u32) -> Result<Option<OwnedFd>, DriverError> {
        let event = self.event_of(vector)?;
        let copy = duplicate(&event);
        copy.map(Some).map_err(DriverError::file("cannot copy", "an event descriptor"))
    }

    fn restore_interrupts(&self) -> Result<(), DriverError> {
        let interrupts = self.interrupts();
        // The kernel writes the table's entries anew whenever a vector gets its descriptor.
        if interrupts.is_empty() { Ok(()) } else { self.raise_by(&interrupts) }
    }

    fn reset_function(&self) -> Result<(), DriverError> {
        self.device.reset();
        self.enable_bus_master();
        Ok(())
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn relax(&self) {
        if self.looks.fetch_add(1, Ordering::Relaxed) < EAGER_LOOKS {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for VfioDevice {
    fn drop(&mut self) {
        // The card must not reach memory that is about to be freed. Closing the container
        // would do the same, but not before the memory goes.
        for memory in self.mappings().memory.drain(..) {
            let _ = self.container.vfio_dma_unmap(memory.bus_address(), memory.bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::bus_with_card;

    fn refusal(driver: Option<&str>, group: Option<u32>) -> String {
        let (_folder, bus) = bus_with_card("0000:01:00.0", driver, group);
        match VfioDevice::open(&bus.find(None).unwrap(), false) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("opened a card that does not exist"),
        }
    }

    #[test]
    fn each_obstacle_names_the_command_that_removes_it() {
        let message = refusal(Some(VFIO_DRIVER), None);
        assert!(message.contains("intel_iommu=on"), "{message}");
        let message = refusal(Some("other"), Some(1));
        assert!(message.contains("other") && message.contains("rmt card bind"), "{message}");
        let message = refusal(None, Some(1));
        assert!(message.contains("no driver"), "{message}");
        let io = |kind: ErrorKind| {
            let source = VfioError::OpenGroup(kind.into(), "7".to_owned());
            vfio_error("opening", 7, "0000:01:00.0", source).to_string()
        };
        let message = io(ErrorKind::PermissionDenied);
        assert!(message.contains("chown") && message.contains("/dev/vfio/7"), "{message}");
        let message = io(ErrorKind::ResourceBusy);
        assert!(message.contains("fuser -v /dev/vfio/7"), "{message}");
    }
}
