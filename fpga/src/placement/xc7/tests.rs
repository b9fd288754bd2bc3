use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::placement::name_of;
use crate::placement::search::Search;

/// A part of 24 columns of logic and 40 rows; memories and multipliers in a column each, five rows apart.
fn tiles() -> Vec<(&'static str, u32, u32)> {
    let logic = |x: u32| if x.is_multiple_of(2) { "CLBLL_L" } else { "CLBLM_R" };
    let columns = (0..24).flat_map(|x| (0..40).map(move |y| (logic(x), x, y)));
    let blocks = (0..8).flat_map(|n| [("BRAM_L", 30, 5 * n), ("DSP_R", 31, 5 * n)]);
    columns.chain(blocks).chain([("INT_L", 40, 0)]).collect()
}

/// A placement as nextpnr's Python writes it.
#[derive(Default)]
struct Text {
    cells: Vec<String>,
    nets: String,
    numbers: BTreeMap<String, usize>,
}

impl Text {
    fn cell(&mut self, name: &str, kind: &str, place: &str) -> &mut Self {
        self.numbers.insert(name.to_owned(), self.cells.len());
        self.cells.push(format!("C\t{name}\t{kind}\t{place}\n"));
        self
    }

    /// From `cell.pin` to others.
    fn net(&mut self, from: &str, to: &[&str]) -> &mut Self {
        for (index, pin) in [from].into_iter().chain(to.iter().copied()).enumerate() {
            let (cell, pin) = pin.split_once('.').unwrap();
            let kind = if index == 0 { 'N' } else { 'U' };
            self.nets += &format!("{kind}\t{}\t{pin}\n", self.numbers[cell]);
        }
        self
    }

    fn text(&self) -> String {
        self.cells.concat() + &self.nets
    }

    fn improved(&self) -> Placed {
        let better =
            improved_xc7(self.text().as_bytes(), tiles().into_iter(), 2, &mut |_, _| {}).unwrap();
        let places = better.bound.lines().map(|line| line.split_once('\t').unwrap());
        let places: BTreeMap<_, _> =
            places.map(|(name, place)| (name.to_owned(), place.to_owned())).collect();
        assert_eq!(places.len(), self.cells.len());
        let different: BTreeSet<_> = places.values().collect();
        assert_eq!(different.len(), places.len(), "two cells in one place");
        Placed { places, before_ns: better.before_ns, now_ns: better.now_ns }
    }
}

struct Placed {
    places: BTreeMap<String, String>,
    before_ns: f32,
    now_ns: f32,
}

impl Placed {
    fn tile(&self, name: &str) -> (i32, i32) {
        read::tile_of(&self.places[name]).unwrap().0
    }

    fn distance(&self, a: &str, b: &str) -> i32 {
        let (a, b) = (self.tile(a), self.tile(b));
        (a.0 - b.0).abs() + (a.1 - b.1).abs()
    }
}

/// A clock's buffer, a constant, and flip-flop `from`, table and flip-flop `to` in three corners.
fn way() -> Text {
    let mut text = Text::default();
    text.cell("card_clock", "BUFGCTRL", "X50Y0/BUFGCTRL_X0Y0.BUFGCTRL")
        .cell("from", "SLICE_FFX", "X0Y0/SLICE_X0Y0.AFF")
        .cell("table", "SLICE_LUTX", "X20Y35/SLICE_X1Y0.B6LUT")
        .cell("to", "SLICE_FFX", "X0Y39/SLICE_X0Y0.CFF")
        .net("card_clock.O", &["from.CK", "to.CK"])
        .net("from.Q", &["table.A1"])
        .net("table.O6", &["to.D"]);
    text
}

#[test]
fn a_way_through_three_corners_becomes_short() {
    let placed = way().improved();
    // A flip-flop, a wire to a table, the table, a wire to a flip-flop, what that wants.
    let before = 350.0 + (330.0 + 20.0 * 22.0 + 35.0 * 48.0) + 125.0;
    let before = before + (500.0 + 20.0 * 22.0 + 4.0 * 48.0) + 100.0;
    assert!((placed.before_ns - before / 1e3).abs() < 1e-3, "{}", placed.before_ns);
    assert!(placed.now_ns < 1.3, "{} ns", placed.now_ns);
    assert!(placed.distance("from", "table") <= 4 && placed.distance("table", "to") <= 4);
    assert_eq!(placed.places["card_clock"], "X50Y0/BUFGCTRL_X0Y0.BUFGCTRL");
}

#[test]
fn the_same_placement_is_improved_alike() {
    assert_eq!(way().improved().places, way().improved().places);
}

