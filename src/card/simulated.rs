//! The simulated card in this process, as the driver sees it: time passes in its calls only.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use rmt_core::CoreConfig;
use rmt_driver::memory::DmaMemory;
use rmt_driver::process::ProcessMemory;
use rmt_driver::{Device, DriverError};
use rmt_isa::device::pci::MSIX_BAR;
use rmt_isa::device::registers::{LINE_BYTES, MSIX_ADDRESS};
use rmt_sim::root_complex::{
    CardBus, ConfigState, DmaFault, HostMemory, Latency, LinkError, LinkedCard, OwnClock,
    VerilatedLink,
};
use rmt_sim::verilated::{Toolchain, Trace};

/// Clock of the cards that are measured here; cycles are exact, times follow from them.
pub const CLOCK_MHZ: f64 = 250.0;
/// Cycles that pass between two looks of the driver at its rings.
const RELAX_CYCLES: u64 = 16;
/// Cycles that the card may take for anything, as time.
const PATIENCE_CYCLES: u64 = 50_000_000;
/// Where interrupts are written.
const MESSAGE_ADDRESS: u64 = 0xfee0_0000;

/// Memory of this process as the simulated link reaches it.
#[derive(Clone, Default)]
pub struct LinkedMemory(ProcessMemory);

impl LinkedMemory {
    fn find(&self, address: u64, bytes: usize) -> Result<(Arc<DmaMemory>, usize), DmaFault> {
        self.0.find(address, bytes).ok_or(DmaFault::Unmapped { address })
    }
}

impl HostMemory for LinkedMemory {
    fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), DmaFault> {
        let (memory, offset) = self.find(address, bytes.len())?;
        memory.load_bytes(offset, bytes);
        Ok(())
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), DmaFault> {
        let (memory, offset) = self.find(address, bytes.len())?;
        memory.store_bytes(offset, bytes);
        Ok(())
    }

    fn interrupt(&mut self, _address: u64, data: u32) {
        // The table holds the vector's number as data.
        self.0.raise(data);
    }
}

/// A Verilated card with the memory of this process.
pub type Link = LinkedCard<VerilatedLink, LinkedMemory>;

/// A simulated card as a device.
pub struct SimulatedDevice {
    link: Mutex<Link>,
    memory: LinkedMemory,
    failure: Mutex<Option<String>>,
    /// Whether the card is in its slot.
    present: AtomicBool,
    relax_cycles: AtomicU64,
    latency: Latency,
    own_clock: Option<OwnClock>,
}

/// Builds the Verilated card of a configuration, or takes it from the cache, and links it to a
/// host's memory. Without a clock of its own, the card has the link's.
pub fn link<M: HostMemory>(
    config: &CoreConfig,
    latency: Latency,
    own_clock: Option<OwnClock>,
    memory: M,
) -> Result<LinkedCard<VerilatedLink, M>> {
    let design = match own_clock {
        Some(_) => rmt_core::elaborate_pcie_card(config)?,
        None => rmt_core::elaborate_card(config)?,
    };
    let bits = config.shape().stream_bits;
    let model = VerilatedLink::model(&design, bits, Trace::None, &Toolchain::locate()?)?;
    let pins = match own_clock {
        Some(speed) => VerilatedLink::with_own_clock(&model, bits, speed)?,
        None => VerilatedLink::new(&model, bits)?,
    };
    let mut link = LinkedCard::new(pins, memory)?;
    link.set_latency(latency);
    Ok(link)
}

impl SimulatedDevice {
    /// A card of a configuration behind a link of some latency.
    pub fn new(config: &CoreConfig, latency: Latency) -> Result<Arc<Self>> {
        Self::with_clock(config, latency, None)
    }

    /// The same, with a clock of its own if it is to have one.
    pub fn with_clock(
        config: &CoreConfig,
        latency: Latency,
        own_clock: Option<OwnClock>,
    ) -> Result<Arc<Self>> {
        let memory = LinkedMemory::default();
        let mut link = link(config, latency, own_clock, memory.clone())?;
        link.set_config(enabled());
        Ok(Arc::new(Self {
            link: Mutex::new(link),
            memory,
            failure: Mutex::default(),
            present: AtomicBool::new(true),
            relax_cycles: AtomicU64::new(RELAX_CYCLES),
            latency,
            own_clock,
        }))
    }

    /// The latency that the link was made with.
    pub fn latency(&self) -> Latency {
        self.latency
    }

