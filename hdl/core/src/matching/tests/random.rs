//! Random tables of all kinds against the interpreter, look-ups of events and of tail calls without a pause.

use std::collections::{BTreeSet, VecDeque};

use rmt_isa::Event;
use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::{CardImage, CardShape, HostWrite, lower};
use rmt_isa::program::{KeyField, KeySource, Matcher, Ordering, Table};
use rmt_vm::Machine;
use rmt_vm::generate::{Options, Step, verified_case};
use rtl_builder::prelude::*;

use crate::matching::MatchUnit;

/// Tables of all kinds with random entries, as programs of the generator have them.
fn options(shape: &CardShape) -> Options {
    let mut options = Options::default().with_instructions(|info| info.mnemonic == "TAIL_CALL");
    options.tables = 6..=6;
    options.entries = 0..=6;
    options.key_fields = 0..=4;
    options.key_bits = shape.match_key_bits;
    options.events = 20..=20;
    options.commit_every = 0;
    options
}

/// What a visit asks for, and what the interpreter finds.
struct Visit {
    table: u64,
    event: Event,
    /// It comes from a tail call with these arguments; else they are 0.
    by_call: bool,
    arguments: [u64; 4],
    /// Fields of the key.
    fields: usize,
    /// Number of the action, and its parameters.
    expected: Option<(usize, Vec<u64>)>,
}

/// A match unit with a program.
struct Unit {
    sim: Simulator,
    starts: Vec<u16>,
}

impl Unit {
    fn install(&mut self, image: &CardImage) {
        image.writes.iter().for_each(|write| self.write(write));
        self.starts = image.action_starts.clone();
    }

    fn write(&mut self, write: &HostWrite) {
        self.sim.poke("host_write", 1);
        self.sim.poke("host_address", write.address.into());
        self.sim.poke("host_data", write.value);
        self.sim.step();
        self.sim.poke("host_write", 0);
    }

    /// Sends the visits one behind the other, and compares all answers and their cycles.
    fn visit_all(&mut self, visits: &[Visit], match_fields: usize) {
        let mut unsent = visits.iter().enumerate();
        let mut next = unsent.next();
        let mut stored = false;
        // Number of a visit, and the cycle of its answer.
        let mut begun: VecDeque<(usize, usize)> = VecDeque::new();
        let mut parameters_of = None;
        let mut answered = 0;
        for cycle in 0.. {
            assert!(cycle < 10 * visits.len() + 10, "all visits have answers");
            for port in ["takes_valid", "first_valid", "tail_call_valid"] {
                self.sim.poke(port, 0);
            }
            if let Some((number, visit)) = next {
                let thread = number as u64 % 2;
                let (calls, takes) = (visit.by_call && stored, self.sim.peek("hold") == 0);
                if calls {
                    self.sim.poke("tail_call_valid", 1);
                    self.sim.poke("tail_call_payload_thread", thread);
                    self.sim.poke("tail_call_payload_table", visit.table);
                    let arguments = Bits::from_words(256, &visit.arguments);
                    self.sim.poke_bits("tail_call_payload_arguments", &arguments);
                } else if takes {
                    self.sim.poke("takes_valid", 1);
                    self.sim.poke("takes_thread", thread);
                    let words: Vec<u64> =
                        (0..8).map(|word| visit.event.load(8 * word, 8)).collect();
                    self.sim.poke_bits("event", &Bits::from_words(512, &words));
                    self.sim.poke("first_valid", (!visit.by_call).into());
                    self.sim.poke("first_thread", thread);
                    self.sim.poke("first_table", visit.table);
                }
                let goes = if calls { self.sim.peek("tail_call_ready") == 1 } else { takes };
                if goes && visit.by_call && !stored {
                    stored = true;
                } else if goes {
                    (stored, next) = (false, unsent.next());
                    let groups = visit.fields.div_ceil(match_fields).max(1);
                    let waits = usize::from(visit.by_call);
                    begun.push_back((number, cycle + waits + groups - 1 + 3));
                }
            }
            if let Some((number, given)) = parameters_of.take() {
                let given: &Vec<u64> = given;
                let values = self.sim.peek_bits("parameters_values");
                assert_eq!(values.words()[..given.len()], given[..], "visit {number}");
            }
            let ends = [self.sim.peek("start_valid") == 1, self.sim.peek("end_valid") == 1];
            if let Some((number, _)) = begun.pop_front_if(|(_, answer)| *answer == cycle) {
                let visit = &visits[number];
                let what = format!("visit {number} of table {}", visit.table);
                let found = visit.expected.is_some();
                assert_eq!(ends, [found, !found], "{what}");
                if let Some((action, given)) = &visit.expected {
                    let start = u64::from(self.starts[*action]);
                    assert_eq!(self.sim.peek("start_pc"), start, "{what}");
                    assert_eq!(self.sim.peek("start_thread"), number as u64 % 2);
                    parameters_of = Some((number, given));
                }
                answered += 1;
            } else {
                assert_eq!(ends, [false, false], "cycle {cycle}");
            }
            self.sim.step();
            if answered == visits.len() && parameters_of.is_none() {
                break;
            }
        }
    }
}

