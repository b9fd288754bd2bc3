//! Maps: values, sets of keys and descriptors get their places.

use super::gaps::Gaps;
use super::{LowerError, StateUnit};
use crate::card::HostWrite;
use crate::card::fields::map_descriptor;
use crate::card::regions::{MAP_RINGS, MAP_SETS, MAP_VALUES, MAPS};
use crate::card::shape::CardShape;
use crate::limits::WAYS;
use crate::operand::IntType;
use crate::program::{Map, MapKind};

/// Where a map stands on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapPlan {
    /// Its number on the card.
    pub number: u32,
    /// What it is.
    pub kind: MapKind,
    /// Type of a value.
    pub value: IntType,
    /// Values that it holds.
    pub capacity: u32,
    /// First word of its values.
    pub values: u32,
    /// First set of its keys; only hash maps have keys.
    pub first_set: u32,
}

impl MapPlan {
    /// Sets of its keys.
    pub fn sets(self) -> u32 {
        match self.kind {
            MapKind::Hash | MapKind::LruHash => self.capacity / WAYS as u32,
            MapKind::Array | MapKind::RingBuffer | MapKind::Histogram => 0,
        }
    }

    /// The map's descriptor.
    fn to_word(self) -> u64 {
        map_descriptor::PRESENT.insert(1)
            | map_descriptor::KIND.insert(self.kind as u64)
            | map_descriptor::VALUE.insert(self.value as u64)
            | map_descriptor::LAST_PLACE.insert(u64::from(self.capacity.max(1)) - 1)
            | map_descriptor::FIRST_ROW.insert(u64::from(self.values) / WAYS as u64)
            | map_descriptor::FIRST_SET.insert(self.first_set.into())
    }
}

/// How much of the card's memories of maps is taken.
pub(super) struct MapGaps {
    numbers: Gaps,
    /// Rows of four values, as the ways of a set have them.
    rows: Gaps,
    sets: Gaps,
}

impl MapGaps {
    pub(super) fn new(shape: &CardShape) -> Self {
        Self {
            numbers: Gaps::new(shape.maps),
            rows: Gaps::new(shape.map_words / WAYS as u32),
            sets: Gaps::new(shape.map_sets),
        }
    }

    /// Marks what a map takes.
    pub(super) fn reserve(&mut self, plan: MapPlan) {
        self.numbers.reserve(plan.number, 1);
        self.rows.reserve(plan.values / WAYS as u32, plan.capacity.div_ceil(WAYS as u32));
        self.sets.reserve(plan.first_set, plan.sets());
    }

    /// Gives the maps of a program their places.
    pub(super) fn place(&mut self, maps: &[Map]) -> Result<Vec<MapPlan>, LowerError> {
        let (has_maps, has_rows, has_sets) =
            (self.numbers.size(), self.rows.size(), self.sets.size());
        let memory = |object: &str, unit, parameter, has| {
            let object = object.to_owned();
            move |needed| LowerError::Memory { object, needed, unit, has, parameter }
        };
        let mut plans = Vec::new();
        for (index, map) in maps.iter().enumerate() {
            let &Map { kind, capacity, value, .. } = map;
            let name = format!("the maps up to `{}`", map.name);
            // All that are left, so that the message says how many there are in all.
            let number = self.numbers.take(1).map_err(|needed| {
                let needed = needed + maps.len() - index - 1;
                memory("the maps", "descriptors", "maps", has_maps)(needed)
            })?;
            let rows = u64::from(capacity).div_ceil(WAYS as u64);
            let row = self.rows.take(rows).map_err(|needed| {
                let has = has_rows * WAYS as u32;
                memory(&name, "values", "map_words", has)(needed * WAYS)
            })?;
            let mut plan =
                MapPlan { number, kind, value, capacity, values: row * WAYS as u32, first_set: 0 };
            if plan.sets() > 0 {
                plan.first_set = (self.sets.take(plan.sets().into())).map_err(memory(
                    &name,
                    "sets of four keys",
                    "map_sets",
                    has_sets,
                ))?;
            }
            plans.push(plan);
        }
        Ok(plans)
    }
}

/// The descriptor of a map, or of none, and the writes that empty it.
pub(super) fn map_unit(number: u32, plan: Option<MapPlan>) -> StateUnit {
    let write = |address, value| HostWrite { address, value };
    let descriptors = vec![write(MAPS.word(number), plan.map_or(0, MapPlan::to_word))];
    let mut clears = Vec::new();
    if let Some(plan) = plan {
        // A key that is added brings its value with it.
        let values = if plan.sets() == 0 { plan.capacity } else { 0 };
        let values = plan.values..plan.values + values;
        clears.extend(values.map(|word| write(MAP_VALUES.word(word), 0)));
        let sets = plan.first_set..plan.first_set + plan.sets();
        clears.extend(sets.map(|set| write(MAP_SETS.word(set), 0)));
        clears.extend((0..2).map(|word| write(MAP_RINGS.word(2 * number + word), 0)));
    }
    StateUnit { descriptors, clears }
}
