//! Random operations on maps of all kinds against the interpreter's, then all contents.

use rmt_isa::Status;
use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::read_back::read_map;
use rmt_isa::card::{CardImage, CardShape, lower};
use rmt_isa::operand::IntType;
use rmt_isa::program::*;
use rmt_vm::state::MapStore;
use rmt_vm::state::dump::{dump_map, map_of_card};
use rtl_builder::prelude::*;

use super::MapUnit;
use crate::control::decode::MapFunction;

const FUNCTIONS: [MapFunction; 6] = [
    MapFunction::Load,
    MapFunction::Contains,
    MapFunction::Store,
    MapFunction::Add,
    MapFunction::Delete,
    MapFunction::Push,
];

fn maps() -> Vec<Map> {
    let map = |kind, capacity, value| Map {
        name: format!("{kind:?}"),
        kind,
        capacity,
        value,
        label: Label::Public,
    };
    vec![
        map(MapKind::Array, 5, IntType::I8),
        map(MapKind::Hash, 8, IntType::U16),
        map(MapKind::LruHash, 8, IntType::I32),
        map(MapKind::RingBuffer, 3, IntType::I16),
        map(MapKind::Histogram, 6, IntType::U8),
        map(MapKind::LruHash, 4, IntType::U64),
        map(MapKind::RingBuffer, 8, IntType::U64),
        map(MapKind::Histogram, 65, IntType::U64),
    ]
}

struct Unit {
    sim: Simulator,
    random: u64,
}

impl Unit {
    fn new(image: &CardImage, shape: &CardShape) -> Self {
        let sim = elaborate(MapUnit { shape: shape.clone() }).unwrap().simulator();
        let mut unit = Self { sim, random: 1 };
        for write in &image.writes {
            unit.sim.poke("host_address", write.address.into());
            unit.sim.poke("host_data", write.value);
            for now in [0, 1] {
                unit.sim.poke("host_write", now);
                unit.sim.step();
            }
            unit.sim.poke("host_write", 0);
        }
        unit
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = split_mix_64(self.random);
        (self.random >> 20) % bound
    }

    /// One request; its result, `None` when it breaks a rule, and the cycles that it took.
    fn ask(&mut self, function: MapFunction, map: u64, key: u64, value: u64) -> Option<(u64, u64)> {
        let thread = self.below(2);
        self.sim.poke("request_payload_function", function as u64);
        self.sim.poke("request_payload_map", map);
        self.sim.poke("request_payload_key", key);
        self.sim.poke("request_payload_value", value);
        self.sim.poke("request_payload_thread", thread);
        assert_eq!(self.sim.peek("request_ready"), 1, "the unit is idle");
        self.sim.poke("request_valid", 1);
        self.sim.step();
        self.sim.poke("request_valid", 0);
        let mut cycles = 1;
        loop {
            // Now and then the completion has to wait.
            let ready = self.below(4) > 0;
            self.sim.poke("completion_ready", ready.into());
            let valid = self.sim.peek("completion_valid") == 1;
            if valid && ready {
                assert_eq!(self.sim.peek("completion_payload_thread"), thread);
                let status = self.sim.peek("completion_payload_status");
                let result = self.sim.peek("completion_payload_value");
                self.sim.step();
                self.sim.poke("completion_ready", 0);
                if status == Status::OutOfRange as u64 {
                    return None;
                }
                assert_eq!(status, 0);
                // What a push completes with is written nowhere.
                let push = matches!(function, MapFunction::Push);
                return Some((if push { 0 } else { result }, cycles));
            }
            self.sim.step();
            cycles += u64::from(!valid);
            assert!(cycles < 9, "no completion");
        }
    }

    fn read(&mut self, address: u32) -> u64 {
        self.sim.poke("host_address", address.into());
        self.sim.step();
        self.sim.poke("host_read", 1);
        self.sim.step();
        assert_eq!(self.sim.peek("reply_valid"), 1, "word {address:#x}");
        let word = self.sim.peek("reply_data");
        self.sim.poke("host_read", 0);
        self.sim.step();
        word
    }
}

