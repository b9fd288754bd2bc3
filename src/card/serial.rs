//! The simulated card behind a serial line, as the driver sees it: time passes in its calls only.

use std::io;
use std::time::Duration;

use anyhow::Result;
use rmt_core::CoreConfig;
use rmt_driver::serial::{Line, SerialDevice};
use rmt_sim::serial_line::{CLOCKS_PER_BIT, SerialLine};
use rmt_sim::verilated::Toolchain;

/// Clock of the simulated board.
const CLOCK_MHZ: u64 = 100;
/// Bits that pass in one look at the line: a byte or so.
const LOOK_BITS: u64 = 12;
/// Cycles that the card may take for anything, with what waits on the line before it.
const PATIENCE_CYCLES: u64 = 50_000_000;

struct SimulatedLine(SerialLine);

fn time(cycles: u64) -> Duration {
    Duration::from_nanos(cycles * 1000 / CLOCK_MHZ)
}

impl Line for SimulatedLine {
    fn name(&self) -> &str {
        "a simulated serial line"
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.send(bytes);
        Ok(())
    }

    fn receive(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.0.advance(LOOK_BITS).map_err(io::Error::other)?;
        bytes.extend(self.0.take_received());
        Ok(())
    }

    fn now(&self) -> Duration {
        time(self.0.cycle())
    }

    fn patience(&self) -> Duration {
        time(PATIENCE_CYCLES)
    }
}

/// A simulated card of a configuration behind a serial line.
pub fn simulated(config: &CoreConfig) -> Result<SerialDevice<impl Line + use<>>> {
    let design = rmt_core::elaborate_serial_card(config, CLOCKS_PER_BIT)?;
    Ok(SerialDevice::open(SimulatedLine(SerialLine::new(&design, &Toolchain::locate()?)?))?)
}
