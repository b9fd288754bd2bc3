//! The Verilog of the samples, against files beside this one; each is also linted and parsed by the tools that are there.
//!
//! `UPDATE_GOLDEN=1 cargo test -p rtl-builder --test golden` writes the files anew; read the difference before committing.
#![allow(missing_docs)]

mod support;

use rtl_builder::prelude::*;
use std::path::Path;
use support::samples::{Arithmetic, Corners, Handshake, MacArray, Memories, Streams};
use support::{simulate, tools};

fn check<C: Component>(component: C) {
    let design = elaborate(&component).expect("the sample is valid");
    let text = design.verilog();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/golden/{}.sv", design.top_name()));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &text).expect("the golden file can be written");
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    for (number, (expected, found)) in golden.lines().zip(text.lines()).enumerate() {
        assert_eq!(expected, found, "{}:{}", file.display(), number + 1);
    }
    assert_eq!(
        golden.lines().count(),
        text.lines().count(),
        "{} has another length",
        file.display()
    );
    assert_eq!(
        elaborate(&component).expect("the sample is valid").verilog(),
        text,
        "output must be deterministic"
    );
    parse(&design);
}

fn parse(design: &Design) {
    let folder = simulate::Folder::new(design.top_name());
    let files = design.write_to(folder.path()).expect("the folder is writable");
    match tools::verilator() {
        Some(tool) => simulate::lint(&tool, &files, design.top_name(), folder.path()),
        None => tools::skip("lint of a golden file", "verilator"),
    }
    match tools::iverilog() {
        Some(tool) => {
            let mut arguments =
                vec!["-g2012", "-Wall", "-o", "parsed.vvp", "-s", design.top_name()];
            arguments.extend(files.iter().map(String::as_str));
            let said = tools::run(&tool, folder.path(), &arguments);
            let said: Vec<&str> = said.lines().filter(|line| !line.contains("timescale")).collect();
            assert!(said.is_empty(), "Icarus objects: {said:?}");
        }
        None => tools::skip("parsing a golden file", "iverilog"),
    }
}

#[test]
fn arithmetic() {
    check(Arithmetic);
}

#[test]
fn handshake() {
    check(Handshake);
}

#[test]
fn memories() {
    check(Memories);
}

#[test]
fn corners() {
    check(Corners);
}

#[test]
fn streams() {
    check(Streams);
}

#[test]
fn mac_array() {
    check(MacArray { size: 2 });
}

/// The component of the README, whose Verilog stands there too.
struct Mac;

#[derive(Clone, Ports)]
struct MacIo {
    /// Start a new sum
    clear: Input<Bool>,
    a: Input<SInt>,
    b: Input<SInt>,
    sum: Output<SInt>,
}

impl Component for Mac {
    type Io = MacIo;

    fn name(&self) -> String {
        "mac_w16".into()
    }

    fn io(&self) -> MacIo {
        MacIo {
            clear: input(boolean()),
            a: input(sint(16)),
            b: input(sint(16)),
            sum: output(sint(32)),
        }
    }

    fn build(&self, io: MacIo) {
        let acc = reg("acc", sint(32), 0);
        let product = (io.a * io.b).named("product");
        when(io.clear, || acc.next(product.sext(32)))
            .otherwise(|| acc.next((acc + product).trunc(32)));
        io.sum.set(acc);
    }
}

#[test]
fn the_readme_shows_what_is_printed() {
    let text = elaborate(Mac).expect("the component is valid").verilog();
    assert!(include_str!("../README.md").contains(&text), "the README should show:\n{text}");
}
