//! A card on a serial line: the bring-up link of boards without PCIe.
//!
//! The other end of [`rmt_isa::device::serial`]. Registers are read and written with the same
//! transactions as on PCIe, and the card's own requests are answered from memory of this process,
//! so queues, admin commands and interrupts work as they do there, only slower. There is no thread:
//! the line is served in the calls of [`Device`], above all in [`Device::relax`].
//!
//! [`Line`] is what carries the bytes: [`tty`] is a serial port of this machine, a simulated card
//! implements it too.

pub mod tty;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rmt_isa::device::fields::{serial_link, serial_status};
use rmt_isa::device::packet::{Completion, CompletionStatus, Packet, Request};
use rmt_isa::device::pci::MSIX_BAR;
use rmt_isa::device::registers::{LINE_BYTES, MSIX_ADDRESS};
use rmt_isa::device::serial::{
    Decoder, END, KIND_LINK, KIND_TRANSACTION, MAX_PAYLOAD_BYTES, VERSION, encode,
};

use crate::device::Device;
use crate::error::DriverError;
use crate::memory::DmaMemory;
use crate::process::ProcessMemory;

/// Where the driver puts the BARs, one after the other.
const BAR_BASE: u32 = 0xe000_0000;
const BAR_SPACING: u32 = 0x100_0000;
/// Where interrupts are written: here and in the megabyte behind.
const MESSAGE_ADDRESS: u64 = 0xfee0_0000;
const MESSAGE_BYTES: u64 = 0x10_0000;
/// Requester id of this side.
const HOST_ID: u16 = 0;

/// What carries bytes to a card and back.
pub trait Line: Send {
    /// What it is called in messages.
    fn name(&self) -> &str;

    /// Sends bytes, or puts them where they will be sent.
    ///
    /// # Errors
    /// Those of the port.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Appends bytes that came; waits for a moment when there are none.
    ///
    /// # Errors
    /// Those of the port.
    fn receive(&mut self, bytes: &mut Vec<u8>) -> io::Result<()>;

    /// Time since some moment in the past.
    fn now(&self) -> Duration;

    /// Time within which the card answers whatever it is asked, with all that waits before it.
    fn patience(&self) -> Duration;
}

/// How the line fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineHealth {
    /// Frames of the host that the card dropped, modulo 256.
    pub damaged_at_card: u32,
    /// Bytes that the card lost, modulo 256.
    pub lost_at_card: u32,
    /// Frames of the card that this side dropped.
    pub damaged_here: u64,
    /// Writes of the card to addresses that it was not given.
    pub refused_writes: u64,
}

struct State<L> {
    line: L,
    decoder: Decoder,
    received: Vec<u8>,
    tag: u8,
    answer: Option<Completion>,
    status: Option<u32>,
    refused_writes: u64,
    /// Why the card is as good as gone.
    failure: Option<String>,
}

/// A card behind a line.
pub struct SerialDevice<L> {
    name: String,
    state: Mutex<State<L>>,
    memory: ProcessMemory,
}

impl<L: Line> SerialDevice<L> {
    /// Brings the link up.
    ///
    /// # Errors
    /// [`DriverError::Line`] when the port fails, nobody answers, or another version of the framing
    /// does.
    pub fn open(line: L) -> Result<Self, DriverError> {
        let state = State {
            line,
            decoder: Decoder::default(),
            received: Vec::new(),
            tag: 0,
            answer: None,
            status: None,
            refused_writes: 0,
            failure: None,
        };
        let name = state.line.name().to_owned();
        let device = Self { name, state: Mutex::new(state), memory: ProcessMemory::default() };
        // Whatever stood on the line before ends here, on both sides.
        device.lock().send(&[END]);
        let status = u64::from(device.set_link(serial_link::UP.insert(1))?);
        let found = serial_status::VERSION.extract(status);
        if found != u64::from(VERSION) {
            let reason =
                format!("speaks version {found} of the framing, this driver version {VERSION}");
            return Err(device.broken(reason));
        }
        device.set_link(Self::running())?;
        Ok(device)
    }

