//! The test bench: a core on the evaluator with a host that installs programs, sends events
//! and reads records back.

use std::collections::VecDeque;

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::read_back::{FieldContent, Record, read_map, read_store};
use rmt_isa::card::regions::CONTROL;
use rmt_isa::card::{CardImage, CardShape, HostWrite, lower};
use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};
use rmt_isa::program::{Ordering, Program};
use rmt_isa::{Decision, Event};
use rmt_vm::Machine;
use rmt_vm::state::FieldValue;
use rmt_vm::state::dump::{MapValues, dump_map, map_of_card};
use rtl_builder::prelude::*;

use rmt_core::CoreConfig;

/// Cycles after which the bench gives up on an answer.
const PATIENCE: u32 = 20_000;

/// What the host does, one after the other.
#[derive(Clone, Copy, Debug)]
pub enum HostStep {
    /// It writes a word.
    Write(HostWrite),
    /// It reads control word 0 until these bits are clear.
    UntilClear(u64),
}

/// A core with a program.
pub struct Bench {
    pub sim: Simulator,
    pub image: CardImage,
    /// What the host does while events run.
    pub host: VecDeque<HostStep>,
    host_busy: bool,
    /// `Some`: events come and decisions are taken at random times, from this state on.
    pub jitter: Option<u64>,
}

impl Bench {
    /// A core with `program` installed.
    pub fn new(shape: &CardShape, program: &Program, ordering: Ordering) -> Self {
        let image = lower(program, ordering, shape).unwrap();
        let sim = rmt_core::elaborate(&CoreConfig::new(shape.clone())).unwrap().simulator();
        let mut bench = Self { sim, image, host: VecDeque::new(), host_busy: false, jitter: None };
        bench.sim.poke("decision_ready", 1);
        bench.write_image();
        bench
    }

    /// Puts another program in place of the one that is there.
    pub fn install(&mut self, shape: &CardShape, program: &Program, ordering: Ordering) {
        self.image = lower(program, ordering, shape).unwrap();
        self.write_image();
    }

    fn write_image(&mut self) {
        for write in self.image.writes.clone() {
            self.write(write.address, write.value);
        }
    }

    pub fn step(&mut self) {
        self.sim.step();
    }

    fn poke_access(&mut self, write: bool, address: u32, value: u64) {
        self.sim.poke("host_valid", 1);
        self.sim.poke("host_write", write.into());
        self.sim.poke("host_address", address.into());
        self.sim.poke("host_wdata", value);
    }

    fn access(&mut self, write: bool, address: u32, value: u64) -> u64 {
        self.poke_access(write, address, value);
        self.step();
        self.sim.poke("host_valid", 0);
        for _ in 0..PATIENCE {
            if self.sim.peek("host_answer_valid") == 1 {
                return self.sim.peek("host_answer_rdata");
            }
            self.step();
        }
        panic!("no answer to the access of {address:#x}");
    }

    pub fn write(&mut self, address: u32, value: u64) {
        self.access(true, address, value);
    }

    pub fn read(&mut self, address: u32) -> u64 {
        self.access(false, address, 0)
    }

    /// Sends events as fast as they are taken and collects all decisions, in the order in
    /// which they leave.
    pub fn run(&mut self, events: &[Event]) -> Vec<Decision> {
        let mut waiting: VecDeque<&Event> = events.iter().collect();
        let mut outcomes = Vec::new();
        let mut quiet = 0;
        let mut offered = false;
        while outcomes.len() < events.len() || !self.host.is_empty() || self.host_busy {
            self.drive_host();
            // Once offered, an event stays until it is taken.
            offered = !waiting.is_empty() && (offered || self.by_chance());
            let ready = self.by_chance();
            self.sim.poke("decision_ready", ready.into());
            self.sim.poke("event_valid", offered.into());
            if let Some(event) = waiting.front() {
                self.sim.poke_bits("event_payload", &bits_of(event));
            }
            if self.sim.peek("decision_valid") == 1 && self.sim.peek("decision_ready") == 1 {
                outcomes.push(self.decision());
                quiet = 0;
            }
            if offered && self.sim.peek("event_ready") == 1 {
                waiting.pop_front();
                offered = false;
            }
            self.step();
            // The host may be longer than any event.
            quiet = if self.host_busy { 0 } else { quiet + 1 };
            assert!(quiet < PATIENCE, "no decision: {} of {} came", outcomes.len(), events.len());
        }
        self.sim.poke("event_valid", 0);
        self.sim.poke("decision_ready", 1);
        outcomes
    }

