//! Random designs: the evaluator, Icarus, Verilator and yosys' simulator must agree in every cycle.
//!
//! `RTL_BUILDER_SEED` and `RTL_BUILDER_GRAPHS` choose other designs; `RTL_BUILDER_KEEP` names a folder to keep them in.
#![allow(missing_docs)]

mod support;

use rtl_builder::prelude::*;
use support::random::Closed;
use support::{simulate, tools};

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn compare(name: &str, expected: &[String], found: &[String], design: &Design) {
    assert_eq!(expected.len(), found.len(), "{name} gives another number of cycles");
    for (cycle, (a, b)) in expected.iter().zip(found).enumerate() {
        for ((x, y), port) in a.split(' ').zip(b.split(' ')).zip(design.ports()) {
            assert_eq!(x, y, "cycle {cycle}, `{}`: the evaluator gives {x}, {name} {y}", port.name);
        }
    }
}

#[test]
fn simulators_agree_on_random_designs() {
    let first = number("RTL_BUILDER_SEED", 1);
    let count = number("RTL_BUILDER_GRAPHS", 6);
    let cycles = 64;
    let closed = Closed { seeds: (first..first + count).collect(), size: 40, stimulus: 64 };
    let design = elaborate(closed).expect("random designs are valid");
    let folder = simulate::Folder::new("differential");
    let files = simulate::write(&design, cycles, folder.path());
    let expected = simulate::evaluator(&design, cycles);
    assert!(expected.iter().any(|line| *line != expected[0]), "the outputs must change");
    match tools::iverilog() {
        Some(tool) => {
            let found = simulate::icarus(&tool, &files, cycles, folder.path());
            compare("Icarus", &expected, &found, &design);
        }
        None => tools::skip("comparison with Icarus", "iverilog"),
    }
    match tools::verilator() {
        Some(tool) => {
            simulate::lint(&tool, &files, design.top_name(), folder.path());
            if tools::cxx().is_some() {
                let found = simulate::verilator(&tool, &files, &design, cycles, folder.path());
                compare("Verilator", &expected, &found, &design);
            } else {
                tools::skip("comparison with Verilator", "c++");
            }
        }
        None => tools::skip("lint and comparison with Verilator", "verilator"),
    }
    match tools::yosys().and_then(|tool| Some((tools::cxxrtl_headers(&tool)?, tool))) {
        Some((headers, tool)) if tools::cxx().is_some() => {
            let found = simulate::yosys(&tool, &headers, &files, &design, cycles, folder.path());
            compare("yosys", &expected, &found, &design);
        }
        _ => tools::skip("comparison with yosys", "yosys with its CXXRTL headers, or c++,"),
    }
}