    /// The link as a system leaves configuration space when a driver takes the card.
    fn running() -> u64 {
        serial_link::UP.insert(1) | serial_link::BUS_MASTER.insert(1) | serial_link::MSIX.insert(1)
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self, reason: String) -> DriverError {
        DriverError::Line { name: self.name.clone(), reason }
    }

    /// Sets the state of the link and waits for the card's answer.
    fn set_link(&self, bits: u64) -> Result<u32, DriverError> {
        let mut state = self.lock();
        state.status = None;
        state.send(&encode(KIND_LINK, &[bits as u32]));
        state.wait_until(&self.memory, |state| state.status);
        let failure = state.failure.clone();
        match (state.status, failure) {
            (Some(status), None) => Ok(status),
            (_, Some(reason)) => Err(self.broken(reason)),
            (None, None) => Err(self.broken(
                "does not answer; is the bitstream loaded, and is this the right port and rate?"
                    .to_owned(),
            )),
        }
    }

    /// How the line fared, as both sides know it.
    ///
    /// # Errors
    /// As [`SerialDevice::open`].
    pub fn line_health(&self) -> Result<LineHealth, DriverError> {
        let status = u64::from(self.set_link(Self::running())?);
        let state = self.lock();
        Ok(LineHealth {
            damaged_at_card: serial_status::DAMAGED.extract(status) as u32,
            lost_at_card: serial_status::LOST.extract(status) as u32,
            damaged_here: state.decoder.damaged,
            refused_writes: state.refused_writes,
        })
    }

    /// Takes the device apart, for whoever owns the line.
    pub fn into_line(self) -> L {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).line
    }

    fn write_bytes(&self, bar: u8, offset: u32, bytes: &[u8]) {
        let address = address(bar, offset);
        let packet = Packet::Write {
            request: Request::for_bytes(address, bytes.len(), HOST_ID, 0),
            data: bytes.to_vec(),
            poisoned: false,
        };
        self.lock().send(&encode(1 << bar, &packet.to_dws()));
    }
}

/// Bus address of a place in a BAR.
fn address(bar: u8, offset: u32) -> u64 {
    (BAR_BASE + BAR_SPACING * u32::from(bar) + offset).into()
}

impl<L: Line> State<L> {
    /// Sends bytes; after a failure the card is as good as gone.
    fn send(&mut self, bytes: &[u8]) {
        if self.failure.is_none()
            && let Err(error) = self.line.send(bytes)
        {
            self.failure = Some(error.to_string());
        }
    }

    /// Serves the line until something is there, the line fails or the card's time is over.
    fn wait_until<T>(
        &mut self,
        memory: &ProcessMemory,
        mut there: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let deadline = self.line.now() + self.line.patience();
        loop {
            if let Some(found) = there(self) {
                return Some(found);
            }
            if self.failure.is_some() || self.line.now() >= deadline {
                return None;
            }
            self.serve(memory);
        }
    }

    /// Takes what came and answers the card's requests.
    fn serve(&mut self, memory: &ProcessMemory) {
        let mut received = std::mem::take(&mut self.received);
        received.clear();
        if let Err(error) = self.line.receive(&mut received) {
            self.failure.get_or_insert(error.to_string());
        }
        for &byte in &received {
            match self.decoder.take(byte) {
                Some((KIND_LINK, dws)) => self.status = dws.first().copied(),
                Some((KIND_TRANSACTION, dws)) => self.take_packet(&dws, memory),
                _ => {}
            }
        }
        self.received = received;
    }

