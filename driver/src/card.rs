//! A card whose identity is known.

use std::sync::Arc;

use rmt_isa::card::fields::{BitField, control_commit};
use rmt_isa::card::regions;
use rmt_isa::card::shape::CAPABILITIES;
use rmt_isa::card::update::Update;
use rmt_isa::card::{CardShape, HostWrite};
use rmt_isa::device::fields::{device_control, device_status};
use rmt_isa::device::registers::{
    CONTROL, CORE_PAGE, CORE_WINDOW, COUNTERS, CYCLES, ERRORS, FAILED_PAIRS, INLINE_SLOTS, MAGIC,
    QUEUES, REGISTERS, STATUS, STREAM_BITS, VECTORS,
};
use rmt_isa::device::{AdminCommand, AdminOpcode};

use crate::admin::AdminQueue;
use crate::config::QueueConfig;
use crate::device::Device;
use crate::error::DriverError;
use crate::queue::QueuePair;

/// What a register of 4 bytes reads as when the card is gone.
pub(crate) const GONE: u64 = u32::MAX as u64;

/// What a card says of itself outside of its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Version of the register contract.
    pub version: u32,
    /// Queue pairs for events.
    pub queues: u32,
    /// Inline events of one pair that the card can hold.
    pub inline_slots: u32,
    /// MSI-X vectors.
    pub vectors: u32,
    /// Width of the streams of PCIe transactions, bits.
    pub stream_bits: u32,
}

/// State of the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Register `STATUS`.
    pub status: u32,
    /// Register `ERRORS`.
    pub errors: u32,
    /// Bit q: queue pair q has failed.
    pub failed_pairs: u32,
    /// Cycles since the reset.
    pub cycles: u64,
}

/// A card with its admin queue.
pub struct Card<D> {
    device: Arc<D>,
    identity: Identity,
    shape: CardShape,
    admin: AdminQueue<D>,
}

impl<D: Device> Card<D> {
    /// Finds out what the card is, and starts its admin queue.
    ///
    /// # Errors
    /// [`DriverError::NotACard`], [`DriverError::WrongVersion`] or [`DriverError::Shape`] when it
    /// is none that this driver knows, [`DriverError::Timeout`] when it does not get ready.
    pub fn open(device: Arc<D>) -> Result<Self, DriverError> {
        let identity = identify(&*device)?;
        wait_until_ready(&*device)?;
        let shape = read_shape(&*device)?;
        let admin = AdminQueue::start(device.clone())?;
        Ok(Self { device, identity, shape, admin })
    }

    /// The same, and refuses a card of another configuration.
    ///
    /// # Errors
    /// [`DriverError::OtherConfiguration`] names the first parameter that differs.
    pub fn open_with_shape(device: Arc<D>, expected: &CardShape) -> Result<Self, DriverError> {
        let card = Self::open(device)?;
        let (asked, found) = (expected.capability_words(), card.shape.capability_words());
        let difference =
            CAPABILITIES.iter().zip(asked.iter().zip(&found)).find(|(_, (a, f))| a != f);
        match difference {
            None => Ok(card),
            Some((name, (asked, found))) => Err(DriverError::OtherConfiguration {
                name: card.device.name().to_owned(),
                difference: format!("`{name}` is {found}, asked for was {asked}"),
            }),
        }
    }

    /// The device.
    pub fn device(&self) -> &Arc<D> {
        &self.device
    }

    /// What the card says of itself.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// What its core was built with.
    pub fn shape(&self) -> &CardShape {
        &self.shape
    }

    /// The admin queue.
    pub fn admin(&mut self) -> &mut AdminQueue<D> {
        &mut self.admin
    }

    /// Starts a queue pair.
    ///
    /// # Errors
    /// When the configuration is out of range or the card does not start it.
    pub fn queue(&self, pair: u32, config: QueueConfig) -> Result<QueuePair<D>, DriverError> {
        if pair >= self.identity.queues {
            let name = self.device.name().to_owned();
            return Err(DriverError::NoSuchQueue { name, pair, has: self.identity.queues });
        }
        QueuePair::start(self.device.clone(), pair, self.identity.inline_slots, config)
    }

    /// Installs a program by the writes of its [`rmt_isa::card::CardImage`]. Events that come
    /// meanwhile wait; those that follow get the new program.
    ///
    /// # Errors
    /// When a command fails or events do not end in time; the card then takes no events until
    /// something is installed.
    pub fn install(&mut self, writes: &[HostWrite]) -> Result<(), DriverError> {
        // The first holds events back, the last commits: both have to be done before it goes on.
        let [hold, between @ .., commit] = writes else { return self.admin.write_list(writes) };
        self.write_and_wait(hold, "ending the events that run", control_commit::RUNNING)?;
        self.admin.write_list(between)?;
        self.write_and_wait(commit, "the commit", control_commit::COMMIT)
    }

    /// Carries out a commit: events see the program before it or behind it, and none is lost.
    ///
    /// # Errors
    /// When a command fails or the card does not commit in time.
    pub fn commit(&mut self, update: &Update) -> Result<(), DriverError> {
        match update.writes.split_last() {
            _ if update.holds => self.install(&update.writes),
            None => Ok(()),
            Some((commit, before)) => {
                self.admin.write_list(before)?;
                self.write_and_wait(commit, "the commit", control_commit::COMMIT)
            }
        }
    }

