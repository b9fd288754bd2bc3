//! PCI configuration space of the virtual card.
//!
//! The client emulates the sizing of BARs and the MSI-X table; what is left to the card is here.
//! There is no power management capability: without one nobody puts the card to sleep.

use rmt_isa::device::pci::{
    BARS, CLASS_CODE, DEVICE_ID, MSIX_BAR, MSIX_PBA_OFFSET, MSIX_TABLE_OFFSET, REVISION_ID,
    SUBSYSTEM_ID, SUBSYSTEM_VENDOR_ID, VENDOR_ID,
};

use crate::root_complex::ConfigState;

/// Bytes of the configuration space of a PCIe function.
pub const CONFIGURATION_BYTES: usize = 4096;

const COMMAND: usize = 0x04;
const STATUS: usize = 0x06;
const CACHE_LINE: usize = 0x0c;
const CAPABILITIES_POINTER: usize = 0x34;
const INTERRUPT_LINE: usize = 0x3c;
/// Where the capabilities stand.
const MSIX: usize = 0x40;
const EXPRESS: usize = 0x60;
const DEVICE_CAPABILITIES: usize = EXPRESS + 4;
const DEVICE_CONTROL: usize = EXPRESS + 8;
const LINK_CAPABILITIES: usize = EXPRESS + 12;
const LINK_STATUS: usize = EXPRESS + 18;

const BUS_MASTER: u16 = 1 << 2;
/// In `STATUS`: there is a list of capabilities.
const HAS_CAPABILITIES: u16 = 1 << 4;
/// In `DEVICE_CONTROL`: reset this function.
const INITIATE_RESET: u16 = 1 << 15;
/// In `DEVICE_CAPABILITIES`: the function can be reset by itself, payloads of 256 bytes.
const FUNCTION_RESET_AND_PAYLOAD_256: u32 = 1 << 28 | 1;
/// Read requests of 512 bytes, payloads of 128, as after reset.
const DEVICE_CONTROL_AFTER_RESET: u16 = 2 << 12;
/// Largest payload in units of the field: 256 bytes.
const LARGEST_PAYLOAD: u16 = 1;
/// Largest value of the field for read requests: 4096 bytes.
const LARGEST_READ: u16 = 5;
/// A link of four lanes at 5 GT/s.
const LINK: u16 = 4 << 4 | 2;

/// What a write to the configuration space causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that the card sees.
    None,
    /// The state that the card sees has changed.
    State(ConfigState),
    /// The function is reset; this is the state behind it.
    Reset(ConfigState),
}

/// The configuration space.
pub struct Configuration {
    bytes: Vec<u8>,
    /// Whether the client has given a vector an event descriptor: it keeps MSI-X enable to itself.
    interrupts: bool,
}

impl Configuration {
    /// As after power-on, for a card of some MSI-X vectors.
    pub fn new(vectors: u32) -> Self {
        let mut space = Self { bytes: vec![0; CONFIGURATION_BYTES], interrupts: false };
        space.put16(0x00, VENDOR_ID);
        space.put16(0x02, DEVICE_ID);
        space.put16(STATUS, HAS_CAPABILITIES);
        space.put32(0x08, CLASS_CODE << 8 | u32::from(REVISION_ID));
        space.put16(0x2c, SUBSYSTEM_VENDOR_ID);
        space.put16(0x2e, SUBSYSTEM_ID);
        space.bytes[CAPABILITIES_POINTER] = MSIX as u8;

        let bar = u32::from(MSIX_BAR.number);
        space.put16(MSIX, 0x11 | (EXPRESS as u16) << 8);
        space.put16(MSIX + 2, vectors as u16 - 1);
        space.put32(MSIX + 4, MSIX_TABLE_OFFSET | bar);
        space.put32(MSIX + 8, MSIX_PBA_OFFSET | bar);

        // Version 2, an endpoint; the last of the list.
        space.put32(EXPRESS, 0x10 | 2 << 16);
        space.put32(DEVICE_CAPABILITIES, FUNCTION_RESET_AND_PAYLOAD_256);
        space.put16(DEVICE_CONTROL, DEVICE_CONTROL_AFTER_RESET);
        space.put32(LINK_CAPABILITIES, LINK.into());
        space.put16(LINK_STATUS, LINK);
        debug_assert!(BARS.iter().all(|bar| bar.number < 6));
        space
    }