/// Takes all fields of a key from other bytes of the event, or other arguments, so that they
/// can have any values at once.
fn spread(table: &mut Table) {
    let mut end = 16_u8;
    for (field, register) in table.key.iter_mut().zip(1..) {
        let bytes = field.kind.bytes() as u8;
        match &mut field.source {
            KeySource::Argument { register: old } => *old = register,
            KeySource::Event { offset } => {
                *offset = end.next_multiple_of(bytes);
                end = *offset + bytes;
            }
        }
    }
}

/// Makes the key of a table one that a matcher matches.
fn aim(table: &Table, matcher: &Matcher, event: &mut Event, arguments: &mut [u64; 4]) {
    let mut rest = table.key_bits();
    for (index, field) in table.key.iter().enumerate() {
        rest -= field.kind.bits();
        let value = match matcher {
            Matcher::Exact { key } | Matcher::LongestPrefix { key, .. } => (key >> rest) as u64,
            Matcher::Ternary { value, .. } => (value >> rest) as u64,
            Matcher::Range { high, .. } => high[index],
        };
        match field.source {
            KeySource::Event { offset } => event.store(offset.into(), field.kind.bytes(), value),
            KeySource::Argument { register } => arguments[usize::from(register) - 1] = value,
        }
    }
}

/// Random tables of all kinds on the unit and on the interpreter.
fn random_tables(shape: &CardShape, seeds: std::ops::Range<u64>, most_fields: usize) {
    let sim = elaborate(MatchUnit { shape: shape.clone() }).unwrap().simulator();
    let mut unit = Unit { sim, starts: vec![] };
    let mut seen = BTreeSet::new();
    for seed in seeds {
        let mut case = verified_case(seed, &options(shape));
        case.program.tables.iter_mut().for_each(spread);
        // Every other program has no defaults.
        let keyed = case.program.tables.iter_mut().filter(|table| !table.key.is_empty());
        keyed.filter(|_| seed % 2 == 0).for_each(|table| table.default = None);
        let Ok(image) = lower(&case.program, Ordering::Pure, shape) else { continue };
        unit.install(&image);
        let machine = Machine::new(&case.program).unwrap();
        let mut visits = Vec::new();
        for (number, table) in machine.state().tables().iter().enumerate() {
            let declared = &case.program.tables[number];
            for (place, step) in case.steps.iter().enumerate() {
                let Step::Event(mut event) = *step else { continue };
                let random = split_mix_64(seed << 20 | visits.len() as u64);
                let mut arguments =
                    [random % 7, random >> 62, (random >> 60).wrapping_neg(), random];
                // The first ones are aimed at the entries.
                if let Some(entry) = declared.entries.get(place) {
                    aim(declared, &entry.matcher, &mut event, &mut arguments);
                }
                let argument =
                    |field: &KeyField| matches!(field.source, KeySource::Argument { .. });
                let by_call = random >> 40 & 1 == 1 || declared.key.iter().any(argument);
                if !by_call {
                    arguments = [0; 4];
                }
                let key = table.key(&event, &arguments);
                seen.insert((
                    declared.kind as u8,
                    declared.key.len(),
                    table.find(&key).is_some(),
                    table.default_action().is_some(),
                ));
                let bound = table.look_up(&key);
                let expected = bound.map(|b| (b.action(), b.parameters().to_vec()));
                visits.push(Visit {
                    table: number as u64,
                    event,
                    by_call,
                    arguments,
                    fields: declared.key.len(),
                    expected,
                });
            }
        }
        unit.visit_all(&visits, shape.match_fields as usize);
    }
    // Hits in all kinds with 1 to 4 fields; misses with and without default.
    for kind in 0..4 {
        for fields in 1..=most_fields {
            for outcome in [(true, true), (false, true), (false, false)] {
                let bin = (kind, fields, outcome.0, outcome.1);
                assert!(seen.contains(&bin), "no look-up of (kind, fields, hit, default) {bin:?}");
            }
        }
    }
}

/// A card whose tables are quickly installed.
fn shape(match_key_bits: u32, match_fields: u32) -> CardShape {
    CardShape {
        match_key_bits,
        match_fields,
        match_buckets: 32,
        ternary_slots: 32,
        range_slots: 16,
        ..CardShape::tiny()
    }
}

#[test]
fn random_tables_of_all_kinds_equal_the_interpreters() {
    // More fields seldom fit 64 bits.
    random_tables(&shape(64, 4), 0..60, 2);
}

#[test]
fn random_tables_with_wide_keys_equal_the_interpreters() {
    random_tables(&shape(128, 4), 1000..1080, 4);
}

#[test]
fn keys_gathered_in_two_cycles_equal_the_interpreters() {
    random_tables(&shape(128, 2), 1000..1080, 4);
}

#[test]
fn keys_gathered_field_by_field_equal_the_interpreters() {
    random_tables(&shape(128, 1), 1000..1080, 4);
}
