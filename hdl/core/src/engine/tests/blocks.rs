//! Single blocks against plain Rust.

use super::bench::Random;
use crate::engine::array::{MacArray, MacArrayIo};
use crate::engine::pair::MacPair;
use crate::engine::reduce::Reducer;
use crate::engine::requantiser::{RESULT_BITS, Requantiser};
use rmt_isa::arithmetic::requantise;
use rmt_isa::card::engine::{CHANNEL_MULTIPLIER, CHANNEL_SHIFT, EngineRegion, EngineShape};
use rmt_isa::operand::Element;
use rtl_builder::prelude::*;

/// Values side by side, the first one lowest.
fn pack(values: &[i32], bits: u32) -> Bits {
    values.iter().rev().fold(Bits::zero(0), |all, &value| {
        all.concat(&Bits::new(64, value as i64 as u64).slice(0, bits))
    })
}

fn unpack(word: &Bits, bits: u32) -> Vec<i32> {
    let lanes = word.width() / bits;
    (0..lanes).map(|lane| word.slice(lane * bits, bits).to_u64() as u32 as i32).collect()
}

/// An array whose sums are read at the edge that ends their cycle, as the card does: in one with a clock of its own they come
/// within it.
struct Sampled(MacArray);

impl Component for Sampled {
    type Io = MacArrayIo;

    fn name(&self) -> String {
        "sampled".into()
    }

    fn io(&self) -> MacArrayIo {
        self.0.io()
    }

    fn build(&self, io: MacArrayIo) {
        let array = instance("array", self.0.clone());
        array.load.set(io.load);
        array.load_plane.set(io.load_plane);
        array.load_row.set(io.load_row);
        array.weights.set(io.weights);
        array.plane.set(io.plane);
        array.activations.set(io.activations);
        io.sums.set(delayed("sums_q", array.sums.value()));
    }
}

/// Loads a tile in each plane in turn while waves of the other one pass.
fn check_array(size: u32, hop_columns: u32, products: u32, clock_ratio: u32) {
    let array = MacArray { size, hop_columns, products, clock_ratio };
    let bits = if products == 1 { 16 } else { 8 };
    let latency = u64::from(array.latency());
    let mut sim = elaborate(Sampled(array)).unwrap().simulator();
    let random = &mut Random::new(5);
    let n = size as usize;
    let mut planes = [vec![vec![0; n]; n], vec![vec![0; n]; n]];
    // (cycle at which the sums come, the sums)
    let mut expected: Vec<(u64, Vec<i32>)> = Vec::new();
    let mut loading: Option<(usize, Vec<Vec<i32>>, usize)> = None;
    let mut loaded = 0;
    let mut activations = vec![0; n];
    for cycle in 0..40 * u64::from(size) {
        let sums = unpack(&sim.peek_bits("sums"), 32);
        if let Some(place) = expected.iter().position(|(at, _)| *at == cycle) {
            assert_eq!(sums, expected.swap_remove(place).1, "cycle {cycle}");
        }
        sim.poke_bits("activations", &pack(&activations, bits));
        // The wave of the next cycle, whose plane is said now, sees row r of a plane as it is r cycles later, so only
        // planes that are complete or being loaded ahead of the wave are used.
        let next = match loading.take() {
            None => {
                let tile: Vec<Vec<i32>> =
                    (0..n).map(|_| (0..n).map(|_| random.value(8)).collect()).collect();
                loaded += 1;
                (loaded % 2, tile, 0)
            }
            Some(going) => going,
        };
        let (plane, tile, row) = next;
        sim.poke("load", 1);
        sim.poke("load_plane", plane as u64);
        sim.poke("load_row", row as u64);
        sim.poke_bits("weights", &pack(&tile[row], 8));
        // A wave right behind the load of its first row is the tightest case.
        let behind_load = random.one_in(2);
        let used = if behind_load { plane } else { 1 - plane };
        let weights = if behind_load { &tile } else { &planes[1 - plane] };
        activations = (0..n).map(|_| random.value(bits)).collect();
        let sums: Vec<i32> = (0..n)
            .map(|column| {
                (0..n).fold(0_i32, |sum, input| {
                    sum.wrapping_add(activations[input] * weights[input][column])
                })
            })
            .collect();
        sim.poke("plane", used as u64);
        if loaded > 2 {
            expected.push((cycle + 1 + latency + 1, sums));
        }
        loading = if row + 1 < n {
            Some((plane, tile, row + 1))
        } else {
            planes[plane] = tile;
            None
        };
        sim.step();
    }
}