    fn take_packet(&mut self, dws: &[u32], memory: &ProcessMemory) {
        match Packet::from_dws(dws) {
            // A frame with a good check sum that is no packet: the card is broken, not the line.
            Err(error) => {
                self.failure.get_or_insert(format!("sent what is no packet: {error}"));
            }
            Ok(Packet::Completion(completion)) => self.answer = Some(completion),
            Ok(Packet::Read(request)) => self.answer_read(&request, memory),
            Ok(Packet::Write { request, data, .. }) => {
                let address = request.address;
                if (MESSAGE_ADDRESS..MESSAGE_ADDRESS + MESSAGE_BYTES).contains(&address) {
                    // The interrupt table holds the vector's number as data.
                    memory.raise(data.first().copied().unwrap_or(0).into());
                } else if let Some((memory, offset)) = memory.find(address, data.len()) {
                    memory.store_bytes(offset, &data);
                } else {
                    self.refused_writes += 1;
                }
            }
        }
    }

    fn answer_read(&mut self, request: &Request, memory: &ProcessMemory) {
        let bytes = 4 * request.dws as usize;
        let refused = CompletionStatus::UnsupportedRequest;
        let mut completion = Completion::of(request, HOST_ID, refused);
        let Some((memory, offset)) = memory.find(request.address, bytes) else {
            return self.send(&encode(0, &Packet::Completion(completion).to_dws()));
        };
        let mut data = vec![0; bytes];
        memory.load_bytes(offset, &mut data);
        completion.status = CompletionStatus::Success;
        // The card reads whole lines, so each part begins on one.
        for (index, part) in data.chunks(MAX_PAYLOAD_BYTES).enumerate() {
            let at = index * MAX_PAYLOAD_BYTES;
            let part = Completion {
                byte_count: (bytes - at) as u32,
                lower_address: ((request.address as usize + at) & 0x7f) as u8,
                data: part.to_vec(),
                ..completion.clone()
            };
            self.send(&encode(0, &Packet::Completion(part).to_dws()));
        }
    }
}

impl<L: Line> Device for SerialDevice<L> {
    fn name(&self) -> &str {
        &self.name
    }

    fn read32(&self, bar: u8, offset: u32) -> u32 {
        let mut state = self.lock();
        state.tag = state.tag.wrapping_add(1);
        let tag = state.tag;
        state.answer = None;
        let request = Request::for_bytes(address(bar, offset), 4, HOST_ID, tag);
        state.send(&encode(1 << bar, &Packet::Read(request).to_dws()));
        // An answer with another tag is one that nobody waited for any longer.
        let answer = state.wait_until(&self.memory, |state| {
            state.answer.take().filter(|completion| completion.tag == tag)
        });
        let Some(answer) = answer else {
            state.failure.get_or_insert("a register was read and no answer came".to_owned());
            return u32::MAX;
        };
        match (answer.status, answer.data.as_chunks::<4>().0) {
            (CompletionStatus::Success, [bytes, ..]) => u32::from_le_bytes(*bytes),
            _ => u32::MAX,
        }
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
        Ok(self.memory.allocate(bytes))
    }

    fn enable_interrupts(&self, vectors: u32) -> Result<(), DriverError> {
        self.memory.enable_interrupts(vectors);
        self.restore_interrupts()
    }

    fn restore_interrupts(&self) -> Result<(), DriverError> {
        let vectors = self.memory.interrupts();
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
            match self.memory.take_interrupt(vector) {
                Err(has) => {
                    let name = self.name.clone();
                    return Err(DriverError::NoSuchInterrupt { name, has, asked: vector + 1 });
                }
                Ok(true) => return Ok(true),
                Ok(false) if self.now() >= deadline => return Ok(false),
                Ok(false) => self.relax(),
            }
        }
    }

    fn reset_function(&self) -> Result<(), DriverError> {
        self.set_link(Self::running() | serial_link::RESET.insert(1))?;
        Ok(())
    }

    fn now(&self) -> Duration {
        self.lock().line.now()
    }

    fn patience(&self) -> Duration {
        self.lock().line.patience()
    }

    fn relax(&self) {
        self.lock().serve(&self.memory);
    }
}

#[cfg(test)]
mod tests;