/// The definition; `None` where the kind has no such operation.
fn expected(store: &mut MapStore, function: MapFunction, key: u64, value: u64) -> Option<u64> {
    match function {
        MapFunction::Load => Some(store.load(key).unwrap_or(0)),
        MapFunction::Contains => Some(store.contains(key).into()),
        MapFunction::Store => store.stores_keys().then(|| store.store(key, value).into()),
        MapFunction::Add => store.stores_keys().then(|| store.add(key, value).unwrap_or(0)),
        MapFunction::Delete => store.removes_keys().then(|| store.remove(key).into()),
        MapFunction::Push => store.push(key).then_some(0),
    }
}

#[test]
fn random_operations_equal_the_interpreters() {
    let shape = CardShape { maps: 16, map_words: 256, map_sets: 16, ..CardShape::tiny() };
    let program = Program { maps: maps(), ..crate::reference::program_of(vec![]) };
    let image = lower(&program, Ordering::Total, &shape).unwrap();
    let mut unit = Unit::new(&image, &shape);
    let mut stores: Vec<_> = program.maps.iter().map(MapStore::new).collect();
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..12_000 {
        let map = unit.below(stores.len() as u64) as usize;
        let function = FUNCTIONS[unit.below(6) as usize];
        let key = match unit.below(4) {
            0 => split_mix_64(step) >> (step % 64),
            1 => 1_u64.wrapping_sub(unit.below(3)),
            _ => unit.below(20),
        };
        let value = if unit.below(2) == 0 { split_mix_64(!step) } else { unit.below(300) };
        let wanted = expected(&mut stores[map], function, key, value);
        let found = unit.ask(function, map as u64, key, value);
        let kind = stores[map].kind();
        assert_eq!(
            found.map(|(result, _)| result),
            wanted,
            "step {step}: {function:?} of {kind:?}"
        );
        let Some((result, cycles)) = found else { continue };
        let latency = match (function, kind) {
            (MapFunction::Push, _) => 1,
            (MapFunction::Add, _) => 5,
            _ => 4,
        };
        assert_eq!(cycles, latency, "cycles of {function:?} of {kind:?}");
        seen.insert((kind as u8, function as u8, result != 0));
    }
    // 5 operations of hash maps, 4 of arrays and histograms, 2 of ring buffers with the
    // results 0 and not 0, and the push; but an LRU map never refuses a store, and sums are
    // seldom 0 in LRU maps and histograms.
    assert!(seen.len() >= 2 * (5 + 5 + 4 + 4 + 2) + 1 - 3, "{seen:?}");
    for (plan, store) in image.maps.iter().zip(&stores) {
        let content = read_map::<()>(plan, |word| Ok(unit.read(word))).unwrap();
        assert_eq!(map_of_card(plan.kind, content), dump_map(store), "map {}", plan.number);
    }
}

#[test]
fn a_map_that_is_not_there_is_refused() {
    let shape = CardShape::tiny();
    let program = Program { maps: maps()[..3].to_vec(), ..crate::reference::program_of(vec![]) };
    let image = lower(&program, Ordering::Total, &shape).unwrap();
    let mut unit = Unit::new(&image, &shape);
    assert_eq!(unit.ask(MapFunction::Load, 2, 0, 0), Some((0, 4)));
    for map in [3, 4, 0x102, 0xfff] {
        assert_eq!(unit.ask(MapFunction::Load, map, 0, 0), None, "map {map}");
    }
}

#[test]
fn a_card_without_maps_refuses_them_all() {
    let shape = CardShape { maps: 0, ..CardShape::tiny() };
    let program = crate::reference::program_of(vec![]);
    let image = lower(&program, Ordering::Total, &shape).unwrap();
    let mut unit = Unit::new(&image, &shape);
    for function in [MapFunction::Load, MapFunction::Push] {
        assert_eq!(unit.ask(function, 0, 0, 0), None);
    }
}