    /// Cycles of the card that pass in so many of the link.
    pub fn card_cycles(&self, link_cycles: u64) -> u64 {
        let speed = self.own_clock.unwrap_or(OwnClock { card: 1, link: 1 });
        link_cycles * u64::from(speed.card) / u64::from(speed.link)
    }

    /// Pulls the card out of its slot, or puts it back, as after power-on.
    pub fn set_present(&self, present: bool) {
        let mut link = self.link();
        link.set_link_up(present);
        // What was on its way arrives or is lost before anybody looks.
        let result = link.advance(RELAX_CYCLES);
        drop(link);
        self.checked(result);
        self.present.store(present, Ordering::Relaxed);
    }

    /// Cycles that pass between two looks of the driver at its rings.
    pub fn set_relax_cycles(&self, cycles: u64) {
        self.relax_cycles.store(cycles, Ordering::Relaxed);
    }

    /// Writes bytes of a BAR, if there is a card.
    fn write_bytes(&self, bar: u8, offset: u32, bytes: &[u8]) {
        if self.present.load(Ordering::Relaxed) {
            let result = self.link().bar_write(bar, offset.into(), bytes);
            self.checked(result);
        }
    }

    /// The link, for measurements and faults.
    pub fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a result of the simulation; after a failure the card is as good as gone.
    fn checked<T>(&self, result: Result<T, LinkError>) -> Option<T> {
        let failure = || self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(_) if failure().is_some() => None,
            Ok(value) => Some(value),
            Err(error) => {
                // Once, with its reason; what follows from it is the driver's to say.
                failure().get_or_insert_with(|| {
                    eprintln!("simulated card: {error}");
                    error.to_string()
                });
                None
            }
        }
    }
}

/// As a system leaves a card's configuration space when a driver takes the card.
fn enabled() -> ConfigState {
    ConfigState { bus_master: true, msix_enable: true, max_payload: 256, ..ConfigState::default() }
}

impl Device for SimulatedDevice {
    fn name(&self) -> &str {
        "simulated card"
    }

    fn read32(&self, bar: u8, offset: u32) -> u32 {
        if !self.present.load(Ordering::Relaxed) {
            return u32::MAX;
        }
        let mut bytes = [0; 4];
        let result = self.link().bar_read(bar, offset.into(), &mut bytes);
        self.checked(result).map_or(u32::MAX, |()| u32::from_le_bytes(bytes))
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
        Ok(self.memory.0.allocate(bytes))
    }

    fn enable_interrupts(&self, vectors: u32) -> Result<(), DriverError> {
        self.memory.0.enable_interrupts(vectors);
        self.restore_interrupts()
    }

    fn restore_interrupts(&self) -> Result<(), DriverError> {
        let vectors = self.memory.0.interrupts();
        for vector in 0..vectors {
            let mut entry = [0; 16];
            entry[..8].copy_from_slice(&MESSAGE_ADDRESS.to_le_bytes());
            entry[8..12].copy_from_slice(&vector.to_le_bytes());
            self.write_bytes(MSIX_BAR.number, MSIX_ADDRESS.at(vector), &entry);
        }
        Ok(())
    }

    fn wait_interrupt(&self, vector: u32, limit: Duration) -> Result<bool, DriverError> {
        let deadline = self.now() + limit;
        loop {
            match self.memory.0.take_interrupt(vector) {
                Err(has) => {
                    let name = self.name().to_owned();
                    return Err(DriverError::NoSuchInterrupt { name, has, asked: vector + 1 });
                }
                Ok(true) => return Ok(true),
                Ok(false) if self.now() >= deadline => return Ok(false),
                Ok(false) => {}
            }
            self.relax();
        }
    }

    fn reset_function(&self) -> Result<(), DriverError> {
        let mut link = self.link();
        let result = link.function_reset();
        link.set_config(enabled());
        drop(link);
        match self.checked(result) {
            Some(()) => Ok(()),
            None => Err(DriverError::Lost { name: self.name().to_owned() }),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_nanos((self.link().cycle() as f64 * 1000.0 / CLOCK_MHZ) as u64)
    }

    fn patience(&self) -> Duration {
        Duration::from_nanos((PATIENCE_CYCLES as f64 * 1000.0 / CLOCK_MHZ) as u64)
    }

    fn relax(&self) {
        let result = self.link().advance(self.relax_cycles.load(Ordering::Relaxed));
        self.checked(result);
    }
}
