//! What happens to a program: events that often hit its entries, and commits.

use rmt_isa::Event;
use rmt_isa::event::event_layout;
use rmt_isa::program::{KeySource, Matcher, Program, Table};

use super::{Options, Random, Step, tables};
use crate::state::model::ModelObjects;
use crate::state::{Change, EntryHandle, FieldValue};

/// Events, with commits between them.
pub(super) fn steps(random: &mut Random, options: &Options, program: &Program) -> Vec<Step> {
    let count = random.between(*options.events.start(), *options.events.end());
    let mut steps = Vec::new();
    for tag in 0..count {
        if options.commit_every > 0 && random.one_in(options.commit_every) {
            let changes = (0..random.between(1, 4)).filter_map(|_| change(random, program));
            steps.push(Step::Commit(changes.collect()));
        }
        steps.push(Step::Event(event(random, program, tag as u32)));
    }
    steps
}

/// An event: few keys, likely arguments, and often just what some entry asks for.
fn event(random: &mut Random, program: &Program, tag: u32) -> Event {
    let mut event = Event::new(program.hook.number, tag, random.below(6) as u64);
    for place in 0..6 {
        event.store(event_layout::ARGUMENTS.offset + 8 * place, 8, tables::likely_value(random));
    }
    if let Some(table) = random.choose(&program.tables)
        && let Some(entry) = random.choose(&table.entries)
    {
        hit(random, table, &entry.matcher, &mut event);
    }
    if random.one_in(60) {
        // Bits that must be zero, or another hook's number.
        let field = if random.one_in(2) { event_layout::FLAGS } else { event_layout::HOOK };
        event.store(field.offset, field.bytes, random.bits());
    }
    event
}

/// Writes into the event what a matcher compares.
fn hit(random: &mut Random, table: &Table, matcher: &Matcher, event: &mut Event) {
    let mut rest = table.key_bits();
    for (index, field) in table.key.iter().enumerate() {
        rest -= field.kind.bits();
        let value = match matcher {
            Matcher::Exact { key } | Matcher::LongestPrefix { key, .. } => (key >> rest) as u64,
            Matcher::Ternary { value, mask } => {
                (value >> rest) as u64 | random.value() & !(mask >> rest) as u64
            }
            Matcher::Range { low, high } => {
                *random.pick(&[low[index], high[index], low[index].wrapping_add(1)])
            }
        };
        if let KeySource::Event { offset } = field.source {
            event.store(offset.into(), field.kind.bytes(), value);
        }
    }
}

/// A change, of which some are refused; `None` when the program has no such object.
fn change(random: &mut Random, program: &Program) -> Option<Change> {
    let number = random.choose(0..program.tables.len())?;
    let (table, declared) = (number as u16, &program.tables[number]);
    let handle = EntryHandle(random.below(8) as u64);
    Some(match random.below(10) {
        0 | 1 => Change::AddEntry { table, entry: tables::entry(random, program, declared) },
        2 => Change::RemoveEntry { table, handle },
        3 => Change::ChangeEntry { table, handle, call: tables::call(random, program, declared) },
        4 => {
            let call = (!random.one_in(4)).then(|| tables::call(random, program, declared));
            Change::SetDefault { table, call }
        }
        5 => {
            let model = random.choose(&program.models)?.clone();
            let objects = new_objects(random, program, &model);
            Change::SwapModel { model, objects }
        }
        6 => put_record(random, program)?,
        7 => {
            let context = random.choose(0..program.contexts.len())? as u16;
            Change::RemoveRecord { context, key: random.below(6) as u64 }
        }
        8 => {
            let map = random.choose(0..program.maps.len())? as u16;
            Change::StoreMap { map, key: random.below(24) as u64, value: random.value() }
        }
        _ => {
            let map = random.choose(0..program.maps.len())? as u16;
            match random.below(3) {
                0 => Change::ClearMap { map },
                _ => Change::RemoveMapKey { map, key: random.below(24) as u64 },
            }
        }
    })
}

/// The objects of a model with other values: those that are there in another order, which
/// keeps every proof of the verifier that speaks of the sum of magnitudes.
fn new_objects(random: &mut Random, program: &Program, model: &str) -> ModelObjects {
    let mut objects = ModelObjects::of_program(program, model);
    for tensor in &mut objects.tensors {
        let distance = random.below(tensor.values.len().max(1));
        tensor.values.rotate_left(distance);
    }
    for scale in &mut objects.scales {
        scale.channels.reverse();
        scale.zero_point = scale.zero_point.wrapping_neg();
    }
    // One in eight swaps has a wrong shape and is refused.
    if random.one_in(8)
        && let Some(tensor) = objects.tensors.first_mut()
    {
        tensor.values.push(0);
        tensor.shape = vec![tensor.values.len() as u32];
    }
    objects
}

fn put_record(random: &mut Random, program: &Program) -> Option<Change> {
    let number = random.choose(0..program.contexts.len())?;
    let fields = program.contexts[number].fields.iter().map(|field| {
        let mut value = || field.kind.wrap(random.value());
        match field.ring {
            None => FieldValue::Scalar(value()),
            Some(depth) => FieldValue::Ring((0..depth.div_ceil(2)).map(|_| value()).collect()),
        }
    });
    let fields = fields.collect();
    Some(Change::PutRecord { context: number as u16, key: random.below(6) as u64, fields })
}