/// Every activation with every two weights, one after the other through the registers, and any sums above.
#[test]
fn a_pair_of_cells_equals_two_for_all_operands() {
    const CASES: u32 = 1 << 24;
    let mut sim = elaborate(MacPair).unwrap().simulator();
    let [left_weight, right_weight, activation, left_above, right_above, left_sum, right_sum] = [
        "left_weight",
        "right_weight",
        "activation",
        "left_above",
        "right_above",
        "left_sum",
        "right_sum",
    ]
    .map(|port| sim.find(port).unwrap());
    sim.poke("load", 1);
    let case = |number: u32| number.to_le_bytes();
    let above = |number: u32| (number.wrapping_mul(0x9e37_79b1), number.wrapping_mul(0x85eb_ca6b));
    for cycle in 0..CASES + 4 {
        // What a case needs comes in its turn: weights, activation, sums above, and out come the sums.
        let at = |stage: u32| cycle.checked_sub(stage).filter(|number| *number < CASES);
        let mut set = |port, value: u32| sim.set_u64(port, value.into()).unwrap();
        if let Some(number) = at(0) {
            set(left_weight, case(number)[0].into());
            set(right_weight, case(number)[1].into());
        }
        if let Some(number) = at(1) {
            set(activation, case(number)[2].into());
        }
        if let Some(number) = at(3) {
            set(left_above, above(number).0);
            set(right_above, above(number).1);
        }
        if let Some(number) = at(4) {
            let [left, right, activation, _] = case(number).map(|byte| i32::from(byte as i8));
            let sum = |above: u32, weight: i32| above.wrapping_add_signed(weight * activation);
            let sums = (sum(above(number).0, left), sum(above(number).1, right));
            let found = (sim.get_u64(left_sum) as u32, sim.get_u64(right_sum) as u32);
            assert_eq!(found, sums, "{left} and {right} with {activation}");
        }
        sim.step();
    }
}

#[test]
fn the_array_multiplies_while_it_loads() {
    check_array(4, 4, 1, 1);
    check_array(4, 1, 1, 1);
    check_array(8, 2, 1, 1);
    check_array(4, 4, 2, 1);
    check_array(8, 2, 2, 1);
}

#[test]
fn an_array_whose_columns_take_turns_has_the_same_cycles() {
    for (size, hop_columns, ratio) in [(4, 4, 2), (4, 2, 2), (8, 4, 2), (4, 4, 4), (8, 4, 4)] {
        let of_ratio = |clock_ratio| MacArray { size, hop_columns, products: 1, clock_ratio };
        assert_eq!(of_ratio(ratio).latency(), of_ratio(1).latency());
        check_array(size, hop_columns, 1, ratio);
    }
}