#[test]
fn ways_from_the_array_have_a_part_of_the_cycle() {
    let mut text = way();
    text.cell("array_clock", "BUFGCTRL", "X51Y0/BUFGCTRL_X0Y0.BUFGCTRL")
        .cell("sum", "SLICE_FFX", "X10Y10/SLICE_X0Y0.AFF")
        .cell("held", "SLICE_FFX", "X10Y11/SLICE_X0Y0.AFF")
        .net("array_clock.O", &["sum.CK"])
        .net("card_clock.O", &["held.CK"])
        .net("sum.Q", &["held.D"]);
    let design = read::design(&text.text()).unwrap();
    let places = places(tiles().into_iter(), &design).unwrap();
    let search = Search::new(Slices, design, places, 2);
    let net = search.design.cells.iter().find(|cell| cell.name == "sum").unwrap().outputs[0].1;
    // Of a cycle as long as the longest way: half of it is over, and then it takes so long.
    let wire = 500.0 + 48.0;
    let late = search.longest() / 2.0 + 350.0 + wire + 100.0 - search.longest();
    assert!((search.timing.beside[net][0] + wire - late).abs() < 1.0);
}

/// Random logic: flip-flops of three control sets, tables of up to six inputs, memory, chains and blocks among them.
fn crowd() -> Text {
    let mut text = Text::default();
    let mut state = 12_345_u64;
    let mut random = |limit: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    text.cell("card_clock", "BUFGCTRL", "X50Y0/BUFGCTRL_X0Y0.BUFGCTRL");
    text.cell("kept_free_0", "SLICE_LUTX", "X3Y3/SLICE_X0Y0.A6LUT");
    let mut sources: Vec<String> = Vec::new();
    let mut sinks: Vec<String> = Vec::new();
    let mut clocked = Vec::new();
    let mut enabled: [Vec<String>; 3] = Default::default();
    for slice in 0..40 {
        let (x, y) = (2 + slice % 10, 2 + slice / 10 * 3);
        for letter in ["A", "B", "C", "D"] {
            let place = |part: &str| format!("X{x}Y{y}/SLICE_X1Y0.{letter}{part}");
            let name = |part: &str| format!("{part}_{slice}{letter}");
            text.cell(&name("six"), "SLICE_LUTX", &place("6LUT"));
            sources.push(name("six") + ".O6");
            sinks.extend(["A1", "A2", "A3"].map(|pin| format!("{}.{pin}", name("six"))));
            if random(2) == 0 {
                text.cell(&name("five"), "SLICE_LUTX", &place("5LUT"));
                sources.push(name("five") + ".O5");
                sinks.extend(["A1", "A2"].map(|pin| format!("{}.{pin}", name("five"))));
            }
            text.cell(&name("ff"), "SLICE_FFX", &place("FF"));
            clocked.push(name("ff") + ".CK");
            enabled[slice % 3].push(name("ff") + ".CE");
            sources.push(name("ff") + ".Q");
            sinks.push(name("ff") + ".D");
        }
    }
    // The last one beside the end of the chain.
    let words = ["X5Y20/SLICE_X0Y0", "X7Y30/SLICE_X0Y0", "X13Y7/SLICE_X0Y0"];
    for (index, place) in words.into_iter().enumerate() {
        let name = format!("word{index}");
        text.cell(&name, "SLICE_LUTX", &format!("{place}.D6LUT"));
        sources.push(format!("{name}.O6"));
        sinks.extend(["A1", "WA1", "DI1", "WE"].map(|pin| format!("{name}.{pin}")));
        clocked.push(format!("{name}.CLK"));
    }
    for index in 0..3 {
        text.cell(
            &format!("carry{index}"),
            "CARRY4",
            &format!("X13Y{}/SLICE_X0Y0.CARRY4", 9 - index),
        );
        sources.push(format!("carry{index}.O3"));
        sinks.push(format!("carry{index}.S0"));
    }
    let blocks = [
        ("memory", "RAMB36E1_RAMB36E1", "X30Y35/RAMB36_X0Y0.RAMB36E1", "DOADO0", "DIADI0"),
        ("half", "RAMB18E1_RAMB18E1", "X30Y0/RAMB18_X0Y1.RAMB18E1", "DOADO0", "DIADI0"),
        ("product", "DSP48E1_DSP48E1", "X31Y35/DSP48_X0Y1.DSP48E1", "P0", "A0"),
    ];
    for (name, kind, place, out, input) in blocks {
        text.cell(name, kind, place);
        sources.push(format!("{name}.{out}"));
        sinks.push(format!("{name}.{input}"));
    }
    // Tables take from flip-flops and blocks alone, so that no way ends where it began.
    let registers: Vec<String> = (sources.iter())
        .filter(|source| {
            !source.contains(".O6") && !source.contains(".O5") && !source.contains("carry")
        })
        .cloned()
        .collect();
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for sink in sinks {
        let of_register = sink.ends_with(".D") || sink.contains(".DI") || sink.ends_with(".A0");
        let list = if of_register { &sources } else { &registers };
        let source = &list[random(list.len())];
        users.entry(source.clone()).or_default().push(sink);
    }
    for (source, sinks) in users {
        text.net(&source, &sinks.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text.net("carry0.CO3", &["carry1.CIN"]).net("carry1.CO3", &["carry2.CIN"]);
    text.net("card_clock.O", &clocked.iter().map(String::as_str).collect::<Vec<_>>());
    for (number, enabled) in enabled.into_iter().enumerate() {
        text.cell(&format!("enable{number}"), "SLICE_FFX", &format!("X20Y{number}/SLICE_X0Y0.AFF"));
        let pins: Vec<&str> = enabled.iter().map(String::as_str).collect();
        text.net(&format!("enable{number}.Q"), &pins);
    }
    text
}

#[test]
fn a_crowd_gets_closer_and_stands_as_it_may() {
    let text = crowd();
    let design = read::design(&text.text()).unwrap();
    let places = places(tiles().into_iter(), &design).unwrap();
    let mut search = Search::new(Slices, design, places, 1);
    let before = search.longest();
    search.run(&mut |_, _| {});
    assert!(search.longest() < 0.75 * before, "{before} ps, then {}", search.longest());
    let Search { design, places, .. } = &search;
    let mut controls: BTreeMap<usize, BTreeSet<[Option<usize>; 3]>> = BTreeMap::new();
    for (number, cell) in design.cells.iter().enumerate() {
        let name = name_of(&Slices, design, places, number);
        let tile = read::tile_of(&name).unwrap().0;
        assert_eq!(tile, cell.at, "{}", cell.name);
        if let Place::Slot(slot, _) = places.of_cell[number] {
            assert!(places.is_valid(&Slices, design, slot), "{} at {name}", cell.name);
            if cell.kind == Kind::FlipFlop {
                let control = [Pin::Clock, Pin::Enable, Pin::Reset].map(|pin| cell.net_at(pin));
                controls.entry(slot / 4).or_default().insert(control);
            }
        }
        if cell.name.starts_with("word") {
            assert!(tile.0 % 2 == 1 && name.contains("/SLICE_X0Y0.D6LUT"), "{name}");
        }
    }
    assert!(controls.values().all(|controls| controls.len() == 1), "two enables in a slice");
    let moved: Vec<String> =
        (0..design.cells.len()).map(|number| name_of(&Slices, design, places, number)).collect();
    let place = |name: &str| &moved[text.numbers[name]];
    assert_eq!(place("kept_free_0"), "X3Y3/SLICE_X0Y0.A6LUT");
    let carries = ["carry0", "carry1", "carry2"].map(|name| read::tile_of(place(name)).unwrap().0);
    assert_eq!([carries[1].1, carries[2].1], [carries[0].1 - 1, carries[0].1 - 2]);
    assert!(carries.iter().all(|at| at.0 == carries[0].0), "a chain stands in a column");
    assert!(place("memory").ends_with("/RAMB36_X0Y0.RAMB36E1"));
    assert!(place("half").contains("/RAMB18_X0Y"));
    let tile = |name: &str| place(name).split_once('/').unwrap().0.to_owned();
    assert_ne!(tile("memory"), tile("half"), "two sizes of memory in a tile");
    assert!(place("product").contains("/DSP48_X0Y"));
}

#[test]
fn what_is_no_placement_is_refused() {
    let refused = |text: &str| {
        let error =
            improved_xc7(text.as_bytes(), tiles().into_iter(), 1, &mut |_, _| {}).unwrap_err();
        error.to_string()
    };
    let cell = |kind: &str, place: &str| format!("C\ta\t{kind}\t{place}\n");
    for (text, problem) in [
        ("what\n".to_owned(), "line 1 is `what`"),
        ("N\t0\tQ\n".to_owned(), "line 1 is `N\t0\tQ`"),
        (cell("SLICE_FFX", "X0Y0/SLICE_X0Y0.AFF") + "U\t0\tD\n", "line 2 is"),
        (cell("SLICE_FFX", "None"), "`a` stands at `None`"),
        (cell("SLICE_FFX", "X90Y0/SLICE_X0Y0.AFF"), "`a` stands at `X90Y0/SLICE_X0Y0.AFF`"),
        (cell("SLICE_FFX", "X0Y0/SLICE_X0Y0.EFF"), "`a` stands at"),
        (cell("SLICE_LUTX", "X0Y0/SLICE_X0Y0.A7LUT"), "`a` stands at"),
        (cell("RAMB36E1", "X0Y0/RAMB36_X0Y0.RAMB36E1"), "`a` stands at"),
    ] {
        let said = refused(&text);
        assert!(said.contains("nextpnr's placement") && said.contains(problem), "{said}");
    }
}
