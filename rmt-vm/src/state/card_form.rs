//! What events write, between the form of a card and that of a dump.

use rmt_isa::card::read_back::{FieldContent, MapContent, MapKey, Record, read_map, read_store};
use rmt_isa::card::write_back::{write_map, write_store};
use rmt_isa::card::{CardImage, HostWrite, ProgramPlan};

use super::dump::{MapValues, SetDump, WayDump, map_of_card};
use super::{Contents, FieldValue};

impl Contents {
    /// Those of one of the programs of `image` on a card; `read` gives its words. No event of it
    /// may run meanwhile.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn of_card<E>(
        image: &CardImage,
        program: &ProgramPlan,
        mut read: impl FnMut(u32) -> Result<u64, E>,
    ) -> Result<Self, E> {
        let mut contents = Self::default();
        for plan in &image.contexts[program.contexts.clone()] {
            contents.contexts.push(sets_of_records(read_store(plan, &mut read)?));
        }
        for plan in &image.maps[program.maps.clone()] {
            contents.maps.push(map_of_card(plan.kind, read_map(plan, &mut read)?));
        }
        Ok(contents)
    }

    /// The words that put them onto a card for one of the programs of `image`: behind those that
    /// empty its sets, and before its commit.
    pub fn card_writes(&self, image: &CardImage, program: &ProgramPlan) -> Vec<HostWrite> {
        let mut writes = Vec::new();
        for (plan, sets) in image.contexts[program.contexts.clone()].iter().zip(&self.contexts) {
            writes.extend(write_store(plan, &records_of_sets(sets)));
        }
        for (plan, values) in image.maps[program.maps.clone()].iter().zip(&self.maps) {
            writes.extend(write_map(plan, &content_of_map(values, plan.capacity)));
        }
        writes
    }
}

/// Groups records, which come set by set with the most recently matched first.
pub fn sets_of_records(records: Vec<Record>) -> Vec<SetDump<Vec<FieldValue>>> {
    let mut sets: Vec<SetDump<Vec<FieldValue>>> = Vec::new();
    for Record { set, way, key, fields } in records {
        if sets.last().is_none_or(|last| last.set != set) {
            sets.push(SetDump { set, ways: Vec::new(), order: Vec::new() });
        }
        let Some(last) = sets.last_mut() else { continue };
        let value = fields.into_iter().map(field_value).collect();
        last.order.push(way as u8);
        last.ways.push(WayDump { way: way as u8, key, value });
        last.ways.sort_by_key(|way| way.way);
    }
    sets
}

fn field_value(content: FieldContent) -> FieldValue {
    match content {
        FieldContent::Scalar(value) => FieldValue::Scalar(value),
        FieldContent::Ring(values) => FieldValue::Ring(values),
    }
}

/// The occupied ways of a set, the most recently used first; by number where no order is kept.
fn ordered<T>(set: &SetDump<T>) -> impl Iterator<Item = &WayDump<T>> {
    let by_number: Vec<u8> = set.ways.iter().map(|way| way.way).collect();
    let order = if set.order.is_empty() { by_number } else { set.order.clone() };
    order.into_iter().filter_map(|number| set.ways.iter().find(|way| way.way == number))
}

fn records_of_sets(sets: &[SetDump<Vec<FieldValue>>]) -> Vec<Record> {
    let record = |set: u32, way: &WayDump<Vec<FieldValue>>| Record {
        set,
        way: way.way.into(),
        key: way.key,
        fields: way
            .value
            .iter()
            .map(|value| match value {
                FieldValue::Scalar(value) => FieldContent::Scalar(*value),
                FieldValue::Ring(values) => FieldContent::Ring(values.clone()),
            })
            .collect(),
    };
    sets.iter().flat_map(|set| ordered(set).map(move |way| record(set.set, way))).collect()
}

fn content_of_map(values: &MapValues, capacity: u32) -> MapContent {
    match values {
        MapValues::Indexed(indexed) => {
            let mut all = vec![0; capacity as usize];
            for &(index, value) in indexed {
                if let Some(place) = all.get_mut(index as usize) {
                    *place = value;
                }
            }
            MapContent::Indexed(all)
        }
        MapValues::Hashed(sets) => {
            let key = |set: u32, way: &WayDump<u64>| MapKey {
                set,
                way: way.way.into(),
                key: way.key,
                value: way.value,
            };
            let keys = sets.iter().flat_map(|set| ordered(set).map(move |way| key(set.set, way)));
            MapContent::Hashed(keys.collect())
        }
        MapValues::Ring { pushed, values } => {
            MapContent::Ring { pushed: *pushed, values: values.clone() }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use rmt_isa::card::{CardShape, lower};
    use rmt_isa::program::Ordering;

    use super::*;
    use crate::generate::{Options, Step, verified_case};
    use crate::interpreter::Machine;

    #[test]
    fn contents_that_went_to_a_card_come_back_the_same() {
        let shape = CardShape::default();
        let mut with_contents = 0;
        for seed in 0..60 {
            let case = verified_case(seed, &Options::default());
            let Ok(image) = lower(&case.program, Ordering::Total, &shape) else { continue };
            let mut machine = Machine::new(&case.program).unwrap();
            for step in &case.steps {
                if let Step::Event(event) = step {
                    machine.run(event);
                }
            }
            let contents = machine.state().contents();
            let plan = &image.programs[0];
            let writes = image.writes.iter().copied().chain(contents.card_writes(&image, plan));
            let words: HashMap<u32, u64> = writes.map(|w| (w.address, w.value)).collect();
            let read = |address| Ok::<_, Infallible>(words.get(&address).copied().unwrap_or(0));
            assert_eq!(Contents::of_card(&image, plan, read), Ok(contents.clone()), "seed {seed}");
            with_contents += usize::from(contents.contexts.iter().any(|sets| !sets.is_empty()));
        }
        assert!(with_contents > 10, "{with_contents} of 60 programs fit and have records");
    }
}
