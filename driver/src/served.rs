//! A virtual card behind a vfio-user socket (`rmt card serve`), with no virtual machine between.
//!
//! It is what VFIO would be in a guest: the same registers, memory by file descriptors, interrupts
//! by event descriptors. Once the socket fails the card is gone: registers read as all ones.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmt_isa::device::registers::LINE_BYTES;
use rustix::event::{EventfdFlags, eventfd};
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_MSIX_IRQ_INDEX,
};
use vfio_user::{Client, Error};

use crate::device::Device;
use crate::error::DriverError;
use crate::lock::CardLock;
use crate::memory::{DmaMemory, wait_readable};
use crate::vfio::{ADDRESS_STEP, COMMAND, FIRST_BUS_ADDRESS, MEMORY_AND_MASTER};

/// How long the driver waits before it looks again: the card needs a processor, too.
const PAUSE: Duration = Duration::from_micros(20);

/// A card behind a socket, owned by this process.
pub struct ServedDevice {
    name: String,
    /// `None` once the server is gone.
    client: Mutex<Option<Client>>,
    interrupts: Mutex<Vec<OwnedFd>>,
    memory: Mutex<Vec<Arc<DmaMemory>>>,
    begun: Instant,
    _lock: CardLock,
}

impl ServedDevice {
    /// Connects to a server.
    ///
    /// # Errors
    /// [`DriverError::InUse`] when another driver is connected, [`DriverError::Served`] when
    /// there is no server.
    pub fn open(socket: &Path) -> Result<Arc<Self>, DriverError> {
        let name = socket.display().to_string();
        let file = socket.file_name().unwrap_or_default().to_string_lossy();
        // The server takes one client at a time and lets a second one wait without a word.
        let folder = socket.parent().filter(|folder| !folder.as_os_str().is_empty());
        let lock = CardLock::take_in(folder.unwrap_or(Path::new(".")), &file)?;
        let client = Client::new(socket).map_err(|error| DriverError::Served {
            socket: socket.to_owned(),
            reason: error.to_string(),
        })?;
        let opened = Self {
            name,
            client: Mutex::new(Some(client)),
            interrupts: Mutex::default(),
            memory: Mutex::default(),
            begun: Instant::now(),
            _lock: lock,
        };
        opened.enable_bus_master();
        Ok(Arc::new(opened))
    }

    fn enable_bus_master(&self) {
        let bytes = MEMORY_AND_MASTER.to_le_bytes();
        self.ask(|client| client.region_write(VFIO_PCI_CONFIG_REGION_INDEX, COMMAND, &bytes));
    }

    /// Asks the server; `None` when it is gone.
    fn ask<T>(&self, ask: impl FnOnce(&mut Client) -> Result<T, Error>) -> Option<T> {
        let mut client = lock(&self.client);
        let answer = ask(client.as_mut()?);
        if answer.is_err() {
            // A half message leaves the stream out of step: nothing can be asked any more.
            *client = None;
        }
        answer.ok()
    }

    fn write_bytes(&self, bar: u8, offset: u32, bytes: &[u8]) {
        self.ask(|client| client.region_write(bar.into(), offset.into(), bytes));
    }

    fn lost(&self) -> DriverError {
        DriverError::Lost { name: self.name.clone() }
    }

    fn event_of(&self, vector: u32) -> Result<OwnedFd, DriverError> {
        let interrupts = lock(&self.interrupts);
        let event =
            interrupts.get(vector as usize).ok_or_else(|| DriverError::NoSuchInterrupt {
                name: self.name.clone(),
                has: interrupts.len() as u32,
                asked: vector + 1,
            })?;
        event.try_clone().map_err(DriverError::file("cannot copy", "an event descriptor"))
    }

    /// Gives the server the event descriptors of the card's first vectors.
    fn raise_by(&self, events: &[OwnedFd]) -> Result<(), DriverError> {
        let descriptors: Vec<_> = events.iter().map(AsRawFd::as_raw_fd).collect();
        let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
        let count = descriptors.len() as u32;
        self.ask(|client| client.set_irqs(VFIO_PCI_MSIX_IRQ_INDEX, flags, 0, count, &descriptors))
            .ok_or_else(|| self.lost())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device for ServedDevice {
    fn name(&self) -> &str {
        &self.name
    }

    fn read32(&self, bar: u8, offset: u32) -> u32 {
        let mut bytes = [0; 4];
        self.ask(|client| client.region_read(bar.into(), offset.into(), &mut bytes))
            .map_or(u32::MAX, |()| u32::from_le_bytes(bytes))
    }

    fn write32(&self, bar: u8, offset: u32, value: u32) {
        self.write_bytes(bar, offset, &value.to_le_bytes());
    }

    fn write64(&self, bar: u8, offset: u32, value: u64) {
        self.write_bytes(bar, offset, &value.to_le_bytes());
    }

    fn write_line(&self, bar: u8, offset: u32, line: &[u8; LINE_BYTES as usize]) {
        self.write_bytes(bar, offset, line);
    }

    fn allocate(&self, bytes: usize) -> Result<Arc<DmaMemory>, DriverError> {
        let mut memory = lock(&self.memory);
        let address = memory.last().map_or(FIRST_BUS_ADDRESS, |last| {
            (last.bus_address() + last.bytes() as u64).next_multiple_of(ADDRESS_STEP)
        });
        let (new, file) = DmaMemory::shared(bytes, address)
            .map_err(|error| DriverError::Memory { bytes, reason: error.to_string() })?;
        let length = new.bytes() as u64;
        self.ask(|client| client.dma_map(0, address, length, file.as_raw_fd()))
            .ok_or_else(|| self.lost())?;
        let new = Arc::new(new);
        memory.push(new.clone());
        Ok(new)
    }

    fn enable_interrupts(&self, vectors: u32) -> Result<(), DriverError> {
        let information = self.ask(|client| client.get_irq_info(VFIO_PCI_MSIX_IRQ_INDEX));
        let has = information.ok_or_else(|| self.lost())?.count;
        if vectors > has {
            let name = self.name.clone();
            return Err(DriverError::NoSuchInterrupt { name, has, asked: vectors });
        }
        let made = (0..vectors).map(|_| eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC));
        let events: Vec<OwnedFd> = made.collect::<Result<_, _>>().map_err(|error| {
            DriverError::file("cannot make", "an event descriptor")(error.into())
        })?;
        self.raise_by(&events)?;
        *lock(&self.interrupts) = events;
        Ok(())
    }

    fn wait_interrupt(&self, vector: u32, limit: Duration) -> Result<bool, DriverError> {
        let event = self.event_of(vector)?;
        let raised = wait_readable(&event, limit)
            .map_err(DriverError::file("cannot wait for", "an interrupt"))?;
        Ok(raised && rustix::io::read(&event, &mut [0_u8; 8]).is_ok())
    }

    fn interrupt_descriptor(&self, vector: u32) -> Result<Option<OwnedFd>, DriverError> {
        self.event_of(vector).map(Some)
    }

    fn restore_interrupts(&self) -> Result<(), DriverError> {
        let interrupts = lock(&self.interrupts);
        if interrupts.is_empty() { Ok(()) } else { self.raise_by(&interrupts) }
    }

    fn reset_function(&self) -> Result<(), DriverError> {
        self.ask(Client::reset).ok_or_else(|| self.lost())?;
        self.enable_bus_master();
        Ok(())
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn relax(&self) {
        std::thread::sleep(PAUSE);
    }
}
