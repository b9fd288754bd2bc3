//! Maps: values, sets of keys and descriptors get their places.

use super::{LowerError, Lowering};
use crate::card::fields::map_descriptor;
use crate::card::regions::{MAP_RINGS, MAP_SETS, MAP_VALUES, MAPS};
use crate::limits::WAYS;
use crate::operand::IntType;
use crate::program::{Map, MapKind};

/// Where a map stands on the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapPlan {
    /// Its number.
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

impl Lowering<'_> {
    /// Writes the descriptors of all maps and empties them.
    pub(super) fn maps(&mut self) -> Result<Vec<MapPlan>, LowerError> {
        let (program, shape) = (self.program, self.shape);
        if program.maps.len() > shape.maps as usize {
            return Err(LowerError::Memory {
                object: "the maps".into(),
                needed: program.maps.len(),
                unit: "descriptors",
                has: shape.maps,
                parameter: "maps",
            });
        }
        let (mut values, mut sets) = (0_u64, 0_u64);
        let mut plans = Vec::new();
        for (number, map) in (0..).zip(&program.maps) {
            let &Map { kind, capacity, value, .. } = map;
            let (first_value, first_set) = (values as u32, sets as u32);
            let plan = MapPlan { number, kind, value, capacity, values: first_value, first_set };
            // A row of four values, as the ways of a set have them.
            values += u64::from(capacity).next_multiple_of(WAYS as u64);
            sets += u64::from(plan.sets());
            for (needed, unit, has, parameter) in [
                (values, "values", shape.map_words, "map_words"),
                (sets, "sets of four keys", shape.map_sets, "map_sets"),
            ] {
                if needed > has.into() {
                    return Err(LowerError::Memory {
                        object: format!("the maps up to `{}`", map.name),
                        needed: needed as usize,
                        unit,
                        has,
                        parameter,
                    });
                }
            }
            self.write_map(plan);
            plans.push(plan);
        }
        for number in program.maps.len() as u32..shape.maps {
            self.write(MAPS.word(number), 0);
        }
        Ok(plans)
    }

    fn write_map(&mut self, plan: MapPlan) {
        self.write(MAPS.word(plan.number), plan.to_word());
        // A key that is added brings its value with it.
        let values = if plan.sets() == 0 { plan.capacity } else { 0 };
        for word in plan.values..plan.values + values {
            self.write(MAP_VALUES.word(word), 0);
        }
        for set in plan.first_set..plan.first_set + plan.sets() {
            self.write(MAP_SETS.word(set), 0);
        }
        for word in 0..2 {
            self.write(MAP_RINGS.word(2 * plan.number + word), 0);
        }
    }
}
