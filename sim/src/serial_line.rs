//! A Verilated card behind a serial line, see `rmt_core::serial`: the bits of the line, one a few cycles.

use std::collections::VecDeque;

use rtl_builder::prelude::Design;

use crate::card::{CardError, build_of};
use crate::verilated::{
    Clock, InitialState, Input, Instance, Output, Port, Toolchain, default_cache_dir,
};

/// Clock cycles of a bit: the fewest that the card's receiver takes, so simulations are short.
pub const CLOCKS_PER_BIT: u32 = 4;
const RESET_CYCLES: u64 = 4;
const LIGHTS: [&str; 4] = ["light_clock", "light_link", "light_traffic", "light_fault"];

/// The host's end of the line: a UART that sends and receives at once.
///
/// Both sides have one clock here, so the line is driven and looked at once a bit.
pub struct SerialLine {
    instance: Instance,
    clock: Clock,
    serial_in: Input,
    serial_out: Output,
    to_card: VecDeque<u8>,
    /// Levels still to be driven, this one lowest, and how many.
    sending: (u16, u32),
    /// Levels of a byte under way, the start bit lowest, and how many.
    receiving: (u16, u32),
    from_card: Vec<u8>,
    bits: u64,
}

impl SerialLine {
    /// Builds the model of a card from [`rmt_core::elaborate_serial_card`] with [`CLOCKS_PER_BIT`], or
    /// takes it from the cache, and resets it.
    ///
    /// # Errors
    /// When Verilator is missing or refuses the design.
    pub fn new(design: &Design, toolchain: &Toolchain) -> Result<Self, CardError> {
        let mut ports = vec![Port::input("clk", 1), Port::input("rst", 1)];
        ports.extend([Port::input("serial_in", 1), Port::output("serial_out", 1)]);
        ports.extend(LIGHTS.map(|light| Port::output(light, 1)));
        let build = build_of(design, design.files(), ports);
        let model = build.build(toolchain, &default_cache_dir())?;
        let mut instance = model.instantiate(InitialState::Random { seed: 1 })?;
        let (clock, reset) = (model.clock("clk")?, model.input("rst")?);
        let (serial_in, serial_out) = (model.input("serial_in")?, model.output("serial_out")?);
        instance.poke(serial_in, 1)?;
        instance.poke(reset, 1)?;
        instance.cycles(clock, RESET_CYCLES)?;
        instance.poke(reset, 0)?;
        Ok(Self {
            instance,
            clock,
            serial_in,
            serial_out,
            to_card: VecDeque::new(),
            sending: (0, 0),
            receiving: (0, 0),
            from_card: Vec::new(),
            bits: 0,
        })
    }

    /// Bytes to the card; they go as time passes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.to_card.extend(bytes);
    }

    /// Takes the bytes that the card has sent.
    pub fn take_received(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.from_card)
    }

    /// Clock cycles since the reset.
    pub fn cycle(&self) -> u64 {
        self.bits * u64::from(CLOCKS_PER_BIT)
    }

    /// Lets the time of some bits pass.
    ///
    /// # Errors
    /// When the simulation fails.
    pub fn advance(&mut self, bits: u64) -> Result<(), CardError> {
        for _ in 0..bits {
            if self.sending.1 == 0
                && let Some(byte) = self.to_card.pop_front()
            {
                // Start bit, data, stop bit.
                self.sending = (1 << 9 | u16::from(byte) << 1, 10);
            }
            let level = if self.sending.1 == 0 { 1 } else { self.sending.0 & 1 };
            self.sending = (self.sending.0 >> 1, self.sending.1.saturating_sub(1));
            self.instance.poke(self.serial_in, level.into())?;
            self.instance.cycles(self.clock, CLOCKS_PER_BIT.into())?;
            self.bits += 1;
            let shown = self.instance.peek(self.serial_out)? as u16;
            let (levels, count) = self.receiving;
            self.receiving = match (count, shown) {
                (0, 1) => (0, 0),
                (9, 1) => {
                    self.from_card.push((levels >> 1) as u8);
                    (0, 0)
                }
                // No stop bit: nothing that is a byte.
                (9, _) => (0, 0),
                _ => (levels | shown << count, count + 1),
            };
        }
        Ok(())
    }
}