#[test]
fn the_requantiser_equals_its_integer_definition() {
    let shape = EngineShape { requantise_lanes: 4, ..EngineShape::tiny() };
    let random = &mut Random::new(9);
    let mut sim = elaborate(Requantiser { shape: shape.clone() }).unwrap().simulator();
    let words = 16;
    let mut channels = Vec::new();
    for word in 0..words {
        for lane in 0..4 {
            let multiplier = random.value(32) & i32::MAX;
            let shift = if random.one_in(4) {
                random.pick(&[1, 2, 31, 61, 62])
            } else {
                1 + random.below(62)
            };
            sim.poke("host_valid", 1);
            sim.poke("host_write", 1);
            sim.poke("host_address", shape.host_address(EngineRegion::Scales, word, lane).into());
            sim.poke(
                "host_wdata",
                CHANNEL_MULTIPLIER.insert(multiplier as u64) | CHANNEL_SHIFT.insert(shift),
            );
            sim.step();
            channels.push((multiplier, shift as u8));
        }
    }
    sim.poke("host_valid", 0);

    // A word of scales each cycle; everything else follows at its own distance.
    let cases: Vec<(u32, Vec<i32>, i32, Element)> = (0..3000)
        .map(|_| {
            let lanes = (0..4).map(|_| random.value(32)).collect();
            let element = random.pick(&[Element::I8, Element::I16, Element::I32]);
            (random.below(words.into()) as u32, lanes, random.value(32), element)
        })
        .collect();
    for cycle in 0..cases.len() + 5 {
        let at = |distance: usize| cycle.checked_sub(distance).and_then(|i| cases.get(i));
        if let Some((word, lanes, zero_point, element)) = at(5) {
            sim.poke_signed("zero_point", (*zero_point).into());
            let expected: Vec<i32> = lanes
                .iter()
                .zip(&channels[*word as usize * 4..])
                .map(|(&x, &(multiplier, shift))| {
                    requantise(x, multiplier, shift, *zero_point, *element)
                })
                .collect();
            // They are saturated on their way to the registers.
            let results = sim.peek_bits("results");
            let results: Vec<i32> = (0..4)
                .map(|lane| {
                    element.saturate(results.slice(lane * RESULT_BITS, RESULT_BITS).to_i64())
                })
                .collect();
            assert_eq!(results, expected, "case {}", cycle - 5);
        }
        if let Some((word, ..)) = at(0) {
            sim.poke("enable", 1);
            sim.poke("address", u64::from(*word));
        }
        if let Some((_, lanes, ..)) = at(1) {
            sim.poke_bits("lanes", &pack(lanes, 32));
        }
        sim.step();
    }
}

#[test]
fn the_reducer_finds_sums_and_the_first_largest_lane() {
    for shape in
        [EngineShape::tiny(), EngineShape { array: 8, vector_lanes: 8, ..EngineShape::tiny() }]
    {
        let n = shape.array as usize;
        let random = &mut Random::new(3);
        let mut sim = elaborate(Reducer { shape: shape.clone() }).unwrap().simulator();
        for round in 0..400 {
            let count = 1 + random.below(shape.vector_lanes.into()) as usize;
            let few = random.one_in(2);
            let lanes: Vec<i32> = (0..count)
                .map(|_| if few { random.below(3) as i32 - 2 } else { random.value(32) })
                .collect();
            let words = count.div_ceil(n);
            for cycle in 0..words + 2 {
                sim.poke("valid", u64::from(cycle < words));
                if cycle < words {
                    // Lanes beyond the vector hold anything.
                    let word: Vec<i32> = (0..n)
                        .map(|i| lanes.get(cycle * n + i).copied().unwrap_or(i32::MAX))
                        .collect();
                    sim.poke_bits("lanes", &pack(&word, 32));
                    sim.poke("word", cycle as u64);
                    sim.poke("last", u64::from(cycle + 1 == words));
                    sim.poke("last_lane", ((count - 1) % n) as u64);
                }
                if cycle == words + 1 {
                    let sum: i64 = lanes.iter().map(|&x| i64::from(x)).sum();
                    let max = lanes.iter().max().unwrap();
                    let first = lanes.iter().position(|x| x == max).unwrap();
                    assert_eq!(sim.peek_signed("sum"), sum, "round {round}");
                    assert_eq!(sim.peek("largest"), first as u64, "round {round}");
                }
                sim.step();
            }
        }
    }
}
