//! yosys must find block RAM and DSP blocks in what is printed, for Lattice ECP5 and Xilinx 7-series.
#![allow(missing_docs)]

mod support;

use rtl_builder::prelude::*;
use rtl_builder::stock::{multiply_signed, multiply_unsigned};
use std::collections::BTreeMap;
use support::{simulate, tools};

/// Which cells a design of the kind must have, by family.
fn cells(design: &Design, command: &str) -> Option<BTreeMap<String, u64>> {
    let Some(tool) = tools::yosys() else {
        tools::skip("synthesis", "yosys");
        return None;
    };
    let folder = simulate::Folder::new(&format!(
        "{}_{}",
        design.top_name(),
        command.replace([' ', '-'], "_")
    ));
    let files = design.write_to(folder.path()).expect("the folder is writable");
    let script = format!(
        "read_verilog -sv {}; {command} -top {}; tee -q -o stat.txt stat",
        files.join(" "),
        design.top_name()
    );
    tools::run(&tool, folder.path(), &["-q", "-p", &script]);
    let text = std::fs::read_to_string(folder.path().join("stat.txt"))
        .expect("yosys wrote its statistics");
    // Lines with a count and a cell's name, in either order.
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let pair = match words.as_slice() {
            [a, b] => a
                .parse::<u64>()
                .map(|count| (*b, count))
                .or_else(|_| b.parse::<u64>().map(|count| (*a, count))),
            _ => continue,
        };
        if let Ok((cell, count)) = pair {
            *counts.entry(cell.to_owned()).or_insert(0u64) += count;
        }
    }
    assert!(!counts.is_empty(), "no statistics in:\n{text}");
    Some(counts)
}

fn count(cells: &BTreeMap<String, u64>, names: &[&str]) -> u64 {
    names.iter().filter_map(|name| cells.get(*name)).sum()
}

/// A memory of one write and one read port.
struct Ram {
    width: u32,
    depth: u64,
    lanes: u32,
}

#[derive(Clone, Ports)]
struct RamIo {
    write: Input<Bool>,
    lanes: Input<UInt>,
    write_address: Input<UInt>,
    data: Input<UInt>,
    read: Input<Bool>,
    read_address: Input<UInt>,
    word: Output<UInt>,
}

impl Component for Ram {
    type Io = RamIo;

    fn name(&self) -> String {
        format!("ram_w{}_d{}_l{}", self.width, self.depth, self.lanes)
    }

    fn io(&self) -> RamIo {
        let address = uint(bits_for(self.depth));
        RamIo {
            write: input(boolean()),
            lanes: input(uint(self.lanes)),
            write_address: input(address),
            data: input(uint(self.width)),
            read: input(boolean()),
            read_address: input(address),
            word: output(uint(self.width)),
        }
    }

    fn build(&self, io: RamIo) {
        let memory = SyncMem::<UInt>::new("memory", uint(self.width), self.depth);
        if self.lanes > 1 {
            memory.write_lanes(io.write, io.write_address, io.data, io.lanes);
        } else {
            memory.write(io.write & io.lanes.as_bool(), io.write_address, io.data);
        }
        io.word.set(memory.read(io.read, io.read_address));
    }
}

#[test]
fn synchronous_memories_become_block_ram() {
    for ram in [Ram { width: 32, depth: 1024, lanes: 1 }, Ram { width: 32, depth: 1024, lanes: 4 }]
    {
        let design = elaborate(ram).expect("the design is valid");
        if let Some(cells) = cells(&design, "synth_ecp5") {
            assert_eq!(count(&cells, &["DP16KD"]), 2, "32 kbit are two blocks of ECP5: {cells:?}");
            assert_eq!(count(&cells, &["TRELLIS_DPR16X4"]), 0, "{cells:?}");
        }
        if let Some(cells) = cells(&design, "synth_xilinx -family xc7") {
            assert_eq!(
                count(&cells, &["RAMB36E1"]),
                1,
                "32 kbit are one block of 7-series: {cells:?}"
            );
            assert_eq!(count(&cells, &["RAM64M", "RAM128X1D", "RAM64X1D"]), 0, "{cells:?}");
        }
    }
}

/// A small memory that is read in the same cycle.
struct Small;

impl Component for Small {
    type Io = RamIo;

    fn name(&self) -> String {
        "small".into()
    }

    fn io(&self) -> RamIo {
        Ram { width: 8, depth: 32, lanes: 1 }.io()
    }

    fn build(&self, io: RamIo) {
        let memory = AsyncMem::<UInt>::new("memory", uint(8), 32);
        memory.write(io.write & io.lanes.as_bool() & io.read, io.write_address, io.data);
        io.word.set(memory.read(io.read_address));
    }
}

#[test]
fn asynchronous_memories_become_distributed_ram() {
    let design = elaborate(Small).expect("the design is valid");
    if let Some(cells) = cells(&design, "synth_ecp5") {
        assert!(count(&cells, &["TRELLIS_DPR16X4"]) > 0, "{cells:?}");
        assert_eq!(count(&cells, &["DP16KD"]), 0, "{cells:?}");
    }
    if let Some(cells) = cells(&design, "synth_xilinx -family xc7") {
        assert!(count(&cells, &["RAM32M", "RAM32X1D"]) > 0, "{cells:?}");
    }
}

/// A signed and an unsigned product.
struct Products;

#[derive(Clone, Ports)]
struct ProductsIo {
    a: Input<SInt>,
    b: Input<SInt>,
    signed: Output<SInt>,
    unsigned: Output<UInt>,
    plain: Output<SInt>,
}

impl Component for Products {
    type Io = ProductsIo;

    fn name(&self) -> String {
        "products".into()
    }

    fn io(&self) -> ProductsIo {
        ProductsIo {
            a: input(sint(16)),
            b: input(sint(16)),
            signed: output(sint(32)),
            unsigned: output(uint(32)),
            plain: output(sint(32)),
        }
    }

    fn build(&self, io: ProductsIo) {
        io.signed.set(multiply_signed("signed_product", true, io.a, io.b));
        io.unsigned.set(multiply_unsigned(
            "unsigned_product",
            true,
            io.a.as_uint(),
            io.b.as_uint(),
        ));
        let swapped = io.a ^ io.b;
        io.plain.set(delayed("plain_product", swapped * io.a));
    }
}

#[test]
fn products_become_one_dsp_block_each() {
    let design = elaborate(Products).expect("the design is valid");
    if let Some(cells) = cells(&design, "synth_ecp5") {
        assert_eq!(count(&cells, &["MULT18X18D"]), 3, "{cells:?}");
    }
    if let Some(cells) = cells(&design, "synth_xilinx -family xc7") {
        assert_eq!(count(&cells, &["DSP48E1"]), 3, "{cells:?}");
    }
}

#[test]
fn a_cell_of_the_array_is_one_dsp_block() {
    let design = elaborate(support::samples::MacCell).expect("the design is valid");
    if let Some(cells) = cells(&design, "synth_ecp5") {
        assert_eq!(count(&cells, &["MULT18X18D"]), 1, "{cells:?}");
    }
    if let Some(cells) = cells(&design, "synth_xilinx -family xc7") {
        assert_eq!(count(&cells, &["DSP48E1"]), 1, "{cells:?}");
        assert!(
            count(&cells, &["LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "CARRY4"]) < 20,
            "{cells:?}"
        );
    }
}
