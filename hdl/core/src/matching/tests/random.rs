//! Random tables of all kinds against the interpreter, look-ups of events and of tail calls side by side.

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
        self.sim.poke("host_address", write.address.into());
        self.sim.poke("host_data", write.value);
        // An access begins a cycle after its address is there.
        self.sim.step();
        self.sim.poke("host_write", 1);
        self.sim.step();
        self.sim.poke("host_write", 0);
    }

    /// Sends the visits, each event as soon as its thread is free, and compares all answers and their cycles.
    fn visit_all(&mut self, visits: &[Visit], shape: &CardShape) {
        let mut bench = Traffic::new(visits, shape);
        // Number of a visit, and the cycle of its answer.
        let mut begun: VecDeque<(usize, usize)> = VecDeque::new();
        let mut parameters_of = None;
        let mut answered = 0;
        for cycle in 0.. {
            assert!(cycle < 20 * visits.len() + 20, "all visits have answers");
            begun.extend(bench.cycle(&mut self.sim, cycle));
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
                    assert_eq!(self.sim.peek("start_thread"), number as u64 % THREADS as u64);
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

/// Threads of the card.
const THREADS: usize = 2;

/// Events and tail calls of visits on their way to the unit. Visits come from the threads in turn.
struct Traffic<'a> {
    visits: &'a [Visit],
    match_fields: usize,
    beats: usize,
    /// Events that were taken.
    taken: usize,
    /// Parts of the last of them that have gone to its thread.
    copied: usize,
    /// Tail calls that the unit has not taken, visits that were taken before, and first visits: with the first cycle in which
    /// each may begin.
    calls: VecDeque<usize>,
    called: VecDeque<(usize, usize)>,
    first: VecDeque<(usize, usize)>,
    /// From when on the next visit may begin, and a thread take its next event.
    free_from: usize,
    threads_from: [usize; THREADS],
    arguments: [[u64; 4]; THREADS],
}

impl<'a> Traffic<'a> {
    fn new(visits: &'a [Visit], shape: &CardShape) -> Self {
        let beats = shape.event_beats() as usize;
        Self {
            visits,
            match_fields: shape.match_fields as usize,
            beats,
            taken: 0,
            copied: beats,
            calls: VecDeque::new(),
            called: VecDeque::new(),
            first: VecDeque::new(),
            free_from: 0,
            threads_from: [0; THREADS],
            arguments: [[0; 4]; THREADS],
        }
    }

    /// Sets the inputs of a cycle. A visit that begins in it, and the cycle of its answer.
    fn cycle(&mut self, sim: &mut Simulator, cycle: usize) -> Option<(usize, usize)> {
        self.send_call(sim, cycle);
        self.send_event(sim, cycle);
        let begins = self.begins(sim, cycle);
        for field in 0..self.match_fields {
            let thread = sim.peek(&format!("arguments_{field}_thread")) as usize;
            let register = sim.peek(&format!("arguments_{field}_register")) as usize;
            let value = self.arguments[thread][(register + 3) % 4];
            sim.poke(&format!("values_{field}"), value);
        }
        begins
    }

    fn send_event(&mut self, sim: &mut Simulator, cycle: usize) {
        sim.poke("beat_valid", 0);
        sim.poke("beat_last", (self.beats == 1).into());
        sim.poke("first_valid", 0);
        let thread = self.taken % THREADS;
        if self.copied == self.beats
            && self.taken < self.visits.len()
            && self.threads_from[thread] <= cycle
            && sim.peek("hold") == 0
        {
            let visit = &self.visits[self.taken];
            sim.poke("first_valid", (!visit.by_call).into());
            sim.poke("first_thread", thread as u64);
            sim.poke("first_table", visit.table);
            self.threads_from[thread] = usize::MAX;
            (self.taken, self.copied) = (self.taken + 1, 0);
        }
        if self.copied == self.beats {
            return;
        }
        let (number, part) = (self.taken - 1, self.copied);
        let visit = &self.visits[number];
        let words: Vec<u64> = (0..8).map(|word| visit.event.load(8 * word, 8)).collect();
        let part_words = 8 / self.beats;
        let data = &words[part_words * part..part_words * (part + 1)];
        self.copied += 1;
        let last = self.copied == self.beats;
        sim.poke("beat_valid", 1);
        sim.poke("beat_thread", (number % THREADS) as u64);
        sim.poke("beat_number", part as u64);
        sim.poke("beat_last", last.into());
        sim.poke_bits("beat_data", &Bits::from_words(64 * part_words as u32, data));
        if last && visit.by_call {
            self.calls.push_back(number);
        } else if last {
            self.first.push_back((number, cycle));
        }
    }

    fn send_call(&mut self, sim: &mut Simulator, cycle: usize) {
        sim.poke("tail_call_valid", (!self.calls.is_empty()).into());
        if let Some(&number) = self.calls.front() {
            self.arguments[number % THREADS] = self.visits[number].arguments;
            sim.poke("tail_call_payload_thread", (number % THREADS) as u64);
            sim.poke("tail_call_payload_table", self.visits[number].table);
            if sim.peek("tail_call_ready") == 1 {
                self.calls.pop_front();
                self.called.push_back((number, cycle + 1));
            }
        }
    }

    /// A visit begins in the first cycle in which it can; tail calls go before events.
    fn begins(&mut self, sim: &mut Simulator, cycle: usize) -> Option<(usize, usize)> {
        let free = self.free_from <= cycle;
        let ready = |(_, from): &(usize, usize)| free && *from <= cycle;
        let called = self.called.pop_front_if(|visit| ready(visit));
        let begins = called.or_else(|| self.first.pop_front_if(|visit| ready(visit)));
        assert_eq!(sim.peek("begins_valid") == 1, begins.is_some(), "cycle {cycle}");
        let (number, _) = begins?;
        assert_eq!(sim.peek("begins_thread"), (number % THREADS) as u64);
        let groups = self.visits[number].fields.div_ceil(self.match_fields).max(1);
        // The last cycle in which its fields are gathered.
        let ends = cycle + groups - usize::from(self.beats == 1);
        self.free_from = ends.max(cycle + 1);
        self.threads_from[number % THREADS] = ends;
        Some((number, ends + 3))
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
        unit.visit_all(&visits, shape);
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