    /// Writes a word behind all others, and waits until a field of control word 0 is zero.
    fn write_and_wait(
        &mut self,
        write: &HostWrite,
        what: &'static str,
        until_zero: BitField,
    ) -> Result<(), DriverError> {
        let &HostWrite { address, value } = write;
        let opcode = AdminOpcode::Commit;
        self.admin.run(AdminCommand {
            core_word: address,
            value,
            ..AdminCommand::new(opcode, 0)
        })?;
        let (begun, limit) = (self.device.now(), self.device.patience());
        loop {
            let mut control = [0];
            self.admin.read_block(regions::CONTROL.base(), &mut control)?;
            if until_zero.extract(control[0]) == 0 {
                return Ok(());
            }
            if self.device.now() - begun > limit {
                let name = self.device.name().to_owned();
                return Err(DriverError::Timeout { name, what, limit });
            }
        }
    }

    /// State of the function, by registers.
    ///
    /// # Errors
    /// [`DriverError::Lost`] when they read as all ones.
    pub fn health(&self) -> Result<Health, DriverError> {
        let status = self.device.read(STATUS, 0) as u32;
        if u64::from(status) == GONE {
            return Err(self.lost());
        }
        Ok(Health {
            status,
            errors: self.device.read(ERRORS, 0) as u32,
            failed_pairs: self.device.read(FAILED_PAIRS, 0) as u32,
            cycles: self.device.read(CYCLES, 0),
        })
    }

    /// Clears the error bits.
    pub fn clear_errors(&self) {
        self.device.write(ERRORS, 0, u32::MAX.into());
    }

    /// Name and value of all counters.
    pub fn counters(&self) -> Vec<(&'static str, u32)> {
        let counters = REGISTERS.iter().filter(|register| register.block == COUNTERS);
        counters.map(|&register| (register.name, self.device.read(register, 0) as u32)).collect()
    }

    /// Resets the card by its register and starts the admin queue again. Queue pairs are stopped.
    ///
    /// # Errors
    /// [`DriverError::Lost`] when it is gone, [`DriverError::Timeout`] when it does not get ready.
    pub fn reset(&mut self) -> Result<(), DriverError> {
        // A card that is gone would not become ready for the whole patience of the device.
        if self.device.read(STATUS, 0) == GONE {
            return Err(self.lost());
        }
        self.device.write(CONTROL, 0, device_control::RESET.insert(1));
        self.after_reset()
    }

    /// The same by the function-level reset of PCI, which also works when registers do not.
    ///
    /// # Errors
    /// As for [`Card::reset`], and when the machine cannot.
    pub fn reset_function(&mut self) -> Result<(), DriverError> {
        self.device.reset_function()?;
        self.after_reset()
    }

    fn after_reset(&mut self) -> Result<(), DriverError> {
        wait_until_ready(&*self.device)?;
        self.device.restore_interrupts()?;
        self.admin.restart()
    }

    fn lost(&self) -> DriverError {
        DriverError::Lost { name: self.device.name().to_owned() }
    }
}

fn identify<D: Device>(device: &D) -> Result<Identity, DriverError> {
    let name = || device.name().to_owned();
    // While the function is in reset all its registers read as zero.
    let mut found = 0;
    let _ = wait(device, "the reset", || {
        found = device.read(MAGIC, 0);
        found == rmt_isa::card::shape::MAGIC || found as u32 == u32::MAX
    });
    if found != rmt_isa::card::shape::MAGIC {
        return Err(DriverError::NotACard { name: name(), found });
    }
    let read = |register| device.read(register, 0) as u32;
    let identity = Identity {
        version: read(rmt_isa::device::registers::VERSION),
        queues: read(QUEUES),
        inline_slots: read(INLINE_SLOTS),
        vectors: read(VECTORS),
        stream_bits: read(STREAM_BITS),
    };
    let (found, expected) = (identity.version, rmt_isa::device::VERSION);
    if found != expected {
        return Err(DriverError::WrongVersion { name: name(), found, expected });
    }
    Ok(identity)
}

/// Waits until a reset is over.
fn wait_until_ready<D: Device>(device: &D) -> Result<(), DriverError> {
    wait(device, "the reset", || {
        let status = device.read(STATUS, 0);
        let resetting = device_control::RESET.extract(device.read(CONTROL, 0)) == 1;
        status != GONE && device_status::READY.extract(status) == 1 && !resetting
    })
}

/// Waits for something on the card, as long as the device has patience.
pub(crate) fn wait<D: Device>(
    device: &D,
    what: &'static str,
    mut done: impl FnMut() -> bool,
) -> Result<(), DriverError> {
    let (begun, limit) = (device.now(), device.patience());
    while !done() {
        if device.now() - begun > limit {
            let name = device.name().to_owned();
            // A card that is gone is another matter than a slow one.
            if device.read(STATUS, 0) == GONE {
                return Err(DriverError::Lost { name });
            }
            return Err(DriverError::Timeout { name, what, limit });
        }
        device.relax();
    }
    Ok(())
}

/// The capability words, through the window into the core.
fn read_shape<D: Device>(device: &D) -> Result<CardShape, DriverError> {
    device.write(CORE_PAGE, 0, 0);
    let word = |index: usize| {
        let offset = CORE_WINDOW.base + 8 * index as u32;
        let low = u64::from(device.read32(CORE_WINDOW.bar, offset));
        low | u64::from(device.read32(CORE_WINDOW.bar, offset + 4)) << 32
    };
    let words: Vec<u64> = (0..CAPABILITIES.len()).map(word).collect();
    CardShape::from_capability_words(&words)
        .map_err(|source| DriverError::Shape { name: device.name().to_owned(), source })
}
