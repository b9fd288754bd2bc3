//! Waveforms, read back with an independent reader.

use std::collections::HashMap;
use std::io::BufReader;

use fst_reader::{FstFilter, FstHierarchyEntry, FstReader, FstSignalValue};

use super::*;

/// All changes of the top-level ports: name to (time, value as a bit string).
fn changes(path: &Path) -> HashMap<String, Vec<(u64, String)>> {
    let mut reader = FstReader::open(BufReader::new(std::fs::File::open(path).unwrap())).unwrap();
    assert_eq!(reader.get_header().timescale_exponent, -9, "one tick is a nanosecond");
    let mut names: HashMap<_, String> = HashMap::new();
    reader
        .read_hierarchy(|entry| {
            if let FstHierarchyEntry::Var { name, handle, .. } = entry {
                names.entry(handle.get_index()).or_insert_with(|| {
                    name.split_whitespace().next().unwrap_or_default().to_owned()
                });
            }
        })
        .unwrap();
    let mut found: HashMap<String, Vec<(u64, String)>> = HashMap::new();
    reader
        .read_signals(&FstFilter::all(), |time, handle, value| {
            if let FstSignalValue::String(bits) = value {
                let text = String::from_utf8(bits.to_vec()).unwrap();
                found.entry(names[&handle.get_index()].clone()).or_default().push((time, text));
            }
            Ok::<(), std::convert::Infallible>(())
        })
        .unwrap();
    found
}

/// The value at `time`: that of the last change up to then.
fn value_at(changes: &[(u64, String)], time: u64) -> u64 {
    let last = changes
        .iter()
        .take_while(|(at, _)| *at <= time)
        .last()
        .expect("a value before the first change");
    u64::from_str_radix(&last.1, 2).unwrap()
}

#[test]
fn a_waveform_shows_what_was_poked_and_peeked() {
    let build = VerilatedBuild { trace: Trace::Fst, ..sample() };
    let model = build.build(&toolchain(), &default_cache_dir()).unwrap();
    let (clk, enable, address) = (
        model.clock("clk").unwrap(),
        model.input("enable").unwrap(),
        model.input("address").unwrap(),
    );
    let count = model.output("count").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.fst");

    let mut design = model.instantiate(InitialState::Zero).unwrap();
    design.cycles(clk, 2).unwrap();
    design.open_waveform(&path).unwrap();
    let mut expected = Vec::new();
    let mut random = Random(7);
    for cycle in 3..100u64 {
        let (step, cell) = (random.next() & 1, random.next() & 15);
        design.poke(enable, step).unwrap();
        design.poke(address, cell).unwrap();
        design.cycle(clk).unwrap();
        expected.push((cycle, step, cell, design.peek(count).unwrap()));
    }
    design.close_waveform();

    let found = changes(&path);
    for (cycle, step, cell, counted) in expected {
        let edge = cycle * 10;
        assert_eq!(value_at(&found["clk"], edge - 1), 0, "cycle {cycle}");
        assert_eq!(value_at(&found["clk"], edge), 1, "cycle {cycle}");
        assert_eq!(value_at(&found["clk"], edge + 5), 0, "cycle {cycle}");
        assert_eq!(
            value_at(&found["enable"], edge - 1),
            step,
            "inputs stand before the edge of cycle {cycle}"
        );
        assert_eq!(value_at(&found["address"], edge - 1), cell, "cycle {cycle}");
        assert_eq!(value_at(&found["count"], edge), counted, "cycle {cycle}");
    }
}

#[test]
fn a_second_waveform_of_the_same_instance_is_complete_too() {
    let model = VerilatedBuild { trace: Trace::Fst, ..counter("counter") };
    let model = model.build(&toolchain(), &default_cache_dir()).unwrap();
    let clk = model.clock("clk").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("1.fst"), folder.path().join("2.fst"));
    let mut design = model.instantiate(InitialState::Zero).unwrap();
    design.open_waveform(&first).unwrap();
    let error = design.open_waveform(&second).unwrap_err();
    assert!(matches!(error, Error::TraceAlreadyOpen { .. }), "{error}");
    design.cycles(clk, 5).unwrap();
    design.close_waveform();
    design.cycles(clk, 5).unwrap();
    design.open_waveform(&second).unwrap();
    design.cycles(clk, 5).unwrap();
    // Without a close: dropping the instance completes the file.
    drop(design);
    assert_eq!(value_at(&changes(&first)["count"], u64::MAX), 5);
    assert_eq!(changes(&second)["count"].len(), 6, "the value at the start, then five changes");
    assert_eq!(value_at(&changes(&second)["count"], u64::MAX), 15);
}

#[test]
fn a_waveform_shows_the_cycles_of_multiples() {
    let model = VerilatedBuild { trace: Trace::Fst, ..drive::two_speeds() };
    let model = model.build(&toolchain(), &default_cache_dir()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("speeds.fst");
    let mut design = model.instantiate(InitialState::Zero).unwrap();
    design.poke(model.input("in").unwrap(), 1).unwrap();
    design.open_waveform(&path).unwrap();
    design.cycles(model.clock("clk").unwrap(), 10).unwrap();
    drop(design);
    let found = changes(&path);
    for cycle in 1..=10 {
        // Three edges of the fast clock in the half of the period that ends with that of the slow one.
        let edge = 30 * cycle;
        for (time, fast) in
            [(edge - 11, 3 * cycle - 3), (edge - 10, 3 * cycle - 2), (edge, 3 * cycle)]
        {
            assert_eq!(value_at(&found["fast"], time), fast, "cycle {cycle}, time {time}");
        }
        assert_eq!(value_at(&found["slow"], edge - 1), cycle - 1);
        assert_eq!(value_at(&found["slow"], edge), cycle);
    }
}

#[test]
fn a_waveform_that_cannot_be_written_is_an_error() {
    let plain = counter("counter").build(&toolchain(), &default_cache_dir()).unwrap();
    let traced = VerilatedBuild { trace: Trace::Fst, ..counter("counter") };
    let traced = traced.build(&toolchain(), &default_cache_dir()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = plain
        .instantiate(InitialState::Zero)
        .unwrap()
        .open_waveform(&folder.path().join("a.fst"))
        .unwrap_err();
    assert!(matches!(error, Error::TraceNotBuilt { .. }), "{error}");
    assert!(!folder.path().join("a.fst").exists());
    let nowhere = folder.path().join("absent/a.fst");
    let error =
        traced.instantiate(InitialState::Zero).unwrap().open_waveform(&nowhere).unwrap_err();
    assert!(error.to_string().contains("absent/a.fst"), "{error}");
}
