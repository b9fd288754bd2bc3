//! Where a program runs: what events cost on each engine, measured, and when to move.
//!
//! - [`Platform`]: the figures, in a file that people can read and change.
//! - [`calibrate`]: measures them, on first start.
//! - [`Placer`]: from figures and measurements to a move, with hysteresis.

pub mod calibrate;
mod placer;

use std::path::Path;

use rmt_vm::verifier::Cost;
use serde::{Deserialize, Serialize};

pub use placer::{Look, Placer};

use crate::protocol::EngineName;

/// What events cost on this machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Platform {
    /// The processor that it was measured on; another one is measured anew.
    pub processor: String,
    /// The interpreter.
    pub interpreter: SoftwareCost,
    /// Machine code.
    pub jit: SoftwareCost,
    /// The card; none when there was none.
    pub card: Option<CardCost>,
}

/// What events cost in software, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoftwareCost {
    /// An event that does nothing.
    pub event_ns: f64,
    /// An instruction.
    pub instruction_ns: f64,
    /// A multiply-accumulate.
    pub mac_ns: f64,
    /// A comparison in a tree.
    pub comparison_ns: f64,
}

/// What events cost on the card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CardCost {
    /// Which card it is.
    pub name: String,
    /// A lone event that does nothing, from the driver's call to its answer, nanoseconds.
    pub round_trip_ns: f64,
    /// One more event in a batch that does nothing, nanoseconds.
    pub interval_ns: f64,
    /// A cycle of the card, nanoseconds.
    pub cycle_ns: f64,
    /// Events that the card works on at a time.
    pub threads: f64,
}

impl SoftwareCost {
    /// Nanoseconds of an event.
    pub fn event(&self, cost: &Cost) -> f64 {
        self.event_ns
            + self.instruction_ns * cost.instructions as f64
            + self.mac_ns * cost.macs as f64
            + self.comparison_ns * cost.comparisons as f64
    }
}

impl CardCost {
    /// Nanoseconds of an event in a batch: the batch's time by its size.
    pub fn event(&self, cost: &Cost, batch: f64) -> f64 {
        let work = cost.card_cycles as f64 * self.cycle_ns;
        let interval = self.interval_ns.max(work / self.threads.max(1.0));
        let batch = batch.max(1.0);
        (self.round_trip_ns + work + (batch - 1.0) * interval) / batch
    }

    /// The smallest batch, up to a bound, at which an event costs less than so many nanoseconds.
    pub fn pays_from(&self, cost: &Cost, software_ns: f64, most: u32) -> Option<u32> {
        (1..=most).find(|&batch| self.event(cost, batch.into()) < software_ns)
    }
}

impl Platform {
    /// Nanoseconds of an event on an engine, when batches have so many; none without the engine.
    pub fn event(&self, engine: EngineName, cost: &Cost, batch: f64) -> Option<f64> {
        match engine {
            EngineName::Interpreter => Some(self.interpreter.event(cost)),
            EngineName::Jit => Some(self.jit.event(cost)),
            EngineName::Card => self.card.as_ref().map(|card| card.event(cost, batch)),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is there and cannot be read; a file that is not there gives `None`.
    pub fn load(path: &Path) -> Result<Option<Self>, String> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("cannot read {}: {error}", path.display())),
        };
        toml::from_str(&text).map(Some).map_err(|error| {
            format!("{}: {error}; mend it, or delete it to measure again", path.display())
        })
    }

    /// Writes a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), String> {
        let text = format!(
            "# What events cost on this machine, measured by `rmt serve`. Figures may be changed by hand;\n\
             # when the file is deleted they are measured again at the next start.\n\n{}",
            toml::to_string(self).map_err(|error| error.to_string())?
        );
        std::fs::write(path, text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// The name of this machine's processor.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = info.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(": ")).map(|(_, name)| name.trim().to_owned());
    name.unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn platform() -> Platform {
        let software = |scale: f64| SoftwareCost {
            event_ns: 10.0 * scale,
            instruction_ns: 0.5 * scale,
            mac_ns: 0.1 * scale,
            comparison_ns: 1.0 * scale,
        };
        Platform {
            processor: processor(),
            interpreter: software(20.0),
            jit: software(1.0),
            card: Some(CardCost {
                name: "test".into(),
                round_trip_ns: 1000.0,
                interval_ns: 20.0,
                cycle_ns: 4.0,
                threads: 16.0,
            }),
        }
    }

    #[test]
    fn the_card_pays_for_large_models_in_batches() {
        let platform = platform();
        let card = platform.card.as_ref().unwrap();
        let small = Cost { instructions: 10, macs: 160, card_cycles: 80, ..Cost::default() };
        let large = Cost { instructions: 20, macs: 65_536, card_cycles: 600, ..Cost::default() };
        let jit = |cost| platform.event(EngineName::Jit, cost, 1.0).unwrap();
        assert!(card.event(&small, 1.0) > jit(&small), "a lone small network loses");
        assert_eq!(card.pays_from(&small, jit(&small), 8), None);
        assert_eq!(card.pays_from(&large, jit(&large), 8), Some(1));
        let interpreter = platform.event(EngineName::Interpreter, &small, 1.0).unwrap();
        assert!(card.pays_from(&small, interpreter, 64).is_some_and(|batch| batch > 1));
    }

    #[test]
    fn the_file_can_be_read_by_people_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("platform.toml");
        assert_eq!(Platform::load(&path), Ok(None));
        platform().save(&path).unwrap();
        assert_eq!(Platform::load(&path), Ok(Some(platform())));
        std::fs::write(&path, "processor = 3").unwrap();
        assert!(Platform::load(&path).unwrap_err().contains("delete it to measure again"));
    }
}
