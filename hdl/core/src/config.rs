//! The configuration of the core: one value from which all RTL is generated.

use rmt_isa::card::engine::EngineShape;
use rmt_isa::card::{CardShape, ShapeError};
use serde::{Deserialize, Serialize};

/// What the core is built with.
///
/// Everything that software must know of the card stands in its shape, and the card gives it
/// back to the host: each parameter is documented there with its meaning, its range and what
/// it costs. In TOML or JSON a configuration is the fields of [`CardShape`], the engine's in
/// a table `engine`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CoreConfig {
    shape: CardShape,
}

/// A name that no preset has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no preset `{0}`; the presets are: smallest, {all}", all = CoreConfig::PRESETS.join(", "))]
pub struct UnknownPreset(pub String);

impl CoreConfig {
    /// Names of the presets that have all units; [`Self::smallest`] has not.
    pub const PRESETS: &[&str] = &["tiny", "small", "large"];

    /// A configuration for a shape; [`Self::check`] says whether it can be built.
    pub fn new(shape: CardShape) -> Self {
        Self { shape }
    }

    /// The preset of a name: `tiny` (4 × 4 array, 1 stage), `small` (8 × 8, 2 stages) or
    /// `large` (16 × 16, 4 stages), or `smallest`.
    ///
    /// # Errors
    /// [`UnknownPreset`], which lists those that there are.
    pub fn preset(name: &str) -> Result<Self, UnknownPreset> {
        Ok(Self::new(match name {
            "smallest" => return Ok(Self::smallest()),
            "tiny" => CardShape::tiny(),
            "small" => CardShape::small(),
            "large" => CardShape::default_card(),
            _ => return Err(UnknownPreset(name.to_owned())),
        }))
    }

    /// The smallest card that runs both programs of `firmware/`: one queue pair, one lane of the requantiser, no slots that
    /// compare in registers, no maps, no windows for convolutions.
    pub fn smallest() -> Self {
        let tiny = CardShape::tiny();
        let engine = EngineShape { requantise_lanes: 1, windows: 0, ..tiny.engine.clone() };
        Self::new(CardShape {
            queues: 1,
            ternary_slots: 0,
            range_slots: 0,
            context_words: 8192,
            maps: 0,
            engine,
            ..tiny
        })
    }

    /// What software must know of the card.
    pub fn shape(&self) -> &CardShape {
        &self.shape
    }

    /// Whether the core can be built.
    ///
    /// # Errors
    /// [`ShapeError`] with the parameter and the rule that it breaks.
    pub fn check(&self) -> Result<(), ShapeError> {
        self.shape.check()
    }
}

/// Widths that follow from a configuration, bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widths {
    /// Number of stages, not a width.
    pub stages: u32,
    /// Number of threads, not a width: of all stages, or of one in [`Self::of_stage`].
    pub threads: u32,
    /// Thread number.
    pub thread: u32,
    /// Program counter.
    pub pc: u32,
    /// Table number.
    pub table: u32,
    /// Row of parameters.
    pub row: u32,
    /// Key of a table.
    pub key: u32,
    /// Bucket number of the exact match.
    pub bucket: u32,
    /// Set of a context store.
    pub set: u32,
    /// Record of a context store: set and way.
    pub record: u32,
    /// Word of context data.
    pub word: u32,
    /// Ring head.
    pub head: u32,
    /// Map.
    pub map: u32,
    /// Row of four values of maps.
    pub map_row: u32,
    /// Set of a hash map.
    pub map_set: u32,
}

impl Widths {
    /// Widths inside a stage, where threads are counted from the stage's first.
    pub(crate) fn of_stage(shape: &CardShape) -> Self {
        let threads = shape.threads_of_stage();
        Self { threads, thread: bits_for(threads), ..Self::of(shape) }
    }

    /// Widths between units, where threads have their number among all.
    pub(crate) fn of(shape: &CardShape) -> Self {
        let bits = |values: u32| bits_for(values).max(1);
        Self {
            stages: shape.stages,
            threads: shape.threads(),
            thread: bits(shape.threads()),
            pc: bits(shape.program_words),
            table: bits(shape.tables),
            row: bits(shape.parameter_rows),
            key: shape.match_key_bits,
            bucket: bits(shape.match_buckets),
            set: bits(shape.context_sets),
            record: bits(shape.context_sets) + 2,
            word: bits(shape.context_words),
            head: bits(shape.ring_heads),
            map: bits(shape.maps),
            map_row: bits(shape.map_words / rmt_isa::limits::WAYS as u32),
            map_set: bits(shape.map_sets),
        }
    }
}

fn bits_for(values: u32) -> u32 {
    32 - values.saturating_sub(1).leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_built() {
        for name in CoreConfig::PRESETS {
            assert_eq!(CoreConfig::preset(name).unwrap().check(), Ok(()), "{name}");
        }
        assert_eq!(CoreConfig::preset("smallest"), Ok(CoreConfig::smallest()));
        assert_eq!(CoreConfig::smallest().check(), Ok(()));
        let error = CoreConfig::preset("huge").unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no preset `huge`; the presets are: smallest, tiny, small, large"
        );
    }

    #[test]
    fn a_configuration_survives_json_and_refuses_unknown_fields() {
        let config = CoreConfig::preset("small").unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<CoreConfig>(&text).unwrap(), config);
        let wrong = text.replace("program_words", "program_bytes");
        let error = serde_json::from_str::<CoreConfig>(&wrong).unwrap_err().to_string();
        assert!(error.contains("program_bytes"), "{error}");
    }
}