    /// Reads bytes; what lies outside is zero.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, byte) in data.iter_mut().enumerate() {
            let place = begin.checked_add(index);
            *byte = place.and_then(|place| self.bytes.get(place)).copied().unwrap_or(0);
        }
    }

    /// Writes bytes; what may not be written keeps its value.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Effect {
        let before = self.state();
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        for (index, &byte) in data.iter().enumerate() {
            let Some(place) = begin.checked_add(index) else { break };
            if is_writable(place) {
                self.bytes[place] = byte;
            }
        }
        let control = self.get16(DEVICE_CONTROL);
        if control & INITIATE_RESET != 0 {
            // The bit reads as zero; the command register and this one return to their reset
            // values, and who reset the card writes them again.
            self.put16(COMMAND, 0);
            self.put16(DEVICE_CONTROL, DEVICE_CONTROL_AFTER_RESET);
            return Effect::Reset(self.state());
        }
        match self.state() {
            after if after == before => Effect::None,
            after => Effect::State(after),
        }
    }

    /// Says whether a vector has an event descriptor.
    pub fn set_interrupts(&mut self, interrupts: bool) -> ConfigState {
        self.interrupts = interrupts;
        self.state()
    }

    /// What the card sees of all this.
    pub fn state(&self) -> ConfigState {
        let control = self.get16(DEVICE_CONTROL);
        let size = |field: u16, largest: u16| 128_u32 << field.min(largest);
        ConfigState {
            bus_master: self.get16(COMMAND) & BUS_MASTER != 0,
            max_payload: size(control >> 5 & 7, LARGEST_PAYLOAD),
            max_read_request: size(control >> 12 & 7, LARGEST_READ),
            msix_enable: self.interrupts,
            msix_function_mask: false,
            ..ConfigState::default()
        }
    }

    fn get16(&self, place: usize) -> u16 {
        u16::from_le_bytes([self.bytes[place], self.bytes[place + 1]])
    }

    fn put16(&mut self, place: usize, value: u16) {
        self.bytes[place..place + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn put32(&mut self, place: usize, value: u32) {
        self.bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
    }
}

/// Bytes that a client may change. The BARs are not among them: the client keeps their values,
/// and the card would only have to give the type bits back, which are all zero here.
fn is_writable(place: usize) -> bool {
    let writable = [
        COMMAND..COMMAND + 2,
        CACHE_LINE..CACHE_LINE + 1,
        INTERRUPT_LINE..INTERRUPT_LINE + 1,
        MSIX + 3..MSIX + 4,
        DEVICE_CONTROL..DEVICE_CONTROL + 2,
    ];
    writable.iter().any(|range| range.contains(&place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(space: &Configuration, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        space.read(offset, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    #[test]
    fn the_list_of_capabilities_ends_and_names_both() {
        let space = Configuration::new(5);
        assert_eq!(word(&space, 0), 0x10f5_1af4);
        assert_eq!(word(&space, 8), 0x1200_0001);
        let mut names = Vec::new();
        let mut place = word(&space, CAPABILITIES_POINTER as u64) & 0xff;
        while place != 0 {
            let head = word(&space, place.into());
            names.push(head & 0xff);
            place = head >> 8 & 0xff;
        }
        assert_eq!(names, [0x11, 0x10]);
        assert_eq!(word(&space, MSIX as u64) >> 16, 4);
    }

    #[test]
    fn writes_change_what_they_may_and_say_what_they_cause() {
        let mut space = Configuration::new(2);
        assert_eq!(space.write(0, &[0; 4]), Effect::None);
        assert_eq!(word(&space, 0), 0x10f5_1af4);
        // Sizing of a BAR is the client's.
        assert_eq!(space.write(0x10, &[0xff; 4]), Effect::None);
        assert_eq!(word(&space, 0x10), 0);
        let Effect::State(state) = space.write(COMMAND as u64, &[6, 0]) else { panic!() };
        assert!(state.bus_master && state.max_payload == 128 && state.max_read_request == 512);
        let control = 1 << 5 | 5_u16 << 12;
        let Effect::State(state) = space.write(DEVICE_CONTROL as u64, &control.to_le_bytes())
        else {
            panic!()
        };
        assert_eq!((state.max_payload, state.max_read_request), (256, 4096));
        let reset = (control | INITIATE_RESET).to_le_bytes();
        let Effect::Reset(state) = space.write(DEVICE_CONTROL as u64, &reset) else { panic!() };
        assert!(!state.bus_master && state.max_read_request == 512);
        assert_eq!(word(&space, DEVICE_CONTROL as u64) & u32::from(INITIATE_RESET), 0);
    }

    #[test]
    fn accesses_outside_do_nothing() {
        let mut space = Configuration::new(2);
        assert_eq!(space.write(u64::MAX, &[1; 8]), Effect::None);
        assert_eq!(space.write(4094, &[1; 8]), Effect::None);
        let mut bytes = [7; 4];
        space.read(4094, &mut bytes);
        space.read(u64::MAX - 1, &mut bytes);
        assert_eq!(bytes, [0; 4]);
    }
}
