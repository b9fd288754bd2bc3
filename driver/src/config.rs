//! What can be set, as it stands in configuration files and in messages of the control plane.

use std::time::Duration;

use rmt_isa::device::{MAX_RING_LOG2, MIN_RING_LOG2};
use serde::{Deserialize, Serialize};

use crate::error::DriverError;

/// How events get to the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Each event is written to the card: shortest way for a lone event.
    Inline,
    /// Events wait in a ring in memory and the card fetches them in batches.
    #[default]
    Ring,
}

/// A queue pair. All fields have defaults; unknown ones are refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueueConfig {
    /// How events get to the card.
    pub transport: Transport,
    /// Binary logarithm of the sizes of both rings, 4 to 12.
    pub ring_log2: u32,
    /// After this time without decision the event ends as late, microseconds.
    pub budget_microseconds: u32,
    /// Protection domain that the pair is bound to.
    pub domain: u16,
    /// Hooks whose events may be sent, at most four; others end with status hook-refused.
    pub hooks: Vec<u16>,
    /// Whether decisions raise interrupts; without, the driver polls.
    pub interrupts: bool,
    /// With interrupts: decisions until one is raised.
    pub moderation_decisions: u16,
    /// With interrupts: time after the first decision until one is raised, in units of 16 cycles
    /// of the card; 0 means no bound.
    pub moderation_time: u16,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            ring_log2: 8,
            budget_microseconds: 1000,
            domain: 0,
            hooks: Vec::new(),
            interrupts: false,
            moderation_decisions: 1,
            moderation_time: 0,
        }
    }
}

impl QueueConfig {
    /// The time after which an event is late.
    pub fn budget(&self) -> Duration {
        Duration::from_micros(self.budget_microseconds.into())
    }

    /// Refuses what no card could do.
    ///
    /// # Errors
    /// [`DriverError::Setting`] names the setting and its rule.
    pub fn check(&self) -> Result<(), DriverError> {
        let wrong =
            |setting, found: u64, rule: String| DriverError::Setting { setting, found, rule };
        if !(MIN_RING_LOG2..=MAX_RING_LOG2).contains(&self.ring_log2) {
            let rule = format!("{MIN_RING_LOG2} to {MAX_RING_LOG2}");
            return Err(wrong("ring_log2", self.ring_log2.into(), rule));
        }
        if self.hooks.is_empty() || self.hooks.len() > MAX_HOOKS {
            let rule = format!("a list of 1 to {MAX_HOOKS} hooks");
            return Err(wrong("hooks", self.hooks.len() as u64, rule));
        }
        if self.budget_microseconds == 0 {
            return Err(wrong("budget_microseconds", 0, "at least 1".to_owned()));
        }
        Ok(())
    }
}

/// Hooks that a pair can be bound to.
pub const MAX_HOOKS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sets_what_it_names_and_nothing_unknown() {
        let config: QueueConfig =
            toml::from_str("transport = 'inline'\nhooks = [3]\nring_log2 = 5").unwrap();
        assert_eq!(config.transport, Transport::Inline);
        assert_eq!(config.budget_microseconds, QueueConfig::default().budget_microseconds);
        config.check().unwrap();
        assert!(toml::from_str::<QueueConfig>("ring_size = 5").is_err());
    }

    #[test]
    fn values_out_of_range_are_named() {
        let good = QueueConfig { hooks: vec![1], ..QueueConfig::default() };
        good.check().unwrap();
        for (config, name) in [
            (QueueConfig { ring_log2: 13, ..good.clone() }, "ring_log2"),
            (QueueConfig { hooks: vec![0; 5], ..good.clone() }, "hooks"),
            (QueueConfig { hooks: vec![], ..good.clone() }, "hooks"),
            (QueueConfig { budget_microseconds: 0, ..good.clone() }, "budget_microseconds"),
        ] {
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }
}