    /// The host's side of a cycle.
    fn drive_host(&mut self) {
        self.sim.poke("host_valid", 0);
        if self.host_busy {
            if self.sim.peek("host_answer_valid") == 0 {
                return;
            }
            self.host_busy = false;
            let value = self.sim.peek("host_answer_rdata");
            match self.host.front() {
                Some(HostStep::UntilClear(mask)) if value & mask != 0 => {}
                _ => drop(self.host.pop_front()),
            }
        }
        let Some(&step) = self.host.front() else { return };
        let (write, address, value) = match step {
            HostStep::Write(write) => (true, write.address, write.value),
            HostStep::UntilClear(_) => (false, CONTROL.word(0), 0),
        };
        self.poke_access(write, address, value);
        self.host_busy = true;
    }

    /// Always, or one time in three when there is jitter.
    fn by_chance(&mut self) -> bool {
        let Some(state) = &mut self.jitter else { return true };
        *state = split_mix_64(*state);
        *state % 3 == 0
    }

    fn decision(&mut self) -> Decision {
        let bits = self.sim.peek_bits("decision_payload");
        let mut bytes = [0; DECISION_BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(bits.words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Decision::from_bytes(&bytes).unwrap().0
    }

    /// All records of a context store.
    pub fn records(&mut self, store: usize) -> Vec<Record> {
        let plan = self.image.contexts[store].clone();
        read_store::<()>(&plan, |address| Ok(self.read(address))).unwrap()
    }

    /// What a map holds.
    pub fn map(&mut self, number: usize) -> MapValues {
        let plan = self.image.maps[number];
        map_of_card(plan.kind, read_map::<()>(&plan, |address| Ok(self.read(address))).unwrap())
    }
}

fn bits_of(event: &Event) -> Bits {
    let words: Vec<u64> = (0..EVENT_BYTES / 8).map(|word| event.load(8 * word, 8)).collect();
    Bits::from_words(512, &words)
}

/// Runs `events` on the core and on the interpreter; decisions and records must be equal.
/// Gives the core's decisions in the order of the events.
pub fn compare(
    shape: &CardShape,
    program: &Program,
    ordering: Ordering,
    events: &[Event],
) -> Vec<Decision> {
    compare_on(&mut Bench::new(shape, program, ordering), program, events)
}

/// The same on a core that has the program.
pub fn compare_on(bench: &mut Bench, program: &Program, events: &[Event]) -> Vec<Decision> {
    let mut outcomes = bench.run(events);
    let mut machine = Machine::new(program).unwrap();
    let mut in_order = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let expected = machine.run(event);
        let place = outcomes.iter().position(|outcome| outcome.tag == event.tag());
        let outcome = outcomes.remove(place.unwrap_or_else(|| panic!("event {number} was lost")));
        let got = Decision { cycles: 0, ..outcome };
        assert_eq!(got, expected, "event {number}");
        in_order.push(outcome);
    }
    for store in 0..program.contexts.len() {
        assert_eq!(bench.records(store), expected_records(&machine, store), "store {store}");
    }
    for (number, map) in machine.state().maps().iter().enumerate() {
        assert_eq!(bench.map(number), dump_map(map), "map {number}");
    }
    in_order
}

/// The interpreter's records, as the card gives them.
fn expected_records(machine: &Machine, store: usize) -> Vec<Record> {
    let store = &machine.state().contexts()[store];
    let mut records = Vec::new();
    for (number, set) in store.sets().sets().iter().enumerate() {
        for &way in set.order() {
            let slot = number * rmt_isa::limits::WAYS + usize::from(way);
            let fields = store.record_values(slot).into_iter().map(|value| match value {
                FieldValue::Scalar(value) => FieldContent::Scalar(value),
                FieldValue::Ring(values) => FieldContent::Ring(values),
            });
            records.push(Record {
                set: number as u32,
                way: way.into(),
                key: set.key(way.into()).unwrap(),
                fields: fields.collect(),
            });
        }
    }
    records
}
